//! Who may come in: local accounts, sign-in and sessions.

mod limiter;
mod password;
mod session;

pub(crate) use limiter::Limiter;
pub(crate) use password::{PasswordError, Passwords, generate as generate_password, weakness};
pub(crate) use session::{Cookie, IDLE, LIFE, list as sessions, open as open_session};

use crate::{core::Core, problem::Problem};
use http::HeaderMap;
use playhead_db::console::Account;
use playhead_model::{Permission, Role, WallTime};
use std::net::IpAddr;

/// Longest user name that is looked up.
const MOST_NAME_BYTES: usize = 256;

/// The person who asks, once it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The account's id.
    pub(crate) account: String,
    /// The name.
    pub(crate) user: String,
    /// The role.
    pub(crate) role: Role,
    /// Whether the password must be changed before anything else.
    pub(crate) must_change_password: bool,
    /// When the session ends in any case.
    pub(crate) session_ends: WallTime,
    /// Hash of the session's token.
    pub(crate) session: String,
    /// Of what the role allows only this, for programs.
    pub(crate) permissions: Option<Vec<Permission>>,
}

impl Caller {
    /// Whether they may do this.
    pub(crate) fn allows(&self, permission: Permission) -> bool {
        let is_named = self.permissions.as_ref().is_none_or(|named| named.contains(&permission));
        self.role.allows(permission) && is_named
    }
}

/// Who sent a request with these headers; `None` for nobody.
///
/// # Errors
/// The database failed.
pub(crate) async fn caller(core: &Core, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    let Some(token) = core.cookie.token(headers) else { return Ok(None) };
    session::caller(core, &token).await
}

/// Checks name and password.
///
/// # Errors
/// [`Problem::wrong_password`], and [`Problem::too_many`] after several of them.
pub(crate) async fn check(
    core: &Core,
    user: &str,
    password: &str,
    address: IpAddr,
) -> Result<Account, Problem> {
    admit(core, user, address)?;
    let known = if user.len() > MOST_NAME_BYTES { None } else { core.store.account(user).await? };
    let kept = known.as_ref().map(|account| account.password.as_str());
    // A password longer than any is refused in the same time, but not hashed whole.
    let (tried, kept) = if password.len() > password::MOST_BYTES { ("", None) } else { (password, kept) };
    let right = core.passwords.verify(tried, kept).await.map_err(|error| refused(&error))?;
    match known {
        Some(account) if right => {
            core.limiter.succeeded(user, address);
            Ok(account)
        }
        _ => {
            tracing::warn!(user = shortened(user), %address, "sign-in failed");
            Err(Problem::wrong_password("The name or the password is wrong."))
        }
    }
}

/// Counts an attempt to sign in.
///
/// # Errors
/// [`Problem::too_many`] after several failures.
pub(crate) fn admit(core: &Core, user: &str, address: IpAddr) -> Result<(), Problem> {
    let Err(wait) = core.limiter.attempt(user, address, core.clock.now()) else { return Ok(()) };
    tracing::warn!(user = shortened(user), %address, wait, "sign-in refused: too many failures");
    let text = format!(
        "Too many failed sign-ins with this name from this address. Try again in {}.",
        in_words(wait)
    );
    Err(Problem::too_many(text, wait))
}

/// Changes the caller's password. All sessions of the account end.
///
/// # Errors
/// The current password is wrong, or the new one will not do.
pub(crate) async fn change_password(
    core: &Core,
    caller: &Caller,
    current: &str,
    new: &str,
    address: IpAddr,
) -> Result<(), Problem> {
    if core.store.directory_account(&caller.account).await?.is_some() {
        return Err(Problem::conflict("Your password is kept by your directory: change it there."));
    }
    check(core, &caller.user, current, address).await.map_err(|problem| {
        if problem.status() == 401 {
            // 401 would tell the web app that the session has ended.
            Problem::weak_password("The current password is wrong.")
        } else {
            problem
        }
    })?;
    if let Some(weakness) = weakness(&caller.user, new) {
        return Err(Problem::weak_password(weakness));
    }
    if new == current {
        return Err(Problem::weak_password("The new password must differ from the current one."));
    }
    let hash = core.passwords.hash(new).await.map_err(|error| refused(&error))?;
    core.store.set_password(&caller.account, &hash, false, core.clock.now()).await?;
    core.streams.end_of_account(&caller.account);
    tracing::info!(user = caller.user, %address, "password changed, all sessions ended");
    Ok(())
}

fn refused(error: &PasswordError) -> Problem {
    match error {
        PasswordError::Busy => Problem::busy("Too many people are signing in. Try again in a few seconds."),
        other => Problem::from_error(other),
    }
}

/// A name as it may stand in the log: it may be anything, a password typed into the wrong field included.
pub(crate) fn shortened(user: &str) -> String {
    user.chars().take(40).collect()
}

fn in_words(seconds: u64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}
