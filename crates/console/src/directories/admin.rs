//! Directories from the command line, beside a console that runs or not.

use super::{
    Directories, DirectorySettings,
    manage::{Desk, NewDirectory, NewRole, Trial, Tried},
    read_settings,
};
use crate::{clock::Clock, console::ConsoleError, problem::Problem};
use playhead_db::console::{Directory, Store};
use serde::Serialize;
use std::path::Path;

/// Works on the directories of the console in a data folder.
pub struct DirectoryAdmin {
    store: Store,
    directories: Directories,
    clock: Clock,
    url: String,
}

/// A directory, as the command line tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirectoryReport {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `ldap` or `openid`.
    pub kind: &'static str,
    /// Whether it is used.
    pub enabled: bool,
    /// Where it is: servers, or the issuer.
    pub place: Vec<String>,
    /// How many roles were given in it.
    pub roles: usize,
    /// How many people have an account by it.
    pub accounts: usize,
    /// The address that a provider must allow people to come back to.
    pub redirect_uri: Option<String>,
}

/// A step of trying a directory out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Which one.
    pub name: &'static str,
    /// `ok`, `doubtful`, `failed` or `skipped`.
    pub verdict: String,
    /// What was found, or what is wrong and what to do.
    pub detail: String,
    /// How long it took, milliseconds.
    pub millis: u64,
}

/// How trying a directory out went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestReport {
    /// Whether no step failed.
    pub works: bool,
    /// The steps in order.
    pub steps: Vec<StepReport>,
}

impl DirectoryAdmin {
    /// Opens the console's database and the key of its directories' secrets. `url` is the console's address.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub async fn open(data: &Path, database: Option<&str>, url: &str) -> Result<Self, ConsoleError> {
        let directories = Directories::open(data)?;
        let database = database.map_or_else(|| crate::console::in_folder(data), str::to_owned);
        let store = Store::open(&database).await?;
        Ok(Self { store, directories, clock: Clock::system(), url: url.to_owned() })
    }

    /// All directories, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self) -> Result<Vec<DirectoryReport>, ConsoleError> {
        let mut reports = Vec::new();
        for directory in self.store.directories().await? {
            reports.push(self.report(directory).await?);
        }
        Ok(reports)
    }

    /// Connects a directory, described as the REST API describes it, with its secret if it has one.
    ///
    /// # Errors
    /// A description that will not do.
    pub async fn add(
        &self,
        mut description: serde_json::Value,
        secret: Option<String>,
    ) -> Result<DirectoryReport, ConsoleError> {
        if let (Some(object), Some(secret)) = (description.as_object_mut(), secret) {
            object.insert("secret".into(), secret.into());
        }
        let new: NewDirectory = serde_json::from_value(description).map_err(|error| {
            ConsoleError::Directory(format!("the description is not as expected: {error}"))
        })?;
        let made = self.desk().create(new).await.map_err(told)?;
        self.report(made).await
    }

    /// Tries a directory out, with somebody's name and password where they are given.
    ///
    /// # Errors
    /// There is no such directory, or its secret cannot be read.
    pub async fn test(
        &self,
        name: &str,
        user: Option<String>,
        password: Option<String>,
    ) -> Result<TestReport, ConsoleError> {
        let directory = self.find(name).await?;
        let id = Some(directory.id);
        let trial = Trial { directory: id, ldap: None, openid: None, secret: None, user, password };
        let Tried { works, steps } = self.desk().try_out(trial, &self.redirect()).await.map_err(told)?;
        let steps = steps.into_iter().map(|step| StepReport {
            name: step.name,
            verdict: step.verdict.as_str().into(),
            detail: step.detail,
            millis: step.millis,
        });
        Ok(TestReport { works, steps: steps.collect() })
    }

    /// Gives a role in a directory.
    ///
    /// # Errors
    /// There is no such directory, kind or role.
    pub async fn give(
        &self,
        name: &str,
        kind: &str,
        subject: &str,
        role: &str,
    ) -> Result<DirectoryReport, ConsoleError> {
        let directory = self.find(name).await?;
        let (subject, label) = self.subject(&directory, kind, subject).await?;
        let new = NewRole { kind: kind.into(), subject, label, role: role.into() };
        self.desk().give(&directory.id, new, "command line").await.map_err(told)?;
        self.report(directory).await
    }

    /// Removes a directory with the roles in it and the accounts of its people.
    ///
    /// # Errors
    /// There is no such directory.
    pub async fn remove(&self, name: &str) -> Result<DirectoryReport, ConsoleError> {
        let directory = self.find(name).await?;
        let report = self.report(directory.clone()).await?;
        self.desk().remove(&directory.id).await.map_err(told)?;
        Ok(report)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }

    fn desk(&self) -> Desk<'_> {
        Desk { store: &self.store, directories: &self.directories, now: self.clock.now() }
    }

    fn redirect(&self) -> String {
        super::entering::back_at(&self.url)
    }

    /// By its name or id.
    async fn find(&self, name: &str) -> Result<Directory, ConsoleError> {
        let all = self.store.directories().await?;
        let wanted = name.trim().to_lowercase();
        let found = all.into_iter().find(|entry| entry.id == wanted || entry.name.to_lowercase() == wanted);
        found.ok_or_else(|| {
            ConsoleError::Directory(format!(
                "there is no directory '{name}': `playhead directory list` shows them"
            ))
        })
    }

    /// What a role is given to: in an LDAP directory the one entry of this name; at a provider the text itself.
    async fn subject(
        &self,
        directory: &Directory,
        kind: &str,
        name: &str,
    ) -> Result<(String, String), ConsoleError> {
        let unusable = |error: &dyn std::error::Error| ConsoleError::Directory(error.to_string());
        let Ok(DirectorySettings::Ldap(_)) = read_settings(directory) else {
            return Ok((name.to_owned(), name.to_owned()));
        };
        let kind = kind.parse().map_err(|error: playhead_db::console::UnknownKind| unusable(&error))?;
        let ldap = self.directories.ldap(directory).map_err(|error| unusable(&error))?;
        let found = ldap.search(name, &[kind], 50).await.map_err(|error| unusable(&error))?;
        let same = |text: &str| text.to_lowercase() == name.trim().to_lowercase();
        let mut exact = found.principals.into_iter().filter(|one| same(&one.name) || same(&one.dn));
        match (exact.next(), exact.next()) {
            (Some(one), None) => Ok((one.subject, one.label)),
            (None, _) => Err(ConsoleError::Directory(format!(
                "the directory has no {} called '{name}'",
                kind.as_str()
            ))),
            _ => Err(ConsoleError::Directory(format!(
                "the directory has more than one {} called '{name}'",
                kind.as_str()
            ))),
        }
    }

    async fn report(&self, directory: Directory) -> Result<DirectoryReport, ConsoleError> {
        let (place, openid) = match read_settings(&directory) {
            Ok(DirectorySettings::Ldap(settings)) => (settings.servers, false),
            Ok(DirectorySettings::OpenId(settings)) => (vec![settings.issuer], true),
            Err(_) => (Vec::new(), false),
        };
        Ok(DirectoryReport {
            roles: self.store.directory_roles(&directory.id).await?.len(),
            accounts: self.store.directory_accounts(&directory.id).await?.len(),
            redirect_uri: openid.then(|| self.redirect()),
            id: directory.id,
            name: directory.name,
            kind: directory.kind.as_str(),
            enabled: directory.enabled,
            place,
        })
    }
}

fn told(problem: Problem) -> ConsoleError {
    ConsoleError::Directory(problem.detail().trim_end_matches('.').to_owned())
}
