//! What is known of a recording besides its pictures.

use crate::{RecordingId, WallTime};
use serde::{Deserialize, Serialize};

/// What an agent tells of a recording when it opens it. Stands as JSON in every segment's first fragment, so that a
/// file alone says what it is a recording of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingInfo {
    /// The recording.
    pub id: RecordingId,
    /// Name of the session host.
    pub host: String,
    /// Name of the user whose session it is.
    pub user: String,
    /// The X display, for example `:10`.
    pub display: String,
    /// Name of the client machine, where there is one and it is known.
    #[serde(default)]
    pub client: Option<String>,
    /// Address of the client machine, where known.
    #[serde(default)]
    pub client_address: Option<String>,
    /// The published application, or `desktop`.
    pub application: String,
    /// Wall clock at media time 0.
    pub started_at: WallTime,
    /// Version of the agent that made it.
    pub agent_version: String,
    /// Monitors at the start, in the root window's coordinates.
    #[serde(default)]
    pub monitors: Vec<Monitor>,
    /// The user's session; `None` where a display was recorded that belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<RecordedSession>,
}

/// The session that a recording is of, as it was when the recording began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSession {
    /// The session: all recordings of it have this id.
    pub id: crate::SessionId,
    /// All names of the user.
    pub users: Vec<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// How the user was connected.
    pub protocol: crate::RemoteProtocol,
    /// The host's delivery groups.
    #[serde(default)]
    pub delivery_groups: Vec<String>,
    /// Tags of how the session was reached.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who decided that it is recorded.
    pub decided: crate::Decided,
    /// Events alone are recorded: there are no pictures.
    #[serde(default)]
    pub events_only: bool,
}

/// One monitor of a desktop, in pixels of the root window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Its name as the X server gives it, for example `DP-1`.
    pub name: String,
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Where a recording stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Its agent is recording, or is expected back.
    Live,
    /// It has ended and nothing more will come.
    Finished,
    /// It is set aside because something about it is wrong; the reason stands beside it.
    Quarantined,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The session ended: the display went away.
    SessionEnded,
    /// The agent was stopped in an orderly way.
    AgentStopped,
    /// The agent went away and nothing was heard of it for longer than the site waits.
    AgentLost,
    /// Somebody or a policy stopped it.
    Stopped,
}

/// A span of media time of which nothing is recorded. Always declared, never silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Media time of the last thing recorded before it.
    pub from_us: u64,
    /// Media time at which recording goes on.
    pub to_us: u64,
    /// Why.
    pub cause: GapCause,
}

/// Why there is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The agent stopped without an end and was started again.
    AgentRestarted,
    /// The agent's queue was full.
    QueueFull,
    /// The agent's queue was damaged and what could not be read was left out.
    QueueDamaged,
    /// The display could not be captured.
    CaptureFailed,
}

macro_rules! text_form {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            /// The name used in JSON, databases and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(crate::UnknownName::new(text, &[$($text),+])),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use text_form;

text_form!(RecordingState { Live = "live", Finished = "finished", Quarantined = "quarantined" });
text_form!(EndReason {
    SessionEnded = "session-ended",
    AgentStopped = "agent-stopped",
    AgentLost = "agent-lost",
    Stopped = "stopped",
});
text_form!(GapCause {
    AgentRestarted = "agent-restarted",
    QueueFull = "queue-full",
    QueueDamaged = "queue-damaged",
    CaptureFailed = "capture-failed",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_the_json_form() {
        for reason in
            [EndReason::SessionEnded, EndReason::AgentStopped, EndReason::AgentLost, EndReason::Stopped]
        {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        for cause in
            [GapCause::AgentRestarted, GapCause::QueueFull, GapCause::QueueDamaged, GapCause::CaptureFailed]
        {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
        for state in [RecordingState::Live, RecordingState::Finished, RecordingState::Quarantined] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        let error = "gone".parse::<RecordingState>().unwrap_err();
        assert_eq!(error.to_string(), "expected one of live, finished, quarantined, got 'gone'");
    }
}
