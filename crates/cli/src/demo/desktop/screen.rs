use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::damage::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    self, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _,
    CreateGCAux, EventMask, ImageFormat, PropMode, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use super::picture::Picture;
use super::server::COOKIE_NAME;
use super::{DesktopError, Stop};

/// Keys that are no characters, as X key symbols.
pub(crate) mod key {
    pub(crate) const RETURN: u32 = 0xff0d;
    pub(crate) const BACKSPACE: u32 = 0xff08;
    pub(crate) const ESCAPE: u32 = 0xff1b;
    pub(crate) const DELETE: u32 = 0xffff;
    pub(crate) const END: u32 = 0xff57;
    pub(crate) const PAGE_DOWN: u32 = 0xff56;
    pub(crate) const DOWN: u32 = 0xff54;
    pub(crate) const RIGHT: u32 = 0xff53;
    pub(crate) const SHIFT: u32 = 0xffe1;
    pub(crate) const CONTROL: u32 = 0xffe3;
    pub(crate) const ALT: u32 = 0xffe9;
}

/// Mouse buttons; the wheel counts as two.
pub(crate) mod button {
    pub(crate) const LEFT: u8 = 1;
    pub(crate) const RIGHT: u8 = 3;
    pub(crate) const WHEEL_UP: u8 = 4;
    pub(crate) const WHEEL_DOWN: u8 = 5;
}

x11rb::atom_manager! {
    /// Names the window manager and its clients talk by.
    Atoms: AtomsCookie {
        _NET_ACTIVE_WINDOW,
        _NET_CLIENT_LIST,
        _NET_FRAME_EXTENTS,
        _NET_SUPPORTING_WM_CHECK,
        _NET_WM_NAME,
        UTF8_STRING,
        WM_CHANGE_STATE,
        _XROOTPMAP_ID,
        ESETROOT_PMAP_ID,
    }
}

/// Place and size of a window's content, in pixels of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: i32,
    pub(crate) y: i32,
    pub(crate) width: i32,
    pub(crate) height: i32,
}

/// A connection to the desktop's X server: looks at the picture, works mouse and keyboard, and moves windows.
pub(crate) struct Screen {
    x: RustConnection,
    root: Window,
    depth: u8,
    atoms: Atoms,
    /// Key symbols of each key from `first_key` on, `per_key` each: plain first, then with shift.
    symbols: Vec<u32>,
    first_key: u8,
    per_key: usize,
    /// Width of the screen in pixels.
    pub(crate) width: u16,
    /// Height of the screen in pixels.
    pub(crate) height: u16,
}

impl Screen {
    /// Connects by socket and cookie.
    pub(crate) fn connect(socket: &Path, cookie: &[u8]) -> Result<Self, DesktopError> {
        let stream = UnixStream::connect(socket).map_err(DesktopError::file(socket))?;
        let (stream, _) = DefaultStream::from_unix_stream(stream).map_err(DesktopError::file(socket))?;
        let x = RustConnection::connect_to_stream_with_auth_info(
            stream,
            0,
            COOKIE_NAME.to_vec(),
            cookie.to_vec(),
        )?;
        let atoms = Atoms::new(&x)?.reply()?;
        let setup = x.setup();
        let (first_key, last_key) = (setup.min_keycode, setup.max_keycode);
        let screen = &setup.roots[0];
        let (root, depth, width, height) =
            (screen.root, screen.root_depth, screen.width_in_pixels, screen.height_in_pixels);
        let keys = x.get_keyboard_mapping(first_key, last_key - first_key + 1)?.reply()?;
        let per_key = usize::from(keys.keysyms_per_keycode);
        Ok(Self { x, root, depth, atoms, symbols: keys.keysyms, first_key, per_key, width, height })
    }

    // --- the picture

    /// Reports from now on when something is drawn: see [`Self::drawn`].
    pub(crate) fn watch(&self) -> Result<(), DesktopError> {
        self.x.damage_query_version(1, 1)?.reply()?;
        let id = self.x.generate_id()?;
        self.x.damage_create(id, self.root, damage::ReportLevel::NON_EMPTY)?;
        self.x.flush()?;
        Ok(())
    }

    /// Has anything been drawn since the last call?
    pub(crate) fn drawn(&self) -> Result<bool, DesktopError> {
        // A round trip: what was drawn before it has been reported when it is back.
        self.x.sync()?;
        let mut drawn = false;
        while let Some(event) = self.x.poll_for_event()? {
            if let Event::DamageNotify(notice) = event {
                self.x.damage_subtract(notice.damage, x11rb::NONE, x11rb::NONE)?;
                drawn = true;
            }
        }
        self.x.flush()?;
        Ok(drawn)
    }

    /// The whole picture, 4 bytes a pixel (blue, green, red, unused), without the pointer.
    pub(crate) fn picture(&self) -> Result<Vec<u8>, DesktopError> {
        let all = u32::MAX;
        Ok(self
            .x
            .get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, self.width, self.height, all)?
            .reply()?
            .data)
    }

    /// Puts a picture of the screen's size behind the windows.
    pub(crate) fn set_wallpaper(&self, picture: &Picture) -> Result<(), DesktopError> {
        let (pixmap, context) = (self.x.generate_id()?, self.x.generate_id()?);
        self.x.create_pixmap(self.depth, pixmap, self.root, self.width, self.height)?;
        self.x.create_gc(context, pixmap, &CreateGCAux::new())?;
        let stride = picture.width * 4;
        // A request has a largest size; 64 bytes are more than its head.
        let rows = ((self.x.maximum_request_bytes() - 64) / stride).max(1);
        for (strip, bytes) in picture.bytes.chunks(rows * stride).enumerate() {
            let (y, height) = (small(strip * rows), short(bytes.len() / stride));
            let format = ImageFormat::Z_PIXMAP;
            self.x.put_image(format, pixmap, context, self.width, height, 0, y, 0, self.depth, bytes)?;
        }
        // Programs that draw see-through windows look here for the background.
        for name in [self.atoms._XROOTPMAP_ID, self.atoms.ESETROOT_PMAP_ID] {
            self.x.change_property32(PropMode::REPLACE, self.root, name, AtomEnum::PIXMAP, &[pixmap])?;
        }
        let background = ChangeWindowAttributesAux::new().background_pixmap(pixmap);
        self.x.change_window_attributes(self.root, &background)?;
        self.x.clear_area(false, self.root, 0, 0, 0, 0)?;
        self.x.free_gc(context)?;
        self.x.sync()?;
        Ok(())
    }

    // --- mouse and keyboard

    /// Puts the pointer somewhere.
    pub(crate) fn point(&self, x: i32, y: i32) -> Result<(), DesktopError> {
        let (x, y) = (x.clamp(0, i32::from(self.width) - 1), y.clamp(0, i32::from(self.height) - 1));
        self.fake(xproto::MOTION_NOTIFY_EVENT, 0, (x, y))
    }

    /// Presses or lets go a mouse button.
    pub(crate) fn button(&self, number: u8, down: bool) -> Result<(), DesktopError> {
        let kind = if down { xproto::BUTTON_PRESS_EVENT } else { xproto::BUTTON_RELEASE_EVENT };
        self.fake(kind, number, (0, 0))
    }

    /// Presses and lets go a mouse button.
    pub(crate) fn click(&self, number: u8) -> Result<(), DesktopError> {
        self.button(number, true)?;
        self.button(number, false)
    }

    /// Strikes a key while others are held.
    pub(crate) fn key(&self, held: &[u32], symbol: u32) -> Result<(), DesktopError> {
        let Some((code, shift)) = self.code(symbol) else { return Ok(()) };
        let mut modifiers: Vec<u8> =
            held.iter().filter_map(|&key| self.code(key)).map(|(code, _)| code).collect();
        if shift {
            modifiers.extend(self.code(key::SHIFT).map(|(code, _)| code));
        }
        for &modifier in &modifiers {
            self.fake(xproto::KEY_PRESS_EVENT, modifier, (0, 0))?;
        }
        self.fake(xproto::KEY_PRESS_EVENT, code, (0, 0))?;
        self.fake(xproto::KEY_RELEASE_EVENT, code, (0, 0))?;
        for &modifier in modifiers.iter().rev() {
            self.fake(xproto::KEY_RELEASE_EVENT, modifier, (0, 0))?;
        }
        Ok(())
    }

    /// Strikes the key of a character; passes over one that the keyboard does not have.
    pub(crate) fn character(&self, character: char) -> Result<(), DesktopError> {
        match character {
            '\n' => self.key(&[], key::RETURN),
            // The symbols of Latin-1 are its character codes.
            _ => self.key(&[], character.into()),
        }
    }

    /// The key of a symbol, and whether it wants shift.
    fn code(&self, symbol: u32) -> Option<(u8, bool)> {
        self.symbols.chunks_exact(self.per_key.max(1)).enumerate().find_map(|(key, symbols)| {
            let place = symbols.iter().take(2).position(|&one| one == symbol)?;
            Some((self.first_key.checked_add(u8::try_from(key).ok()?)?, place == 1))
        })
    }

    fn fake(&self, kind: u8, detail: u8, (x, y): (i32, i32)) -> Result<(), DesktopError> {
        let (x, y) = (i16::try_from(x).unwrap_or(i16::MAX), i16::try_from(y).unwrap_or(i16::MAX));
        self.x.xtest_fake_input(kind, detail, x11rb::CURRENT_TIME, self.root, x, y, 0)?;
        self.x.flush()?;
        Ok(())
    }

    // --- windows

    /// Waits until a window manager runs.
    pub(crate) fn wait_for_manager(&self, stop: &Stop, limit: Duration) -> Result<bool, DesktopError> {
        let name = self.atoms._NET_SUPPORTING_WM_CHECK;
        wait(stop, limit, || Ok((!self.numbers(self.root, name)?.is_empty()).then_some(())))
            .map(|managed| managed.is_some())
    }

    /// The windows of applications, oldest first.
    pub(crate) fn windows(&self) -> Result<Vec<Window>, DesktopError> {
        self.numbers(self.root, self.atoms._NET_CLIENT_LIST)
    }

    /// The newest window whose class is `class` in any letter case, but none of those `known`.
    pub(crate) fn find(&self, class: &str, known: &[Window]) -> Result<Option<Window>, DesktopError> {
        for window in self.windows()?.into_iter().rev().filter(|window| !known.contains(window)) {
            let names = self.bytes(window, AtomEnum::WM_CLASS.into())?;
            let mut names = names.split(|&byte| byte == 0);
            if names.any(|name| name.eq_ignore_ascii_case(class.as_bytes())) {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    /// A window's title; empty when it has none or is gone.
    pub(crate) fn title(&self, window: Window) -> Result<String, DesktopError> {
        Ok(String::from_utf8_lossy(&self.bytes(window, self.atoms._NET_WM_NAME)?).into_owned())
    }

    /// Where a window's content is; nothing when it is gone.
    pub(crate) fn area(&self, window: Window) -> Result<Option<Area>, DesktopError> {
        let size = self.x.get_geometry(window)?;
        let place = self.x.translate_coordinates(window, self.root, 0, 0)?;
        let (Some(size), Some(place)) = (gone(size.reply())?, gone(place.reply())?) else { return Ok(None) };
        Ok(Some(Area {
            x: place.dst_x.into(),
            y: place.dst_y.into(),
            width: size.width.into(),
            height: size.height.into(),
        }))
    }

    /// Height of the title bar that the window manager puts on a window; 0 when it draws its own.
    pub(crate) fn title_bar(&self, window: Window) -> Result<i32, DesktopError> {
        // Left, right, top, bottom.
        let frame = self.numbers(window, self.atoms._NET_FRAME_EXTENTS)?;
        Ok(frame.get(2).map_or(0, |&top| i32::try_from(top).unwrap_or(0)))
    }

    /// Asks the window manager to give a window this place and size.
    pub(crate) fn place(&self, window: Window, area: Area) -> Result<(), DesktopError> {
        let size = |number: i32| u32::try_from(number).unwrap_or(1).max(1);
        let wanted =
            ConfigureWindowAux::new().x(area.x).y(area.y).width(size(area.width)).height(size(area.height));
        self.x.configure_window(window, &wanted)?;
        self.x.flush()?;
        Ok(())
    }

    /// Raises a window and gives it the keyboard; one that was made an icon comes back.
    pub(crate) fn activate(&self, window: Window) -> Result<(), DesktopError> {
        const FROM_A_PAGER: u32 = 2;
        self.tell_manager(window, self.atoms._NET_ACTIVE_WINDOW, [FROM_A_PAGER, 0, 0, 0, 0])
    }

    /// The window that has the keyboard.
    pub(crate) fn active(&self) -> Result<Option<Window>, DesktopError> {
        Ok(self.numbers(self.root, self.atoms._NET_ACTIVE_WINDOW)?.first().copied())
    }

    /// Makes a window an icon.
    pub(crate) fn minimise(&self, window: Window) -> Result<(), DesktopError> {
        const ICONIC: u32 = 3;
        self.tell_manager(window, self.atoms.WM_CHANGE_STATE, [ICONIC, 0, 0, 0, 0])
    }

    fn tell_manager(&self, window: Window, what: u32, data: [u32; 5]) -> Result<(), DesktopError> {
        // Complaints about windows that closed a moment ago: unread, they would pile up.
        while self.x.poll_for_event()?.is_some() {}
        let message = ClientMessageEvent::new(32, window, what, data);
        let managers = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.x.send_event(false, self.root, managers, message)?;
        self.x.flush()?;
        Ok(())
    }

    /// A property of 32-bit numbers; none when window or property are not there.
    fn numbers(&self, window: Window, name: u32) -> Result<Vec<u32>, DesktopError> {
        let property = self.x.get_property(false, window, name, AtomEnum::ANY, 0, 1024)?;
        let property = gone(property.reply())?;
        Ok(property.iter().filter_map(|property| property.value32()).flatten().collect())
    }

    fn bytes(&self, window: Window, name: u32) -> Result<Vec<u8>, DesktopError> {
        let property = self.x.get_property(false, window, name, AtomEnum::ANY, 0, 1024)?;
        Ok(gone(property.reply())?.map(|property| property.value).unwrap_or_default())
    }
}

/// Calls `look` until it finds something or the time is over.
pub(crate) fn wait<T>(
    stop: &Stop,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>, DesktopError>,
) -> Result<Option<T>, DesktopError> {
    let began = std::time::Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if began.elapsed() >= limit {
            return Ok(None);
        }
        stop.pause(Duration::from_millis(50))?;
    }
}

/// Windows may close between looking them up and asking about them: that is no failure.
fn gone<T>(reply: Result<T, x11rb::errors::ReplyError>) -> Result<Option<T>, DesktopError> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(x11rb::errors::ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn small(number: usize) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
