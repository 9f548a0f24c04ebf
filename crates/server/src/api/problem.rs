//! Problem documents (RFC 9457).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use playhead_db::DbError;
use serde::Serialize;
use uuid::Uuid;

/// A refusal or failure, told in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// Names this one occurrence, in the log as well.
    id: String,
    #[serde(skip)]
    retry_after: Option<u64>,
}

macro_rules! kinds {
    ($($name:ident = $status:ident, $kind:literal, $title:literal;)+) => {
        impl Problem {
            $(pub(crate) fn $name(detail: impl Into<String>) -> Self {
                Self::new(StatusCode::$status, $kind, $title, detail.into())
            })+
        }
    };
}

kinds! {
    bad_request = BAD_REQUEST, "bad-request", "The request makes no sense";
    unauthorized = UNAUTHORIZED, "unknown-program", "Not known here";
    forbidden = FORBIDDEN, "forbidden", "Not allowed";
    not_found = NOT_FOUND, "not-found", "Not found";
    not_ready = CONFLICT, "not-ready", "Not ready yet";
    conflict = CONFLICT, "conflict", "Not possible now";
    shredded = GONE, "shredded", "Shredded";
    out_of_range = RANGE_NOT_SATISFIABLE, "out-of-range", "Outside the recording";
    unavailable = SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment";
    late = GATEWAY_TIMEOUT, "late", "It took too long";
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: String) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title,
            status: status.as_u16(),
            detail,
            id: Uuid::now_v7().to_string(),
            retry_after: None,
        }
    }

    /// 400: a request that cannot be read, by what the reader says of it.
    pub(crate) fn unreadable(said: &str) -> Self {
        let plain = [
            ("Failed to deserialize the JSON body into the target type: ", "the body is not as expected: "),
            ("Failed to parse the request body as JSON: ", "the body is no JSON: "),
            (
                "Failed to deserialize query string: ",
                "what stands behind the question mark is not as expected: ",
            ),
        ];
        let found =
            plain.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", said.strip_prefix(theirs)?)));
        Self::bad_request(found.unwrap_or_else(|| said.to_owned()))
    }

    /// 429: good again after `seconds`.
    pub(crate) fn too_many(detail: &str, seconds: u64) -> Self {
        let detail = format!("{detail}: try again in {seconds} s");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many failures", detail);
        problem.retry_after = Some(seconds);
        problem
    }

    /// 500: our fault. What happened goes to the log, its name to the caller.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        let mut problem =
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong", String::new());
        problem.detail = format!("the recording server failed; its log says why under {}", problem.id);
        tracing::error!(%error, problem = problem.id, "a request failed");
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Cursor(_) => Self::bad_request(error.to_string()),
            error if error.is_unfit_text() => Self::bad_request(
                "a text holds the character NUL, which stands in nothing that there is: take it out",
            ),
            error => Self::internal(error),
        }
    }
}

impl From<crate::playback::PlaybackError> for Problem {
    fn from(error: crate::playback::PlaybackError) -> Self {
        use crate::{keys::KeyError, playback::PlaybackError, storage::StorageError};
        match error {
            PlaybackError::OutOfRange { .. } | PlaybackError::NoSuchFragment { .. } => {
                Self::out_of_range(error.to_string())
            }
            PlaybackError::Storage(StorageError::Key(KeyError::Shredded)) => {
                Self::shredded(KeyError::Shredded.to_string())
            }
            PlaybackError::Empty => Self::not_ready(error.to_string()),
            PlaybackError::Damaged { .. } | PlaybackError::Storage(_) => {
                tracing::error!(%error, "cannot read a stored segment");
                Self::unavailable(error.to_string())
            }
            error => Self::internal(error),
        }
    }
}
