//! Trying a directory out step by step, for whoever sets it up.

use super::{Ldap, LdapError, SignIn, client};
use playhead_db::console::PrincipalKind;
use playhead_ldap::Filter;
use serde::Serialize;
use std::time::Instant;
use utoipa::ToSchema;

/// How many entries are counted.
const COUNTED: usize = 50;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It works.
    Ok,
    /// It works, but something about it should be looked at.
    Doubtful,
    /// It does not work.
    Failed,
    /// It was not tried, because a step before has failed.
    Skipped,
}

impl Verdict {
    /// Its name in texts.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Doubtful => "doubtful",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A step of trying a directory out.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Step {
    /// Which one: `connect`, `tls`, `bind`, `users`, `groups`, `person`, `discovery`, `keys` or `secret`.
    #[schema(value_type = String, example = "connect")]
    pub(crate) name: &'static str,
    /// How it went.
    pub(crate) verdict: Verdict,
    /// What was found, or what is wrong and what to do.
    pub(crate) detail: String,
    /// How long it took, milliseconds.
    pub(crate) millis: u64,
}

/// Steps, with the time since the one before.
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    since: Instant,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self { steps: Vec::new(), since: Instant::now() }
    }

    pub(crate) fn add(&mut self, name: &'static str, verdict: Verdict, detail: impl Into<String>) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since = Instant::now();
        let detail = detail.into();
        let millis = if verdict == Verdict::Skipped { 0 } else { millis };
        self.steps.push(Step { name, verdict, detail, millis });
    }

    /// Ends with a failure; the other steps are not tried.
    pub(crate) fn fail(
        mut self,
        name: &'static str,
        error: &dyn std::error::Error,
        others: &[&'static str],
    ) -> Vec<Step> {
        self.add(name, Verdict::Failed, sentence(&error.to_string()));
        for other in others {
            self.add(other, Verdict::Skipped, "");
        }
        self.steps
    }
}

/// An error as a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

impl Ldap {
    /// Tries everything, on every server as far as connecting goes; with somebody's name their groups as well, and with their password
    /// their sign-in.
    pub(crate) async fn probe(&self, login: Option<&str>, password: Option<&str>) -> Vec<Step> {
        let mut steps = Steps::new();
        let rest: &[&str] =
            if login.is_some() { &["users", "groups", "person"] } else { &["users", "groups"] };
        let mut open = None;
        for server in &self.servers {
            let stream = match client::dial(server, self.patience()).await {
                Ok(stream) => stream,
                Err(error) => {
                    steps.add("connect", Verdict::Failed, sentence(&error.to_string()));
                    continue;
                }
            };
            steps.add("connect", Verdict::Ok, format!("Connected to {server}."));
            let plain = self.settings.plain;
            let mut client = match client::secure(stream, server, plain, &self.tls, self.patience()).await {
                Ok(client) => client,
                Err(error) => {
                    steps.add("tls", Verdict::Failed, sentence(&error.to_string()));
                    continue;
                }
            };
            let how = match (plain, server.tls) {
                (true, _) => "No TLS, as is set; it does not leave this machine.",
                (false, true) => "TLS from the first byte on.",
                (false, false) => "TLS by StartTLS.",
            };
            steps.add("tls", Verdict::Ok, how);
            match self.bind(&mut client).await {
                Ok(()) if self.settings.bind_dn.is_empty() => {
                    steps.add("bind", Verdict::Doubtful, "Asking as nobody: the directory may hide things.");
                }
                Ok(()) => {
                    steps.add("bind", Verdict::Ok, format!("Signed in as “{}”.", self.settings.bind_dn));
                }
                Err(error) => {
                    steps.add("bind", Verdict::Failed, sentence(&error.to_string()));
                    continue;
                }
            }
            open.get_or_insert(client);
        }
        let Some(mut client) = open else {
            for step in rest {
                steps.add(step, Verdict::Skipped, "");
            }
            return steps.steps;
        };
        for (at, (name, kind)) in
            [("users", PrincipalKind::User), ("groups", PrincipalKind::Group)].into_iter().enumerate()
        {
            match self.count(&mut client, kind).await {
                Ok((verdict, detail)) => steps.add(name, verdict, detail),
                Err(error) => return steps.fail(name, &error, &rest[at + 1..]),
            }
        }
        client.close().await;
        if let Some(login) = login {
            match self.try_person(login, password).await {
                Ok((verdict, detail)) => steps.add("person", verdict, detail),
                Err(error) => return steps.fail("person", &error, &[]),
            }
        }
        steps.steps
    }

    async fn count(
        &self,
        client: &mut client::Client,
        kind: PrincipalKind,
    ) -> Result<(Verdict, String), LdapError> {
        let names = &self.settings.attributes;
        let (what, name, base) = match kind {
            PrincipalKind::User => ("users", &names.user_name, &self.settings.user_base),
            PrincipalKind::Group => ("groups", &names.group_name, &self.settings.group_base),
        };
        let found = self.ask(client, kind, Filter::Present("objectClass".into()), COUNTED).await?;
        let entries = found.entries.len();
        let usable: Vec<_> = found.entries.iter().filter_map(|entry| self.principal(kind, entry)).collect();
        let nameless = entries - usable.len();
        let without_id = found.entries.iter().filter(|entry| entry.values(&names.id).is_empty()).count();
        let more = if found.more { "more than " } else { "" };
        let examples: Vec<&str> = usable.iter().take(3).map(|one| one.name.as_str()).collect();
        let counted = if entries == 1 {
            format!("1 {}", what.trim_end_matches('s'))
        } else {
            format!("{entries} {what}")
        };
        let text = format!("Found {more}{counted} below “{base}”");
        Ok(if entries == 0 && found.elsewhere {
            (
                Verdict::Doubtful,
                format!("{text}; the directory refers to another one, which is not followed: ask that one."),
            )
        } else if entries == 0 {
            (
                Verdict::Doubtful,
                format!("{text}: see to the base, the filter, and what the console's account may see."),
            )
        } else if nameless > 0 {
            (
                Verdict::Doubtful,
                format!("{text}, but {nameless} without the attribute “{name}”, which do not count."),
            )
        } else if without_id > 0 {
            (
                Verdict::Doubtful,
                format!(
                    "{text}, but {without_id} without the attribute “{}”: when they are renamed, they lose their roles.",
                    names.id
                ),
            )
        } else {
            let elsewhere =
                if found.elsewhere { " References to other directories are passed over." } else { "" };
            (Verdict::Ok, format!("{text}, such as {}.{elsewhere}", examples.join(", ")))
        })
    }

    async fn try_person(&self, login: &str, password: Option<&str>) -> Result<(Verdict, String), LdapError> {
        let groups = match password {
            Some(password) => match self.sign_in(login, password).await? {
                SignIn::Is(person) => person.groups,
                SignIn::Wrong => {
                    return Ok((
                        Verdict::Failed,
                        "There is no user of this name, or the password is wrong.".into(),
                    ));
                }
                SignIn::Barred(why) => return Ok((Verdict::Failed, sentence(why))),
            },
            None => match self.groups_of(login).await? {
                Some(groups) => groups,
                None => return Ok((Verdict::Failed, format!("There is no user called “{login}”."))),
            },
        };
        let names: Vec<&str> = groups.iter().take(20).map(|group| group.name.as_str()).collect();
        let done = if password.is_some() { "The password is right. " } else { "" };
        Ok(match groups.len() {
            1 => (Verdict::Ok, format!("{done}“{login}” is in one group: {}.", names.join(", "))),
            0 => (Verdict::Doubtful, format!("{done}“{login}” is in no groups that the console can see.")),
            count => (Verdict::Ok, format!("{done}“{login}” is in {count} groups: {}.", names.join(", "))),
        })
    }
}
