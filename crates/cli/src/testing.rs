//! What several tests need.

use clap::Parser as _;
use std::ffi::OsString;

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
