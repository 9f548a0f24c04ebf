//! Join tokens for agents.

use crate::{ServerError, clock, folder, intake};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_db::site::{NewToken, Store};
use playhead_model::WallTime;
use playhead_net::{Authority, NetError};
use playhead_protocol::join::{JoinKind, JoinToken};
use std::{fs, path::Path};

/// File in the data folder with the address that agents are told, so that tokens can be made while the server does not run.
pub(crate) const ADDRESS: &str = "agents-url";

/// What a token should be good for.
pub(crate) struct Wanted<'a> {
    pub(crate) valid_seconds: u32,
    pub(crate) uses: u32,
    /// Who asked for it.
    pub(crate) by: &'a str,
}

/// Makes a token; also returns until when it is good. Only a hash of its secret is kept.
pub(crate) async fn issue(
    store: &Store,
    authority: &[u8],
    agents_url: &str,
    wanted: Wanted<'_>,
) -> Result<(JoinToken, WallTime), ServerError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(NetError::Random)?;
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let now = clock::now();
    let expires_at = now.plus_micros(i64::from(wanted.valid_seconds) * 1_000_000);
    let hash = intake::token_hash(&secret);
    let token = NewToken { hash, uses: wanted.uses, expires_at, created_by: wanted.by.to_owned() };
    store.add_join_token(&token, now).await?;
    let authority = Some(URL_SAFE_NO_PAD.encode(authority));
    Ok((JoinToken { kind: JoinKind::Agent, url: agents_url.to_owned(), authority, secret }, expires_at))
}

/// Makes a token with which `uses` agents can enrol within `valid_seconds`, in the data folder of a server that was started before and
/// may run now; also returns until when it is good. `database` as the server is told it.
///
/// # Errors
/// No server was started with this folder, or its database cannot be used.
pub async fn agent_token(
    data: &Path,
    database: Option<&str>,
    valid_seconds: u32,
    uses: u32,
) -> Result<(JoinToken, WallTime), ServerError> {
    let path = data.join(ADDRESS);
    let url = fs::read_to_string(&path).map_err(|source| ServerError::Data { path, source })?;
    let store = Store::open(&folder::database_of(data, database)).await?;
    let authority = Authority::load_or_create(data, "site")?;
    let wanted = Wanted { valid_seconds, uses, by: "command line" };
    let made = issue(&store, authority.der(), url.trim(), wanted).await;
    store.database().close().await;
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Server, Settings};

    #[tokio::test]
    async fn tokens_are_made_beside_a_running_server_but_not_for_one_that_never_ran() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(agent_token(folder.path(), None, 60, 1).await, Err(ServerError::Data { .. })));
        let server = Server::start(Settings::new(folder.path())).await.unwrap();
        let (offline, _) = agent_token(folder.path(), None, 60, 1).await.unwrap();
        let online = server.make_join_token(60, 1).await.unwrap();
        assert_eq!((&offline.url, &offline.authority), (&online.url, &online.authority));
        assert_ne!(offline.secret, online.secret);
        server.shutdown().await;
    }
}
