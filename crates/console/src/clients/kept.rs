//! An API client as people and programs are told of it.

use playhead_db::console::ApiClient;
use playhead_model::{Permission, WallTime};
use serde::Serialize;
use utoipa::ToSchema;

/// A program that may use the console. Its secret is kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiClient)]
pub struct KeptApiClient {
    /// Its id, which it signs in with.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    #[schema(value_type = Vec<String>, example = json!(["view-sessions", "manage-sessions"]))]
    pub permissions: Vec<Permission>,
    /// Who made it.
    pub made_by: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WallTime,
    /// From when on it is void.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: WallTime,
    /// Whether that is over.
    pub expired: bool,
    /// When it was last used, about to the minute.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub last_used_at: Option<WallTime>,
}

impl KeptApiClient {
    pub(crate) fn new(client: ApiClient, now: WallTime) -> Self {
        Self {
            expired: client.expires_at <= now,
            id: client.id,
            name: client.name,
            permissions: client.permissions,
            made_by: client.made_by,
            created_at: client.created_at,
            expires_at: client.expires_at,
            last_used_at: client.last_used,
        }
    }
}
