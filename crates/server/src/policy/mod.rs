//! Recording policies: what people do with them, and telling agents which one is active.
//!
//! * `report`: policies as people see them;
//! * `change`: making, changing, activating and removing them;
//! * `simulate`: what a policy would do with a session;
//! * `tell`: agents get to know what is active;
//! * `admin`: all of that beside a server.

mod admin;
mod change;
mod report;
mod simulate;
mod tell;

pub use admin::PolicyAdmin;
pub(crate) use change::{activate, change, create, duplicate, remove, set_notices};
pub use report::{
    ActiveReport, DiffReport, HistoryReport, PolicyDetail, PolicyList, PolicySummary, RevisionReport,
    VersionDetail, VersionReport, VersionsReport,
};
pub(crate) use report::{diff, history, list, one, version, versions};
pub(crate) use simulate::simulate;
pub use simulate::{
    ItemReport, NamedPolicy, NamedRule, RuleReport, Simulation, SimulationFacts, SimulationReport,
};
pub(crate) use tell::{Document, Telling, run as tell};
