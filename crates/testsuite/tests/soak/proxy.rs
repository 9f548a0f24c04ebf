//! A line between two programs that can be cut, silenced, slowed down, and made to lose packets.

use anyhow::Result;
use rand::RngExt as _;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What an Ethernet packet carries of a stream.
const PACKET: usize = 1_448;
/// What is read at once where packets do not count.
const PIECE: usize = 64 << 10;
/// Linux sends a lost packet again after 200 ms at the earliest, and waits twice as long each further time.
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    /// As if it were not there.
    Good,
    /// Connections break, and nobody gets a new one.
    Cut,
    /// Nothing arrives, and nobody is told.
    Silent,
    /// This share of packets is lost on the way and sent again, as a stream's user notices it: the rest waits.
    Lossy(f64),
    /// Every piece takes that much longer.
    Slow(Duration),
}

/// A listener that passes on to a fixed address.
pub(crate) struct Proxy {
    line: watch::Sender<Line>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `port` of loopback for connections to `to`.
    ///
    /// # Errors
    /// The port is taken.
    pub(crate) async fn start(port: u16, to: u16) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let (line, watched) = watch::channel(Line::Good);
        let listener = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, to, watched.clone()));
            }
        });
        Ok(Self { line, listener })
    }

    /// From now on the line is like that.
    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.send_replace(Line::Cut);
        self.listener.abort();
    }
}

async fn connection(near: TcpStream, to: u16, mut line: watch::Receiver<Line>) {
    // A silent line does not answer a greeting either.
    if line.wait_for(|line| *line != Line::Silent).await.is_err() || *line.borrow() == Line::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to))).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (there, back) = (pump(near_in, far_out, line.clone()), pump(far_in, near_out, line.clone()));
    tokio::select! {
        // One direction may end before the other.
        () = async { tokio::join!(there, back); } => {}
        _ = line.wait_for(|line| *line == Line::Cut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let most = if matches!(*line.borrow(), Line::Lossy(_)) { PACKET } else { PIECE };
        let Ok(length @ 1..) = from.read(&mut buffer[..most]).await else { break };
        let delay = match *line.borrow() {
            Line::Good | Line::Cut | Line::Silent => Duration::ZERO,
            Line::Slow(delay) => delay,
            Line::Lossy(share) => {
                let mut delay = Duration::ZERO;
                let mut wait = RETRANSMISSION;
                while rand::rng().random_bool(share) {
                    delay += wait;
                    wait *= 2;
                }
                delay
            }
        };
        tokio::select! {
            () = tokio::time::sleep(delay), if !delay.is_zero() => {}
            // What was on its way when the line got well again arrives.
            _ = line.changed(), if !delay.is_zero() => {}
            () = std::future::ready(()), if delay.is_zero() => {}
        }
        if line.wait_for(|line| *line != Line::Silent).await.is_err() {
            break;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, and a line to it.
    async fn echo() -> Result<(Proxy, u16)> {
        let server = TcpListener::bind("127.0.0.1:0").await?;
        let to = server.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let port = playhead_testsuite::free_port()?;
        Ok((Proxy::start(port, to).await?, port))
    }

    async fn said_back(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
        let mut back = vec![0; bytes.len()];
        stream.write_all(bytes).await?;
        stream.read_exact(&mut back).await?;
        assert_eq!(back, bytes);
        Ok(())
    }

    #[tokio::test]
    async fn bytes_arrive_whole_over_a_good_a_lossy_and_a_slow_line() -> Result<()> {
        let (proxy, port) = echo().await?;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| (at % 251) as u8).collect();
        for line in [Line::Good, Line::Lossy(0.2), Line::Slow(Duration::from_millis(20))] {
            proxy.set(line);
            said_back(&mut stream, &bytes).await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_silent_line_keeps_its_bytes_and_a_cut_one_breaks() -> Result<()> {
        let (proxy, port) = echo().await?;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        said_back(&mut stream, b"before").await?;
        proxy.set(Line::Silent);
        stream.write_all(b"later").await?;
        let mut back = [0; 5];
        let early = tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut back)).await;
        assert!(early.is_err(), "nothing may arrive over a silent line");
        proxy.set(Line::Good);
        stream.read_exact(&mut back).await?;
        assert_eq!(&back, b"later");

        proxy.set(Line::Cut);
        assert!(!matches!(stream.read(&mut back).await, Ok(1..)), "the connection must break");
        let mut refused = TcpStream::connect(("127.0.0.1", port)).await?;
        assert!(!matches!(refused.read(&mut back).await, Ok(1..)), "nobody gets a new one");
        Ok(())
    }
}
