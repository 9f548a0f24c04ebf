//! API clients: programs that use the console by an id and a secret, without anybody signing in.
//!
//! A client gets a token for its secret and sends that along; the token is good for an hour, for what the client may do, and as long as the
//! client is there. Of secrets and tokens the database has hashes alone: both are 256 random bits.

mod admin;
mod kept;
#[cfg(test)]
mod tests;

pub use admin::{ApiClientAdmin, ApiClientError, NewApiClient};
pub use kept::KeptApiClient;

use crate::{
    accounts::{self, Caller},
    core::Core,
    problem::Problem,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use playhead_db::console::{ApiClient, ApiToken, Store};
use playhead_model::{Permission, Role, SiteId, WallTime};
use playhead_net::NetError;
use serde::Serialize;
use std::{net::IpAddr, ops::RangeInclusive};
use utoipa::ToSchema;
use uuid::Uuid;

/// How long a token is good for, seconds.
pub(crate) const TOKEN_SECONDS: i64 = 3_600;
/// Longest name, characters.
const MOST_NAME: usize = 100;
/// Most clients.
const MOST_CLIENTS: usize = 1_000;
/// Days that a client may be good for.
const VALID_DAYS: RangeInclusive<u32> = 1..=3_650;
const DAY: i64 = 86_400_000_000;
/// How exactly the last use is noted.
const NOTE_USE_EVERY: i64 = 60_000_000;
/// Longest id, secret or token that is looked at, bytes.
const MOST_WORD: usize = 256;
/// Characters of a customer id.
const CUSTOMER: usize = 12;

/// What a new client should be.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) permissions: &'a [Permission],
    pub(crate) valid_days: u32,
    pub(crate) made_by: &'a str,
    pub(crate) now: WallTime,
}

/// A client that was just made.
pub(crate) struct Made {
    pub(crate) client: ApiClient,
    /// Told this once.
    pub(crate) secret: String,
}

/// A site as clients address it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiClientSite)]
pub struct ClientSite {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: SiteId,
    /// Its name.
    pub name: String,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Taken(String),
    #[error(transparent)]
    Database(#[from] playhead_db::DbError),
    #[error(transparent)]
    Random(#[from] NetError),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(detail) => Self::bad_request(detail),
            Refusal::Taken(detail) => Self::conflict(detail),
            other => Self::from_error(&other),
        }
    }
}

/// Makes a client.
///
/// # Errors
/// Something wanted makes no sense, the name is taken, or the database failed.
pub(crate) async fn make(store: &Store, wanted: &Wanted<'_>) -> Result<Made, Refusal> {
    let name = wanted.name.trim();
    let characters = name.chars().count();
    if !(1..=MOST_NAME).contains(&characters) || name.chars().any(char::is_control) {
        return Err(Refusal::Wrong(format!(
            "The name must have 1 to {MOST_NAME} characters on one line; this one has {characters}."
        )));
    }
    if !VALID_DAYS.contains(&wanted.valid_days) {
        return Err(Refusal::Wrong(format!(
            "A client is good for {} to {} days, got {}.",
            VALID_DAYS.start(),
            VALID_DAYS.end(),
            wanted.valid_days
        )));
    }
    let permissions: Vec<_> =
        Permission::ALL.into_iter().filter(|permission| wanted.permissions.contains(permission)).collect();
    if permissions.is_empty() {
        return Err(Refusal::Wrong("A client needs at least one permission.".into()));
    }
    if store.api_clients().await?.len() >= MOST_CLIENTS {
        return Err(Refusal::Taken(format!("There are {MOST_CLIENTS} clients already: revoke some first.")));
    }
    // The mark lets tools that look for secrets in the wrong places find it.
    let secret = format!("ph_{}", random_word()?);
    let client = ApiClient {
        id: Uuid::new_v4().to_string(),
        name: name.to_owned(),
        secret_hash: hash(&secret),
        permissions,
        made_by: wanted.made_by.to_owned(),
        created_at: wanted.now,
        expires_at: wanted.now.plus_micros(i64::from(wanted.valid_days) * DAY),
        last_used: None,
    };
    if !store.create_api_client(&client).await? {
        return Err(Refusal::Taken(format!(
            "There is a client called “{name}” already: choose another name."
        )));
    }
    tracing::info!(client = client.name, id = client.id, user = client.made_by, ?client.permissions,
        expires_at = %client.expires_at, "API client made");
    Ok(Made { client, secret })
}

/// Revokes a client at once, with all its tokens. `false` when there was none.
///
/// # Errors
/// The database failed.
pub(crate) async fn revoke(store: &Store, id: &str, by: &str) -> Result<bool, playhead_db::DbError> {
    let Some(name) = store.remove_api_client(id).await? else { return Ok(false) };
    tracing::info!(client = name, id, user = by, "API client revoked");
    Ok(true)
}

/// The id under which clients address this console: twelve small letters and digits, made once.
///
/// # Errors
/// The database failed, or the system gives no random bytes.
pub(crate) async fn customer_id(store: &Store) -> Result<String, Refusal> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; CUSTOMER];
    getrandom::fill(&mut bytes).map_err(NetError::from)?;
    let proposed: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
    Ok(store.customer_id(&proposed).await?)
}

/// The sites that clients can address: those that a recording server has joined.
///
/// # Errors
/// The database failed.
pub(crate) async fn sites(store: &Store) -> Result<Vec<ClientSite>, playhead_db::DbError> {
    let joined = store.sites().await?.into_iter().filter(|site| site.database.is_some());
    Ok(joined.map(|site| ClientSite { id: site.id, name: site.name }).collect())
}

/// Gives a token for a client's secret.
///
/// # Errors
/// [`Problem::wrong_password`] for a wrong secret, an unknown client or one that has expired; [`Problem::too_many`] after several failures.
pub(crate) async fn sign_in(core: &Core, id: &str, secret: &str, address: IpAddr) -> Result<String, Problem> {
    // No account's name has a line break, so that nobody is locked out by failures of another kind.
    let name = format!("api client\n{id}");
    accounts::admit(core, &name, address)?;
    let client = if id.len() > MOST_WORD { None } else { core.store.api_client(id).await? };
    let now = core.clock.now();
    let secret = if secret.len() > MOST_WORD { "" } else { secret };
    let right = client.filter(|client| same(&client.secret_hash, &hash(secret)));
    let Some(client) = right else {
        tracing::warn!(id = accounts::shortened(id), %address, "API client's sign-in failed");
        return Err(Problem::wrong_password("The client's id or its secret is wrong."));
    };
    core.limiter.succeeded(&name, address);
    if client.expires_at <= now {
        tracing::warn!(client = client.name, %address, "API client's sign-in refused: it has expired");
        return Err(Problem::wrong_password(format!(
            "This client was good until {}. Make another one.",
            client.expires_at
        )));
    }
    let word = random_word().map_err(|error| Problem::from_error(&error))?;
    let token = ApiToken {
        hash: hash(&word),
        client: client.id.clone(),
        created_at: now,
        expires_at: now.plus_micros(TOKEN_SECONDS * 1_000_000).min(client.expires_at),
    };
    core.store.open_api_token(&token).await?;
    note_use(core, &client, now).await?;
    tracing::info!(client = client.name, %address, "API client signed in");
    Ok(word)
}

/// A client that sends a token, as somebody who asks.
pub(crate) struct Program {
    pub(crate) caller: Caller,
    /// The client's id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
}

/// Whose token this is; `None` for one that is unknown, has expired, or was its client's that is gone.
///
/// # Errors
/// The database failed.
pub(crate) async fn program(core: &Core, token: &str) -> Result<Option<Program>, Problem> {
    if token.len() > MOST_WORD {
        return Ok(None);
    }
    let Some((token, client)) = core.store.api_token(&hash(token)).await? else { return Ok(None) };
    let now = core.clock.now();
    if token.expires_at <= now || client.expires_at <= now {
        return Ok(None);
    }
    note_use(core, &client, now).await?;
    let caller = Caller {
        account: client.id.clone(),
        user: format!("{} (API client)", client.name),
        role: Role::Full,
        must_change_password: false,
        session_ends: token.expires_at,
        session: token.hash,
        permissions: Some(client.permissions),
    };
    Ok(Some(Program { caller, id: client.id, name: client.name }))
}

async fn note_use(core: &Core, client: &ApiClient, now: WallTime) -> Result<(), Problem> {
    let since = client.last_used.map(|last| now.as_micros() - last.as_micros());
    if since.is_none_or(|since| since >= NOTE_USE_EVERY) {
        core.store.note_api_client_use(&client.id, now).await?;
    }
    Ok(())
}

/// The token in a request's `Authorization`: `Bearer TOKEN`, or `CWSAuth bearer=TOKEN`, in any letter case. `None` when there is no such
/// header, or it carries something else.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
    let rest = rest.trim();
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        rest
    } else if scheme.eq_ignore_ascii_case("cwsauth") {
        let (name, token) = rest.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("bearer") {
            return None;
        }
        token.trim()
    } else {
        return None;
    };
    (!token.is_empty()).then_some(token)
}

/// 256 random bits in unpadded URL-safe base64.
fn random_word() -> Result<String, NetError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// What the database knows of a secret or token. Both have 256 random bits, so a plain hash is enough.
fn hash(word: &str) -> String {
    blake3::hash(word.as_bytes()).to_hex().to_string()
}

/// Compares two hashes in a time that does not tell where they differ.
fn same(kept: &str, tried: &str) -> bool {
    let kept = blake3::Hash::from_hex(kept).ok();
    kept.is_some() && kept == blake3::Hash::from_hex(tried).ok()
}
