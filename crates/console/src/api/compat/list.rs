//! Lists of sessions: found, sorted, and page by page.

use super::{
    Params,
    failure::Failure,
    search::{Key, Search},
    session::document,
};
use crate::{
    accounts::Caller,
    api::user_sessions::Session,
    core::Core,
    sites::{SiteName, SiteRequest, ask_for},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_model::SessionId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cmp::Ordering;
use tokio::sync::Semaphore;

const DEFAULT_LIMIT: usize = 250;
const MOST_ON_A_PAGE: usize = 1_000;
/// What a site is asked for at a time.
const AT_A_TIME: usize = 500;
/// Most sessions that are looked through.
const MOST_SESSIONS: usize = 50_000;
/// Longest part of a name that a site is asked for, characters.
const MOST_PART: usize = 100;
/// Longest continuation token, bytes.
const MOST_TOKEN: usize = 8_192;

/// A list looks through all running sessions of a site: so many are made at a time, and so many more may wait.
static RUNNING: Semaphore = Semaphore::const_new(2);
static ADMITTED: Semaphore = Semaphore::const_new(34);

/// Where a page ended.
#[derive(Serialize, Deserialize)]
struct Place {
    /// The search's name.
    q: String,
    /// What the last session was sorted by.
    k: Vec<Key>,
    /// Its id.
    id: SessionId,
}

/// What a site gives. Each session has a cursor besides, which is not needed here.
#[derive(Deserialize)]
struct OfSite {
    items: Vec<Session>,
    next: Option<String>,
}

struct Found {
    keys: Vec<Key>,
    session: Session,
}

/// One page of the sessions that are searched for.
pub(super) async fn list(
    core: &Core,
    caller: &Caller,
    site: &SiteName,
    params: &Params,
    search: &Search,
) -> Result<Value, Failure> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST_ON_A_PAGE).contains(&limit) {
        return Err(Failure::wrong(format!("'limit' must lie between 1 and {MOST_ON_A_PAGE}, got {limit}.")));
    }
    let place = params.continuation.as_deref().map(|token| read_place(token, search)).transpose()?;
    let busy = |_| Failure::too_many("Too many lists are being made at once. Try again in a second.", 1);
    let _admitted = ADMITTED.try_acquire().map_err(busy)?;
    let _turn = RUNNING.acquire().await.map_err(|_| Failure::unavailable("The console is stopping."))?;
    let mut all = found(core, caller, site, search).await?;
    let total = all.len();
    all.sort_unstable_by(|a, b| order(search, (&a.keys, a.session.id), (&b.keys, b.session.id)));
    let first = match &place {
        Some(place) => all.partition_point(|found| {
            order(search, (&found.keys, found.session.id), (&place.k, place.id)) != Ordering::Greater
        }),
        None => 0,
    };
    let first = first.saturating_add(params.skip).min(total);
    let last = first.saturating_add(limit).min(total);
    let page = &all[first..last];
    let next = page.last().filter(|_| last < total).map(|found| {
        let place = Place { q: search.name.clone(), k: found.keys.clone(), id: found.session.id };
        // A struct of texts and numbers always serialises.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).unwrap_or_default())
    });
    let items: Vec<_> = page.iter().map(|found| params.chosen(document(&found.session, site))).collect();
    Ok(json!({ "Items": items, "ContinuationToken": next, "TotalItems": total }))
}

/// All running sessions of the site that are searched for.
async fn found(
    core: &Core,
    caller: &Caller,
    site: &SiteName,
    search: &Search,
) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    let (mut parts, mut cursor) = (String::new(), String::new());
    let (host, user) = search.parts();
    for (name, part) in [("host", host), ("user", user)] {
        if let Some(part) = part.filter(|part| part.chars().count() <= MOST_PART) {
            crate::api::recordings::add(&mut parts, name, part);
        }
    }
    for _ in 0..MOST_SESSIONS / AT_A_TIME {
        let path = format!("/site/v1/sessions?state=running&limit={AT_A_TIME}{parts}{cursor}");
        let page: OfSite = ask_for(core, caller, site, &SiteRequest::get(path)).await?;
        let searched_for = page.items.into_iter().filter(|session| search.finds(session));
        found.extend(searched_for.map(|session| Found { keys: search.keys(&session), session }));
        let Some(next) = page.next else { return Ok(found) };
        cursor.clear();
        crate::api::recordings::add(&mut cursor, "cursor", &next);
    }
    Err(Failure::unavailable(format!(
        "More than {MOST_SESSIONS} sessions run at this site: they cannot be listed."
    )))
}

fn order(search: &Search, a: (&[Key], SessionId), b: (&[Key], SessionId)) -> Ordering {
    search.order(a.0, b.0).then(a.1.cmp(&b.1))
}

fn read_place(token: &str, search: &Search) -> Result<Place, Failure> {
    let unreadable = || Failure::wrong("The continuation token is none of this console's.");
    if token.len() > MOST_TOKEN {
        return Err(unreadable());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| unreadable())?;
    let place: Place = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
    if place.q != search.name {
        return Err(Failure::wrong(
            "The continuation token is of another search: send the same search again.",
        ));
    }
    Ok(place)
}
