//! The pointer's place and shape.

use playhead_format::CursorMessage;

/// Where the pointer is and what it looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer {
    /// Column of its hot spot, row of its hot spot, whether it is shown (0 or 1), columns and rows of its shape, column and row
    /// of the hot spot in the shape.
    pub fields: [i32; 7],
    /// Its shape as RGBA bytes, not premultiplied.
    pub rgba: Vec<u8>,
    changed: u32,
}

const PLACE: u32 = 1;
const SHAPE: u32 = 2;

impl Pointer {
    /// Applies a message.
    pub(crate) fn apply(&mut self, message: CursorMessage) {
        match message {
            CursorMessage::Place { x, y, visible } => {
                self.fields[..3].copy_from_slice(&[x, y, i32::from(visible)]);
                self.changed |= PLACE;
            }
            CursorMessage::Shape { width, height, hot_x, hot_y, rgba } => {
                self.fields[3..].copy_from_slice(&[width, height, hot_x, hot_y].map(i32::from));
                self.rgba = rgba;
                self.changed |= SHAPE;
            }
        }
    }

    /// What changed since last asked: bit 0 the place, bit 1 the shape.
    pub fn take_changed(&mut self) -> u32 {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let mut pointer = Pointer::default();
        assert_eq!(pointer.take_changed(), 0);
        pointer.apply(CursorMessage::Place { x: -1, y: 2, visible: true });
        pointer.apply(CursorMessage::Shape { width: 1, height: 1, hot_x: 3, hot_y: 4, rgba: vec![5; 4] });
        assert_eq!((pointer.fields, pointer.rgba.len()), ([-1, 2, 1, 1, 1, 3, 4], 4));
        assert_eq!(pointer.take_changed(), 3);
        pointer.apply(CursorMessage::Place { x: 0, y: 0, visible: false });
        assert_eq!((pointer.take_changed(), pointer.take_changed()), (1, 0));
    }
}
