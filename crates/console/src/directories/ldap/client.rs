//! One connection to a directory. Everything that comes is bounded in size and time.

use super::LdapError;
use crate::directories::settings::Server;
use bytes::{Buf as _, BytesMut};
use playhead_ldap::{Answer, Entry, Outcome, Page, Request, Search, decode, frame};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

/// Longest message: an entry with some thousand groups, of which nothing is asked for but their names.
const MOST_MESSAGE: usize = 4 << 20;
/// Most bytes in answer to one question.
const MOST_ANSWER: usize = 32 << 20;
/// Entries in a page. Active Directory gives at most 1,000.
const PAGE: u32 = 500;

/// What a connection runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to a directory.
pub(super) struct Client<S = Box<dyn Stream>> {
    stream: S,
    buffer: BytesMut,
    last: u32,
    server: String,
    patience: Duration,
}

/// Entries that were found.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) entries: Vec<Entry>,
    /// Whether the directory has more than were wanted, or than it gives.
    pub(super) more: bool,
    /// Whether the directory says that there is something in another one.
    pub(super) elsewhere: bool,
}

/// Opens a TCP connection.
///
/// # Errors
/// Nobody there in time.
pub(super) async fn dial(server: &Server, patience: Duration) -> Result<TcpStream, LdapError> {
    let connecting = TcpStream::connect((server.host.as_str(), server.port));
    let stream = match timeout(patience, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(source)) => return Err(LdapError::Connect { server: server.to_string(), source }),
        Err(_) => return Err(late(&server.to_string(), patience)),
    };
    // A delay costs time, nothing else.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Puts TLS on a connection, at once or by StartTLS, unless it is to stay plain.
///
/// # Errors
/// The other side is not who it should be, or has no TLS.
pub(super) async fn secure(
    stream: TcpStream,
    server: &Server,
    plain: bool,
    tls: &Arc<ClientConfig>,
    patience: Duration,
) -> Result<Client, LdapError> {
    let name = server.to_string();
    if plain {
        return Ok(Client::new(Box::new(stream), name, patience));
    }
    let stream = if server.tls { stream } else { start_tls(stream, &name, patience).await? };
    let failed = |source| LdapError::Tls { server: name.clone(), source };
    let host = ServerName::try_from(server.host.clone()).map_err(|error| failed(io::Error::other(error)))?;
    let shaking = TlsConnector::from(Arc::clone(tls)).connect(host, stream);
    match timeout(patience, shaking).await {
        Ok(Ok(stream)) => Ok(Client::new(Box::new(stream), name, patience)),
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(late(&name, patience)),
    }
}

/// Asks for TLS on a connection that began without.
async fn start_tls(stream: TcpStream, name: &str, patience: Duration) -> Result<TcpStream, LdapError> {
    let mut client = Client::new(stream, name.to_owned(), patience);
    let outcome = match client.ask(&Request::StartTls).await? {
        Answer::Extended(outcome) => outcome,
        other => return Err(client.unexpected(&other)),
    };
    if outcome.code != 0 {
        return Err(LdapError::Refused { what: "StartTLS".into(), code: outcome.code, text: outcome.text });
    }
    if !client.buffer.is_empty() {
        // Somebody in between may have put it there.
        let source = io::Error::other("bytes came before TLS began");
        return Err(LdapError::Tls { server: name.to_owned(), source });
    }
    Ok(client.stream)
}

fn late(server: &str, patience: Duration) -> LdapError {
    LdapError::Late { server: server.to_owned(), seconds: patience.as_secs() }
}

impl Client {
    /// Becomes the bearer of a name and password.
    ///
    /// # Errors
    /// The connection's; a refusal is an outcome.
    pub(super) async fn bind(&mut self, dn: &str, password: &str) -> Result<Outcome, LdapError> {
        match self.ask(&Request::Bind { dn, password }).await? {
            Answer::Bound(outcome) => Ok(outcome),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Searches, in pages where `most` is more than fits in one.
    ///
    /// # Errors
    /// The connection's, or a refusal.
    pub(super) async fn search(&mut self, mut search: Search, most: usize) -> Result<Entries, LdapError> {
        let mut found = Entries::default();
        let deadline = Instant::now() + self.patience;
        search.seconds = u32::try_from(self.patience.as_secs()).unwrap_or(u32::MAX);
        let paged = most >= PAGE as usize;
        if paged {
            search.page = Some(Page { size: PAGE, cookie: Vec::new() });
        } else {
            // One more than wanted tells whether there are more.
            search.size_limit = u32::try_from(most + 1).unwrap_or(0);
        }
        let mut bytes = 0;
        loop {
            let id = self.send(&Request::Search(&search), deadline).await?;
            let (outcome, cookie) = loop {
                let (answer, length) = self.receive(id, deadline).await?;
                bytes += length;
                if bytes > MOST_ANSWER {
                    return Err(LdapError::TooMuch(MOST_ANSWER >> 20));
                }
                match answer {
                    Answer::Entry(entry) if found.entries.len() < most => found.entries.push(entry),
                    Answer::Entry(_) => found.more = true,
                    Answer::Elsewhere => found.elsewhere = true,
                    Answer::Found { outcome, cookie } => break (outcome, cookie),
                    other => return Err(self.unexpected(&other)),
                }
            };
            match outcome.code {
                0 => {}
                3 | 4 | 11 => found.more = true,
                code => {
                    let what = format!("to search below “{}”", search.base);
                    return Err(LdapError::Refused { what, code, text: outcome.text });
                }
            }
            if !paged || cookie.is_empty() || outcome.code != 0 {
                return Ok(found);
            }
            if found.entries.len() >= most {
                found.more = true;
                return Ok(found);
            }
            search.page = Some(Page { size: PAGE, cookie });
        }
    }

    /// Says goodbye. Whether it is heard does not matter.
    pub(super) async fn close(mut self) {
        let farewell = Request::Unbind.encode(self.last.wrapping_add(1));
        let _ = timeout(Duration::from_millis(200), self.stream.write_all(&farewell)).await;
    }
}

impl<S: Stream> Client<S> {
    fn new(stream: S, server: String, patience: Duration) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(4096), last: 0, server, patience }
    }

    async fn ask(&mut self, request: &Request<'_>) -> Result<Answer, LdapError> {
        let deadline = Instant::now() + self.patience;
        let id = self.send(request, deadline).await?;
        Ok(self.receive(id, deadline).await?.0)
    }

    async fn send(&mut self, request: &Request<'_>, deadline: Instant) -> Result<u32, LdapError> {
        self.last += 1;
        let message = request.encode(self.last);
        let writing = async {
            self.stream.write_all(&message).await?;
            self.stream.flush().await
        };
        match timeout_at(deadline, writing).await {
            Ok(Ok(())) => Ok(self.last),
            Ok(Err(source)) => Err(self.broken(source)),
            Err(_) => Err(late(&self.server, self.patience)),
        }
    }

    /// The next message that answers this request, and its length.
    async fn receive(&mut self, id: u32, deadline: Instant) -> Result<(Answer, usize), LdapError> {
        loop {
            let wire = |source| LdapError::Wire { server: self.server.clone(), source };
            while let Some(length) = frame(&self.buffer, MOST_MESSAGE).map_err(wire)? {
                if self.buffer.len() < length {
                    break;
                }
                let (answered, answer) = decode(&self.buffer[..length]).map_err(wire)?;
                self.buffer.advance(length);
                match answer {
                    // A farewell: the directory says why it hangs up.
                    Answer::Extended(outcome) if answered == 0 => {
                        let what = "to go on".to_owned();
                        return Err(LdapError::Refused { what, code: outcome.code, text: outcome.text });
                    }
                    answer if answered == id => return Ok((answer, length)),
                    // What is left of a question that is not waited for any more.
                    _ => {}
                }
            }
            match timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(_)) => {}
                Ok(Err(source)) => return Err(self.broken(source)),
                Err(_) => return Err(late(&self.server, self.patience)),
            }
        }
    }

    fn broken(&self, source: io::Error) -> LdapError {
        LdapError::Broken { server: self.server.clone(), source }
    }

    fn unexpected(&self, answer: &Answer) -> LdapError {
        let source = io::Error::other(format!("an answer to something else came: {answer:.60?}"));
        self.broken(source)
    }
}
