/** The console's REST API, version 1. */
export interface paths {
  "/api/v1/sign-in": { post: Call<{ body: Credentials }, Me> };
  "/api/v1/sign-out": { post: Call<Nothing, never> };
  "/api/v1/me": { get: Call<Nothing, Me> };
  "/api/v1/me/password": { post: Call<{ body: { current: string; new: string } }, never> };
  "/api/v1/recordings": { get: Call<{ query: RecordingsQuery }, RecordingPage> };
  "/api/v1/recordings/{id}": { get: Call<{ path: { id: string } }, Recording> };
  "/api/v1/recordings/{id}/timeline": {
    get: Call<{ path: { id: string }; query: { buckets?: number; idle_ms?: number } }, Timeline>;
  };
  "/api/v1/sites": {
    get: Call<Nothing, { items: Site[] }>;
    post: Call<{ body: { name: string; description: string } }, Site>;
  };
  "/api/v1/session-hosts": { get: Call<{ query: { site?: string } }, { items: SessionHost[] }> };
  "/api/v1/join-tokens": { post: Call<{ body: JoinTokenRequest }, JoinToken> };
}

interface Nothing {}

interface Call<Input, Answer> {
  parameters: {
    query?: Input extends { query: infer Query } ? Query : never;
    path?: Input extends { path: infer Path } ? Path : never;
  };
  requestBody?: Input extends { body: infer Body } ? { content: { "application/json": Body } } : never;
  responses: {
    200: { content: { "application/json": Answer } };
    default: { content: { "application/problem+json": Problem } };
  };
}

interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  id?: string;
}

interface Credentials {
  user: string;
  password: string;
}

interface Me {
  user: string;
  role: string;
  permissions: string[];
  must_change_password: boolean;
}

interface RecordingsQuery {
  from?: string;
  to?: string;
  user?: string;
  host?: string;
  state?: string;
  site?: string;
  sort?: string;
  limit?: number;
  cursor?: string;
}

interface Recording {
  id: string;
  site: { id: string; name: string };
  host: string;
  user: string;
  display: string;
  client: string | null;
  client_address: string | null;
  application: string;
  state: "live" | "finished" | "quarantined";
  started_at: string;
  ended_at: string | null;
  duration_us: number;
  bytes: number;
  segments: number;
  width: number;
  height: number;
  gaps: number;
  events: number;
  agent_version: string;
  end_reason: string | null;
  problem: string | null;
}

interface RecordingPage {
  items: Recording[];
  next: string | null;
  total: { value: number; exact: boolean };
  problems: { site: string; title: string; detail: string }[];
}

interface Timeline {
  duration_us: number;
  live: boolean;
  buckets: number[];
  bucket_us: number;
  idle: [number, number][];
  gaps: { from_us: number; to_us: number; cause: string }[];
  events: number[];
}

interface Site {
  id: string;
  name: string;
  description: string;
  created_at: string;
  servers: {
    id: string;
    name: string;
    state: "available" | "offline";
    version: string;
    connected_at: string | null;
    last_seen: string | null;
  }[];
}

interface SessionHost {
  id: string;
  host: string;
  site: { id: string; name: string };
  state: "active" | "inactive";
  version: string;
  enrolled_at: string;
  last_seen: string | null;
  live_recordings: number;
}

interface JoinTokenRequest {
  kind: "agent" | "server";
  site?: string;
  valid_seconds?: number;
  uses?: number;
}

interface JoinToken {
  token: string;
  command: string;
  expires_at: string;
}
