//! Reading requests, with problem documents for what cannot be read.

use crate::problem::Problem;
use axum::{
    Json,
    body::Bytes,
    extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
};
use http::{StatusCode, Uri, header, request::Parts};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::too_large("The body is longer than this endpoint takes.")
            }
            _ => Problem::bad_request("The body did not come whole."),
        })?;
        parsed(&bytes).map(Self)
    }
}

/// What a JSON object says.
fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    match bytes.trim_ascii_start().first() {
        None => return Err(Problem::bad_request("The request needs a JSON body.")),
        // A list would be read as the fields in their order, an empty one as nothing but what is left out.
        Some(b'[') => return Err(Problem::bad_request("The body is a list; expected an object, in braces.")),
        Some(_) => {}
    }
    let Json(value) = Json::from_bytes(bytes).map_err(|error: JsonRejection| {
        Problem::bad_request(format!("The body is not as expected: {}.", plain(&error.body_text())))
    })?;
    Ok(value)
}

/// What a reader says of a request, without the words of the reader's own.
fn plain(said: &str) -> &str {
    let theirs = [
        "Failed to deserialize the JSON body into the target type: ",
        "Failed to parse the request body as JSON: ",
        "Failed to deserialize query string: ",
    ];
    theirs.iter().find_map(|theirs| said.strip_prefix(theirs)).unwrap_or(said)
}

/// A JSON body that may be longer than others: a policy with thousands of rules.
pub(crate) struct Long<T>(pub(crate) T);

/// Longest one.
const MOST_LONG: usize = 4 << 20;

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Long<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = axum::body::to_bytes(request.into_body(), MOST_LONG).await.map_err(|_| {
            Problem::too_large(format!("The body must have at most {} MiB.", MOST_LONG >> 20))
        })?;
        parsed(&bytes).map(Self)
    }
}

/// A form of at most `most` bytes, which is less than an address may have.
///
/// # Errors
/// What is wrong with it, in words for whoever sent it.
pub(super) async fn form<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, String> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err("Expected a form, 'content-type: application/x-www-form-urlencoded'.".into());
    }
    let bytes = axum::body::to_bytes(request.into_body(), most).await;
    let bytes = bytes.map_err(|_| format!("The body must have at most {} KiB.", most >> 10))?;
    // A form is written like what stands behind an address's question mark.
    let unreadable = || "The body is no form with what is needed here.".to_owned();
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
    let address: Uri = format!("/?{}", text.trim()).parse().map_err(|_| unreadable())?;
    let Query(form) = Query::<T>::try_from_uri(&address).map_err(|_| unreadable())?;
    Ok(form)
}

/// 415 with what to do.
pub(crate) fn not_json() -> Problem {
    Problem::not_json("Requests that change something must have the header 'content-type: application/json'.")
}

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state).await.map_err(|error| {
            let said = error.body_text();
            Problem::bad_request(format!(
                "What stands behind the question mark is not as expected: {}.",
                plain(&said)
            ))
        })?;
        Ok(Self(value))
    }
}

/// Parts of the path.
pub(crate) struct Place<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Place<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(value) = Path::from_request_parts(parts, state).await.map_err(|error| {
            Problem::not_found(format!("There is nothing at this address: {}.", error.body_text()))
        })?;
        Ok(Self(value))
    }
}

/// The address that a request came from.
pub(crate) struct Peer(pub(crate) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // A router used without a listener has no peers; they count as one.
        Ok(Self(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())))
    }
}
