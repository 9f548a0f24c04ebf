//! Messages of the meta channel: JSON objects with a `type`.

use crate::{PublicKey, Signature};
use playhead_model::{AppliedMask, EndReason, Gap, GapCause, Monitor, RecordingInfo};
use serde::{Deserialize, Serialize};

/// One meta message. Types that this version does not know read as [`MetaMessage::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MetaMessage {
    /// The recording's particulars: the first message after the head in every segment's first fragment.
    Recording {
        /// The particulars.
        info: Box<RecordingInfo>,
    },
    /// Nothing is recorded of this span of media time.
    Gap {
        /// Media time of the last thing recorded before it.
        from_us: u64,
        /// Media time at which recording goes on.
        to_us: u64,
        /// Why.
        cause: GapCause,
    },
    /// Nothing follows: in the last fragment of the recording.
    End {
        /// Media time of the end.
        at_us: u64,
        /// Why.
        reason: EndReason,
    },
    /// Windows are covered in the pictures: when a mask covers something for the first time, and at the start of every segment after.
    Mask {
        /// All masks that have covered something so far.
        masks: Vec<AppliedMask>,
    },
    /// The monitors are others from now on than the particulars, or the last such message, say.
    Monitors {
        /// All of them.
        monitors: Vec<Monitor>,
    },
    /// The agent's signature over everything before it in the fragment: the fragment's last message.
    Signature {
        /// The agent's public key.
        key: PublicKey,
        /// The signature.
        signature: Signature,
    },
    /// A message of a later version.
    #[serde(other)]
    Unknown,
}

impl MetaMessage {
    /// The message's bytes as they stand in a fragment.
    pub fn encode(&self) -> Vec<u8> {
        // Serialising these types into memory has no way to fail: all map keys are strings and the texts are UTF-8.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message. Bytes that are no message of this version, or none at all, are [`MetaMessage::Unknown`]: a
    /// later version may give a known type other fields, and a recording plays without them.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or(Self::Unknown)
    }
}

/// A meta message as the text that it is, for who passes it on; `None` when it is not JSON.
pub fn text(bytes: &[u8]) -> Option<&str> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).ok()?;
    str::from_utf8(bytes).ok()
}

impl From<Gap> for MetaMessage {
    fn from(Gap { from_us, to_us, cause }: Gap) -> Self {
        Self::Gap { from_us, to_us, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_the_specification() {
        let gap = MetaMessage::from(Gap { from_us: 5, to_us: 9, cause: GapCause::QueueFull });
        let text = r#"{"type":"gap","from_us":5,"to_us":9,"cause":"queue-full"}"#;
        assert_eq!(String::from_utf8(gap.encode()).unwrap(), text);
        assert_eq!(MetaMessage::parse(text.as_bytes()), gap);

        let end = MetaMessage::End { at_us: 3, reason: EndReason::SessionEnded };
        assert_eq!(
            String::from_utf8(end.encode()).unwrap(),
            r#"{"type":"end","at_us":3,"reason":"session-ended"}"#
        );
        assert_eq!(MetaMessage::parse(&end.encode()), end);
    }

    #[test]
    fn masks_and_monitors_read_back() {
        let mask: playhead_model::Mask = "class=keepassxc,colour=grey".parse().unwrap();
        let note = MetaMessage::Mask { masks: vec![mask.applied(7)] };
        let text = r#"{"type":"mask","masks":[{"first_us":7,"class":"keepassxc","colour":"grey"}]}"#;
        assert_eq!(String::from_utf8(note.encode()).unwrap(), text);
        assert_eq!(MetaMessage::parse(text.as_bytes()), note);
        let monitor = Monitor { name: "DP-1".into(), x: -5, y: 0, width: 800, height: 600 };
        let note = MetaMessage::Monitors { monitors: vec![monitor] };
        let text =
            r#"{"type":"monitors","monitors":[{"name":"DP-1","x":-5,"y":0,"width":800,"height":600}]}"#;
        assert_eq!(String::from_utf8(note.encode()).unwrap(), text);
        assert_eq!(MetaMessage::parse(text.as_bytes()), note);
    }

    #[test]
    fn text_is_json_or_nothing() {
        assert_eq!(text(br#" {"type":"later","x":[1]} "#), Some(r#" {"type":"later","x":[1]} "#));
        for bytes in [&b"{}]"[..], b"", b"{", b"\"\xff\""] {
            assert_eq!(text(bytes), None);
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        for text in [r#"{"type":"signature","key":"x"}"#, r#"{"type":"gap"}"#, "nonsense", ""] {
            assert_eq!(MetaMessage::parse(text.as_bytes()), MetaMessage::Unknown);
        }
        let more = r#"{"type":"end","at_us":3,"reason":"stopped","by":"x"}"#;
        assert!(matches!(MetaMessage::parse(more.as_bytes()), MetaMessage::End { at_us: 3, .. }));
    }
}
