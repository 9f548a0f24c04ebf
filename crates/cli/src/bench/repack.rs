//! `playhead bench repack`: what packing stored segments denser saves, and what it costs.

use super::codec::processor_seconds;
use anyhow::{Context as _, Result, ensure};
use playhead_format::{Density, SegmentReader, customary, open_fragment, repack};
use serde::Serialize;
use std::{fs, io::Cursor, path::PathBuf};

/// Measure packing segments denser on a folder of recordings (NAME.mcap)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; `bench codec --store` makes one
    folder: PathBuf,
    /// Least hundredths of a fragment that coding residuals anew has to save; a server's is 8
    #[arg(long, value_name = "PERCENT", default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..=99))]
    least_percent: u8,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Segment {
    segment: String,
    bytes: u64,
    /// With zstd's level 19 alone.
    zstd_bytes: u64,
    dense_bytes: u64,
    fragments: u64,
    dense_fragments: u64,
    /// Processor seconds of packing, the comparison included.
    pack_seconds: f64,
    /// Processor seconds of making all fragments customary again, as for a player.
    open_seconds: f64,
    /// The same of the fragment that takes longest.
    longest_seconds: f64,
}

/// Measures.
///
/// # Errors
/// Recordings that cannot be read or are not intact; fragments that come back changed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut names: Vec<PathBuf> = fs::read_dir(&args.folder)
        .with_context(|| format!("cannot read the folder {}", args.folder.display()))?
        .map(|item| Ok(item?.path()))
        .collect::<Result<_>>()?;
    names.retain(|name| name.extension().is_some_and(|end| end == "mcap"));
    names.sort();
    ensure!(!names.is_empty(), "no recordings in {}: expected NAME.mcap", args.folder.display());
    let mut segments = Vec::new();
    for name in names {
        segments.push(measure(&name, args.least_percent).with_context(|| name.display().to_string())?);
    }
    print(&segments, args.json)
}

fn measure(name: &PathBuf, least_percent: u8) -> Result<Segment> {
    let file = fs::read(name)?;
    let zstd = repack(&file, Density::Zstd, || true)?;
    let began = processor_seconds()?;
    let dense = repack(&file, Density::Dense { least_percent }, || true)?;
    let pack_seconds = processor_seconds()? - began;
    let mut old = SegmentReader::open(Cursor::new(&file))?;
    let mut new = SegmentReader::open(Cursor::new(&dense.bytes))?;
    let (mut open_seconds, mut longest_seconds) = (0.0, 0f64);
    for position in 0..new.index().entries.len() {
        let record = new.fragment(position)?;
        let began = processor_seconds()?;
        let plain = customary(&record)?;
        let took = processor_seconds()? - began;
        open_seconds += took;
        longest_seconds = longest_seconds.max(took);
        let (one, other) = (open_fragment(&plain)?, open_fragment(&old.fragment(position)?)?);
        ensure!(one.records() == other.records(), "fragment {position} came back changed: this is a defect");
    }
    Ok(Segment {
        segment: name.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: file.len() as u64,
        zstd_bytes: zstd.bytes.len() as u64,
        dense_bytes: dense.bytes.len() as u64,
        fragments: dense.fragments,
        dense_fragments: dense.dense,
        pack_seconds,
        open_seconds,
        longest_seconds,
    })
}

#[allow(clippy::print_stdout, reason = "the report is what the user asked for")]
fn print(segments: &[Segment], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(segments)?);
        return Ok(());
    }
    println!(
        "{:12} {:>9} {:>7} {:>7} {:>9} {:>9} {:>9}",
        "segment", "MB", "zstd", "dense", "pack MB/s", "open MB/s", "longest s"
    );
    for row in segments {
        let less = |bytes: u64| 100.0 - 100.0 * bytes as f64 / row.bytes as f64;
        let megabytes = row.bytes as f64 / 1e6;
        println!(
            "{:12} {megabytes:9.3} {:6.1}% {:6.1}% {:9.2} {:9.2} {:9.3}",
            row.segment,
            less(row.zstd_bytes),
            less(row.dense_bytes),
            megabytes / row.pack_seconds,
            megabytes / row.open_seconds,
            row.longest_seconds
        );
    }
    Ok(())
}
