//! Policies as people see them: the list, one with its rules, versions and what differs between them.

use crate::asked::AskError;
use playhead_db::site::{ActivePolicy, PolicyRow, Revision, Store};
use playhead_model::{
    WallTime,
    policy::{Action, Policy, PolicyDiff, RuleOptions, SYSTEM_POLICIES, SystemPolicy},
};
use serde::Serialize;

/// Most versions and revisions that are shown.
const MOST: u32 = 1_000;

/// All policies of a site.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyList {
    /// Those of the system, then those that people made, by name.
    pub items: Vec<PolicySummary>,
    /// Which one decides.
    pub active: ActiveReport,
}

/// A policy in the list.
#[derive(Debug, Clone, Serialize)]
pub struct PolicySummary {
    /// Its id: a word for one of the system's, otherwise a UUID.
    pub id: String,
    /// `system` or `custom`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it decides.
    pub active: bool,
    /// How many rules it has.
    pub rules: usize,
    /// Its newest version; `None` for one of the system's, as are the two below.
    pub version: Option<u32>,
    /// When that was made.
    pub changed_at: Option<WallTime>,
    /// By whom.
    pub changed_by: Option<String>,
}

/// Which policy decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveReport {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Grows with each change of what is active, and of what users are told.
    pub revision: u64,
    /// Its version; `None` for one of the system's.
    pub version: Option<u32>,
    /// Since when this revision is active; `None` where nobody has ever chosen.
    pub since: Option<WallTime>,
    /// Who made it so.
    pub by: Option<String>,
}

/// One policy in full.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyDetail {
    /// Its id.
    pub id: String,
    /// `system` or `custom`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it decides.
    pub active: bool,
    /// Its newest version; `None` for one of the system's, as are the two below.
    pub version: Option<u32>,
    /// When that was made.
    pub changed_at: Option<WallTime>,
    /// By whom.
    pub changed_by: Option<String>,
    /// What it says; `None` for one of the system's.
    pub policy: Option<Policy>,
    /// What one of the system's does with every session.
    pub action: Option<Action>,
    /// And how.
    pub options: Option<RuleOptions>,
}

/// The versions of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct VersionsReport {
    /// The newest first.
    pub items: Vec<VersionReport>,
}

/// A version of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct VersionReport {
    /// From 1.
    pub version: u32,
    /// The policy's name in it.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
    /// When it was made.
    pub changed_at: WallTime,
    /// By whom.
    pub changed_by: String,
}

/// A version of a policy in full.
#[derive(Debug, Clone, Serialize)]
pub struct VersionDetail {
    /// From 1.
    pub version: u32,
    /// When it was made.
    pub changed_at: WallTime,
    /// By whom.
    pub changed_by: String,
    /// What it says.
    pub policy: Policy,
}

/// What differs between two versions of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The version that it starts from.
    pub from: u32,
    /// The version that it leads to.
    pub to: u32,
    /// What differs.
    #[serde(flatten)]
    pub diff: PolicyDiff,
}

/// What was active when.
#[derive(Debug, Clone, Serialize)]
pub struct HistoryReport {
    /// The newest first.
    pub items: Vec<RevisionReport>,
}

/// What was active from some time on.
#[derive(Debug, Clone, Serialize)]
pub struct RevisionReport {
    /// Its number.
    pub revision: u64,
    /// The policy's id.
    pub policy: String,
    /// The policy's name then.
    pub name: String,
    /// The policy's version; `None` for one of the system's.
    pub version: Option<u32>,
    /// From when on.
    pub made_at: WallTime,
    /// Who made it so.
    pub made_by: String,
}

impl ActiveReport {
    pub(super) fn new(active: &ActivePolicy) -> Self {
        let name = match (&active.policy, SystemPolicy::by_id(&active.id)) {
            (Some(policy), _) => policy.name.clone(),
            (None, Some(system)) => system.name.to_owned(),
            (None, None) => active.id.clone(),
        };
        let (since, by) = active.made.clone().unzip();
        Self {
            id: active.id.clone(),
            name,
            revision: active.revision,
            version: active.policy.is_some().then_some(active.version),
            since,
            by,
        }
    }
}

impl PolicyDetail {
    pub(super) fn new(row: PolicyRow, active: &str) -> Self {
        Self {
            active: row.id == active,
            id: row.id,
            kind: "custom",
            name: row.policy.name.clone(),
            description: row.policy.description.clone(),
            version: Some(row.version),
            changed_at: Some(row.changed_at),
            changed_by: Some(row.changed_by),
            policy: Some(row.policy),
            action: None,
            options: None,
        }
    }

    fn system(system: &SystemPolicy, active: &str) -> Self {
        Self {
            id: system.id.to_owned(),
            kind: "system",
            name: system.name.to_owned(),
            description: system.description.to_owned(),
            active: system.id == active,
            version: None,
            changed_at: None,
            changed_by: None,
            policy: None,
            action: Some(system.action),
            options: Some(system.options()),
        }
    }
}

/// All policies.
///
/// # Errors
/// The database's.
pub(crate) async fn list(store: &Store) -> Result<PolicyList, AskError> {
    let active = ActiveReport::new(&store.active_policy().await?);
    let system = SYSTEM_POLICIES.iter().map(|system| PolicySummary {
        id: system.id.to_owned(),
        kind: "system",
        name: system.name.to_owned(),
        description: system.description.to_owned(),
        active: system.id == active.id,
        rules: 0,
        version: None,
        changed_at: None,
        changed_by: None,
    });
    let custom = store.policies().await?.into_iter().map(|row| PolicySummary {
        active: row.id == active.id,
        id: row.id,
        kind: "custom",
        name: row.policy.name,
        description: row.policy.description,
        rules: row.policy.rules.len(),
        version: Some(row.version),
        changed_at: Some(row.changed_at),
        changed_by: Some(row.changed_by),
    });
    Ok(PolicyList { items: system.chain(custom).collect(), active })
}

/// One policy.
///
/// # Errors
/// There is none with this id; the database's.
pub(crate) async fn one(store: &Store, id: &str) -> Result<PolicyDetail, AskError> {
    let active = store.active_policy().await?.id;
    if let Some(system) = SystemPolicy::by_id(id) {
        return Ok(PolicyDetail::system(system, &active));
    }
    let row = store.policy(id).await?.ok_or_else(|| missing(id))?;
    Ok(PolicyDetail::new(row, &active))
}

/// The versions of a policy, also of one that is removed.
///
/// # Errors
/// There is none with this id; the database's.
pub(crate) async fn versions(store: &Store, id: &str) -> Result<VersionsReport, AskError> {
    let rows = store.policy_versions(id, MOST).await?;
    if rows.is_empty() {
        return Err(match SystemPolicy::by_id(id) {
            Some(system) => AskError::Missing(format!(
                "'{}' is one of the system's policies: it has no versions, since nobody can change it",
                system.name
            )),
            None => missing(id),
        });
    }
    let items = rows.into_iter().map(|row| VersionReport {
        version: row.version,
        name: row.policy.name,
        rules: row.policy.rules.len(),
        changed_at: row.changed_at,
        changed_by: row.changed_by,
    });
    Ok(VersionsReport { items: items.collect() })
}

/// One version of a policy, also of one that is removed.
///
/// # Errors
/// There is none with this id, or no such version of it; the database's.
pub(crate) async fn version(store: &Store, id: &str, version: u32) -> Result<VersionDetail, AskError> {
    let row = store.policy_version(id, version).await?;
    let row = row.ok_or_else(|| {
        AskError::Missing(format!("there is no version {version} of a policy with the id '{}'", cut(id)))
    })?;
    let PolicyRow { version, policy, changed_at, changed_by, .. } = row;
    Ok(VersionDetail { version, changed_at, changed_by, policy })
}

/// What differs between two versions of a policy.
///
/// # Errors
/// There is no such policy or version; the database's.
pub(crate) async fn diff(store: &Store, id: &str, from: u32, to: u32) -> Result<DiffReport, AskError> {
    let before = version(store, id, from).await?;
    let after = version(store, id, to).await?;
    Ok(DiffReport { from, to, diff: before.policy.diff(&after.policy) })
}

/// What was active when.
///
/// # Errors
/// The database's.
pub(crate) async fn history(store: &Store) -> Result<HistoryReport, AskError> {
    let revision = |row: Revision| RevisionReport {
        revision: row.revision,
        policy: row.id,
        name: row.name,
        version: Some(row.version).filter(|version| *version > 0),
        made_at: row.made_at,
        made_by: row.made_by,
    };
    let rows = store.policy_revisions(MOST).await?;
    Ok(HistoryReport { items: rows.into_iter().map(revision).collect() })
}

pub(super) fn missing(id: &str) -> AskError {
    AskError::Missing(format!("there is no policy with the id '{}' at this site", cut(id)))
}

/// Somebody else's text, short enough for a message.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
