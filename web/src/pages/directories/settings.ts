import type { LdapSettings, OpenIdSettings } from "../../api/types";

/** What the console takes where a field is left empty; shown there. */
export const PRESETS = {
  openldap: {
    bind: "cn=playhead,ou=services,dc=example,dc=org",
    base: "ou=people,dc=example,dc=org",
    userFilter: "(objectClass=inetOrgPerson)",
    groupFilter: "(objectClass=groupOfNames) …",
    attributes: {
      user_name: "uid",
      display_name: "cn",
      mail: "mail",
      id: "entryUUID",
      group_name: "cn",
      member: "member",
      member_of: "memberOf",
    },
  },
  "active-directory": {
    bind: "CN=playhead,OU=Services,DC=example,DC=org",
    base: "DC=example,DC=org",
    userFilter: "(&(objectCategory=person)(objectClass=user) …)",
    groupFilter: "(objectClass=group)",
    attributes: {
      user_name: "sAMAccountName",
      display_name: "displayName",
      mail: "mail",
      id: "objectGUID",
      group_name: "sAMAccountName",
      member: "member",
      member_of: "memberOf",
    },
  },
} as const;

export function newLdap(preset: keyof typeof PRESETS = "active-directory"): LdapSettings {
  return { preset, servers: [], user_base: "", authority: null };
}

export function newOpenId(): OpenIdSettings {
  return {
    issuer: "",
    client_id: "",
    authority: null,
    scopes: ["profile", "email"],
    user_claim: "preferred_username",
    groups_claim: "groups",
  };
}
