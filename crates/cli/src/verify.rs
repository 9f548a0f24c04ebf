//! `playhead verify`: proves that recordings are whole and unchanged.

use anyhow::Context;
use playhead_format::{
    Closing, Ending, FormatError, Problem, RecordingReport, Report, SegmentScan, Status, scan, verify_scans,
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A file or a directory found while walking, with what was found in it.
pub(crate) type Scanned = (String, Result<SegmentScan, FormatError>);

const ABOUT_EXIT: &str = "\
Exit status:
  0  intact: every recording given is there from its first fragment to its end, and nothing was changed
  1  not intact: something was changed, removed, added or reordered, or the beginning or the end is not there
     (files missing, a file cut off, a copy of a recording that was still being made)
  2  not readable: not found, not a recording, or made by a newer version; nothing else is wrong

Give all files of a recording, or the directory they are in: they are verified as one chain.";

/// Prove that recordings are whole and unchanged
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT_EXIT)]
pub(crate) struct Args {
    /// Recording files, or directories that are searched for .mcap files
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Accept recordings whose beginning or end is not there, if what is there is unchanged
    #[arg(long)]
    allow_incomplete: bool,
}

/// Verifies and prints what was found.
///
/// # Errors
/// When a directory cannot be searched or nothing can be printed.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let report = verify_scans(scan_all(&args.paths)?);
    let exit = exit_status(report.status, args.allow_incomplete);
    let mut out = io::stdout().lock();
    if args.json {
        let mut value = serde_json::to_value(&report)?;
        value["exit"] = exit.into();
        writeln!(out, "{value}")?;
    } else {
        print(&report, &mut out)?;
    }
    Ok(ExitCode::from(exit))
}

const fn exit_status(status: Status, allow_incomplete: bool) -> u8 {
    match status {
        Status::Intact => 0,
        Status::Incomplete if allow_incomplete => 0,
        Status::Incomplete | Status::Damaged => 1,
        Status::Unreadable => 2,
    }
}

/// Goes through the files, and through the recording files in the directories, of whatever depth.
pub(crate) fn scan_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Scanned>> {
    let mut scanned = Vec::new();
    for path in paths {
        if !path.is_dir() {
            scanned.push(scan_file(path));
            continue;
        }
        let mut files = Vec::new();
        find(path, &mut files)?;
        if files.is_empty() {
            let none = io::Error::new(io::ErrorKind::NotFound, "no .mcap file in this directory");
            scanned.push((path.display().to_string(), Err(none.into())));
        }
        scanned.extend(files.iter().map(|file| scan_file(file)));
    }
    Ok(scanned)
}

fn scan_file(path: &Path) -> Scanned {
    let scan = File::open(path).map_err(FormatError::from).and_then(|file| scan(BufReader::new(file)));
    (path.display().to_string(), scan)
}

/// Adds the `.mcap` files below a directory, in the order of their names. Links to directories are not followed.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let in_directory =
        || format!("cannot search {}; check the path and the permissions", directory.display());
    let mut entries = std::fs::read_dir(directory)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .with_context(in_directory)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().with_context(in_directory)?.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "mcap") {
            files.push(path);
        }
    }
    Ok(())
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for recording in &report.recordings {
        print_recording(recording, out)?;
    }
    for file in &report.unreadable {
        writeln!(out, "{}: NOT READABLE", plain(&file.file))?;
        writeln!(out, "  {}", plain(&file.text))?;
    }
    Ok(())
}

fn print_recording(recording: &RecordingReport, out: &mut impl Write) -> io::Result<()> {
    let verdict = match recording.status {
        Status::Intact => "INTACT",
        Status::Incomplete => "NOT COMPLETE: what is there is unchanged, but not all is there",
        Status::Damaged | Status::Unreadable => "NOT INTACT",
    };
    writeln!(out, "recording {}: {verdict}", recording.id)?;
    print_particulars(recording, out)?;
    for problem in &recording.problems {
        writeln!(out, "  ! {}", problem_text(problem))?;
    }
    Ok(())
}

/// What a recording is of, how long it is, its gaps and its end.
pub(crate) fn print_particulars(recording: &RecordingReport, out: &mut impl Write) -> io::Result<()> {
    match &recording.info {
        Some(info) => writeln!(
            out,
            "  {} on {} (display {}), {}, started {}",
            plain(&info.user),
            plain(&info.host),
            plain(&info.display),
            plain(&info.application),
            info.started_at
        )?,
        None => writeln!(out, "  its particulars are not in these files")?,
    }
    writeln!(
        out,
        "  {} to {}, {} in {}, chain head {}",
        time_text(recording.start_us),
        time_text(recording.end_us),
        counted(recording.fragments as u64, "fragment"),
        counted(recording.segments.len() as u64, "file"),
        recording.head
    )?;
    for gap in &recording.gaps {
        let (from, to) = (time_text(gap.from_us), time_text(gap.to_us));
        writeln!(out, "  declared gap from {from} to {to}: {}", gap.cause)?;
    }
    let closing = recording.segments.last().and_then(|segment| segment.closing);
    match (&recording.end, closing) {
        (Some(end), _) => writeln!(out, "  ended at {}: {}", time_text(end.at_us), end.reason),
        (None, Some(Closing::Lost)) => writeln!(out, "  closed without an end: the agent was lost"),
        (None, _) => Ok(()),
    }
}

fn problem_text(problem: &Problem) -> String {
    let mut place = Vec::new();
    place.extend(problem.file.as_deref().map(plain));
    place.extend(problem.offset.map(|offset| format!("byte {offset}")));
    place.extend(problem.seq.map(|seq| format!("fragment {seq}")));
    format!("{}: {}", place.join(", "), plain(&problem.text))
}

/// How a file ends, in words.
pub(crate) fn ending_text(ending: Ending) -> String {
    match ending {
        Ending::Finished => "finished".to_owned(),
        Ending::Unfinished { torn: 0 } => "unfinished".to_owned(),
        Ending::Unfinished { torn } => format!("unfinished, its last {torn} bytes are the start of a record"),
        Ending::Damaged { bytes } => format!("damaged, its last {bytes} bytes cannot be used"),
    }
}

/// Media time as hours, minutes, seconds and milliseconds.
pub(crate) fn time_text(us: u64) -> String {
    let (seconds, ms) = (us / 1_000_000, us / 1_000 % 1_000);
    format!("{}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A number with its noun.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Text from a file made harmless for a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The unreadable files as JSON.
pub(crate) fn unreadable_json(report: &Report) -> Value {
    json!(report.unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors")
    }

    fn judge(paths: &[PathBuf]) -> (u8, Report) {
        let report = verify_scans(scan_all(paths).unwrap());
        (exit_status(report.status, false), report)
    }

    #[test]
    fn exit_status_tells_intact_from_not_intact_from_not_readable() {
        for (name, exit) in [("whole", 0), ("truncated", 1), ("flipped-content", 1), ("foreign-profile", 2)] {
            assert_eq!(judge(&[vectors().join(name).with_extension("mcap")]).0, exit, "{name}");
        }
        assert_eq!(judge(&[vectors().join("no such file")]).0, 2);
        assert_eq!(exit_status(Status::Incomplete, true), 0);
        assert_eq!(exit_status(Status::Damaged, true), 1);
    }

    #[test]
    fn a_directory_is_searched_and_its_files_are_one_chain() {
        let directory = std::env::temp_dir().join(format!("playhead-verify-{}", std::process::id()));
        let inner = directory.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        for number in 0..3 {
            let name = format!("segments-{number}.mcap");
            std::fs::copy(vectors().join(&name), inner.join(&name)).unwrap();
        }
        std::fs::write(directory.join("notes.txt"), "no recording").unwrap();
        let (exit, report) = judge(std::slice::from_ref(&directory));
        let (exit_empty, _) = {
            std::fs::remove_dir_all(&inner).unwrap();
            judge(std::slice::from_ref(&directory))
        };
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!((exit, report.recordings.len(), report.recordings[0].segments.len()), (0, 1, 3));
        assert_eq!(exit_empty, 2);
    }

    #[test]
    fn what_is_printed_says_what_and_where() {
        let (_, report) = judge(&[vectors().join("flipped-content.mcap")]);
        let mut out = Vec::new();
        print(&report, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("NOT INTACT") && text.contains("flipped-content.mcap, byte "), "{text}");
    }

    #[test]
    fn text_from_files_cannot_steer_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
        assert_eq!(time_text(3_723_004_999), "1:02:03.004");
    }
}
