//! `playhead demo`: everything at once, recording a virtual desktop on which something happens.

use super::{
    corpus::parse_size,
    desktop::{Desktop, Options},
};
use crate::{
    stop,
    up::{House, HouseArgs},
};
use anyhow::Context as _;
use playhead_agent::{AudioSettings, DisplaySettings, ServerSettings, Settings};
use playhead_console::Password;
use playhead_model::{Mask, PictureMode, PictureSettings, Quality};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long the join token of the demonstration's own agent is good for, in seconds. It is used at once.
const TOKEN_SECONDS: u32 = 60;
/// Whose session the recordings are said to be of.
const USER: &str = "demo";

/// Try it out: a console and a recording server with an agent that records a virtual desktop
#[derive(Debug, clap::Args)]
#[group(id = "demo")]
pub(crate) struct Args {
    #[command(flatten)]
    house: HouseArgs,
    /// Size of the virtual desktop in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1920x1080", value_parser = parse_size)]
    display_size: (u16, u16),
    /// The same number gives the same activity
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Record too what the sound server of whoever runs this plays
    #[arg(long)]
    audio: bool,
    /// Application whose windows are covered, such as class=mousepad,colour=grey; may be repeated
    #[arg(long = "mask", value_name = "MASK")]
    masks: Vec<Mask>,
    /// Record every pixel, or films and photos as video: lossless or lossy
    #[arg(long, value_name = "MODE", default_value = "lossless")]
    picture: PictureMode,
    /// With --picture lossy: low, medium, high, or 0 to 100
    #[arg(long, value_name = "QUALITY", default_value = "medium")]
    quality: Quality,
    /// For scripts: print one JSON line when ready
    #[arg(long)]
    json: bool,
}

/// Runs the demonstration until told to stop. Nothing but the data folder stays behind.
///
/// # Errors
/// A part cannot start, or ends by itself.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let house = House::start(&args.house, "demo", Password::Kept).await?;
    let played = play(&args, &house, &stop).await;
    house.shutdown().await;
    played
}

/// Plays and records the desktop.
async fn play(args: &Args, house: &House, stop: &CancellationToken) -> anyhow::Result<()> {
    let (width, height) = args.display_size;
    let options = Options {
        display: None,
        width,
        height,
        seed: args.seed,
        work_dir: house.data().to_owned(),
        only: None,
    };
    let desktop = tokio::select! {
        started = Desktop::start(options) => started.context("cannot start the virtual desktop")?,
        () = stop.cancelled() => return Ok(()),
    };
    let recorded = record(args, house, &desktop, stop).await;
    desktop.shutdown().await;
    recorded
}

/// Records the desktop until told to stop.
async fn record(
    args: &Args,
    house: &House,
    desktop: &Desktop,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let ending = CancellationToken::new();
    let mut agent = start_agent(house, desktop, args, ending.clone()).await?;
    house.ready().say(args.json)?;
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        reason = desktop.ended() => Some(anyhow::Error::new(reason).context("the virtual desktop ended")),
        agent = &mut agent => return agent.context("the agent failed")?,
    };
    // First the agent, so that the recording ends where the demonstration was stopped.
    ending.cancel();
    let recorded = agent.await.context("the agent failed")?;
    match ended {
        Some(error) => Err(error),
        None => recorded,
    }
}

async fn start_agent(
    house: &House,
    desktop: &Desktop,
    args: &Args,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let data = house.data().join("agent");
    // An agent that has joined keeps its identity and learns from the token where the server is now: the port of the last start may be taken.
    let token = house.server.make_join_token(TOKEN_SECONDS, 1).await?;
    let settings = Settings {
        data,
        server: ServerSettings { join: Some(token.to_string()), join_file: None },
        displays: vec![DisplaySettings {
            xauthority: Some(desktop.xauthority().to_owned()),
            user: Some(USER.into()),
            ..DisplaySettings::new(desktop.display())
        }],
        masks: args.masks.clone(),
        picture: PictureSettings { mode: args.picture, quality: args.quality, frame_rate: None },
        audio: AudioSettings { enabled: args.audio, ..AudioSettings::default() },
        ..Settings::default()
    };
    Ok(tokio::spawn(async move { Ok(playhead_agent::run(settings, stop).await?) }))
}
