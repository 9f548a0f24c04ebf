//! What several tests need.

use clap::Parser as _;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

#[derive(clap::Parser)]
struct Line<A: clap::Args> {
    #[command(flatten)]
    args: A,
}

/// A subcommand's arguments from the words after its name.
pub(crate) fn parse<A: clap::Args>(
    words: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<A, clap::Error> {
    let words = words.into_iter().map(Into::into);
    Ok(Line::try_parse_from([OsString::from("playhead")].into_iter().chain(words))?.args)
}

/// The arguments of a subcommand that works on a site from its server's own machine, answering in JSON.
pub(crate) fn parse_at<A: clap::Args>(data: &Path, words: &[&str]) -> Result<A, clap::Error> {
    let place = [OsStr::new("--data"), data.as_os_str(), OsStr::new("--json")];
    parse(words.iter().map(OsStr::new).chain(place))
}
