//! Makes sure that the folder of the built web app exists, so that the crate builds before the web app does; the console then serves
//! a page that says how to build it.

use std::{env, fs, path::PathBuf};

fn main() {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let dist = manifest.join("../../web/dist");
    if let Err(error) = fs::create_dir_all(&dist) {
        // A read-only checkout: the embedding allows a missing folder as well.
        println!("cargo::warning=cannot create {}: {error}", dist.display());
    }
    // A rebuilt web app has other file names in it, which the compiler alone would not notice.
    println!("cargo::rerun-if-changed={}", dist.display());
}
