//! The lossy layer: what is photographic goes into a video stream, what is sharp stays lossless.
//!
//! A desktop's text and windows are coded exactly, as always. Films and photos cost most and gain least from that. [`Layer`]
//! fills them with one colour in the picture that the lossless codec gets, and codes them with H.264 beside it; a player shows
//! the video where that colour stands within the cells that the mask names. `docs/format.md` has the messages.
//!
//! What decides is the content: hardly two pixels alike, not seen before at another place, and enough of it.

mod classify;
mod compose;
mod grid;
mod h264;
mod layer;
mod moves;
mod planes;
mod state;
mod stream;

pub use compose::Composer;
pub use layer::Layer;

/// Why a picture could not be coded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The library gives no encoder or decoder.
    #[error("the video library gives no coder (code {code}); is there memory left?")]
    Create {
        /// The library's code.
        code: i32,
    },
    /// A size that the library does not take.
    #[error(
        "the video library does not take pictures of {width} x {height} (code {code}); record losslessly"
    )]
    Refused {
        /// The library's code.
        code: i32,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A picture that cannot be encoded.
    #[error("the video library cannot encode a picture (code {code}); record losslessly if this goes on")]
    Encode {
        /// The library's code.
        code: i32,
    },
    /// A message that breaks the format's rules.
    #[error(transparent)]
    Format(#[from] playhead_format::FormatError),
    /// An access unit that cannot be decoded.
    #[error("the video cannot be decoded (code {code}); it goes on with the next key frame")]
    Decode {
        /// The library's code.
        code: i32,
    },
}
