//! The screen codec: bit-exact coding of desktop pictures.
//!
//! An [`Encoder`] is given the whole current picture and the rectangles that may have changed and yields a
//! *packet*; a [`Decoder`] applies packets to its own picture. `docs/codec.md` is the normative description of every
//! byte. Packets are laid out to be compressed together with others by zstd, which the file format does.
//!
//! The crate does no I/O, reads no clock and holds no `unsafe`; the decoder is also compiled to WebAssembly.

mod bits;
mod decode;
mod dense;
mod encode;
mod entropy;
mod error;
mod film;
mod geometry;
mod predict;
mod wire;

pub use decode::Decoder;
pub use dense::{DensePacker, DenseUnpacker};
pub use encode::{Encoded, Encoder, EncoderConfig, Want};
pub use error::{DecodeError, EncodeError};
pub use geometry::{MAX_PIXELS, MAX_SIDE, Picture, Rect};
pub use wire::{PacketKind, packet_kind};
