//! Connecting, changing and removing directories, and giving roles: the same for the API and the command line.

use super::{
    Directories, DirectoryError, DirectorySettings, LdapSettings, MOST_DIRECTORIES, OpenIdSettings, Step,
    read_settings,
};
use crate::problem::Problem;
use playhead_db::console::{Changed, Directory, DirectoryKind, DirectoryRole, PrincipalKind, Store};
use playhead_model::{Role, WallTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

const MOST_NAME: usize = 60;
const MOST_SECRET: usize = 2000;
/// Most roles in one directory.
const MOST_ROLES: usize = 1000;

/// What works on directories.
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a Store,
    pub(crate) directories: &'a Directories,
    pub(crate) now: WallTime,
}

/// A directory to connect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDirectory {
    /// Its name, which stands before the names of its people: no backslash, at most 60 characters.
    #[schema(example = "Corp")]
    pub(crate) name: String,
    /// Whether it is used at once.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    /// Settings of an LDAP directory; either these or those of a provider.
    pub(crate) ldap: Option<LdapSettings>,
    /// Settings of an OpenID Connect provider.
    pub(crate) openid: Option<OpenIdSettings>,
    /// The password of the console's account, or the client's secret. No answer ever holds it.
    #[schema(format = Password)]
    pub(crate) secret: Option<String>,
}

/// A change of a directory. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectoryChange {
    /// The version that was read: when another one has changed it meanwhile, nothing happens.
    pub(crate) version: u64,
    /// Its name. Accounts are renamed with it.
    pub(crate) name: Option<String>,
    /// Whether it is used. Switched off, the sessions of its people end.
    pub(crate) enabled: Option<bool>,
    /// All settings of an LDAP directory.
    pub(crate) ldap: Option<LdapSettings>,
    /// All settings of a provider.
    pub(crate) openid: Option<OpenIdSettings>,
    /// Another secret; an empty one takes it away. Needed again where the settings name another server or account, since the old one
    /// was not meant for that.
    #[schema(format = Password)]
    pub(crate) secret: Option<String>,
}

/// What to try out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trial {
    /// The directory of which the secret is taken, where none is given and the settings name the same server and account.
    pub(crate) directory: Option<String>,
    /// Settings of an LDAP directory; without any, those of `directory`.
    pub(crate) ldap: Option<LdapSettings>,
    /// Settings of a provider.
    pub(crate) openid: Option<OpenIdSettings>,
    /// The secret.
    #[schema(format = Password)]
    pub(crate) secret: Option<String>,
    /// Somebody to look up, by the name that they sign in with.
    pub(crate) user: Option<String>,
    /// Their password, to try it. It is kept nowhere.
    #[schema(format = Password)]
    pub(crate) password: Option<String>,
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    /// `user` or `group`.
    #[schema(example = "group")]
    pub(crate) kind: String,
    /// What tells it from all others: of an LDAP directory the `subject` of a search; of a provider the group's name in the claim, or
    /// the user's `sub`.
    pub(crate) subject: String,
    /// What people call it.
    pub(crate) label: String,
    /// `full`, `privileged-player` or `read-only`.
    #[schema(example = "full")]
    pub(crate) role: String,
}

/// How a trial went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tried {
    /// Whether no step failed.
    pub(crate) works: bool,
    /// What was tried, in order. Of a directory with several servers each one is connected to.
    pub(crate) steps: Vec<Step>,
}

const fn yes() -> bool {
    true
}

impl Desk<'_> {
    /// Connects a directory.
    ///
    /// # Errors
    /// What will not do about it.
    pub(crate) async fn create(&self, new: NewDirectory) -> Result<Directory, Problem> {
        let name = settle_name(&new.name)?;
        let settings =
            one_of(new.ldap, new.openid)?.ok_or_else(|| bad("Give settings, in `ldap` or `openid`."))?;
        let settings = settings.settle().map_err(Problem::bad_request)?;
        if self.store.directories().await?.len() >= MOST_DIRECTORIES {
            return Err(Problem::conflict(format!(
                "There are {MOST_DIRECTORIES} directories, which is the most."
            )));
        }
        let id = Uuid::now_v7().to_string();
        let secret = self.sealed(&id, new.secret.as_deref())?;
        if needs_secret(&settings) && secret.is_none() {
            return Err(bad("Give the password of the console's account."));
        }
        let directory = Directory {
            id,
            name,
            kind: kind_of(&settings),
            enabled: new.enabled,
            settings: to_text(&settings),
            secret,
            version: 1,
            created_at: self.now,
            changed_at: self.now,
        };
        if self.store.create_directory(&directory).await? {
            Ok(directory)
        } else {
            Err(taken(&directory.name))
        }
    }

    /// Changes a directory.
    ///
    /// # Errors
    /// What will not do about it.
    pub(crate) async fn change(&self, id: &str, change: DirectoryChange) -> Result<Directory, Problem> {
        let mut directory = self.named(id).await?;
        let before = read_settings(&directory).ok();
        if let Some(name) = change.name {
            directory.name = settle_name(&name)?;
        }
        if let Some(enabled) = change.enabled {
            directory.enabled = enabled;
        }
        let (mut elsewhere, mut asks_else) = (false, false);
        if let Some(settings) = one_of(change.ldap, change.openid)? {
            let settings = settings.settle().map_err(Problem::bad_request)?;
            if kind_of(&settings) != directory.kind {
                return Err(bad("A directory cannot become one of another kind: connect a new one."));
            }
            elsewhere = before.as_ref().is_none_or(|before| !same_place(before, &settings));
            asks_else = before.is_none_or(|before| before != settings);
            directory.settings = to_text(&settings);
        }
        match change.secret {
            Some(secret) => directory.secret = self.sealed(id, Some(&secret))?,
            None if elsewhere && directory.secret.is_some() => {
                return Err(bad(
                    "The settings name another server or account: give the secret again, it was not meant for that.",
                ));
            }
            None => {}
        }
        if read_settings(&directory).is_ok_and(|settings| needs_secret(&settings))
            && directory.secret.is_none()
        {
            return Err(bad("Give the password of the console's account."));
        }
        directory.version = change.version;
        directory.changed_at = self.now;
        match self.store.change_directory(&directory).await? {
            Changed::Done => {}
            Changed::Gone => return Err(unknown()),
            Changed::NameTaken => return Err(taken(&directory.name)),
            Changed::Meanwhile(version) => {
                return Err(Problem::conflict(format!(
                    "The directory was changed meanwhile: its version is {version}, not {}. Load it again.",
                    change.version
                )));
            }
        }
        self.directories.forget(id);
        if asks_else {
            // What it answered may be of another directory, or of others than are users now.
            self.store.forget_answers(id).await?;
        }
        self.named(id).await
    }

    /// Removes a directory with its roles and accounts. Gives it, and the accounts' ids.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn remove(&self, id: &str) -> Result<(Directory, Vec<String>), Problem> {
        let directory = self.named(id).await?;
        let accounts = self.store.remove_directory(id).await?.ok_or_else(unknown)?;
        self.directories.forget(id);
        Ok((directory, accounts))
    }

    /// Tries a directory out, as it is or as it would be.
    ///
    /// # Errors
    /// What will not do about the settings.
    pub(crate) async fn try_out(&self, trial: Trial, redirect: &str) -> Result<Tried, Problem> {
        let kept = match &trial.directory {
            Some(id) => Some(self.named(id).await?),
            None => None,
        };
        let settings_kept = kept.as_ref().map(read_settings).transpose().map_err(|error| unusable(&error))?;
        let (settings, same) = match one_of(trial.ldap, trial.openid)? {
            Some(settings) => {
                let settings = settings.settle().map_err(Problem::bad_request)?;
                let same = settings_kept.is_some_and(|kept| same_place(&kept, &settings));
                (settings, same)
            }
            None => (settings_kept.ok_or_else(|| bad("Give settings, in `ldap` or `openid`."))?, true),
        };
        let secret = match (trial.secret.filter(|secret| !secret.is_empty()), &kept) {
            (Some(secret), _) => Some(secret),
            (None, Some(kept)) if same => {
                self.directories.secret_of(kept).map_err(|error| Problem::conflict(error.to_string()))?
            }
            _ => None,
        };
        if needs_secret(&settings) && secret.is_none() {
            return Err(bad(
                "Give the password of the console's account: the one kept was not meant for this server and account.",
            ));
        }
        let user = trial.user.as_deref().map(str::trim).filter(|user| !user.is_empty());
        let password = trial.password.as_deref().filter(|password| !password.is_empty());
        let steps = self.directories.probe(settings, secret, user, password, redirect).await;
        let steps = steps.map_err(|error| unusable(&error))?;
        let works = steps.iter().all(|step| step.verdict != super::Verdict::Failed);
        Ok(Tried { works: works && steps.iter().any(|step| step.verdict == super::Verdict::Ok), steps })
    }

    /// Gives a role to a user or group of a directory.
    ///
    /// # Errors
    /// What will not do about it.
    pub(crate) async fn give(&self, id: &str, new: NewRole, by: &str) -> Result<DirectoryRole, Problem> {
        let directory = self.named(id).await?;
        let kind: PrincipalKind =
            new.kind.parse().map_err(|error| bad(format!("The kind is not good: {error}.")))?;
        let role: Role = new.role.parse().map_err(|error| bad(format!("The role is not good: {error}.")))?;
        let subject = new.subject.trim();
        let label = new.label.trim();
        for (text, what, most) in [(subject, "subject", 2000), (label, "label", 256)] {
            if text.is_empty() || text.len() > most || text.contains(char::is_control) {
                return Err(bad(format!(
                    "The {what} must have 1 to {most} bytes and no control characters."
                )));
            }
        }
        if self.store.directory_roles(id).await?.len() >= MOST_ROLES {
            return Err(Problem::conflict(format!(
                "The directory has {MOST_ROLES} roles, which is the most."
            )));
        }
        let new = DirectoryRole {
            id: Uuid::now_v7().to_string(),
            directory: directory.id,
            kind,
            subject: subject.to_owned(),
            label: label.to_owned(),
            role,
            made_by: by.to_owned(),
            created_at: self.now,
        };
        Ok(self.store.give_directory_role(&new).await?)
    }

    /// The directory of this id.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn named(&self, id: &str) -> Result<Directory, Problem> {
        self.store.directory(id).await?.ok_or_else(unknown)
    }

    fn sealed(&self, id: &str, secret: Option<&str>) -> Result<Option<String>, Problem> {
        let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { return Ok(None) };
        if secret.len() > MOST_SECRET {
            return Err(bad(format!("The secret must have at most {MOST_SECRET} bytes.")));
        }
        self.directories.seal(id, secret).map(Some).map_err(|error| Problem::from_error(&error))
    }
}

fn bad(text: impl Into<String>) -> Problem {
    Problem::bad_request(text)
}

fn unknown() -> Problem {
    Problem::not_found("There is no such directory. GET /api/v1/directories lists those there are.")
}

fn taken(name: &str) -> Problem {
    Problem::conflict(format!("Another directory is called “{name}”."))
}

fn unusable(error: &DirectoryError) -> Problem {
    Problem::conflict(super::ldap::sentence(&error.to_string()))
}

fn settle_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let good = (1..=MOST_NAME).contains(&name.chars().count());
    if good && !name.contains(['\\', '/']) && !name.contains(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err(bad(format!("A directory's name has 1 to {MOST_NAME} characters and no slashes.")))
    }
}

fn one_of(
    ldap: Option<LdapSettings>,
    openid: Option<OpenIdSettings>,
) -> Result<Option<DirectorySettings>, Problem> {
    match (ldap, openid) {
        (Some(ldap), None) => Ok(Some(DirectorySettings::Ldap(ldap))),
        (None, Some(openid)) => Ok(Some(DirectorySettings::OpenId(openid))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(bad("Give settings either in `ldap` or in `openid`.")),
    }
}

fn kind_of(settings: &DirectorySettings) -> DirectoryKind {
    match settings {
        DirectorySettings::Ldap(_) => DirectoryKind::Ldap,
        DirectorySettings::OpenId(_) => DirectoryKind::OpenId,
    }
}

fn to_text(settings: &DirectorySettings) -> String {
    // Structs of texts and numbers always serialise.
    match settings {
        DirectorySettings::Ldap(settings) => serde_json::to_string(settings).unwrap_or_default(),
        DirectorySettings::OpenId(settings) => serde_json::to_string(settings).unwrap_or_default(),
    }
}

fn needs_secret(settings: &DirectorySettings) -> bool {
    matches!(settings, DirectorySettings::Ldap(settings) if !settings.bind_dn.is_empty())
}

/// Whether a secret for one of these goes nowhere else with the other.
fn same_place(a: &DirectorySettings, b: &DirectorySettings) -> bool {
    match (a, b) {
        (DirectorySettings::Ldap(a), DirectorySettings::Ldap(b)) => {
            (&a.servers, &a.bind_dn, &a.authority, a.plain) == (&b.servers, &b.bind_dn, &b.authority, b.plain)
        }
        (DirectorySettings::OpenId(a), DirectorySettings::OpenId(b)) => {
            (&a.issuer, &a.client_id, &a.authority) == (&b.issuer, &b.client_id, &b.authority)
        }
        _ => false,
    }
}
