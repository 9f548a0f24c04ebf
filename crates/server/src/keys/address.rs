//! Where a site's keys are.

use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, str::FromStr};

/// Where the keys are that wrap the data keys of recordings. Never a secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SiteKeyAddress {
    /// Nowhere: new recordings are not encrypted.
    None,
    /// In a file; `None` for `site.keys` in the data folder.
    File(Option<PathBuf>),
    /// In AWS KMS: the key's id, ARN or alias.
    Aws(String),
}

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 'file', 'file:/PATH', 'awskms:KEY' with the key's id, ARN or alias, or 'none', got '{0}'")]
pub struct AddressError(String);

impl fmt::Display for SiteKeyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::File(None) => f.write_str("file"),
            Self::File(Some(path)) => write!(f, "file:{}", path.display()),
            Self::Aws(key) => write!(f, "awskms:{key}"),
        }
    }
}

impl FromStr for SiteKeyAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.chars().take(200).collect());
        if let Some(path) = text.strip_prefix("file:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::File(Some(path))) } else { Err(wrong()) };
        }
        if let Some(key) = text.strip_prefix("awskms:") {
            let plain = |char: char| char.is_ascii_alphanumeric() || "-_/:".contains(char);
            return if (1..=2_048).contains(&key.len()) && key.chars().all(plain) {
                Ok(Self::Aws(key.to_owned()))
            } else {
                Err(wrong())
            };
        }
        match text {
            "file" => Ok(Self::File(None)),
            "none" => Ok(Self::None),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for SiteKeyAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SiteKeyAddress> for String {
    fn from(address: SiteKeyAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        for text in
            ["none", "file", "file:/etc/keys", "awskms:alias/playhead", "awskms:arn:aws:kms:eu-1:1:key/a-b"]
        {
            assert_eq!(text.parse::<SiteKeyAddress>().unwrap().to_string(), text);
        }
        for wrong in ["", "file:keys", "awskms:", "awskms:a b", "vault:x", "/etc/keys"] {
            let error = wrong.parse::<SiteKeyAddress>().unwrap_err().to_string();
            assert!(error.contains("awskms:KEY"), "{error}");
        }
    }
}
