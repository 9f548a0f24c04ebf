//! Problem documents (RFC 9457): what is wrong, where, and what to do about it.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// Every refusal and failure of the API.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Which kind of problem, a reference below `/problems/`. The same kind always has the same one.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "/problems/not-signed-in")]
    kind: String,
    /// The kind in words.
    #[schema(value_type = String)]
    title: Cow<'static, str>,
    /// The HTTP status.
    status: u16,
    /// What is wrong here and what to do about it.
    detail: String,
    /// Names this one occurrence, in the log as well.
    id: String,
    #[serde(skip)]
    retry_after: Option<u64>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $kind:literal, $title:literal;)+) => {
        impl Problem {
            $(
                $(#[$doc])*
                pub(crate) fn $name(detail: impl Into<String>) -> Self {
                    Self::new(StatusCode::$status, $kind, $title, detail.into())
                }
            )+
        }
    };
}

kinds! {
    /// 400: a parameter or body that makes no sense.
    bad_request = BAD_REQUEST, "bad-request", "The request makes no sense";
    /// 400: a new password that will not do.
    weak_password = BAD_REQUEST, "weak-password", "This password will not do";
    /// 401: nobody is signed in.
    not_signed_in = UNAUTHORIZED, "not-signed-in", "Not signed in";
    /// 401: wrong name or password.
    wrong_password = UNAUTHORIZED, "wrong-password", "Wrong name or password";
    /// 401: a program that is not known, or does not prove who it is.
    unknown_program = UNAUTHORIZED, "unknown-program", "Not known here";
    /// 403: the role does not allow it.
    forbidden = FORBIDDEN, "forbidden", "Not allowed";
    /// 403: a request from another origin.
    other_origin = FORBIDDEN, "other-origin", "The request comes from another site";
    /// 403: nothing but changing the password goes before it is changed.
    password_change_required = FORBIDDEN, "password-change-required", "The password must be changed";
    /// 403: known to a directory, but without a role here.
    no_role = FORBIDDEN, "no-role", "No role here";
    /// 403: the directory does not let the account sign in.
    barred = FORBIDDEN, "barred", "The directory does not let this account in";
    /// 404: no such thing.
    not_found = NOT_FOUND, "not-found", "Not found";
    /// 405: the address exists, but not for this method.
    method_not_allowed = METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed";
    /// 409: it does not go together with what is there.
    conflict = CONFLICT, "conflict", "Conflict";
    /// 413: the body is too long.
    too_large = PAYLOAD_TOO_LARGE, "too-large", "The body is too long";
    /// 415: the body is no JSON.
    not_json = UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON";
    /// 500: our fault.
    internal = INTERNAL_SERVER_ERROR, "internal", "Something went wrong";
    /// 502: a site answered nonsense.
    site_failed = BAD_GATEWAY, "site-failed", "The site failed";
    /// 503: no server of the site is connected.
    site_not_connected = SERVICE_UNAVAILABLE, "site-not-connected", "The site is not connected";
    /// 503: a directory does not answer as it should.
    directory_failed = SERVICE_UNAVAILABLE, "directory-failed", "The directory does not answer";
    /// 503: too much at once.
    busy = SERVICE_UNAVAILABLE, "busy", "Too busy";
    /// 504: a site took too long.
    site_late = GATEWAY_TIMEOUT, "site-late", "The site took too long";
    /// 504: we took too long.
    late = GATEWAY_TIMEOUT, "late", "It took too long";
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: String) -> Self {
        Self {
            kind: format!("/problems/{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail,
            id: Uuid::now_v7().to_string(),
            retry_after: None,
        }
    }

    /// 429: too many failures; good again after `seconds`.
    pub(crate) fn too_many(detail: impl Into<String>, seconds: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many failed attempts",
            detail.into(),
        );
        problem.retry_after = Some(seconds.max(1));
        problem
    }

    /// 500 for an error of ours: the log has the particulars, the reader gets the id to quote.
    pub(crate) fn from_error(error: &dyn std::error::Error) -> Self {
        let problem = Self::internal(
            "The console could not do this. Try again; when it goes on, look for the id in the console's log.",
        );
        tracing::error!(id = problem.id, error = %chain(error), "request failed");
        problem
    }

    /// What a site answered instead of what was asked for.
    pub(crate) fn of_site(site: &str, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answered {
            #[serde(rename = "type")]
            kind: String,
            title: String,
            detail: String,
            id: String,
        }
        match serde_json::from_slice::<Answered>(body) {
            Ok(Answered { kind, title, detail, id }) => {
                Self { kind, title: title.into(), status: status.as_u16(), detail, id, retry_after: None }
            }
            Err(_) => Self::site_failed(format!(
                "Site “{site}” answered with status {status} and without a reason. Look at its recording server's log."
            )),
        }
    }

    /// The words for a reader.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The kind in words.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Names the kind for programs.
    pub(crate) fn kind(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or(&self.kind)
    }

    /// Names this one occurrence.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Seconds to wait before trying again, where it is about that.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// The HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl From<playhead_db::DbError> for Problem {
    fn from(error: playhead_db::DbError) -> Self {
        if error.is_unfit_text() {
            return Self::bad_request(
                "A text holds the character NUL, which stands in nothing that there is: take it out.",
            );
        }
        Self::from_error(&error)
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
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_problem_is_a_problem_document() {
        let response = Problem::too_many("wait 3 s", 3).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["type"], "/problems/too-many-requests");
        assert_eq!(json["detail"], "wait 3 s");
        assert!(json["id"].as_str().is_some_and(|id| id.len() == 36));
    }
}
