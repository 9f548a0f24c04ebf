//! Lossless traces of the desktop's activities, for measuring encoders: `playhead bench corpus` and
//! `playhead bench desktop`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::desktop::{Activity, Desktop, DesktopError, Options, Process, Screen, Script, Stage, Stop, find};

/// A virtual desktop without a recorder.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DesktopArgs {
    /// Size of the desktop in pixels
    #[arg(long, default_value = "1920x1080", value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    pub(crate) size: (u16, u16),
    /// X display number; the first free one by default
    #[arg(long, value_name = "NUMBER")]
    pub(crate) display: Option<u16>,
    /// The same number gives the same activity
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// `playhead bench desktop`: runs the desktop until it is interrupted.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LiveArgs {
    #[command(flatten)]
    pub(crate) desktop: DesktopArgs,
    /// What happens on it; everything in turn by default
    #[arg(long, value_enum)]
    pub(crate) activity: Option<Activity>,
    /// Folder for its files, removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) work: PathBuf,
}

/// `playhead bench corpus`: writes a trace of each activity.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CorpusArgs {
    /// Folder to write ACTIVITY.mkv and ACTIVITY.json into
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) desktop: DesktopArgs,
    /// Length of each trace
    #[arg(long, default_value_t = 30.0, value_parser = parse_seconds)]
    pub(crate) seconds: f64,
    /// Activities to trace; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) activities: Vec<Activity>,
    /// Pictures a second at most
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) fps: u32,
}

/// Runs a desktop; prints one JSON line (`display`, `xauthority`) when it is up, and ends on SIGINT or SIGTERM.
///
/// # Errors
/// The desktop does not start or ends by itself.
pub(crate) async fn run_desktop(args: LiveArgs) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let desktop = Desktop::start(options(&args.desktop, args.work, args.activity));
    let desktop = tokio::select! {
        desktop = desktop => desktop?,
        _ = terminated.recv() => return Ok(()),
        _ = tokio::signal::ctrl_c() => return Ok(()),
    };
    let ready = serde_json::json!({ "display": desktop.display(), "xauthority": desktop.xauthority() });
    writeln!(std::io::stdout(), "{ready}")?;
    let outcome = tokio::select! {
        reason = desktop.ended() => Err(anyhow!(reason)),
        _ = terminated.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    desktop.shutdown().await;
    outcome
}

/// Plays each activity on a fresh set of windows and writes what the screen showed.
///
/// # Errors
/// A program is missing (the error names the Debian package), the desktop does not start, or a file cannot be
/// written.
pub(crate) async fn run_corpus(args: CorpusArgs) -> Result<()> {
    let stop = Arc::new(Stop::default());
    let mut terminated = signal(SignalKind::terminate())?;
    let working = thread::Builder::new().name("corpus".into()).spawn({
        let stop = Arc::clone(&stop);
        move || make(&args, stop)
    })?;
    let mut done = tokio::task::spawn_blocking(move || {
        working.join().unwrap_or_else(|_| Err(anyhow!("the thread that made the corpus panicked")))
    });
    tokio::select! {
        made = &mut done => return made?,
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    stop.stop();
    done.await?
}

fn make(args: &CorpusArgs, stop: Arc<Stop>) -> Result<()> {
    let all = Activity::ALL.to_vec();
    let activities = if args.activities.is_empty() { all } else { args.activities.clone() };
    for activity in &activities {
        for kind in activity.kinds() {
            kind.program()?;
        }
    }
    find("ffmpeg", "ffmpeg")?;
    find("mkvmerge", "mkvtoolnix")?;
    fs::create_dir_all(&args.out).with_context(|| format!("folder {}", args.out.display()))?;

    let work = args.out.join("work");
    let mut stage = Stage::open(&options(&args.desktop, work.clone(), None), stop)?;
    for activity in activities {
        // One sequence for each activity: traces do not depend on which others are made.
        let stream = 10 + activity as u64;
        let mut script = Script::new(&mut stage, args.desktop.seed, stream);
        script.prepare(activity)?;
        // Let windows finish drawing: their appearing is not part of the activity.
        script.stage().pause(Duration::from_millis(1500))?;
        let facts = trace(&mut script, activity, args)?;
        tracing::info!(activity = activity.name(), frames = facts.frames, seconds = facts.seconds, "traced");
        stage.close(activity.kinds());
    }
    drop(stage);
    // Empty by now; kept if somebody else has put something there.
    let _ = fs::remove_dir(work);
    Ok(())
}

/// What stands in a trace's JSON file.
#[derive(Debug, Serialize)]
struct Facts {
    /// Length in seconds.
    seconds: f64,
    /// How often the screen was looked at.
    ticks: u64,
    /// How many pictures differed from the one before, the first included.
    frames: usize,
    width: u16,
    height: u16,
    /// When each of them was taken, in milliseconds from the start.
    timestamps_ms: Vec<u64>,
}

/// Performs an activity while another thread keeps every picture that differs from the one before.
fn trace(script: &mut Script<'_>, activity: Activity, args: &CorpusArgs) -> Result<Facts> {
    let screen = script.stage().connect()?;
    let base = args.out.join(activity.name());
    let over = Stop::default();
    thread::scope(|scope| {
        let capture = scope.spawn(|| capture(&screen, &base, args.fps, &over));
        let performed = script.perform(activity, Instant::now() + Duration::from_secs_f64(args.seconds));
        over.stop();
        let facts = capture.join().map_err(|_| anyhow!("the thread that captured the screen panicked"))?;
        performed?;
        facts
    })
}

fn capture(screen: &Screen, base: &Path, fps: u32, over: &Stop) -> Result<Facts> {
    let temporary = |ending: &str| base.with_extension(format!("unfinished.{ending}"));
    let (video, times) = (temporary("mkv"), temporary("times"));
    let folder = base.parent().unwrap_or(Path::new("."));
    let size = format!("{}x{}", screen.width, screen.height);
    let mut ffmpeg = Process::start(&find("ffmpeg", "ffmpeg")?, folder, |command| {
        command.args(["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr0", "-s", &size]);
        command.args([
            "-r",
            &fps.to_string(),
            "-i",
            "-",
            "-c:v",
            "libx264rgb",
            "-preset",
            "ultrafast",
            "-qp",
            "0",
        ]);
        command.args(["-g", "300"]).arg(absolute(&video)).stdin(Stdio::piped()).stderr(Stdio::inherit());
    })?;
    let mut pipe = ffmpeg.child().stdin.take().context("ffmpeg has no input")?;

    screen.watch()?;
    let began = Instant::now();
    let mut facts = Facts {
        seconds: 0.0,
        ticks: 0,
        frames: 0,
        width: screen.width,
        height: screen.height,
        timestamps_ms: Vec::new(),
    };
    let mut last = Vec::new();
    for tick in 0u32.. {
        let due = began + Duration::from_secs(1) * tick / fps;
        match over.pause(due.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(DesktopError::Stopped) => break,
            Err(error) => return Err(error.into()),
        }
        facts.ticks += 1;
        // Late ticks are caught up without a pause; a picture's time is when it was taken.
        let at = u64::try_from(began.elapsed().as_millis())?;
        if !screen.drawn()? && tick > 0 {
            continue;
        }
        let picture = screen.picture()?;
        if picture != last && facts.timestamps_ms.last() != Some(&at) {
            pipe.write_all(&picture).context("ffmpeg stopped taking pictures")?;
            facts.timestamps_ms.push(at);
            last = picture;
        }
    }
    facts.seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    facts.frames = facts.timestamps_ms.len();
    drop(pipe);
    if !ffmpeg.child().wait()?.success() {
        bail!("ffmpeg could not write {}: is there a libx264rgb in it?", video.display());
    }

    // The real times of the pictures, in the form mkvmerge reads.
    let list: String = facts.timestamps_ms.iter().map(|at| format!("{at}\n")).collect();
    fs::write(&times, format!("# timestamp format v2\n{list}"))?;
    let mut mkvmerge = Process::start(&find("mkvmerge", "mkvtoolnix")?, folder, |command| {
        command.args(["-q", "-o"]).arg(absolute(&base.with_extension("mkv")));
        command.arg("--timestamps").arg(format!("0:{}", absolute(&times).display())).arg(absolute(&video));
        command.stderr(Stdio::inherit());
    })?;
    let status = mkvmerge.child().wait()?;
    // 1 is "with warnings".
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("mkvmerge could not write {} ({status})", base.with_extension("mkv").display());
    }
    fs::remove_file(&video)?;
    fs::remove_file(&times)?;
    fs::write(base.with_extension("json"), serde_json::to_vec(&facts)?)?;
    Ok(facts)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn options(args: &DesktopArgs, work_dir: PathBuf, only: Option<Activity>) -> Options {
    let (width, height) = args.size;
    Options { display: args.display, width, height, seed: args.seed, work_dir, only }
}

pub(crate) fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("'{text}' is no size: write it as 1920x1080");
    let (width, height) = text.split_once('x').ok_or_else(wrong)?;
    Ok((width.parse().map_err(|_| wrong())?, height.parse().map_err(|_| wrong())?))
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (1.0..=86_400.0).contains(seconds))
        .ok_or_else(|| format!("'{text}' is no length: give 1 to 86400 seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lengths_are_checked() {
        assert_eq!(parse_size("1280x720"), Ok((1280, 720)));
        assert!(parse_size("1280").is_err() && parse_size("1x-2").is_err() && parse_size("70000x1").is_err());
        assert_eq!(parse_seconds("2.5"), Ok(2.5));
        assert!(
            parse_seconds("NaN").is_err() && parse_seconds("0").is_err() && parse_seconds("1e9").is_err()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_trace_has_the_pictures_its_facts_tell() {
        let mut folder = tempfile::tempdir().unwrap();
        let (mut facts, mut times) = (serde_json::Value::Null, Vec::<u64>::new());
        // On a machine with much else to do a terminal may need some seconds for its first lines.
        for seconds in [4.0, 20.0] {
            folder = tempfile::tempdir().unwrap();
            let desktop = DesktopArgs { size: (800, 600), display: None, seed: 1 };
            let activities = vec![Activity::Terminal];
            let out = folder.path().to_owned();
            run_corpus(CorpusArgs { out, desktop, seconds, activities, fps: 10 }).await.unwrap();
            facts = serde_json::from_slice(&fs::read(folder.path().join("terminal.json")).unwrap()).unwrap();
            times = serde_json::from_value(facts["timestamps_ms"].clone()).unwrap();
            if times.len() > 5 {
                break;
            }
        }
        assert_eq!(facts["frames"], times.len());
        assert!(times.len() > 5 && times.is_sorted() && times[0] < 200, "{times:?}");
        let mkv = folder.path().join("terminal.mkv");
        let probe = ["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
        let shown = std::process::Command::new("ffprobe").args(probe).arg(&mkv).output().unwrap();
        let shown: Vec<f64> = String::from_utf8(shown.stdout)
            .unwrap()
            .lines()
            .map(|line| line.trim_end_matches(',').parse().unwrap())
            .collect();
        let expected: Vec<f64> = times.iter().map(|&time| (time - times[0]) as f64 / 1000.0).collect();
        assert_eq!(shown.len(), expected.len());
        assert!(
            shown.iter().zip(&expected).all(|(a, b)| ((a - shown[0]) - b).abs() < 0.002),
            "{shown:?} {expected:?}"
        );
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["terminal.json", "terminal.mkv"]);
    }
}
