//! Signing in and out, and one's own password.

use super::extract::{Body, Peer, Place};
use crate::{
    accounts::{self, Caller},
    core::Shared,
    directories,
    problem::Problem,
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use playhead_db::console::Account;
use playhead_model::{Role, WallTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Credentials {
    /// The user's name.
    #[schema(example = "admin")]
    user: String,
    /// The password.
    #[schema(format = Password)]
    password: String,
    /// The LDAP directory that knows them, by its id; without it a local account is meant, or the directory whose name stands before a
    /// backslash in the user's name.
    #[serde(default)]
    directory: Option<String>,
}

/// Who is signed in, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The user's name.
    user: String,
    /// The role.
    #[schema(example = "full")]
    role: &'static str,
    /// The permissions that the role holds.
    #[schema(example = json!(["list-recordings", "play-recordings"]))]
    permissions: Vec<&'static str>,
    /// Whether the password must be changed before anything else.
    must_change_password: bool,
    /// Whether it is a local account, whose password is kept here.
    local: bool,
}

/// What is left to do after signing out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedOut {
    /// Where the browser should go, so that the provider by which the person came in forgets them as well.
    next: String,
}

/// A change of the password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordChange {
    /// The current password.
    #[schema(format = Password)]
    current: String,
    /// The new one: at least 12 characters.
    #[schema(format = Password, min_length = 12)]
    new: String,
}

/// One of one's own sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenSession {
    /// Names it here; it lets nobody in.
    id: String,
    /// Whether it is the one that asks.
    current: bool,
    /// What it was opened with, as the program said; may be empty.
    browser: String,
    /// The address that it was opened from.
    address: String,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When it was last used, to about a minute.
    #[schema(value_type = String, format = DateTime)]
    last_seen: WallTime,
    /// When it ends in any case.
    #[schema(value_type = String, format = DateTime)]
    ends_at: WallTime,
}

/// One's own sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenSessions {
    /// Those used last first.
    items: Vec<OpenSession>,
}

impl Me {
    fn new(user: String, role: Role, must_change_password: bool, local: bool) -> Self {
        let permissions = role.permissions().into_iter().map(playhead_model::Permission::as_str).collect();
        Self { user, role: role.as_str(), permissions, must_change_password, local }
    }
}

/// Sign in
///
/// The answer sets the session's cookie. After five failures with the same name from the same address every further one has to wait
/// twice as long.
#[utoipa::path(post, path = "/api/v1/sign-in", tag = "session", request_body = Credentials,
    responses((status = 200, body = Me), (status = 429, description = "Too many failures; see `Retry-After`"),
        (status = 503, description = "The directory does not answer")))]
pub(crate) async fn sign_in(
    State(core): State<Shared>,
    Peer(address): Peer,
    headers: HeaderMap,
    Body(credentials): Body<Credentials>,
) -> Result<Response, Problem> {
    let Credentials { user, password, directory } = credentials;
    let by = directories::directory_of(&core, directory.as_deref(), &user).await?;
    let local = by.is_none();
    let account = match by {
        Some((directory, login)) => {
            directories::by_password(&core, &directory, &login, &password, address).await?
        }
        None => accounts::check(&core, &user, &password, address).await?,
    };
    // The session that the browser had is replaced.
    if let Some(before) = accounts::caller(&core, &headers).await? {
        end(&core, &before).await?;
    }
    let token = accounts::open_session(&core, &account, address, &headers).await?;
    tracing::info!(user = account.name, %address, "signed in");
    let Account { name, role, must_change_password, .. } = account;
    let cookie = [(header::SET_COOKIE, core.cookie.set(&token))];
    Ok((cookie, Json(Me::new(name, role, must_change_password, local))).into_response())
}

/// Sign out
///
/// Ends the session and whatever streams it has under way.
#[utoipa::path(post, path = "/api/v1/sign-out", tag = "session",
    responses((status = 204, description = "Signed out"), (status = 200, description = "Signed out here; the browser should go on", body = SignedOut)))]
pub(crate) async fn sign_out(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    end(&core, &caller).await?;
    tracing::info!(user = caller.user, "signed out");
    if let Some(next) = directories::way_out(&core, &caller.account).await {
        let cookie = [(header::SET_COOKIE, core.cookie.clear())];
        return Ok((cookie, Json(SignedOut { next })).into_response());
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, core.cookie.clear())]).into_response())
}

async fn end(core: &Shared, caller: &Caller) -> Result<(), Problem> {
    core.store.close_session(&caller.session).await?;
    core.streams.end_of_session(&caller.session);
    Ok(())
}

/// Who is signed in
#[utoipa::path(get, path = "/api/v1/me", tag = "session", responses((status = 200, body = Me)))]
pub(crate) async fn me(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Me>, Problem> {
    let local = core.store.directory_account(&caller.account).await?.is_none();
    Ok(Json(Me::new(caller.user, caller.role, caller.must_change_password, local)))
}

/// Change one's own password
///
/// All sessions of the account end; the answer sets the cookie of a new one.
#[utoipa::path(post, path = "/api/v1/me/password", tag = "session", request_body = PasswordChange,
    responses((status = 204, description = "Changed"), (status = 400, description = "The problem says why it will not do")))]
pub(crate) async fn change_password(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Peer(address): Peer,
    headers: HeaderMap,
    Body(change): Body<PasswordChange>,
) -> Result<Response, Problem> {
    accounts::change_password(&core, &caller, &change.current, &change.new, address).await?;
    let account = core.store.account(&caller.user).await?;
    let account = account.ok_or_else(|| Problem::not_signed_in("This account was removed."))?;
    let token = accounts::open_session(&core, &account, address, &headers).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, core.cookie.set(&token))]).into_response())
}

/// One's own sessions
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "session", responses((status = 200, body = OpenSessions)))]
pub(crate) async fn list_sessions(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<OpenSessions>, Problem> {
    let sessions = accounts::sessions(&core, &caller.account).await?;
    let items = sessions.into_iter().map(|session| OpenSession {
        id: id_of(&session.hash).to_owned(),
        current: session.hash == caller.session,
        ends_at: session.created_at.plus_micros(accounts::LIFE),
        browser: session.browser,
        address: session.address,
        created_at: session.created_at,
        last_seen: session.last_seen,
    });
    Ok(Json(OpenSessions { items: items.collect() }))
}

/// End one of one's own sessions
///
/// Whatever streams it has under way end as well.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "session",
    params(("id" = String, Path, description = "The session")), responses((status = 204, description = "Ended")))]
pub(crate) async fn end_session(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<StatusCode, Problem> {
    let mut sessions = accounts::sessions(&core, &caller.account).await?.into_iter();
    let Some(session) = sessions.find(|session| id_of(&session.hash) == id) else {
        return Err(Problem::not_found(
            "You have no such session. GET /api/v1/me/sessions lists those you have.",
        ));
    };
    core.store.close_session(&session.hash).await?;
    core.streams.end_of_session(&session.hash);
    tracing::info!(user = caller.user, address = session.address, "session ended by its owner");
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out everywhere
///
/// Ends all sessions of one's account, the one that asks included, and whatever streams they have under way.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "session",
    responses((status = 204, description = "Signed out everywhere")))]
pub(crate) async fn end_all_sessions(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let ended = core.store.close_sessions(&caller.account).await?;
    core.streams.end_of_account(&caller.account);
    tracing::info!(user = caller.user, ended, "signed out everywhere");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, core.cookie.clear())]).into_response())
}

/// What a session is called in addresses: enough of its token's hash to tell it from all others.
fn id_of(hash: &str) -> &str {
    hash.get(..32).unwrap_or(hash)
}
