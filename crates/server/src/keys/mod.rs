//! Keys: the site's, which wrap the recordings' data keys, and those.
//!
//! * `address`: what a site's keys are found by;
//! * `kms`: what is asked of whoever holds them;
//! * `file`: site keys in a file;
//! * `aws`: site keys in AWS KMS;
//! * `keyring`: the data keys of recordings, unwrapped as long as they are needed;
//! * `admin`: showing, rotating and rewrapping keys, and shredding recordings.

mod address;
mod admin;
mod aws;
mod file;
mod keyring;
mod kms;

pub use address::{AddressError, SiteKeyAddress};
pub use admin::{KeyAdmin, KeyReport, RewrapReport, ShredReport, SiteKeyReport};
pub(crate) use admin::{report, shred};
pub(crate) use keyring::{KeyError, Keyring, plain};
pub(crate) use kms::KmsError;
