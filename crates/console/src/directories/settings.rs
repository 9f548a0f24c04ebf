//! How directories are reached and what is found where. Secrets do not stand here.

use playhead_ldap::{Filter, is_attribute};
use playhead_net::trust;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

/// Most servers of one directory.
const MOST_SERVERS: usize = 8;
/// Longest name, base, filter or address.
const MOST_TEXT: usize = 2000;
/// Most claims with groups.
const MOST_CLAIMS: usize = 10;
/// Longest text with certificates: some twenty of them.
const MOST_AUTHORITY: usize = 40_000;

/// What a directory holds where, as far as it is not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Active Directory and Samba.
    ActiveDirectory,
    /// OpenLDAP and others with `inetOrgPerson`.
    #[default]
    Openldap,
}

/// How groups within groups are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Nesting {
    /// By the directory's own rule where it says that it has one, otherwise by walking.
    #[default]
    Auto,
    /// By Active Directory's rule `LDAP_MATCHING_RULE_IN_CHAIN`.
    Chain,
    /// From group to group, up to a bound.
    Walk,
    /// Not at all: groups that name the user count alone.
    Direct,
}

/// An LDAP directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LdapSettings {
    /// Its servers, `ldaps://host:636` or `ldap://host:389` (which goes on under StartTLS); the first that answers is asked.
    pub(crate) servers: Vec<String>,
    /// Leave TLS out. Only to servers on this machine's loopback.
    #[serde(default)]
    pub(crate) plain: bool,
    /// The certificate authorities to trust there, PEM; the system's when there is none.
    #[serde(default)]
    #[schema(required)]
    pub(crate) authority: Option<String>,
    /// What stands in fields that are left empty.
    #[serde(default)]
    pub(crate) preset: Preset,
    /// Name of the account that the console asks with; empty to ask as nobody.
    #[serde(default)]
    pub(crate) bind_dn: String,
    /// Users are this entry and what lies below.
    pub(crate) user_base: String,
    /// Groups are this entry and what lies below; where it is empty, those below `user_base`.
    #[serde(default)]
    pub(crate) group_base: String,
    /// What users are like. Who does not match (any more) cannot sign in.
    #[serde(default)]
    pub(crate) user_filter: String,
    /// What groups are like.
    #[serde(default)]
    pub(crate) group_filter: String,
    /// Where things stand.
    #[serde(default)]
    pub(crate) attributes: Attributes,
    /// How groups within groups are found.
    #[serde(default)]
    pub(crate) nesting: Nesting,
    /// Longest time for one question, seconds: 1 to 15.
    #[serde(default = "five")]
    pub(crate) seconds: u32,
    /// Whether people sign in by it; otherwise it is for looking up alone.
    #[serde(default = "yes")]
    pub(crate) sign_in: bool,
    /// After how many minutes it is asked again whether somebody signed in is still there and in the groups: 1 to 1440.
    #[serde(default = "five")]
    pub(crate) check_minutes: u32,
}

/// Names of attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attributes {
    /// What users sign in with.
    #[serde(default)]
    pub(crate) user_name: String,
    /// What people call them.
    #[serde(default)]
    pub(crate) display_name: String,
    /// Their address for mail.
    #[serde(default)]
    pub(crate) mail: String,
    /// What stays the same when a user or group is renamed.
    #[serde(default)]
    pub(crate) id: String,
    /// A group's name.
    #[serde(default)]
    pub(crate) group_name: String,
    /// In a group: who is in it. `memberUid` holds names, any other names of entries.
    #[serde(default)]
    pub(crate) member: String,
    /// In a user or group: which groups it is in.
    #[serde(default)]
    pub(crate) member_of: String,
}

/// An OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenIdSettings {
    /// Its issuer, as it calls itself, to the letter: `https://login.example.org/realm`.
    pub(crate) issuer: String,
    /// The console's name there.
    pub(crate) client_id: String,
    /// The certificate authorities to trust there, PEM; the system's when there is none.
    #[serde(default)]
    #[schema(required)]
    pub(crate) authority: Option<String>,
    /// What is asked for beside `openid`.
    #[serde(default = "scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim with the user's name.
    #[serde(default = "preferred_username")]
    pub(crate) user_claim: String,
    /// The claim with the user's groups: a list of texts, or one text. Dots lead into objects, as in `realm_access.roles`. Of several,
    /// separated by commas, all groups count.
    #[serde(default = "groups")]
    pub(crate) groups_claim: String,
    /// By how much its clock and this one may differ, seconds: 0 to 600.
    #[serde(default = "minute")]
    pub(crate) clock_skew_seconds: u32,
    /// After how many minutes people have to come by again: 5 to 1440.
    #[serde(default = "eight_hours")]
    pub(crate) session_minutes: u32,
}

/// Settings of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DirectorySettings {
    /// LDAP.
    Ldap(LdapSettings),
    /// OpenID Connect.
    OpenId(OpenIdSettings),
}

const fn five() -> u32 {
    5
}
const fn minute() -> u32 {
    60
}
const fn eight_hours() -> u32 {
    480
}
const fn yes() -> bool {
    true
}
fn scopes() -> Vec<String> {
    vec!["profile".into(), "email".into()]
}
fn preferred_username() -> String {
    "preferred_username".into()
}
fn groups() -> String {
    "groups".into()
}

/// Where a server of a directory listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// TLS from the first byte on.
    pub(crate) tls: bool,
}

impl LdapSettings {
    /// Checks everything and fills in what was left out.
    ///
    /// # Errors
    /// What will not do, in words for whoever set it.
    pub(crate) fn settle(mut self) -> Result<Self, String> {
        if self.servers.is_empty() || self.servers.len() > MOST_SERVERS {
            return Err(format!("Give 1 to {MOST_SERVERS} servers, such as ldaps://dc1.example.org."));
        }
        for text in &self.servers {
            let server = Server::parse(text)?;
            if self.plain && (server.tls || !server.is_loopback()) {
                return Err(format!(
                    "“{text}” cannot be asked without TLS: only ldap:// to this machine's loopback can."
                ));
            }
        }
        self.authority = settle_authority(self.authority)?;
        let of = self.preset.attributes();
        let own = &mut self.attributes;
        for (field, default) in [
            (&mut own.user_name, of.user_name),
            (&mut own.display_name, of.display_name),
            (&mut own.mail, of.mail),
            (&mut own.id, of.id),
            (&mut own.group_name, of.group_name),
            (&mut own.member, of.member),
            (&mut own.member_of, of.member_of),
        ] {
            *field = field.trim().to_owned();
            if field.is_empty() {
                *field = default;
            } else if !is_attribute(field) {
                return Err(format!("“{}” is no name of an attribute.", shortened(field)));
            }
        }
        let (users, groups) = self.preset.filters();
        for (field, default, what) in
            [(&mut self.user_filter, users, "users"), (&mut self.group_filter, groups, "groups")]
        {
            *field = field.trim().to_owned();
            if field.is_empty() {
                default.clone_into(field);
            }
            Filter::parse(field).map_err(|error| format!("The filter for {what} is not good: {error}."))?;
        }
        for (field, what) in [
            (&mut self.bind_dn, "name of the account"),
            (&mut self.user_base, "users' base"),
            (&mut self.group_base, "groups' base"),
        ] {
            *field = field.trim().to_owned();
            if field.len() > MOST_TEXT || field.contains(char::is_control) {
                return Err(format!(
                    "The {what} is longer than {MOST_TEXT} bytes, or holds control characters."
                ));
            }
        }
        if self.user_base.is_empty() {
            return Err("Say below which entry users are found, such as ou=people,dc=example,dc=org.".into());
        }
        if self.group_base.is_empty() {
            self.group_base.clone_from(&self.user_base);
        }
        if !(1..=15).contains(&self.seconds) {
            return Err(format!("A question may take 1 to 15 seconds, not {}.", self.seconds));
        }
        if !(1..=1440).contains(&self.check_minutes) {
            return Err(format!(
                "People are looked up again after 1 to 1440 minutes, not {}.",
                self.check_minutes
            ));
        }
        Ok(self)
    }
}

impl Preset {
    fn attributes(self) -> Attributes {
        let (user_name, display_name, id, group_name) = match self {
            Self::ActiveDirectory => ("sAMAccountName", "displayName", "objectGUID", "sAMAccountName"),
            Self::Openldap => ("uid", "cn", "entryUUID", "cn"),
        };
        Attributes {
            user_name: user_name.into(),
            display_name: display_name.into(),
            mail: "mail".into(),
            id: id.into(),
            group_name: group_name.into(),
            member: "member".into(),
            member_of: "memberOf".into(),
        }
    }

    /// Filters for users and for groups. In Active Directory computers are users as well, and accounts that are disabled stay.
    const fn filters(self) -> (&'static str, &'static str) {
        match self {
            Self::ActiveDirectory => (
                "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
                "(objectClass=group)",
            ),
            Self::Openldap => (
                "(objectClass=inetOrgPerson)",
                "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
            ),
        }
    }
}

impl OpenIdSettings {
    /// The claims with the user's groups.
    pub(crate) fn groups_claims(&self) -> impl Iterator<Item = &str> {
        self.groups_claim.split(',').map(str::trim)
    }

    /// Checks everything and fills in what was left out.
    ///
    /// # Errors
    /// What will not do, in words for whoever set it.
    pub(crate) fn settle(mut self) -> Result<Self, String> {
        self.issuer = self.issuer.trim().to_owned();
        self.client_id = self.client_id.trim().to_owned();
        check_address(&self.issuer, "issuer")?;
        if self.issuer.contains(['?', '#']) {
            return Err("An issuer's address has neither '?' nor '#'.".into());
        }
        self.authority = settle_authority(self.authority)?;
        for (text, what) in [
            (&self.client_id, "client's id"),
            (&self.user_claim, "claim with the user's name"),
            (&self.groups_claim, "claim with the groups"),
        ] {
            if text.is_empty() || text.len() > 256 || text.contains(char::is_control) {
                return Err(format!("The {what} must have 1 to 256 bytes and no control characters."));
            }
        }
        if self.groups_claims().any(str::is_empty) || self.groups_claims().count() > MOST_CLAIMS {
            return Err(format!(
                "Give 1 to {MOST_CLAIMS} claims with groups, separated by commas, such as groups, realm_access.roles."
            ));
        }
        let good = |scope: &String| {
            !scope.is_empty() && scope.len() <= 128 && scope.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.scopes.len() > 20 || !self.scopes.iter().all(good) {
            return Err("Give at most 20 scopes, each without spaces.".into());
        }
        self.scopes.retain(|scope| scope != "openid");
        if self.clock_skew_seconds > 600 {
            return Err(format!(
                "Clocks may differ by at most 600 seconds, not {}.",
                self.clock_skew_seconds
            ));
        }
        if !(5..=1440).contains(&self.session_minutes) {
            return Err(format!("Sessions may last 5 to 1440 minutes, not {}.", self.session_minutes));
        }
        Ok(self)
    }
}

impl DirectorySettings {
    /// Checks everything and fills in what was left out.
    ///
    /// # Errors
    /// What will not do, in words for whoever set it.
    pub(crate) fn settle(self) -> Result<Self, String> {
        match self {
            Self::Ldap(settings) => settings.settle().map(Self::Ldap),
            Self::OpenId(settings) => settings.settle().map(Self::OpenId),
        }
    }
}

impl Server {
    /// Reads `ldaps://host:port` or `ldap://host:port`.
    ///
    /// # Errors
    /// What will not do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("Expected a server such as ldaps://dc1.example.org, got “{}”.", shortened(text));
        let uri: http::Uri = text.trim().parse().map_err(|_| malformed())?;
        let tls = match uri.scheme_str() {
            Some("ldaps") => true,
            Some("ldap") => false,
            _ => return Err(malformed()),
        };
        let host = uri.host().ok_or_else(malformed)?.trim_matches(['[', ']']).to_owned();
        let own_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if host.is_empty()
            || own_user
            || has_odd_port(&uri)
            || !matches!(uri.path(), "" | "/")
            || uri.query().is_some()
        {
            return Err(malformed());
        }
        Ok(Self { host, port: uri.port_u16().unwrap_or(if tls { 636 } else { 389 }), tls })
    }

    fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether something stands where a port would that is none: it must not be taken for the usual one.
fn has_odd_port(uri: &http::Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    uri.port_u16().is_none() && authority.rsplit('@').next().is_some_and(|place| place.len() > host.len())
}

/// Whether an address may be asked: under TLS, or on loopback.
///
/// # Errors
/// Why not.
pub(crate) fn check_address(text: &str, what: &str) -> Result<(), String> {
    let malformed =
        || format!("Expected an {what} such as https://login.example.org, got “{}”.", shortened(text));
    let uri: http::Uri = text.parse().map_err(|_| malformed())?;
    let host = uri.host().ok_or_else(malformed)?.trim_matches(['[', ']']);
    match uri.scheme_str() {
        _ if text.len() > MOST_TEXT || has_odd_port(&uri) => Err(malformed()),
        Some("https") => Ok(()),
        Some("http") if is_loopback(host) => Ok(()),
        Some("http") => Err(format!("“{}” is plain HTTP to another machine: use https.", shortened(text))),
        _ => Err(malformed()),
    }
}

/// TLS that trusts these authorities, or the system's.
///
/// # Errors
/// What will not do.
pub(crate) fn tls(authority: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let certificates = authority.map_or(Ok(Vec::new()), certificates)?;
    trust(&certificates).map_err(|error| format!("The certificate authority cannot be used: {error}."))
}

fn settle_authority(authority: Option<String>) -> Result<Option<String>, String> {
    let authority = authority.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if authority.as_ref().is_some_and(|text| text.len() > MOST_AUTHORITY) {
        return Err(format!("The certificate authorities have more than {MOST_AUTHORITY} bytes."));
    }
    tls(authority.as_deref())?;
    Ok(authority)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(read) if !read.is_empty() => Ok(read),
        Ok(_) => Err("Expected certificates in PEM, beginning with -----BEGIN CERTIFICATE-----.".into()),
        Err(error) => Err(format!("The certificate authority is no good PEM: {error}.")),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn ldap(server: &str) -> LdapSettings {
        let settings = json!({ "servers": [server], "user_base": "dc=example,dc=org" });
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn what_is_left_out_comes_from_the_preset() {
        let settled = ldap("ldaps://dc1.example.org").settle().unwrap();
        assert_eq!(
            (settled.attributes.user_name.as_str(), settled.group_base.as_str()),
            ("uid", "dc=example,dc=org")
        );
        let ad =
            LdapSettings { preset: Preset::ActiveDirectory, ..ldap("ldap://dc1:3268") }.settle().unwrap();
        assert!(ad.attributes.id == "objectGUID" && ad.user_filter.contains("userAccountControl"));
        assert_eq!(ad.clone().settle().unwrap(), ad, "what is settled stays");
    }

    #[test]
    fn what_will_not_do_is_named() {
        let refused = |change: fn(&mut LdapSettings)| {
            let mut settings = ldap("ldap://dc1.example.org");
            change(&mut settings);
            settings.settle().unwrap_err()
        };
        assert!(refused(|s| s.servers.clear()).contains("1 to 8"));
        assert!(refused(|s| s.servers[0] = "https://x".into()).contains("ldaps://"));
        assert!(refused(|s| s.servers[0] = "ldap://x/dc=a??sub".into()).contains("got “ldap://x"));
        assert!(refused(|s| s.servers[0] = "ldaps://x:99999".into()).contains("got “ldaps://x:99999"));
        assert!(refused(|s| s.servers[0] = "ldaps://[::1]:".into()).contains("got “ldaps://[::1]"));
        assert!(refused(|s| s.plain = true).contains("loopback"));
        assert!(refused(|s| s.user_filter = "(uid=".into()).contains("expected ')'"));
        assert!(refused(|s| s.attributes.mail = "a b".into()).contains("“a b”"));
        assert!(refused(|s| s.authority = Some("nonsense".into())).contains("BEGIN CERTIFICATE"));
        assert!(refused(|s| s.user_base = " ".into()).contains("ou=people"));
        assert!(refused(|s| s.seconds = 99).contains("99"));
        let plain = LdapSettings { plain: true, ..ldap("ldap://[::1]:3389") }.settle().unwrap();
        assert_eq!(Server::parse(&plain.servers[0]).unwrap().to_string(), "[::1]:3389");
    }

    #[test]
    fn providers_are_asked_under_tls() {
        let provider = |issuer: &str| {
            let settings = json!({ "issuer": issuer, "client_id": "playhead" });
            serde_json::from_value::<OpenIdSettings>(settings).unwrap().settle()
        };
        assert_eq!(provider("https://login.example/realm").unwrap().groups_claim, "groups");
        provider("http://127.0.0.1:3000").unwrap();
        for claims in ["groups,", ",", &["x"; 11].join(",")] {
            let settings = json!({ "issuer": "https://i", "client_id": "c", "groups_claim": claims });
            let refused = serde_json::from_value::<OpenIdSettings>(settings).unwrap().settle().unwrap_err();
            assert!(refused.contains("1 to 10 claims"), "{claims}: {refused}");
        }
        assert!(provider("http://login.example").unwrap_err().contains("use https"));
        assert!(provider("https://login.example/?x").unwrap_err().contains("'?'"));
        assert!(provider("login").is_err() && provider("https://login.example:99999").is_err());
    }
}
