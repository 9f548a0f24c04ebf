//! LDAP on the wire: what a directory is asked, and what it answers (RFC 4511), as far as signing people in and finding users and groups
//! needs it.
//!
//! No I/O. Nothing here calls itself for what came from outside but the reader of filters, which has a limit, so that no answer can
//! exhaust the stack; the length of a message is known, and refused, before its bytes have come.

mod ber;
mod dn;
mod filter;
mod message;
mod sid;

pub use dn::{is_within, same_form};
pub use filter::{Filter, FilterError, is_attribute};
pub use message::{Answer, Entry, Outcome, Page, Part, Request, Scope, Search, decode, frame, rest_of};
pub use sid::group_of_domain;

/// Why bytes are no LDAP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end before what they announce.
    #[error("expected {expected} more bytes of an LDAP message, got {actual}")]
    Short {
        /// Bytes announced.
        expected: usize,
        /// Bytes there.
        actual: usize,
    },
    /// Another element than the one that belongs there.
    #[error("expected {expected} in an LDAP message, got the tag {actual:#04x}")]
    Tag {
        /// What belongs there.
        expected: &'static str,
        /// The tag there.
        actual: u8,
    },
    /// A length in a form that LDAP does not allow.
    #[error("expected a definite length of at most 4 bytes in an LDAP message, got the form {0:#04x}")]
    Length(u8),
    /// A number that does not fit.
    #[error("expected a number of 1 to 4 bytes in an LDAP message, got {0} bytes")]
    Number(usize),
    /// A text that is no UTF-8.
    #[error("expected {0} in UTF-8 in an LDAP message")]
    Text(&'static str),
    /// A message beyond the limit.
    #[error("expected an LDAP message of at most {most} bytes, got one of {actual}")]
    TooLong {
        /// The limit.
        most: usize,
        /// Its length.
        actual: usize,
    },
}
