//! Sessions of users, recorded or not: what the agents that are connected here say of them, and what people want done with one.
//!
//! * `agents`: the connections of agents, and what they said that is not written down yet;
//! * `keep`: writing that down, and forgetting what ended long ago;
//! * `command`: starting and stopping to record;
//! * `report`: sessions as people see them;
//! * `admin`: the same beside a server.

mod admin;
mod agents;
mod command;
mod keep;
mod report;

pub use admin::SessionAdmin;
pub(crate) use agents::{Agents, TooManySessions};
pub(crate) use command::{Wanted, command};
pub(crate) use keep::{flush, run as keep};
pub(crate) use report::{Query, list, one};
pub use report::{
    RecordingReport, SessionList, SessionListed, SessionQuery, SessionReport, SessionSite, StateQuery,
};
