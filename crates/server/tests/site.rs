//! A whole recording server, with agents that speak the protocol over real TLS and a console that signs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "a test that is not run says so")]

mod site {
    pub(crate) mod agent;
    mod cluster;
    pub(crate) mod disk;
    mod events;
    pub(crate) mod fragments;
    pub(crate) mod house;
    mod intake;
    mod keys;
    mod playback;
    mod policies;
    mod restart;
    mod s3;
    mod sealing;
    pub(crate) mod sessions;
    mod stamps;
    mod storage;
    mod tend;
    mod tunnel;
}
