//! How the picture is recorded.

use crate::settings::SettingsError;
use serde::{Deserialize, Serialize};

/// Whether every pixel is recorded exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureMode {
    /// Every pixel.
    #[default]
    Lossless,
    /// Text and whatever has sharp edges exactly; films and photos as video.
    Lossy,
}

impl PictureMode {
    /// The name used in settings, on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Lossy => "lossy",
        }
    }
}

impl std::str::FromStr for PictureMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lossless" => Ok(Self::Lossless),
            "lossy" => Ok(Self::Lossy),
            _ => Err(format!("expected lossless or lossy, got '{text}'")),
        }
    }
}

/// How good films and photos look, from 0 to 100: `low` is 25, `medium` 50, `high` 75.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "QualityForm", into = "u8")]
pub struct Quality(u8);

/// The two ways to write a quality down.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected low, medium, high, or a number from 0 to 100")]
enum QualityForm {
    Number(u8),
    Name(String),
}

impl Quality {
    /// From 0 to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self(50)
    }
}

impl From<Quality> for u8 {
    fn from(quality: Quality) -> Self {
        quality.0
    }
}

impl TryFrom<QualityForm> for Quality {
    type Error = String;

    fn try_from(form: QualityForm) -> Result<Self, String> {
        match form {
            QualityForm::Number(number) => number.to_string().parse(),
            QualityForm::Name(name) => name.parse(),
        }
    }
}

impl std::str::FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "low" => Ok(Self(25)),
            "medium" => Ok(Self(50)),
            "high" => Ok(Self(75)),
            number => match number.parse() {
                Ok(percent @ 0..=100) => Ok(Self(percent)),
                _ => Err(format!("expected low, medium, high, or a number from 0 to 100, got '{text}'")),
            },
        }
    }
}

/// How an agent records pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PictureSettings {
    /// Lossless by default.
    pub mode: PictureMode,
    /// Of films and photos, where the mode is lossy.
    pub quality: Quality,
    /// Most pictures a second: 1 to 30. Without it, what the site says, which is 10 by default.
    pub frame_rate: Option<u32>,
}

impl PictureSettings {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting outside its bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        match self.frame_rate {
            Some(rate) => SettingsError::check("frame_rate", rate.into(), 1, 30),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_others_refused() {
        for mode in [PictureMode::Lossless, PictureMode::Lossy] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        let read = |json: &str| serde_json::from_str::<PictureSettings>(json);
        assert_eq!(read(r#"{"quality":"high"}"#).unwrap().quality.percent(), 75);
        assert_eq!(read(r#"{"quality":7,"mode":"lossy"}"#).unwrap().quality.percent(), 7);
        for wrong in [r#"{"quality":101}"#, r#"{"quality":"best"}"#, r#"{"mode":"small"}"#, r#"{"rate":3}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        read(r#"{"frame_rate":30}"#).unwrap().check().unwrap();
        let error = read(r#"{"frame_rate":0}"#).unwrap().check().unwrap_err();
        assert_eq!(error.to_string(), "frame_rate must lie between 1 and 30, got 0");
    }
}
