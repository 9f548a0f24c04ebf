//! A sound server for tests: says what PulseAudio says, as far as it is asked.

use super::wire::PREFIX;
use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// The channel of the one stream.
const STREAM: u32 = 3;

/// Serves one client after the other until it is stopped.
pub(super) struct Server {
    /// Those who were let in.
    clients: mpsc::Receiver<UnixStream>,
    /// Those who listen.
    listeners: mpsc::Receiver<UnixStream>,
    client: Option<UnixStream>,
}

impl Server {
    /// Listens at `path`.
    pub(super) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let ((welcome, clients), (streaming, listeners)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let _ = welcome.send(socket.try_clone().unwrap());
                let streaming = streaming.clone();
                thread::spawn(move || serve(socket, &streaming));
            }
        });
        Self { clients, listeners, client: None }
    }

    /// Waits for a client that listens, and sends it sound, as time passes.
    pub(super) fn play(&mut self, bytes: &[u8]) {
        if self.client.is_none() {
            self.client = Some(self.listeners.recv().unwrap());
        }
        for piece in bytes.chunks(7_680) {
            thread::sleep(Duration::from_micros(piece.len() as u64 * 125 / 24));
            self.client.as_mut().unwrap().write_all(&frame(STREAM, piece)).unwrap();
        }
    }

    /// Ends the stream of the client that listens, as when its sink goes away.
    pub(super) fn kill(&mut self) {
        let killed = frame(u32::MAX, &[field(65), field(u32::MAX), field(STREAM)].concat());
        self.client.take().unwrap().write_all(&killed).unwrap();
    }

    /// Breaks off with the client.
    pub(super) fn stop(mut self) {
        let client = self.client.take().or_else(|| self.clients.recv().ok());
        client.unwrap().shutdown(Shutdown::Both).unwrap();
    }
}

fn serve(mut socket: UnixStream, streaming: &mpsc::Sender<UnixStream>) {
    loop {
        let mut prefix = [0; PREFIX];
        if socket.read_exact(&mut prefix).is_err() {
            return;
        }
        let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        let mut request = vec![0; length as usize];
        socket.read_exact(&mut request).unwrap();
        let word = |at: usize| u32::from_be_bytes(request[at..at + 4].try_into().unwrap());
        let (command, tag) = (word(1), word(6));
        let text = |text: &[u8]| [b"t", text, &[0]].concat();
        let answer = match command {
            8 => field(35),
            20 => {
                let spec = vec![b'a', 3, 2, 0, 0, 0xbb, 0x80];
                let names = [text(b"test"), text(b"1"), b"N".to_vec(), text(b"pc1"), spec, text(b"speaker")];
                names.concat()
            }
            5 => {
                assert!(request.windows(16).any(|window| window == b"speaker.monitor\0"));
                [field(STREAM), field(0)].concat()
            }
            57 => [&[b'U'][..], &[0; 8], b"U", &5_000_u64.to_be_bytes()].concat(),
            _ => Vec::new(),
        };
        socket.write_all(&frame(u32::MAX, &[field(2), field(tag), answer].concat())).unwrap();
        if command == 5 {
            let _ = streaming.send(socket.try_clone().unwrap());
        }
    }
}

fn field(value: u32) -> Vec<u8> {
    [&b"L"[..], &value.to_be_bytes()].concat()
}

fn frame(channel: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; PREFIX];
    bytes[..4].copy_from_slice(&(content.len() as u32).to_be_bytes());
    bytes[4..8].copy_from_slice(&channel.to_be_bytes());
    bytes.extend(content);
    bytes
}
