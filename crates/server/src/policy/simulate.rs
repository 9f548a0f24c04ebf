//! What a policy would do with a session, and why.

use super::report::missing;
use crate::asked::AskError;
use playhead_db::site::Store;
use playhead_model::{
    SessionId,
    policy::{
        Action, Engine, Item, Policy, Reason, RuleOptions, SYSTEM_POLICIES, SessionFacts, SystemPolicy,
    },
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked: what would be done with a session, made up or running, by a policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// A session that is made up.
    pub facts: Option<SimulationFacts>,
    /// A session that the site knows.
    pub session: Option<SessionId>,
    /// The policy; the active one where neither this nor a draft is given.
    pub policy: Option<String>,
    /// A policy that is not kept yet.
    pub draft: Option<Policy>,
}

/// What is known of a session that is made up. A word that means nothing is refused, or the answer would be for another question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationFacts {
    /// The user's names.
    pub users: Vec<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// The published application; `desktop` when left out.
    pub application: Option<String>,
    /// The host's delivery groups.
    pub delivery_groups: Vec<String>,
    /// The session host.
    pub host: String,
    /// Address of the user's own machine.
    pub address: Option<IpAddr>,
    /// Tags of how the session was reached.
    pub tags: Vec<String>,
}

/// What would be done, and why.
#[derive(Debug, Clone, Serialize)]
pub struct SimulationReport {
    /// What was asked with.
    pub facts: SessionFacts,
    /// The policy that was asked.
    pub policy: NamedPolicy,
    /// What would be done.
    pub action: Action,
    /// And how.
    pub options: RuleOptions,
    /// The rule that decides; `None` where none fits, and for one of the system's policies.
    pub rule: Option<NamedRule>,
    /// What each rule says, in their order.
    pub rules: Vec<RuleReport>,
}

/// A policy.
#[derive(Debug, Clone, Serialize)]
pub struct NamedPolicy {
    /// Its id; `None` for a draft.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
}

/// A rule.
#[derive(Debug, Clone, Serialize)]
pub struct NamedRule {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
}

/// What a rule says of the session.
#[derive(Debug, Clone, Serialize)]
pub struct RuleReport {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What it would do.
    pub action: Action,
    /// Whether the session is in its scope.
    pub fits: bool,
    /// Whether it decides.
    pub decides: bool,
    /// Why it fits or does not.
    pub items: Vec<ItemReport>,
}

/// How an item of a rule's scope and the session belong together.
#[derive(Debug, Clone, Serialize)]
pub struct ItemReport {
    /// `people`, `applications`, `machines`, `addresses` or `tags`.
    pub item: Item,
    /// `not-asked`, `fits`, `differs` or `unknown`.
    pub is: &'static str,
    /// The entry that fits.
    pub entry: Option<String>,
}

impl From<SimulationFacts> for SessionFacts {
    fn from(facts: SimulationFacts) -> Self {
        Self {
            users: facts.users,
            groups: facts.groups,
            application: facts.application.unwrap_or_else(|| "desktop".into()),
            delivery_groups: facts.delivery_groups,
            host: facts.host,
            address: facts.address,
            tags: facts.tags,
        }
    }
}

/// Which policy is asked.
enum Asked {
    Own(Option<String>, Policy),
    System(&'static SystemPolicy),
}

/// Asks a policy what it would do.
///
/// # Errors
/// Neither or both kinds of session or policy are given; a draft that makes no sense; there is no such policy or session; the database's.
pub(crate) async fn simulate(store: &Store, asked: Simulation) -> Result<SimulationReport, AskError> {
    let Simulation { facts, session, policy, draft } = asked;
    let facts = match (facts, session) {
        (Some(facts), None) => facts.into(),
        (None, Some(id)) => {
            let row = store.session(id).await?;
            row.ok_or_else(|| AskError::Missing(format!("there is no session {id} at this site")))?.info.facts
        }
        _ => {
            return Err(AskError::Invalid(
                "expected either 'facts' of a session or the id of a 'session'".into(),
            ));
        }
    };
    let policy = match (policy, draft) {
        (Some(_), Some(_)) => {
            return Err(AskError::Invalid("expected a 'policy' or a 'draft', not both".into()));
        }
        (None, Some(draft)) => {
            draft.check().map_err(AskError::invalid)?;
            Asked::Own(None, draft)
        }
        (Some(id), None) => match SystemPolicy::by_id(&id) {
            Some(system) => Asked::System(system),
            None => {
                let row = store.policy(&id).await?.ok_or_else(|| missing(&id))?;
                Asked::Own(Some(id), row.policy)
            }
        },
        (None, None) => {
            let active = store.active_policy().await?;
            match active.policy {
                Some(policy) => Asked::Own(Some(active.id), policy),
                None => Asked::System(SystemPolicy::by_id(&active.id).unwrap_or(&SYSTEM_POLICIES[0])),
            }
        }
    };
    Ok(answer(facts, policy))
}

fn answer(facts: SessionFacts, asked: Asked) -> SimulationReport {
    let (engine, id, name, policy) = match asked {
        Asked::System(system) => {
            (Engine::system(system), Some(system.id.to_owned()), system.name.to_owned(), None)
        }
        Asked::Own(id, policy) => (Engine::new(&policy), id, policy.name.clone(), Some(policy)),
    };
    let decision = engine.decide(&facts);
    let name_of = |index: usize| policy.as_ref().map_or_else(String::new, |p| p.rules[index].name.clone());
    let rules = policy.as_ref().map(|policy| rules(policy, &facts)).unwrap_or_default();
    SimulationReport {
        policy: NamedPolicy { id, name },
        action: decision.action,
        options: decision.options.clone(),
        rule: decision.rule.map(|index| NamedRule { index, name: name_of(index) }),
        rules,
        facts,
    }
}

fn rules(policy: &Policy, facts: &SessionFacts) -> Vec<RuleReport> {
    let verdicts = policy.explain(facts).into_iter().zip(&policy.rules);
    let report = verdicts.map(|(verdict, rule)| RuleReport {
        index: verdict.rule,
        name: rule.name.clone(),
        action: rule.action,
        fits: verdict.fits,
        decides: verdict.decides,
        items: verdict.items.into_iter().map(|(item, reason)| item_report(item, reason)).collect(),
    });
    report.collect()
}

fn item_report(item: Item, reason: Reason) -> ItemReport {
    let (is, entry) = match reason {
        Reason::NotAsked => ("not-asked", None),
        Reason::Fits(entry) => ("fits", Some(entry)),
        Reason::Differs => ("differs", None),
        Reason::Unknown => ("unknown", None),
    };
    ItemReport { item, is, entry }
}
