//! What can be wrong with encrypted bytes.

use crate::KeyId;

/// Why something could not be encrypted or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Not an encrypted file, or one of a later version.
    #[error("expected the header of an encrypted file of version 1: {0}")]
    Header(&'static str),
    /// The header is that of another file than the database says.
    #[error("the file is not the one that was stored: its header differs; restore it from a backup")]
    OtherFile,
    /// The key is not the one that the file was encrypted with.
    #[error("the data key does not open it: it was encrypted with the key {0}")]
    WrongKey(KeyId),
    /// A block was changed, moved or taken from elsewhere.
    #[error("block {0} was changed, or is not a block of this file: restore the file from a backup")]
    Block(u64),
    /// No file has this length.
    #[error(
        "expected whole blocks, got a file of {0} bytes: it was cut off or added to; restore it from a backup"
    )]
    Length(u64),
    /// A part outside the file.
    #[error("expected a part within {expected} bytes, got one that ends at {actual}")]
    Range {
        /// Bytes there are.
        expected: u64,
        /// End of what was asked for.
        actual: u64,
    },
    /// What was encrypted is not what its salt was made of: the same bytes must be given twice.
    #[error("the content differs from what the salt was made of")]
    Salt,
    /// Not an encrypted record.
    #[error("expected an encrypted record of version 1: {0}")]
    Record(&'static str),
    /// The record was changed, or belongs elsewhere.
    #[error("the record was changed, or is not that of this fragment")]
    ChangedRecord,
    /// The wrapped key was changed, wrapped by another key, or for another recording.
    #[error("the site's key does not open this data key: it was wrapped by another one, or changed")]
    Unwrap,
    /// Not whom something can be encrypted to.
    #[error("expected a recipient that starts with age1, as 'age-keygen' prints it: {0}")]
    Recipient(&'static str),
    /// Too short to keep a secret.
    #[error("expected a passphrase of at least {expected} characters, got {actual}")]
    Passphrase {
        /// Least characters.
        expected: usize,
        /// Those there are.
        actual: usize,
    },
    /// Nobody could open it.
    #[error("expected a passphrase or between 1 and {0} recipients")]
    Nobody(usize),
    /// There are no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Something is too long for its field.
    #[error("too long to be encrypted: {0} bytes")]
    TooLong(usize),
}
