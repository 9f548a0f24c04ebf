// A certified OpenID Connect server for the test, with one client and people who sign in with any password.
//
//   node provider.mjs PORT REDIRECT_URI LOGOUT_URI PATH_OF_oidc-provider [BACK_CHANNEL_LOGOUT_URI [SECONDS]]
//
// It signs with another key each time it starts, and its clock is ahead by SECONDS.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";

const [port, redirect, logout, module, farewell, ahead = "0"] = process.argv.slice(2);
const time = Date.now;
Date.now = () => time() + Number(ahead) * 1000;
const { default: Provider } = await import(pathToFileURL(module).href);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
const groups = { anna: ["staff", "admins"], bert: ["staff"] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "playhead",
      client_secret: "the client's secret & more",
      redirect_uris: [redirect],
      post_logout_redirect_uris: [logout],
      ...(farewell ? { backchannel_logout_uri: farewell } : {}),
    },
  ],
  scopes: ["openid", "profile", "email"],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
  // Claims stand in the answer of the userinfo endpoint, as the standard has it.
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.org`, groups: groups[id] ?? [] }),
  }),
  jwks: { keys: [key] },
  pkce: { required: () => true },
  // It would not tell anything to an address of this machine otherwise.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  cookies: { keys: ["of the test"] },
  features: {
    devInteractions: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
  },
});
provider.on("backchannel.error", (_, error, client) => console.error(`${client.clientId} not told:`, error));
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
