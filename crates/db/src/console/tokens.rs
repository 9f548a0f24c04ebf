//! Join tokens for recording servers, and joining by one.

use super::{
    Server, Store,
    sites::{appear, put_server, site_by_id, site_of},
};
use crate::{DbError, RowExt as _};
use playhead_model::{ServerId, SiteId, WallTime};
use sqlx::AnyConnection;

/// A new join token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Hash of its secret. The secret itself is nowhere.
    pub secret_hash: String,
    /// The site to join; without one the server's database decides.
    pub site: Option<SiteId>,
    /// How often it can be used.
    pub uses: u32,
    /// Who made it.
    pub made_by: String,
    /// When it was made.
    pub created_at: WallTime,
    /// From when on it is void.
    pub expires_at: WallTime,
}

/// A join token as it is kept: the secret itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Hash of its secret.
    pub secret_hash: String,
    /// The site to join; without one the server's database decides.
    pub site: Option<SiteId>,
    /// How often it can still be used.
    pub uses_left: u64,
    /// Who made it.
    pub made_by: String,
    /// When it was made.
    pub created_at: WallTime,
    /// From when on it is void.
    pub expires_at: WallTime,
}

/// A server that wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Hash of the secret that it brings.
    pub secret_hash: String,
    /// The id that it gets when it is new.
    pub server: ServerId,
    /// Its name. A site that is new gets it as well.
    pub name: String,
    /// Its Ed25519 key, unpadded URL-safe base64.
    pub public_key: String,
    /// Its version.
    pub version: String,
    /// The site id that its database has.
    pub database: SiteId,
}

/// What came of joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinOutcome {
    /// It belongs to the console now.
    Joined {
        /// Its id.
        server: ServerId,
        /// Its site's id at this console.
        site: SiteId,
    },
    /// Nobody made this token, or it expired long ago.
    UnknownToken,
    /// The token is too old.
    ExpiredToken {
        /// From when on it was void.
        at: WallTime,
    },
    /// The token was used as often as it may be.
    UsedUpToken,
    /// The token is for a site with another database.
    OtherSite {
        /// That site's name.
        name: String,
    },
    /// The server's database belongs to another site than the token.
    AlreadyAt {
        /// That other site's name.
        name: String,
    },
}

impl Store {
    /// Keeps a new token.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_token(&self, token: &NewToken) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO join_tokens (secret_hash, site, uses_left, made_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&token.secret_hash)
        .bind(token.site.map(|site| site.to_string()))
        .bind(i64::from(token.uses))
        .bind(&token.made_by)
        .bind(token.created_at.as_micros())
        .bind(token.expires_at.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// The tokens by which a server could still join, the newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tokens(&self, now: WallTime) -> Result<Vec<Token>, DbError> {
        let rows = sqlx::query(
            "SELECT secret_hash, site, uses_left, made_by, created_at, expires_at FROM join_tokens
             WHERE uses_left > 0 AND expires_at > $1 ORDER BY created_at DESC, secret_hash",
        )
        .bind(now.as_micros())
        .fetch_all(self.database.reader())
        .await?;
        let token = |row: &sqlx::any::AnyRow| {
            Ok(Token {
                secret_hash: row.text("secret_hash")?,
                site: row.parsed_or_null("site", "site id")?,
                uses_left: row.count("uses_left")?,
                made_by: row.text("made_by")?,
                created_at: row.time("created_at")?,
                expires_at: row.time("expires_at")?,
            })
        };
        rows.iter().map(token).collect()
    }

    /// Revokes a token. `false` when there was none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_token(&self, secret_hash: &str) -> Result<bool, DbError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query("DELETE FROM join_tokens WHERE secret_hash = $1")
            .bind(secret_hash)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Lets a server join and takes one use off the token, both or neither. A server that joins again by the same token, because the
    /// answer did not reach it, gets the same answer and costs no further use.
    ///
    /// # Errors
    /// The database failed.
    pub async fn join(&self, joining: &Joining, now: WallTime) -> Result<JoinOutcome, DbError> {
        let mut tx = self.database.write().await?;
        if let Some(before) = joined_before(&mut tx, joining).await? {
            return Ok(before);
        }
        // Changing the row first keeps it locked, so that two servers cannot share the last use.
        let taken = sqlx::query(
            "UPDATE join_tokens SET uses_left = uses_left - 1
             WHERE secret_hash = $1 AND uses_left > 0 AND expires_at > $2",
        )
        .bind(&joining.secret_hash)
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT site, expires_at FROM join_tokens WHERE secret_hash = $1")
            .bind(&joining.secret_hash)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(JoinOutcome::UnknownToken) };
        if taken.rows_affected() == 0 {
            let at = row.time("expires_at")?;
            return Ok(if at <= now { JoinOutcome::ExpiredToken { at } } else { JoinOutcome::UsedUpToken });
        }
        let known = site_of(&mut tx, joining.database).await?;
        let site = match (row.parsed_or_null::<SiteId>("site", "site id")?, known) {
            (None, Some(known)) => known.id,
            (None, None) => appear(&mut tx, joining.database, joining.database, &joining.name, now).await?,
            (Some(wanted), Some(known)) if known.id == wanted => wanted,
            (Some(_), Some(known)) => return Ok(JoinOutcome::AlreadyAt { name: known.name }),
            (Some(wanted), None) => match site_by_id(&mut tx, wanted).await? {
                Some(site) if site.database.is_some() => {
                    return Ok(JoinOutcome::OtherSite { name: site.name });
                }
                Some(site) => {
                    sqlx::query("UPDATE sites SET database_id = $2 WHERE id = $1")
                        .bind(site.id.to_string())
                        .bind(joining.database.to_string())
                        .execute(&mut *tx)
                        .await?;
                    site.id
                }
                // Tokens go with their site.
                None => return Ok(JoinOutcome::UnknownToken),
            },
        };
        let server = Server {
            id: joining.server,
            site,
            name: joining.name.clone(),
            public_key: joining.public_key.clone(),
            version: joining.version.clone(),
            connected_at: None,
            last_seen: None,
        };
        let server = put_server(&mut tx, &server, Some(&joining.secret_hash), now).await?;
        tx.commit().await?;
        Ok(JoinOutcome::Joined { server, site })
    }
}

async fn joined_before(tx: &mut AnyConnection, joining: &Joining) -> Result<Option<JoinOutcome>, DbError> {
    let row = sqlx::query(
        "SELECT v.id AS server, v.site FROM servers v JOIN sites s ON s.id = v.site
         WHERE v.public_key = $1 AND v.joined_by = $2 AND s.database_id = $3",
    )
    .bind(&joining.public_key)
    .bind(&joining.secret_hash)
    .bind(joining.database.to_string())
    .fetch_optional(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(JoinOutcome::Joined {
        server: row.parsed("server", "server id")?,
        site: row.parsed("site", "site id")?,
    }))
}
