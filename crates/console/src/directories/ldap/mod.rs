//! LDAP directories: asking them, and signing people in by them.

mod client;
mod group;
mod look;
mod probe;
#[cfg(test)]
pub(crate) mod slapd;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use probe::{Step, Steps, Verdict, sentence};

use super::{
    Principal,
    settings::{LdapSettings, Server, tls},
};
use client::Client;
use playhead_db::console::PrincipalKind;
use playhead_ldap::{Entry, WireError};
use rustls::ClientConfig;
use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Longest login that is looked up, bytes.
pub(crate) const MOST_LOGIN: usize = 256;

/// An LDAP directory as it is to be asked.
pub(crate) struct Ldap {
    settings: LdapSettings,
    password: String,
    servers: Vec<Server>,
    tls: Arc<ClientConfig>,
    /// A server that answered when others did not, and until when it is asked first.
    preferred: Mutex<Option<(usize, Instant)>>,
}

/// Why a directory did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LdapError {
    /// The settings are not good any more.
    #[error("{0}")]
    Settings(String),
    /// Nobody there.
    #[error("cannot connect to {server}: {source}; check its name, its port and the network")]
    Connect { server: String, source: io::Error },
    /// Somebody there, but no TLS.
    #[error(
        "no TLS with {server}: {source}; when its certificate is by an authority of your own, give that authority's certificate"
    )]
    Tls { server: String, source: io::Error },
    /// Nothing came in time.
    #[error("no answer from {server} within {seconds} s")]
    Late { server: String, seconds: u64 },
    /// The connection broke.
    #[error("the connection to {server} broke: {source}")]
    Broken { server: String, source: io::Error },
    /// What came is no LDAP.
    #[error("what {server} sends is not understood: {source}")]
    Wire { server: String, source: WireError },
    /// It said no.
    #[error("the directory refused {what}: {} ({code}){}", meaning(*code), quoted(text))]
    Refused { what: String, code: u32, text: String },
    /// More came than may.
    #[error("the directory's answer to one question has more than {0} MiB")]
    TooMuch(usize),
    /// More than one user has this name.
    #[error("more than one user of the directory is called '{0}': make the users' base or filter narrower")]
    Ambiguous(String),
}

impl LdapError {
    /// Whether another server of the directory may do what this one did not.
    const fn is_the_servers(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::Late { .. }
            | Self::Broken { .. }
            | Self::Wire { .. } => true,
            // Busy, or shutting down.
            Self::Refused { code, .. } => matches!(*code, 51 | 52),
            Self::Settings(_) | Self::TooMuch(_) | Self::Ambiguous(_) => false,
        }
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) principals: Vec<Principal>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// Somebody who is in the directory.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) principal: Principal,
    pub(crate) groups: Vec<Principal>,
}

/// What came of a name and a password.
#[derive(Debug)]
pub(crate) enum SignIn {
    /// They are somebody's.
    Is(Box<Person>),
    /// They are nobody's.
    Wrong,
    /// They are somebody's who must see to the password first, or may not come in; why.
    Barred(&'static str),
}

impl Ldap {
    /// The directory with these settings.
    ///
    /// # Errors
    /// The settings will not do.
    pub(crate) fn new(settings: LdapSettings, password: String) -> Result<Self, LdapError> {
        let settings = settings.settle().map_err(LdapError::Settings)?;
        let servers = settings.servers.iter().map(|text| Server::parse(text));
        let servers = servers.collect::<Result<_, _>>().map_err(LdapError::Settings)?;
        let tls = tls(settings.authority.as_deref()).map_err(LdapError::Settings)?;
        Ok(Self { settings, password, servers, tls, preferred: Mutex::default() })
    }

    /// Longest time for one question.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.settings.seconds.into())
    }

    /// A connection as nobody.
    async fn reach(&self, server: &Server) -> Result<Client, LdapError> {
        let stream = client::dial(server, self.patience()).await?;
        client::secure(stream, server, self.settings.plain, &self.tls, self.patience()).await
    }

    async fn bind(&self, client: &mut Client) -> Result<(), LdapError> {
        if self.settings.bind_dn.is_empty() {
            return Ok(());
        }
        let outcome = client.bind(&self.settings.bind_dn, &self.password).await?;
        if outcome.code == 0 {
            return Ok(());
        }
        let what = format!("the console's account “{}”", self.settings.bind_dn);
        Err(LdapError::Refused { what, code: outcome.code, text: outcome.text })
    }

    fn principal(&self, kind: PrincipalKind, entry: &Entry) -> Option<Principal> {
        let names = &self.settings.attributes;
        let (name, label) = match kind {
            PrincipalKind::User => (&names.user_name, &names.display_name),
            PrincipalKind::Group => (&names.group_name, &names.group_name),
        };
        let name = presentable(entry.text(name)?)?;
        let label = entry.text(label).and_then(presentable).unwrap_or_else(|| name.clone());
        let detail = match kind {
            PrincipalKind::User => entry.text(&names.mail).and_then(presentable),
            PrincipalKind::Group => None,
        };
        let subject = self.subject(entry);
        Some(Principal { kind, name, label, detail, dn: entry.dn.clone(), subject })
    }

    /// What tells the entry from all others, for good: its id, or its name where it has none.
    fn subject(&self, entry: &Entry) -> String {
        match entry.values(&self.settings.attributes.id).first() {
            Some(id) => match std::str::from_utf8(id).ok().filter(|text| plain_id(text)) {
                Some(text) => text.to_owned(),
                None => id.iter().fold(String::from("0x"), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                }),
            },
            None => format!("dn:{}", entry.dn.replace(['\n', '\r'], " ")),
        }
    }
}

fn plain_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.starts_with("0x")
}

/// A text of a directory as it may be shown and kept: on one line, not too long, not empty.
fn presentable(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|char| !char.is_control()).take(256).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What the usual result codes mean to whoever set the directory up.
const fn meaning(code: u32) -> &'static str {
    match code {
        1 => "an error in the directory",
        3 | 4 | 11 => "there is more than it gives at once",
        7 => "it does not know this way of signing in",
        8 | 13 => "it wants TLS for this: use ldaps://, or leave plain connections off",
        10 => "this lies in another directory, and references are not followed: ask that one",
        16 => "there is no such attribute",
        18 => "the attribute cannot be searched this way",
        21 | 34 => "a name or value is malformed",
        32 => "there is no such entry",
        48 => "it does not let this account sign in",
        49 => "wrong name or password",
        50 => "the console's account may not do this",
        51 | 52 => "it is busy or shutting down",
        53 => "it is not willing to",
        _ => "something it has a number for",
    }
}

/// What the directory says itself, where it says something.
fn quoted(text: &str) -> String {
    presentable(text).map_or(String::new(), |text| format!(", “{text}”"))
}
