import type { paths } from "./schema";

type Answer<Operation> = Operation extends {
  responses: { 200: { content: { "application/json": infer Body } } };
}
  ? Body
  : never;

export type Me = Answer<paths["/api/v1/me"]["get"]>;
export type RecordingPage = Answer<paths["/api/v1/recordings"]["get"]>;
export type Recording = RecordingPage["items"][number];
/** What a recording's course looks like; spans are [from, to] in microseconds of media time. */
export type Timeline = Omit<Answer<paths["/api/v1/recordings/{id}/timeline"]["get"]>, "idle"> & {
  idle: [number, number][];
};
type DescribedEvents = Answer<paths["/api/v1/recordings/{id}/events"]["get"]>;
/** Something that happened in a session; `at_us` is media time. Particulars are the type's own. */
export type RecordingEvent = Omit<DescribedEvents["items"][number], "particulars"> & {
  particulars: Record<string, unknown>;
};
export type EventPage = Omit<DescribedEvents, "items"> & { items: RecordingEvent[] };
export type Site = Answer<paths["/api/v1/sites"]["get"]>["items"][number];
export type SessionHost = Answer<paths["/api/v1/session-hosts"]["get"]>["items"][number];
export type Server = Site["servers"][number];
export type Storage = Answer<paths["/api/v1/sites/{id}/storage"]["get"]>;
export type SiteServers = Answer<paths["/api/v1/sites/{id}/servers"]["get"]>;
export type StorageLocation = Storage["locations"][number];
export type HostQueue = NonNullable<SessionHost["queue"]>;
export type JoinToken = Answer<paths["/api/v1/join-tokens"]["get"]>["items"][number];
export type Directory = Answer<paths["/api/v1/directories"]["get"]>["items"][number];
export type LdapSettings = NonNullable<Directory["ldap"]>;
export type OpenIdSettings = NonNullable<Directory["openid"]>;
export type Tried = Answer<paths["/api/v1/directories/test"]["post"]>;
export type DirectoryRole = Answer<paths["/api/v1/directories/{id}/roles"]["get"]>["items"][number];
export type Principal = Answer<paths["/api/v1/directories/search"]["get"]>["items"][number];
export type ApiClient = Answer<paths["/api/v1/api-clients"]["get"]>["items"][number];
export type MadeApiClient =
  paths["/api/v1/api-clients"]["post"]["responses"][201]["content"]["application/json"];
export type OpenSession = Answer<paths["/api/v1/me/sessions"]["get"]>["items"][number];
/** The request as the description has it, where `sort` is both a text and an object, which nothing is. */
export type DescribedQuery = NonNullable<paths["/api/v1/recordings"]["get"]["parameters"]["query"]>;
export type RecordingsQuery = Omit<DescribedQuery, "sort"> & { sort?: string };
