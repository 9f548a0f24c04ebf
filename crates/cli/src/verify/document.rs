//! The report of a verification as a document to hand over: the same content as text and as HTML.

use super::{Checked, plain, problem_text, time_text};
use playhead_format::{Closing, RecordingReport, Status};
use playhead_model::WallTime;
use playhead_proof::{CertificateInfo, Proof, ProofState, SignerReport};
use std::fmt::Write as _;

/// A heading with what stands below it.
struct Section {
    title: String,
    rows: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Section {
    fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new(), lines: Vec::new() }
    }

    fn row(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push((name.to_owned(), plain(&value.into())));
    }

    fn line(&mut self, line: impl Into<String>) {
        self.lines.push(plain(&line.into()));
    }
}

/// The document as text.
pub(super) fn text(checked: &Checked) -> String {
    let mut out = String::from("VERIFICATION REPORT\n");
    for section in sections(checked) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{}\n{}", section.title, "-".repeat(section.title.chars().count()));
        for (name, value) in &section.rows {
            let _ = writeln!(out, "{name:<22} {value}");
        }
        for line in &section.lines {
            let _ = writeln!(out, "* {line}");
        }
    }
    out
}

/// The document as one HTML file that needs nothing else.
pub(super) fn html(checked: &Checked) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Verification report</title>\n\
         <style>body{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}\
         table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;width:14rem;vertical-align:top}\
         th,td{padding:.25rem .5rem;border-bottom:1px solid #ccc;overflow-wrap:anywhere}h2{margin-top:2rem}</style></head>\n\
         <body><h1>Verification report</h1>\n",
    );
    for section in sections(checked) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<h2>{}</h2>", escaped(&section.title));
        if !section.rows.is_empty() {
            out.push_str("<table>\n");
            for (name, value) in &section.rows {
                let _ = writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
            }
            out.push_str("</table>\n");
        }
        if !section.lines.is_empty() {
            out.push_str("<ul>\n");
            for line in &section.lines {
                let _ = writeln!(out, "<li>{}</li>", escaped(line));
            }
            out.push_str("</ul>\n");
        }
    }
    out.push_str("</body></html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

fn sections(checked: &Checked) -> Vec<Section> {
    let mut all = vec![summary(checked), method()];
    let proved = &checked.proved;
    for (recording, proof) in proved.report.recordings.iter().zip(&proved.proofs) {
        all.push(particulars(recording));
        all.push(files(recording));
        all.push(signatures(recording, proof));
        let of = |stamped: &&super::Stamped| stamped.recording == recording.id;
        let mut stamps = Section::new(format!("Time stamps of {}", recording.id));
        checked.stamps.iter().filter(of).for_each(|stamped| stamps.line(stamped.text()));
        if !stamps.lines.is_empty() {
            all.push(stamps);
        }
        let mut problems = Section::new(format!("What is wrong with {}", recording.id));
        recording.problems.iter().for_each(|problem| problems.line(problem_text(problem)));
        proof.problems.iter().for_each(|problem| problems.line(super::proof_problem_text(problem)));
        if !problems.lines.is_empty() {
            all.push(problems);
        }
        let mut open = Section::new(format!("What is not proved of {}", recording.id));
        proof.not_proved.iter().for_each(|line| open.line(line));
        all.push(open);
    }
    if !proved.report.unreadable.is_empty() {
        let mut section = Section::new("Files that are not readable");
        let unreadable = &proved.report.unreadable;
        unreadable.iter().for_each(|file| section.line(format!("{}: {}", file.file, file.text)));
        all.push(section);
    }
    all
}

fn summary(checked: &Checked) -> Section {
    let mut section = Section::new("Result");
    section.row("Verdict", checked.verdict());
    section.row("Exit status", checked.exit.to_string());
    section.row("Verified at", format!("{} (UTC)", checked.at));
    section.row("Verified by", concat!("playhead ", env!("CARGO_PKG_VERSION")));
    for authority in checked.trust.iter().flat_map(|trust| trust.authorities()) {
        section.row("Trusted authority", certificate(authority));
    }
    for pinned in checked.trust.iter().flat_map(|trust| trust.pinned()) {
        section.row("Trusted by itself", certificate(pinned));
    }
    if checked.trust.is_none() {
        section.row("Trusted authority", "none was given: whom to trust was not checked");
    }
    section
}

fn method() -> Section {
    let mut section = Section::new("What was checked, and how");
    for line in [
        "Every fragment by its checksum, and that it is in its place: numbers, times, segments and anchors.",
        "The hash chain (BLAKE3): every fragment names the hash of the one before, from the first to the last.",
        "Every file: that it is finished, that index and summary tell what is there, and that nothing follows.",
        "The agent's signatures (Ed25519): each covers its fragment and, by the chain, everything before it.",
        "The site's seal of each segment (Ed25519): that it is this segment's, and when it says it was stored.",
        "The certificates (X.509) of both: that they were valid when signed, and, where an authority was given, lead to it and were not revoked.",
        "Time stamps beside the files (RFC 3161): that each is over the seal of its file, is signed, and, where authorities were given, by one of them.",
        "All of this offline, from the files alone.",
    ] {
        section.line(line);
    }
    section
}

fn particulars(recording: &RecordingReport) -> Section {
    let mut section = Section::new(format!("Recording {}", recording.id));
    if let Some(info) = &recording.info {
        section.row("Host", &info.host);
        section.row("User", &info.user);
        section.row("Display", &info.display);
        section.row("Application", &info.application);
        for (name, value) in [("Client", &info.client), ("Client's address", &info.client_address)] {
            if let Some(value) = value {
                section.row(name, value);
            }
        }
        section.row("Agent's version", &info.agent_version);
        let at = |us: u64| info.started_at.plus_micros(i64::try_from(us).unwrap_or(i64::MAX)).to_string();
        section.row("From (UTC)", at(recording.start_us));
        section.row("To (UTC)", at(recording.end_us));
    }
    section.row(
        "Recorded time",
        format!("{} to {}", time_text(recording.start_us), time_text(recording.end_us)),
    );
    section.row("Fragments", recording.fragments.to_string());
    section.row("Segments", recording.segments.len().to_string());
    section.row("Head of the chain", recording.head.to_string());
    let closing = recording.segments.last().and_then(|segment| segment.closing);
    section.row(
        "End",
        match (&recording.end, closing) {
            (Some(end), _) => format!("at {}: {}", time_text(end.at_us), end.reason),
            (None, Some(Closing::Lost)) => {
                "none: the agent was lost and the site closed the recording".into()
            }
            (None, _) => "not in these files".into(),
        },
    );
    if recording.gaps.is_empty() {
        section.row("Gaps", "none declared");
    }
    for gap in &recording.gaps {
        let (from, to) = (time_text(gap.from_us), time_text(gap.to_us));
        section.row("Gap", format!("{from} to {to}: {}", gap.cause));
    }
    for mask in &recording.masks {
        section.row("Masked", format!("{mask}, from {} on", time_text(mask.first_us)));
    }
    section
}

fn files(recording: &RecordingReport) -> Section {
    let mut section = Section::new(format!("Files of {}", recording.id));
    for segment in &recording.segments {
        let number = segment.segment.map_or_else(|| "?".into(), |number| number.to_string());
        let name = format!("Segment {number}");
        section.row(
            &name,
            format!(
                "{}: {} bytes, {} fragments, {}",
                segment.file,
                segment.bytes,
                segment.fragments,
                super::ending_text(segment.ending)
            ),
        );
    }
    section
}

fn signatures(recording: &RecordingReport, proof: &Proof) -> Section {
    let mut section = Section::new(format!("Who signed {}", recording.id));
    section.row("Signatures", state_text(proof.state));
    for agent in &proof.agents {
        signer(&mut section, "Agent", agent);
    }
    if let Some(covered) = proof.covered {
        let end = if covered.is_end { ", the end of the recording" } else { "" };
        let seq = covered.seq;
        section.row("Signed up to", format!("fragment {seq} at {}{end}", time_text(covered.end_us)));
    }
    for site in &proof.sites {
        signer(&mut section, "Site", site);
    }
    for seal in &proof.seals {
        let right = if seal.right { "right" } else { "WRONG" };
        section.row(
            &format!("Seal of segment {}", seal.segment),
            format!("{right}, by {} at {} (UTC, the site's clock)", seal.site, seal.sealed_at),
        );
    }
    for authority in &proof.authorities {
        section.row("Authority named", certificate(authority));
    }
    section
}

fn signer(section: &mut Section, name: &str, signer: &SignerReport) {
    section.row(name, format!("key {}", signer.key));
    let span = |at: Option<WallTime>| at.map_or_else(|| "?".into(), |at| at.to_string());
    section.row(
        &format!("{name}'s signatures"),
        format!("{}, from {} to {} (UTC)", signer.signatures, span(signer.first_at), span(signer.last_at)),
    );
    for info in &signer.certificates {
        section.row(&format!("{name}'s certificate"), certificate(info));
    }
    section.row(
        &format!("{name} trusted"),
        match signer.trusted {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not checked",
        },
    );
}

fn certificate(info: &CertificateInfo) -> String {
    format!(
        "{}, issued by {}, valid {} to {}, SHA-256 {}",
        info.name, info.issuer, info.not_before, info.not_after, info.fingerprint
    )
}

/// How it stands with signatures, in words.
pub(super) const fn state_text(state: ProofState) -> &'static str {
    match state {
        ProofState::Proved => {
            "signed by its agent from beginning to end and sealed by its site; both are trusted"
        }
        ProofState::NotChecked => {
            "the signatures are right; it was not checked whether the signers can be trusted"
        }
        ProofState::NotSigned => "not signed",
        ProofState::EndNotProved => {
            "what is signed is proved, but the agent's signature under the end is not there"
        }
        ProofState::NotProved => {
            "NOT PROVED: a signature or seal is wrong, missing, or by somebody who is not trusted"
        }
    }
}

/// The verdict on everything, in words.
pub(super) const fn verdict_text(status: Status) -> &'static str {
    match status {
        Status::Intact => "INTACT",
        Status::Incomplete => "NOT COMPLETE: what is there is unchanged, but not all is there or proved",
        Status::Damaged => "NOT INTACT",
        Status::Unreadable => "NOT READABLE",
    }
}
