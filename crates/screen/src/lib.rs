//! The lossless screen codec: pictures of a desktop in, packets out, and back, bit for bit.
//!
//! A desktop mostly repeats and moves what it showed before. The encoder finds what really changed, what was moved from elsewhere in
//! the picture, what was there before, and describes the rest tile by tile: one colour, few colours, or what is left after a
//! prediction. Packets are laid out so that zstd, which compresses whole fragments of them, finds what is alike side by side. Every
//! byte is described in `docs/codec.md`.
//!
//! Pixels are `u32` of the form `0x00RRGGBB`; the top byte of pictures given to the encoder is ignored.
//!
//! The crate is pure: no I/O, no clock, no randomness. The caller gives the seed under which the encoder recognises pictures it has seen,
//! so that nobody at the desktop can make two pictures that it takes for one.

mod cache;
mod decoder;
mod encoder;
mod grid;
mod motion;
mod ops;
mod packet;
mod pixels;

pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoded, Encoder, EncoderConfig, Want};
pub use packet::{PacketKind, packet_kind};

/// Largest width and height of a picture.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels of a picture.
pub const MAX_PIXELS: usize = 64 << 20;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A whole picture as an X server gives it.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next, at least `4 * width`.
    pub stride: usize,
    /// Rows of B, G, R and a byte that is ignored.
    pub data: &'a [u8],
}
