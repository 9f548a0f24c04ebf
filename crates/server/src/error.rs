//! Why a server does not start.

use crate::journal::JournalError;
use std::{io, path::PathBuf};

/// Why a server could not start, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder cannot be used.
    #[error(
        "cannot use the data folder {path}: {source}; check that it exists and that this user may write there"
    )]
    Data {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server uses the data folder.
    #[error(
        "the data folder {path} is in use by another server: stop that one, or give this one a folder of its own"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file of ours does not hold what it should.
    #[error("{path} cannot be read: {reason}; restore it from a backup, or move it away and join again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The journal is that of a server whose id the folder has lost.
    #[error(
        "the journal {journal} holds fragments of recording {recording}, which belongs to server {owner}, and the folder does not say \
         that it is that server's: if it is, write {owner} into {id}; otherwise move the journal away"
    )]
    NoId {
        /// The journal's folder.
        journal: PathBuf,
        /// A recording in it.
        recording: playhead_model::RecordingId,
        /// Whose that is.
        owner: playhead_model::ServerId,
        /// The file that should have the id.
        id: PathBuf,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] playhead_db::DbError),
    /// Listening, keys and certificates.
    #[error(transparent)]
    Net(#[from] playhead_net::NetError),
    /// Dialling the console.
    #[error("cannot join the console: {0}")]
    Join(#[from] playhead_net::DialError),
    /// A join token of another kind.
    #[error("this token lets an agent join a server; make one of kind 'server' at the console")]
    TokenKind,
    /// A certificate that cannot be used.
    #[error("cannot use a certificate: {0}")]
    Certificate(#[from] playhead_proof::CertificateError),
    /// An agent that nobody knows.
    #[error(
        "expected a session host's name or an agent's id that has a certificate, got '{0}'; see 'playhead certificate show'"
    )]
    NoSuchAgent(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A storage location that cannot be opened.
    #[error(
        "cannot use the storage {url}: {source}; give a folder, file:///path, s3://bucket/prefix, az://container/prefix or \
         gs://bucket/prefix, with credentials in the environment or a credentials file"
    )]
    Storage {
        /// Its address.
        url: String,
        /// Why.
        source: object_store::Error,
    },
    /// A storage location that makes no sense.
    #[error("cannot use the storage location {location}: {reason}")]
    Location {
        /// Its address, or the file that tells of it.
        location: String,
        /// What is wrong.
        reason: String,
    },
    /// The site's keys.
    #[error("{0}")]
    Key(String),
    /// Time stamps.
    #[error("cannot use the time stamping authority: {0}")]
    Stamps(String),
    /// A recording that cannot be given as a file.
    #[error("cannot download: {0}")]
    Download(String),
    /// Events of a recording cannot be told.
    #[error("{0}")]
    Events(String),
    /// A recording that cannot be shredded.
    #[error("cannot shred: {0}")]
    Shred(String),
    /// What is acknowledged cannot survive what the settings say.
    #[error("acknowledged recordings cannot survive the loss of this server: {0}")]
    Durable(&'static str),
    /// A move that makes no sense.
    #[error("cannot move: {0}")]
    Move(String),
}

impl ServerError {
    /// What went wrong with the site's keys.
    pub(crate) fn key(error: crate::keys::KmsError) -> Self {
        Self::Key(error.to_string())
    }
}
