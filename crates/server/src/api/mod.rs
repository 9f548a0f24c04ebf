//! The site's REST API. A console calls it, in the same process or through its tunnel, with a signed statement of who asks.

mod download;
mod events;
mod keys;
mod policies;
mod problem;
mod recordings;
mod sessions;
mod site;
mod statement;
mod storage;

pub(crate) use problem::Problem;

use crate::{cluster, core::Shared};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{MethodRouter, delete, get, post, put},
};
use playhead_model::Permission;
use playhead_net::count_requests;

/// Most bytes of a request's body.
const MAX_BODY: usize = 64 << 10;

/// One endpoint.
pub(crate) struct Endpoint {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests go through all endpoints"))]
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What the one who asks must be allowed; `None` for everybody.
    pub(crate) permission: Option<Permission>,
    handler: fn() -> MethodRouter<Shared>,
}

macro_rules! endpoints {
    ($($method:ident $path:literal $permission:expr => $handler:path;)+) => {
        /// All endpoints. The router is made from this table, and so is the test of who may do what.
        pub(crate) const ENDPOINTS: &[Endpoint] = &[
            $(Endpoint {
                method: stringify!($method),
                path: $path,
                permission: $permission,
                handler: || $method($handler),
            }),+
        ];
    };
}

endpoints! {
    get "/site/v1/recordings" Some(Permission::ListRecordings) => recordings::list;
    get "/site/v1/recordings/{id}" Some(Permission::ListRecordings) => recordings::one;
    get "/site/v1/recordings/{id}/timeline" Some(Permission::PlayRecordings) => recordings::timeline;
    get "/site/v1/recordings/{id}/events" Some(Permission::PlayRecordings) => events::events;
    get "/site/v1/recordings/{id}/fragments" Some(Permission::PlayRecordings) => recordings::fragments;
    get "/site/v1/recordings/{id}/segments" Some(Permission::ListRecordings) => recordings::segments;
    get "/site/v1/recordings/{id}/segments/{number}" Some(Permission::DownloadRecordings) => recordings::segment;
    post "/site/v1/recordings/{id}/move" Some(Permission::ManageSites) => storage::move_recording;
    post "/site/v1/recordings/{id}/download" Some(Permission::DownloadRecordings) => download::recording;
    post "/site/v1/recordings/{id}/shred" Some(Permission::ShredRecordings) => keys::shred;
    get "/site/v1/encryption" Some(Permission::ViewSites) => keys::report;
    get "/site/v1/storage" Some(Permission::ViewSites) => storage::report;
    put "/site/v1/storage/{location}" Some(Permission::ManageSites) => storage::change;
    post "/site/v1/storage/{location}/drain" Some(Permission::ManageSites) => storage::drain;
    get "/site/v1/servers" Some(Permission::ViewSites) => site::servers;
    get "/site/v1/session-hosts" Some(Permission::ViewSites) => site::hosts;
    get "/site/v1/join-tokens" Some(Permission::ManageSites) => site::join_tokens;
    post "/site/v1/join-tokens" Some(Permission::ManageSites) => site::join_token;
    delete "/site/v1/join-tokens/{id}" Some(Permission::ManageSites) => site::revoke_join_token;
    get "/site/v1/settings" Some(Permission::ViewSites) => site::settings;
    put "/site/v1/settings" Some(Permission::ManageSites) => site::set_settings;
    get "/site/v1/policies" Some(Permission::ViewPolicies) => policies::list;
    post "/site/v1/policies" Some(Permission::ManagePolicies) => policies::create;
    get "/site/v1/policies/{id}" Some(Permission::ViewPolicies) => policies::one;
    put "/site/v1/policies/{id}" Some(Permission::ManagePolicies) => policies::change;
    delete "/site/v1/policies/{id}" Some(Permission::ManagePolicies) => policies::remove;
    post "/site/v1/policies/{id}/duplicate" Some(Permission::ManagePolicies) => policies::duplicate;
    post "/site/v1/policies/{id}/activate" Some(Permission::ManagePolicies) => policies::activate;
    get "/site/v1/policies/{id}/versions" Some(Permission::ViewPolicies) => policies::versions;
    get "/site/v1/policies/{id}/versions/{number}" Some(Permission::ViewPolicies) => policies::version;
    get "/site/v1/policies/{id}/diff" Some(Permission::ViewPolicies) => policies::diff;
    get "/site/v1/policy-history" Some(Permission::ViewPolicies) => policies::history;
    post "/site/v1/policy-simulation" Some(Permission::ViewPolicies) => policies::simulate;
    get "/site/v1/notices" Some(Permission::ViewPolicies) => policies::notices;
    put "/site/v1/notices" Some(Permission::ManagePolicies) => policies::set_notices;
    get "/site/v1/sessions" Some(Permission::ViewSessions) => sessions::list;
    get "/site/v1/sessions/{id}" Some(Permission::ViewSessions) => sessions::one;
    post "/site/v1/sessions/{id}/start-recording" Some(Permission::ManageSessions) => sessions::start_recording;
    post "/site/v1/sessions/{id}/stop-recording" Some(Permission::ManageSessions) => sessions::stop_recording;
    get "/site/v1/health" None => site::health;
}

/// The site's API.
pub(crate) fn router(core: Shared) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        let mut handler = (endpoint.handler)();
        if endpoint.path.starts_with("/site/v1/recordings/{id}") {
            // Inside the guard: only what may be asked is passed on.
            handler = handler.route_layer(from_fn_with_state(core.clone(), cluster::forward));
        }
        if let Some(permission) = endpoint.permission {
            let guard = from_fn_with_state((core.clone(), permission), statement::guard);
            handler = handler.route_layer(guard);
        }
        router = router.route(endpoint.path, handler);
    }
    router
        .fallback(async || Problem::not_found("there is no such thing in a site's API"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(core.metrics.http.clone(), count_requests))
        .with_state(core)
}

#[cfg(test)]
mod tests;
