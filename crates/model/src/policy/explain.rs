//! Why a policy decides as it does, in full: for the simulator. Written without the engine's short cuts, and compared with it in tests.

use super::{Policy, Rule, SessionFacts, folded};
use serde::Serialize;

/// What a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Users and groups.
    People,
    /// Published applications and desktops.
    Applications,
    /// Hosts and delivery groups.
    Machines,
    /// Addresses of clients.
    Addresses,
    /// Access tags.
    Tags,
}

/// How an item of a rule's scope and a session belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "entry")]
pub enum Reason {
    /// The rule does not ask for it.
    NotAsked,
    /// The session fits this entry.
    Fits(String),
    /// It fits none.
    Differs,
    /// The rule asks, and of the session it is not known.
    Unknown,
}

/// What a rule says of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// Number of the rule in the policy.
    pub rule: usize,
    /// Why it fits or does not.
    pub items: Vec<(Item, Reason)>,
    /// Whether all items fit.
    pub fits: bool,
    /// Whether this rule decides: it fits, and none that does comes before it.
    pub decides: bool,
}

impl Policy {
    /// What every rule says of a session, in the order of the rules.
    pub fn explain(&self, facts: &SessionFacts) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> =
            self.rules.iter().enumerate().map(|(number, rule)| verdict(number, rule, facts)).collect();
        let fitting = verdicts.iter().filter(|verdict| verdict.fits).map(|verdict| verdict.rule);
        if let Some(decides) = fitting.min_by_key(|&number| (self.rules[number].action.priority(), number)) {
            verdicts[decides].decides = true;
        }
        verdicts
    }
}

fn verdict(rule: usize, of: &Rule, facts: &SessionFacts) -> Verdict {
    let scope = &of.scope;
    let one = std::slice::from_ref;
    let items = vec![
        (Item::People, names(&[(&scope.users, &facts.users), (&scope.groups, &facts.groups)])),
        (Item::Applications, names(&[(&scope.applications, one(&facts.application))])),
        (
            Item::Machines,
            names(&[(&scope.hosts, one(&facts.host)), (&scope.delivery_groups, &facts.delivery_groups)]),
        ),
        (Item::Addresses, addresses(of, facts)),
        (Item::Tags, names(&[(&scope.tags, &facts.tags)])),
    ];
    let fits = items.iter().all(|(_, reason)| matches!(reason, Reason::NotAsked | Reason::Fits(_)));
    Verdict { rule, items, fits, decides: false }
}

fn names(lists: &[(&[String], &[String])]) -> Reason {
    if lists.iter().all(|(asked, _)| asked.is_empty()) {
        return Reason::NotAsked;
    }
    for (asked, known) in lists {
        let known: Vec<String> = known.iter().map(|name| folded(name)).collect();
        if let Some(entry) = asked.iter().find(|entry| known.contains(&folded(entry))) {
            return Reason::Fits(entry.clone());
        }
    }
    let known =
        |(asked, known): &(&[String], &[String])| !asked.is_empty() && known.iter().any(|n| !n.is_empty());
    if lists.iter().any(known) { Reason::Differs } else { Reason::Unknown }
}

fn addresses(rule: &Rule, facts: &SessionFacts) -> Reason {
    let asked = &rule.scope.addresses;
    match facts.address {
        _ if asked.is_empty() => Reason::NotAsked,
        None => Reason::Unknown,
        Some(address) => match asked.iter().find(|range| range.contains(address)) {
            Some(range) => Reason::Fits(range.to_string()),
            None => Reason::Differs,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, Engine, RuleOptions, RuleScope, SYSTEM_POLICIES};

    struct Chance(u64);

    impl Chance {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }

        fn names(&mut self, prefix: &str, most: u64) -> Vec<String> {
            (0..self.below(most + 1)).map(|_| format!("{prefix}{}", self.below(6))).collect()
        }

        fn maybe(&mut self, prefix: &str) -> Vec<String> {
            if self.below(3) == 0 { self.names(prefix, 3) } else { Vec::new() }
        }

        fn policy(&mut self, rules: u64) -> Policy {
            let rules = (0..rules).map(|number| {
                let mut scope = RuleScope {
                    everyone: false,
                    users: self.maybe("User"),
                    groups: self.maybe("g"),
                    applications: self.maybe("app"),
                    delivery_groups: self.maybe("dg"),
                    hosts: self.maybe("h"),
                    addresses: Vec::new(),
                    tags: self.maybe("tag"),
                };
                if self.below(4) == 0 {
                    let ranges =
                        ["10.0.0.0/8", "10.0.0.3", "10.0.0.2-10.0.0.4", "fd00::/8", "::/0", "0.0.0.0/0"];
                    scope.addresses = vec![ranges[self.below(6) as usize].parse().unwrap()];
                }
                let action = Action::BY_PRIORITY[self.below(5) as usize];
                let options = RuleOptions::default();
                Rule { name: number.to_string(), description: String::new(), action, options, scope }
            });
            Policy { name: "p".into(), description: String::new(), rules: rules.collect() }
        }

        fn facts(&mut self) -> SessionFacts {
            let addresses =
                ["10.0.0.3", "10.9.9.9", "192.168.0.1", "fd00::7", "2001:db8::1", "::ffff:10.0.0.4"];
            SessionFacts {
                users: self.names("USER", 2),
                groups: self.names("G", 4),
                application: format!("App{}", self.below(6)),
                delivery_groups: self.names("dg", 2),
                host: format!("H{}", self.below(6)),
                address: addresses.get(self.below(7) as usize).map(|a| a.parse().unwrap()),
                tags: self.names("tag", 2),
            }
        }
    }

    #[test]
    fn the_engine_decides_as_the_explanation_says() {
        let mut chance = Chance(1);
        let mut decided = 0;
        for rules in [0, 1, 2, 5, 63, 64, 65, 130] {
            for _ in 0..40 {
                let policy = chance.policy(rules);
                let engine = Engine::new(&policy);
                for _ in 0..20 {
                    let facts = chance.facts();
                    let expected = policy.explain(&facts).iter().find(|v| v.decides).map(|v| v.rule);
                    let decision = engine.decide(&facts);
                    assert_eq!(decision.rule, expected, "{policy:?} {facts:?}");
                    let action = expected.map_or(Action::Disable, |rule| policy.rules[rule].action);
                    assert_eq!(decision.action, action);
                    decided += usize::from(expected.is_some());
                }
            }
        }
        assert!((1_000..6_000).contains(&decided), "{decided} of 6400 decided by a rule");
    }

    #[test]
    fn what_is_made_of_a_system_policy_decides_as_it_does() {
        let mut chance = Chance(2);
        for system in &SYSTEM_POLICIES {
            let policy = system.as_rules("Ours".into());
            assert_eq!(policy.check(), Ok(()));
            let (ours, theirs) = (Engine::new(&policy), Engine::system(system));
            for facts in (0..200).map(|_| chance.facts()).chain([SessionFacts::default()]) {
                let (ours, theirs) = (ours.decide(&facts), theirs.decide(&facts));
                assert_eq!((ours.action, ours.options), (theirs.action, theirs.options), "{facts:?}");
                assert_eq!((ours.rule, theirs.rule), (Some(0), None));
                assert!(policy.explain(&facts)[0].decides);
            }
        }
    }

    #[test]
    fn reasons_name_the_entry() {
        let scope = RuleScope {
            groups: vec!["Finance".into()],
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            tags: vec!["outside".into()],
            ..RuleScope::default()
        };
        let rule = Rule {
            name: "a".into(),
            description: String::new(),
            action: Action::Record,
            options: RuleOptions::default(),
            scope,
        };
        let policy = Policy { name: "p".into(), description: String::new(), rules: vec![rule] };
        let facts = SessionFacts {
            groups: vec!["FINANCE".into()],
            tags: vec!["inside".into()],
            ..SessionFacts::default()
        };
        let verdict = &policy.explain(&facts)[0];
        assert!(!verdict.fits && !verdict.decides);
        let reason = |item: Item| verdict.items.iter().find(|(of, _)| *of == item).map(|(_, r)| r.clone());
        assert_eq!(reason(Item::People), Some(Reason::Fits("Finance".into())));
        assert_eq!(reason(Item::Applications), Some(Reason::NotAsked));
        assert_eq!(reason(Item::Addresses), Some(Reason::Unknown));
        assert_eq!(reason(Item::Tags), Some(Reason::Differs));
    }
}
