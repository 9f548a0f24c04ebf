//! Which key of the keyboard means what.

use x11rb::{
    connection::Connection as _,
    errors::ReplyError,
    protocol::xproto::{ConnectionExt as _, KeyButMask, Keycode},
    rust_connection::RustConnection,
};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// To the next button.
    Next,
    /// To the one before.
    Previous,
    /// Press the button that has the focus.
    Press,
    /// Away.
    Escape,
    /// Scroll by so many lines.
    Lines(i32),
    /// Scroll by so many pages; very many lead to the end.
    Pages(i32),
}

/// The keyboard's symbols, for each of its keys.
pub(super) struct Keys {
    first: Keycode,
    each: usize,
    symbols: Vec<u32>,
}

impl Keys {
    pub(super) fn load(connection: &RustConnection) -> Result<Self, ReplyError> {
        let setup = connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let count = last.saturating_sub(first).saturating_add(1);
        let reply = connection.get_keyboard_mapping(first, count)?.reply()?;
        Ok(Self { first, each: reply.keysyms_per_keycode.into(), symbols: reply.keysyms })
    }

    /// What pressing a key means here, if it means something.
    pub(super) fn meaning(&self, code: Keycode, state: KeyButMask) -> Option<Key> {
        let at = usize::from(code.checked_sub(self.first)?) * self.each;
        let symbols = self.symbols.get(at..at + self.each)?;
        let shift = state.contains(KeyButMask::SHIFT);
        // Any of a key's symbols will do: which of them its level and group choose makes no difference to these keys.
        symbols.iter().find_map(|&symbol| match symbol {
            0xff09 if shift => Some(Key::Previous),
            0xff09 => Some(Key::Next),
            0xfe20 if shift => Some(Key::Previous),
            0xff51 => Some(Key::Previous),
            0xff53 => Some(Key::Next),
            0xff0d | 0xff8d | 0x20 => Some(Key::Press),
            0xff1b => Some(Key::Escape),
            0xff52 => Some(Key::Lines(-1)),
            0xff54 => Some(Key::Lines(1)),
            0xff55 => Some(Key::Pages(-1)),
            0xff56 => Some(Key::Pages(1)),
            0xff50 => Some(Key::Pages(-10_000)),
            0xff57 => Some(Key::Pages(10_000)),
            _ => None,
        })
    }
}
