//! Sessions of a host's users, recorded or not: what an agent tells of them, and what it can be told to do with one.

use crate::{
    RecordingId, SessionId, WallTime,
    policy::{Action, Policy, SessionFacts},
    recording::text_form,
};
use serde::{Deserialize, Serialize};

/// A session as its host's agent sees it. Told anew, whole, whenever anything of it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SessionInfo {
    /// The same as long as the session lasts, however often its user disconnects or the agent starts.
    pub id: SessionId,
    /// The user's account on the host.
    pub user: String,
    /// What rules are asked with: all the user's names and groups, the application, the host's groups and tags, the client's address.
    pub facts: SessionFacts,
    /// The X display, for example `:10`.
    pub display: String,
    /// How the user is connected.
    pub protocol: RemoteProtocol,
    /// Whether anybody is connected.
    pub state: SessionState,
    /// Name of the client machine, where it says one.
    #[serde(default)]
    pub client: Option<String>,
    /// What the client program says of its version, where it says it.
    #[serde(default)]
    pub client_version: Option<String>,
    /// When the session began.
    pub started_at: WallTime,
    /// Since when it has been in this state.
    pub changed_at: WallTime,
    /// Whether it is recorded, and why or why not.
    pub recording: SessionRecording,
}

/// Whether a session is recorded, and who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SessionRecording {
    /// What is being done.
    pub action: Action,
    /// The recording that grows now; `None` while nothing is recorded.
    #[serde(default)]
    pub recording: Option<RecordingId>,
    /// Who decided.
    pub decided: Decided,
    /// Why nothing is recorded although something should be; for people.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// Who decided whether a session is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Decided {
    /// The site's active policy.
    Policy {
        /// [`PolicyDocument::revision`] of what was active.
        revision: u64,
        /// The policy's name.
        policy: String,
        /// Name of the rule; `None` where none fits, and for a system policy.
        rule: Option<String>,
    },
    /// Somebody who started or stopped it while the session ran.
    Request {
        /// Who.
        user: String,
    },
    /// Nobody: the agent has never heard a policy, and does what its settings say for this case.
    NoPolicy,
    /// The host's own settings, which name the display.
    Settings,
}

/// How a user is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteProtocol {
    /// xrdp.
    Rdp,
    /// Xvnc.
    Vnc,
    /// At the machine itself, or a display that belongs to no session.
    Local,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Its user is connected.
    Connected,
    /// Nobody is; its programs run on.
    Disconnected,
    /// It is over.
    Ended,
}

text_form!(RemoteProtocol { Rdp = "rdp", Vnc = "vnc", Local = "local" });
text_form!(SessionState { Connected = "connected", Disconnected = "disconnected", Ended = "ended" });

/// The policy that is active at a site, as agents are told it. An agent keeps the last one for when no server can be reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyDocument {
    /// Grows with each change of what is active.
    pub revision: u64,
    /// Id of the policy, or of the system policy.
    pub id: String,
    /// What it says; `None` for a system policy.
    #[serde(default)]
    pub policy: Option<Policy>,
    /// What users are told where the policy wants it: the first text whose language fits theirs, otherwise the first of all.
    #[serde(default)]
    pub notices: Vec<Notice>,
}

/// What users are told, in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Notice {
    /// BCP 47 tag, such as `de` or `pt-BR`.
    pub language: String,
    /// Heading; at most 100 characters.
    pub title: String,
    /// At most 2,000 characters.
    pub text: String,
    /// The same for where consent is asked; at most 2,000 characters.
    pub consent: String,
}

/// What is wrong with what users are told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Too many languages.
    #[error("expected texts in at most {LANGUAGES} languages, got {0}")]
    TooMany(usize),
    /// Something that is no language.
    #[error("expected a language such as de or pt-BR, got '{0}'")]
    Language(String),
    /// One language twice.
    #[error("there are two texts in the language '{0}': leave one out")]
    Twice(String),
    /// A text that is empty or too long.
    #[error("expected a {what} of 1 to {most} characters in the language '{language}', got {actual}")]
    Length {
        /// Its language.
        language: String,
        /// Which text.
        what: &'static str,
        /// Most characters.
        most: usize,
        /// Characters there are.
        actual: usize,
    },
    /// A text with characters that cannot be shown.
    #[error("expected no control characters but line breaks in the {what} in the language '{language}'")]
    Control {
        /// Its language.
        language: String,
        /// Which text.
        what: &'static str,
    },
}

/// Most languages.
const LANGUAGES: usize = 100;

impl Notice {
    /// Checks what users are told in all languages.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check_all(notices: &[Self]) -> Result<(), NoticeError> {
        if notices.len() > LANGUAGES {
            return Err(NoticeError::TooMany(notices.len()));
        }
        for (number, notice) in notices.iter().enumerate() {
            // Taken apart, so that a new text cannot be forgotten here.
            let Self { language, title, text, consent } = notice;
            let subtag = |part: &str| {
                (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            };
            if language.len() > 35 || !language.split('-').all(subtag) {
                return Err(NoticeError::Language(language.chars().take(40).collect()));
            }
            if notices[..number].iter().any(|other| other.language.eq_ignore_ascii_case(language)) {
                return Err(NoticeError::Twice(language.clone()));
            }
            for (what, text, most) in
                [("title", title, 100), ("text", text, 2_000), ("consent", consent, 2_000)]
            {
                let actual = text.trim().chars().count();
                if !(1..=most).contains(&actual) {
                    return Err(NoticeError::Length { language: language.clone(), what, most, actual });
                }
                if text.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
                    return Err(NoticeError::Control { language: language.clone(), what });
                }
            }
        }
        Ok(())
    }
}

/// What an agent can be told to do with a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum SessionCommand {
    /// Record it from now on, screen and events, whatever the policy says. Nothing happens where it is recorded.
    StartRecording {
        /// The session.
        session: SessionId,
        /// Tell the user.
        notify: bool,
        /// Who wants it.
        by: String,
    },
    /// End its recording. It stays so until somebody starts it or the user signs in anew.
    StopRecording {
        /// The session.
        session: SessionId,
        /// Who wants it.
        by: String,
    },
}

impl SessionCommand {
    /// The session it is for.
    pub fn session(&self) -> SessionId {
        match self {
            Self::StartRecording { session, .. } | Self::StopRecording { session, .. } => *session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_in_notices_are_named() {
        let good = Notice {
            language: "pt-BR".into(),
            title: "Aviso".into(),
            text: "Esta sessão é gravada.".into(),
            consent: "Concorda?".into(),
        };
        let wrong = |change: fn(&mut Notice)| {
            let mut notice = Notice { language: "de".into(), ..good.clone() };
            change(&mut notice);
            Notice::check_all(&[good.clone(), notice]).map_err(|error| error.to_string())
        };
        assert_eq!(wrong(|_| ()), Ok(()));
        assert!(wrong(|n| n.language = "PT-br".into()).unwrap_err().contains("two texts"));
        for language in ["", "de_DE", "a-", "ä", "abcdefghi"] {
            let notice = Notice { language: language.into(), ..good.clone() };
            assert!(matches!(Notice::check_all(&[notice]), Err(NoticeError::Language(_))), "{language}");
        }
        assert!(wrong(|n| n.title = " ".into()).unwrap_err().contains("got 0"));
        assert!(wrong(|n| n.text = "x".repeat(2_001)).unwrap_err().contains("got 2001"));
        assert!(wrong(|n| n.consent = "a\0".into()).unwrap_err().contains("control characters"));
        assert_eq!(wrong(|n| n.text = "one\n\ttwo".into()), Ok(()));
    }

    #[test]
    fn the_json_is_as_it_is_documented() {
        let command =
            SessionCommand::StopRecording { session: SessionId::from_bytes([0; 16]), by: "ada".into() };
        assert_eq!(
            serde_json::to_value(command).unwrap(),
            serde_json::json!({"do": "stop-recording", "session": "00000000-0000-0000-0000-000000000000", "by": "ada"})
        );
        let decided = Decided::Policy { revision: 3, policy: "Ours".into(), rule: None };
        assert_eq!(
            serde_json::to_value(decided).unwrap(),
            serde_json::json!({"by": "policy", "revision": 3, "policy": "Ours", "rule": null})
        );
    }
}
