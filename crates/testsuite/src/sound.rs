//! A real sound server with a sink that nobody hears.

use crate::{Program, wait_for};
use anyhow::{Context as _, Result};
use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// PulseAudio with a null sink, and a beep that it can play at once.
pub struct SoundServer {
    server: Program,
    commands: UnixStream,
    socket: PathBuf,
}

impl SoundServer {
    /// Starts it with its files below `folder`.
    ///
    /// # Errors
    /// PulseAudio is not installed or does not start.
    pub async fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("pulse");
        fs::create_dir_all(&home)?;
        let (socket, control, beep) = (home.join("native"), home.join("cli"), home.join("beep.wav"));
        fs::write(&beep, wave())?;
        let mut command = Command::new("pulseaudio");
        command.args([
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--log-target=stderr",
        ]);
        command.args(["--disable-shm=yes", "--realtime=no", "--high-priority=no"]);
        for module in [
            format!("module-native-protocol-unix socket={}", socket.display()),
            format!("module-cli-protocol-unix socket={}", control.display()),
            "module-null-sink sink_name=room".to_owned(),
            "module-suspend-on-idle timeout=2".to_owned(),
        ] {
            command.args(["-L", &module]);
        }
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"] {
            command.env(name, &home);
        }
        let server = Program::start(&mut command, &folder.join("pulse.log"))?;
        let commands = wait_for("the sound server", Duration::from_secs(15), async || {
            Ok(UnixStream::connect(&control).ok().filter(|_| socket.exists()))
        })
        .await?;
        let mut server = Self { server, commands, socket };
        server.tell(&format!("load-sample beep {}", beep.display()))?;
        Ok(server)
    }

    /// The socket that programs play to, as `PULSE_SERVER` names it.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// Plays a tenth of a second of a tone of 1 kHz.
    ///
    /// # Errors
    /// The server is gone.
    pub fn beep(&mut self) -> Result<()> {
        self.tell("play-sample beep @DEFAULT_SINK@")
    }

    /// Gives the server a command of its command line.
    ///
    /// # Errors
    /// The server is gone.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}").context("the sound server is gone")
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        self.server.kill_hard();
    }
}

/// The beep as a file.
fn wave() -> Vec<u8> {
    const RATE: u32 = 48_000;
    let samples: Vec<u8> = (0..RATE / 10)
        .flat_map(|at| {
            let phase = f64::from(at) / f64::from(RATE) * 1_000.0 * std::f64::consts::TAU;
            ((phase.cos() * 16_000.0) as i16).to_le_bytes().repeat(2)
        })
        .collect();
    let length = samples.len() as u32;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    // PCM, two channels; bytes a second; four bytes a sample of 16 bits.
    let format = words(&[16, 1 | 2 << 16, RATE, RATE * 4, 4 | 16 << 16]);
    [b"RIFF", &words(&[length + 36])[..], b"WAVEfmt ", &format, b"data", &words(&[length]), &samples].concat()
}
