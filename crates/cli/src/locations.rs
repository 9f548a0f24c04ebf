//! Settings of where recordings are stored, for whoever runs a recording server.

use playhead_server::{LocationSettings, SiteKeyAddress, StampSettings};
use std::path::PathBuf;

/// Where recordings are stored.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "locations")]
pub(crate) struct Locations {
    /// Where recordings are stored: a folder, `file:///path`, `s3://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `gs://BUCKET/PREFIX`. May be
    /// given several times; recordings are spread over all of them. Credentials come from the environment [default: recordings in the
    /// data folder]
    #[arg(long = "storage", value_name = "PLACE", env = "PLAYHEAD_STORAGE")]
    places: Vec<LocationSettings>,
    /// File with further storage locations and their settings
    #[arg(long, value_name = "FILE", env = "PLAYHEAD_STORAGE_FILE")]
    storage_file: Option<PathBuf>,
    /// Encrypt new recordings with a key at this place: `file` (site.keys in the data folder), `file:/PATH`, or `awskms:KEY` with the
    /// id, ARN or alias of a key in AWS KMS; `none` to encrypt no more [default: as the site did before]
    #[arg(long, value_name = "PLACE", env = "PLAYHEAD_SITE_KEY")]
    pub(crate) site_key: Option<SiteKeyAddress>,
    /// Have finished recordings time-stamped (RFC 3161) by the authority at this address
    #[arg(long, value_name = "URL", env = "PLAYHEAD_TSA")]
    tsa: Option<String>,
    /// Certificates by which the authority's answers are checked, PEM
    #[arg(long, value_name = "FILE", env = "PLAYHEAD_TSA_CA", requires = "tsa")]
    tsa_ca: Option<PathBuf>,
}

impl Locations {
    /// Who stamps finished recordings.
    pub(crate) fn stamps(&self) -> Option<StampSettings> {
        let url = self.tsa.clone()?;
        Some(StampSettings { url, authorities: self.tsa_ca.clone() })
    }

    /// All of them, in order.
    ///
    /// # Errors
    /// A file that cannot be read or makes no sense.
    pub(crate) fn settings(&self) -> anyhow::Result<Vec<LocationSettings>> {
        let mut all = self.places.clone();
        if let Some(file) = &self.storage_file {
            all.extend(LocationSettings::read_file(file)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[test]
    fn locations_come_from_the_command_line_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("storage.toml");
        std::fs::write(&file, "[[location]]\nname = \"c\"\nurl = \"s3://c/x\"\n").unwrap();
        let file = file.to_str().unwrap();
        let line = ["--storage", "/a", "--storage", "file:///b", "--storage-file", file];
        let all = parse::<Locations>(line).unwrap().settings().unwrap();
        let urls: Vec<_> = all.iter().map(|location| location.url.as_str()).collect();
        assert_eq!(urls, ["/a", "file:///b", "s3://c/x"]);
        assert_eq!(all[2].name.as_deref(), Some("c"));
        let error = parse::<Locations>(["--storage", "s3://id:hush@bucket"]).err().unwrap();
        assert!(error.to_string().contains("environment"), "{error}");
    }
}
