//! `playhead bench policy`: how quickly it is decided whether sessions are recorded.

use super::codec::processor_seconds;
use anyhow::{Result, ensure};
use playhead_model::policy::{
    Action, AddressRange, Engine, Policy, Rule, RuleOptions, RuleScope, SessionFacts,
};
use serde::Serialize;
use std::{
    hint::black_box,
    io::{self, Write as _},
    net::IpAddr,
};

/// Measure how many sessions a second a policy decides about
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rules of the policy
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    rules: u32,
    /// Decisions
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    decisions: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Figures {
    rules: u32,
    decisions: u64,
    /// How many of these a rule decided, rather than that none fits.
    decided_by_rule: u64,
    /// Processor seconds of one core.
    cpu_seconds: f64,
    decisions_per_cpu_second: f64,
    /// Processor seconds of making the policy ready.
    preparing_seconds: f64,
}

/// Measures.
///
/// # Errors
/// A policy that is not as it should be; nobody reads what came of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let policy = policy(args.rules)?;
    policy.check()?;
    let began = processor_seconds()?;
    let engine = Engine::new(&policy);
    let preparing_seconds = processor_seconds()? - began;
    let sessions: Vec<SessionFacts> = (0..4_096).map(|number| session(number, args.rules)).collect();
    for facts in sessions.iter().step_by(41) {
        let explained = policy.explain(facts).into_iter().find(|verdict| verdict.decides);
        ensure!(
            engine.decide(facts).rule == explained.map(|verdict| verdict.rule),
            "the engine and its explanation differ for {facts:?}"
        );
    }
    let mut decided_by_rule = 0;
    let began = processor_seconds()?;
    let mut left = args.decisions;
    while left > 0 {
        for facts in sessions.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            decided_by_rule += u64::from(engine.decide(black_box(facts)).rule.is_some());
            left -= 1;
        }
    }
    let cpu_seconds = processor_seconds()? - began;
    let figures = Figures {
        rules: args.rules,
        decisions: args.decisions,
        decided_by_rule,
        cpu_seconds,
        decisions_per_cpu_second: args.decisions as f64 / cpu_seconds.max(1e-9),
        preparing_seconds,
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&figures)?)?;
    } else {
        writeln!(
            out,
            "{} decisions of a policy with {} rules, {} by a rule: {:.2} s of one core, {:.2} million a second; made ready in {:.1} ms",
            figures.decisions,
            figures.rules,
            figures.decided_by_rule,
            figures.cpu_seconds,
            figures.decisions_per_cpu_second / 1e6,
            figures.preparing_seconds * 1e3
        )?;
    }
    Ok(())
}

/// Rules as an organisation makes them: for groups and people, for places, and some that name several things.
fn policy(rules: u32) -> Result<Policy> {
    let rule = |number: u32| -> Result<Rule> {
        let mut scope = RuleScope::default();
        match number % 5 {
            0 => scope.groups = vec![format!("Department {number}"), format!("Project {}", number / 3)],
            1 => scope.users = (0..4).map(|other| format!("CORP\\user{}", number * 4 + other)).collect(),
            2 => {
                scope.addresses = vec![range(number)?];
                scope.applications = vec!["desktop".into()];
            }
            3 => {
                scope.hosts = vec![format!("host-{number}.corp.example")];
                scope.tags = vec!["outside".into()];
            }
            _ => {
                scope.groups = vec![format!("Department {}", number - 4)];
                scope.delivery_groups = vec![format!("Delivery {}", number % 40)];
                scope.addresses = vec![range(number)?];
            }
        }
        let action = Action::BY_PRIORITY[(number % 4 + 1) as usize];
        let name = format!("Rule {number}");
        Ok(Rule { name, description: String::new(), action, options: RuleOptions::default(), scope })
    };
    let rules = (0..rules).map(rule).collect::<Result<_>>()?;
    Ok(Policy { name: "Measured".into(), description: String::new(), rules })
}

fn range(number: u32) -> Result<AddressRange> {
    Ok(format!("10.{}.{}.0/24", number % 200, number / 200).parse()?)
}

/// A user of a directory: two names and a dozen groups, at a host with a delivery group.
fn session(number: u32, rules: u32) -> SessionFacts {
    let pick = |step: u32| number.wrapping_mul(2_654_435_761).wrapping_add(step * 97) % rules;
    let mut groups: Vec<String> = (0..10).map(|step| format!("Everybody {step}")).collect();
    groups.extend([format!("department {}", pick(1)), format!("Project {}", pick(2))]);
    SessionFacts {
        users: vec![format!("corp\\user{}", pick(3) * 5), format!("user{number}@corp.example")],
        groups,
        application: if number.is_multiple_of(3) { "Accounting".into() } else { "desktop".into() },
        delivery_groups: vec![format!("Delivery {}", number % 40)],
        host: format!("host-{}.corp.example", pick(4)),
        address: Some(IpAddr::from([10, (pick(5) % 200) as u8, (pick(6) / 200) as u8, 7])),
        tags: vec![if number.is_multiple_of(2) { "outside".into() } else { "inside".into() }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_decided_as_explained() {
        run(&Args { rules: 300, decisions: 10_000, json: true }).unwrap();
    }
}
