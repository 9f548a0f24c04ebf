//! Signing in by way of an OpenID Connect provider: there and back. A browser goes these ways; other programs have nothing here.

use super::{
    directories::Kind,
    extract::{Params, Peer, Place, form},
};
use crate::{
    accounts,
    core::{Core, Shared},
    directories::{self, Attempt, DirectorySettings, MOST_AGE, Refusal, Returned, read_settings},
    problem::Problem,
};
use axum::{
    Json,
    extract::{OriginalUri, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::{IntoParams, ToSchema};

/// Longest form of a provider, bytes.
const MOST_FORM: usize = 60 << 10;

/// A way to sign in beside a local account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Method {
    /// The directory's id.
    id: String,
    /// Its name.
    name: String,
    /// `ldap`: with name and password. `openid`: by going to `/api/v1/sign-in/openid/{id}`.
    kind: Kind,
}

/// The ways to sign in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Methods {
    /// Directories, by name. A local account always works.
    items: Vec<Method>,
}

/// Where to go afterwards.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// A page of the console.
    to: Option<String>,
}

/// What a provider sends people back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Given {
    /// What the provider gives a token for.
    code: Option<String>,
    /// What the console sent along.
    state: Option<String>,
    /// Who the provider is.
    iss: Option<String>,
    /// What went wrong there.
    error: Option<String>,
}

/// The ways to sign in
#[utoipa::path(get, path = "/api/v1/sign-in/methods", tag = "session", responses((status = 200, body = Methods)))]
pub(crate) async fn sign_in_methods(State(core): State<Shared>) -> Result<Json<Methods>, Problem> {
    let directories = core.store.directories().await?.into_iter().filter(|directory| directory.enabled);
    let open = directories.filter(|directory| match read_settings(directory) {
        Ok(DirectorySettings::Ldap(settings)) => settings.sign_in,
        Ok(DirectorySettings::OpenId(_)) => true,
        Err(_) => false,
    });
    let items =
        open.map(|directory| Method { id: directory.id, name: directory.name, kind: directory.kind.into() });
    Ok(Json(Methods { items: items.collect() }))
}

/// Go to a provider
///
/// Sends the browser there; afterwards it is back at `to`.
#[utoipa::path(get, path = "/api/v1/sign-in/openid/{id}", tag = "session",
    params(("id" = String, Path, description = "The directory"), Wanted),
    responses((status = 303, description = "To the provider, or to the page for signing in with what is wrong")))]
pub(crate) async fn go_to_provider(
    State(core): State<Shared>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Place(id): Place<String>,
    Params(wanted): Params<Wanted>,
) -> Response {
    // The way back leads to the console's own address, and the browser must find its cookie there.
    if let Some(own) = own_address(&core, &headers) {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        return see(&format!("{own}{path}"), None);
    }
    let to = wanted.to.as_deref().unwrap_or("/");
    match directories::way_to_openid(&core, &id, to).await {
        Ok((way, attempt)) => see(&way, Some(core.cookie.set_attempt(&attempt.to_text(), MOST_AGE))),
        Err(refusal) => refused(&core, &refusal),
    }
}

/// Come back from a provider
///
/// Sets the session's cookie, if everything is in order.
#[utoipa::path(get, path = "/api/v1/sign-in/openid/callback", tag = "session", params(Given),
    responses((status = 303, description = "To the page that was wanted, or to the one for signing in with what is wrong")))]
pub(crate) async fn come_back(
    State(core): State<Shared>,
    Peer(address): Peer,
    headers: HeaderMap,
    Params(given): Params<Given>,
) -> Response {
    let attempt = core.cookie.attempt(&headers).and_then(|text| Attempt::read(&text, core.clock.now()));
    let Given { code, state, iss, error } = given;
    let returned = Returned { code, state, issuer: iss, error };
    let (account, to) = match directories::by_openid(&core, attempt, returned).await {
        Ok(entered) => entered,
        Err(refusal) => return refused(&core, &refusal),
    };
    match accounts::open_session(&core, &account, address, &headers).await {
        Ok(token) => {
            tracing::info!(user = account.name, %address, "signed in");
            let mut response = see(&to, Some(core.cookie.set_attempt("", 0)));
            response.headers_mut().append(header::SET_COOKIE, core.cookie.set(&token));
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// What a provider sends when somebody has left it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Farewell {
    /// A token that it has signed.
    #[schema(max_length = 60000)]
    logout_token: String,
}

/// End the sessions of somebody who has signed out at a provider
///
/// The provider calls this, where it is told the address (back-channel logout).
#[utoipa::path(post, path = "/api/v1/sign-in/openid/{id}/back-channel-logout", tag = "session",
    params(("id" = String, Path, description = "The directory")),
    request_body(content = Farewell, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Their sessions have ended"), (status = 400, description = "The token is not believed")))]
pub(crate) async fn back_channel_logout(
    State(core): State<Shared>,
    Place(id): Place<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let Farewell { logout_token } = form(request, MOST_FORM).await.map_err(Problem::bad_request)?;
    directories::farewell(&core, &id, &logout_token).await?;
    Ok(StatusCode::OK)
}

/// The console's own address, when the request came to another one that leads here as well.
fn own_address<'a>(core: &'a Core, headers: &HeaderMap) -> Option<&'a str> {
    let own = core.public_url.split_once("://")?.1;
    let asked = headers.get(header::HOST)?.to_str().ok()?;
    (!own.eq_ignore_ascii_case(asked)).then_some(core.public_url.as_str())
}

/// Back to the page for signing in, which says what is wrong.
fn refused(core: &Core, refusal: &Refusal) -> Response {
    let mut to = format!("/sign-in?problem={}", refusal.code);
    for (name, value) in
        [("directory", Some(refusal.directory.as_str())), ("subject", refusal.subject.as_deref())]
    {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = write!(to, "&{name}={}", directories::escaped(value));
        }
    }
    see(&to, Some(core.cookie.set_attempt("", 0)))
}

/// Sends the browser elsewhere.
fn see(to: &str, cookie: Option<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return Problem::internal("The address to go to cannot be sent.").into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
