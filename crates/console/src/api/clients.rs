//! API clients: programs that use the console without anybody signing in.

use super::extract::{Body, Place};
use crate::{
    accounts::Caller,
    clients::{self, ClientSite, KeptApiClient, Made, Wanted},
    core::Shared,
    problem::Problem,
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use playhead_model::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The API clients, and how they address this console.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiClients {
    /// By name.
    items: Vec<KeptApiClient>,
    /// The id under which clients address this console.
    customer_id: String,
    /// The sites that they can address.
    sites: Vec<ClientSite>,
}

/// A new API client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiClientRequest {
    /// 1 to 100 characters; no two clients have the same.
    name: String,
    /// What it may do: only what whoever makes it may do, too. To find, start and stop sessions it needs `view-sessions` and
    /// `manage-sessions`.
    #[schema(value_type = Vec<String>, example = json!(["view-sessions", "manage-sessions"]))]
    permissions: Vec<Permission>,
    /// How many days it is good for: 1 to 3,650.
    #[serde(default = "a_year")]
    #[schema(default = 365, minimum = 1, maximum = 3650)]
    valid_days: u32,
}

/// An API client that was just made. The secret is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeApiClient {
    /// The client.
    client: KeptApiClient,
    /// Its secret.
    secret: String,
    /// Where it gets a token for them: `POST` with the form `grant_type=client_credentials&client_id=…&client_secret=…`.
    #[schema(example = "https://console.example/cctrustoauth2/k3v9x2mq7wfa/tokens/clients")]
    token_url: String,
    /// The id under which it addresses this console.
    customer_id: String,
    /// The sites that it can address.
    sites: Vec<ClientSite>,
}

const fn a_year() -> u32 {
    365
}

/// The API clients
#[utoipa::path(get, path = "/api/v1/api-clients", tag = "clients", responses((status = 200, body = ApiClients)))]
pub(crate) async fn list_api_clients(State(core): State<Shared>) -> Result<Json<ApiClients>, Problem> {
    let now = core.clock.now();
    let items = core.store.api_clients().await?.into_iter().map(|client| KeptApiClient::new(client, now));
    Ok(Json(ApiClients {
        items: items.collect(),
        customer_id: clients::customer_id(&core.store).await?,
        sites: clients::sites(&core.store).await?,
    }))
}

/// Make an API client
///
/// It gets tokens for its id and secret, each good for an hour, and sends them as `Authorization: Bearer TOKEN` to this API, or as
/// `Authorization: CWSAuth bearer=TOKEN` to the compatible calls below `/cvad/manage`.
#[utoipa::path(post, path = "/api/v1/api-clients", tag = "clients", request_body = ApiClientRequest,
    responses((status = 201, body = MadeApiClient), (status = 409, description = "There is one of this name")))]
pub(crate) async fn create_api_client(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Body(wanted): Body<ApiClientRequest>,
) -> Result<(StatusCode, Json<MadeApiClient>), Problem> {
    if let Some(beyond) = wanted.permissions.iter().find(|permission| !caller.allows(**permission)) {
        return Err(Problem::forbidden(format!(
            "You do not hold the permission '{beyond}' yourself, so you cannot give it to a client."
        )));
    }
    let customer_id = clients::customer_id(&core.store).await?;
    let now = core.clock.now();
    let made = clients::make(
        &core.store,
        &Wanted {
            name: &wanted.name,
            permissions: &wanted.permissions,
            valid_days: wanted.valid_days,
            made_by: &caller.user,
            now,
        },
    )
    .await?;
    let Made { client, secret } = made;
    Ok((
        StatusCode::CREATED,
        Json(MadeApiClient {
            client: KeptApiClient::new(client, now),
            secret,
            token_url: format!("{}/cctrustoauth2/{customer_id}/tokens/clients", core.public_url),
            customer_id,
            sites: clients::sites(&core.store).await?,
        }),
    ))
}

/// Revoke an API client
///
/// At once, with all tokens it has got; whatever streams it has under way end.
#[utoipa::path(delete, path = "/api/v1/api-clients/{id}", tag = "clients",
    params(("id" = String, Path, description = "The client")), responses((status = 204, description = "Revoked")))]
pub(crate) async fn revoke_api_client(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<StatusCode, Problem> {
    if !clients::revoke(&core.store, &id, &caller.user).await? {
        return Err(Problem::not_found(
            "There is no such API client. It may have been revoked already; GET /api/v1/api-clients lists those there are.",
        ));
    }
    core.streams.end_of_account(&id);
    Ok(StatusCode::NO_CONTENT)
}
