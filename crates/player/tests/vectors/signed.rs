//! Vectors with signatures and seals, right and wrong.

use crate::make::{finished_with, recording_signed};
use ed25519_dalek::{Signer as _, SigningKey};
use playhead_format::{
    Channel, CursorMessage, Fragment, FragmentBuilder, FragmentHead, MetaMessage, Sealer, Signer,
    open_fragment,
};
use playhead_model::{RecordingId, WallTime};

const AUTHORITY: &str = include_str!("../../../../testdata/vectors/authority.pem");
const AGENT: &str = include_str!("certificates/agent.pem");
const SITE: &str = include_str!("certificates/site.pem");
const RECORDING: RecordingId = RecordingId::from_bytes(*b"signed recording");
const SEALED_AT: i64 = 1_793_350_900_000_000;

fn signer(seed: u8) -> Signer {
    let key = SigningKey::from_bytes(&[seed; 32]);
    Signer::new(key.verifying_key().to_bytes(), move |statement| key.sign(statement).to_bytes())
}

fn agent() -> Signer {
    signer(0x11)
}

fn site() -> Signer {
    signer(0x22)
}

fn sealed(fragments: &[Fragment], lost: bool, signer: &Signer) -> Vec<u8> {
    let sealer = Sealer {
        site: "site-1".into(),
        key: site().key(),
        certificates: vec![SITE.into()],
        agent_certificates: vec![AGENT.into()],
        authorities: vec![AUTHORITY.into()],
    };
    finished_with(fragments, lost, |index| sealer.seal(index, signer, WallTime::from_micros(SEALED_AT)))
}

/// Chains what follows `at` anew after `change` has had its way with the fragment there. Signatures stay as they are, but where `signer`
/// makes new ones.
fn changed(
    fragments: &[Fragment],
    at: usize,
    signer: Option<&Signer>,
    change: impl Fn(&mut Vec<(Channel, u64, u64, Vec<u8>)>),
) -> Vec<Fragment> {
    let mut out = fragments[..at].to_vec();
    for (number, fragment) in fragments.iter().enumerate().skip(at) {
        let open = open_fragment(&fragment.bytes).unwrap();
        let messages = open.messages().skip(1).map(Result::unwrap);
        let mut messages: Vec<_> = messages
            .map(|message| {
                let channel = Channel::from_id(message.channel).unwrap();
                (channel, message.log_time_us, message.publish_time_us, message.data.to_vec())
            })
            .collect();
        if number == at {
            change(&mut messages);
        }
        let is_signature = |data: &[u8]| matches!(MetaMessage::parse(data), MetaMessage::Signature { .. });
        let again = signer.filter(|_| messages.iter().any(|message| is_signature(&message.3)));
        let mut builder = FragmentBuilder::new();
        for (channel, media_us, wall_us, data) in &messages {
            if again.is_none() || !is_signature(data) {
                builder.push(*channel, *media_us, *wall_us, data).unwrap();
            }
        }
        let previous = out[number - 1].hash;
        let head = FragmentHead { previous, ..fragment.head };
        out.push(match again {
            Some(signer) => builder.finish_signed(head, 3, signer, head.wall_us).unwrap(),
            None => builder.finish(head, 3).unwrap(),
        });
    }
    out
}

/// Names, what they are, and the files.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let real = recording_signed(RECORDING, &agent());
    let (site, last) = (site(), real.len() - 1);
    let place = |messages: &mut Vec<(Channel, u64, u64, Vec<u8>)>| {
        let at = messages.iter().position(|message| message.0 == Channel::Cursor).unwrap();
        messages[at].3 = CursorMessage::Place { x: 1, y: 1, visible: true }.encode();
    };
    let strip = |messages: &mut Vec<(Channel, u64, u64, Vec<u8>)>| drop(messages.pop());
    vec![
        ("signed", "signed by its agent and sealed by its site", sealed(&real, false, &site)),
        ("signed-unsealed", "signed by its agent, without a seal", finished_with(&real, false, |_| None)),
        (
            "signed-changed",
            "a fragment was changed and everything after it chained anew; the signatures are the old ones",
            sealed(&changed(&real, 2, None, place), false, &site),
        ),
        (
            "signed-by-site",
            "a fragment was changed, and everything after it chained and signed anew with the site's key",
            sealed(&changed(&real, 2, Some(&site), place), false, &site),
        ),
        (
            "signed-no-end",
            "the signature of the last fragment was taken away",
            sealed(&changed(&real, last, None, strip), false, &site),
        ),
        (
            "signed-lost",
            "what is there is signed; its end is the site's word alone",
            sealed(&real[..5], true, &site),
        ),
        ("signed-wrong-seal", "sealed with another key than the seal names", sealed(&real, false, &agent())),
    ]
}
