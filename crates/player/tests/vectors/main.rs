//! The vectors under `testdata/vectors`: recordings and their expected reading, which the web player's tests run as well.
//!
//! The files are kept, not made anew: a reader must go on reading what was written once. To add one, write it in
//! `make.rs` and run `PLAYHEAD_BLESS=1 cargo test -p playhead-player --test vectors`; that writes what is missing and
//! the expected readings of all. `PLAYHEAD_BLESS=all` makes every file anew.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

mod lossy;
mod make;
mod read;
mod signed;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors")
}

#[test]
fn every_vector_reads_as_expected() {
    if let Ok(bless) = std::env::var("PLAYHEAD_BLESS") {
        make::write_all(&directory(), bless == "all");
    }
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 30, "expected the vectors in {}, found {}", directory().display(), names.len());
    for name in names {
        let text = fs::read_to_string(directory().join(&name).with_extension("json")).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let files = expected["files"].as_array().unwrap();
        let files = files.iter().map(|file| file["name"].as_str().unwrap());
        let files: Vec<(String, Vec<u8>)> =
            files.map(|file| (file.to_owned(), fs::read(directory().join(file)).unwrap())).collect();
        let actual = read::reading(expected["about"].as_str().unwrap(), &files);
        assert_eq!(actual, expected, "{name}");
    }
}
