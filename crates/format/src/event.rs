//! Messages of the event channel: JSON objects with a `type`.

use serde::{Deserialize, Serialize};

/// Something that happened in a session. Types that this version does not know read as [`EventMessage::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventMessage {
    /// Something about the notice that the session is recorded.
    Notice {
        /// What.
        what: NoticeEvent,
    },
    /// The agent's helper in the session ended without having been told to: somebody may have killed it. It is started again.
    HelperEnded {
        /// The signal by which it ended; `None` where it ended by itself. `SIGSTOP` where it was stopped, and ended by the agent therefore.
        #[serde(default)]
        signal: Option<i32>,
    },
    /// A message of a later version.
    #[serde(other)]
    Unknown,
}

/// What can happen about a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeEvent {
    /// The user has been told.
    Shown,
    /// The user has put the notice away.
    Dismissed,
    /// The session is covered until the user accepts that it is recorded.
    Asked,
    /// The user accepts.
    Accepted,
    /// The user does not accept: the session is ended.
    Denied,
    /// The window was closed in another way than it offers; it is shown again.
    Closed,
    /// It could not be shown.
    Failed,
}

impl EventMessage {
    /// The message's bytes as they stand in a fragment.
    pub fn encode(&self) -> Vec<u8> {
        // Serialising these types into memory has no way to fail: they are plain texts and numbers.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message. Bytes that are no message of this version are [`EventMessage::Unknown`].
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_as_it_is_documented() {
        let denied = EventMessage::Notice { what: NoticeEvent::Denied };
        assert_eq!(denied.encode(), br#"{"type":"notice","what":"denied"}"#);
        let killed = EventMessage::HelperEnded { signal: Some(9) };
        assert_eq!(killed.encode(), br#"{"type":"helper-ended","signal":9}"#);
        assert_eq!(EventMessage::parse(&killed.encode()), killed);
        for unknown in ["", "{", r#"{"type":"app-start"}"#, r#"{"type":"notice","what":"eaten"}"#] {
            assert_eq!(EventMessage::parse(unknown.as_bytes()), EventMessage::Unknown, "{unknown}");
        }
    }
}
