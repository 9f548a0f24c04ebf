//! The domain's words as types: ids, times, recordings, roles and permissions, settings.
//!
//! This crate is pure: it does no I/O, reads no clock and draws no randomness. Whatever comes from
//! outside arrives as bytes or values.

mod access;
mod contents;
mod ids;
pub mod mask;
mod picture;
pub mod policy;
mod recording;
mod session;
mod settings;
mod time;

pub use access::{Permission, Role, Scope, Statement, UnknownName};
pub use contents::Contents;
pub use ids::{AgentId, RecordingId, ServerId, SessionId, SiteId};
pub use mask::{AppliedMask, Mask, MaskColour};
pub use picture::{PictureMode, PictureSettings, Quality};
pub use recording::{EndReason, Gap, GapCause, Monitor, RecordedSession, RecordingInfo, RecordingState};
pub use session::{
    Decided, Notice, NoticeError, PolicyDocument, RemoteProtocol, SessionCommand, SessionInfo,
    SessionRecording, SessionState,
};
pub use settings::{RecordingSettings, SettingsError};
pub use time::{TimeError, WallTime};
