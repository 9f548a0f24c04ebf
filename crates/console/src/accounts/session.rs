//! Sessions: a random token in a cookie here, its hash in the database there.

use super::Caller;
use crate::{core::Core, problem::Problem};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use playhead_db::console::{Account, Session};
use playhead_model::WallTime;
use std::net::IpAddr;

const HOUR: i64 = 3_600_000_000;
/// A session that nobody uses ends after this.
pub(crate) const IDLE: i64 = 8 * HOUR;
/// A session ends after this in any case.
pub(crate) const LIFE: i64 = 24 * HOUR;
/// How exactly the last use is noted: a write for every request would be wasted.
const NOTE_USE_EVERY: i64 = 60_000_000;
/// Characters that are kept of what a program says of itself.
const MOST_BROWSER: usize = 300;
/// Characters of a token: 256 bits in unpadded base64.
const TOKEN_CHARACTERS: usize = 43;

/// The cookie that carries the token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookie {
    /// Whether the listener speaks TLS.
    pub(crate) secure: bool,
}

impl Cookie {
    /// With the `__Host-` prefix a browser takes the cookie from this very host over TLS and from no other.
    const fn name(self) -> &'static str {
        if self.secure { "__Host-playhead" } else { "playhead" }
    }

    /// Another cookie for those on their way to a provider and back. They come back from another site, so it cannot be strict.
    const fn attempt_name(self) -> &'static str {
        if self.secure { "__Host-playhead-openid" } else { "playhead-openid" }
    }

    /// The token in a request.
    pub(crate) fn token(self, headers: &HeaderMap) -> Option<String> {
        value_of(headers, self.name()).filter(|token| token.len() == TOKEN_CHARACTERS)
    }

    /// The attempt in a request, as text.
    pub(crate) fn attempt(self, headers: &HeaderMap) -> Option<String> {
        value_of(headers, self.attempt_name())
    }

    /// The header that sets it.
    pub(crate) fn set(self, token: &str) -> HeaderValue {
        self.header(self.name(), token, LIFE / 1_000_000, "Strict")
    }

    /// The header that removes it.
    pub(crate) fn clear(self) -> HeaderValue {
        self.header(self.name(), "", 0, "Strict")
    }

    /// The header that keeps an attempt for some seconds, or removes it.
    pub(crate) fn set_attempt(self, text: &str, seconds: i64) -> HeaderValue {
        self.header(self.attempt_name(), text, seconds, "Lax")
    }

    fn header(self, name: &str, value: &str, seconds: i64, same_site: &str) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}");
        // The value is of the base64 alphabet, so the text always makes a header.
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

/// A cookie's value in a request.
fn value_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|&(found, _)| found == name).map(|(_, value)| value.to_owned())
}

/// Opens a session and gives its token, which is kept nowhere else.
///
/// # Errors
/// The database failed, or the system gives no random bytes.
pub(crate) async fn open(
    core: &Core,
    account: &Account,
    address: IpAddr,
    headers: &HeaderMap,
) -> Result<String, Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Problem::from_error(&error))?;
    let token = URL_SAFE_NO_PAD.encode(random);
    let now = core.clock.now();
    let session = Session {
        hash: hash(&token),
        account: account.id.clone(),
        created_at: now,
        last_seen: now,
        address: address.to_string(),
        browser: browser(headers),
    };
    core.store.open_session(&session).await?;
    Ok(token)
}

/// What a program says of itself, as far as it is fit to be kept and shown.
fn browser(headers: &HeaderMap) -> String {
    let said = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    said.chars().take(MOST_BROWSER).collect()
}

/// The account's sessions that have not expired, those used last first.
///
/// # Errors
/// The database failed.
pub(crate) async fn list(core: &Core, account: &str) -> Result<Vec<Session>, Problem> {
    let now = core.clock.now();
    let mut sessions = core.store.sessions_of(account).await?;
    sessions.retain(|session| !has_expired(session, now));
    Ok(sessions)
}

/// Whose session the token opens; `None` when there is none or it has expired.
pub(super) async fn caller(core: &Core, token: &str) -> Result<Option<Caller>, Problem> {
    let hash = hash(token);
    let Some((session, account)) = core.store.session(&hash).await? else { return Ok(None) };
    let now = core.clock.now();
    if has_expired(&session, now) {
        core.store.close_session(&hash).await?;
        return Ok(None);
    }
    if now.as_micros() - session.last_seen.as_micros() >= NOTE_USE_EVERY {
        core.store.note_session_use(&hash, now).await?;
    }
    Ok(Some(Caller {
        account: account.id,
        user: account.name,
        role: account.role,
        must_change_password: account.must_change_password,
        session_ends: session.created_at.plus_micros(LIFE),
        session: hash,
        permissions: None,
    }))
}

fn has_expired(session: &Session, now: WallTime) -> bool {
    let since = |then: WallTime| now.as_micros() - then.as_micros();
    since(session.last_seen) >= IDLE || since(session.created_at) >= LIFE
}

/// What the database knows of a token. A token has 256 random bits, so a plain hash is enough.
fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_bound_to_the_host_under_tls() {
        let token = "A".repeat(43);
        let secure = Cookie { secure: true };
        let text = secure.set(&token).to_str().unwrap().to_owned();
        assert_eq!(
            text,
            format!("__Host-playhead={token}; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict; Secure")
        );
        let plain = Cookie { secure: false };
        assert!(!plain.set(&token).to_str().unwrap().contains("Secure"));
        assert!(plain.clear().to_str().unwrap().starts_with("playhead=; Path=/; Max-Age=0;"));
    }

    #[test]
    fn only_the_cookie_of_the_right_name_and_length_counts() {
        let token = "b".repeat(43);
        let read = |text: String| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            Cookie { secure: false }.token(&headers)
        };
        assert_eq!(read(format!("theme=dark; playhead={token}; x=y")), Some(token.clone()));
        assert_eq!(read(format!("__Host-playhead={token}")), None);
        assert_eq!(read("playhead=short".into()), None);
        assert_eq!(Cookie { secure: false }.token(&HeaderMap::new()), None);
    }

    #[test]
    fn a_session_ends_when_idle_and_in_any_case() {
        let start = WallTime::from_micros(1_790_000_000_000_000);
        let session = |last_seen: i64| Session {
            hash: String::new(),
            account: String::new(),
            created_at: start,
            last_seen: start.plus_micros(last_seen),
            address: String::new(),
            browser: String::new(),
        };
        assert!(!has_expired(&session(0), start.plus_micros(8 * HOUR - 1)));
        assert!(has_expired(&session(0), start.plus_micros(8 * HOUR)));
        assert!(!has_expired(&session(23 * HOUR), start.plus_micros(24 * HOUR - 1)));
        assert!(has_expired(&session(23 * HOUR), start.plus_micros(24 * HOUR)));
    }
}
