//! Calls that are compatible, on the wire, with those of Citrix DaaS for finding sessions and starting and stopping their recording, so that
//! scripts written for these go on working with another host name. `docs/compat.md` lists what is taken and what comes back.
//!
//! They are a thin layer: API clients and their tokens are those of `clients`, and sessions are asked for and told what to do where the
//! console's own API does so.

mod failure;
mod list;
mod search;
mod session;
#[cfg(test)]
mod tests;
mod token;

use super::{site, storage, user_sessions::Session};
use crate::{
    accounts::Caller,
    clients::{self, Program},
    core::{Core, Shared},
    sites::{SiteName, SiteRequest, ask_for},
};
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::any,
};
use failure::Failure;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use playhead_model::{Permission, SessionId, SessionState, SiteId};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;
use uuid::Uuid;

/// With what addresses of the calls begin.
const PREFIXES: [&str; 2] = ["cvad", "cctrustoauth2"];
/// Longest time for a call. Shorter than the listener's own, so that who calls is told in words that they expect.
const PATIENCE: Duration = Duration::from_secs(25);
/// Longest body of a search, bytes.
const MOST_BODY: usize = 64 << 10;
const CUSTOMER: &str = "citrix-customerid";
const INSTANCE: &str = "citrix-instanceid";
const TRANSACTION: &str = "citrix-transactionid";
/// Longest transaction id that is given back.
const MOST_TRANSACTION: usize = 64;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Who asks, and which sites there are.
    Me,
    /// The sessions that run.
    List,
    /// Those of them that are searched for.
    Search,
    /// Whether one is recorded.
    Status,
    /// One session.
    One,
    /// Record one.
    Start,
    /// Stop recording one.
    Stop,
}

/// Every call below `/cvad/manage`, with the permission that the client needs. The first that fits counts.
pub(super) const CALLS: &[(&str, &str, What, Option<Permission>)] = &[
    ("GET", "me", What::Me, None),
    ("GET", "Sessions", What::List, Some(Permission::ViewSessions)),
    ("POST", "Sessions/$search", What::Search, Some(Permission::ViewSessions)),
    ("GET", "Sessions/RecordingStatus", What::Status, Some(Permission::ViewSessions)),
    ("GET", "Sessions/{id}", What::One, Some(Permission::ViewSessions)),
    ("POST", "Sessions/{id}/$startRecording", What::Start, Some(Permission::ManageSessions)),
    ("POST", "Sessions/{id}/$stopRecording", What::Stop, Some(Permission::ManageSessions)),
];

/// The routes. Each call decides itself who may make it: there are no cookies here, and refusals have a shape of their own.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/cctrustoauth2/{customer}/tokens/clients", any(token::token))
        .route("/cvad/manage/{*rest}", any(call))
}

/// Whether an address is below those of the calls, in whatever letter case.
pub(super) fn is_ours(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    PREFIXES.iter().any(|prefix| first.eq_ignore_ascii_case(prefix))
}

/// An address below those of the calls that none of the routes has taken: because of its letter case, or because there is no such call.
pub(super) async fn elsewhere(core: Shared, mut request: Request) -> Response {
    let nothing = || Failure::not_found("There is no such call here.");
    let uri = request.uri();
    let path = uri.path().to_ascii_lowercase();
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    match format!("{path}{query}").parse() {
        Ok(lower) => *request.uri_mut() = lower,
        Err(_) => return nothing().into_response(),
    }
    // The ids in addresses count in any letter case; what does not stands behind the question mark.
    let again = routes().fallback(async move || nothing()).with_state(core).oneshot(request);
    again.await.unwrap_or_else(|never| match never {})
}

async fn call(State(core): State<Shared>, Path(rest): Path<String>, request: Request) -> Response {
    let transaction = transaction(request.headers());
    let done = tokio::time::timeout(PATIENCE, answer(&core, &rest, request, &transaction)).await;
    let done = done.unwrap_or_else(|_| {
        Err(Failure::unavailable(format!("This took longer than {} s. Try again.", PATIENCE.as_secs())))
    });
    let mut response = match done {
        Ok(value) => json_of(&value),
        Err(failure) => failure.into_response(),
    };
    // It was checked, or made here.
    if let Ok(value) = HeaderValue::from_str(&transaction) {
        response.headers_mut().insert(HeaderName::from_static(TRANSACTION), value);
    }
    response
}

fn json_of(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], value.to_string()).into_response()
}

/// The caller's id of the exchange where it is fit to be given back, otherwise a new one.
fn transaction(headers: &HeaderMap) -> String {
    let given = headers.get(TRANSACTION).and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or("");
    let fits = (1..=MOST_TRANSACTION).contains(&given.len())
        && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits { given.to_owned() } else { Uuid::new_v4().to_string() }
}

async fn answer(core: &Core, rest: &str, request: Request, transaction: &str) -> Result<Value, Failure> {
    let (parts, body) = request.into_parts();
    let program = program(core, &parts.headers).await?;
    let (what, id, needed) = find_call(&parts.method, rest)?;
    let customer = clients::customer_id(&core.store).await.map_err(crate::problem::Problem::from)?;
    check_customer(&parts.headers, &customer, what == What::Me)?;
    let caller = &program.caller;
    if let Some(needed) = needed
        && !caller.allows(needed)
    {
        return Err(Failure::forbidden(format!(
            "This needs the permission '{needed}', which the API client does not hold."
        )));
    }
    if what == What::Me {
        return me(core, &program, &customer).await;
    }
    let site = instance(core, &parts.headers).await?;
    let params = Params::read(&parts.uri)?;
    let session = match what {
        What::Status => params.id.clone().ok_or_else(|| Failure::wrong("The parameter 'id' is missing."))?,
        _ => id.unwrap_or_default().to_owned(),
    };
    match what {
        What::Me | What::List => list::list(core, caller, &site, &params, &search::Search::default()).await,
        What::Search => {
            let bytes = axum::body::to_bytes(body, MOST_BODY).await.map_err(|_| {
                Failure::wrong(format!("The body must have at most {} KiB.", MOST_BODY >> 10))
            })?;
            list::list(core, caller, &site, &params, &search::Search::read(&bytes)?).await
        }
        What::Status => {
            let session = running(core, caller, &site, &session).await?;
            Ok(json!({ "IsSessionBeingRecorded": session.recording.recording.is_some() }))
        }
        What::One => {
            let session = running(core, caller, &site, &session).await?;
            Ok(params.chosen(session::document(&session, &site)))
        }
        What::Start | What::Stop => {
            let done = command(core, caller, &site, &session, what, params.notify).await?;
            tracing::info!(session = %done.id, client = program.name, call = ?what, transaction,
                "recording started or stopped by an API client");
            Ok(session::document(&done, &site))
        }
    }
}

/// Who asks, by the token.
async fn program(core: &Core, headers: &HeaderMap) -> Result<Program, Failure> {
    let refused = |detail: &str| Err(Failure::unauthorized(detail));
    let Some(token) = clients::bearer(headers) else {
        return refused(
            "Expected one header 'Authorization: CWSAuth bearer=TOKEN'. Get a token for an API client's id and secret first.",
        );
    };
    match clients::program(core, token).await? {
        Some(program) => Ok(program),
        None => refused(
            "The token is unknown or has expired, or its API client was revoked. Get another one; each is good for an hour.",
        ),
    }
}

/// Which call is meant: paths count in any letter case.
fn find_call<'a>(
    method: &Method,
    rest: &'a str,
) -> Result<(What, Option<&'a str>, Option<Permission>), Failure> {
    let mut elsewhere = false;
    for &(call_method, path, what, needed) in CALLS {
        let Some(id) = fits(path, rest.trim_end_matches('/')) else { continue };
        if method.as_str() == call_method {
            return Ok((what, id, needed));
        }
        // '$search' would do for the id of a session.
        elsewhere |= id.is_none_or(|id| !id.starts_with('$'));
    }
    Err(if elsewhere {
        Failure::method(format!("This address does not take {method} requests."))
    } else {
        Failure::not_found("There is no such call here.")
    })
}

/// Whether an address fits a call's, and the session's id in it.
fn fits<'a>(path: &str, rest: &'a str) -> Option<Option<&'a str>> {
    let mut id = None;
    let mut given = rest.split('/');
    for expected in path.split('/') {
        let given = given.next()?;
        if expected == "{id}" {
            id = Some(given);
        } else if !expected.eq_ignore_ascii_case(given) {
            return None;
        }
    }
    given.next().is_none().then_some(id)
}

fn check_customer(headers: &HeaderMap, customer: &str, may_miss: bool) -> Result<(), Failure> {
    match only(headers, CUSTOMER)? {
        Some(given) if given.eq_ignore_ascii_case(customer) => Ok(()),
        Some(_) => Err(Failure::forbidden(
            "The customer in the header 'Citrix-CustomerId' is not this console's. The page API clients shows its id.",
        )),
        None if may_miss => Ok(()),
        None => Err(Failure::wrong("The header 'Citrix-CustomerId' is missing.")),
    }
}

/// The site that is addressed.
async fn instance(core: &Core, headers: &HeaderMap) -> Result<SiteName, Failure> {
    let Some(given) = only(headers, INSTANCE)? else {
        return Err(Failure::wrong(
            "The header 'Citrix-InstanceId' is missing: it names the site, which GET /cvad/manage/me lists.",
        ));
    };
    let unknown = || {
        Failure::not_found(
            "There is no site of the id in the header 'Citrix-InstanceId'. GET /cvad/manage/me lists those there are.",
        )
    };
    let id: SiteId = given.parse().map_err(|_| unknown())?;
    match site::named(core, id).await {
        Ok(site) => Ok(site),
        Err(problem) if problem.status() == 404 => Err(unknown()),
        Err(problem) => Err(problem.into()),
    }
}

/// A header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map(str::trim);
            text.map(Some).map_err(|_| Failure::wrong(format!("The header '{name}' cannot be read.")))
        }
        _ => Err(Failure::wrong(format!("The header '{name}' must be there once."))),
    }
}

async fn me(core: &Core, program: &Program, customer: &str) -> Result<Value, Failure> {
    let sites = clients::sites(&core.store).await.map_err(crate::problem::Problem::from)?;
    let sites: Vec<_> = sites.iter().map(|site| json!({ "Id": site.id, "Name": site.name })).collect();
    let until = session::iso(program.caller.session_ends);
    Ok(json!({
        "UserId": program.id,
        "DisplayName": program.name,
        "ExpiryTime": until,
        "RefreshExpirationTime": until,
        "VerifiedEmail": null,
        "Customers": [{ "Id": customer, "Name": "Playhead", "Sites": sites }],
    }))
}

fn id_of(text: &str) -> Result<SessionId, Failure> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(64).collect();
        Failure::not_found(format!("There is no session '{text}': expected a UUID."))
    })
}

/// A session that has not ended.
async fn running(core: &Core, caller: &Caller, site: &SiteName, id: &str) -> Result<Session, Failure> {
    let id = id_of(id)?;
    let request = SiteRequest::get(format!("/site/v1/sessions/{id}"));
    let session: Session = ask_for(core, caller, site, &request).await?;
    if session.state == SessionState::Ended {
        return Err(Failure::not_found(format!("The session {id} has ended.")));
    }
    Ok(session)
}

async fn command(
    core: &Core,
    caller: &Caller,
    site: &SiteName,
    id: &str,
    what: What,
    notify: bool,
) -> Result<Session, Failure> {
    let id = id_of(id)?;
    let (name, body) = match what {
        What::Start => ("start-recording", json!({ "notify": notify })),
        _ => ("stop-recording", json!({})),
    };
    let path = format!("/site/v1/sessions/{id}/{name}");
    Ok(storage::send(core, caller, site, Method::POST, path, &body).await?)
}

/// What stands behind the question mark. Names count in any letter case; others than these are passed over.
#[derive(Debug, Default)]
struct Params {
    limit: Option<usize>,
    skip: usize,
    continuation: Option<String>,
    fields: Vec<String>,
    id: Option<String>,
    notify: bool,
}

impl Params {
    fn read(uri: &Uri) -> Result<Self, Failure> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Failure::wrong("What stands behind the question mark cannot be read."))?;
        let mut params = Self::default();
        for (name, value) in pairs {
            let number = || {
                value.parse::<usize>().map_err(|_| {
                    Failure::wrong(format!("Expected a number for '{}'.", name.to_ascii_lowercase()))
                })
            };
            match name.to_ascii_lowercase().as_str() {
                "limit" => params.limit = Some(number()?),
                "skip" => params.skip = number()?,
                "continuationtoken" => params.continuation = Some(value).filter(|token| !token.is_empty()),
                "fields" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    params.fields = names.take(500).map(str::to_owned).collect();
                }
                "id" => params.id = Some(value),
                "notifyuser" => {
                    params.notify = match value.to_ascii_lowercase().as_str() {
                        "true" | "1" => true,
                        "false" | "0" | "" => false,
                        _ => return Err(Failure::wrong("Expected true or false for 'notifyUser'.")),
                    }
                }
                _ => {}
            }
        }
        Ok(params)
    }

    /// The fields of a session that are asked for; all where none are named.
    fn chosen(&self, mut document: Value) -> Value {
        if let Value::Object(fields) = &mut document
            && !self.fields.is_empty()
        {
            // 'Machine.Name' asks for something in 'Machine'.
            let top = |name: &String| name.split('.').next().unwrap_or(name).to_owned();
            let wanted: Vec<String> = self.fields.iter().map(top).collect();
            fields.retain(|name, _| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
        }
        document
    }
}
