//! Refusals and failures in the shape that callers of these calls expect.

use crate::problem::Problem;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

/// A call that was refused or has failed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    /// Names the kind for programs.
    kind: String,
    message: String,
    details: Option<String>,
    retry_after: Option<u64>,
}

impl Failure {
    fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self { status, kind: kind.to_owned(), message: message.into(), details: None, retry_after: None }
    }

    /// 400: it makes no sense.
    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    /// 401: no token that is good.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not-signed-in", message)
    }

    /// 403: the client may not do this.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: there is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// 405: not by this method.
    pub(super) fn method(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
    }

    /// 429: too much at once.
    pub(super) fn too_many(message: impl Into<String>, seconds: u64) -> Self {
        let mut failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message);
        failure.retry_after = Some(seconds.max(1));
        failure
    }

    /// 503: something that is needed is away.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// What went wrong, in words.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Seconds to wait, where it is about too many attempts.
    pub(super) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    fn error_type(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            _ => "InternalServerError",
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        // To who calls, a site that fails, is late or is away is all the same: it may be there again soon.
        let status = match problem.status() {
            502..=504 => StatusCode::SERVICE_UNAVAILABLE,
            other => StatusCode::from_u16(other).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self {
            status,
            kind: problem.kind().to_owned(),
            message: problem.detail().to_owned(),
            details: Some(format!("Error id {}", problem.id())),
            retry_after: problem.retry_after(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({
            "ErrorMessage": self.message,
            "SdkErrorId": self.kind,
            "ErrorType": self.error_type(),
            "ErrorDetails": self.details,
        });
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string())
                .into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("CWSAuth realm=\"Playhead\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(HeaderName::from_static("retry-after"), HeaderValue::from(seconds));
        }
        response
    }
}
