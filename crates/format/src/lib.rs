//! The recording file: fragments, their hash chain, segments and their index, verification.
//!
//! `docs/format.md` is the law; this crate is its reference. A recording is cut into segments, one MCAP file each; a
//! segment is a row of fragments, one MCAP chunk each. [`FragmentBuilder`] makes fragments, [`SegmentWriter`] puts them
//! into files, [`SegmentReader`] and [`RecordSplitter`] take them out again, [`open_fragment`] looks into one, [`Chain`]
//! proves that one follows another, and [`verify`] does all of it for whole files.
//!
//! The crate is pure: bytes come from slices and from `Read`, `Write` and `Seek`; it opens no file and reads no clock.
//! On wasm32 it reads only: making fragments needs the C library of zstd.

pub mod audio;
#[cfg(not(target_arch = "wasm32"))]
mod build;
mod chain;
mod channel;
mod compress;
pub mod cursor;
mod dense;
mod error;
pub mod event;
mod hash;
mod head;
mod hex;
mod index;
mod input;
pub mod meta;
mod open;
mod reader;
mod record;
#[cfg(not(target_arch = "wasm32"))]
mod repack;
mod scan;
mod seal;
mod signature;
mod splitter;
mod verify;
pub mod video;
mod writer;

pub use audio::AudioMessage;
#[cfg(not(target_arch = "wasm32"))]
pub use build::{Fragment, FragmentBuilder, recompress};
pub use chain::{Chain, ChainError};
pub use channel::Channel;
pub use cursor::CursorMessage;
pub use error::FormatError;
pub use event::EventMessage;
pub use hash::{Hash, genesis};
pub use head::{Flags, FragmentHead, HEAD_LEN};
pub use index::{Closing, IndexEntry, SegmentIndex};
pub use meta::MetaMessage;
pub use open::{Message, OpenFragment, claimed_len, open_fragment};
pub use reader::{Ending, SegmentReader};
#[cfg(not(target_arch = "wasm32"))]
pub use repack::{Density, Repacked, customary, is_dense, repack};
pub use scan::{ChannelUse, ScannedFragment, SegmentScan, scan};
pub use seal::{Seal, SealError, Sealer, SignedSeal};
pub use signature::{FragmentSignature, PublicKey, Signature, SignatureTextError, Signer};
pub use splitter::{RecordSplitter, StreamRecord, StreamState};
pub use verify::{
    End, Problem, ProblemKind, RecordingReport, Report, SegmentReport, Status, Unreadable, verify,
    verify_scans,
};
pub use video::{CellRuns, VideoMessage};
pub use writer::SegmentWriter;

/// The most bytes a fragment's records may have when decompressed: 64 MiB.
pub const MAX_UNCOMPRESSED: usize = 64 << 20;

/// The most bytes a fragment's Chunk record may have, its opcode and length included: 65 MiB. Content that does not
/// compress grows a little.
pub const MAX_RECORD: usize = 65 << 20;

/// The greatest media time, in microseconds: MCAP keeps it as nanoseconds in 64 bits.
pub const MAX_MEDIA_US: u64 = u64::MAX / 1_000;

/// The `application` media type of a segment.
pub const MEDIA_TYPE: &str = "application/mcap";
