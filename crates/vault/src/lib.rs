//! Encryption at rest: the layer around a stored segment's file, and around a fragment in the journal. Its bytes are described in
//! `docs/encryption.md`.
//!
//! Every recording has a [`DataKey`] of its own. A file is encrypted in blocks, so that any part of it can be read without the rest, and
//! so that a block that was changed, moved, left out, or taken from another file is found. This crate opens no file, asks no network, and
//! takes random bytes from who calls it.

mod age;
mod error;
mod file;
mod header;
mod key;
mod record;

pub use age::{AgeEncrypter, LEAST_PASSPHRASE, Recipient, Secrecy};
pub use error::VaultError;
pub use file::{Decrypter, Encrypter, Opener, SaltHasher};
pub use header::{BLOCK, HEADER, Header, file_len, plain_len};
pub use key::{DataKey, KeyId, NONCE, SiteKey, WRAPPED};
pub use record::{Declared, OVERHEAD, SealedRecord, is_sealed, open_record, seal_record};
