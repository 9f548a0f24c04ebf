//! What a demonstration and the benchmarks record: a virtual desktop on which something happens.
//!
//! [`command`] is `playhead demo`. [`desktop`] starts and plays it, [`corpus`] keeps lossless traces of it for measuring encoders.

pub(crate) mod command;
pub(crate) mod corpus;
pub(crate) mod desktop;
