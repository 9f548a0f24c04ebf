// A certified OpenID Connect server for the test, with one client and people who sign in with any password.
//
//   node provider.mjs PORT REDIRECT_URI LOGOUT_URI PATH_OF_oidc-provider
import { pathToFileURL } from "node:url";

const [port, redirect, logout, module] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(module).href);
const issuer = `http://127.0.0.1:${port}`;
const groups = { anna: ["staff", "admins"], bert: ["staff"] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "playhead",
      client_secret: "the client's secret & more",
      redirect_uris: [redirect],
      post_logout_redirect_uris: [logout],
    },
  ],
  scopes: ["openid", "profile", "email"],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
  // Claims stand in the answer of the userinfo endpoint, as the standard has it.
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.org`, groups: groups[id] ?? [] }),
  }),
  pkce: { required: () => true },
  cookies: { keys: ["of the test"] },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
