//! The console: where people sign in, find recordings and play them.
//!
//! It keeps accounts, sessions, sites and recording servers in a database of its own. Recordings stay with their sites: the console asks a
//! site on the reader's behalf, either the site's router in the same process or a tunnel that one of its servers dialled, with
//! a signed statement of who asks. It serves the REST API under `/api/v1`, its OpenAPI document, and the web app.

mod accounts;
mod api;
mod clients;
mod clock;
mod console;
mod core;
mod directories;
mod problem;
mod sites;
mod streams;
#[cfg(test)]
mod testing;
mod token;
mod web;

pub use api::openapi;
pub use clients::{ApiClientAdmin, ApiClientError, ClientSite, KeptApiClient, NewApiClient};
pub use console::{Console, ConsoleError, FirstSignIn, LocalSite, Monitor, Password, Settings};
pub use directories::{DirectoryAdmin, DirectoryReport, StepReport, TestReport};
