//! Policies as text for people.

use playhead_model::{
    Notice,
    policy::{Action, Rule, RuleScope},
};
use playhead_server::{
    ActiveReport, DiffReport, HistoryReport, ItemReport, PolicyDetail, PolicyList, SimulationReport,
    VersionsReport,
};
use std::fmt::{Display, Write as _};

// Writing to a String cannot fail.

pub(super) fn list(list: &PolicyList) -> String {
    let mut text = String::new();
    for policy in &list.items {
        let mark = if policy.active { '*' } else { ' ' };
        let _ = write!(text, "{mark} {}\n    {}", policy.name, policy.id);
        if let (Some(version), Some(at), Some(by)) = (policy.version, policy.changed_at, &policy.changed_by) {
            let _ = write!(text, ", {} rules, version {version} of {at} by {by}", policy.rules);
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{}", active(&list.active));
    text
}

pub(super) fn active(active: &ActiveReport) -> String {
    match (active.since, &active.by) {
        (Some(since), Some(by)) => {
            format!("'{}' is active since {since}, by {by} (revision {}).", active.name, active.revision)
        }
        _ => format!("'{}' is active: nobody has ever chosen another one.", active.name),
    }
}

pub(super) fn one(policy: &PolicyDetail) -> String {
    let mut text = format!("{}\n    {}", policy.name, policy.id);
    if policy.active {
        text.push_str(", active");
    }
    if let (Some(version), Some(at), Some(by)) = (policy.version, policy.changed_at, &policy.changed_by) {
        let _ = write!(text, ", version {version} of {at} by {by}");
    }
    if !policy.description.is_empty() {
        let _ = write!(text, "\n    {}", policy.description);
    }
    if let Some(action) = policy.action {
        let _ = write!(text, "\n\nEvery session: {}", told(action));
    }
    if let Some(policy) = &policy.policy {
        for (number, of) in policy.rules.iter().enumerate() {
            let _ = write!(text, "\n\n{}. {}", number + 1, rule(of));
        }
        text.push_str("\n\nAll other sessions are not recorded.");
    }
    text
}

fn rule(rule: &Rule) -> String {
    let mut text = format!("{}: {}", rule.name, told(rule.action));
    let options = &rule.options;
    let picture = options.picture.as_ref().map(|picture| format!("{} pictures", picture.mode.as_str()));
    let masks = Some(options.masks.len()).filter(|count| *count > 0).map(|count| format!("{count} masks"));
    let more = [
        options.consent.then(|| "asks for consent".to_owned()),
        options.audio.then(|| "with sound".to_owned()),
        picture,
        masks,
    ];
    for more in more.into_iter().flatten() {
        let _ = write!(text, ", {more}");
    }
    let RuleScope { everyone, users, groups, applications, delivery_groups, hosts, addresses, tags } =
        &rule.scope;
    if *everyone {
        text.push_str("\n    everyone: every session");
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let lists = [
        ("users", users),
        ("groups", groups),
        ("applications", applications),
        ("delivery groups", delivery_groups),
        ("hosts", hosts),
        ("addresses", &addresses),
        ("tags", tags),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let _ = write!(text, "\n    {name}: {}", list.join(", "));
    }
    text
}

const fn told(action: Action) -> &'static str {
    match action {
        Action::Disable => "not recorded",
        Action::RecordWithNotice => "recorded, and users are told",
        Action::EventsWithNotice => "events alone, and users are told",
        Action::Record => "recorded, and users are not told",
        Action::Events => "events alone, and users are not told",
    }
}

pub(super) fn simulated(report: &SimulationReport) -> String {
    let mut text = match &report.rule {
        Some(rule) => format!(
            "{}: rule {} of '{}' decides, '{}'.",
            told(report.action),
            rule.index + 1,
            report.policy.name,
            rule.name
        ),
        None if report.rules.is_empty() => {
            format!("{}: '{}' says so for every session.", told(report.action), report.policy.name)
        }
        None => format!("{}: no rule of '{}' fits.", told(report.action), report.policy.name),
    };
    for rule in &report.rules {
        let fits = match (rule.decides, rule.fits) {
            (true, _) => "decides",
            (false, true) => "fits, another one has priority",
            (false, false) => "does not fit",
        };
        let _ = write!(text, "\n\n{}. {}: {fits}", rule.index + 1, rule.name);
        for item in rule.items.iter().filter(|item| item.is != "not-asked") {
            let _ = write!(text, "\n    {}", item_of(item));
        }
    }
    text
}

fn item_of(item: &ItemReport) -> String {
    use playhead_model::policy::Item;
    let name = match item.item {
        Item::People => "users and groups",
        Item::Applications => "applications",
        Item::Machines => "hosts and delivery groups",
        Item::Addresses => "addresses",
        Item::Tags => "tags",
    };
    match (&item.entry, item.is) {
        (Some(entry), _) => format!("{name}: fits '{entry}'"),
        (None, "unknown") => format!("{name}: not known of the session"),
        (None, _) => format!("{name}: none fits"),
    }
}

pub(super) fn versions(report: &VersionsReport) -> String {
    let line = |version: &playhead_server::VersionReport| {
        format!(
            "{}  {} by {}: '{}', {} rules",
            version.version, version.changed_at, version.changed_by, version.name, version.rules
        )
    };
    lines(report.items.iter().map(line))
}

pub(super) fn diff(report: &DiffReport) -> String {
    let mut text = String::new();
    for (what, both) in [("name", &report.diff.name), ("description", &report.diff.description)] {
        if let Some([before, after]) = both {
            let _ = writeln!(text, "{what}: '{before}' becomes '{after}'");
        }
    }
    for (sign, rules) in [('-', &report.diff.removed), ('+', &report.diff.added)] {
        for of in rules {
            let _ = writeln!(text, "{sign} {}", rule(of));
        }
    }
    for change in &report.diff.changed {
        let (before, after) = (rule(&change.before), rule(&change.after));
        let _ = writeln!(text, "changed: {}\n- {before}\n+ {after}", change.fields.join(", "));
    }
    if report.diff.reordered {
        text.push_str("The rules stand in another order.\n");
    }
    if text.is_empty() {
        text.push_str("There is no difference.");
    }
    text
}

pub(super) fn history(report: &HistoryReport) -> String {
    let line = |revision: &playhead_server::RevisionReport| {
        let version = revision.version.map_or(String::new(), |version| format!(", version {version}"));
        format!(
            "{}  {} by {}: '{}'{version}",
            revision.revision, revision.made_at, revision.made_by, revision.name
        )
    };
    lines(report.items.iter().map(line))
}

pub(super) fn notices(notices: &[Notice]) -> String {
    if notices.is_empty() {
        return "Nobody has written anything: users are told an English text of ours.".into();
    }
    lines(notices.iter().map(|notice| {
        let Notice { language, title, text, consent } = notice;
        format!("{language}: {title}\n    {text}\n    {consent}")
    }))
}

fn lines(lines: impl Iterator<Item = impl Display>) -> String {
    lines.map(|line| format!("{line}\n")).collect()
}
