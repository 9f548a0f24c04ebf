//! `playhead openapi`: prints the description of the console's REST API.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Print the description of the console's REST API (OpenAPI 3.1, JSON)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints it.
///
/// # Errors
/// Standard output is closed.
pub(crate) fn run(_: &Args) -> anyhow::Result<ExitCode> {
    io::stdout().lock().write_all(playhead_console::openapi().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
