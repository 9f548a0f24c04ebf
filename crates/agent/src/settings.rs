//! What an agent is told: by a file, by flags, or by the program that runs it.

mod applications;

pub use applications::{Applications, ProgramPaths};

use crate::AgentError;
use playhead_model::{
    Mask, PictureSettings, RemoteProtocol,
    policy::{AddressRange, SessionFacts},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Least room for the queue: less than one large picture makes no sense.
const LEAST_QUOTA: u64 = 64 << 20;

/// Bytes of the name of a delivery group or a tag, and how many of either there may be.
const MOST_NAME: usize = 256;
const MOST_NAMES: usize = 100;

/// What Opus makes of two channels: below, it sounds like a bad telephone; above, nobody hears a difference.
const BIT_RATES: std::ops::RangeInclusive<u32> = 16_000..=256_000;

/// All settings of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder for the agent's key, its identity and its queue. Only one agent may use it.
    pub data: PathBuf,
    /// Name of this machine in recordings; the system's host name when there is none.
    pub host: Option<String>,
    /// Where to send recordings.
    pub server: ServerSettings,
    /// What to record, whoever's it is and whatever the policy says.
    pub displays: Vec<DisplaySettings>,
    /// The sessions of this machine's users.
    pub sessions: SessionSettings,
    /// The programs that are published, by name: what a session of xrdp was started with.
    pub applications: Applications,
    /// Applications whose windows the recordings do not show.
    pub masks: Vec<Mask>,
    /// The queue on disk.
    pub spool: SpoolSettings,
    /// What is heard.
    pub audio: AudioSettings,
    /// How the pictures are recorded.
    pub picture: PictureSettings,
}

/// What is heard in the sessions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AudioSettings {
    /// Whether it is recorded; it is not, by default.
    pub enabled: bool,
    /// Bits a second while there is sound: 16,000 to 256,000, 48,000 by default. Silence takes none.
    pub bit_rate: u32,
}

impl Default for AudioSettings {
    fn default() -> Self {
        Self { enabled: false, bit_rate: 48_000 }
    }
}

/// Which sessions there are on this machine, and what is known of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSettings {
    /// Whether they are looked for, and recorded as the site's policy says.
    pub discover: bool,
    /// What is done with sessions as long as no policy was ever heard: recorded, and their users told, or not recorded.
    pub record_on_error: bool,
    /// The delivery groups that this machine belongs to.
    pub delivery_groups: Vec<String>,
    /// Tags that sessions get, by how they were reached.
    pub tags: Vec<TagSettings>,
    /// Names of the directory's domain, such as `CORP` and `corp.example`: its users have them as part of further names.
    pub domains: Vec<String>,
    /// Accounts whose displays are nobody's session, such as that of a sign-in screen.
    pub ignore_users: Vec<String>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            discover: false,
            record_on_error: true,
            delivery_groups: Vec::new(),
            tags: Vec::new(),
            domains: Vec::new(),
            ignore_users: ["gdm", "lightdm", "sddm", "gnome-initial-setup"].map(Into::into).into(),
        }
    }
}

/// A tag, and the sessions that get it: all of them, or those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagSettings {
    /// Its name.
    pub tag: String,
    /// Only where the user's own machine has one of these addresses.
    #[serde(default)]
    pub addresses: Vec<AddressRange>,
    /// Only where the user is connected in this way.
    #[serde(default)]
    pub protocol: Option<RemoteProtocol>,
}

impl SessionSettings {
    /// What a session that was reached like this has on this machine besides its user.
    pub(crate) fn complete(&self, facts: &mut SessionFacts, protocol: RemoteProtocol) {
        facts.delivery_groups.clone_from(&self.delivery_groups);
        let fits = |tag: &&TagSettings| {
            let address = facts.address;
            let is_from = |range: &AddressRange| address.is_some_and(|address| range.contains(address));
            (tag.addresses.is_empty() || tag.addresses.iter().any(is_from))
                && tag.protocol.is_none_or(|wanted| wanted == protocol)
        };
        facts.tags = self.tags.iter().filter(fits).map(|tag| tag.tag.clone()).collect();
    }
}

/// Where to send recordings.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The join token, as the console shows it. Needed at the first start only.
    pub join: Option<String>,
    /// A file that holds the join token, so that it need not stand in the settings.
    pub join_file: Option<PathBuf>,
}

impl std::fmt::Debug for ServerSettings {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSettings").field("join_file", &self.join_file).finish_non_exhaustive()
    }
}

/// One display to record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "DisplayForm")]
pub struct DisplaySettings {
    /// The X display, for example `:10`.
    pub display: String,
    /// The file with the display's cookie. Without it: `XAUTHORITY`, then the session user's `.Xauthority`, then one's own.
    pub xauthority: Option<PathBuf>,
    /// Name of the session's user. Without it: whoever owns the display's socket.
    pub user: Option<String>,
    /// The published application; `desktop` when there is none.
    pub application: Option<String>,
    /// The socket of the session's sound server. Without it: where the session's own programs find it.
    pub sound_server: Option<PathBuf>,
}

/// The two ways to write a display down.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a display such as \":10\", or a table with display, xauthority, user, application, sound_server"
)]
enum DisplayForm {
    Name(String),
    Table(DisplayTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisplayTable {
    display: String,
    xauthority: Option<PathBuf>,
    user: Option<String>,
    application: Option<String>,
    sound_server: Option<PathBuf>,
}

impl From<DisplayForm> for DisplaySettings {
    fn from(form: DisplayForm) -> Self {
        match form {
            DisplayForm::Name(display) => Self::new(display),
            DisplayForm::Table(DisplayTable { display, xauthority, user, application, sound_server }) => {
                Self { display, xauthority, user, application, sound_server }
            }
        }
    }
}

impl DisplaySettings {
    /// A display about which nothing special is known.
    pub fn new(display: impl Into<String>) -> Self {
        Self { display: display.into(), xauthority: None, user: None, application: None, sound_server: None }
    }
}

/// The queue on disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSettings {
    /// Most bytes that wait on disk: at least 64 MiB, 1 GiB by default.
    pub quota_bytes: u64,
    /// Bytes of the disk that stay free whatever the quota says: 256 MiB by default, or 2 % of a small disk.
    pub least_free_bytes: u64,
    /// What to do when there is no room any more, by either measure.
    pub when_full: WhenFull,
    /// With [`WhenFull::StopSession`]: what is done to the session, as a command for the shell.
    pub stop_command: Option<String>,
    /// Most bytes of queues that were set aside because the server does not take them, or because they are damaged: 256 MiB by
    /// default. Beyond that the oldest of them are deleted.
    pub refused_quota_bytes: u64,
}

/// What to do when the queue is full. Whatever is missing is declared in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// Keep what is queued, and record nothing more until there is room.
    #[default]
    Pause,
    /// Go on recording, and let go of the oldest segment that is queued.
    KeepNewest,
    /// End the recording, do to the session what the stop command says, and begin another recording once there is room.
    StopSession,
}

impl WhenFull {
    /// The name used in settings, on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::KeepNewest => "keep-newest",
            Self::StopSession => "stop-session",
        }
    }
}

impl std::str::FromStr for WhenFull {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pause" => Ok(Self::Pause),
            "keep-newest" => Ok(Self::KeepNewest),
            "stop-session" => Ok(Self::StopSession),
            _ => Err(format!("expected pause, keep-newest or stop-session, got '{text}'")),
        }
    }
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            quota_bytes: 1 << 30,
            least_free_bytes: 256 << 20,
            when_full: WhenFull::default(),
            stop_command: None,
            refused_quota_bytes: 256 << 20,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: "/var/lib/playhead-agent".into(),
            host: None,
            server: ServerSettings::default(),
            displays: Vec::new(),
            sessions: SessionSettings::default(),
            applications: Applications::default(),
            masks: Vec::new(),
            spool: SpoolSettings::default(),
            audio: AudioSettings::default(),
            picture: PictureSettings::default(),
        }
    }
}

impl Settings {
    /// Reads a settings file (TOML).
    ///
    /// # Errors
    /// A file that cannot be read, or that says something that is no setting.
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let text =
            fs::read_to_string(path).map_err(|source| AgentError::File { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| AgentError::Settings { path: path.to_owned(), reason: error.to_string() })
    }

    /// Checks what can be checked before anything is started.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), AgentError> {
        let wrong = |reason: String| Err(AgentError::Setting(reason));
        if self.displays.is_empty() && !self.sessions.discover {
            return wrong(
                "there is no display to record: give --display :N, or displays in the settings; or --sessions, to record the \
                 sessions of this machine's users as the site's policy says"
                    .into(),
            );
        }
        let SessionSettings { delivery_groups, tags, domains, .. } = &self.sessions;
        let names = delivery_groups.iter().chain(tags.iter().map(|tag| &tag.tag)).chain(domains);
        for name in names {
            if !(1..=MOST_NAME).contains(&name.trim().len()) {
                return wrong(format!(
                    "expected 1 to {MOST_NAME} bytes for a delivery group, a tag or a domain, got '{name}'"
                ));
            }
        }
        if delivery_groups.len() > MOST_NAMES || tags.len() > MOST_NAMES || domains.len() > MOST_NAMES {
            return wrong(format!("expected at most {MOST_NAMES} delivery groups, tags and domains each"));
        }
        self.applications.check().or_else(wrong)?;
        for (at, display) in self.displays.iter().enumerate() {
            let name = &display.display;
            let parsed = x11rb::reexports::x11rb_protocol::parse_display::parse_display(Some(name));
            // Displays are TCP ports from 6000 on, too.
            if parsed.map_or(u16::MAX, |parsed| parsed.display) > u16::MAX - 6_000 {
                return wrong(format!("expected a display such as :10, got '{name}'"));
            }
            if self.displays[..at].iter().any(|other| other.display == *name) {
                return wrong(format!("display {name} is given twice: give it once"));
            }
        }
        if self.masks.len() > Mask::MOST {
            return wrong(format!("expected at most {} masks, got {}", Mask::MOST, self.masks.len()));
        }
        for mask in &self.masks {
            mask.check().or_else(|error| wrong(error.to_string()))?;
        }
        self.picture.check().or_else(|error| wrong(error.to_string()))?;
        if self.spool.quota_bytes < LEAST_QUOTA {
            return wrong(format!(
                "expected a queue of at least {LEAST_QUOTA} bytes, got {}: raise quota_bytes",
                self.spool.quota_bytes
            ));
        }
        if !BIT_RATES.contains(&self.audio.bit_rate) {
            return wrong(format!(
                "expected from {} to {} bits a second for sound, got {}: change bit_rate",
                BIT_RATES.start(),
                BIT_RATES.end(),
                self.audio.bit_rate
            ));
        }
        if self.spool.stop_command.is_some() && self.spool.when_full != WhenFull::StopSession {
            return wrong(
                "stop_command is of no use without when_full = \"stop-session\": set both, or neither".into(),
            );
        }
        if self.server.join.is_some() && self.server.join_file.is_some() {
            return wrong("the join token is given twice: use either join or join_file".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_sets_nothing_but_what_is_the_default() {
        let text = include_str!("../../../deploy/agent.toml");
        let written: String = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if setting.starts_with('[') => setting,
                Some(setting) if setting.contains(" = ") && !setting.starts_with(' ') => setting,
                _ => line,
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let example: Settings = toml::from_str(&written).unwrap();
        assert_eq!(example.spool, SpoolSettings::default());
        assert_eq!(example.audio, AudioSettings::default());
        assert_eq!(example.picture, PictureSettings::default());
        let delivery_groups = vec!["Office desktops".into()];
        assert_eq!(
            SessionSettings { tags: Vec::new(), domains: Vec::new(), ..example.sessions.clone() },
            SessionSettings { delivery_groups, ..SessionSettings::default() }
        );
        assert_eq!((example.sessions.tags.len(), example.sessions.domains.len()), (2, 2));
        assert_eq!(example.applications.iter().count(), 2);
        example.check().unwrap();
        for policy in [WhenFull::Pause, WhenFull::KeepNewest, WhenFull::StopSession] {
            assert_eq!(policy.as_str().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.as_str());
            assert!(text.contains(&format!("\"{}\"", policy.as_str())));
        }
        assert_eq!(example.data, Settings::default().data);
        example.displays.iter().for_each(|display| assert!(display.display.starts_with(':')));
        toml::from_str::<Settings>(text).unwrap();
    }

    #[test]
    fn a_display_is_a_name_or_a_table_and_typing_errors_are_named() {
        let settings: Settings = toml::from_str(
            "displays = [\":10\", { display = \":11\", user = \"anna\", xauthority = \"/home/anna/.Xauthority\" }]\n\
             [spool]\nwhen_full = \"keep-newest\"\n",
        )
        .unwrap();
        assert_eq!(settings.displays[0], DisplaySettings::new(":10"));
        assert_eq!(settings.displays[1].user.as_deref(), Some("anna"));
        assert_eq!(settings.spool.when_full, WhenFull::KeepNewest);
        settings.check().unwrap();
        for wrong in ["displais = []", "[spool]\nquota = 1", "displays = [{ display = \":1\", usr = \"x\" }]"]
        {
            assert!(toml::from_str::<Settings>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sessions_get_the_hosts_groups_and_the_tags_that_fit() {
        let settings: Settings = toml::from_str(
            "[sessions]\ndiscover = true\ndelivery_groups = [\"Office\"]\n\
             tags = [{ tag = \"all\" }, { tag = \"outside\", addresses = [\"203.0.113.0/24\"], protocol = \"rdp\" }]\n",
        )
        .unwrap();
        settings.check().unwrap();
        let tags = |address: &str, protocol| {
            let mut facts = SessionFacts { address: address.parse().ok(), ..SessionFacts::default() };
            settings.sessions.complete(&mut facts, protocol);
            assert_eq!(facts.delivery_groups, ["Office"]);
            facts.tags
        };
        assert_eq!(tags("203.0.113.9", RemoteProtocol::Rdp), ["all", "outside"]);
        assert_eq!(tags("203.0.113.9", RemoteProtocol::Vnc), ["all"]);
        assert_eq!(tags("", RemoteProtocol::Rdp), ["all"]);
        let mut wrong = settings.clone();
        wrong.sessions.domains.push(" ".into());
        assert!(wrong.check().unwrap_err().to_string().contains("a delivery group"));
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let with = |names: &[&str]| Settings {
            displays: names.iter().map(|&name| DisplaySettings::new(name)).collect(),
            ..Settings::default()
        };
        let no_mask: Mask = toml::from_str("colour = \"grey\"").unwrap();
        for (settings, expected) in [
            (with(&[]), "no display"),
            (with(&["ten"]), "got 'ten'"),
            (with(&[":1", ":1"]), "given twice"),
            (with(&[":64999"]), "expected a display such as :10"),
            (Settings { masks: vec![no_mask.clone()], ..with(&[":1"]) }, "needs class"),
            (Settings { masks: vec![no_mask; 65], ..with(&[":1"]) }, "at most 64"),
            (
                Settings { spool: SpoolSettings { quota_bytes: 1, ..Default::default() }, ..with(&[":1"]) },
                "at least 67108864",
            ),
            (
                Settings { audio: AudioSettings { enabled: true, bit_rate: 500 }, ..with(&[":1"]) },
                "16000 to 256000",
            ),
            (
                Settings {
                    spool: SpoolSettings { stop_command: Some("true".into()), ..Default::default() },
                    ..with(&[":1"])
                },
                "stop-session",
            ),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
