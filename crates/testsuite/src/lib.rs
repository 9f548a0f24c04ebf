//! What the end-to-end tests stand on: the real binary in its roles, real X servers, and a real browser.
//!
//! Nothing here reaches into the product: programs are started as a user starts them, asked through their public API, and watched
//! through what they print and store. Everything that is started dies with its handle.

mod api;
mod browser;
mod display;
mod picture;
mod program;
mod sound;
mod stack;
mod stored;

pub use api::Api;
pub use browser::{AWAIT_COLOUR, Browser, Player};
pub use display::Display;
pub use picture::Shot;
pub use program::{Program, free_port, playhead, wait_for};
pub use sound::SoundServer;
pub use stack::{Layout, Stack};
pub use stored::each_message;
