//! Recording policies of sites, and what users are told. The sites check, keep and evaluate them; the console hands on.

use super::{
    extract::{Long, Params, Place},
    policy_shapes::{
        Notices, Policy, PolicyActivated, PolicyAnswer, PolicyDetail, PolicyDiff, PolicyHistory, PolicyList,
        PolicyQuestion, PolicyVersionDetail, PolicyVersions,
    },
    site, storage,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteRequest, ask_for},
};
use axum::{Extension, Json, extract::State};
use http::{Method, StatusCode};
use playhead_model::SiteId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Recording policies of a site
#[utoipa::path(get, path = "/api/v1/sites/{id}/policies", tag = "policies",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = PolicyList)))]
pub(crate) async fn list_policies(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, "policies").await
}

/// Make a recording policy
#[utoipa::path(post, path = "/api/v1/sites/{id}/policies", tag = "policies", request_body = Policy,
    params(("id" = Uuid, Path, description = "The site")), responses((status = 201, body = PolicyDetail),
        (status = 409, description = "Another one has its name")))]
pub(crate) async fn create_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
    Long(policy): Long<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let made = send(&core, &caller, id, Method::POST, "policies", &policy).await?;
    Ok((StatusCode::CREATED, made))
}

/// One recording policy
#[utoipa::path(get, path = "/api/v1/sites/{id}/policies/{policy}", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 200, body = PolicyDetail)))]
pub(crate) async fn policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, &format!("policies/{}", checked(&policy)?)).await
}

/// A change of a policy.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyChange {
    /// The version that was read before.
    version: u32,
    /// What the policy says from now on.
    #[schema(value_type = Policy)]
    policy: Value,
}

/// Change a recording policy
///
/// The whole policy is replaced, and the version before is kept. Where the policy is active, session hosts go by the new version within two
/// seconds.
#[utoipa::path(put, path = "/api/v1/sites/{id}/policies/{policy}", tag = "policies", request_body = PolicyChange,
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 200, body = PolicyDetail),
        (status = 409, description = "It was changed since that version, another one has its name, or it is one of the system's")))]
pub(crate) async fn change_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
    Long(change): Long<PolicyChange>,
) -> Result<Json<Value>, Problem> {
    send(&core, &caller, id, Method::PUT, &format!("policies/{}", checked(&policy)?), &change).await
}

/// Delete a recording policy
///
/// Its versions can still be looked at.
#[utoipa::path(delete, path = "/api/v1/sites/{id}/policies/{policy}", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 204, description = "Deleted"), (status = 409, description = "It is active, or one of the system's")))]
pub(crate) async fn delete_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
) -> Result<StatusCode, Problem> {
    let path = format!("policies/{}", checked(&policy)?);
    let Json(_) = send(&core, &caller, id, Method::DELETE, &path, &Value::Null).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the copy of a policy is called.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyCopy {
    /// Its name; that of the policy with "(copy)" behind it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Duplicate a recording policy
///
/// The copy of one of the system's policies has one rule for everyone that does the same: to start a policy of one's own from.
#[utoipa::path(post, path = "/api/v1/sites/{id}/policies/{policy}/duplicate", tag = "policies", request_body = PolicyCopy,
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 201, body = PolicyDetail)))]
pub(crate) async fn duplicate_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
    Long(copy): Long<PolicyCopy>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let path = format!("policies/{}/duplicate", checked(&policy)?);
    let made = send(&core, &caller, id, Method::POST, &path, &copy).await?;
    Ok((StatusCode::CREATED, made))
}

/// Make a recording policy the active one
///
/// Session hosts go by it within two seconds. What it means for sessions that are being recorded stands in the manual.
#[utoipa::path(post, path = "/api/v1/sites/{id}/policies/{policy}/activate", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 200, body = PolicyActivated)))]
pub(crate) async fn activate_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
) -> Result<Json<Value>, Problem> {
    let path = format!("policies/{}/activate", checked(&policy)?);
    send(&core, &caller, id, Method::POST, &path, &Value::Null).await
}

/// The versions of a recording policy
#[utoipa::path(get, path = "/api/v1/sites/{id}/policies/{policy}/versions", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy")),
    responses((status = 200, body = PolicyVersions)))]
pub(crate) async fn policy_versions(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, &format!("policies/{}/versions", checked(&policy)?)).await
}

/// One version of a recording policy
#[utoipa::path(get, path = "/api/v1/sites/{id}/policies/{policy}/versions/{number}", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy"),
        ("number" = u32, Path, description = "The version")),
    responses((status = 200, body = PolicyVersionDetail)))]
pub(crate) async fn policy_version(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy, number)): Place<(SiteId, String, u32)>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, &format!("policies/{}/versions/{number}", checked(&policy)?)).await
}

/// Which versions to compare.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Between {
    /// The version to start from.
    from: u32,
    /// The version that it leads to.
    to: u32,
}

/// What differs between two versions of a recording policy
#[utoipa::path(get, path = "/api/v1/sites/{id}/policies/{policy}/diff", tag = "policies",
    params(("id" = Uuid, Path, description = "The site"), ("policy" = String, Path, description = "The policy"), Between),
    responses((status = 200, body = PolicyDiff)))]
pub(crate) async fn policy_diff(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, policy)): Place<(SiteId, String)>,
    Params(Between { from, to }): Params<Between>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, &format!("policies/{}/diff?from={from}&to={to}", checked(&policy)?)).await
}

/// Which recording policy was active when
#[utoipa::path(get, path = "/api/v1/sites/{id}/policy-history", tag = "policies",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = PolicyHistory)))]
pub(crate) async fn policy_history(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, "policy-history").await
}

/// Ask what a recording policy would do with a session, and why
///
/// Changes nothing. The active policy answers, another one, or one that is not kept yet.
#[utoipa::path(post, path = "/api/v1/sites/{id}/policy-simulation", tag = "policies", request_body = PolicyQuestion,
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = PolicyAnswer)))]
pub(crate) async fn simulate_policy(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
    Long(question): Long<Value>,
) -> Result<Json<Value>, Problem> {
    send(&core, &caller, id, Method::POST, "policy-simulation", &question).await
}

/// What users are told
#[utoipa::path(get, path = "/api/v1/sites/{id}/notices", tag = "policies",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = Notices)))]
pub(crate) async fn notices(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<Value>, Problem> {
    get(&core, &caller, id, "notices").await
}

/// Change what users are told
#[utoipa::path(put, path = "/api/v1/sites/{id}/notices", tag = "policies", request_body = Notices,
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = Notices)))]
pub(crate) async fn change_notices(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
    Long(notices): Long<Value>,
) -> Result<Json<Value>, Problem> {
    send(&core, &caller, id, Method::PUT, "notices", &notices).await
}

async fn get(core: &Core, caller: &Caller, id: SiteId, path: &str) -> Result<Json<Value>, Problem> {
    let site = site::named(core, id).await?;
    Ok(Json(ask_for(core, caller, &site, &SiteRequest::get(format!("/site/v1/{path}"))).await?))
}

async fn send(
    core: &Core,
    caller: &Caller,
    id: SiteId,
    method: Method,
    path: &str,
    body: &impl Serialize,
) -> Result<Json<Value>, Problem> {
    let site = site::named(core, id).await?;
    Ok(Json(storage::send(core, caller, &site, method, format!("/site/v1/{path}"), body).await?))
}

/// A policy's id that may stand in a path.
fn checked(policy: &str) -> Result<&str, Problem> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=40).contains(&policy.len()) && policy.bytes().all(fits) {
        return Ok(policy);
    }
    Err(Problem::not_found("There is no such policy: their ids have 1 to 40 of a-z, 0-9 and '-'."))
}

#[cfg(test)]
mod tests {
    use crate::{LocalSite, Password, testing::House};
    use axum::{Json, Router, http::Method, http::Uri};
    use http::StatusCode;
    use playhead_model::{Role, SiteId};
    use serde_json::{Value, json};
    use uuid::Uuid;

    /// Says what it was asked.
    async fn echo(method: Method, uri: Uri, body: axum::body::Bytes) -> (StatusCode, Json<Value>) {
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        (
            StatusCode::OK,
            Json(
                json!({ "asked": format!("{method} {uri}"), "length": body.to_string().len(), "body": body }),
            ),
        )
    }

    #[tokio::test]
    async fn what_is_asked_reaches_the_site_and_its_answer_comes_back() {
        let house = House::new(Password::Kept).await;
        let cookie = house.signed_in_as(Role::Full).await;
        let id = SiteId::from(Uuid::from_u128(7));
        let (name, version) = ("Berlin".to_owned(), "1".to_owned());
        // The real one takes long policies, too.
        let router = Router::new().fallback(echo).layer(axum::extract::DefaultBodyLimit::disable());
        house.console.attach(LocalSite { id, server: "s".into(), name, version, router }).await.unwrap();
        let sites = house.get("/api/v1/sites", &cookie).await.json();
        let base = format!("/api/v1/sites/{}", sites["items"][0]["id"].as_str().unwrap());
        let policy = json!({ "name": "Ours", "rules": [] });
        let change = json!({ "version": 3, "policy": policy });
        for (method, path, body, status, asked) in [
            ("GET", "policies", None, 200, "GET http://site/site/v1/policies"),
            ("POST", "policies", Some(policy.clone()), 201, "POST http://site/site/v1/policies"),
            ("GET", "policies/record", None, 200, "GET http://site/site/v1/policies/record"),
            ("PUT", "policies/p-1", Some(change.clone()), 200, "PUT http://site/site/v1/policies/p-1"),
            (
                "POST",
                "policies/p-1/duplicate",
                Some(json!({})),
                201,
                "POST http://site/site/v1/policies/p-1/duplicate",
            ),
            ("POST", "policies/p-1/activate", None, 200, "POST http://site/site/v1/policies/p-1/activate"),
            ("GET", "policies/p-1/versions", None, 200, "GET http://site/site/v1/policies/p-1/versions"),
            ("GET", "policies/p-1/versions/2", None, 200, "GET http://site/site/v1/policies/p-1/versions/2"),
            (
                "GET",
                "policies/p-1/diff?from=1&to=2",
                None,
                200,
                "GET http://site/site/v1/policies/p-1/diff?from=1&to=2",
            ),
            ("GET", "policy-history", None, 200, "GET http://site/site/v1/policy-history"),
            (
                "POST",
                "policy-simulation",
                Some(json!({ "facts": {} })),
                200,
                "POST http://site/site/v1/policy-simulation",
            ),
            ("GET", "notices", None, 200, "GET http://site/site/v1/notices"),
            ("PUT", "notices", Some(json!({ "items": [] })), 200, "PUT http://site/site/v1/notices"),
        ] {
            let answer = house.send(method, &format!("{base}/{path}"), &cookie, body.clone()).await;
            assert_eq!(
                (answer.status, answer.json()["asked"].clone()),
                (status, asked.into()),
                "{method} {path}"
            );
            if let Some(body) = body {
                assert_eq!(answer.json()["body"], body, "{method} {path}");
            }
        }
        let deleted = house.send("DELETE", &format!("{base}/policies/p-1"), &cookie, None).await;
        assert_eq!((deleted.status, deleted.body.len()), (204, 0));
        for wrong in ["P", "a%2F..%2Fx", "%3F", &"a".repeat(41)] {
            let answer = house.get(&format!("{base}/policies/{wrong}"), &cookie).await;
            assert_eq!(answer.status, 404, "{wrong}");
        }
        // A policy may be long, and not too long.
        let long = |bytes: usize| Some(json!({ "name": "x".repeat(bytes) }));
        let answer = house.send("POST", &format!("{base}/policies"), &cookie, long(3 << 20)).await;
        assert_eq!(answer.status, 201);
        assert!(answer.json()["length"].as_u64().unwrap() > 3 << 20);
        let answer = house.send("POST", &format!("{base}/policies"), &cookie, long(5 << 20)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
        assert_eq!(house.send("POST", &format!("{base}/policies"), &cookie, None).await.status, 400);
        let answer =
            house.send("PUT", &format!("{base}/policies/p"), &cookie, Some(json!({ "policy": {} }))).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["detail"].as_str().unwrap().contains("version"), "{answer:?}");
    }
}
