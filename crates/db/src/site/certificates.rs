//! Certificates of agents and servers, and when segments were sealed.

use super::Store;
use crate::{DbError, RowExt as _};
use playhead_model::{RecordingId, WallTime};
use sqlx::any::AnyRow;

/// A certificate that the site's authority issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// SHA-256 as pairs of hexadecimal digits with colons.
    pub fingerprint: String,
    /// `agent` or `site`.
    pub role: String,
    /// Id of the agent or the server.
    pub owner: String,
    /// Name of the session host or the site.
    pub name: String,
    /// The Ed25519 key, hexadecimal.
    pub public_key: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// The certificate.
    pub pem: String,
    /// From when on it is valid.
    pub not_before: WallTime,
    /// Until when.
    pub not_after: WallTime,
    /// When it was issued.
    pub issued_at: WallTime,
    /// When it was revoked.
    pub revoked_at: Option<WallTime>,
}

impl CertificateRow {
    fn read(row: &AnyRow) -> Result<Self, DbError> {
        Ok(Self {
            fingerprint: row.text("fingerprint")?,
            role: row.text("role")?,
            owner: row.text("owner")?,
            name: row.text("name")?,
            public_key: row.text("public_key")?,
            serial: row.text("serial")?,
            pem: row.text("pem")?,
            not_before: row.time("not_before")?,
            not_after: row.time("not_after")?,
            issued_at: row.time("issued_at")?,
            revoked_at: row.time_or_null("revoked_at")?,
        })
    }
}

const COLUMNS: &str =
    "fingerprint, role, owner, name, public_key, serial, pem, not_before, not_after, issued_at, revoked_at";

impl Store {
    /// Keeps a new certificate. One that is kept already stays as it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_certificate(&self, certificate: &CertificateRow) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        let text = format!(
            "INSERT INTO certificates ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (fingerprint) DO NOTHING"
        );
        sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(certificate.fingerprint.clone())
            .bind(certificate.role.clone())
            .bind(certificate.owner.clone())
            .bind(certificate.name.clone())
            .bind(certificate.public_key.clone())
            .bind(certificate.serial.clone())
            .bind(certificate.pem.clone())
            .bind(certificate.not_before.as_micros())
            .bind(certificate.not_after.as_micros())
            .bind(certificate.issued_at.as_micros())
            .bind(certificate.revoked_at.map(WallTime::as_micros))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// All certificates by role and name, the newest of each owner first.
    ///
    /// # Errors
    /// The database's.
    pub async fn certificates(&self) -> Result<Vec<CertificateRow>, DbError> {
        let text = format!(
            "SELECT {COLUMNS} FROM certificates ORDER BY role, name, owner, issued_at DESC, fingerprint"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(self.db.reader()).await?;
        rows.iter().map(CertificateRow::read).collect()
    }

    /// The certificates of one agent or server, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn certificates_of(&self, role: &str, owner: &str) -> Result<Vec<CertificateRow>, DbError> {
        let text = format!(
            "SELECT {COLUMNS} FROM certificates WHERE role = $1 AND owner = $2 ORDER BY issued_at DESC, fingerprint"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(role.to_owned())
            .bind(owner.to_owned())
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(CertificateRow::read).collect()
    }

    /// Revokes all certificates of one agent or server that are not revoked yet. Returns how many these were.
    ///
    /// # Errors
    /// The database's.
    pub async fn revoke_certificates(&self, role: &str, owner: &str, now: WallTime) -> Result<u64, DbError> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE certificates SET revoked_at = $3 WHERE role = $1 AND owner = $2 AND revoked_at IS NULL",
        )
        .bind(role.to_owned())
        .bind(owner.to_owned())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// When a segment was sealed first: `now`, unless that was written down before.
    ///
    /// # Errors
    /// The database's.
    pub async fn sealing(
        &self,
        recording: RecordingId,
        number: u32,
        now: WallTime,
    ) -> Result<WallTime, DbError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO sealings (recording, number, sealed_at) VALUES ($1, $2, $3)
             ON CONFLICT (recording, number) DO NOTHING",
        )
        .bind(recording.to_string())
        .bind(i64::from(number))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT sealed_at FROM sealings WHERE recording = $1 AND number = $2")
            .bind(recording.to_string())
            .bind(i64::from(number))
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        row.time("sealed_at")
    }
}
