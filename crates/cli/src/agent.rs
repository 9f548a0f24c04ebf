//! `playhead agent`: records the displays of this machine.

mod doctor;
mod notice;

use crate::{data::default_folder, stop};
use anyhow::Context as _;
use playhead_agent::{
    DisplaySettings, Order, QueueReport, QueueState, QueuedRecording, Report, Settings, WhenFull,
};
use playhead_model::{
    Decided, Mask, PictureMode, PictureSettings, Quality, SessionInfo, WallTime, policy::Action,
};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Record displays of this machine and send the recordings to the site
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    place: Place,
    /// Display to record, such as :10; may be repeated
    #[arg(long = "display", value_name = "DISPLAY")]
    displays: Vec<String>,
    /// Record the sessions of this machine's users (xrdp, Xvnc, local ones) as the site's policy says; run as root
    #[arg(long)]
    sessions: bool,
    /// Application whose windows are covered, such as class=keepassxc,colour=black: patterns for class, process and title, and black,
    /// grey or white; may be repeated
    #[arg(long = "mask", value_name = "MASK")]
    masks: Vec<Mask>,
    /// Join token for an agent, from the console. Needed at the first start only
    #[arg(long, value_name = "TOKEN", env = "PLAYHEAD_JOIN", hide_env_values = true)]
    join: Option<String>,
    /// Name of this machine in recordings [default: its host name]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// MiB that may wait on disk while the server cannot be reached [default: 1024]
    #[arg(long, value_name = "MIB")]
    quota_mib: Option<u64>,
    /// MiB of the disk that stay free whatever the quota says [default: 256, or 2 % of a small disk]
    #[arg(long, value_name = "MIB")]
    least_free_mib: Option<u64>,
    /// What to do when there is no room by either measure: pause, keep-newest or stop-session [default: pause]
    #[arg(long, value_name = "WHAT")]
    when_full: Option<WhenFull>,
    /// With --when-full stop-session: command for the shell that ends the session
    #[arg(long, value_name = "COMMAND")]
    stop_command: Option<String>,
    /// MiB of queues that were set aside and are kept for the administrator [default: 256]
    #[arg(long, value_name = "MIB")]
    refused_quota_mib: Option<u64>,
    /// Record every pixel, or films and photos as video: lossless or lossy [default: lossless]
    #[arg(long, value_name = "MODE")]
    picture: Option<PictureMode>,
    /// With --picture lossy: low, medium, high, or 0 to 100 [default: medium]
    #[arg(long, value_name = "QUALITY")]
    quality: Option<Quality>,
    /// Most pictures a second, 1 to 30 [default: what the site says, 10]
    #[arg(long, value_name = "RATE")]
    frame_rate: Option<u32>,
    /// Record what is heard in the sessions too, from PulseAudio or PipeWire; tell the users
    #[arg(long)]
    audio: bool,
    /// Kbit a second while there is sound, 16 to 256; silence takes none [default: 48]
    #[arg(long, value_name = "KBIT")]
    audio_kbit: Option<u32>,
}

/// Where the agent's settings and data are.
#[derive(Debug, clap::Args)]
struct Place {
    /// Settings file; flags go before what stands in it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Folder for key, identity and queue [default: playhead/agent in the user's data folder, or as in the settings file]
    #[arg(long, value_name = "FOLDER", env = "PLAYHEAD_DATA")]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say what the agent does, what waits in its queue, and what troubles it
    Status(StatusArgs),
    /// Tell the agent that runs to record pictures differently, until it ends
    Picture(PictureArgs),
    Doctor(doctor::Args),
    #[command(hide = true)]
    Notice(notice::Args),
    #[command(hide = true)]
    Helper(HelperArgs),
}

/// Be the agent's helper in a user's session; the agent starts it, with a socket as standard input
#[derive(Debug, clap::Args)]
struct HelperArgs {
    /// Number of the user's account
    #[arg(long)]
    user: u32,
}

#[derive(Debug, clap::Args)]
struct PictureArgs {
    #[command(flatten)]
    place: Place,
    /// Every pixel, or films and photos as video: lossless or lossy
    mode: PictureMode,
    /// Of films and photos: low, medium, high, or 0 to 100
    #[arg(long, value_name = "QUALITY", default_value = "medium")]
    quality: Quality,
    /// Most pictures a second, 1 to 30 [default: what the site says, 10]
    #[arg(long, value_name = "RATE")]
    frame_rate: Option<u32>,
    /// For scripts: JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    place: Place,
    /// For scripts: JSON
    #[arg(long)]
    json: bool,
}

impl Place {
    /// What the file says, if there is one, and the data folder.
    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = match &self.settings {
            Some(path) => Settings::load(path)?,
            None => Settings { data: PathBuf::new(), ..Settings::default() },
        };
        if let Some(data) = self.data {
            settings.data = data;
        } else if self.settings.is_none() {
            settings.data = default_folder("agent")?;
        }
        Ok(settings)
    }
}

impl Args {
    /// The user whose helper this is to be.
    pub(crate) fn helper(&self) -> Option<u32> {
        match self.what {
            Some(What::Helper(HelperArgs { user })) => Some(user),
            _ => None,
        }
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let mut settings = self.place.settings()?;
        if !self.displays.is_empty() {
            // A display of the file keeps what the file says of it.
            let known = std::mem::take(&mut settings.displays);
            let find = |name: String| {
                let found = known.iter().find(|display| display.display == name).cloned();
                found.unwrap_or_else(|| DisplaySettings::new(name))
            };
            settings.displays = self.displays.into_iter().map(find).collect();
        }
        if self.join.is_some() {
            settings.server.join = self.join;
            settings.server.join_file = None;
        }
        settings.masks.extend(self.masks);
        settings.sessions.discover |= self.sessions;
        settings.host = self.host.or(settings.host);
        let picture = &mut settings.picture;
        picture.mode = self.picture.unwrap_or(picture.mode);
        picture.quality = self.quality.unwrap_or(picture.quality);
        picture.frame_rate = self.frame_rate.or(picture.frame_rate);
        settings.audio.enabled |= self.audio;
        if let Some(kbit) = self.audio_kbit {
            settings.audio.bit_rate = kbit.saturating_mul(1_000);
        }
        if let Some(mib) = self.quota_mib {
            settings.spool.quota_bytes = mib.saturating_mul(1 << 20);
        }
        let spool = &mut settings.spool;
        if let Some(mib) = self.least_free_mib {
            spool.least_free_bytes = mib.saturating_mul(1 << 20);
        }
        if let Some(mib) = self.refused_quota_mib {
            spool.refused_quota_bytes = mib.saturating_mul(1 << 20);
        }
        if let Some(when_full) = self.when_full {
            spool.when_full = when_full;
            // The file's is for what the file says.
            spool.stop_command.take_if(|_| when_full != WhenFull::StopSession);
        }
        spool.stop_command = self.stop_command.or(spool.stop_command.take());
        Ok(settings)
    }
}

/// Helps in a user's session until the agent wants it no more. While there is but one thread: what is given up is given up for all.
///
/// # Errors
/// It cannot become the user.
pub(crate) fn help(user: u32) -> anyhow::Result<ExitCode> {
    playhead_agent::helper::run(user)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at the host, where that is what is wanted; its exit code tells what was found.
///
/// # Errors
/// The settings file that is given cannot be used.
pub(crate) fn examine(args: &mut Args) -> Option<anyhow::Result<ExitCode>> {
    match args.what.take_if(|what| matches!(what, What::Doctor(_))) {
        Some(What::Doctor(wanted)) => Some(doctor::run(wanted)),
        _ => None,
    }
}

/// Records until told to stop; then ends the recordings and sends what it can.
///
/// # Errors
/// It cannot start, or the site refuses it.
pub(crate) async fn run(mut args: Args) -> anyhow::Result<()> {
    if let Some(What::Status(status)) = args.what.take_if(|what| matches!(what, What::Status(_))) {
        let data = status.place.settings()?.data;
        let report = playhead_agent::status(&data)
            .with_context(|| format!("no agent ever ran with its data in {}", data.display()))?;
        let mut out = io::stdout().lock();
        if status.json {
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        } else {
            say(&report, &data, &mut out)?;
        }
        return Ok(());
    }
    if let Some(What::Picture(wanted)) = args.what.take_if(|what| matches!(what, What::Picture(_))) {
        return tell_picture(wanted).await;
    }
    if let Some(What::Notice(wanted)) = args.what.take_if(|what| matches!(what, What::Notice(_))) {
        return tokio::task::spawn_blocking(move || notice::run(&wanted)).await?;
    }
    let settings = args.settings()?;
    let stop = stop::on_signal()?;
    Ok(playhead_agent::run(settings, stop).await?)
}

/// Tells the agent that runs how to record pictures.
async fn tell_picture(args: PictureArgs) -> anyhow::Result<()> {
    let PictureArgs { place, mode, quality, frame_rate, json } = args;
    let settings = PictureSettings { mode, quality, frame_rate };
    let (data, order) = (place.settings()?.data, Order::Picture(settings.clone()));
    tokio::task::spawn_blocking(move || playhead_agent::order(&data, &order)).await??;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&settings)?)?;
    } else {
        writeln!(out, "From its next picture on the agent records {}", describe(&settings))?;
    }
    Ok(())
}

/// How pictures are recorded, in words.
fn describe(picture: &PictureSettings) -> String {
    let rate = picture.frame_rate.map(|rate| format!(", at most {rate} a second")).unwrap_or_default();
    match picture.mode {
        PictureMode::Lossless => format!("every pixel{rate}"),
        PictureMode::Lossy => {
            format!(
                "films and photos as video of quality {}, the rest exactly{rate}",
                picture.quality.percent()
            )
        }
    }
}

fn say(report: &Report, data: &Path, out: &mut impl Write) -> io::Result<()> {
    let Report { server, running, displays, sessions, sound, queue, queue_bytes, at, .. } = report;
    let state = match (running, server.connected) {
        (true, true) => "connected",
        (true, false) => "running, not connected",
        (false, _) => "not running",
    };
    writeln!(out, "Agent      {state} (as of {at})")?;
    writeln!(out, "Server     {}", server.url.as_deref().unwrap_or("not joined yet"))?;
    if let Some(error) = &server.error {
        writeln!(out, "           {error}")?;
    }
    for (name, display) in displays {
        let recording = display.recording.map_or_else(|| "not recorded".into(), |id| id.to_string());
        writeln!(out, "Display    {name} {recording}")?;
        if display.recording.is_some() {
            writeln!(out, "           {}", describe(&display.picture))?;
        }
        if let Some(error) = &display.error {
            writeln!(out, "           {error}")?;
        }
    }
    say_sessions(sessions, out)?;
    for (name, heard) in sound {
        match (&heard.sink, &heard.error) {
            (Some(sink), None) => writeln!(out, "Sound      {name} of {sink}")?,
            (_, error) => {
                let why = error.as_deref().unwrap_or("not yet");
                writeln!(out, "Sound      {name} not recorded: {why}")?;
            }
        }
    }
    writeln!(out, "Queue      {queue_bytes} bytes on disk, {} allowed", queue.quota_bytes)?;
    say_queue(queue, *at, out)?;
    for refused in &queue.refused {
        writeln!(out, "Set aside  {} ({} bytes, {})", refused.folder, refused.bytes, refused.since)?;
        writeln!(out, "           {}", refused.why)?;
    }
    if !queue.refused.is_empty() {
        let spool = data.join("spool");
        writeln!(
            out,
            "           nothing needs these any more: delete their folders in {} to free {} bytes",
            spool.display(),
            queue.refused_bytes
        )?;
    }
    if queue.refused_deleted > 0 {
        let QueueReport { refused_deleted, refused_deleted_bytes, .. } = queue;
        writeln!(
            out,
            "           {refused_deleted} older ones of {refused_deleted_bytes} bytes were deleted for lack of room"
        )?;
    }
    Ok(())
}

/// Who is there, and whether that is recorded.
fn say_sessions(sessions: &[SessionInfo], out: &mut impl Write) -> io::Result<()> {
    for SessionInfo { id, user, display, protocol, state, recording, client, facts, .. } in sessions {
        let from = match (client, facts.address) {
            (Some(client), Some(address)) => format!(" from {client} ({address})"),
            (None, Some(address)) => format!(" from {address}"),
            (Some(client), None) => format!(" from {client}"),
            (None, None) => String::new(),
        };
        writeln!(out, "Session    {user} on {display}, {protocol}, {state}{from}")?;
        let done = match recording.action {
            Action::Disable => "not recorded",
            Action::Record | Action::RecordWithNotice => "recorded",
            Action::Events | Action::EventsWithNotice => "events alone are recorded",
        };
        let why = match &recording.decided {
            Decided::Policy { policy, rule: Some(rule), .. } => {
                format!("rule '{rule}' of policy '{policy}'")
            }
            Decided::Policy { policy, rule: None, .. } => format!("policy '{policy}'"),
            Decided::Request { user } => format!("{user} wanted it so"),
            Decided::NoPolicy => "no policy was heard yet".into(),
            Decided::Settings => "the settings name the display".into(),
        };
        writeln!(out, "           {done}: {why}; {id}")?;
        if let Some(trouble) = &recording.trouble {
            writeln!(out, "           {trouble}")?;
        }
    }
    Ok(())
}

/// What waits, and how much room there is.
fn say_queue(queue: &QueueReport, at: WallTime, out: &mut impl Write) -> io::Result<()> {
    let state = match queue.state {
        QueueState::Ok => "there is room",
        QueueState::Paused => "NO ROOM: nothing is recorded",
        QueueState::LettingGo => "NO ROOM: the oldest is let go of",
        QueueState::Stopping => "NO ROOM: sessions are stopped",
    };
    let age = |oldest: Option<WallTime>| match oldest {
        Some(oldest) => {
            format!(", the oldest {} s old", (at.as_micros() - oldest.as_micros()).max(0) / 1_000_000)
        }
        None => String::new(),
    };
    let QueueReport { waiting_fragments, waiting_bytes, free_bytes, least_free_bytes, .. } = queue;
    writeln!(out, "           {state}; when there is none: {}", queue.when_full.as_str())?;
    writeln!(out, "           about {free_bytes} bytes free on the disk, {least_free_bytes} stay free")?;
    writeln!(
        out,
        "           {waiting_fragments} fragments of {waiting_bytes} bytes wait{}",
        age(queue.oldest)
    )?;
    if queue.gaps > 0 || queue.lost_recordings > 0 {
        writeln!(
            out,
            "           since the start {} gaps, {} recordings let go of whole",
            queue.gaps, queue.lost_recordings
        )?;
    }
    for recording in &queue.recordings {
        let QueuedRecording { fragments, bytes, display, .. } = recording;
        let ended = if recording.ended { ", ended" } else { "" };
        writeln!(out, "Recording  {} of {display}{ended}", recording.recording)?;
        writeln!(out, "           {fragments} fragments of {bytes} bytes wait{}", age(recording.oldest))?;
        if let Some(gap) = &recording.last_gap {
            let seconds = gap.to_us.saturating_sub(gap.from_us) / 1_000_000;
            writeln!(
                out,
                "           last gap: {} s at {} s ({})",
                seconds,
                gap.from_us / 1_000_000,
                gap.cause
            )?;
        }
        if let Some(error) = &recording.error {
            writeln!(out, "           {error}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn settings(line: &[&str]) -> anyhow::Result<Settings> {
        parse::<Args>([&["--data", "/d"], line].concat())?.settings()
    }

    #[test]
    fn flags_go_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let text = "data = \"/x\"\nhost = \"pc1\"\ndisplays = [{ display = \":3\", user = \"anna\" }, \":4\"]\n\
                    [spool]\nquota_bytes = 100000000\nwhen_full = \"keep-newest\"\nleast_free_bytes = 7\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let plain = settings(&["--settings", path]).unwrap();
        assert_eq!((plain.displays.len(), plain.spool.quota_bytes), (2, 100_000_000));
        assert_eq!(plain.data, PathBuf::from("/d"));
        let line =
            ["--settings", path, "--display", ":3", "--display", ":9", "--quota-mib", "200", "--host", "pc2"];
        let flagged = settings(&line).unwrap();
        assert_eq!(flagged.displays[0].user.as_deref(), Some("anna"));
        assert_eq!(flagged.displays[1], DisplaySettings::new(":9"));
        assert_eq!((flagged.spool.quota_bytes, flagged.host.as_deref()), (200 << 20, Some("pc2")));
        assert_eq!((flagged.spool.when_full, flagged.spool.least_free_bytes), (WhenFull::KeepNewest, 7));
        let masked = settings(&["--settings", path, "--mask", "class=a*", "--mask", "title=b,colour=grey"]);
        assert_eq!(masked.unwrap().masks.len(), 2);
        let heard = settings(&["--display", ":1", "--audio", "--audio-kbit", "32"]).unwrap();
        assert!(heard.audio.enabled && !plain.audio.enabled);
        let sessions = settings(&["--sessions"]).unwrap();
        assert!(sessions.sessions.discover && !plain.sessions.discover);
        sessions.check().unwrap();
        assert_eq!(heard.audio.bit_rate, 32_000);
        let stop = [
            "--settings",
            path,
            "--when-full",
            "stop-session",
            "--stop-command",
            "exit",
            "--least-free-mib",
            "3",
        ];
        let stop = settings(&stop).unwrap();
        assert_eq!((stop.spool.when_full, stop.spool.least_free_bytes), (WhenFull::StopSession, 3 << 20));
        assert_eq!(stop.spool.stop_command.as_deref(), Some("exit"));
    }

    #[test]
    fn the_state_names_what_is_wrong_and_how_to_free_room() {
        let refused = serde_json::json!({ "folder": "x.refused", "bytes": 9, "since": "2026-01-01T00:00:00Z", "why": "not ours" });
        let recording = serde_json::json!({ "recording": "01890000-0000-7000-8000-000000000001", "display": ":3", "ended": false,
            "fragments": 4, "bytes": 55, "oldest": "2026-01-01T00:00:10Z", "error": "no server",
            "last_gap": { "from_us": 1_000_000, "to_us": 4_000_000, "cause": "queue-full" } });
        let report = serde_json::json!({ "version": "0", "server": { "url": null, "connected": false, "error": null },
            "displays": {}, "sound": { ":3": { "sink": "xrdp-sink" }, ":4": { "error": "no sound server" } }, "at": "2026-01-01T00:01:00Z", "running": true, "queue_bytes": 64,
            "queue": { "state": "paused", "when_full": "pause", "quota_bytes": 60, "waiting_fragments": 4, "refused": [refused],
                "refused_bytes": 9, "refused_deleted": 2, "recordings": [recording] } });
        let mut out = Vec::new();
        say(&serde_json::from_value(report).unwrap(), Path::new("/d"), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "64 bytes on disk, 60 allowed",
            ":3 of xrdp-sink",
            ":4 not recorded: no sound server",
            "NO ROOM",
            "the oldest 50 s old",
            "no server",
            "3 s at 1 s (queue-full)",
            "x.refused",
            "/d/spool to free 9",
            "2 older",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn pictures_are_set_by_flags_and_by_orders() {
        let line = ["--display", ":1", "--picture", "lossy", "--quality", "high", "--frame-rate", "30"];
        let picture = settings(&line).unwrap().picture;
        let expected = "films and photos as video of quality 75, the rest exactly, at most 30 a second";
        assert_eq!(describe(&picture), expected);
        assert_eq!(describe(&settings(&[]).unwrap().picture), "every pixel");
        let line = parse::<Args>(["picture", "lossy", "--quality", "7", "--data", "/d"]).unwrap();
        let Some(What::Picture(PictureArgs { mode: PictureMode::Lossy, quality, .. })) = line.what else {
            panic!()
        };
        assert_eq!(quality.percent(), 7);
        for wrong in
            [&["picture", "small"][..], &["picture", "lossy", "--quality", "101"], &["--picture", "x"]]
        {
            assert!(parse::<Args>(wrong.iter().copied()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(settings(&["--when-full", "panic"]).is_err());
        assert!(settings(&["--mask", "keepassxc"]).is_err());
        assert!(settings(&["--settings", "/none/agent.toml"]).is_err());
        assert!(settings(&["--json"]).is_err());
        assert!(settings(&["--display", ":1", "status"]).is_err());
        let line = parse::<Args>(["status", "--data", "/d", "--json"]).unwrap();
        let Some(What::Status(StatusArgs { place, json: true })) = line.what else { panic!() };
        assert_eq!(place.settings().unwrap().data, PathBuf::from("/d"));
    }
}
