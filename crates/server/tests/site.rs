//! A whole recording server, with agents that speak the protocol over real TLS and a console that signs.

mod site {
    pub(crate) mod agent;
    pub(crate) mod disk;
    pub(crate) mod fragments;
    pub(crate) mod house;
    mod intake;
    mod playback;
    mod restart;
    mod sealing;
    mod tunnel;
}
