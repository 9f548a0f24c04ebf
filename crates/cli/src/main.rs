//! The `playhead` program: one file per subcommand, wiring only.

mod agent;
mod api_client;
mod bench;
mod certificate;
mod console;
mod data;
mod demo;
mod directory;
mod download;
mod events;
mod front;
mod inspect;
mod key;
mod limits;
mod locations;
mod logging;
mod metrics;
mod openapi;
mod place;
mod plan;
mod policy;
mod process;
mod ready;
mod repack;
mod server;
mod servers;
mod session;
mod shred;
mod stop;
mod storage;
mod tending;
#[cfg(test)]
mod testing;
mod token;
mod traces;
mod up;
mod verify;

use clap::{Parser, Subcommand};
use std::{error::Error, process::ExitCode};

/// Records sessions of Linux desktops, keeps the recordings, and plays them in a browser
#[derive(Debug, Parser)]
#[command(name = "playhead", version)]
struct Cli {
    #[command(flatten)]
    log: logging::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::command::Args),
    Up(up::Args),
    Console(console::Args),
    Server(server::Args),
    Agent(agent::Args),
    Inspect(inspect::Args),
    Events(events::Args),
    Verify(verify::Args),
    Token(token::Args),
    Servers(servers::Args),
    Policy(policy::Args),
    Session(session::Args),
    ApiClient(api_client::Args),
    Storage(storage::Args),
    Repack(repack::Args),
    Certificate(certificate::Args),
    Key(key::Args),
    Directory(directory::Args),
    Shred(shred::Args),
    Download(download::Args),
    Bench(bench::Args),
    Plan(plan::Args),
    Openapi(openapi::Args),
}

fn main() -> ExitCode {
    let Cli { log, command } = Cli::parse();
    let traces = logging::start(&log);
    let done = match command {
        Command::Demo(args) => on_runtime(demo::command::run(args)),
        Command::Up(args) => on_runtime(up::run(args)),
        Command::Console(args) => on_runtime(console::run(args)),
        Command::Server(args) => on_runtime(server::run(args)),
        Command::Agent(mut args) => match (args.helper(), agent::examine(&mut args)) {
            (Some(user), _) => agent::help(user),
            (None, Some(examined)) => examined,
            (None, None) => on_runtime(agent::run(args)),
        },
        Command::Inspect(args) => inspect::run(args),
        Command::Events(args) => on_runtime(events::run(args)),
        Command::Verify(args) => verify::run(args),
        Command::Token(args) => on_runtime(token::run(args)),
        Command::Servers(args) => on_runtime(servers::run(args)),
        Command::Policy(args) => on_runtime(policy::run(args)),
        Command::Session(args) => on_runtime(session::run(args)),
        Command::ApiClient(args) => on_runtime(api_client::run(args)),
        Command::Storage(args) => on_runtime(storage::run(args)),
        Command::Repack(args) => repack::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Certificate(args) => on_runtime(certificate::run(args)),
        Command::Directory(args) => on_runtime(directory::run(args)),
        Command::Key(args) => on_runtime(key::run(args)),
        Command::Shred(args) => on_runtime(shred::run(args)),
        Command::Download(args) => on_runtime(download::run(args)),
        Command::Bench(args) => on_runtime(bench::run(args)),
        Command::Plan(args) => plan::run(&args),
        Command::Openapi(args) => openapi::run(&args),
    };
    if let Some(traces) = traces {
        traces.finish();
    }
    done.unwrap_or_else(|error| {
        // Standard error may be closed; then nobody can be told.
        let _ =
            std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("playhead: {}\n", told(&error)));
        ExitCode::FAILURE
    })
}

/// Runs a command that waits for many things at a time. Whatever it writes is for its user alone: recordings, keys, databases.
fn on_runtime(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    limits::raise_open_files();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(command)?;
    // What still blocks a thread, a name being looked up for example, must not hold up the end.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// An error with its causes, each unless the words before hold it already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(<dyn Error>::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("disk gone");
        let error = anyhow::Error::new(inner).context("cannot write x: disk gone").context("cannot start");
        assert_eq!(told(&error), "cannot start: cannot write x: disk gone");
    }
}
