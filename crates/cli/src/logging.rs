//! Messages for operators, on standard error.

use crate::traces;
use clap::ValueEnum;
use std::io::IsTerminal as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

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

/// Begins logging, and sending traces where the environment asks for it.
pub(crate) fn start(args: &Args) -> Option<traces::Exporter> {
    let (filter, wrong) = match EnvFilter::try_new(&args.log) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let (layer, exporter) = match traces::start() {
        Ok(Some((layer, exporter))) => (Some(layer), Ok(Some(exporter))),
        Ok(None) => (None, Ok(None)),
        Err(error) => (None, Err(error)),
    };
    let output = fmt::layer().with_writer(std::io::stderr);
    let output = match args.log_format {
        Format::Text => {
            output.with_ansi(std::io::stderr().is_terminal()).with_target(false).with_filter(filter).boxed()
        }
        Format::Json => output.json().flatten_event(true).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(output).with(layer).init();
    if let Some(error) = wrong {
        tracing::warn!(%error, filter = args.log, "cannot understand the log filter, using 'info'");
    }
    exporter.unwrap_or_else(|error| {
        tracing::warn!(%error, "traces are not sent");
        None
    })
}
