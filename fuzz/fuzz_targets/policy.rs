//! What people send of policies and what agents hear of them: policies, sessions' facts, ranges of addresses. Whatever is read is decided
//! about without a fault, and as the engine's explanation says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_model::policy::{AddressRange, Engine, Policy, SessionFacts};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(range) = text.parse::<AddressRange>() {
        assert!(range.to_string().parse() == Ok(range));
    }
    // A policy and a session, in two lines.
    let (policy, facts) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(policy) = serde_json::from_str::<Policy>(policy) else { return };
    let facts = serde_json::from_str::<SessionFacts>(facts).unwrap_or_default();
    let _ = policy.check();
    let _ = policy.diff(&Policy { rules: policy.rules.iter().rev().cloned().collect(), ..policy.clone() });
    let explained = policy.explain(&facts).into_iter().find(|verdict| verdict.decides);
    assert_eq!(Engine::new(&policy).decide(&facts).rule, explained.map(|verdict| verdict.rule));
});
