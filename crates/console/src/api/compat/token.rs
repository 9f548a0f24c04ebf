//! Tokens for API clients, by the grant 'client credentials' of OAuth 2.

use super::failure::Failure;
use crate::{
    api::{Peer, extract::form},
    clients::{self, TOKEN_SECONDS},
    core::{Core, Shared},
    problem::Problem,
};
use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use std::net::IpAddr;

/// Longest body, bytes.
const MOST_BODY: usize = 4 << 10;
/// What may stand in the address in place of the customer: it is the console's anyway.
const ANY_CUSTOMER: &str = "root";

#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
}

/// Why there is no token.
struct NoToken {
    /// As OAuth 2 names it.
    error: &'static str,
    failure: Failure,
}

impl From<Problem> for NoToken {
    fn from(problem: Problem) -> Self {
        let error = match problem.status() {
            400 => "invalid_request",
            401 => "invalid_client",
            429 => "too_many_requests",
            503 => "temporarily_unavailable",
            _ => "server_error",
        };
        Self { error, failure: problem.into() }
    }
}

fn no_token(error: &'static str, failure: Failure) -> NoToken {
    NoToken { error, failure }
}

/// Gives a token for a client's id and secret, which stand in the body: what stands in an address is written into logs.
pub(super) async fn token(
    State(core): State<Shared>,
    Path(customer): Path<String>,
    Peer(address): Peer,
    request: Request,
) -> Response {
    if request.method() != Method::POST {
        return Failure::method(format!("This address does not take {} requests.", request.method()))
            .into_response();
    }
    match made(&core, &customer, address, request).await {
        Ok(token) => {
            let body = json!({
                "token_type": "bearer",
                "access_token": token,
                "expires_in": TOKEN_SECONDS.to_string(),
            });
            answer(StatusCode::OK, &body.to_string(), None)
        }
        Err(NoToken { error, failure }) => {
            let body = json!({
                "token_type": null,
                "access_token": null,
                "expires_in": null,
                "error": error,
                "error_description": failure.message(),
            });
            answer(failure.status(), &body.to_string(), failure.retry_after())
        }
    }
}

async fn made(core: &Core, customer: &str, address: IpAddr, request: Request) -> Result<String, NoToken> {
    let own = clients::customer_id(&core.store).await.map_err(Problem::from)?;
    if !customer.eq_ignore_ascii_case(&own) && customer != ANY_CUSTOMER {
        let failure = Failure::unauthorized(
            "The customer in the address is not this console's. The page API clients shows its id.",
        );
        return Err(no_token("invalid_client", failure));
    }
    let wrong = |text: String| no_token("invalid_request", Failure::wrong(text));
    let form: Form = form(request, MOST_BODY).await.map_err(wrong)?;
    if form.grant_type != "client_credentials" {
        let failure = Failure::wrong("Expected grant_type=client_credentials in the body.");
        return Err(no_token("unsupported_grant_type", failure));
    }
    if form.client_id.is_empty() || form.client_secret.is_empty() {
        return Err(wrong("Expected client_id and client_secret in the body.".into()));
    }
    Ok(clients::sign_in(core, &form.client_id, &form.client_secret, address).await?)
}

fn answer(status: StatusCode, body: &str, retry_after: Option<u64>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    let mut response = (status, content_type, body.to_owned()).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
