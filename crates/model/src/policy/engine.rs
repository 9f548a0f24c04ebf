//! Which rule of a policy decides about a session, quickly: a host asks for each session, a simulator for thousands.
//!
//! Rules stand in the order of their priority, as bits. Each item of a session's facts gives the set of the rules that it fits; the
//! first bit that is in all of these sets is the rule.

use super::{
    Action, AddressRange, Policy, RuleOptions, RuleScope, SessionFacts, SystemPolicy, address,
    names::{Names, set},
};
use std::net::IpAddr;

/// Words of a set of rules that fit the stack: those of 2,048 rules.
const WORDS: usize = 32;

/// What is done with a session, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision<'a> {
    /// Number of the rule in the policy; `None` where no rule fits, and for a system policy.
    pub rule: Option<usize>,
    /// What is done.
    pub action: Action,
    /// How it is recorded.
    pub options: &'a RuleOptions,
}

/// A policy made ready to be asked.
pub struct Engine {
    /// Where no rule fits.
    otherwise: (Action, RuleOptions),
    /// By priority: number in the policy, action and options.
    rules: Vec<(usize, Action, RuleOptions)>,
    /// Words of a set of rules.
    words: usize,
    people: Kinds,
    applications: Kinds,
    machines: Kinds,
    tags: Kinds,
    addresses: Addresses,
}

impl Engine {
    /// Of a policy that has rules. It should have passed [`Policy::check`], but nothing breaks otherwise.
    pub fn new(policy: &Policy) -> Self {
        let mut order: Vec<usize> = (0..policy.rules.len()).collect();
        order.sort_by_key(|&number| policy.rules[number].action.priority());
        let scopes: Vec<&RuleScope> = order.iter().map(|&number| &policy.rules[number].scope).collect();
        let words = order.len().div_ceil(64);
        let names = |lists: fn(&RuleScope) -> [&[String]; 2]| Kinds::new(words, &scopes, lists);
        Self {
            otherwise: (Action::Disable, RuleOptions::default()),
            words,
            people: names(|s| [&s.users, &s.groups]),
            applications: names(|s| [&s.applications, &[]]),
            machines: names(|s| [&s.hosts, &s.delivery_groups]),
            tags: names(|s| [&s.tags, &[]]),
            addresses: Addresses::new(words, &scopes),
            rules: order
                .iter()
                .map(|&number| (number, policy.rules[number].action, policy.rules[number].options.clone()))
                .collect(),
        }
    }

    /// Of a policy that is the same for all sessions.
    pub fn system(policy: &SystemPolicy) -> Self {
        let none = Policy { name: policy.name.to_owned(), description: String::new(), rules: Vec::new() };
        Self { otherwise: (policy.action, policy.options()), ..Self::new(&none) }
    }

    /// Decides about a session.
    pub fn decide(&self, facts: &SessionFacts) -> Decision<'_> {
        match self.first(facts) {
            Some((number, action, options)) => Decision { rule: Some(*number), action: *action, options },
            None => Decision { rule: None, action: self.otherwise.0, options: &self.otherwise.1 },
        }
    }

    fn first(&self, facts: &SessionFacts) -> Option<&(usize, Action, RuleOptions)> {
        // Sets of rules on the stack: a decision takes less time than asking for memory.
        let (mut fit, mut some) = ([0; WORDS], [0; WORDS]);
        let number = match self.words {
            0 => return None,
            words if words <= WORDS => self.narrowed(facts, &mut fit[..words], &mut some[..words])?,
            words => self.narrowed(facts, &mut vec![0; words], &mut vec![0; words])?,
        };
        // The bits behind the last rule are set only where nothing has narrowed them down.
        self.rules.get(number)
    }

    /// The first rule that fits, in the order of their priority. Both sets are for its use.
    fn narrowed(&self, facts: &SessionFacts, fit: &mut [u64], some: &mut [u64]) -> Option<usize> {
        fit.fill(u64::MAX);
        let one = std::slice::from_ref;
        let items: [(&Kinds, [&[String]; 2]); 4] = [
            (&self.people, [&facts.users, &facts.groups]),
            (&self.applications, [one(&facts.application), &[]]),
            (&self.machines, [one(&facts.host), &facts.delivery_groups]),
            (&self.tags, [&facts.tags, &[]]),
        ];
        for (names, lists) in items.iter().filter(|(names, _)| names.asked()) {
            some.copy_from_slice(&names.open);
            for (kind, list) in names.kinds.iter().zip(lists).filter(|(kind, _)| !kind.is_empty()) {
                list.iter().for_each(|name| kind.add(name, some));
            }
            if !narrow(fit, some) {
                return None;
            }
        }
        self.addresses.narrow(facts.address, fit);
        let word = fit.iter().position(|word| *word != 0)?;
        Some(word * 64 + fit[word].trailing_zeros() as usize)
    }
}

/// Keeps what is in both sets; whether there is any.
fn narrow(fit: &mut [u64], other: &[u64]) -> bool {
    let mut any = 0;
    for (fit, other) in fit.iter_mut().zip(other) {
        *fit &= other;
        any |= *fit;
    }
    any != 0
}

/// Two kinds of names that rules ask for together.
struct Kinds {
    /// Rules that do not ask.
    open: Vec<u64>,
    /// Those that ask, for both kinds.
    kinds: [Names; 2],
}

impl Kinds {
    fn new(words: usize, scopes: &[&RuleScope], lists: fn(&RuleScope) -> [&[String]; 2]) -> Self {
        let mut open = vec![0; words];
        for (rule, scope) in scopes.iter().enumerate() {
            if lists(scope).iter().all(|list| list.is_empty()) {
                set(&mut open, rule);
            }
        }
        let kind = |kind: usize| {
            Names::new(words, scopes.iter().enumerate().map(|(rule, scope)| (rule, lists(scope)[kind])))
        };
        Self { open, kinds: [kind(0), kind(1)] }
    }

    fn asked(&self) -> bool {
        self.kinds.iter().any(|names| !names.is_empty())
    }
}

/// All addresses, cut where a range begins or ends, with the rules of each piece.
struct Addresses {
    /// Rules that do not ask.
    open: Vec<u64>,
    /// IPv4 and IPv6: the first address of each piece, ascending, and `words` words for each.
    kinds: [(Vec<u128>, Vec<u64>); 2],
    asked: bool,
}

impl Addresses {
    fn new(words: usize, scopes: &[&RuleScope]) -> Self {
        let mut open = vec![0; words];
        let mut ranges: [Vec<(u128, u128, usize)>; 2] = Default::default();
        for (rule, scope) in scopes.iter().enumerate() {
            if scope.addresses.is_empty() {
                set(&mut open, rule);
            }
            for range in &scope.addresses {
                let (from, to) = range.ends();
                ranges[kind(range)].push((from, to, rule));
            }
        }
        let asked = ranges.iter().any(|ranges| !ranges.is_empty());
        Self { kinds: ranges.map(|ranges| pieces(words, &open, &ranges)), open, asked }
    }

    fn narrow(&self, address: Option<IpAddr>, fit: &mut [u64]) {
        if !self.asked {
            return;
        }
        let Some(address) = address.map(|address| address.to_canonical()) else {
            narrow(fit, &self.open);
            return;
        };
        let (starts, rules) = &self.kinds[usize::from(address.is_ipv6())];
        match starts.partition_point(|start| *start <= address::number(address)) {
            0 => narrow(fit, &self.open),
            after => narrow(fit, &rules[(after - 1) * fit.len()..after * fit.len()]),
        };
    }
}

fn kind(range: &AddressRange) -> usize {
    usize::from(!range.is_ipv4())
}

fn pieces(words: usize, open: &[u64], ranges: &[(u128, u128, usize)]) -> (Vec<u128>, Vec<u64>) {
    let mut starts: Vec<u128> =
        ranges.iter().flat_map(|&(from, to, _)| [Some(from), to.checked_add(1)]).flatten().collect();
    starts.sort_unstable();
    starts.dedup();
    let mut rules = open.repeat(starts.len());
    for &(from, to, rule) in ranges {
        let (first, after) = (starts.partition_point(|s| *s < from), starts.partition_point(|s| *s <= to));
        rules.chunks_exact_mut(words.max(1)).take(after).skip(first).for_each(|piece| set(piece, rule));
    }
    (starts, rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Rule, SYSTEM_POLICIES};

    fn rule(name: &str, action: Action, scope: RuleScope) -> Rule {
        Rule { name: name.into(), description: String::new(), action, options: RuleOptions::default(), scope }
    }

    fn engine(rules: Vec<Rule>) -> Engine {
        Engine::new(&Policy { name: "Ours".into(), description: String::new(), rules })
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn ada() -> SessionFacts {
        SessionFacts {
            users: list(&["CORP\\Ada", "ada@corp.example"]),
            groups: list(&["Finance", "Staff"]),
            application: "desktop".into(),
            delivery_groups: list(&["Office"]),
            host: "ws-1".into(),
            address: Some([10, 1, 2, 3].into()),
            tags: list(&["outside"]),
        }
    }

    #[test]
    fn one_entry_of_an_item_is_enough_and_all_items_are_needed() {
        let scope = RuleScope {
            users: list(&["bob"]),
            groups: list(&["FINANCE"]),
            applications: list(&["Desktop"]),
            addresses: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..RuleScope::default()
        };
        let engine = engine(vec![rule("a", Action::Record, scope)]);
        assert_eq!(engine.decide(&ada()).rule, Some(0));
        let other = |change: fn(&mut SessionFacts)| {
            let mut facts = ada();
            change(&mut facts);
            engine.decide(&facts).rule
        };
        assert_eq!(other(|f| f.groups.clear()), None);
        assert_eq!(other(|f| (f.users, f.groups) = (vec!["Bob".into()], vec![])), Some(0));
        assert_eq!(other(|f| f.application = "calc".into()), None);
        assert_eq!(other(|f| f.address = None), None);
        assert_eq!(other(|f| f.address = Some([11, 0, 0, 0].into())), None);
        assert_eq!(other(|f| f.address = "fd12::1".parse().ok()), Some(0));
        assert_eq!(other(|f| f.address = "fe80::1".parse().ok()), None);
        // A user who is called as a group is no member.
        assert_eq!(other(|f| (f.users, f.groups) = (vec!["Finance".into()], vec![])), None);
    }

    #[test]
    fn the_highest_priority_decides_and_of_equals_the_first() {
        let everybody = || RuleScope { groups: list(&["staff"]), ..RuleScope::default() };
        let rules: Vec<Rule> =
            Action::BY_PRIORITY.iter().rev().map(|&a| rule(&format!("{a:?}"), a, everybody())).collect();
        for many in 1..=rules.len() {
            let decided = engine(rules[..many].to_vec());
            assert_eq!(decided.decide(&ada()).rule, Some(many - 1));
            assert_eq!(decided.decide(&ada()).action, Action::BY_PRIORITY[rules.len() - many]);
        }
        let same =
            engine(vec![rule("a", Action::Record, everybody()), rule("b", Action::Record, everybody())]);
        assert_eq!(same.decide(&ada()).rule, Some(0));
    }

    #[test]
    fn where_nothing_fits_nothing_is_recorded() {
        assert_eq!(engine(vec![]).decide(&ada()).action, Action::Disable);
        let nobody = RuleScope { users: list(&["nobody"]), ..RuleScope::default() };
        let decision_of = engine(vec![rule("a", Action::Record, nobody)]);
        let decision = decision_of.decide(&ada());
        assert_eq!((decision.rule, decision.action), (None, Action::Disable));
    }

    #[test]
    fn system_policies_are_for_every_session() {
        for policy in &SYSTEM_POLICIES {
            let engine = Engine::system(policy);
            let decision = engine.decide(&SessionFacts::default());
            assert_eq!((decision.action, decision.options), (policy.action, &policy.options()));
        }
    }
}
