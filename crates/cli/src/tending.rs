//! Settings of what a recording server does with stored segments when it has time.

use playhead_server::{Repacking, TendSettings};
use std::time::Duration;

/// What is done with stored segments in idle time.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "tending")]
pub(crate) struct Tending {
    /// How stored segments are packed again in idle time: not at all, with zstd (any reader of MCAP files opens them), or dense
    /// (smallest; for other programs, `playhead repack` turns files back)
    #[arg(long, value_enum, value_name = "HOW", env = "PLAYHEAD_REPACK", default_value = "dense")]
    repack: How,
    /// Hours after which stored segments are packed again
    #[arg(long, value_name = "HOURS", default_value_t = 24.0, value_parser = hours)]
    repack_after_hours: f64,
    /// Every stored file is read through and compared once in so many days; 0 for never
    #[arg(long, value_name = "DAYS", env = "PLAYHEAD_SCRUB_DAYS", default_value_t = 30.0, value_parser = days)]
    scrub_days: f64,
    /// MiB of stored files that both read in a second at most
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    tend_mib: u64,
}

/// How segments are packed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum How {
    Off,
    Zstd,
    Dense,
}

impl From<How> for Repacking {
    fn from(how: How) -> Self {
        match how {
            How::Off => Self::Off,
            How::Zstd => Self::Zstd,
            How::Dense => Self::Dense,
        }
    }
}

impl Tending {
    pub(crate) fn settings(&self) -> TendSettings {
        TendSettings {
            repacking: self.repack.into(),
            repack_after: Duration::from_secs_f64(self.repack_after_hours * 3_600.0),
            scrub_every: (self.scrub_days > 0.0).then(|| Duration::from_secs_f64(self.scrub_days * 86_400.0)),
            bytes_per_second: self.tend_mib << 20,
            ..TendSettings::default()
        }
    }
}

fn hours(text: &str) -> Result<f64, String> {
    between(text, 0.0, 24.0 * 3_650.0, "hours")
}

fn days(text: &str) -> Result<f64, String> {
    between(text, 0.0, 3_650.0, "days")
}

fn between(text: &str, least: f64, most: f64, unit: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(format!("expected {unit} between {least} and {most}, got '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[test]
    fn settings_follow_the_command_line() {
        let settings = parse::<Tending>([] as [&str; 0]).unwrap().settings();
        assert_eq!((settings.repacking, settings.bytes_per_second), (Repacking::Dense, 8 << 20));
        assert_eq!(settings.scrub_every, Some(Duration::from_secs(30 * 86_400)));
        let line =
            ["--repack", "zstd", "--repack-after-hours", "0.5", "--scrub-days", "0", "--tend-mib", "1"];
        let settings = parse::<Tending>(line).unwrap().settings();
        assert_eq!((settings.repacking, settings.scrub_every), (Repacking::Zstd, None));
        assert_eq!(settings.repack_after, Duration::from_secs(1_800));
        for line in [
            ["--scrub-days", "nan"],
            ["--scrub-days", "-1"],
            ["--repack-after-hours", "1e9"],
            ["--tend-mib", "0"],
        ] {
            assert!(parse::<Tending>(line).is_err(), "{line:?}");
        }
    }
}
