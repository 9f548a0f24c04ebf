//! `playhead verify`: proves that recordings are whole and unchanged, and by whom they were made and kept.

mod document;
mod stamps;

use anyhow::Context;
use playhead_format::{
    Closing, Ending, FormatError, Problem, RecordingReport, Report, SegmentScan, Status, scan,
};
use playhead_model::WallTime;
use playhead_proof::{Proof, ProofProblem, ProofState, Proved, StampTrust, Trust, prove};
use serde_json::{Value, json};
use stamps::Stamped;
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
     (files missing, a file cut off, a copy of a recording that was still being made); a signature, seal or time stamp is wrong;
     with --authority also: not signed, not sealed, by somebody who is not trusted, or the end is not signed
  2  not readable: not found, not a recording, or made by a newer version; nothing else is wrong

Give all files of a recording, or the directory they are in: they are verified as one chain.

Without --authority, signatures must fit together, and recordings without any are let pass. Export what to trust with
'playhead certificate export', and keep it away from the server: whoever holds a server may hold its authority's key as
well, so give the certificates of the agents too (export --pin, or an agent's certificate.pem).";

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
    /// Certificates to trust, PEM: of authorities, or of single agents and sites; recordings must be signed by these. May be repeated
    #[arg(long, value_name = "FILE")]
    authority: Vec<PathBuf>,
    /// Certificates of time stamping authorities to trust, PEM; the end of every recording must have a time stamp (RFC 3161) by one of
    /// them, in a file beside it whose name has .tsr added. Without this, time stamps that are there must fit. May be repeated
    #[arg(long, value_name = "FILE")]
    tsa_ca: Vec<PathBuf>,
    /// Write a report to hand over; the ending tells the form: .txt, .html or .json
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Accept recordings whose beginning or end is not there, if what is there is unchanged
    #[arg(long)]
    allow_incomplete: bool,
}

/// What was found, and against what it was checked.
struct Checked {
    proved: Proved,
    trust: Option<Trust>,
    stamps: Vec<Stamped>,
    exit: u8,
    at: WallTime,
}

impl Checked {
    fn verdict(&self) -> &'static str {
        document::verdict_text(self.proved.status())
    }

    /// Everything for machines: the report with each recording's proof, and the worst of all as `status`.
    fn json(&self) -> anyhow::Result<Value> {
        let mut value = serde_json::to_value(&self.proved.report)?;
        for (recording, proof) in self.proved.proofs.iter().enumerate() {
            value["recordings"][recording]["proof"] = serde_json::to_value(proof)?;
        }
        value["status"] = serde_json::to_value(self.proved.status())?;
        value["exit"] = self.exit.into();
        value["verified_at"] = serde_json::to_value(self.at)?;
        value["time_stamps"] = serde_json::to_value(&self.stamps)?;
        let trusted = self.trust.iter().flat_map(|trust| trust.authorities().chain(trust.pinned()));
        value["trusted"] = serde_json::to_value(trusted.collect::<Vec<_>>())?;
        Ok(value)
    }
}

/// Verifies and prints what was found.
///
/// # Errors
/// When a directory cannot be searched, a certificate to trust cannot be read, or nothing can be printed or written.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let form = args.report.as_deref().map(Form::of).transpose()?;
    let trust = trust(&args.authority)?;
    let authorities = stamp_trust(&args.tsa_ca)?;
    let scanned = scan_all(&args.paths)?;
    let stamps = stamps::check(&scanned, authorities.as_ref());
    let proved = prove(scanned, trust.as_ref());
    let wrong = stamps.iter().any(|stamped| stamped.problem.is_some());
    let exit = match exit_status(proved.status(), args.allow_incomplete) {
        0 | 2 if wrong => 1,
        exit => exit,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = WallTime::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
    let checked = Checked { proved, trust, stamps, exit, at };
    if let (Some(form), Some(path)) = (form, &args.report) {
        let text = match form {
            Form::Text => document::text(&checked),
            Form::Html => document::html(&checked),
            Form::Json => format!("{:#}\n", checked.json()?),
        };
        std::fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))?;
    }
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", checked.json()?)?;
    } else {
        print(&checked.proved, &checked.stamps, &mut out)?;
    }
    Ok(ExitCode::from(exit))
}

/// In which form a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Html,
    Json,
}

impl Form {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => Ok(Self::Text),
            Some("html") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            _ => anyhow::bail!("expected a report that ends in .txt, .html or .json, got {}", path.display()),
        }
    }
}

/// Whom to trust, from all files together.
fn trust(paths: &[PathBuf]) -> anyhow::Result<Option<Trust>> {
    let mut text = String::new();
    for path in paths {
        let read = std::fs::read_to_string(path);
        text.push_str(&read.with_context(|| format!("cannot read the authority {}", path.display()))?);
        text.push('\n');
    }
    if paths.is_empty() {
        return Ok(None);
    }
    Ok(Some(Trust::from_pem(&text).context("cannot use what was given with --authority")?))
}

/// Which time stamping authorities to trust, from all files together.
fn stamp_trust(paths: &[PathBuf]) -> anyhow::Result<Option<StampTrust>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    for path in paths {
        let read = std::fs::read_to_string(path);
        text.push_str(&read.with_context(|| format!("cannot read the authority {}", path.display()))?);
        text.push('\n');
    }
    Ok(Some(StampTrust::from_pem(&text).context("cannot use what was given with --tsa-ca")?))
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

fn print(proved: &Proved, stamps: &[Stamped], out: &mut impl Write) -> io::Result<()> {
    for (recording, proof) in proved.report.recordings.iter().zip(&proved.proofs) {
        print_recording(recording, proof, out)?;
        for stamped in stamps.iter().filter(|stamped| stamped.recording == recording.id) {
            let mark = if stamped.problem.is_some() { "! " } else { "" };
            writeln!(out, "  {mark}{}", stamped.text())?;
        }
    }
    for file in &proved.report.unreadable {
        writeln!(out, "{}: NOT READABLE", plain(&file.file))?;
        writeln!(out, "  {}", plain(&file.text))?;
    }
    Ok(())
}

fn print_recording(recording: &RecordingReport, proof: &Proof, out: &mut impl Write) -> io::Result<()> {
    let verdict = match recording.status {
        Status::Intact if proof.state == ProofState::NotProved => "NOT PROVED",
        Status::Intact if proof.state == ProofState::EndNotProved => "NOT PROVED TO ITS END",
        Status::Intact => "INTACT",
        Status::Incomplete => "NOT COMPLETE: what is there is unchanged, but not all is there",
        Status::Damaged | Status::Unreadable => "NOT INTACT",
    };
    writeln!(out, "recording {}: {verdict}", recording.id)?;
    print_particulars(recording, out)?;
    writeln!(out, "  {}", document::state_text(proof.state))?;
    for (who, signer) in
        proof.agents.iter().map(|agent| ("agent", agent)).chain(proof.sites.iter().map(|site| ("site", site)))
    {
        for certificate in &signer.certificates {
            writeln!(
                out,
                "  {who} {}: {}, certificate {} valid {} to {}",
                plain(&certificate.name),
                counted(signer.signatures, "signature"),
                certificate.fingerprint,
                certificate.not_before,
                certificate.not_after
            )?;
        }
    }
    for authority in &proof.authorities {
        writeln!(out, "  authority named: {}, {}", plain(&authority.name), authority.fingerprint)?;
    }
    for problem in &recording.problems {
        writeln!(out, "  ! {}", problem_text(problem))?;
    }
    for problem in &proof.problems {
        writeln!(out, "  ! {}", proof_problem_text(problem))?;
    }
    for open in &proof.not_proved {
        writeln!(out, "  not proved: {}", plain(open))?;
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
    for mask in &recording.masks {
        let from = time_text(mask.first_us);
        writeln!(out, "  masked from {from} on: {}", plain(&mask.to_string()))?;
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

fn proof_problem_text(problem: &ProofProblem) -> String {
    let mut place = Vec::new();
    place.extend(problem.file.as_deref().map(plain));
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
        let proved = prove(scan_all(paths).unwrap(), None);
        (exit_status(proved.status(), false), proved.report)
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
        let proved = prove(scan_all(&[vectors().join("flipped-content.mcap")]).unwrap(), None);
        let mut out = Vec::new();
        print(&proved, &[], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("NOT INTACT") && text.contains("flipped-content.mcap, byte "), "{text}");
        let checked = Checked { proved, trust: None, stamps: vec![], exit: 1, at: WallTime::from_micros(0) };
        for document in [document::text(&checked), document::html(&checked)] {
            for part in ["NOT INTACT", "flipped-content.mcap, byte ", "1970-01-01", "it is not signed"] {
                assert!(document.contains(part), "expected {part} in {document}");
            }
        }
        let json = checked.json().unwrap();
        assert_eq!((&json["status"], &json["exit"]), (&json!("damaged"), &json!(1)));
        assert_eq!(json["recordings"][0]["proof"]["state"], "not-signed");
    }

    #[test]
    fn a_report_tells_its_form_by_its_name_and_certificates_must_be_some() {
        assert_eq!(Form::of(Path::new("a/b.html")).unwrap(), Form::Html);
        assert!(Form::of(Path::new("report.pdf")).unwrap_err().to_string().contains(".txt, .html or .json"));
        assert!(trust(&[]).unwrap().is_none());
        let error = trust(&[vectors().join("whole.json")]).unwrap_err();
        assert!(format!("{error:#}").contains("found none"), "{error:#}");
    }

    #[test]
    fn text_from_files_cannot_steer_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".into(), "0 files".into()));
        assert_eq!(time_text(3_723_004_999), "1:02:03.004");
    }
}
