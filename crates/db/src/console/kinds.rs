//! What kinds of directories there are, and of what stands in them.

use std::str::FromStr;

/// What speaks to a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DirectoryKind {
    /// LDAP, Active Directory included.
    Ldap,
    /// An OpenID Connect provider.
    OpenId,
}

/// Who stands in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A group of them.
    Group,
}

/// A name that stands for none of the kinds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {expected}, got '{actual}'")]
pub struct UnknownKind {
    expected: &'static str,
    actual: String,
}

impl DirectoryKind {
    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ldap => "ldap",
            Self::OpenId => "openid",
        }
    }
}

impl FromStr for DirectoryKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "ldap" => Ok(Self::Ldap),
            "openid" => Ok(Self::OpenId),
            other => Err(UnknownKind { expected: "ldap, openid", actual: other.chars().take(64).collect() }),
        }
    }
}

impl PrincipalKind {
    /// Its name in texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

impl FromStr for PrincipalKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "user" => Ok(Self::User),
            "group" => Ok(Self::Group),
            other => Err(UnknownKind { expected: "user, group", actual: other.chars().take(64).collect() }),
        }
    }
}
