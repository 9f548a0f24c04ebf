//! Where whole segments lie: one or several locations, each a folder or an object store.
//!
//! * `settings`, `backend`: what a location is and how it is opened;
//! * `location`: what is asked of one, in bounded time, and how it is doing;
//! * `locations`: all of them, and which one takes what;
//! * `keep`: writing a file so that it is surely there;
//! * `seal`: whole segments out of the journal into storage;
//! * `shelf`: the encrypted layer around files;
//! * `moves`: from one location to another, and removing what is not needed any more;
//! * `tend`: looking after what is stored, in idle time: `repack` packs segments denser, `scrub` reads them through;
//! * `figures`: what is counted meanwhile;
//! * `admin`: what people see of it and can ask for.

mod admin;
mod backend;
mod error;
mod figures;
mod keep;
mod location;
mod locations;
mod lock;
mod moves;
mod objects;
mod repack;
mod scrub;
mod seal;
mod settings;
mod shelf;
mod tend;

pub use admin::{LastError, LocationReport, MoveReport, StorageAdmin, StorageReport, TendDone, Wanted};
pub(crate) use admin::{report, request, set_read_only};
pub(crate) use error::StorageError;
pub(crate) use figures::TendMetrics;
pub(crate) use location::Location;
pub use location::LocationState;
pub(crate) use locations::Locations;
pub(crate) use moves::{Mover, run as run_moves};
pub(crate) use seal::run as run_sealer;
pub use settings::{LocationSettings, LockMode, ObjectLock};
pub(crate) use shelf::plain_bytes;
pub use tend::{DamageReport, Repacking, TendReport, TendSettings};
pub(crate) use tend::{Tender, run as run_tender};

use playhead_model::RecordingInfo;

/// Id of the location that everything lay at before there were several.
pub(crate) const DEFAULT: &str = "default";

/// Where a segment goes: `YYYY/MM/DD/<recording>/<NNNNNN>.mcap`, by the day the recording began, in UTC.
fn path_of(info: &RecordingInfo, number: u32) -> String {
    let day = info.started_at.to_string();
    // The text form starts with YYYY-MM-DD.
    let day = day.get(..10).unwrap_or("0001-01-01").replace('-', "/");
    format!("{day}/{}/{number:06}.mcap", info.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use playhead_model::RecordingId;

    #[test]
    fn segments_lie_by_the_day_they_began() {
        let info = RecordingInfo {
            id: RecordingId::from_bytes([1; 16]),
            host: "h".into(),
            user: "u".into(),
            display: ":1".into(),
            client: None,
            client_address: None,
            application: "desktop".into(),
            started_at: "2026-03-01T23:30:00Z".parse().unwrap(),
            agent_version: "1".into(),
            monitors: vec![],
            session: None,
        };
        assert_eq!(path_of(&info, 7), "2026/03/01/01010101-0101-0101-0101-010101010101/000007.mcap");
    }
}
