//! The player's decoding core: a stream of fragments goes in, pictures, the pointer and words come out.
//!
//! The browser runs it as WebAssembly in a worker; `exports` is its surface there and [`Player`] all that is behind it.
//! It fetches nothing, draws nothing and knows no time but media time: whoever drives it pushes bytes and says up to which
//! moment to play. What it holds is bounded: what was pushed and not played yet (at most 72 MiB, and the driver is asked
//! to stay below 16), one opened fragment, the decoder's pictures and one picture as RGBA.
//!
//! # The surface in WebAssembly
//! All exports are plain functions on numbers: pointers and lengths are 32-bit integers; media times and sequence numbers
//! are 64-bit floats, exact up to 2^53. Any call may grow the memory, so views of it must be made anew after each call.
//!
//! | export | does |
//! | --- | --- |
//! | `alloc(len)`, `free(ptr, len)` | memory for bytes to push; `alloc` gives 0 when there is none |
//! | `player_new()`, `player_free(player)` | makes and ends a player |
//! | `player_push(player, ptr, len)` | takes more bytes of the stream: 0, or -1 on error |
//! | `player_pending(player)` | bytes held and not played yet |
//! | `player_seek(player, first_seq)` | new position: see [`Player::seek`] |
//! | `player_reset_stream(player)` | the connection broke: see [`Player::reset_stream`] |
//! | `player_next_seq(player)` | the fragment wanted next, -1 when not known |
//! | `player_step(player, until_us)` | plays on: -1 error, 0 more bytes needed, 1 reached, 2 end, 3 call again |
//! | `player_position_us(player)` | media time for which the picture is right, -1 before the first |
//! | `player_head(player)` | 11 floats of the newest fragment: seq, segment, start, end, anchor's seq, flags, activity, events, wall clock, width, height; 0 when none |
//! | `player_anchor_seq(player)` | seq of the anchor held, -1 when none |
//! | `player_chain_ok(player)` | 1 while every fragment followed the one before |
//! | `player_width(player)`, `player_height(player)` | size of the picture, 0 before the first |
//! | `player_take_resized(player)` | 1 when the size changed since last asked |
//! | `player_take_dirty(player)`, `player_dirty_ptr(player)` | rectangles changed since last asked: count, then x, y, width, height each |
//! | `player_rgba(player)` | the picture as RGBA bytes, right after `player_take_dirty` |
//! | `player_take_cursor(player)` | bit 0 place, bit 1 shape changed since last asked |
//! | `player_cursor(player)`, `player_cursor_rgba(player)` | x, y, visible, width, height, hot x, hot y; the shape's RGBA bytes |
//! | `player_take_meta(player)`, `player_meta_ptr(player)` | meta messages since last asked as a JSON array of `{"at_us", "message"}`: its length, 0 when none; the text |
//! | `player_error(player)`, `player_error_len(player)` | text of the error; length 0 when there is none |
//! | `player_is_layered(player)` | 1 where pixels of the picture are transparent, to show the video below |
//! | `player_take_video(player)` | tasks for the video's decoder since last asked: how many |
//! | `player_video_fields(player)`, `player_video_rects(player)`, `player_video_bytes(player)` | 8 floats each: what (0 an anchor begins: no video, 1 it ends: keep the video's picture, 2 go back to that, 3 a stream starts, 4 it goes on), x, y, width, height, rectangles taken over from now on (-1: as before), bytes, media time; the rectangles (x, y, width, height each, in the stream); the access units |
//! | `player_file_state(player)` | 0 bare fragments, 1 a file whose end was not seen, 2 a whole file |

//! | `player_has_sound(player)` | 1 once a fragment with sound was met |
//! | `sound_new()`, `sound_free(sound)` | makes and ends a reader of sound |
//! | `sound_read(sound, ptr, len)` | reads the sound out of one fragment's Chunk record: the number of its packets |
//! | `sound_fields(sound)`, `sound_bytes(sound)` | of these: media time in microseconds, 1 where the encoder began anew, channels, length as floats; the packets of Opus |

mod canvas;
#[cfg(target_arch = "wasm32")]
mod exports;
mod player;
mod pointer;
mod sound;
mod video;

pub use player::{Player, Step};
pub use pointer::Pointer;
pub use sound::{SOUND_FIELDS, Sound};
pub use video::VIDEO_FIELDS;
