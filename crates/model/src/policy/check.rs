//! Whether a policy can be used: everything somebody could have got wrong, named with its rule.

use super::{Policy, Rule, RuleScope, folded};
use crate::{mask::MaskError, settings::SettingsError};
use std::collections::HashSet;

/// Characters of a name, and of a description.
const NAME: usize = 100;
const DESCRIPTION: usize = 300;
/// Rules of a policy.
const RULES: usize = 2_000;
/// Entries of one list of a scope, and all ranges of addresses of a policy.
const ENTRIES: usize = 1_000;
const RANGES: usize = 10_000;
/// Bytes of an entry.
const ENTRY: usize = 256;
/// Masks of a rule.
const MASKS: usize = 100;

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A name that is empty or too long.
    #[error("expected a name of 1 to {NAME} characters for {of}, got {actual}")]
    Name {
        /// What is named.
        of: String,
        /// Characters.
        actual: usize,
    },
    /// A text that cannot be shown on a line, or not at all.
    #[error("expected no control characters in {of}: take line breaks and the like out")]
    Control {
        /// What has them.
        of: String,
    },
    /// A description that is too long.
    #[error("expected a description of at most {DESCRIPTION} characters for {of}, got {actual}: shorten it")]
    Description {
        /// What is described.
        of: String,
        /// Characters.
        actual: usize,
    },
    /// Too many of something.
    #[error("expected at most {most} {what}, got {actual}")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// Most.
        most: usize,
        /// Those there are.
        actual: usize,
    },
    /// Two rules of one name could not be told apart in the simulator and the audit log.
    #[error("two rules are named '{0}': give one another name")]
    Twice(String),
    /// A scope without an entry.
    #[error(
        "rule '{0}' names no sessions: choose users, applications, hosts, addresses or tags, or say that it is for everyone"
    )]
    NoScope(String),
    /// A scope for everyone that is narrowed down.
    #[error(
        "rule '{rule}' is for everyone and has {list} as well: take those out, or do not make it for everyone"
    )]
    EveryoneAnd {
        /// The rule.
        rule: String,
        /// A list that is not empty.
        list: &'static str,
    },
    /// An entry that is empty or too long.
    #[error("rule '{rule}' has an entry of {actual} bytes among its {list}, expected 1 to {ENTRY}")]
    Entry {
        /// The rule.
        rule: String,
        /// The list.
        list: &'static str,
        /// Bytes.
        actual: usize,
    },
    /// An option that the action has no use for.
    #[error(
        "rule '{rule}' has {option}, which needs an action that {needs}: choose another action, or leave it out"
    )]
    Option {
        /// The rule.
        rule: String,
        /// What was asked for.
        option: &'static str,
        /// What the action lacks.
        needs: &'static str,
    },
    /// A mask that says nothing.
    #[error("rule '{rule}': {error}")]
    Mask {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        error: MaskError,
    },
    /// Settings of pictures out of their bounds.
    #[error("rule '{rule}': {error}")]
    Picture {
        /// The rule.
        rule: String,
        /// What is wrong with them.
        error: SettingsError,
    },
}

impl Policy {
    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), PolicyError> {
        check_text("the policy", &self.name, &self.description)?;
        at_most("rules", RULES, self.rules.len())?;
        let mut names = HashSet::new();
        for rule in &self.rules {
            check_text("a rule", &rule.name, &rule.description)?;
            if !names.insert(folded(&rule.name)) {
                return Err(PolicyError::Twice(rule.name.clone()));
            }
            check_scope(rule)?;
            check_options(rule)?;
        }
        at_most(
            "ranges of addresses in all rules",
            RANGES,
            self.rules.iter().map(|r| r.scope.addresses.len()).sum(),
        )
    }
}

fn check_text(of: &str, name: &str, description: &str) -> Result<(), PolicyError> {
    match name.trim().chars().count() {
        1..=NAME => {}
        actual => return Err(PolicyError::Name { of: of.to_owned(), actual }),
    }
    if name.chars().any(char::is_control) {
        return Err(PolicyError::Control { of: format!("the name of {of}") });
    }
    match description.chars().count() {
        ..=DESCRIPTION => {}
        actual => return Err(PolicyError::Description { of: of.to_owned(), actual }),
    }
    // A description may have lines.
    if description.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
        return Err(PolicyError::Control { of: format!("the description of {of}") });
    }
    Ok(())
}

fn at_most(what: &str, most: usize, actual: usize) -> Result<(), PolicyError> {
    if actual <= most { Ok(()) } else { Err(PolicyError::TooMany { what: what.to_owned(), most, actual }) }
}

fn check_scope(rule: &Rule) -> Result<(), PolicyError> {
    // Taken apart, so that a new list cannot be forgotten here.
    let RuleScope { everyone, users, groups, applications, delivery_groups, hosts, addresses, tags } =
        &rule.scope;
    let lists = [
        ("users", users),
        ("groups", groups),
        ("applications", applications),
        ("delivery groups", delivery_groups),
        ("hosts", hosts),
        ("tags", tags),
    ];
    let named = lists.iter().find(|(_, list)| !list.is_empty()).map(|(name, _)| *name);
    let named = named.or_else(|| (!addresses.is_empty()).then_some("addresses"));
    match named {
        None if !everyone => return Err(PolicyError::NoScope(rule.name.clone())),
        Some(list) if *everyone => return Err(PolicyError::EveryoneAnd { rule: rule.name.clone(), list }),
        _ => {}
    }
    at_most(&format!("addresses in rule '{}'", rule.name), ENTRIES, addresses.len())?;
    for (name, list) in lists {
        at_most(&format!("{name} in rule '{}'", rule.name), ENTRIES, list.len())?;
        for entry in list {
            let actual = entry.trim().len();
            if !(1..=ENTRY).contains(&actual) {
                return Err(PolicyError::Entry { rule: rule.name.clone(), list: name, actual });
            }
            if entry.chars().any(char::is_control) {
                return Err(PolicyError::Control { of: format!("the {name} of rule '{}'", rule.name) });
            }
        }
    }
    Ok(())
}

fn check_options(rule: &Rule) -> Result<(), PolicyError> {
    let options = &rule.options;
    let needs = |is: bool, has: bool, option: &'static str, needs: &'static str| {
        if is && !has { Err(PolicyError::Option { rule: rule.name.clone(), option, needs }) } else { Ok(()) }
    };
    let screen = rule.action.records_screen();
    needs(options.consent, rule.action.notifies(), "consent", "tells the user")?;
    needs(options.audio, screen, "sound", "records the screen")?;
    needs(options.picture.is_some(), screen, "settings of pictures", "records the screen")?;
    needs(!options.masks.is_empty(), screen, "hidden applications", "records the screen")?;
    at_most(&format!("hidden applications in rule '{}'", rule.name), MASKS, options.masks.len())?;
    for mask in &options.masks {
        mask.check().map_err(|error| PolicyError::Mask { rule: rule.name.clone(), error })?;
    }
    let picture = options.picture.as_ref().map_or(Ok(()), |picture| picture.check());
    picture.map_err(|error| PolicyError::Picture { rule: rule.name.clone(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, PictureSettings, policy::Action};

    fn policy(change: impl FnOnce(&mut Rule)) -> Policy {
        let scope = RuleScope { users: vec!["ada".into()], ..RuleScope::default() };
        let mut rule = Rule {
            name: "Ada".into(),
            description: String::new(),
            action: Action::RecordWithNotice,
            options: crate::policy::RuleOptions::default(),
            scope,
        };
        change(&mut rule);
        Policy { name: "Ours".into(), description: String::new(), rules: vec![rule] }
    }

    #[test]
    fn what_is_right_passes() {
        assert_eq!(policy(|_| ()).check(), Ok(()));
        let everyone = RuleScope { everyone: true, ..RuleScope::default() };
        assert_eq!(policy(|r| r.scope = everyone).check(), Ok(()));
        assert_eq!(policy(|r| r.description = "one\r\ntwo".into()).check(), Ok(()));
        assert_eq!(
            Policy { name: "Empty".into(), description: String::new(), rules: vec![] }.check(),
            Ok(())
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_rule() {
        let wrong = |change: fn(&mut Rule)| policy(change).check().unwrap_err().to_string();
        assert!(wrong(|r| r.name = " ".into()).contains("1 to 100 characters"));
        assert!(wrong(|r| r.description = "é".repeat(301)).contains("at most 300"));
        assert!(wrong(|r| r.name = "a\0b".into()).contains("control characters in the name of a rule"));
        assert!(wrong(|r| r.description = "a\u{1b}[0m".into()).contains("in the description of a rule"));
        assert!(wrong(|r| r.scope.users = vec!["a\nb".into()]).contains("in the users of rule 'Ada'"));
        assert!(wrong(|r| r.scope = RuleScope::default()).contains("'Ada' names no sessions"));
        assert!(wrong(|r| r.scope.everyone = true).contains("'Ada' is for everyone and has users as well"));
        let from_all = |r: &mut Rule| {
            let addresses = vec!["10.0.0.0/8".parse().unwrap()];
            r.scope = RuleScope { everyone: true, addresses, ..RuleScope::default() };
        };
        assert!(wrong(from_all).contains("has addresses as well"));
        assert!(wrong(|r| r.scope.groups = vec![String::new()]).contains("among its groups"));
        assert!(wrong(|r| r.scope.tags = vec!["t".into(); 1_001]).contains("at most 1000 tags"));
        let silent = |r: &mut Rule| (r.action, r.options.consent) = (Action::Record, true);
        assert!(wrong(silent).contains("consent, which needs an action that tells"));
        let events = |r: &mut Rule| (r.action, r.options.audio) = (Action::Events, true);
        assert!(wrong(events).contains("sound, which needs an action that records the screen"));
        let disabled = |r: &mut Rule| {
            r.action = Action::Disable;
            r.options.picture = Some(PictureSettings::default());
        };
        assert!(wrong(disabled).contains("settings of pictures"));
        let empty_mask = |r: &mut Rule| {
            let colour = crate::MaskColour::Black;
            r.options.masks = vec![Mask { class: None, process: None, title: None, colour }];
        };
        assert!(wrong(empty_mask).contains("a mask needs"));
        let fast = |r: &mut Rule| {
            r.options.picture = Some(PictureSettings { frame_rate: Some(31), ..PictureSettings::default() });
        };
        assert!(wrong(fast).contains("frame_rate"));
    }

    #[test]
    fn rules_of_one_name_are_refused() {
        let mut twice = policy(|_| ());
        let mut second = twice.rules[0].clone();
        second.name = " ADA".into();
        twice.rules.push(second);
        assert_eq!(twice.check(), Err(PolicyError::Twice(" ADA".into())));
    }
}
