//! The surface in WebAssembly. The only unsafe code of the player: it turns the numbers that JavaScript holds back into
//! references.
#![expect(
    unsafe_code,
    reason = "raw exports take pointers from JavaScript; nothing else in this crate is unsafe"
)]

use crate::{Player, Sound, Step};
use playhead_format::StreamState;
use std::alloc::Layout;

/// A player with the memory that its getters point into.
pub(crate) struct Handle {
    player: Player,
    head: [f64; 11],
}

/// Memory for `len` bytes; null when there is none or `len` is 0.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        // SAFETY: the layout has a size other than 0.
        Ok(layout) if len > 0 => unsafe { std::alloc::alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// Gives back what [`alloc`] gave.
///
/// # Safety
/// `ptr` must come from `alloc(len)` with the same `len` and not have been given back.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free(ptr: *mut u8, len: usize) {
    if let (false, Ok(layout)) = (ptr.is_null() || len == 0, Layout::array::<u8>(len)) {
        // SAFETY: the caller's promise; `alloc` used the same layout.
        unsafe { std::alloc::dealloc(ptr, layout) };
    }
}

/// Makes a player.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_new() -> *mut Handle {
    Box::into_raw(Box::new(Handle { player: Player::new(), head: [0.0; 11] }))
}

/// Ends a player.
///
/// # Safety
/// `handle` must come from [`player_new`] and not be used again.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn player_free(handle: *mut Handle) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(handle) });
}

/// Takes bytes of the stream: 0, or -1 on error.
///
/// # Safety
/// `handle` must come from [`player_new`]; `ptr` must be readable for `len` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn player_push(handle: &mut Handle, ptr: *const u8, len: usize) -> i32 {
    if len == 0 {
        return 0;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(ptr, len) };
    if handle.player.push(bytes) { 0 } else { -1 }
}

// The following take references: WebAssembly runs on one thread and JavaScript makes one call at a time, so a pointer from
// `player_new` that was not freed is a valid exclusive reference during the call.

/// Bytes held and not played yet.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_pending(handle: &Handle) -> usize {
    handle.player.pending()
}

/// Prepares for another position.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_seek(handle: &mut Handle, first_seq: f64) {
    handle.player.seek(first_seq as u64);
}

/// Prepares for the continuation of a stream that broke off.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_reset_stream(handle: &mut Handle) {
    handle.player.reset_stream();
}

/// Number of the fragment wanted next, -1 when not known.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_next_seq(handle: &Handle) -> f64 {
    number(handle.player.next_seq())
}

/// Plays on.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_step(handle: &mut Handle, until_us: f64) -> i32 {
    // A float that is no number or negative becomes 0, an infinite one the greatest time.
    match handle.player.step(until_us as u64) {
        Step::Error => -1,
        Step::NeedMore => 0,
        Step::Reached => 1,
        Step::End => 2,
        Step::Again => 3,
    }
}

/// Media time for which the picture is right, -1 before the first.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_position_us(handle: &Handle) -> f64 {
    number(handle.player.position_us())
}

/// Fields of the newest fragment's head; null when there is none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_head(handle: &mut Handle) -> *const f64 {
    let Some(head) = handle.player.head() else { return std::ptr::null() };
    handle.head = [
        head.seq as f64,
        head.segment.into(),
        head.start_us as f64,
        head.end_us as f64,
        head.anchor_seq as f64,
        head.flags.bits().into(),
        head.activity.into(),
        head.events.into(),
        head.wall_us as f64,
        head.width.into(),
        head.height.into(),
    ];
    handle.head.as_ptr()
}

/// Number of the fragment whose anchor is held, -1 when none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_anchor_seq(handle: &Handle) -> f64 {
    number(handle.player.anchor_seq())
}

/// 1 while every fragment followed the one before.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_chain_ok(handle: &Handle) -> i32 {
    handle.player.chain_ok().into()
}

/// Columns of the picture.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_width(handle: &Handle) -> u32 {
    handle.player.width()
}

/// Rows of the picture.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_height(handle: &Handle) -> u32 {
    handle.player.height()
}

/// 1 when the size changed since last asked.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_take_resized(handle: &mut Handle) -> i32 {
    handle.player.take_resized().into()
}

/// Brings the RGBA bytes up to date; gives the number of changed rectangles.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_take_dirty(handle: &mut Handle) -> usize {
    handle.player.take_dirty()
}

/// The rectangles of the last take.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_dirty_ptr(handle: &Handle) -> *const u32 {
    handle.player.dirty().as_ptr()
}

/// The picture as of the last take.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_rgba(handle: &Handle) -> *const u8 {
    handle.player.rgba().as_ptr()
}

/// 1 where pixels of the picture are transparent.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_is_layered(handle: &Handle) -> i32 {
    handle.player.is_layered().into()
}

/// Gives out the tasks for the video's decoder: how many.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_take_video(handle: &mut Handle) -> usize {
    handle.player.take_video()
}

/// Numbers of these tasks.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_video_fields(handle: &Handle) -> *const f64 {
    handle.player.video_tasks().0.as_ptr()
}

/// Their rectangles.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_video_rects(handle: &Handle) -> *const u32 {
    handle.player.video_tasks().1.as_ptr()
}

/// Their access units.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_video_bytes(handle: &Handle) -> *const u8 {
    handle.player.video_tasks().2.as_ptr()
}

/// What changed of the pointer since last asked.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_take_cursor(handle: &mut Handle) -> u32 {
    handle.player.pointer().take_changed()
}

/// The pointer's seven fields.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_cursor(handle: &mut Handle) -> *const i32 {
    handle.player.pointer().fields.as_ptr()
}

/// The pointer's shape.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_cursor_rgba(handle: &mut Handle) -> *const u8 {
    handle.player.pointer().rgba.as_ptr()
}

/// Length of the JSON of the meta messages since last asked.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_take_meta(handle: &mut Handle) -> usize {
    handle.player.take_meta().len()
}

/// That JSON.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_meta_ptr(handle: &Handle) -> *const u8 {
    handle.player.meta_json().as_ptr()
}

/// Text of the error.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_error(handle: &Handle) -> *const u8 {
    handle.player.error().as_ptr()
}

/// Length of the error's text, 0 when there is none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_error_len(handle: &Handle) -> usize {
    handle.player.error().len()
}

/// What kind of stream it is: 0 bare fragments, 1 a file whose end was not seen, 2 a whole file.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_file_state(handle: &Handle) -> i32 {
    match handle.player.stream_state() {
        StreamState::Bare => 0,
        StreamState::File => 1,
        StreamState::Whole => 2,
    }
}

/// 1 once a fragment with sound was met.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn player_has_sound(handle: &Handle) -> i32 {
    handle.player.has_sound().into()
}

/// Makes a reader of sound.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sound_new() -> *mut Sound {
    Box::into_raw(Box::default())
}

/// Ends a reader of sound.
///
/// # Safety
/// `sound` must come from [`sound_new`] and not be used again.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sound_free(sound: *mut Sound) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(sound) });
}

/// Reads the sound out of one fragment: the number of its packets.
///
/// # Safety
/// `sound` must come from [`sound_new`]; `ptr` must be readable for `len` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sound_read(sound: &mut Sound, ptr: *const u8, len: usize) -> usize {
    if len == 0 {
        return 0;
    }
    // SAFETY: the caller's promise.
    sound.read(unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// Numbers of the packets read last.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sound_fields(sound: &Sound) -> *const f64 {
    sound.fields().as_ptr()
}

/// The packets read last.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sound_bytes(sound: &Sound) -> *const u8 {
    sound.bytes().as_ptr()
}

fn number(value: Option<u64>) -> f64 {
    value.map_or(-1.0, |value| value as f64)
}
