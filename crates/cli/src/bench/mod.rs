//! `playhead bench`: measuring the codec, and making what is measured.

mod codec;
mod load;
mod policy;
mod repack;
mod replay;
mod sharpness;
mod trace;

use crate::demo::corpus;

/// Measure the codec, and make the traces that are measured
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Codec(codec::Args),
    Replay(replay::Args),
    Load(load::Args),
    Repack(repack::Args),
    Policy(policy::Args),
    /// Make lossless traces of desktop activity
    Corpus(corpus::CorpusArgs),
    /// Run the virtual desktop without recording it
    Desktop(corpus::LiveArgs),
}

/// Does it.
///
/// # Errors
/// Whatever keeps it from being done.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.what {
        What::Codec(args) => tokio::task::spawn_blocking(move || codec::run(&args)).await?,
        What::Replay(args) => replay::run(args).await,
        What::Repack(args) => tokio::task::spawn_blocking(move || repack::run(&args)).await?,
        What::Policy(args) => tokio::task::spawn_blocking(move || policy::run(&args)).await?,
        What::Load(args) => load::run(args).await,
        What::Corpus(args) => corpus::run_corpus(args).await,
        What::Desktop(args) => corpus::run_desktop(args).await,
    }
}
