//! The REST API: which endpoints there are, who may call them, and what surrounds every call.

#![allow(unused_qualifications, reason = "the macros that describe endpoints qualify names")]

mod clients;
mod compat;
mod directories;
mod download;
mod events;
mod extract;
mod hosts;
mod keys;
pub(crate) mod merge;
mod openapi;
mod openid;
mod policies;
mod policy_shapes;
mod recordings;
mod servers;
mod session;
pub(crate) mod shapes;
mod site;
mod storage;
#[cfg(test)]
mod tests;
mod tokens;
mod user_sessions;

pub(crate) use download::Downloads;
pub(crate) use extract::{Body, Peer};
pub use openapi::document as openapi;

use crate::{
    accounts::{self, Caller},
    core::{Core, Shared},
    problem::Problem,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use playhead_model::Permission;
use std::{sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Longest body of any request.
const MOST_BODY: usize = 64 << 10;
/// Longest time until the head of an answer; its body may stream for as long as it likes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Anybody: what the body holds is signed, and cookies do not matter.
    Proven,
    /// Whoever is signed in, even while the password must be changed.
    SignedIn,
    /// Whoever's role holds the permission, once the password is changed.
    Needs(Permission),
}

/// Every endpoint with who may call it. What does not stand here is refused.
pub(crate) const ENDPOINTS: &[(&str, &str, Access)] = &[
    ("GET", "/health", Access::Public),
    ("GET", "/api/openapi.json", Access::Public),
    ("POST", "/api/v1/sign-in", Access::Public),
    ("GET", "/api/v1/sign-in/methods", Access::Public),
    ("GET", "/api/v1/sign-in/openid/{id}", Access::Public),
    ("GET", "/api/v1/sign-in/openid/callback", Access::Public),
    ("POST", "/api/v1/sign-in/openid/{id}/back-channel-logout", Access::Proven),
    ("POST", "/api/v1/sign-out", Access::SignedIn),
    ("GET", "/api/v1/me", Access::SignedIn),
    ("POST", "/api/v1/me/password", Access::SignedIn),
    ("GET", "/api/v1/me/sessions", Access::SignedIn),
    ("DELETE", "/api/v1/me/sessions", Access::SignedIn),
    ("DELETE", "/api/v1/me/sessions/{id}", Access::SignedIn),
    ("GET", "/api/v1/recordings", Access::Needs(Permission::ListRecordings)),
    ("GET", "/api/v1/recordings/{id}", Access::Needs(Permission::ListRecordings)),
    ("GET", "/api/v1/recordings/{id}/timeline", Access::Needs(Permission::PlayRecordings)),
    ("GET", "/api/v1/recordings/{id}/events", Access::Needs(Permission::PlayRecordings)),
    ("GET", "/api/v1/recordings/{id}/fragments", Access::Needs(Permission::PlayRecordings)),
    ("GET", "/api/v1/recordings/{id}/segments", Access::Needs(Permission::ListRecordings)),
    ("GET", "/api/v1/recordings/{id}/segments/{number}", Access::Needs(Permission::DownloadRecordings)),
    ("POST", "/api/v1/recordings/{id}/download", Access::Needs(Permission::DownloadRecordings)),
    ("POST", "/api/v1/recordings/{id}/download-links", Access::Needs(Permission::DownloadRecordings)),
    ("GET", "/api/v1/downloads/{link}", Access::Needs(Permission::DownloadRecordings)),
    ("POST", "/api/v1/recordings/{id}/shred", Access::Needs(Permission::ShredRecordings)),
    ("GET", "/api/v1/sites/{id}/encryption", Access::Needs(Permission::ViewSites)),
    ("POST", "/api/v1/recordings/{id}/move", Access::Needs(Permission::ManageSites)),
    ("GET", "/api/v1/sites", Access::Needs(Permission::ViewSites)),
    ("POST", "/api/v1/sites", Access::Needs(Permission::ManageSites)),
    ("PATCH", "/api/v1/sites/{id}", Access::Needs(Permission::ManageSites)),
    ("DELETE", "/api/v1/sites/{id}", Access::Needs(Permission::ManageSites)),
    ("GET", "/api/v1/sites/{id}/servers", Access::Needs(Permission::ViewSites)),
    ("GET", "/api/v1/sites/{id}/storage", Access::Needs(Permission::ViewSites)),
    ("PATCH", "/api/v1/sites/{id}/storage/{location}", Access::Needs(Permission::ManageSites)),
    ("POST", "/api/v1/sites/{id}/storage/{location}/drain", Access::Needs(Permission::ManageSites)),
    ("DELETE", "/api/v1/servers/{id}", Access::Needs(Permission::ManageSites)),
    ("GET", "/api/v1/sites/{id}/policies", Access::Needs(Permission::ViewPolicies)),
    ("POST", "/api/v1/sites/{id}/policies", Access::Needs(Permission::ManagePolicies)),
    ("GET", "/api/v1/sites/{id}/policies/{policy}", Access::Needs(Permission::ViewPolicies)),
    ("PUT", "/api/v1/sites/{id}/policies/{policy}", Access::Needs(Permission::ManagePolicies)),
    ("DELETE", "/api/v1/sites/{id}/policies/{policy}", Access::Needs(Permission::ManagePolicies)),
    ("POST", "/api/v1/sites/{id}/policies/{policy}/duplicate", Access::Needs(Permission::ManagePolicies)),
    ("POST", "/api/v1/sites/{id}/policies/{policy}/activate", Access::Needs(Permission::ManagePolicies)),
    ("GET", "/api/v1/sites/{id}/policies/{policy}/versions", Access::Needs(Permission::ViewPolicies)),
    (
        "GET",
        "/api/v1/sites/{id}/policies/{policy}/versions/{number}",
        Access::Needs(Permission::ViewPolicies),
    ),
    ("GET", "/api/v1/sites/{id}/policies/{policy}/diff", Access::Needs(Permission::ViewPolicies)),
    ("GET", "/api/v1/sites/{id}/policy-history", Access::Needs(Permission::ViewPolicies)),
    ("POST", "/api/v1/sites/{id}/policy-simulation", Access::Needs(Permission::ViewPolicies)),
    ("GET", "/api/v1/sites/{id}/notices", Access::Needs(Permission::ViewPolicies)),
    ("PUT", "/api/v1/sites/{id}/notices", Access::Needs(Permission::ManagePolicies)),
    ("GET", "/api/v1/sessions", Access::Needs(Permission::ViewSessions)),
    ("GET", "/api/v1/sessions/{id}", Access::Needs(Permission::ViewSessions)),
    ("POST", "/api/v1/sessions/{id}/start-recording", Access::Needs(Permission::ManageSessions)),
    ("POST", "/api/v1/sessions/{id}/stop-recording", Access::Needs(Permission::ManageSessions)),
    ("GET", "/api/v1/directories", Access::Needs(Permission::ManageDirectories)),
    ("POST", "/api/v1/directories", Access::Needs(Permission::ManageDirectories)),
    ("GET", "/api/v1/directories/{id}", Access::Needs(Permission::ManageDirectories)),
    ("PATCH", "/api/v1/directories/{id}", Access::Needs(Permission::ManageDirectories)),
    ("DELETE", "/api/v1/directories/{id}", Access::Needs(Permission::ManageDirectories)),
    ("POST", "/api/v1/directories/test", Access::Needs(Permission::ManageDirectories)),
    ("GET", "/api/v1/directories/search", Access::Needs(Permission::SearchDirectories)),
    ("GET", "/api/v1/directories/groups", Access::Needs(Permission::SearchDirectories)),
    ("GET", "/api/v1/directories/{id}/roles", Access::Needs(Permission::ManageDirectories)),
    ("POST", "/api/v1/directories/{id}/roles", Access::Needs(Permission::ManageDirectories)),
    ("DELETE", "/api/v1/directory-roles/{id}", Access::Needs(Permission::ManageDirectories)),
    ("GET", "/api/v1/api-clients", Access::Needs(Permission::ManageApiClients)),
    ("POST", "/api/v1/api-clients", Access::Needs(Permission::ManageApiClients)),
    ("DELETE", "/api/v1/api-clients/{id}", Access::Needs(Permission::ManageApiClients)),
    ("GET", "/api/v1/session-hosts", Access::Needs(Permission::ViewSites)),
    ("GET", "/api/v1/join-tokens", Access::Needs(Permission::ManageSites)),
    ("POST", "/api/v1/join-tokens", Access::Needs(Permission::ManageSites)),
    ("DELETE", "/api/v1/join-tokens/{id}", Access::Needs(Permission::ManageSites)),
];

/// The access that the table grants; `None` for what does not stand in it.
fn access(method: &Method, path: &str) -> Option<Access> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    ENDPOINTS.iter().find(|entry| entry.0 == method && entry.1 == path).map(|entry| entry.2)
}

/// The routes with their descriptions.
fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(openapi::health))
        .routes(routes!(openapi::openapi_document))
        .routes(routes!(session::sign_in))
        .routes(routes!(openid::sign_in_methods))
        .routes(routes!(openid::go_to_provider))
        .routes(routes!(openid::come_back))
        .routes(routes!(openid::back_channel_logout))
        .routes(routes!(session::sign_out))
        .routes(routes!(session::me))
        .routes(routes!(session::change_password))
        .routes(routes!(session::list_sessions, session::end_all_sessions))
        .routes(routes!(session::end_session))
        .routes(routes!(recordings::list_recordings))
        .routes(routes!(recordings::recording))
        .routes(routes!(recordings::timeline))
        .routes(routes!(events::recording_events))
        .routes(routes!(recordings::fragments))
        .routes(routes!(recordings::segments))
        .routes(routes!(recordings::download_segment))
        .routes(routes!(download::download_recording))
        .routes(routes!(download::create_download_link))
        .routes(routes!(download::follow_download_link))
        .routes(routes!(keys::shred_recording))
        .routes(routes!(keys::site_encryption))
        .routes(routes!(site::list_sites, site::create_site))
        .routes(routes!(site::change_site, site::delete_site))
        .routes(routes!(storage::move_recording))
        .routes(routes!(servers::site_servers))
        .routes(routes!(storage::site_storage))
        .routes(routes!(storage::change_location))
        .routes(routes!(storage::drain_location))
        .routes(routes!(site::remove_server))
        .routes(routes!(policies::list_policies, policies::create_policy))
        .routes(routes!(policies::policy, policies::change_policy, policies::delete_policy))
        .routes(routes!(policies::duplicate_policy))
        .routes(routes!(policies::activate_policy))
        .routes(routes!(policies::policy_versions))
        .routes(routes!(policies::policy_version))
        .routes(routes!(policies::policy_diff))
        .routes(routes!(policies::policy_history))
        .routes(routes!(policies::simulate_policy))
        .routes(routes!(policies::notices, policies::change_notices))
        .routes(routes!(user_sessions::list_user_sessions))
        .routes(routes!(user_sessions::user_session))
        .routes(routes!(user_sessions::start_recording))
        .routes(routes!(user_sessions::stop_recording))
        .routes(routes!(directories::list_directories, directories::create_directory))
        .routes(routes!(directories::directory, directories::change_directory, directories::delete_directory))
        .routes(routes!(directories::test_directory))
        .routes(routes!(directories::search_directories))
        .routes(routes!(directories::directory_groups))
        .routes(routes!(directories::list_directory_roles, directories::give_directory_role))
        .routes(routes!(directories::take_directory_role))
        .routes(routes!(clients::list_api_clients, clients::create_api_client))
        .routes(routes!(clients::revoke_api_client))
        .routes(routes!(hosts::list_session_hosts))
        .routes(routes!(tokens::list_join_tokens, tokens::create_join_token))
        .routes(routes!(tokens::revoke_join_token))
}

/// All that the console's listener serves: the API, the tunnels' entrance, and the web app for every other path.
pub(crate) fn router(core: Shared) -> Router {
    let (api, _) = described().split_for_parts();
    let api = api
        .route_layer(from_fn_with_state(Arc::clone(&core), guard))
        .merge(crate::sites::tunnel_routes())
        .merge(compat::routes())
        .route_layer(from_fn(time_limit))
        .method_not_allowed_fallback(method_not_allowed);
    api.fallback(elsewhere)
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(from_fn_with_state(Arc::clone(&core), surround))
        .layer(from_fn_with_state(core.http.clone(), playhead_net::count_requests))
        .with_state(core)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::method_not_allowed(format!("{} does not take {method} requests.", uri.path()))
}

async fn elsewhere(State(core): State<Shared>, request: Request) -> Response {
    if compat::is_ours(request.uri().path()) {
        return compat::elsewhere(core, request).await;
    }
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if uri.path() == "/api" || uri.path().starts_with("/api/") {
        let problem = Problem::not_found(format!(
            "The API has nothing at {}; /api/openapi.json describes what there is.",
            uri.path()
        ));
        return problem.into_response();
    }
    core.web.answer(method, uri, headers)
}

/// Lets a request through to its handler when it may pass, and tells the handler who asks.
async fn guard(State(core): State<Shared>, path: MatchedPath, mut request: Request, next: Next) -> Response {
    match admit(&core, path.as_str(), &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(core: &Core, path: &str, request: &mut Request) -> Result<(), Problem> {
    let Some(access) = access(request.method(), path) else {
        return Err(Problem::forbidden("This endpoint has no declared access and is closed."));
    };
    if access == Access::Proven {
        return Ok(());
    }
    if !request.method().is_safe() {
        refuse_forged(request.headers(), request.uri())?;
    }
    if access == Access::Public {
        return Ok(());
    }
    let caller = match crate::clients::bearer(request.headers()) {
        Some(token) => program(core, token, access).await?,
        None => person(core, request.headers()).await?,
    };
    if let Access::Needs(permission) = access {
        if caller.must_change_password {
            return Err(Problem::password_change_required(
                "The password was generated. Choose one of your own with POST /api/v1/me/password first.",
            ));
        }
        if !caller.allows(permission) {
            let who = match &caller.permissions {
                Some(_) => "the API client".to_owned(),
                None => format!("the role '{}'", caller.role),
            };
            return Err(Problem::forbidden(format!(
                "This needs the permission '{permission}', which {who} does not hold."
            )));
        }
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

/// Who has signed in.
async fn person(core: &Core, headers: &HeaderMap) -> Result<Caller, Problem> {
    accounts::caller(core, headers).await?.ok_or_else(|| {
        Problem::not_signed_in(
            "Sign in first; a session ends after 8 hours without use and after 24 in any case.",
        )
    })
}

/// The program that sends this token. What is for people who have signed in is not for programs.
async fn program(core: &Core, token: &str, access: Access) -> Result<Caller, Problem> {
    let program = crate::clients::program(core, token).await?.ok_or_else(|| {
        Problem::not_signed_in(
            "The token is unknown or has expired, or its API client was revoked. Get another one; each is good for an hour.",
        )
    })?;
    if access == Access::SignedIn {
        return Err(Problem::forbidden("This is for people who have signed in, not for API clients."));
    }
    Ok(program.caller)
}

/// Another site's page cannot send this content type without asking first, nor hide its origin.
fn refuse_forged(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(extract::not_json());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    // HTTP/2 has the host in the address, HTTP/1.1 in a header.
    let host = uri.authority().map(http::uri::Authority::as_str);
    let host = host.or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match (origin, host) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Problem::other_origin(
            "Requests that change something must come from the console's own pages.",
        )),
    }
}

async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::late(format!(
            "The console did not finish this within {} s. Try again.",
            PATIENCE.as_secs()
        ))
        .into_response(),
    }
}

/// Headers that every answer carries.
async fn surround(State(core): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if core.cookie.secure {
        let value = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    // What sets these itself knows better.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}
