//! Lossless traces of desktop activity on disk: `NAME.json` with times and size, `NAME.mkv` with the pictures.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

/// What a trace says of itself.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Particulars {
    /// Seconds from the first picture to the end.
    pub(crate) seconds: f64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// When each picture was there, in milliseconds from the first.
    pub(crate) timestamps_ms: Vec<u64>,
}

/// One trace.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) name: String,
    pub(crate) particulars: Particulars,
    video: PathBuf,
}

/// The pictures of a trace, one after another, decoded by ffmpeg.
pub(crate) struct Pictures {
    ffmpeg: Child,
    output: ChildStdout,
    video: PathBuf,
}

/// All traces in a folder, by name.
///
/// # Errors
/// No trace there, or one that cannot be read.
pub(crate) fn traces(folder: &Path) -> Result<Vec<Trace>> {
    let items =
        fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut traces = Vec::new();
    for item in items {
        let path = item?.path();
        let video = path.with_extension("mkv");
        if path.extension().is_none_or(|end| end != "json") || !video.exists() {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let particulars: Particulars = serde_json::from_reader(File::open(&path)?)
            .with_context(|| format!("{} does not describe a trace", path.display()))?;
        traces.push(Trace { name, particulars, video });
    }
    traces.sort_by(|one, other| one.name.cmp(&other.name));
    let folder = folder.display();
    ensure!(
        !traces.is_empty(),
        "no traces in {folder}: expected NAME.json and NAME.mkv; `playhead bench corpus` makes some"
    );
    Ok(traces)
}

impl Trace {
    /// Starts to decode the pictures.
    ///
    /// # Errors
    /// ffmpeg is not there.
    pub(crate) fn pictures(&self) -> Result<Pictures> {
        Self::pictures_of(&self.video)
    }

    /// Starts to decode the pictures of any file, such as what another encoder made of the trace.
    ///
    /// # Errors
    /// ffmpeg is not there.
    pub(crate) fn pictures_of(video: &Path) -> Result<Pictures> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-i"]).arg(video);
        command.args(["-vsync", "passthrough", "-pix_fmt", "bgr0", "-f", "rawvideo", "-"]);
        let mut ffmpeg = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start ffmpeg, which decodes the traces: apt-get install ffmpeg")?;
        let output = ffmpeg.stdout.take().context("ffmpeg has no output")?;
        Ok(Pictures { ffmpeg, output, video: video.to_owned() })
    }

    /// Bytes of one picture.
    pub(crate) fn picture_bytes(&self) -> usize {
        self.particulars.width as usize * self.particulars.height as usize * 4
    }
}

impl Pictures {
    /// Fills `picture` with the next one; false when there is none.
    ///
    /// # Errors
    /// The trace ends in the middle of a picture.
    pub(crate) fn next(&mut self, picture: &mut [u8]) -> Result<bool> {
        let (first, rest) = picture.split_at_mut(1);
        if self.output.read(first)? == 0 {
            let status = self.ffmpeg.wait()?;
            ensure!(status.success(), "ffmpeg cannot decode {}", self.video.display());
            return Ok(false);
        }
        match self.output.read_exact(rest) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                anyhow::bail!(
                    "{} has pictures of another size than its particulars say",
                    self.video.display()
                )
            }
            done => Ok(done.map(|()| true)?),
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        // Ended already, or nobody wants the rest.
        let _ = self.ffmpeg.kill();
        let _ = self.ffmpeg.wait();
    }
}
