//! API clients: programs that use the console with an id and a secret, and the tokens they have got for them.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{Permission, WallTime};
use sqlx::any::AnyRow;

/// Tokens that a client may have at a time. When it gets one more, the oldest becomes void.
const MOST_TOKENS: i64 = 1_000;

/// A program that may use the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiClient {
    /// Its id, which it signs in with.
    pub id: String,
    /// Its name; no two clients have the same in any letter case.
    pub name: String,
    /// Hash of its secret. The secret itself is nowhere.
    pub secret_hash: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Who made it.
    pub made_by: String,
    /// When it was made.
    pub created_at: WallTime,
    /// From when on it is void.
    pub expires_at: WallTime,
    /// When it was last used, about to the minute.
    pub last_used: Option<WallTime>,
}

/// A token that a client has got for its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Hash of the token. The token itself is nowhere.
    pub hash: String,
    /// The client's id.
    pub client: String,
    /// When it was given.
    pub created_at: WallTime,
    /// From when on it is void.
    pub expires_at: WallTime,
}

const COLUMNS: &str =
    "c.id, c.name, c.secret_hash, c.permissions, c.made_by, c.created_at, c.expires_at, c.last_used";

impl Store {
    /// Keeps a new client. `false` when its name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_api_client(&self, client: &ApiClient) -> Result<bool, DbError> {
        let permissions: Vec<_> = client.permissions.iter().map(|permission| permission.as_str()).collect();
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "INSERT INTO api_clients
                 (id, name, name_key, secret_hash, permissions, made_by, created_at, expires_at, last_used)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name_key) DO NOTHING",
        )
        .bind(&client.id)
        .bind(&client.name)
        .bind(client.name.to_lowercase())
        .bind(&client.secret_hash)
        .bind(permissions.join(" "))
        .bind(&client.made_by)
        .bind(client.created_at.as_micros())
        .bind(client.expires_at.as_micros())
        .bind(client.last_used.map(WallTime::as_micros))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// All clients by name, those that have expired too.
    ///
    /// # Errors
    /// The database failed.
    pub async fn api_clients(&self) -> Result<Vec<ApiClient>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM api_clients c ORDER BY c.name_key");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(self.database.reader()).await?;
        rows.iter().map(client).collect()
    }

    /// The client of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn api_client(&self, id: &str) -> Result<Option<ApiClient>, DbError> {
        let text = format!("SELECT {COLUMNS} FROM api_clients c WHERE c.id = $1");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).fetch_optional(self.database.reader()).await?;
        row.as_ref().map(client).transpose()
    }

    /// Removes a client with all its tokens, and gives its name; `None` when there was none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_api_client(&self, id: &str) -> Result<Option<String>, DbError> {
        let mut tx = self.database.write().await?;
        let row = sqlx::query("DELETE FROM api_clients WHERE id = $1 RETURNING name")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let name = row.as_ref().map(|row| row.text("name")).transpose()?;
        tx.commit().await?;
        Ok(name)
    }

    /// Keeps a token of a client. Those of it that have expired go.
    ///
    /// # Errors
    /// The database failed, or there is no such client.
    pub async fn open_api_token(&self, token: &ApiToken) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query("DELETE FROM api_tokens WHERE client = $1 AND expires_at <= $2")
            .bind(&token.client)
            .bind(token.created_at.as_micros())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "DELETE FROM api_tokens WHERE hash IN
                 (SELECT hash FROM api_tokens WHERE client = $1 ORDER BY created_at DESC, hash
                  LIMIT 1000000 OFFSET $2)",
        )
        .bind(&token.client)
        .bind(MOST_TOKENS - 1)
        .execute(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO api_tokens (hash, client, created_at, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&token.hash)
            .bind(&token.client)
            .bind(token.created_at.as_micros())
            .bind(token.expires_at.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// The token of this hash, and whose it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn api_token(&self, hash: &str) -> Result<Option<(ApiToken, ApiClient)>, DbError> {
        let text = format!(
            "SELECT {COLUMNS}, t.created_at AS given_at, t.expires_at AS void_at
             FROM api_tokens t JOIN api_clients c ON c.id = t.client WHERE t.hash = $1"
        );
        let row =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(hash).fetch_optional(self.database.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let client = client(&row)?;
        let token = ApiToken {
            hash: hash.to_owned(),
            client: client.id.clone(),
            created_at: row.time("given_at")?,
            expires_at: row.time("void_at")?,
        };
        Ok(Some((token, client)))
    }

    /// Notes that a client was used.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_api_client_use(&self, id: &str, now: WallTime) -> Result<(), DbError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE api_clients SET last_used = $2 WHERE id = $1")
            .bind(id)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Removes tokens that have expired. Gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_expired_api_tokens(&self, now: WallTime) -> Result<u64, DbError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query("DELETE FROM api_tokens WHERE expires_at <= $1")
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// The id under which API clients address this console: the one that is kept, otherwise `proposed` from now on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn customer_id(&self, proposed: &str) -> Result<String, DbError> {
        const KEPT: &str = "SELECT id FROM api_customer WHERE one = 1";
        if let Some(row) = sqlx::query(KEPT).fetch_optional(self.database.reader()).await? {
            return row.text("id");
        }
        let mut tx = self.database.write().await?;
        // Another console on the same database may have been faster.
        sqlx::query("INSERT INTO api_customer (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING")
            .bind(proposed)
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(KEPT).fetch_one(&mut *tx).await?;
        let id = row.text("id")?;
        tx.commit().await?;
        Ok(id)
    }
}

fn client(row: &AnyRow) -> Result<ApiClient, DbError> {
    let unknown = |_| DbError::Content { column: "permissions", expected: "permissions" };
    let permissions = row.text("permissions")?;
    let permissions = permissions.split_whitespace().map(str::parse).collect::<Result<_, _>>();
    Ok(ApiClient {
        id: row.text("id")?,
        name: row.text("name")?,
        secret_hash: row.text("secret_hash")?,
        permissions: permissions.map_err(unknown)?,
        made_by: row.text("made_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        last_used: row.time_or_null("last_used")?,
    })
}
