//! Directories: where users and groups are looked up, and by which people sign in.
//!
//! A directory that is down takes nothing with it: what was seen before is remembered and marked as such, sessions go on with the rights
//! found last, and local accounts stay a way in.

mod admin;
mod check;
mod entering;
mod ldap;
pub(crate) mod manage;
mod memory;
mod openid;
mod rights;
mod secret;
mod settings;
#[cfg(test)]
mod tests;

pub use admin::{DirectoryAdmin, DirectoryReport, StepReport, TestReport};
pub(crate) use check::keep_checking;
pub(crate) use entering::{
    Refusal, Returned, back, by_openid, by_password, directory_of, farewell, way_out, way_to_openid,
};
pub(crate) use ldap::{Step, Steps, Verdict};
pub(crate) use memory::{Searched, groups as groups_of, search};
pub(crate) use openid::{Attempt, MOST_AGE, escaped};
pub(crate) use rights::settle as settle_rights;
pub(crate) use secret::SecretError;
pub(crate) use settings::{DirectorySettings, LdapSettings, OpenIdSettings};

use ldap::{Ldap, LdapError};
use memory::Memory;
use openid::{OpenIdError, Provider};
use playhead_db::console::{Directory, DirectoryKind, PrincipalKind};
use secret::Keeper;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Most directories of a console.
pub(crate) const MOST_DIRECTORIES: usize = 50;
/// Longest time for trying a directory out: less than a request may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(25);

/// A user or a group of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Which of both.
    pub(crate) kind: PrincipalKind,
    /// What it is called by programs.
    pub(crate) name: String,
    /// What people call it.
    pub(crate) label: String,
    /// What else tells people who it is.
    pub(crate) detail: Option<String>,
    /// Name of its entry.
    pub(crate) dn: String,
    /// What tells it from all others of the directory, for good.
    pub(crate) subject: String,
}

/// What the console needs for its directories.
pub(crate) struct Directories {
    keeper: Keeper,
    memory: Memory,
    /// Providers by directory, each with the version of the directory that it was made from.
    providers: Mutex<HashMap<String, (u64, Arc<Provider>)>>,
    /// LDAP directories likewise, each with which of its servers answers.
    ldaps: Mutex<HashMap<String, (u64, Arc<Ldap>)>>,
}

/// Why a directory cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// LDAP.
    #[error(transparent)]
    Ldap(#[from] LdapError),
    /// OpenID Connect.
    #[error(transparent)]
    OpenId(#[from] OpenIdError),
    /// The secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The settings in the database cannot be read.
    #[error("the settings of the directory cannot be read: {0}; enter them again")]
    Settings(String),
    /// Another kind of directory than is needed.
    #[error("expected an {expected} directory")]
    Kind { expected: &'static str },
}

impl Directories {
    /// Gets ready, with the key of the secrets in the console's data folder.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub(crate) fn open(data: &Path) -> Result<Self, SecretError> {
        Ok(Self {
            keeper: Keeper::open(data)?,
            memory: Memory::default(),
            providers: Mutex::default(),
            ldaps: Mutex::default(),
        })
    }

    /// Encrypts what the console proves itself with at a directory.
    ///
    /// # Errors
    /// There are no random bytes.
    pub(crate) fn seal(&self, directory: &str, secret: &str) -> Result<String, SecretError> {
        self.keeper.seal(directory, secret)
    }

    /// Which directories failed a moment ago.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Forgets that a directory failed, and what its provider said of itself.
    pub(crate) fn forget(&self, directory: &str) {
        self.memory.forget(directory);
        self.providers.lock().unwrap_or_else(PoisonError::into_inner).remove(directory);
        self.ldaps.lock().unwrap_or_else(PoisonError::into_inner).remove(directory);
    }

    fn secret(&self, directory: &Directory) -> Result<Option<String>, SecretError> {
        let sealed = directory.secret.as_deref();
        sealed.map(|sealed| self.keeper.open_secret(&directory.id, sealed)).transpose()
    }

    /// An LDAP directory, ready to be asked.
    ///
    /// # Errors
    /// Its settings or secret cannot be used, or it is of the other kind.
    fn ldap(&self, directory: &Directory) -> Result<Arc<Ldap>, DirectoryError> {
        kept(&self.ldaps, directory, || {
            let DirectorySettings::Ldap(settings) = read_settings(directory)? else {
                return Err(DirectoryError::Kind { expected: "LDAP" });
            };
            Ok(Ldap::new(settings, self.secret(directory)?.unwrap_or_default())?)
        })
    }

    /// An OpenID Connect provider, with what is known of it already.
    ///
    /// # Errors
    /// Its settings or secret cannot be used, or it is of the other kind.
    fn provider(&self, directory: &Directory) -> Result<Arc<Provider>, DirectoryError> {
        kept(&self.providers, directory, || {
            let DirectorySettings::OpenId(settings) = read_settings(directory)? else {
                return Err(DirectoryError::Kind { expected: "OpenID Connect" });
            };
            Ok(Provider::new(settings, self.secret(directory)?)?)
        })
    }

    /// Tries a directory out step by step, with somebody's name and password where they are given.
    ///
    /// # Errors
    /// Its settings or secret cannot be used.
    pub(crate) async fn probe(
        &self,
        settings: DirectorySettings,
        secret: Option<String>,
        login: Option<&str>,
        password: Option<&str>,
        redirect: &str,
    ) -> Result<Vec<Step>, DirectoryError> {
        let steps = async {
            Ok::<_, DirectoryError>(match settings {
                DirectorySettings::Ldap(settings) => {
                    Ldap::new(settings, secret.unwrap_or_default())?.probe(login, password).await
                }
                DirectorySettings::OpenId(settings) => Provider::new(settings, secret)?.probe(redirect).await,
            })
        };
        match tokio::time::timeout(PROBE_PATIENCE, steps).await {
            Ok(steps) => steps,
            Err(_) => {
                let mut steps = Steps::new();
                let text = format!(
                    "The directory did not get done with all steps within {} s.",
                    PROBE_PATIENCE.as_secs()
                );
                steps.add("connect", Verdict::Failed, text);
                Ok(steps.steps)
            }
        }
    }

    /// The secret of a directory that is there already, for trying it out.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn secret_of(&self, directory: &Directory) -> Result<Option<String>, SecretError> {
        self.secret(directory)
    }
}

/// What was made from a directory's present version, made where there is none yet.
fn kept<T>(
    all: &Mutex<HashMap<String, (u64, Arc<T>)>>,
    directory: &Directory,
    make: impl FnOnce() -> Result<T, DirectoryError>,
) -> Result<Arc<T>, DirectoryError> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((version, made)) = all.get(&directory.id)
        && *version == directory.version
    {
        return Ok(Arc::clone(made));
    }
    let made = Arc::new(make()?);
    // No more than there may be directories, but for some that were removed at another console.
    if all.len() >= 2 * MOST_DIRECTORIES {
        all.clear();
    }
    all.insert(directory.id.clone(), (directory.version, Arc::clone(&made)));
    Ok(made)
}

/// A directory's settings, as they stand in the database.
///
/// # Errors
/// They cannot be read.
pub(crate) fn read_settings(directory: &Directory) -> Result<DirectorySettings, DirectoryError> {
    let unreadable = |error: serde_json::Error| DirectoryError::Settings(error.to_string());
    Ok(match directory.kind {
        DirectoryKind::Ldap => {
            DirectorySettings::Ldap(serde_json::from_str(&directory.settings).map_err(unreadable)?)
        }
        DirectoryKind::OpenId => {
            DirectorySettings::OpenId(serde_json::from_str(&directory.settings).map_err(unreadable)?)
        }
    })
}
