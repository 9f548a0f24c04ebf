//! `playhead repack`: a recording's file packed otherwise, the same content with the same proof.

use anyhow::{Context as _, ensure};
use playhead_format::{Density, repack};
use serde::Serialize;
use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

/// The largest file that is packed again: it is worked on in memory.
const MOST: u64 = 1 << 30;

/// Pack a recording's file otherwise: with zstd, for other programs that read MCAP files, or dense. Content and proof stay the same
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A segment's file, finished
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to write; it must not be there yet
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// How
    #[arg(long = "as", value_enum, value_name = "HOW", default_value = "zstd")]
    how: How,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum How {
    Zstd,
    Dense,
}

#[derive(Debug, Serialize)]
struct Report {
    fragments: u64,
    /// Fragments that only Playhead opens.
    dense: u64,
    bytes_before: u64,
    bytes: u64,
}

/// Packs, and prints what came of it.
///
/// # Errors
/// A file that is not there, not intact or too large; an output that is there already.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.file.display();
    let size = fs::metadata(&args.file).with_context(|| format!("cannot read {name}"))?.len();
    ensure!(size <= MOST, "{name} has {size} bytes, expected at most {MOST}: cut it into segments");
    let file = fs::read(&args.file).with_context(|| format!("cannot read {name}"))?;
    let density = match args.how {
        How::Zstd => Density::Zstd,
        How::Dense => Density::Dense { least_percent: 1 },
    };
    let packed = repack(&file, density, || true).with_context(|| format!("cannot pack {name}"))?;
    let failed = || format!("cannot write {}", args.out.display());
    let mut out = fs::File::create_new(&args.out).with_context(failed)?;
    out.write_all(&packed.bytes).and_then(|()| out.sync_all()).with_context(failed)?;
    let report = Report {
        fragments: packed.fragments,
        dense: packed.dense,
        bytes_before: file.len() as u64,
        bytes: packed.bytes.len() as u64,
    };
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
    } else {
        let Report { fragments, dense, bytes_before, bytes } = report;
        writeln!(
            stdout,
            "{fragments} fragments, {dense} of them dense: {bytes} bytes instead of {bytes_before}"
        )?;
    }
    Ok(())
}
