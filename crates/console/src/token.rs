//! Making join tokens for recording servers.

use crate::problem::Problem;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use playhead_db::console::{NewToken, Store};
use playhead_model::{SiteId, WallTime};
use playhead_protocol::join::{JoinKind, JoinToken};

/// What a token for a recording server should be good for.
pub(crate) struct Wanted<'a> {
    /// Where to join.
    pub(crate) url: &'a str,
    /// The certificate authority to trust there, DER.
    pub(crate) authority: Option<&'a [u8]>,
    /// The site to join; without one the server's own database decides.
    pub(crate) site: Option<SiteId>,
    /// How often it can be used.
    pub(crate) uses: u32,
    /// Who asked for it.
    pub(crate) made_by: &'a str,
    /// Now.
    pub(crate) now: WallTime,
    /// How long it is good for, microseconds.
    pub(crate) valid_micros: i64,
}

/// Makes a token. Only a hash of its secret is kept.
pub(crate) async fn issue(store: &Store, wanted: &Wanted<'_>) -> Result<(JoinToken, WallTime), Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Problem::from_error(&error))?;
    let secret = URL_SAFE_NO_PAD.encode(random);
    let expires_at = wanted.now.plus_micros(wanted.valid_micros);
    let new = NewToken {
        secret_hash: blake3::hash(secret.as_bytes()).to_hex().to_string(),
        site: wanted.site,
        uses: wanted.uses,
        made_by: wanted.made_by.to_owned(),
        created_at: wanted.now,
        expires_at,
    };
    store.create_token(&new).await?;
    let token = JoinToken {
        kind: JoinKind::Server,
        url: wanted.url.to_owned(),
        authority: wanted.authority.map(|der| URL_SAFE_NO_PAD.encode(der)),
        secret,
    };
    Ok((token, expires_at))
}
