//! Making, changing, activating and removing policies. Each is done altogether or not at all, and checked before.

use super::report::{self, ActiveReport, PolicyDetail};
use crate::{asked::AskError, clock};
use playhead_db::site::{PolicyChange, Store};
use playhead_model::{
    Notice,
    policy::{Policy, RuleScope, SystemPolicy},
};
use uuid::Uuid;

/// Most characters of a name.
const NAME: usize = 100;
/// How often a change is tried that another one comes before.
const TRIES: usize = 5;

/// Tries again while others write the same rows.
macro_rules! tried {
    ($act:expr) => {{
        let mut tries = 0;
        loop {
            tries += 1;
            match $act.await {
                Err(error) if error.is_conflict() && tries < TRIES => {}
                done => break done,
            }
        }
    }};
}

/// Makes a policy.
///
/// # Errors
/// It makes no sense; another one has its name; the database's.
pub(crate) async fn create(store: &Store, policy: Policy, by: &str) -> Result<PolicyDetail, AskError> {
    let policy = checked(policy)?;
    let id = Uuid::now_v7().to_string();
    made(&policy.name, tried!(store.add_policy(&id, &policy, by, clock::now()))?)?;
    tracing::info!(user = by, policy = id, name = policy.name, "recording policy made");
    report::one(store, &id).await
}

/// Makes a new version of a policy out of the one that the caller has read.
///
/// # Errors
/// It makes no sense; somebody was quicker; another one has its name; there is none with this id; the database's.
pub(crate) async fn change(
    store: &Store,
    id: &str,
    version: u32,
    policy: Policy,
    by: &str,
) -> Result<PolicyDetail, AskError> {
    own(id)?;
    let policy = checked(policy)?;
    match tried!(store.change_policy(id, version, &policy, by, clock::now()))? {
        PolicyChange::Newer(newest) => return Err(newer(store, id, version, newest).await?),
        PolicyChange::Missing => return Err(report::missing(id)),
        done => made(&policy.name, done)?,
    }
    tracing::info!(
        user = by,
        policy = id,
        name = policy.name,
        version = version + 1,
        "recording policy changed"
    );
    report::one(store, id).await
}

async fn newer(store: &Store, id: &str, read: u32, newest: u32) -> Result<AskError, AskError> {
    let made = match store.policy_version(id, newest).await? {
        Some(row) => format!("{} made version {newest} at {}", row.changed_by, row.changed_at),
        None => format!("the newest version is {newest}"),
    };
    Ok(AskError::Conflict(format!(
        "this policy was changed meanwhile: version {read} was read, and {made}; look at what differs between the two, and change \
         the newest one"
    )))
}

/// Makes a policy with the rules of another one; of one of the system's, with one rule for everyone that does the same.
///
/// # Errors
/// A name that is taken or makes no sense; there is none with this id; the database's.
pub(crate) async fn duplicate(
    store: &Store,
    id: &str,
    name: Option<String>,
    by: &str,
) -> Result<PolicyDetail, AskError> {
    let policy = match SystemPolicy::by_id(id) {
        Some(system) => system.as_rules(system.name.to_owned()),
        None => store.policy(id).await?.ok_or_else(|| report::missing(id))?.policy,
    };
    let name = match name {
        Some(name) => name,
        None => {
            let taken: Vec<String> =
                store.policies().await?.into_iter().map(|row| row.policy.name.to_lowercase()).collect();
            copied(&policy.name, |name| taken.contains(&name.to_lowercase()))
        }
    };
    create(store, Policy { name, ..policy }, by).await
}

/// A name for a copy.
fn copied(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut number = 1u32;
    loop {
        let end = if number == 1 { " (copy)".to_owned() } else { format!(" (copy {number})") };
        let start: String = name.chars().take(NAME - end.chars().count()).collect();
        let copy = format!("{}{end}", start.trim_end());
        if !is_taken(&copy) {
            return copy;
        }
        number += 1;
    }
}

/// Makes a policy the one that decides.
///
/// # Errors
/// There is none with this id; the database's.
pub(crate) async fn activate(store: &Store, id: &str, by: &str) -> Result<ActiveReport, AskError> {
    match tried!(store.activate_policy(id, by, clock::now()))? {
        PolicyChange::Made => {}
        _ => return Err(report::missing(id)),
    }
    let active = ActiveReport::new(&store.active_policy().await?);
    tracing::info!(user = by, policy = id, revision = active.revision, "recording policy activated");
    Ok(active)
}

/// Removes a policy. Its versions can still be looked at.
///
/// # Errors
/// It is active; there is none with this id; the database's.
pub(crate) async fn remove(store: &Store, id: &str, by: &str) -> Result<(), AskError> {
    own(id)?;
    match tried!(store.remove_policy(id, clock::now()))? {
        PolicyChange::Made => {
            tracing::info!(user = by, policy = id, "recording policy removed");
            Ok(())
        }
        PolicyChange::Active => {
            Err(AskError::Conflict("this policy is active: activate another one before it is deleted".into()))
        }
        _ => Err(report::missing(id)),
    }
}

/// Changes what users are told.
///
/// # Errors
/// A text or language that makes no sense; the database's.
pub(crate) async fn set_notices(store: &Store, notices: &[Notice], by: &str) -> Result<(), AskError> {
    Notice::check_all(notices).map_err(AskError::invalid)?;
    tried!(store.set_notices(notices, by, clock::now()))?;
    tracing::info!(user = by, languages = notices.len(), "what users are told was changed");
    Ok(())
}

/// The policy as it is kept, without blanks around names.
fn checked(mut policy: Policy) -> Result<Policy, AskError> {
    let trim = |text: &mut String| *text = text.trim().to_owned();
    trim(&mut policy.name);
    trim(&mut policy.description);
    for rule in &mut policy.rules {
        trim(&mut rule.name);
        trim(&mut rule.description);
        // Taken apart, so that a new list cannot be forgotten here.
        let RuleScope {
            everyone: _,
            users,
            groups,
            applications,
            delivery_groups,
            hosts,
            addresses: _,
            tags,
        } = &mut rule.scope;
        for list in [users, groups, applications, delivery_groups, hosts, tags] {
            list.iter_mut().for_each(trim);
        }
    }
    policy.check().map_err(AskError::invalid)?;
    Ok(policy)
}

/// Refuses what belongs to the system.
fn own(id: &str) -> Result<(), AskError> {
    match SystemPolicy::by_id(id) {
        Some(system) => Err(AskError::Conflict(format!(
            "'{}' is one of the system's policies, which cannot be changed or deleted: make a policy of your own",
            system.name
        ))),
        None => Ok(()),
    }
}

fn made(name: &str, done: PolicyChange) -> Result<(), AskError> {
    match done {
        PolicyChange::NameTaken => Err(AskError::Conflict(format!(
            "there is a policy named '{name}' already, in whatever letter case: choose another name"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_a_name_of_its_own() {
        assert_eq!(copied("Ours", |_| false), "Ours (copy)");
        assert_eq!(copied("Ours", |name| name == "Ours (copy)"), "Ours (copy 2)");
        let long = copied(&"ä".repeat(100), |name| !name.ends_with("(copy 10)"));
        assert_eq!(long.chars().count(), 100);
    }

    #[test]
    fn blanks_around_names_do_not_count() {
        let json = r#"{"name": " a ", "rules": [{"name": " r", "action": "record", "scope": {"users": [" ada "]}}]}"#;
        let policy = checked(serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!((policy.name.as_str(), policy.rules[0].name.as_str()), ("a", "r"));
        assert_eq!(policy.rules[0].scope.users, ["ada"]);
    }
}
