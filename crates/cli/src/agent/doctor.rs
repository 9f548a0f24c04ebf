//! `playhead agent doctor`: what is missing on this host.

use super::Place;
use playhead_agent::{
    Settings,
    doctor::{Ability, Diagnosis, Finding, State, examine},
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Where the package puts the settings.
const USUAL: &str = "/etc/playhead/agent.toml";

/// Say what this host lacks for recording, and how to get it. Ends with 1 when something that the settings ask for is missing
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// For scripts: JSON
    #[arg(long)]
    json: bool,
}

/// Looks at this host.
///
/// # Errors
/// The settings file that is given cannot be used.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { mut place, json } = args;
    let usual = PathBuf::from(USUAL);
    if place.settings.is_none() && place.data.is_none() && usual.exists() {
        place.settings = Some(usual);
    }
    let named = place.settings.clone();
    let (settings, unread) = match place.settings() {
        Ok(settings) => (settings, None),
        // The package's file holds a token: it is for root alone.
        Err(error) if named.as_deref() == Some(Path::new(USUAL)) => (Settings::default(), Some(error)),
        Err(error) => return Err(error),
    };
    let mut diagnosis = examine(&settings, Path::new("/"));
    let unread = unread.as_ref().map(ToString::to_string);
    if let Some(error) = &unread {
        not_read(&mut diagnosis, error, std::fs::File::open(USUAL).is_ok());
    }
    let mut out = io::stdout().lock();
    if json {
        let text = serde_json::json!({ "well": diagnosis.is_well() && unread.is_none(), "settings-error": unread,
            "findings": diagnosis.findings });
        writeln!(out, "{text}")?;
    } else {
        say(&diagnosis, &mut out)?;
        if unread.is_some() {
            writeln!(out, "The settings were not looked at: what they ask for is not known.")?;
        }
    }
    Ok(if diagnosis.is_well() && unread.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says of the settings that they could not be read, instead of what is true of having none.
fn not_read(diagnosis: &mut Diagnosis, error: &str, is_open: bool) {
    for finding in diagnosis.findings.iter_mut().filter(|finding| finding.ability == Ability::Settings) {
        let (state, remedy) = if is_open {
            (State::Missing, "correct the file")
        } else {
            (State::Unknown, "run it as root: sudo playhead agent doctor")
        };
        *finding = Finding {
            ability: Ability::Settings,
            state,
            asked: true,
            found: error.to_owned(),
            remedy: Some(remedy.to_owned()),
        };
    }
}

fn say(diagnosis: &Diagnosis, out: &mut impl Write) -> io::Result<()> {
    for Finding { ability, state, asked, found, remedy } in &diagnosis.findings {
        let mark = match (state, asked) {
            (State::Ok, _) => "ok",
            (State::Missing, true) => "MISSING",
            (State::Missing, false) => "without",
            (State::Unknown, _) => "unknown",
        };
        writeln!(out, "{mark:8} {:12} {found}", ability.as_str())?;
        if let Some(remedy) = remedy {
            writeln!(out, "{:21} -> {remedy}", "")?;
        }
    }
    let end = if diagnosis.is_well() {
        "Nothing is missing that the settings ask for."
    } else {
        "Something is missing that the settings ask for."
    };
    writeln!(out, "\n{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_what_to_do() {
        let finding = |state: &str, asked: bool| {
            serde_json::json!({ "ability": "sound", "state": state, "asked": asked, "found": "no sound",
                "remedy": "apt-get install x" })
        };
        let text = |state, asked| {
            let findings = serde_json::json!({ "findings": [finding(state, asked)] });
            let mut out = Vec::new();
            say(&serde_json::from_value(findings).unwrap(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(text("missing", true).starts_with("MISSING  sound        no sound\n"));
        assert!(text("missing", true).contains("-> apt-get install x\n\nSomething is missing"));
        assert!(text("missing", false).contains("Nothing is missing"));
        assert!(text("unknown", true).starts_with("unknown"));
    }

    #[test]
    fn settings_that_cannot_be_read_are_not_called_empty() {
        let findings = serde_json::json!({ "findings": [{ "ability": "settings", "state": "missing", "asked": true,
            "found": "the settings name nothing to record", "remedy": "x" }] });
        let mut diagnosis: Diagnosis = serde_json::from_value(findings).unwrap();
        not_read(&mut diagnosis, "permission denied", false);
        assert_eq!(diagnosis.findings[0].state, State::Unknown);
        assert!(diagnosis.findings[0].remedy.as_ref().unwrap().contains("sudo"));
        not_read(&mut diagnosis, "line 3", true);
        assert_eq!(
            (diagnosis.findings[0].state, diagnosis.findings[0].found.as_str()),
            (State::Missing, "line 3")
        );
    }
}
