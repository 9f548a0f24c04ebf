//! A way to something that Playhead needs, which can be shut.

use anyhow::Result;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They pass.
    Open,
    /// Each piece of an answer comes so much later.
    Slow(Duration),
    /// Every request is answered with HTTP status 503.
    Busy,
    /// They break, and new ones are closed at once.
    Shut,
}

/// Where connections go.
#[derive(Clone)]
pub(crate) enum To {
    Address(SocketAddr),
    Socket(PathBuf),
}

/// A gate on loopback.
pub(crate) struct Gate {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
    _accepting: Arc<Mutex<tokio::task::JoinHandle<()>>>,
}

impl Gate {
    /// Opens a gate.
    pub(crate) async fn new(to: To) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mode = watch::Sender::new(Mode::Open);
        let told = mode.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, to.clone(), told.subscribe()));
            }
        });
        Ok(Self { port, mode, _accepting: Arc::new(Mutex::new(accepting)) })
    }

    /// From now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self._accepting.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }
}

async fn pass(stream: TcpStream, to: To, mut mode: watch::Receiver<Mode>) {
    let now = *mode.borrow_and_update();
    let passing = async {
        match now {
            Mode::Shut => Ok(()),
            Mode::Busy => refuse(stream).await,
            Mode::Open | Mode::Slow(_) => {
                let delay = if let Mode::Slow(delay) = now { delay } else { Duration::ZERO };
                match to {
                    To::Address(address) => carry(stream, TcpStream::connect(address).await?, delay).await,
                    To::Socket(path) => carry(stream, UnixStream::connect(path).await?, delay).await,
                }
            }
        }
    };
    tokio::select! {
        _ = passing => {}
        // Whoever is connected connects again, and meets the new mode.
        _ = mode.changed() => {}
    }
}

/// Carries both ways until one side ends; what comes back is late.
async fn carry(here: TcpStream, there: impl AsyncRead + AsyncWrite, delay: Duration) -> std::io::Result<()> {
    let (mut from_here, mut to_here) = tokio::io::split(here);
    let (mut from_there, mut to_there) = tokio::io::split(there);
    let forth = async { tokio::io::copy(&mut from_here, &mut to_there).await.map(|_| ()) };
    let back = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from_there.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            to_here.write_all(&buffer[..count]).await?;
        }
    };
    tokio::select! {
        done = forth => done,
        done = back => done,
    }
}

async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = vec![0; 16 << 10];
    let _ = stream.read(&mut head).await?;
    let answer = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
