//! `playhead events`: what happened in a stored recording, on the server's own machine.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_model::RecordingId;
use playhead_server::{Event, EventReader, EventReport};
use serde_json::Value;
use std::fmt::Write as _;

/// Show what happened in a recording, as far as it is in storage; the console shows live ones, too
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording
    #[arg(value_name = "RECORDING")]
    recording: RecordingId,
    /// Nothing before this media time, microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    from_us: u64,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// `next` of the answer before
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Prints the events.
///
/// # Errors
/// There is no such recording, or it cannot be read.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { recording, from_us, limit, cursor, place } = args;
    let reader = EventReader::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("read recordings"))?;
    let read = reader.read(recording, from_us, limit as usize, cursor.as_deref()).await;
    reader.close().await;
    answer(place.json, &read?, text)
}

fn text(report: &EventReport) -> String {
    let mut text: String = report.items.iter().map(line).collect();
    if report.items.is_empty() {
        text.push_str("There are none.\n");
    }
    // Writing to a String cannot fail.
    if let Some(next) = &report.next {
        let _ = writeln!(text, "\nThere are more: --cursor {next}");
    }
    if !report.whole {
        text.push_str("\nNot all of the recording is in storage yet; the console shows the rest.\n");
    }
    text
}

fn line(event: &Event) -> String {
    let Event { at_us, at, kind, particulars } = event;
    let mut line = format!("{:>10}.{:06} s  {at}  {}", at_us / 1_000_000, at_us % 1_000_000, plain(kind));
    for (name, value) in particulars {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Writing to a String cannot fail.
        let _ = write!(line, "  {}={}", plain(name), plain(&value));
    }
    line.push('\n');
    line
}

/// An agent's words, without what would steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse_at;
    use playhead_model::WallTime;
    use playhead_server::{Server, Settings};
    use serde_json::json;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_recording_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let nobody = "00000000-0000-0000-0000-000000000001";
        let error = run(parse_at(data, &[nobody]).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("was a recording server"), "{error}");
        Server::start(Settings::new(data)).await.unwrap().shutdown().await;
        let error = run(parse_at(data, &[nobody]).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("no recording"), "{error}");
        assert!(parse_at::<Args>(data, &[nobody, "--limit", "0"]).is_err());
    }

    #[test]
    fn lines_hold_no_words_for_the_terminal() {
        let particulars = json!({ "what": "\u{1b}[2J", "signal": 9 }).as_object().unwrap().clone();
        let event =
            Event { at_us: 1_000_001, at: WallTime::from_micros(0), kind: "no\ntice".into(), particulars };
        let report = EventReport { items: vec![event], next: Some("3-1".into()), whole: false };
        let told = text(&report);
        assert!(told.contains("1.000001 s") && told.contains("signal=9") && told.contains("--cursor 3-1"));
        assert!(!told.contains('\u{1b}') && told.contains("no\u{fffd}tice"), "{told}");
        assert_eq!(text(&EventReport { items: vec![], next: None, whole: true }), "There are none.\n");
    }
}
