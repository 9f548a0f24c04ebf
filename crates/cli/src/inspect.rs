//! `playhead inspect`: shows what is in recording files.

use crate::verify::{
    Scanned, counted, ending_text, plain, print_particulars, scan_all, time_text, unreadable_json,
};
use playhead_format::{
    Channel, ChannelUse, Flags, RecordingReport, Report, ScannedFragment, SegmentReport, Status, verify_scans,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

const ABOUT_EXIT: &str = "\
Exit status:
  0  all files could be read, whether intact or not (`playhead verify` judges that)
  2  a file is not found, is not a recording or was made by a newer version";

/// Show what is in recording files
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT_EXIT)]
pub(crate) struct Args {
    /// Recording files, or directories that are searched for .mcap files
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// List every fragment
    #[arg(long)]
    fragments: bool,
}

/// The fragments of each file, by the file's name.
type Tables = BTreeMap<String, Vec<ScannedFragment>>;

/// Reads the files and prints what is in them.
///
/// # Errors
/// When a directory cannot be searched or nothing can be printed.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let scanned = scan_all(&args.paths)?;
    let tables = tables(&scanned);
    let report = verify_scans(scanned);
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json_of(&report, &tables, args.fragments))?;
    } else {
        print(&report, &tables, args.fragments, &mut out)?;
    }
    Ok(ExitCode::from(if report.unreadable.is_empty() { 0 } else { 2 }))
}

fn tables(scanned: &[Scanned]) -> Tables {
    let readable = scanned.iter().filter_map(|(file, scan)| Some((file, scan.as_ref().ok()?)));
    readable.map(|(file, scan)| (file.clone(), scan.fragments.clone())).collect()
}

fn json_of(report: &Report, tables: &Tables, fragments: bool) -> Value {
    let recordings: Vec<Value> = report
        .recordings
        .iter()
        .map(|recording| {
            let segments: Vec<Value> = recording
                .segments
                .iter()
                .map(|segment| segment_json(segment, of(tables, segment), fragments))
                .collect();
            json!({
                "id": recording.id,
                "status": recording.status,
                "info": recording.info,
                "start_us": recording.start_us,
                "end_us": recording.end_us,
                "fragments": recording.fragments,
                "head": recording.head,
                "end": recording.end,
                "gaps": recording.gaps,
                "masks": recording.masks,
                "channels": channels_json(&recording.channels),
                "segments": segments,
            })
        })
        .collect();
    json!({ "recordings": recordings, "unreadable": unreadable_json(report) })
}

fn segment_json(segment: &SegmentReport, table: &[ScannedFragment], fragments: bool) -> Value {
    let mut value = json!({
        "file": segment.file,
        "segment": segment.segment,
        "bytes": segment.bytes,
        "ending": segment.ending,
        "fragments": segment.fragments,
        "damaged": segment.damaged,
        "key_frames": key_frames(table),
        "anchors": anchors(table),
        "uncompressed": table.iter().map(|fragment| fragment.uncompressed).sum::<u64>(),
    });
    if fragments {
        value["table"] = table.iter().map(fragment_json).collect();
    }
    value
}

fn fragment_json(fragment: &ScannedFragment) -> Value {
    let head = &fragment.head;
    json!({
        "seq": head.seq,
        "start_us": head.start_us,
        "end_us": head.end_us,
        "wall_us": head.wall_us,
        "flags": names(head.flags),
        "anchor_seq": head.anchor_seq,
        "activity": head.activity,
        "events": head.events,
        "width": head.width,
        "height": head.height,
        "offset": fragment.offset,
        "length": fragment.length,
        "uncompressed": fragment.uncompressed,
        "hash": fragment.hash,
    })
}

fn channels_json(channels: &BTreeMap<u16, ChannelUse>) -> Value {
    channels
        .iter()
        .map(|(id, used)| (channel_name(*id), json!(used)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn print(report: &Report, tables: &Tables, fragments: bool, out: &mut impl Write) -> io::Result<()> {
    for recording in &report.recordings {
        print_recording(recording, tables, fragments, out)?;
    }
    for file in &report.unreadable {
        writeln!(out, "{}: {}", plain(&file.file), plain(&file.text))?;
    }
    Ok(())
}

fn print_recording(
    recording: &RecordingReport,
    tables: &Tables,
    fragments: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "recording {}", recording.id)?;
    print_particulars(recording, out)?;
    if recording.status != Status::Intact {
        writeln!(out, "  not intact or not complete: `playhead verify` tells why")?;
    }
    for segment in &recording.segments {
        let table = of(tables, segment);
        let number = segment.segment.map_or_else(|| "?".to_owned(), |number| number.to_string());
        writeln!(
            out,
            "  segment {number}: {}, {} bytes, {}, {} ({}), {}",
            plain(&segment.file),
            segment.bytes,
            counted(segment.fragments as u64, "fragment"),
            counted(key_frames(table) as u64, "key frame"),
            counted(anchors(table) as u64, "anchor"),
            ending_text(segment.ending)
        )?;
        if fragments {
            table.iter().try_for_each(|fragment| print_fragment(fragment, out))?;
        }
    }
    for (id, used) in &recording.channels {
        let name = channel_name(*id);
        let messages = counted(used.messages, "message");
        writeln!(out, "  channel {name}: {messages}, {} bytes before compression", used.bytes)?;
    }
    Ok(())
}

fn print_fragment(fragment: &ScannedFragment, out: &mut impl Write) -> io::Result<()> {
    let head = &fragment.head;
    writeln!(
        out,
        "    {:>6}  {} to {}  {:>9} bytes at {:>10}  {:>9} px  {}x{}  {}",
        head.seq,
        time_text(head.start_us),
        time_text(head.end_us),
        fragment.length,
        fragment.offset,
        head.activity,
        head.width,
        head.height,
        names(head.flags).join(" ")
    )
}

fn of<'a>(tables: &'a Tables, segment: &SegmentReport) -> &'a [ScannedFragment] {
    tables.get(&segment.file).map(Vec::as_slice).unwrap_or_default()
}

fn key_frames(table: &[ScannedFragment]) -> usize {
    table.iter().filter(|fragment| fragment.head.flags.key_frame).count()
}

fn anchors(table: &[ScannedFragment]) -> usize {
    table.iter().filter(|fragment| fragment.head.flags.anchor).count()
}

fn names(flags: Flags) -> Vec<&'static str> {
    [
        (flags.first_of_segment, "first-of-segment"),
        (flags.anchor, "anchor"),
        (flags.repeated, "repeated"),
        (flags.key_frame && !flags.anchor, "key-frame"),
        (flags.gap_before, "gap-before"),
        (flags.last, "last"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}

fn channel_name(id: u16) -> String {
    Channel::from_id(id).map_or_else(|| id.to_string(), |channel| channel.topic().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn inspect(name: &str) -> (Report, Tables) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors").join(name);
        let scanned = scan_all(&[path]).unwrap();
        let tables = tables(&scanned);
        (verify_scans(scanned), tables)
    }

    #[test]
    fn json_has_what_the_file_has() {
        let (report, tables) = inspect("whole.mcap");
        let value = json_of(&report, &tables, true);
        let recording = &value["recordings"][0];
        assert_eq!(recording["status"], "intact");
        assert_eq!(recording["info"]["user"], "alice");
        let segment = &recording["segments"][0];
        let table = segment["table"].as_array().unwrap();
        assert_eq!(segment["fragments"], table.len());
        assert_eq!(table[0]["flags"], json!(["first-of-segment", "anchor"]));
        assert_eq!(recording["channels"]["fragment"]["messages"], table.len());
        assert_eq!(recording["head"], table.last().unwrap()["hash"]);
        assert!(json_of(&report, &tables, false)["recordings"][0]["segments"][0]["table"].is_null());
    }

    #[test]
    fn text_lists_segments_fragments_and_channels() {
        let (report, tables) = inspect("whole.mcap");
        let mut out = Vec::new();
        print(&report, &tables, true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in
            ["alice on host-1", "segment 0: ", "first-of-segment anchor", "channel screen: ", "declared gap"]
        {
            assert!(text.contains(part), "expected '{part}' in:\n{text}");
        }
    }
}
