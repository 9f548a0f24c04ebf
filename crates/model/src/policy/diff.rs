//! What differs between two versions of a policy.

use super::{Policy, Rule, folded};
use serde::Serialize;

/// What must be done to one version to get the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PolicyDiff {
    /// The name before and after, where it differs.
    pub name: Option<[String; 2]>,
    /// The description before and after, where it differs.
    pub description: Option<[String; 2]>,
    /// Rules that there were not, in their order.
    pub added: Vec<Rule>,
    /// Rules that there are no more, in their order.
    pub removed: Vec<Rule>,
    /// Rules that are in both and differ, in their new order.
    pub changed: Vec<RuleChange>,
    /// Whether rules that are in both stand in another order.
    pub reordered: bool,
}

/// A rule that was changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleChange {
    /// What differs: `name`, `description`, `action`, `options`, `scope`.
    pub fields: Vec<&'static str>,
    /// The rule as it was.
    pub before: Rule,
    /// The rule as it is.
    pub after: Rule,
}

impl Policy {
    /// What differs in a later version. A rule is the same one where it has the same name, or else does the same for the same sessions.
    pub fn diff(&self, later: &Self) -> PolicyDiff {
        let pairs = pairs(&self.rules, &later.rules);
        let changed = pairs.iter().filter_map(|&(before, after)| {
            let (before, after) = (&self.rules[before], &later.rules[after]);
            let fields = fields(before, after);
            (!fields.is_empty()).then(|| RuleChange { fields, before: before.clone(), after: after.clone() })
        });
        let unpaired = |rules: &[Rule], paired: fn(&(usize, usize)) -> usize| -> Vec<Rule> {
            let has_pair: Vec<usize> = pairs.iter().map(paired).collect();
            let mut is_alone = vec![true; rules.len()];
            has_pair.into_iter().for_each(|number| is_alone[number] = false);
            rules.iter().zip(is_alone).filter(|(_, alone)| *alone).map(|(rule, _)| rule.clone()).collect()
        };
        let text = |before: &str, after: &str| (before != after).then(|| [before.into(), after.into()]);
        PolicyDiff {
            name: text(&self.name, &later.name),
            description: text(&self.description, &later.description),
            added: unpaired(&later.rules, |pair| pair.1),
            removed: unpaired(&self.rules, |pair| pair.0),
            changed: changed.collect(),
            reordered: !pairs.is_sorted_by_key(|pair| pair.0),
        }
    }
}

/// Numbers of the rules that are the same one, by the later number.
fn pairs(before: &[Rule], after: &[Rule]) -> Vec<(usize, usize)> {
    let mut free: Vec<Option<(usize, &Rule)>> = before.iter().enumerate().map(Some).collect();
    let mut take = |is_same: &dyn Fn(&Rule) -> bool| {
        let slot = free.iter_mut().find(|slot| slot.is_some_and(|(_, rule)| is_same(rule)))?;
        slot.take().map(|(number, _)| number)
    };
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut others = Vec::new();
    for (number, rule) in after.iter().enumerate() {
        let name = folded(&rule.name);
        match take(&|other| folded(&other.name) == name) {
            Some(before) => pairs.push((before, number)),
            None => others.push((number, rule)),
        }
    }
    for (number, rule) in others {
        let same = |other: &Rule| {
            (other.action, &other.options, &other.scope) == (rule.action, &rule.options, &rule.scope)
        };
        pairs.extend(take(&same).map(|before| (before, number)));
    }
    pairs.sort_unstable_by_key(|pair| pair.1);
    pairs
}

fn fields(before: &Rule, after: &Rule) -> Vec<&'static str> {
    // Taken apart, so that a new field cannot be forgotten here.
    let Rule { name, description, action, options, scope } = before;
    [
        ("name", *name == after.name),
        ("description", *description == after.description),
        ("action", *action == after.action),
        ("options", *options == after.options),
        ("scope", *scope == after.scope),
    ]
    .into_iter()
    .filter_map(|(field, same)| (!same).then_some(field))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, RuleOptions, RuleScope};

    fn rule(name: &str, user: &str) -> Rule {
        Rule {
            name: name.into(),
            description: String::new(),
            action: Action::Record,
            options: RuleOptions::default(),
            scope: RuleScope { users: vec![user.into()], ..RuleScope::default() },
        }
    }

    fn policy(rules: Vec<Rule>) -> Policy {
        Policy { name: "p".into(), description: String::new(), rules }
    }

    #[test]
    fn rules_are_added_removed_changed_and_renamed() {
        let before = policy(vec![rule("a", "ada"), rule("b", "bob"), rule("c", "eve"), rule("d", "dan")]);
        let mut b = rule("B", "bob");
        b.action = Action::Disable;
        let after = policy(vec![rule("a", "ada"), b.clone(), rule("new", "zoe"), rule("delta", "dan")]);
        let diff = before.diff(&after);
        assert_eq!((diff.added, diff.removed), (vec![rule("new", "zoe")], vec![rule("c", "eve")]));
        let changed: Vec<_> =
            diff.changed.iter().map(|c| (c.before.name.as_str(), c.fields.as_slice())).collect();
        assert_eq!(changed, [("b", &["name", "action"][..]), ("d", &["name"])]);
        assert!(!diff.reordered && diff.name.is_none());
    }

    #[test]
    fn the_same_rules_in_another_order_are_reordered() {
        let before = policy(vec![rule("a", "x"), rule("b", "y")]);
        let mut after = policy(vec![rule("b", "y"), rule("a", "x")]);
        after.name = "q".into();
        let diff = before.diff(&after);
        assert_eq!(diff.name, Some(["p".into(), "q".into()]));
        assert_eq!(diff, PolicyDiff { name: diff.name.clone(), reordered: true, ..PolicyDiff::default() });
        assert_eq!(before.diff(&before), PolicyDiff::default());
    }

    #[test]
    fn rules_that_do_the_same_are_paired_once() {
        let before = policy(vec![rule("a", "x")]);
        let after = policy(vec![rule("b", "x"), rule("c", "x")]);
        let diff = before.diff(&after);
        assert_eq!((diff.changed.len(), diff.added), (1, vec![rule("c", "x")]));
    }
}
