//! Policies for whoever works on a server's machine, whether the server runs or not. Running servers see a change within a second.

use super::{
    ActiveReport, DiffReport, HistoryReport, PolicyDetail, PolicyList, Simulation, SimulationReport,
    VersionDetail, VersionsReport, change, report, simulate,
};
use crate::{ServerError, asked::AskError, folder};
use playhead_db::site::Store;
use playhead_model::{Notice, policy::Policy};
use std::path::Path;

/// The policies of a site.
pub struct PolicyAdmin {
    store: Store,
    by: String,
}

impl PolicyAdmin {
    /// Opens them. `database` as the server is told it; changes are made in the name of `by`.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>, by: &str) -> Result<Self, ServerError> {
        Ok(Self { store: folder::open_store(data, database).await?, by: by.to_owned() })
    }

    /// All policies.
    ///
    /// # Errors
    /// The database's.
    pub async fn list(&self) -> Result<PolicyList, AskError> {
        report::list(&self.store).await
    }

    /// One policy.
    ///
    /// # Errors
    /// There is none with this id; the database's.
    pub async fn one(&self, id: &str) -> Result<PolicyDetail, AskError> {
        report::one(&self.store, id).await
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// It makes no sense; another one has its name; the database's.
    pub async fn create(&self, policy: Policy) -> Result<PolicyDetail, AskError> {
        change::create(&self.store, policy, &self.by).await
    }

    /// Makes a new version of a policy out of the one that was read.
    ///
    /// # Errors
    /// It makes no sense; somebody was quicker; another one has its name; there is none with this id; the database's.
    pub async fn change(&self, id: &str, version: u32, policy: Policy) -> Result<PolicyDetail, AskError> {
        change(&self.store, id, version, policy, &self.by).await
    }

    /// Makes a policy with the rules of another one.
    ///
    /// # Errors
    /// A name that is taken or makes no sense; there is none with this id; the database's.
    pub async fn duplicate(&self, id: &str, name: Option<String>) -> Result<PolicyDetail, AskError> {
        change::duplicate(&self.store, id, name, &self.by).await
    }

    /// Makes a policy the one that decides.
    ///
    /// # Errors
    /// There is none with this id; the database's.
    pub async fn activate(&self, id: &str) -> Result<ActiveReport, AskError> {
        change::activate(&self.store, id, &self.by).await
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// It is active; there is none with this id; the database's.
    pub async fn remove(&self, id: &str) -> Result<(), AskError> {
        change::remove(&self.store, id, &self.by).await
    }

    /// The versions of a policy.
    ///
    /// # Errors
    /// There is none with this id; the database's.
    pub async fn versions(&self, id: &str) -> Result<VersionsReport, AskError> {
        report::versions(&self.store, id).await
    }

    /// One version of a policy.
    ///
    /// # Errors
    /// There is no such version; the database's.
    pub async fn version(&self, id: &str, version: u32) -> Result<VersionDetail, AskError> {
        report::version(&self.store, id, version).await
    }

    /// What differs between two versions of a policy.
    ///
    /// # Errors
    /// There is no such policy or version; the database's.
    pub async fn diff(&self, id: &str, from: u32, to: u32) -> Result<DiffReport, AskError> {
        report::diff(&self.store, id, from, to).await
    }

    /// What was active when.
    ///
    /// # Errors
    /// The database's.
    pub async fn history(&self) -> Result<HistoryReport, AskError> {
        report::history(&self.store).await
    }

    /// What a policy would do with a session.
    ///
    /// # Errors
    /// A question that makes no sense; there is no such policy or session; the database's.
    pub async fn simulate(&self, asked: Simulation) -> Result<SimulationReport, AskError> {
        simulate(&self.store, asked).await
    }

    /// What users are told.
    ///
    /// # Errors
    /// The database's.
    pub async fn notices(&self) -> Result<Vec<Notice>, AskError> {
        Ok(self.store.notices().await?)
    }

    /// Changes what users are told.
    ///
    /// # Errors
    /// A text or language that makes no sense; the database's.
    pub async fn set_notices(&self, notices: &[Notice]) -> Result<(), AskError> {
        change::set_notices(&self.store, notices, &self.by).await
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}
