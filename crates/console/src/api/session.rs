//! Signing in and out, and one's own password.

use super::extract::{Body, Peer};
use crate::{
    accounts::{self, Caller},
    core::Shared,
    problem::Problem,
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use playhead_db::console::Account;
use playhead_model::Role;
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

impl Me {
    fn new(user: String, role: Role, must_change_password: bool) -> Self {
        let permissions = role.permissions().into_iter().map(playhead_model::Permission::as_str).collect();
        Self { user, role: role.as_str(), permissions, must_change_password }
    }
}

/// Sign in
///
/// The answer sets the session's cookie. After five failures with the same name from the same address every further one has to wait
/// twice as long.
#[utoipa::path(post, path = "/api/v1/sign-in", tag = "session", request_body = Credentials,
    responses((status = 200, body = Me), (status = 429, description = "Too many failures; see `Retry-After`")))]
pub(crate) async fn sign_in(
    State(core): State<Shared>,
    Peer(address): Peer,
    headers: HeaderMap,
    Body(credentials): Body<Credentials>,
) -> Result<Response, Problem> {
    let account = accounts::check(&core, &credentials.user, &credentials.password, address).await?;
    // The session that the browser had is replaced.
    if let Some(before) = accounts::caller(&core, &headers).await? {
        end(&core, &before).await?;
    }
    let token = accounts::open_session(&core, &account, address).await?;
    tracing::info!(user = account.name, %address, "signed in");
    let Account { name, role, must_change_password, .. } = account;
    let cookie = [(header::SET_COOKIE, core.cookie.set(&token))];
    Ok((cookie, Json(Me::new(name, role, must_change_password))).into_response())
}

/// Sign out
///
/// Ends the session and whatever streams it has under way.
#[utoipa::path(post, path = "/api/v1/sign-out", tag = "session", responses((status = 204, description = "Signed out")))]
pub(crate) async fn sign_out(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    end(&core, &caller).await?;
    tracing::info!(user = caller.user, "signed out");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, core.cookie.clear())]).into_response())
}

async fn end(core: &Shared, caller: &Caller) -> Result<(), Problem> {
    core.store.close_session(&caller.session).await?;
    core.streams.end_of_session(&caller.session);
    Ok(())
}

/// Who is signed in
#[utoipa::path(get, path = "/api/v1/me", tag = "session", responses((status = 200, body = Me)))]
pub(crate) async fn me(Extension(caller): Extension<Caller>) -> Json<Me> {
    Json(Me::new(caller.user, caller.role, caller.must_change_password))
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
    Body(change): Body<PasswordChange>,
) -> Result<Response, Problem> {
    accounts::change_password(&core, &caller, &change.current, &change.new, address).await?;
    let account = core.store.account(&caller.user).await?;
    let account = account.ok_or_else(|| Problem::not_signed_in("This account was removed."))?;
    let token = accounts::open_session(&core, &account, address).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, core.cookie.set(&token))]).into_response())
}
