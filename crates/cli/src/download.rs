//! `playhead download`: a recording as one file, on the server's own machine.

use crate::place::{Place, answer};
use anyhow::Context as _;
use playhead_model::RecordingId;
use playhead_server::Downloader;
use playhead_vault::Secrecy;
use serde::Serialize;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Write a recording into one file to hand over: an archive (tar) of its segments, as they are or encrypted (age)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording
    #[arg(value_name = "RECORDING")]
    recording: RecordingId,
    /// The file; it must not be there yet
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Encrypt to the passphrase in the first line of this file, 12 characters or more; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    passphrase_file: Option<PathBuf>,
    /// Encrypt to this recipient, `age1…`; may be repeated
    #[arg(long = "recipient", value_name = "AGE1…")]
    recipients: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    recording: RecordingId,
    file: &'a Path,
    bytes: u64,
    encrypted: bool,
}

/// Writes the file. When that fails there is none.
///
/// # Errors
/// There is no such recording, it is not over, or cannot be read; a file that cannot be written.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { recording, output, passphrase_file, recipients, place } = args;
    let passphrase = passphrase_file.as_deref().map(first_line).transpose()?;
    let secrecy = Secrecy::of(passphrase, &recipients)?;
    let encrypted = secrecy.is_some();
    let from = Downloader::open(&place.data, place.database.as_deref())
        .await
        .with_context(|| place.unopened("download"))?;
    let cannot = || format!("cannot write {}", output.display());
    let mut file = File::create_new(&output).with_context(cannot)?;
    let written = from.write(recording, secrecy, &mut file).await;
    from.close().await;
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            drop(file);
            fs::remove_file(&output).with_context(cannot)?;
            return Err(error.into());
        }
    };
    file.sync_all().with_context(cannot)?;
    answer(place.json, &Written { recording, file: &output, bytes, encrypted }, |written| {
        format!("{} bytes were written to {}.", written.bytes, written.file.display())
    })
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = if path == Path::new("-") {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    } else {
        fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read the passphrase from {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    #[tokio::test]
    async fn what_cannot_be_downloaded_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("file"));
        let server = playhead_server::Server::start(playhead_server::Settings::new(&data)).await.unwrap();
        let nobody = "00000000-0000-0000-0000-000000000001";
        let secret = folder.path().join("secret");
        fs::write(&secret, "short\n").unwrap();
        let line = |more: &[&str]| {
            let base = [nobody, "-o", file.to_str().unwrap(), "--data", data.to_str().unwrap()];
            parse::<Args>(base.iter().chain(more).copied())
        };
        let error = run(line(&[]).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("no recording") && !file.exists(), "{error}");
        let secret = secret.to_str().unwrap();
        let error = run(line(&["--passphrase-file", secret]).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("at least 12"), "{error}");
        assert!(line(&["--passphrase-file", secret, "--recipient", "age1x"]).is_err());
        assert!(run(line(&["--recipient", "age1x"]).unwrap()).await.is_err());
        server.shutdown().await;
    }
}
