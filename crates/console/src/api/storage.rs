//! The storage locations of sites, and moving recordings between them. The sites do the work.

use super::{
    extract::{Body, Place},
    recordings, site,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteName, SiteRequest, ask_for},
};
use axum::{Extension, Json, extract::State};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use playhead_model::{RecordingId, SiteId, WallTime};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// The storage of a site, as one of its recording servers sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Storage {
    /// Where segments lie.
    locations: Vec<Location>,
    /// The latest moves, newest first.
    moves: Vec<Move>,
    /// Files that no segment refers to any more and that are still to be removed.
    waiting_removals: u64,
    /// What is done with stored segments in idle time.
    tending: Tending,
}

/// Packing stored segments denser, and reading them through.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StorageTending)]
pub(crate) struct Tending {
    /// How stored segments are packed again: `off`, `zstd` or `dense`.
    #[schema(required)]
    repacking: Option<String>,
    /// In how many days every file is read through; null for never.
    #[schema(required)]
    scrub_days: Option<f64>,
    /// Stored segments.
    segments: u64,
    /// Those that were packed again, or found not to gain by it.
    repacked: u64,
    /// Bytes that this has saved.
    saved_bytes: u64,
    /// Those that were read through since they were stored.
    scrubbed: u64,
    /// When the one that waits longest was stored or last read through.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    oldest_scrub: Option<WallTime>,
    /// How many are damaged.
    damaged_segments: u64,
    /// The damaged ones, the latest found first, at most 50.
    damaged: Vec<Damage>,
}

/// A stored segment that is damaged.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StorageDamage)]
pub(crate) struct Damage {
    /// The recording.
    #[schema(value_type = String, format = Uuid)]
    recording: RecordingId,
    /// Number of the segment.
    segment: u32,
    /// The location it lies at.
    location: String,
    /// Where it lies there.
    path: String,
    /// What is wrong, and what to do about it.
    damage: String,
    /// When that was seen.
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
}

/// A storage location.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StorageLocation)]
pub(crate) struct Location {
    /// Its id.
    id: String,
    /// Its address; empty when segments lie there but the server does not know it.
    url: String,
    /// What it is: `folder`, `s3`, `azure`, `google`, or `unknown`.
    kind: String,
    /// How it is.
    state: LocationState,
    /// Free bytes, where that is known.
    #[schema(required)]
    free_bytes: Option<u64>,
    /// Bytes in all, where that is known.
    #[schema(required)]
    total_bytes: Option<u64>,
    /// Segments that lie there.
    segments: u64,
    /// Their bytes.
    bytes: u64,
    /// How long S3 must refuse to delete what is stored there.
    #[schema(required)]
    object_lock: Option<Lock>,
    /// The last thing that went wrong there.
    #[schema(required)]
    last_error: Option<LastError>,
}

/// How a storage location is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = StorageLocationState)]
pub(crate) enum LocationState {
    /// New segments go there.
    Active,
    /// What lies there can be played; nothing new goes there.
    ReadOnly,
    /// There is no room; what lies there can be played.
    Full,
    /// It failed, did not answer or is not there. It is tried again.
    Unreachable,
}

/// An object lock.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ObjectLock)]
pub(crate) struct Lock {
    /// Who may lift it: `governance` or `compliance`.
    mode: String,
    /// For how many days from storing on.
    days: u32,
}

/// Something that went wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StorageError)]
pub(crate) struct LastError {
    /// What, and what to do about it.
    text: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: WallTime,
}

/// Segments that are moved from one location to another.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Move {
    /// Its id.
    id: String,
    /// The recording, when it is about one.
    #[schema(value_type = Option<String>, format = Uuid, required)]
    recording: Option<RecordingId>,
    /// The location, when everything at one is moved away.
    #[schema(required)]
    source: Option<String>,
    /// The location it goes to; null for wherever there is room.
    #[schema(required)]
    target: Option<String>,
    /// How far it is: `waiting`, `running`, `done`, or `failed` when something could not be moved.
    state: String,
    /// Segments moved.
    segments: u64,
    /// Their bytes.
    bytes: u64,
    /// Segments that could not be moved. They lie where they were.
    failed: u64,
    /// Why not.
    #[schema(required)]
    error: Option<String>,
    /// Who asked for it.
    created_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: WallTime,
    /// When something last happened.
    #[schema(value_type = String, format = DateTime)]
    changed_at: WallTime,
}

/// The storage locations of a site
#[utoipa::path(get, path = "/api/v1/sites/{id}/storage", tag = "sites",
    params(("id" = Uuid, Path, description = "The site")), responses((status = 200, body = Storage)))]
pub(crate) async fn site_storage(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<SiteId>,
) -> Result<Json<Storage>, Problem> {
    let site = site::named(&core, id).await?;
    Ok(Json(ask_for(&core, &caller, &site, &SiteRequest::get("/site/v1/storage")).await?))
}

/// What to change about a storage location.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StorageLocationChange)]
pub(crate) struct Change {
    /// Whether nothing new is stored there.
    read_only: bool,
}

/// Close a storage location to new segments, or open it again
#[utoipa::path(patch, path = "/api/v1/sites/{id}/storage/{location}", tag = "sites",
    params(("id" = Uuid, Path, description = "The site"), ("location" = String, Path, description = "The location's id")),
    request_body = Change, responses((status = 200, body = Storage)))]
pub(crate) async fn change_location(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, location)): Place<(SiteId, String)>,
    Body(change): Body<Change>,
) -> Result<Json<Storage>, Problem> {
    let site = site::named(&core, id).await?;
    let path = format!("/site/v1/storage/{}", checked(&location)?);
    let storage = send(&core, &caller, &site, Method::PUT, path, &change).await?;
    tracing::info!(user = caller.user, site = %id, location, read_only = change.read_only, "storage location changed");
    Ok(Json(storage))
}

/// Where to move something.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainTo {
    /// The location it goes to; wherever there is room when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

/// Move everything away from a storage location
///
/// Nothing new is stored there from now on. Moving goes on in the background; `GET /api/v1/sites/{id}/storage` tells how far it is.
#[utoipa::path(post, path = "/api/v1/sites/{id}/storage/{location}/drain", tag = "sites",
    params(("id" = Uuid, Path, description = "The site"), ("location" = String, Path, description = "The location's id")),
    request_body = DrainTo, responses((status = 202, description = "It will be done", body = Move)))]
pub(crate) async fn drain_location(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place((id, location)): Place<(SiteId, String)>,
    Body(to): Body<DrainTo>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let site = site::named(&core, id).await?;
    let path = format!("/site/v1/storage/{}/drain", checked(&location)?);
    let asked = send(&core, &caller, &site, Method::POST, path, &to).await?;
    tracing::info!(user = caller.user, site = %id, location, to = to.location, "storage location drained");
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Where to move a recording.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveTo {
    /// The location it goes to.
    location: String,
}

/// Move a recording to a storage location
///
/// Its stored segments are copied, compared and only then removed where they were, in the background; what is recorded later follows
/// them.
#[utoipa::path(post, path = "/api/v1/recordings/{id}/move", tag = "recordings",
    params(("id" = Uuid, Path, description = "The recording")), request_body = MoveTo,
    responses((status = 202, description = "It will be done", body = Move)))]
pub(crate) async fn move_recording(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<RecordingId>,
    Body(to): Body<MoveTo>,
) -> Result<(StatusCode, Json<Move>), Problem> {
    let site = recordings::home(&core, &caller, id).await?;
    let path = format!("/site/v1/recordings/{id}/move");
    let asked = send(&core, &caller, &site, Method::POST, path, &to).await?;
    tracing::info!(user = caller.user, recording = %id, to = to.location, "recording moved");
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Sends JSON to a site and reads its answer.
pub(super) async fn send<T: DeserializeOwned>(
    core: &Core,
    caller: &Caller,
    site: &SiteName,
    method: Method,
    path: String,
    body: &impl Serialize,
) -> Result<T, Problem> {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    // Structs of texts and booleans always serialise.
    let body = serde_json::to_vec(body).unwrap_or_default().into();
    ask_for(core, caller, site, &SiteRequest { method, path, headers: HeaderMap::from_iter(headers), body })
        .await
}

/// An id that may stand in a path.
fn checked(location: &str) -> Result<&str, Problem> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=40).contains(&location.len()) && location.bytes().all(fits) {
        return Ok(location);
    }
    Err(Problem::not_found("There is no such storage location: their ids have 1 to 40 of a-z, 0-9 and '-'."))
}

#[cfg(test)]
mod tests {
    use crate::{LocalSite, Password, testing::House};
    use axum::{
        Json, Router,
        extract::Path,
        routing::{get, post, put},
    };
    use http::StatusCode;
    use playhead_model::{Role, SiteId};
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn moved(what: &str, body: &Value) -> (StatusCode, Json<Value>) {
        let at = "2026-01-01T00:00:00.000000Z";
        let row = json!({ "id": what, "recording": null, "source": null, "target": body["location"], "state": "waiting", "segments": 0,
            "bytes": 0, "failed": 0, "error": null, "created_by": "u", "created_at": at, "changed_at": at });
        (StatusCode::ACCEPTED, Json(row))
    }

    fn report(state: &str) -> Json<Value> {
        let location = json!({ "id": "a", "url": "/a", "kind": "folder", "state": state, "free_bytes": 5, "total_bytes": null,
            "segments": 1, "bytes": 2, "object_lock": { "mode": "compliance", "days": 3 },
            "last_error": { "text": "t", "at": "2026-01-01T00:00:00.000000Z" } });
        let tending = json!({ "repacking": "dense", "scrub_days": 30.0, "segments": 1, "repacked": 1, "saved_bytes": 3, "scrubbed": 1,
            "oldest_scrub": null, "damaged_segments": 0, "damaged": [] });
        Json(json!({ "locations": [location], "moves": [], "waiting_removals": 4, "tending": tending }))
    }

    #[tokio::test]
    async fn what_is_asked_reaches_the_site_that_keeps_it() {
        let house = House::new(Password::Kept).await;
        let cookie = house.signed_in_as(Role::Full).await;
        let (id, recording) = (SiteId::from(Uuid::from_u128(7)), Uuid::from_u128(8));
        let router = Router::new()
            .route("/site/v1/storage", get(async || report("active")))
            .route(
                "/site/v1/storage/{id}",
                put(async |Json(body): Json<Value>| {
                    report(if body["read_only"] == true { "read-only" } else { "full" })
                }),
            )
            .route(
                "/site/v1/storage/{id}/drain",
                post(async |Path(id): Path<String>, Json(body): Json<Value>| moved(&id, &body)),
            )
            .route(
                "/site/v1/recordings/{id}/move",
                post(async |Path(id): Path<String>, Json(body): Json<Value>| moved(&id, &body)),
            );
        let (name, version) = ("Berlin".to_owned(), "1".to_owned());
        let site = LocalSite { id, server: "s".into(), name, version, router };
        house.console.attach(site).await.unwrap();
        let sites = house.get("/api/v1/sites", &cookie).await.json();
        let base = format!("/api/v1/sites/{}/storage", sites["items"][0]["id"].as_str().unwrap());

        let storage = house.get(&base, &cookie).await;
        assert_eq!((storage.status, storage.json()), (200, report("active").0));
        let change =
            house.send("PATCH", &format!("{base}/a"), &cookie, Some(json!({ "read_only": true }))).await;
        assert_eq!(change.json()["locations"][0]["state"], "read-only");
        let drained = house.send("POST", &format!("{base}/a/drain"), &cookie, Some(json!({}))).await;
        assert_eq!(
            (drained.status, drained.json()["id"].clone(), drained.json()["target"].clone()),
            (202, "a".into(), Value::Null)
        );
        let path = format!("/api/v1/recordings/{recording}/move");
        let answer = house.send("POST", &path, &cookie, Some(json!({ "location": "b" }))).await;
        assert_eq!((answer.status, answer.json()["target"].clone()), (202, "b".into()));
        assert_eq!(answer.json()["id"], recording.to_string());
        for wrong in ["A", "a%2F..%2Fx", "%3F"] {
            let answer = house.send("POST", &format!("{base}/{wrong}/drain"), &cookie, Some(json!({}))).await;
            assert_eq!(answer.status, 404, "{wrong}");
        }
    }
}
