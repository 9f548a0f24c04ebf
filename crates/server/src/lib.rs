//! The recording server: takes recordings in from agents, keeps them, and gives them out again.
//!
//! * `intake`: agents' connections and enrolment;
//! * `certificates`: who signs here, and the seals of segments;
//! * `journal`: where fragments become durable;
//! * `keys`: encryption at rest, and the end of a recording by that of its key;
//! * `storage`: where whole segments go;
//! * `download`: a recording as one file;
//! * `stamps`: time stamps by somebody else;
//! * `recordings`: what is known of recordings that are live or not stored yet;
//! * `playback`: fragments by time or number, timelines;
//! * `api`: the site's REST API, which a console calls;
//! * `cluster`: the servers of one site together;
//! * `policy`: recording policies, and telling agents which one is active;
//! * `sessions`: sessions of users, and starting and stopping to record them;
//! * `tunnel`: the connection that this server keeps to its console.

mod api;
mod asked;
mod certificates;
mod clock;
mod cluster;
mod core;
mod download;
mod error;
mod folder;
mod identity;
mod intake;
mod journal;
mod keys;
mod metrics;
mod playback;
mod policy;
mod progress;
mod recordings;
mod server;
mod sessions;
mod settings;
mod space;
mod stamps;
mod start;
mod storage;
mod token;
mod tunnel;

#[cfg(test)]
#[path = "../tests/site/fragments.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole server")]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fragments;

pub use asked::AskError;
pub use certificates::{CertificateAdmin, CertificateReport, IssuedCertificate};
pub use cluster::{ServerReport, ServersAdmin};
pub use download::Downloader;
pub use error::ServerError;
pub use journal::JournalError;
pub use keys::{AddressError, KeyAdmin, KeyReport, RewrapReport, ShredReport, SiteKeyAddress, SiteKeyReport};
pub use metrics::Monitor;
pub use playback::{Event, EventReader, EventReport};
pub use policy::{
    ActiveReport, DiffReport, HistoryReport, ItemReport, NamedPolicy, NamedRule, PolicyAdmin, PolicyDetail,
    PolicyList, PolicySummary, RevisionReport, RuleReport, Simulation, SimulationFacts, SimulationReport,
    VersionDetail, VersionReport, VersionsReport,
};
pub use server::Server;
pub use sessions::{
    RecordingReport, SessionAdmin, SessionList, SessionListed, SessionQuery, SessionReport, SessionSite,
    StateQuery,
};
pub use settings::{Durable, Settings};
pub use stamps::StampSettings;
pub use storage::{
    DamageReport, LastError, LocationReport, LocationSettings, LocationState, LockMode, MoveReport,
    ObjectLock, Repacking, StorageAdmin, StorageReport, TendDone, TendReport, TendSettings, Wanted,
};
pub use token::agent_token;

/// Version of this server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
