//! Certificates that are expired, renewed, revoked or for something else; clocks that are wrong; recordings without signatures.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod support;

use playhead_format::{Sealer, Status};
use playhead_net::SigningCertificate;
use playhead_proof::{Certificate, ProofKind, ProofState, Proved, Trust};
use support::{House, Party, WALL_US, judge, record, written};

const DAY: i64 = 86_400;

fn sealed(agent: &Party, site: &Party, sealer: &Sealer) -> Vec<Vec<u8>> {
    written(&record(1, Some(&agent.signer)), sealer, &site.signer)
}

fn kinds(proved: &Proved) -> Vec<ProofKind> {
    let mut kinds: Vec<_> = proved.proofs[0].problems.iter().map(|problem| problem.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_certificate_counts_in_its_time_and_a_wrong_clock_is_told() {
    let house = House::new("time");
    let site = house.party("site", "site");
    let trust = house.trust("");
    // Over before the recording; begun after it was signed, but before it was sealed; begun after that.
    for (from, to, state) in [
        (-2 * DAY, -DAY, ProofState::NotProved),
        (180, DAY, ProofState::Proved),
        (DAY, 2 * DAY, ProofState::NotProved),
    ] {
        let agent = house.party_between("agent", "pc1", from, to);
        let files = sealed(&agent, &site, &house.sealer(&site, Some(&agent)));
        let proved = judge(&files, Some(&trust));
        assert_eq!(proved.proofs[0].state, state, "{from} to {to}: {:#?}", proved.proofs);
        let told = proved.proofs[0].not_proved.iter().any(|text| text.contains("clock and its certificate"));
        assert_eq!(told, from == 180);
    }
}

#[test]
fn an_old_certificate_of_a_renewed_key_is_still_good_for_its_time() {
    let house = House::new("renewed");
    let (agent, site) = (house.party_between("agent", "pc1", -DAY, DAY), house.party("site", "site"));
    let now = (WALL_US / 1_000_000) as i64;
    let newer = SigningCertificate {
        role: "agent",
        id: "00000000-0000-0000-0000-000000000001",
        name: "pc1",
        key: *agent.signer.key().as_bytes(),
        not_before: now + DAY,
        not_after: now + 9 * DAY,
    };
    let mut sealer = house.sealer(&site, Some(&agent));
    sealer.agent_certificates.insert(0, house.authority.issue(newer).unwrap());
    let proved = judge(&sealed(&agent, &site, &sealer), Some(&house.trust("")));
    assert_eq!(proved.proofs[0].state, ProofState::Proved, "{:#?}", proved.proofs);
    assert_eq!(proved.proofs[0].agents[0].certificates.len(), 1);
}

#[test]
fn a_revoked_certificate_counts_until_it_was_revoked() {
    let house = House::new("revoked");
    let (agent, site) = (house.party("agent", "pc1"), house.party("site", "site"));
    let files = sealed(&agent, &site, &house.sealer(&site, Some(&agent)));
    let serial = Certificate::from_pem(&agent.certificate).unwrap().info.serial;
    let digits: Vec<u8> = serial.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    let serial: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let now = (WALL_US / 1_000_000) as i64;
    for (at, state) in [(now - 1, ProofState::NotProved), (now + DAY, ProofState::Proved)] {
        let list = house.authority.revocations(&[(serial.clone(), at)], now + 2 * DAY).unwrap();
        let proved = judge(&files, Some(&house.trust(&list)));
        assert_eq!(proved.proofs[0].state, state, "{:#?}", proved.proofs);
    }
    let elsewhere = House::new("elsewhere").authority.revocations(&[(serial, now)], now).unwrap();
    let error = Trust::from_pem(&format!("{}{elsewhere}", house.authority.chain())).unwrap_err();
    assert!(error.to_string().contains("revocation lists of the authorities"), "{error}");
}

#[test]
fn a_certificate_for_something_else_is_none() {
    let house = House::new("roles");
    let (agent, site) = (house.party("site", "pc1"), house.party("agent", "site"));
    let files = sealed(&agent, &site, &house.sealer(&site, Some(&agent)));
    for trust in [None, Some(house.trust(""))] {
        let proved = judge(&files, trust.as_ref());
        assert_eq!((proved.status(), kinds(&proved)), (Status::Damaged, vec![ProofKind::NotTrusted]));
    }
}

#[test]
fn recordings_without_signatures_are_let_pass_unless_signatures_are_asked_for() {
    let house = House::new("unsigned");
    let site = house.party("site", "site");
    let unsigned = record(1, None);
    let plain = support::by_segment(&unsigned)
        .iter()
        .map(|segment| support::assemble(segment, closing(segment), |_| None))
        .collect::<Vec<_>>();
    let proved = judge(&plain, None);
    assert_eq!((proved.status(), proved.proofs[0].state), (Status::Intact, ProofState::NotSigned));
    let proved = judge(&plain, Some(&house.trust("")));
    assert_eq!(proved.status(), Status::Damaged);
    assert!(
        kinds(&proved).contains(&ProofKind::NotSigned) && kinds(&proved).contains(&ProofKind::MissingSeal)
    );

    // Sealed alone: by whom it was kept is known, by whom it was made is not.
    let kept = written(&unsigned, &house.sealer(&site, None), &site.signer);
    assert_eq!(judge(&kept, None).proofs[0].state, ProofState::NotChecked);
    assert_eq!(kinds(&judge(&kept, Some(&house.trust("")))), [ProofKind::NotSigned]);
}

fn closing(segment: &[playhead_format::Fragment]) -> playhead_format::Closing {
    match segment.last().is_some_and(|last| last.head.flags.last) {
        true => playhead_format::Closing::Ended,
        false => playhead_format::Closing::Continues,
    }
}

#[test]
fn a_file_without_certificates_is_nothing_to_trust() {
    assert!(Trust::from_pem("nothing").unwrap_err().to_string().contains("found none"));
    let cut = House::new("cut").authority.chain().replace("MII", "AAA");
    assert!(Trust::from_pem(&cut).is_err());
}
