//! Time stamps by an authority outside the site (RFC 3161): asked for when a recording is over, kept in the database, and put beside the
//! recording's last segment. Nothing ever waits for the authority.

use crate::{ServerError, clock, core::Shared, recordings::lock, storage::StorageError};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector as _, HttpRequest, ReqwestConnector},
};
use playhead_db::{DbError, site::TimeStampRow};
use playhead_proof::{MAX_STAMP, StampError, StampTrust, TimeStamp, stamp_request};
use std::{fs, path::PathBuf, sync::Mutex, time::Duration};
use tokio::time::timeout;

/// How long the authority may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at what is to be done.
const PERIOD: Duration = Duration::from_secs(2);
/// Time stamps asked for or put away before the next look.
const AT_A_TIME: u32 = 20;
const FIRST_WAIT: i64 = 10_000_000;
const LONGEST_WAIT: i64 = 3_600_000_000;

/// Which authority stamps finished recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampSettings {
    /// Its address, `http://…` or `https://…`.
    pub url: String,
    /// Certificates by which its answers are checked, PEM; any that fit are taken without.
    pub authorities: Option<PathBuf>,
}

/// Asks the authority.
pub(crate) struct Stamper {
    url: String,
    trust: Option<StampTrust>,
    client: HttpClient,
    problem: Mutex<Option<String>>,
}

/// Why there is no time stamp yet.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the time stamping authority {url} did not answer: {reason}")]
    Away { url: String, reason: String },
    #[error("the time stamping authority {url}: {source}")]
    Wrong { url: String, source: StampError },
}

impl Stamper {
    /// Opens it without asking anything.
    ///
    /// # Errors
    /// An address or file that cannot be used.
    pub(crate) fn open(settings: &StampSettings) -> Result<Self, ServerError> {
        let wrong = |reason: String| ServerError::Stamps(reason);
        let url: Uri = settings
            .url
            .parse()
            .map_err(|_| wrong(format!("expected http://… or https://…, got '{}'", settings.url)))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none() {
            return Err(wrong(format!("expected http://… or https://…, got '{}'", settings.url)));
        }
        let trust = match &settings.authorities {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
                Some(
                    StampTrust::from_pem(&text)
                        .map_err(|error| wrong(format!("{}: {error}", path.display())))?,
                )
            }
            None => None,
        };
        // The answers are signed, so that they may come in the clear.
        let options =
            ClientOptions::new().with_allow_http(true).with_timeout(PATIENCE).with_connect_timeout(PATIENCE);
        let client =
            ReqwestConnector::default().connect(&options).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { url: settings.url.clone(), trust, client, problem: Mutex::default() })
    }

    /// What is wrong, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    /// Gets a time stamp over a SHA-256.
    async fn ask(&self, digest: &[u8; 32]) -> Result<Vec<u8>, AskError> {
        let away = |reason: String| AskError::Away { url: self.url.clone(), reason };
        let wrong = |source| AskError::Wrong { url: self.url.clone(), source };
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(|error| away(error.to_string()))?;
        let nonce = u64::from_be_bytes(nonce);
        let mut request = HttpRequest::new(stamp_request(digest, nonce).into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().map_err(|_| away("its address makes no sense".into()))?;
        let kind = HeaderValue::from_static("application/timestamp-query");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let asking = async {
            let response = self.client.execute(request).await.map_err(|error| away(error.to_string()))?;
            if !response.status().is_success() {
                return Err(away(format!("status {}", response.status())));
            }
            let body = Limited::new(response.into_body(), MAX_STAMP).collect().await;
            Ok(body.map_err(|error| away(error.to_string()))?.to_bytes().to_vec())
        };
        let late = |_| away(format!("nothing came within {} s", PATIENCE.as_secs()));
        let answer = timeout(PATIENCE, asking).await.map_err(late)??;
        let stamp = TimeStamp::read(&answer).map_err(wrong)?;
        stamp.answers(nonce).and_then(|()| stamp.check(digest, self.trust.as_ref())).map_err(wrong)?;
        Ok(answer)
    }
}

/// Gets time stamps and puts them where they belong, until the server stops.
pub(crate) async fn run(core: Shared) {
    loop {
        let done = async {
            if let Some(stamper) = &core.stamper {
                get(&core, stamper).await?;
            }
            put(&core).await
        };
        if let Err(error) = done.await {
            tracing::warn!(%error, "cannot look for time stamps that are wanted; trying again");
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn get(core: &Shared, stamper: &Stamper) -> Result<(), DbError> {
    for row in core.store.time_stamps_to_get(clock::now(), AT_A_TIME).await? {
        if core.stop.is_cancelled() {
            return Ok(());
        }
        let asked = match digest(&row.digest) {
            Some(digest) => stamper.ask(&digest).await,
            None => return Err(DbError::Content { column: "digest", expected: "SHA-256" }),
        };
        match asked {
            Ok(answer) => {
                core.store.time_stamped(&row, &STANDARD_NO_PAD.encode(answer), clock::now()).await?;
                lock(&stamper.problem).take();
                tracing::info!(recording = %row.recording, "recording time-stamped");
            }
            Err(error) => {
                let wait = (FIRST_WAIT << row.tries.min(16)).min(LONGEST_WAIT);
                tracing::warn!(recording = %row.recording, %error, retry_seconds = wait / 1_000_000, "no time stamp yet");
                let text = error.to_string();
                core.store.time_stamp_failed(&row, &text, clock::now().plus_micros(wait)).await?;
                *lock(&stamper.problem) =
                    Some(format!("{text}; recordings are kept all the same, and it is asked again"));
            }
        }
    }
    Ok(())
}

/// Puts answers beside the segments they are about, wherever those lie by now.
async fn put(core: &Shared) -> Result<(), DbError> {
    for row in core.store.time_stamps_to_put(AT_A_TIME).await? {
        let Some(segment) = core.store.segment(row.recording, row.number).await? else { continue };
        let answer = row.response.as_deref().and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        let Some(answer) = answer else { continue };
        let path = format!("{}.tsr", segment.path);
        if let Err(error) = put_one(core, &row, &segment.location, &path, answer).await? {
            tracing::warn!(recording = %row.recording, %error, "a time stamp cannot be put beside its segment; trying again");
            // One location that does not work must not be asked for all of them at once.
            return Ok(());
        }
    }
    Ok(())
}

async fn put_one(
    core: &Shared,
    row: &TimeStampRow,
    location: &str,
    path: &str,
    answer: Vec<u8>,
) -> Result<Result<(), StorageError>, DbError> {
    let put = match core.storage.get(location) {
        Ok(place) => place.put_object(path, &[Bytes::from(answer)]).await,
        Err(error) => Err(error),
    };
    if let Err(error) = put {
        return Ok(Err(error));
    }
    core.store.time_stamp_put(row, location, path).await?;
    if let Some((old, at)) =
        row.place.as_ref().filter(|(old, at)| (old.as_str(), at.as_str()) != (location, path))
    {
        core.store.add_removal(old, at, clock::now()).await?;
    }
    Ok(Ok(()))
}

/// A SHA-256 out of its 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_digests_that_make_no_sense_are_refused() {
        let open = |url: &str| Stamper::open(&StampSettings { url: url.into(), authorities: None });
        assert!(open("http://tsa.example/").is_ok());
        for wrong in ["", "tsa.example", "ftp://tsa.example", "http://"] {
            assert!(open(wrong).is_err(), "{wrong}");
        }
        assert_eq!(digest(&"0f".repeat(32)), Some([15; 32]));
        assert!(digest("0f").is_none() && digest(&"zz".repeat(32)).is_none());
    }
}
