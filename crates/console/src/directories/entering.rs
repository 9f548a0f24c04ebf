//! Coming in by a directory: with name and password, or back from a provider.

use super::{
    Attempt, DirectoryError, DirectorySettings, LdapError, OpenIdError,
    ldap::{MOST_LOGIN, SignIn, sentence},
    read_settings,
    rights::{closed, role_of},
};
use crate::{core::Core, problem::Problem};
use playhead_db::{
    DbError,
    console::{Account, Directory, DirectoryKind, Entered},
};
use std::{net::IpAddr, time::Duration};
use uuid::Uuid;

/// Longest time for signing somebody in.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest address to go to after signing in, bytes: it travels in a cookie.
const MOST_TO: usize = 1000;
/// Where providers send people back to, below the console's address.
const BACK: &str = "/api/v1/sign-in/openid/callback";
/// Where people land who signed out at their provider.
const SIGN_IN: &str = "/sign-in";

/// Why somebody who came back from a provider does not come in, for the page that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The kind of reason.
    pub(crate) code: &'static str,
    /// The provider's name at the console.
    pub(crate) directory: String,
    /// What the provider calls the person, where they must tell an administrator.
    pub(crate) subject: Option<String>,
}

/// What a provider sent somebody back with.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) error: Option<String>,
}

/// The directory that somebody wants to come in by, and their name there: by its id, or by `Name\login`. `None` for a local account.
///
/// # Errors
/// Nobody comes in by the directory of this id.
pub(crate) async fn directory_of(
    core: &Core,
    id: Option<&str>,
    user: &str,
) -> Result<Option<(Directory, String)>, Problem> {
    if let Some(id) = id {
        let directory = core.store.directory(id).await?;
        let open =
            |directory: &Directory| directory.kind == DirectoryKind::Ldap && closed(directory).is_none();
        return match directory.filter(open) {
            // Whoever writes the directory's name as well means the same.
            Some(directory) => {
                let login = match user.split_once('\\') {
                    Some((name, login)) if same(name, &directory.name) => login,
                    _ => user,
                };
                let login = login.trim().to_owned();
                Ok(Some((directory, login)))
            }
            None => Err(Problem::bad_request(
                "Nobody signs in by this directory. GET /api/v1/sign-in/methods lists those there are.",
            )),
        };
    }
    let Some((name, login)) = user.split_once('\\') else { return Ok(None) };
    let all = core.store.directories().await?;
    let found = all.into_iter().find(|directory| same(name, &directory.name));
    let found =
        found.filter(|directory| directory.kind == DirectoryKind::Ldap && closed(directory).is_none());
    Ok(found.map(|directory| (directory, login.trim().to_owned())))
}

/// Whether two names are the same but for letter case and spaces around them.
fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// Checks a name and password at a directory, and gives the account, which is made at the first time.
///
/// # Errors
/// [`Problem::wrong_password`]; [`Problem::too_many`] after several of them; [`Problem::directory_failed`]; [`Problem::no_role`].
pub(crate) async fn by_password(
    core: &Core,
    directory: &Directory,
    login: &str,
    password: &str,
    address: IpAddr,
) -> Result<Account, Problem> {
    let name = account_name(directory, login);
    crate::accounts::admit(core, &name, address)?;
    let wrong = || {
        tracing::warn!(user = crate::accounts::shortened(&name), %address, "sign-in failed");
        Problem::wrong_password("The name or the password is wrong.")
    };
    if login.is_empty() || login.len() > MOST_LOGIN || login.contains(char::is_control) {
        return Err(wrong());
    }
    let asked = match core.directories.ldap(directory) {
        Ok(ldap) => match tokio::time::timeout(PATIENCE, ldap.sign_in(login, password)).await {
            Ok(asked) => asked.map_err(DirectoryError::from),
            Err(_) => {
                let (server, seconds) = (directory.name.clone(), PATIENCE.as_secs());
                Err(LdapError::Late { server, seconds }.into())
            }
        },
        Err(error) => Err(error),
    };
    core.directories.memory().note(directory, core.clock.now(), &asked);
    let person = match asked {
        Ok(SignIn::Is(person)) => person,
        Ok(SignIn::Wrong) => return Err(wrong()),
        Ok(SignIn::Barred(why)) => {
            tracing::warn!(user = name, %address, why, "sign-in refused by the directory");
            return Err(Problem::barred(sentence(why)));
        }
        Err(_) => {
            // Its words may tell of the network inside: they stand in the log, from noting them.
            return Err(Problem::directory_failed(format!(
                "The directory “{}” does not answer as it should, so nobody can sign in by it now. Local accounts work. \
                 The console's log says what is wrong.",
                directory.name
            )));
        }
    };
    core.limiter.succeeded(&name, address);
    let groups = person.groups.into_iter().map(|group| group.subject).collect();
    let name = account_name(directory, &person.principal.name);
    match enter(core, directory, &person.principal.subject, name, groups).await? {
        Some(account) => Ok(account),
        None => {
            tracing::warn!(user = login, directory = directory.name, %address, "sign-in refused: no role");
            Err(Problem::no_role(format!(
                "The password is right, but neither you nor your groups in “{}” were given a role here. Ask an administrator.",
                directory.name
            )))
        }
    }
}

/// Where somebody is sent who wants to come in by a provider, and what their browser must keep until they are back.
///
/// # Errors
/// Nobody comes in by this directory, or the provider is away.
pub(crate) async fn way_to_openid(core: &Core, id: &str, to: &str) -> Result<(String, Attempt), Refusal> {
    let directory = openid(core, id).await?;
    let refusal = |code| Refusal { code, directory: directory.name.clone(), subject: None };
    let attempt = Attempt::new(id, own_page(to), core.clock.now()).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        refusal("failed")
    })?;
    let way = async {
        let provider = core.directories.provider(&directory)?;
        Ok::<_, DirectoryError>(provider.way_there(&attempt, &back(core), core.clock.now()).await?)
    };
    match in_time(&directory, way).await {
        Ok(way) => Ok((way, attempt)),
        Err(error) => {
            tracing::warn!(directory = directory.name, %error, "nobody can sign in by the provider now");
            Err(refusal("provider"))
        }
    }
}

/// The account of somebody whom a provider sent back, and the page that they wanted.
///
/// # Errors
/// Why they do not come in.
pub(crate) async fn by_openid(
    core: &Core,
    attempt: Option<Attempt>,
    returned: Returned,
) -> Result<(Account, String), Refusal> {
    let unknown = Refusal { code: "expired", directory: String::new(), subject: None };
    let attempt = attempt.ok_or_else(|| unknown.clone())?;
    let directory = openid(core, &attempt.directory).await?;
    let refusal = |code| Refusal { code, directory: directory.name.clone(), subject: None };
    // Somebody else's way back would sign this person in as somebody else.
    if returned.state.as_deref() != Some(&attempt.state) {
        return Err(refusal("expired"));
    }
    let code = match (returned.error, returned.code) {
        (Some(error), _) => {
            let error: String = error.chars().filter(|char| !char.is_control()).take(100).collect();
            tracing::warn!(
                directory = directory.name,
                error,
                "the provider sent somebody back without a code"
            );
            return Err(refusal(if error == "access_denied" { "denied" } else { "provider" }));
        }
        (None, Some(code)) => code,
        (None, None) => return Err(refusal("provider")),
    };
    let welcoming = async {
        let provider = core.directories.provider(&directory)?;
        let issuer = returned.issuer.as_deref();
        Ok::<_, DirectoryError>(
            provider.welcome(&attempt, &code, issuer, &back(core), core.clock.now()).await?,
        )
    };
    let visitor = in_time(&directory, welcoming).await.map_err(|error| {
        tracing::warn!(directory = directory.name, %error, "sign-in by the provider failed");
        refusal("provider")
    })?;
    let name = account_name(&directory, &visitor.name);
    match enter(core, &directory, &visitor.subject, name, visitor.groups).await {
        Ok(Some(account)) => Ok((account, own_page(&attempt.to).to_owned())),
        Ok(None) => {
            tracing::warn!(
                user = visitor.name,
                subject = visitor.subject,
                directory = directory.name,
                "sign-in refused: no role"
            );
            Err(Refusal { subject: Some(visitor.subject), ..refusal("no-role") })
        }
        Err(error) => {
            tracing::error!(%error, "sign-in failed");
            Err(refusal("failed"))
        }
    }
}

/// Where somebody goes who has signed out, so that their provider forgets them as well.
pub(crate) async fn way_out(core: &Core, account: &str) -> Option<String> {
    let known = core.store.directory_account(account).await.ok()??;
    let directory = core.store.directory(&known.directory).await.ok()??;
    if directory.kind != DirectoryKind::OpenId {
        return None;
    }
    let provider = core.directories.provider(&directory).ok()?;
    let back = format!("{}{SIGN_IN}", core.public_url);
    tokio::time::timeout(Duration::from_secs(3), provider.way_out(&back, core.clock.now())).await.ok()?
}

/// Ends the sessions of somebody who has left their provider, as it says by a token that it has signed. Sessions that were opened
/// afterwards stay, so that a token which somebody sends once more does no harm.
///
/// # Errors
/// [`Problem::not_found`] when nobody comes in by this directory; a token that is not believed; the database's.
pub(crate) async fn farewell(core: &Core, id: &str, token: &str) -> Result<(), Problem> {
    let directory = openid(core, id)
        .await
        .map_err(|_| Problem::not_found("Nobody signs in by a provider with this id."))?;
    let said = async {
        let provider = core.directories.provider(&directory)?;
        Ok::<_, DirectoryError>(provider.farewell(token, core.clock.now()).await?)
    };
    let (subject, until) = in_time(&directory, said).await.map_err(|error| {
        tracing::warn!(directory = directory.name, %error, "what a provider says of somebody who left is not believed");
        match error {
            DirectoryError::OpenId(OpenIdError::Token(why)) => {
                Problem::bad_request(format!("The token is not believed: {why}."))
            }
            _ => Problem::directory_failed("The provider's keys cannot be had now, so that nothing it says can be checked."),
        }
    })?;
    let accounts = core.store.directory_accounts(&directory.id).await?;
    let Some(account) = accounts.into_iter().find(|account| account.subject == subject) else {
        return Ok(());
    };
    for session in core.store.close_old_sessions(&account.account, until).await? {
        core.streams.end_of_session(&session);
        tracing::info!(user = account.name, "session ended: signed out at the provider");
    }
    Ok(())
}

/// The address that providers must know.
pub(crate) fn back(core: &Core) -> String {
    back_at(&core.public_url)
}

/// The same at a console with this address.
pub(super) fn back_at(url: &str) -> String {
    format!("{url}{BACK}")
}

async fn in_time<T>(
    directory: &Directory,
    asking: impl Future<Output = Result<T, DirectoryError>>,
) -> Result<T, DirectoryError> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(asked) => asked,
        Err(_) => {
            let (server, seconds) = (directory.name.clone(), PATIENCE.as_secs());
            Err(LdapError::Late { server, seconds }.into())
        }
    }
}

/// A provider by which people come in.
async fn openid(core: &Core, id: &str) -> Result<Directory, Refusal> {
    let refusal = |code| Refusal { code, directory: String::new(), subject: None };
    let directory = core.store.directory(id).await.map_err(|error| {
        tracing::error!(%error, "cannot read the directory");
        refusal("failed")
    })?;
    let open = |directory: &Directory| {
        closed(directory).is_none() && matches!(read_settings(directory), Ok(DirectorySettings::OpenId(_)))
    };
    directory.filter(open).ok_or_else(|| refusal("closed"))
}

/// The account of somebody whom a directory has vouched for; `None` when they hold no role.
async fn enter(
    core: &Core,
    directory: &Directory,
    subject: &str,
    name: String,
    groups: Vec<String>,
) -> Result<Option<Account>, DbError> {
    let given = core.store.directory_roles(&directory.id).await?;
    let Some(role) = role_of(&given, subject, &groups) else { return Ok(None) };
    let entered =
        Entered { directory: directory.id.clone(), subject: subject.to_owned(), name, role, groups };
    let new = Uuid::now_v7().to_string();
    match core.store.enter_by_directory(&entered, &new, core.clock.now()).await {
        // Twice at once, for the first time: the other one has made the account.
        Err(error) if error.is_conflict() => {
            core.store.enter_by_directory(&entered, &new, core.clock.now()).await.map(Some)
        }
        entered => entered.map(Some),
    }
}

/// What the account of somebody from a directory is called.
fn account_name(directory: &Directory, login: &str) -> String {
    format!("{}\\{login}", directory.name)
}

/// An address of the console's own pages: anything else could lead a person astray after signing in.
fn own_page(to: &str) -> &str {
    let own = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    if own && to.len() <= MOST_TO && !to.contains(char::is_control) { to } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn nobody_is_led_to_another_site() {
        assert_eq!(own_page("/recordings?user=a#x"), "/recordings?user=a#x");
        for bad in ["", "https://evil", "//evil", "/\\evil", "recordings", "/a\r\nb", &"/x".repeat(600)] {
            assert_eq!(own_page(bad), "/", "{bad}");
        }
    }
}
