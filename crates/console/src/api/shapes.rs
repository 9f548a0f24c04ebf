//! The shapes of the API's answers that several endpoints share.

use playhead_model::{
    Decided, EndReason, GapCause, RecordingId, RecordingState, RemoteProtocol, ServerId, SessionId, SiteId,
    WallTime,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A site, as far as a reader needs it to know what is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteRef {
    /// The site's id at this console.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: SiteId,
    /// Its name.
    pub(crate) name: String,
}

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Recording {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: RecordingId,
    /// The site that keeps it.
    pub(crate) site: SiteRef,
    /// Name of the session host.
    pub(crate) host: String,
    /// Name of the user whose session it is.
    pub(crate) user: String,
    /// The X display.
    pub(crate) display: String,
    /// Name of the client machine, where known.
    #[schema(required)]
    pub(crate) client: Option<String>,
    /// Address of the client machine, where known.
    #[schema(required)]
    pub(crate) client_address: Option<String>,
    /// The published application, or `desktop`.
    pub(crate) application: String,
    /// Where it stands in its life.
    #[schema(value_type = State)]
    pub(crate) state: RecordingState,
    /// Whether its agent is connected now; meaningful while it is live.
    #[serde(default)]
    pub(crate) connected: bool,
    /// Wall clock at media time 0.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: WallTime,
    /// Wall clock at its end, once it has ended.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(crate) ended_at: Option<WallTime>,
    /// Media time of its end so far, microseconds.
    pub(crate) duration_us: u64,
    /// Bytes that it takes.
    pub(crate) bytes: u64,
    /// Segments so far.
    pub(crate) segments: u64,
    /// Width of the screen, pixels.
    pub(crate) width: u32,
    /// Height of the screen, pixels.
    pub(crate) height: u32,
    /// Declared gaps.
    pub(crate) gaps: u64,
    /// Events.
    pub(crate) events: u64,
    /// Version of the agent that made it.
    pub(crate) agent_version: String,
    /// Why it ended.
    #[schema(value_type = Option<EndedBy>, required)]
    pub(crate) end_reason: Option<EndReason>,
    /// What is wrong with it, when it is set aside.
    #[schema(required)]
    pub(crate) problem: Option<String>,
    /// Why it is set aside, and since when; null for every other recording.
    #[serde(default)]
    #[schema(required)]
    pub(crate) quarantine: Option<Quarantine>,
    /// Whether it has sound.
    #[serde(default)]
    pub(crate) sound: bool,
    /// Whether films and photos in it are video, which is not exact.
    #[serde(default)]
    pub(crate) video: bool,
    /// The masks that have covered windows in it, as far as they were met.
    #[serde(default)]
    pub(crate) masks: Vec<AppliedMask>,
    /// The monitors of the desktop when it began; none where only one is known.
    #[serde(default)]
    pub(crate) monitors: Vec<Monitor>,
    /// Whether it is encrypted where it is stored.
    #[serde(default)]
    pub(crate) encrypted: bool,
    /// By whom and when it was made unreadable; null for every other recording.
    #[serde(default)]
    #[schema(required)]
    pub(crate) shredded: Option<Shredding>,
    /// The session it is of; null where a display was recorded that belongs to none.
    #[serde(default)]
    #[schema(required)]
    pub(crate) session: Option<RecordedSession>,
}

/// A mask over an application, which covers its windows in the pictures. All patterns that are given fit such a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AppliedMask {
    /// Media time from which on something may be covered by it, microseconds.
    pub(crate) first_us: u64,
    /// Pattern for the class or instance name of the window.
    #[serde(default)]
    #[schema(required)]
    pub(crate) class: Option<String>,
    /// Pattern for the name of the window's process.
    #[serde(default)]
    #[schema(required)]
    pub(crate) process: Option<String>,
    /// Pattern for the window's title.
    #[serde(default)]
    #[schema(required)]
    pub(crate) title: Option<String>,
    /// What is shown instead: black, grey or white.
    pub(crate) colour: String,
}

/// One monitor of a desktop, in pixels of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Monitor {
    /// Its name as the X server gives it.
    pub(crate) name: String,
    /// Left edge.
    pub(crate) x: i32,
    /// Upper edge.
    pub(crate) y: i32,
    /// Width.
    pub(crate) width: u32,
    /// Height.
    pub(crate) height: u32,
}

/// The session that a recording is of, as it was when the recording began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RecordedSession {
    /// The session: all recordings of it have this id.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: SessionId,
    /// All names of the user.
    pub(crate) users: Vec<String>,
    /// The user's groups.
    pub(crate) groups: Vec<String>,
    /// How the user was connected.
    #[schema(value_type = super::user_sessions::Protocol)]
    pub(crate) protocol: RemoteProtocol,
    /// The host's delivery groups.
    pub(crate) delivery_groups: Vec<String>,
    /// Tags of how the session was reached.
    pub(crate) tags: Vec<String>,
    /// Who decided that it is recorded.
    #[schema(value_type = super::user_sessions::DecidedBy)]
    pub(crate) decided: Decided,
    /// Events alone are recorded: there are no pictures.
    pub(crate) events_only: bool,
}

/// That the key of a recording was deleted: nobody can read it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Shredding {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: WallTime,
    /// By whom.
    pub(crate) by: String,
    /// Why, as they said.
    pub(crate) why: String,
}

/// A recording that is set aside. What is whole of it plays, and nothing of it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Quarantine {
    /// What is wrong with it.
    pub(crate) reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) since: WallTime,
}

/// States of a recording, as the document describes them.
#[derive(ToSchema)]
#[schema(as = RecordingState, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) enum State {
    /// Its agent is recording, or is expected back.
    Live,
    /// Nothing more will come.
    Finished,
    /// It is set aside because something about it is wrong.
    Quarantined,
}

/// Reasons for an end, as the document describes them.
#[derive(ToSchema)]
#[schema(as = EndReason, rename_all = "kebab-case")]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) enum EndedBy {
    /// The display went away.
    SessionEnded,
    /// The agent was stopped in an orderly way.
    AgentStopped,
    /// The agent was lost for longer than the site waits.
    AgentLost,
    /// Somebody or a policy stopped it.
    Stopped,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Total {
    /// The number; at least this many when it is not exact.
    pub(crate) value: u64,
    /// Whether it is exact.
    pub(crate) exact: bool,
}

/// A site that did not answer; the list holds what the others said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SiteProblem {
    /// The site's name.
    pub(crate) site: String,
    /// The site's id.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) site_id: SiteId,
    /// The kind of problem.
    pub(crate) title: String,
    /// What is wrong and what to do.
    pub(crate) detail: String,
}

/// One page of the list of recordings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingPage {
    /// The recordings, in the order asked for.
    pub(crate) items: Vec<Recording>,
    /// The `cursor` of the next page; null at the end.
    pub(crate) next: Option<String>,
    /// How many match over all pages.
    pub(crate) total: Total,
    /// Sites that did not answer.
    pub(crate) problems: Vec<SiteProblem>,
}

/// What happens when in a recording.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers; it is handed on as it is")]
pub(crate) struct Timeline {
    /// Media time of the end, microseconds.
    duration_us: u64,
    /// Whether more may come.
    live: bool,
    /// Activity in each bucket, 0 to 255.
    buckets: Vec<u32>,
    /// Length of a bucket, microseconds.
    bucket_us: u64,
    /// Periods `[from_us, to_us]` in which nothing happens, at most 5,000.
    idle: Vec<[u64; 2]>,
    /// Spans of which nothing is recorded.
    gaps: Vec<Gap>,
    /// Events in each bucket.
    events: Vec<u32>,
}

/// A span of which nothing is recorded.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers")]
pub(crate) struct Gap {
    /// Media time of the last thing before it, microseconds.
    from_us: u64,
    /// Media time at which recording goes on, microseconds.
    to_us: u64,
    /// Why.
    #[schema(value_type = String, example = "agent-restarted")]
    cause: GapCause,
}

/// The segments of a recording.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers")]
pub(crate) struct Segments {
    /// In order.
    items: Vec<Segment>,
}

/// One segment: one file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what a site answers")]
pub(crate) struct Segment {
    /// Its number, from 0 on.
    number: u64,
    /// Media time at which it begins, microseconds.
    start_us: u64,
    /// Media time at which it ends, microseconds.
    end_us: u64,
    /// Bytes.
    bytes: u64,
    /// Fragments in it.
    fragments: u64,
    /// `writing` while it grows, then `stored`.
    #[schema(example = "stored")]
    state: String,
}

/// A session host.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionHost {
    /// Id of its agent.
    pub(crate) id: String,
    /// Its name.
    pub(crate) host: String,
    /// The site it belongs to.
    pub(crate) site: SiteRef,
    /// `active` while its agent is connected, otherwise `inactive`.
    pub(crate) state: String,
    /// Version of the agent.
    pub(crate) version: String,
    /// The operating system's name.
    #[serde(default)]
    pub(crate) system: String,
    /// When it was enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) enrolled_at: WallTime,
    /// When the agent was last heard of.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(crate) last_seen: Option<WallTime>,
    /// Live recordings.
    pub(crate) live_recordings: u64,
    /// The policy that it goes by; null before its agent has said so.
    #[serde(default)]
    #[schema(required)]
    pub(crate) policy: Option<HostPolicy>,
    /// How the agent's queue stands; null before the agent has said so to the server that was asked.
    #[serde(default)]
    #[schema(required)]
    pub(crate) queue: Option<HostQueue>,
}

/// The policy that a session host goes by.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct HostPolicy {
    /// Its revision; the active policy's is the newest.
    pub(crate) revision: u64,
    /// Why it does not go by a newer one.
    #[schema(required)]
    pub(crate) error: Option<String>,
}

/// What waits on a session host until a recording server has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct HostQueue {
    /// When the agent said so: again when anything has changed.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: WallTime,
    /// `ok`, or `full` when there is no room and what `when_full` says is done.
    pub(crate) state: String,
    /// What is done when there is no room: `pause`, `keep-newest` or `stop-session`.
    pub(crate) when_full: String,
    /// Bytes that no server has durably.
    pub(crate) waiting_bytes: u64,
    /// Fragments that no server has durably.
    pub(crate) waiting_fragments: u64,
    /// Age of the oldest of them at the time `at`.
    pub(crate) oldest_seconds: u64,
    /// The most bytes there may be.
    pub(crate) quota_bytes: u64,
    /// Bytes free on the disk.
    pub(crate) free_bytes: u64,
    /// With fewer than these nothing is queued.
    pub(crate) least_free_bytes: u64,
    /// Gaps in recordings since the agent started.
    pub(crate) gaps: u64,
    /// Cause of the newest gap.
    #[schema(required)]
    pub(crate) last_gap: Option<String>,
    /// Queues that were set aside: damaged, or not taken by the server.
    pub(crate) refused: u64,
    /// Bytes of these.
    pub(crate) refused_bytes: u64,
    /// Recordings that were let go of whole, for lack of room, since the agent started.
    pub(crate) lost_recordings: u64,
    /// What is wrong, for people.
    #[schema(required)]
    pub(crate) error: Option<String>,
}

/// All session hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionHosts {
    /// By name.
    pub(crate) items: Vec<SessionHost>,
    /// Sites that did not answer.
    pub(crate) problems: Vec<SiteProblem>,
}

/// A site with its recording servers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Site {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: SiteId,
    /// Its name.
    pub(crate) name: String,
    /// What people say about it.
    pub(crate) description: String,
    /// When it became known here.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: WallTime,
    /// Its recording servers.
    pub(crate) servers: Vec<Server>,
}

/// A recording server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Server {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: ServerId,
    /// Its name.
    pub(crate) name: String,
    /// Whether it can be reached.
    pub(crate) state: ServerState,
    /// Its version.
    pub(crate) version: String,
    /// Since when it is connected, when it is.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(crate) connected_at: Option<WallTime>,
    /// When it was last heard of.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub(crate) last_seen: Option<WallTime>,
}

/// Whether a recording server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ServerState {
    /// It is connected.
    Available,
    /// It is not.
    Offline,
}

/// All sites.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteList {
    /// By name.
    pub(crate) items: Vec<Site>,
}
