//! Messages for operators, on standard error.

use clap::ValueEnum;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Flags that every subcommand takes.
#[derive(Debug, clap::Args)]
#[group(id = "logging")]
pub(crate) struct Args {
    /// How messages on standard error look
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, env = "PLAYHEAD_LOG_FORMAT")]
    log_format: Format,
    /// Which messages are shown: error, warn, info, debug or trace, also for single modules (`info,playhead_server=debug`)
    #[arg(long, global = true, value_name = "FILTER", default_value = "info", env = "PLAYHEAD_LOG")]
    log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins logging.
pub(crate) fn start(args: &Args) {
    let (filter, wrong) = match EnvFilter::try_new(&args.log) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, filter = args.log, "cannot understand the log filter, using 'info'");
    }
}
