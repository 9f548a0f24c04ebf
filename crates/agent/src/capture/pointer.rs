//! The pointer.

use playhead_format::{CursorMessage, cursor::MAX_SHAPE};
use x11rb::protocol::xfixes::GetCursorImageReply;

/// Where the pointer is, in pixels of the root window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) x: i32,
    pub(crate) y: i32,
    /// Whether it is on this screen.
    pub(crate) visible: bool,
}

/// The pointer's shape as a message. One too large for the format is cut at its right and lower edge.
pub(super) fn shape(reply: &GetCursorImageReply) -> CursorMessage {
    let (width, height) = (reply.width.min(MAX_SHAPE), reply.height.min(MAX_SHAPE));
    let mut rgba = Vec::with_capacity(usize::from(width) * usize::from(height) * 4);
    let rows = reply.cursor_image.chunks(usize::from(reply.width).max(1));
    for row in rows.take(height.into()) {
        rgba.extend(row.iter().take(width.into()).flat_map(|&pixel| straight(pixel)));
    }
    // A reply that lies about its length still makes a sound message.
    rgba.resize(usize::from(width) * usize::from(height) * 4, 0);
    CursorMessage::Shape { width, height, hot_x: reply.xhot, hot_y: reply.yhot, rgba }
}

/// From premultiplied ARGB to straight RGBA.
fn straight(pixel: u32) -> [u8; 4] {
    let [blue, green, red, alpha] = pixel.to_le_bytes();
    if alpha == 0 {
        return [0; 4];
    }
    let divide = |colour: u8| {
        let value = (u32::from(colour) * 255 + u32::from(alpha) / 2) / u32::from(alpha);
        u8::try_from(value).unwrap_or(u8::MAX)
    };
    [divide(red), divide(green), divide(blue), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_divided_by_their_alpha() {
        assert_eq!(straight(0xff10_2030), [0x10, 0x20, 0x30, 0xff]);
        assert_eq!(straight(0x8040_0080), [0x80, 0, 0xff, 0x80]);
        assert_eq!(straight(0x0012_3456), [0; 4]);
        assert_eq!(straight(0x01ff_ffff), [0xff, 0xff, 0xff, 1], "more colour than alpha allows");
    }

    #[test]
    fn large_and_short_images_make_sound_messages() {
        let mut reply = GetCursorImageReply { width: 600, height: 2, xhot: 3, ..Default::default() };
        reply.cursor_image = vec![0xffff_ffff; 600];
        let CursorMessage::Shape { width, height, hot_x, rgba, .. } = shape(&reply) else { panic!() };
        assert_eq!((width, height, hot_x, rgba.len()), (512, 2, 3, 512 * 2 * 4));
        assert_eq!(rgba[511 * 4], 0xff);
        assert_eq!(rgba[512 * 4], 0);
        let empty = GetCursorImageReply::default();
        assert_eq!(CursorMessage::parse(&shape(&empty).encode()).unwrap(), Some(shape(&empty)));
    }
}
