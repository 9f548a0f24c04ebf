//! How a site wants its sessions recorded.

use serde::{Deserialize, Serialize};

/// What a server tells an agent when a recording is opened. The defaults suit most sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSettings {
    /// A new segment begins when the file has reached this many bytes: 1 MiB to 300 MiB, default 32 MiB.
    pub rollover_bytes: u64,
    /// A new segment begins after this many seconds: 60 to 86,400, default 3,600.
    pub rollover_seconds: u32,
    /// A key frame comes after this many seconds of activity: 1 to 600, default 10.
    pub key_frame_seconds: u32,
    /// A fragment is closed after this many milliseconds when nobody watches: 100 to 2,000, default 1,000.
    pub fragment_ms: u32,
    /// The same while somebody watches live: 50 to 2,000, default 200.
    pub watched_fragment_ms: u32,
    /// Most pictures a second: 1 to 30, default 10.
    pub frame_rate: u32,
    /// The agent signs a fragment at least every so many seconds of the recording: 1 to 600, default 10.
    pub signature_seconds: u32,
}

/// A setting outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must lie between {least} and {most}, got {actual}")]
pub struct SettingsError {
    name: &'static str,
    least: u64,
    most: u64,
    actual: u64,
}

impl SettingsError {
    /// Whether a setting lies between two bounds.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check(name: &'static str, actual: u64, least: u64, most: u64) -> Result<(), Self> {
        if (least..=most).contains(&actual) { Ok(()) } else { Err(Self { name, least, most, actual }) }
    }
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            rollover_bytes: 32 << 20,
            rollover_seconds: 3_600,
            key_frame_seconds: 10,
            fragment_ms: 1_000,
            watched_fragment_ms: 200,
            frame_rate: 10,
            signature_seconds: 10,
        }
    }
}

impl RecordingSettings {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting outside its bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (name, actual, least, most) in [
            ("rollover_bytes", self.rollover_bytes, 1 << 20, 300 << 20),
            ("rollover_seconds", self.rollover_seconds.into(), 60, 86_400),
            ("key_frame_seconds", self.key_frame_seconds.into(), 1, 600),
            ("fragment_ms", self.fragment_ms.into(), 100, 2_000),
            ("watched_fragment_ms", self.watched_fragment_ms.into(), 50, 2_000),
            ("frame_rate", self.frame_rate.into(), 1, 30),
            ("signature_seconds", self.signature_seconds.into(), 1, 600),
        ] {
            if !(least..=most).contains(&actual) {
                return Err(SettingsError { name, least, most, actual });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::RecordingSettings;

    #[test]
    fn defaults_are_within_bounds_and_others_are_named() {
        RecordingSettings::default().check().unwrap();
        let error = RecordingSettings { frame_rate: 31, ..Default::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "frame_rate must lie between 1 and 30, got 31");
    }
}
