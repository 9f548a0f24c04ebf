//! Join tokens: how new agents and recording servers come in.

use super::{
    extract::{Body, Place},
    hosts,
    shapes::{SiteProblem, SiteRef},
    site,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteRequest, ask_all, ask_for},
};
use axum::{Extension, Json, extract::State};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use playhead_model::{SiteId, WallTime};
use playhead_protocol::join::JoinKind;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

const VALID_SECONDS: RangeInclusive<u64> = 60..=30 * 86_400;
const USES: RangeInclusive<u32> = 1..=1_000;

/// What a new join token is good for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinTokenRequest {
    /// What its bearer becomes: `agent` of a session host, or recording `server`.
    #[schema(value_type = Kind)]
    kind: JoinKind,
    /// The site to join. An agent needs it when there are several sites; a server needs it to join a site that was created empty.
    #[schema(value_type = Option<String>, format = Uuid)]
    site: Option<SiteId>,
    /// How long it is good for: 60 seconds to 30 days.
    #[serde(default = "an_hour")]
    #[schema(default = 3600, minimum = 60, maximum = 2_592_000)]
    valid_seconds: u64,
    /// How often it can be used: 1 to 1,000.
    #[serde(default = "once")]
    #[schema(default = 1, minimum = 1, maximum = 1000)]
    uses: u32,
}

/// Kinds of join tokens, as the document describes them.
#[derive(ToSchema)]
#[schema(as = JoinKind, rename_all = "lowercase")]
#[allow(dead_code, reason = "describes a type of another crate")]
pub(crate) enum Kind {
    /// For a session host's agent.
    Agent,
    /// For a recording server.
    Server,
}

/// A new join token. It is shown this once.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct MadeToken {
    /// The token: one word.
    pub(crate) token: String,
    /// The command to run on the new machine.
    pub(crate) command: String,
    /// When it expires.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: WallTime,
}

/// A join token that can still be used. The token itself is kept nowhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct JoinToken {
    /// Names it; it lets nobody in.
    id: String,
    /// What its bearer becomes.
    #[schema(value_type = Kind)]
    kind: JoinKind,
    /// The site to join; null when the server's own database decides.
    #[schema(required)]
    site: Option<SiteRef>,
    /// How often it can still be used.
    uses_left: u64,
    /// Who made it.
    made_by: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: WallTime,
}

/// The join tokens that can still be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct JoinTokens {
    /// The newest first.
    items: Vec<JoinToken>,
    /// Sites that did not answer.
    problems: Vec<SiteProblem>,
}

/// Join tokens as a site lists them.
#[derive(Deserialize)]
struct OfSite {
    items: Vec<AgentToken>,
}

#[derive(Deserialize)]
struct AgentToken {
    id: String,
    uses_left: u64,
    made_by: String,
    created_at: WallTime,
    expires_at: WallTime,
}

/// What a site says of a token that it has revoked.
#[derive(Deserialize)]
struct Revoked {}

const fn an_hour() -> u64 {
    3_600
}

const fn once() -> u32 {
    1
}

/// Make a join token
#[utoipa::path(post, path = "/api/v1/join-tokens", tag = "sites", request_body = JoinTokenRequest,
    responses((status = 201, body = MadeToken)))]
pub(crate) async fn create_join_token(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Body(wanted): Body<JoinTokenRequest>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    for (name, value, range) in [
        ("valid_seconds", wanted.valid_seconds, VALID_SECONDS),
        ("uses", wanted.uses.into(), (*USES.start()).into()..=(*USES.end()).into()),
    ] {
        if !range.contains(&value) {
            return Err(Problem::bad_request(format!(
                "'{name}' must lie between {} and {}, got {value}.",
                range.start(),
                range.end()
            )));
        }
    }
    let made = match wanted.kind {
        JoinKind::Agent => for_agent(&core, &caller, &wanted).await?,
        JoinKind::Server => for_server(&core, &caller, &wanted).await?,
    };
    tracing::info!(user = caller.user, kind = wanted.kind.as_str(), uses = wanted.uses, expires_at = %made.expires_at,
        "join token made");
    Ok((StatusCode::CREATED, Json(made)))
}

async fn for_agent(core: &Core, caller: &Caller, wanted: &JoinTokenRequest) -> Result<MadeToken, Problem> {
    let mut sites = hosts::chosen(core, wanted.site).await?;
    let site = match (sites.pop(), sites.is_empty()) {
        (Some(site), true) => site,
        (Some(_), false) => {
            return Err(Problem::bad_request(
                "There are several sites: say with 'site' which one the session host should join.",
            ));
        }
        (None, _) => {
            return Err(Problem::conflict("There is no site yet. Connect a recording server first."));
        }
    };
    let body = serde_json::json!({
        "kind": wanted.kind,
        "valid_seconds": wanted.valid_seconds,
        "uses": wanted.uses,
    });
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let request = SiteRequest {
        method: Method::POST,
        path: "/site/v1/join-tokens".into(),
        headers: HeaderMap::from_iter(headers),
        body: body.to_string().into(),
    };
    ask_for(core, caller, &site, &request).await
}

async fn for_server(core: &Core, caller: &Caller, wanted: &JoinTokenRequest) -> Result<MadeToken, Problem> {
    if let Some(site) = wanted.site {
        site::named(core, site).await?;
    }
    let seconds = i64::try_from(wanted.valid_seconds).unwrap_or(i64::MAX);
    let (token, expires_at) = crate::token::issue(
        &core.store,
        &crate::token::Wanted {
            url: &core.public_url,
            authority: core.authority.as_deref(),
            site: wanted.site,
            uses: wanted.uses,
            made_by: &caller.user,
            now: core.clock.now(),
            valid_micros: seconds.saturating_mul(1_000_000),
        },
    )
    .await?;
    let command = format!("playhead server --data /var/lib/playhead-server --join {token}");
    Ok(MadeToken { token: token.to_string(), command, expires_at })
}

/// The join tokens that can still be used
///
/// Those for session hosts are kept by their sites, those for recording servers by the console.
#[utoipa::path(get, path = "/api/v1/join-tokens", tag = "sites", responses((status = 200, body = JoinTokens)))]
pub(crate) async fn list_join_tokens(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<JoinTokens>, Problem> {
    let known = core.store.sites().await?;
    let named = |id: SiteId| {
        let site = known.iter().find(|site| site.id == id)?;
        Some(SiteRef { id, name: site.name.clone() })
    };
    let own = core.store.tokens(core.clock.now()).await?.into_iter().map(|token| JoinToken {
        id: token.secret_hash,
        kind: JoinKind::Server,
        site: token.site.and_then(named),
        uses_left: token.uses_left,
        made_by: token.made_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
    });
    let mut items: Vec<_> = own.collect();
    let sites = site::all_joined(&core).await?;
    let request = SiteRequest::get("/site/v1/join-tokens");
    let answers = ask_all::<OfSite>(&core, &caller, sites, &request).await?;
    for (site, answer) in answers.given {
        items.extend(answer.items.into_iter().map(|token| JoinToken {
            id: token.id,
            kind: JoinKind::Agent,
            site: Some(SiteRef { id: site.id, name: site.name.clone() }),
            uses_left: token.uses_left,
            made_by: token.made_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
        }));
    }
    items.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    Ok(Json(JoinTokens { items, problems: answers.missing.into_iter().map(hosts::shown).collect() }))
}

/// Revoke a join token
///
/// Who has come in by it stays.
#[utoipa::path(delete, path = "/api/v1/join-tokens/{id}", tag = "sites",
    params(("id" = String, Path, description = "The token's id, as the list has it")),
    responses((status = 204, description = "Revoked")))]
pub(crate) async fn revoke_join_token(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || {
        Problem::not_found(
            "There is no such join token. It may have been used up, expired or revoked already; GET /api/v1/join-tokens \
             lists those there are.",
        )
    };
    // It becomes part of an address at the sites.
    if id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(unknown());
    }
    if core.store.remove_token(&id).await? {
        tracing::info!(user = caller.user, kind = JoinKind::Server.as_str(), "join token revoked");
        return Ok(StatusCode::NO_CONTENT);
    }
    let request = SiteRequest {
        method: Method::DELETE,
        path: format!("/site/v1/join-tokens/{id}"),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
    };
    // One whose site does not answer may be there all the same.
    let mut missing = None;
    for site in site::all_joined(&core).await? {
        match ask_for::<Revoked>(&core, &caller, &site, &request).await {
            Ok(_) => return Ok(StatusCode::NO_CONTENT),
            Err(problem) if problem.status() == 404 => {}
            Err(problem) => missing = Some(problem),
        }
    }
    Err(missing.unwrap_or_else(unknown))
}
