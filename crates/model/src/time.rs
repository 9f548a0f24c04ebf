//! Wall-clock time: microseconds inside, RFC 3339 in UTC outside.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// A moment of wall-clock time, in microseconds since the Unix epoch.
///
/// Shown and serialised as RFC 3339 in UTC with microseconds, `2026-03-01T09:30:00.000000Z`.
/// Media time is not this: it is a plain `u64` of microseconds since a recording's start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

/// A text that is no RFC 3339 time, or one that jiff cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 2026-03-01T09:30:00Z, got '{0}'")]
pub struct TimeError(String);

impl WallTime {
    /// The start of the year 1: RFC 3339 has no way to write years before 0.
    const LEAST: i64 = -62_135_596_800_000_000;
    /// The start of 9999-12-30, about the last moment that `jiff` can show.
    const MOST: i64 = 253_402_128_000_000_000;

    /// Takes microseconds since the Unix epoch; what RFC 3339 cannot show is clamped to the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::LEAST, Self::MOST))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This moment moved by `micros`, clamped like [`WallTime::from_micros`].
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The constructor clamps, so the conversion holds for every value of this type.
        let at = Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{at:.6}")
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for WallTime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let at: Timestamp = text.parse().map_err(|_| TimeError(text.chars().take(64).collect()))?;
        Ok(Self::from_micros(at.as_microsecond()))
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::WallTime;

    #[test]
    fn shows_rfc_3339_with_microseconds() {
        let at = WallTime::from_micros(1_772_357_400_000_001);
        assert_eq!(at.to_string(), "2026-03-01T09:30:00.000001Z");
        assert_eq!(at.to_string().parse(), Ok(at));
    }

    #[test]
    fn reads_any_offset_and_refuses_nonsense() {
        let utc: WallTime = "2026-03-01T09:30:00Z".parse().unwrap();
        let offset: WallTime = "2026-03-01T11:30:00+02:00".parse().unwrap();
        assert_eq!(utc, offset);
        assert!("yesterday".parse::<WallTime>().is_err());
    }

    #[test]
    fn extreme_values_are_clamped_and_still_show() {
        assert!(WallTime::from_micros(i64::MAX).to_string().starts_with("9999-"));
        assert!(WallTime::from_micros(i64::MIN).to_string().starts_with("0001-"));
    }
}
