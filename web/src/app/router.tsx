import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  type RouterHistory,
  redirect,
} from "@tanstack/react-router";
import { asApiError } from "../api/problem";
import { meQuery } from "../api/queries";
import { readListSearch } from "../pages/recordings/search";
import { readSessionSearch } from "../pages/sessions/search";
import { readAddress, writeAddress } from "./address";
import { NotFoundPage, PageError, PagePending } from "./pages";
import { watchSession } from "./query-client";

const root = createRootRouteWithContext<{ queryClient: QueryClient }>()({
  component: Outlet,
  notFoundComponent: NotFoundPage,
});

const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined);

/** Only addresses of this console: anything else could lead a person astray after signing in. */
function readReturn(search: Record<string, unknown>): { to?: string; ended?: string } {
  const to = text(search.to);
  return { to: to && /^\/(?![/\\])/.test(to) ? to : undefined, ended: text(search.ended) };
}

interface Refused {
  problem?: string | undefined;
  directory?: string | undefined;
  subject?: string | undefined;
}

/** What a provider's refusal is told with. */
function readSignIn(search: Record<string, unknown>): Refused & ReturnType<typeof readReturn> {
  const { problem, directory, subject } = search;
  return {
    ...readReturn(search),
    problem: text(problem),
    directory: text(directory),
    subject: text(subject),
  };
}

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: readSignIn,
  component: lazyRouteComponent(() => import("../pages/sign-in/page"), "SignInPage"),
});

const password = createRoute({
  getParentRoute: () => root,
  path: "/password",
  validateSearch: readReturn,
  beforeLoad: ({ context, location }) => requireMe(context.queryClient, location.href),
  errorComponent: PageError,
  component: lazyRouteComponent(() => import("../pages/sign-in/password"), "PasswordPage"),
});

async function requireMe(client: QueryClient, to: string) {
  try {
    return { me: await client.ensureQueryData(meQuery) };
  } catch (error) {
    if (asApiError(error).status === 401) throw redirect({ to: "/sign-in", search: { to }, replace: true });
    throw error;
  }
}

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: async ({ context, location }) => {
    const found = await requireMe(context.queryClient, location.href);
    if (found.me.must_change_password) {
      throw redirect({ to: "/password", search: { to: location.href }, replace: true });
    }
    return found;
  },
  component: lazyRouteComponent(() => import("./shell"), "Shell"),
  notFoundComponent: NotFoundPage,
  errorComponent: PageError,
});

const index = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: ({ context }) => {
    const { permissions } = context.me;
    const first = permissions.includes("list-recordings")
      ? "/recordings"
      : permissions.includes("view-sites")
        ? "/sites"
        : "/account";
    throw redirect({ to: first, search: {}, replace: true });
  },
});

const recordings = createRoute({
  getParentRoute: () => app,
  path: "/recordings",
  validateSearch: readListSearch,
  component: lazyRouteComponent(() => import("../pages/recordings/page"), "RecordingsPage"),
});

const player = createRoute({
  getParentRoute: () => app,
  path: "/recordings/$id",
  validateSearch: (search: Record<string, unknown>): { t?: string; monitor?: string; pane?: string } => ({
    t: text(search.t),
    monitor: text(search.monitor),
    pane: text(search.pane),
  }),
  component: lazyRouteComponent(() => import("../pages/player/page"), "PlayerPage"),
});

const sessions = createRoute({
  getParentRoute: () => app,
  path: "/sessions",
  validateSearch: readSessionSearch,
  component: lazyRouteComponent(() => import("../pages/sessions/page"), "SessionsPage"),
});

const ofSite = (search: Record<string, unknown>): { site?: string } => ({ site: text(search.site) });

const policies = createRoute({
  getParentRoute: () => app,
  path: "/policies",
  validateSearch: ofSite,
  component: lazyRouteComponent(() => import("../pages/policies/page"), "PoliciesPage"),
});

/** What is asked with, beside the policy: the page itself reads these, as they are many. */
const FACTS = [
  "session",
  "users",
  "groups",
  "application",
  "host",
  "delivery_groups",
  "address",
  "tags",
] as const;
type Facts = { [name in (typeof FACTS)[number]]?: string };

const simulator = createRoute({
  getParentRoute: () => app,
  path: "/policies/simulator",
  validateSearch: (search: Record<string, unknown>): { site?: string; policy?: string } & Facts => ({
    ...ofSite(search),
    policy: text(search.policy),
    ...(Object.fromEntries(FACTS.map((name) => [name, text(search[name])])) as Facts),
  }),
  component: lazyRouteComponent(() => import("../pages/policies/simulator"), "SimulatorPage"),
});

const notices = createRoute({
  getParentRoute: () => app,
  path: "/policies/notices",
  validateSearch: ofSite,
  component: lazyRouteComponent(() => import("../pages/policies/notices"), "NoticesPage"),
});

const policyHistory = createRoute({
  getParentRoute: () => app,
  path: "/policies/history",
  validateSearch: ofSite,
  component: lazyRouteComponent(() => import("../pages/policies/history"), "HistoryPage"),
});

const policy = createRoute({
  getParentRoute: () => app,
  path: "/policies/$policy",
  validateSearch: (
    search: Record<string, unknown>,
  ): { site?: string; tab?: string; from?: string; to?: string } => ({
    ...ofSite(search),
    tab: text(search.tab),
    from: text(search.from),
    to: text(search.to),
  }),
  component: lazyRouteComponent(() => import("../pages/policies/detail"), "PolicyPage"),
});

const sites = createRoute({
  getParentRoute: () => app,
  path: "/sites",
  component: lazyRouteComponent(() => import("../pages/sites/page"), "SitesPage"),
});

const hosts = createRoute({
  getParentRoute: () => app,
  path: "/session-hosts",
  validateSearch: (search: Record<string, unknown>): { site?: string; add?: string } => ({
    site: text(search.site),
    add: text(search.add),
  }),
  component: lazyRouteComponent(() => import("../pages/hosts/page"), "HostsPage"),
});

const tokens = createRoute({
  getParentRoute: () => app,
  path: "/join-tokens",
  component: lazyRouteComponent(() => import("../pages/tokens/page"), "TokensPage"),
});

const directories = createRoute({
  getParentRoute: () => app,
  path: "/directories",
  component: lazyRouteComponent(() => import("../pages/directories/page"), "DirectoriesPage"),
});

const clients = createRoute({
  getParentRoute: () => app,
  path: "/clients",
  component: lazyRouteComponent(() => import("../pages/clients/page"), "ClientsPage"),
});

const account = createRoute({
  getParentRoute: () => app,
  path: "/account",
  component: lazyRouteComponent(() => import("../pages/account/page"), "AccountPage"),
});

/** Every other address: the message stands within the frame, with the navigation beside it. */
const elsewhere = createRoute({ getParentRoute: () => app, path: "$", component: NotFoundPage });

const routeTree = root.addChildren([
  signIn,
  password,
  app.addChildren([
    index,
    recordings,
    player,
    sessions,
    policies,
    simulator,
    notices,
    policyHistory,
    policy,
    sites,
    hosts,
    tokens,
    directories,
    clients,
    account,
    elsewhere,
  ]),
]);

/** The pages by their addresses; the history is the browser's unless another is given. */
export function makeRouter(queryClient: QueryClient, history?: RouterHistory) {
  const router = createRouter({
    routeTree,
    ...(history ? { history } : {}),
    context: { queryClient },
    parseSearch: readAddress,
    stringifySearch: writeAddress,
    defaultPreload: "intent",
    defaultPendingComponent: PagePending,
    defaultErrorComponent: PageError,
    defaultPendingMs: 150,
    scrollRestoration: true,
  });
  watchSession((reason) => {
    const here = router.state.location;
    if (here.pathname === "/sign-in" || (reason === "password" && here.pathname === "/password")) return;
    void router.navigate(
      reason === "password"
        ? { to: "/password", search: { to: here.href } }
        : { to: "/sign-in", search: { to: here.href, ended: "1" } },
    );
  });
  return router;
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
  interface HistoryState {
    /** Cursors of the pages before this one, the first page left out. */
    trail?: string[];
  }
}
