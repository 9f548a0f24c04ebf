//! The API's description, and whether the console is well.

use super::{Access, ENDPOINTS, described};
use crate::{core::Shared, problem::Problem};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde::Serialize;
use std::sync::OnceLock;
use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        ContentBuilder, PathItem, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

const SCHEME: &str = "session";
const PROGRAM: &str = "client";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Playhead",
        version = "1",
        description = "The console's REST API. Sign in with POST /api/v1/sign-in and send its cookie along, or send an API client's token. \
                       Requests that change something need `content-type: application/json`. Errors are problem documents (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem)),
    tags(
        (name = "session", description = "Signing in and out"),
        (name = "recordings", description = "Finding and playing recordings"),
        (name = "policies", description = "Which sessions are recorded, and what users are told"),
        (name = "sessions", description = "Sessions of users, recorded or not"),
        (name = "sites", description = "Sites, recording servers and session hosts"),
        (name = "directories", description = "Where users and groups are looked up, and by which people sign in"),
        (name = "clients", description = "Programs that use the console without anybody signing in"),
        (name = "console", description = "The console itself")
    )
)]
struct Base;

/// The document without paths.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The OpenAPI document, as it is checked in and served: JSON with a line break at its end.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = described().into_openapi();
        let cookie = ApiKeyValue::with_description(
            "playhead",
            "The cookie that signing in sets. Under TLS its name is `__Host-playhead`.",
        );
        document
            .components
            .get_or_insert_default()
            .add_security_scheme(SCHEME, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let mut token = Http::new(HttpAuthScheme::Bearer);
        token.description = Some(
            "A token that an API client gets for its id and secret by POST /cctrustoauth2/root/tokens/clients, good for an hour."
                .into(),
        );
        document
            .components
            .get_or_insert_default()
            .add_security_scheme(PROGRAM, SecurityScheme::Http(token));
        for &(method, path, access) in ENDPOINTS {
            let item = document.paths.paths.get_mut(path);
            if let Some(operation) = item.and_then(|item| operation(item, method)) {
                complete(operation, access);
            }
        }
        // The document is made of maps with text keys, which always serialise.
        let mut text = document.to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// Says who may call it, and what a failure looks like.
fn complete(operation: &mut Operation, access: Access) {
    let who = match access {
        Access::Public => "Anybody may call this.".to_owned(),
        Access::Proven => "For providers: what the body holds is signed.".to_owned(),
        Access::SignedIn => "Whoever is signed in may call this.".to_owned(),
        Access::Needs(permission) => format!("Needs the permission `{permission}`."),
    };
    operation.description = Some(match operation.description.take() {
        Some(text) if !text.is_empty() => format!("{text}\n\n{who}"),
        _ => who,
    });
    operation.security = Some(match access {
        Access::Public | Access::Proven => Vec::new(),
        Access::SignedIn => vec![SecurityRequirement::new::<_, [&str; 0], &str>(SCHEME, [])],
        Access::Needs(_) => {
            [SCHEME, PROGRAM].map(|scheme| SecurityRequirement::new::<_, [&str; 0], &str>(scheme, [])).into()
        }
    });
    for response in operation.responses.responses.values_mut() {
        // The standard wants a description of every answer.
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = "Done".into();
        }
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let failure =
        ResponseBuilder::new().description("A problem").content("application/problem+json", content);
    operation.responses.responses.insert("default".into(), RefOr::T(failure.build()));
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "console",
    responses((status = 200, description = "An OpenAPI document", content_type = "application/json")))]
pub(crate) async fn openapi_document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document()).into_response()
}

/// How the console is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`; anything else is a problem document.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the console.
    version: &'static str,
}

/// Whether the console is well
///
/// Asks its database, so that a load balancer sees when that is away.
#[utoipa::path(get, path = "/health", tag = "console", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(core): State<Shared>) -> Result<Json<Health>, Problem> {
    core.store.ping().await?;
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}
