//! The window on the display: making it, painting it, and keeping it on top.

use super::connect::Connected;
use super::{
    Kind, NoticeError, Request, Stopped,
    canvas::{Area, Canvas},
    card::COVER,
};
use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    properties::{WmHints, WmSizeHints, WmSizeHintsSpecification},
    protocol::{
        randr::{self, ConnectionExt as _},
        xproto::{
            self, AtomEnum, ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux,
            CreateWindowAux, Cursor, EventMask, Gcontext, GrabMode, GrabStatus, ImageFormat, ImageOrder,
            InputFocus, MapState, PropMode, StackMode, WindowClass,
        },
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

x11rb::atom_manager! {
    /// The names of what is said about the window.
    pub(super) Atoms: AtomsCookie {
        _PLAYHEAD_NOTICE,
        UTF8_STRING,
        WM_DELETE_WINDOW,
        WM_PROTOCOLS,
        _MOTIF_WM_HINTS,
        _NET_WM_DESKTOP,
        _NET_WM_NAME,
        _NET_WM_PID,
        _NET_WM_PING,
        _NET_WM_STATE,
        _NET_WM_STATE_ABOVE,
        _NET_WM_STATE_STICKY,
        _NET_WM_USER_TIME,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DIALOG,
    }
}

/// More windows than this above ours are not looked at.
const MOST_ABOVE: usize = 64;
/// Longest part of a picture that is sent at a time, in bytes.
const PART: usize = 128 << 10;
/// How far up a window's ancestors are followed.
const MOST_ANCESTORS: usize = 16;

/// A window with what it takes to work on it.
pub(super) struct Window<'c> {
    pub(super) connection: &'c RustConnection,
    pub(super) atoms: Atoms,
    pub(super) root: xproto::Window,
    pub(super) id: xproto::Window,
    kind: Kind,
    /// Whether a window manager looks after it.
    pub(super) managed: bool,
    pixels: Pixels,
    gc: Gcontext,
    cursor: Cursor,
}

/// How the display wants its pixels.
struct Pixels {
    depth: u8,
    bytes: usize,
    pad: usize,
    least_first: bool,
    /// For red, green and blue: where it begins, and its highest value.
    channels: [(u32, u32); 3],
    /// Bits that no colour uses: opaque, where the display has a depth of 32.
    opaque: u32,
}

impl Pixels {
    fn of(connected: &Connected) -> Option<Self> {
        let (screen, setup) = (&connected.screen, connected.connection.setup());
        let depth = screen.root_depth;
        let format = setup.pixmap_formats.iter().find(|format| format.depth == depth)?;
        let mut visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
        let visual = visuals.find(|visual| visual.visual_id == screen.root_visual)?;
        let is_true =
            matches!(visual.class, xproto::VisualClass::TRUE_COLOR | xproto::VisualClass::DIRECT_COLOR);
        let masks = [visual.red_mask, visual.green_mask, visual.blue_mask];
        if !is_true || !matches!(format.bits_per_pixel, 16 | 32) || masks.contains(&0) {
            return None;
        }
        let used = masks.iter().fold(0, |used, mask| used | mask);
        Some(Self {
            depth,
            bytes: usize::from(format.bits_per_pixel) / 8,
            pad: usize::from(format.scanline_pad.max(8)) / 8,
            least_first: setup.image_byte_order == ImageOrder::LSB_FIRST,
            channels: masks.map(|mask| (mask.trailing_zeros(), mask >> mask.trailing_zeros())),
            opaque: if depth == 32 { !used } else { 0 },
        })
    }

    fn pixel(&self, colour: u32) -> u32 {
        let parts = [colour >> 16 & 0xff, colour >> 8 & 0xff, colour & 0xff];
        let mut pixel = self.opaque;
        for (part, (shift, most)) in parts.into_iter().zip(self.channels) {
            pixel |= ((u64::from(part) * u64::from(most) + 127) / 255) as u32 * (1 << shift);
        }
        pixel
    }

    fn row(&self, colours: &[u32], into: &mut Vec<u8>) {
        let start = into.len();
        for &colour in colours {
            let pixel = self.pixel(colour);
            match (self.bytes, self.least_first) {
                (2, true) => into.extend((pixel as u16).to_le_bytes()),
                (2, false) => into.extend((pixel as u16).to_be_bytes()),
                (_, true) => into.extend(pixel.to_le_bytes()),
                (_, false) => into.extend(pixel.to_be_bytes()),
            }
        }
        into.resize(start + (into.len() - start).next_multiple_of(self.pad), 0);
    }
}

impl<'c> Window<'c> {
    /// Makes the window; it is not shown yet.
    pub(super) fn make(connected: &'c Connected, request: &Request, area: Area) -> Result<Self, Stopped> {
        let (connection, screen) = (&connected.connection, &connected.screen);
        let pixels = Pixels::of(connected).ok_or(NoticeError::Depth { depth: screen.root_depth })?;
        let atoms = Atoms::new(connection)?.reply()?;
        let root = screen.root;
        let masks = connection.get_window_attributes(root)?.reply()?.all_event_masks;
        let has_manager = masks.contains(EventMask::SUBSTRUCTURE_REDIRECT);
        let managed = has_manager && request.kind == Kind::Notice;

        let listen = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        connection.change_window_attributes(root, &listen)?;
        if connection.extension_information(randr::X11_EXTENSION_NAME)?.is_some() {
            connection.randr_query_version(1, 5)?.reply()?;
            connection.randr_select_input(root, randr::NotifyMask::SCREEN_CHANGE)?;
        }
        let (id, gc) = (connection.generate_id()?, connection.generate_id()?);
        let cursor = arrow(connection)?;
        let events = EventMask::EXPOSURE
            | EventMask::STRUCTURE_NOTIFY
            | EventMask::VISIBILITY_CHANGE
            | EventMask::KEY_PRESS
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::LEAVE_WINDOW
            | EventMask::FOCUS_CHANGE;
        let values = CreateWindowAux::new()
            .background_pixel(pixels.pixel(COVER))
            .border_pixel(0)
            .override_redirect(u32::from(!managed))
            .cursor(cursor)
            .event_mask(events);
        let (x, y, width, height) = place(area);
        let class = WindowClass::INPUT_OUTPUT;
        connection.create_window(
            screen.root_depth,
            id,
            root,
            x,
            y,
            width,
            height,
            0,
            class,
            screen.root_visual,
            &values,
        )?;
        connection.create_gc(gc, id, &CreateGCAux::new().graphics_exposures(0))?;
        let window = Self { connection, atoms, root, id, kind: request.kind, managed, pixels, gc, cursor };
        window.describe(request)?;
        window.hint(area)?;
        Ok(window)
    }

    /// Says to window managers and to others of ours what this window is.
    fn describe(&self, request: &Request) -> Result<(), Stopped> {
        let (c, id, atoms) = (self.connection, self.id, &self.atoms);
        let replace = PropMode::REPLACE;
        let title = request.title.as_bytes();
        c.change_property8(replace, id, AtomEnum::WM_NAME, AtomEnum::STRING, b"Session recording")?;
        c.change_property8(replace, id, atoms._NET_WM_NAME, atoms.UTF8_STRING, title)?;
        c.change_property8(
            replace,
            id,
            AtomEnum::WM_CLASS,
            AtomEnum::STRING,
            b"playhead-notice\0Playhead\0",
        )?;
        let number =
            |property, kind, values: &[u32]| c.change_property32(replace, id, property, kind, values);
        let atom: xproto::Atom = AtomEnum::ATOM.into();
        let cardinal: xproto::Atom = AtomEnum::CARDINAL.into();
        number(atoms._PLAYHEAD_NOTICE, cardinal, &[rank(self.kind)])?;
        number(atoms._NET_WM_PID, cardinal, &[std::process::id()])?;
        number(atoms.WM_PROTOCOLS, atom, &[atoms.WM_DELETE_WINDOW, atoms._NET_WM_PING])?;
        number(atoms._NET_WM_WINDOW_TYPE, atom, &[atoms._NET_WM_WINDOW_TYPE_DIALOG])?;
        number(atoms._NET_WM_STATE, atom, &[atoms._NET_WM_STATE_ABOVE, atoms._NET_WM_STATE_STICKY])?;
        number(atoms._NET_WM_DESKTOP, cardinal, &[u32::MAX])?;
        // Whoever is typing goes on typing where he was.
        number(atoms._NET_WM_USER_TIME, cardinal, &[0])?;
        // No frame around it: flags for "decorations", then none of them.
        number(atoms._MOTIF_WM_HINTS, atoms._MOTIF_WM_HINTS, &[2, 0, 0, 0, 0])?;
        let hints = WmHints { input: Some(true), ..WmHints::new() };
        hints.set(c, id)?;
        Ok(())
    }

    /// Tells the window manager size and place, which are not for the user to change.
    fn hint(&self, area: Area) -> Result<(), Stopped> {
        if self.managed {
            let size = (area.width, area.height);
            let hints = WmSizeHints {
                position: Some((WmSizeHintsSpecification::ProgramSpecified, area.x, area.y)),
                size: Some((WmSizeHintsSpecification::ProgramSpecified, area.width, area.height)),
                min_size: Some(size),
                max_size: Some(size),
                ..WmSizeHints::new()
            };
            hints.set_normal_hints(self.connection, self.id)?;
        }
        Ok(())
    }

    pub(super) fn map(&self) -> Result<(), Stopped> {
        self.connection.map_window(self.id)?;
        Ok(())
    }

    /// Moves it to another place.
    pub(super) fn place(&self, area: Area) -> Result<(), Stopped> {
        self.hint(area)?;
        let (x, y, width, height) = place(area);
        let values = ConfigureWindowAux::new()
            .x(i32::from(x))
            .y(i32::from(y))
            .width(u32::from(width))
            .height(u32::from(height));
        self.connection.configure_window(self.id, &values)?;
        Ok(())
    }

    pub(super) fn is_viewable(&self) -> Result<bool, Stopped> {
        let attributes = self.connection.get_window_attributes(self.id)?.reply()?;
        Ok(attributes.map_state == MapState::VIEWABLE)
    }

    /// Puts it above all others, unless one of ours is there that goes before it. `false`: that one is there.
    pub(super) fn raise(&self) -> Result<bool, Stopped> {
        if self.is_below_ours()? {
            return Ok(false);
        }
        let values = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
        self.connection.configure_window(self.id, &values)?;
        Ok(true)
    }

    /// Whether a window above is one of ours that goes before this one: consent before a notice, the older before the younger.
    fn is_below_ours(&self) -> Result<bool, Stopped> {
        let mut top = self.id;
        for _ in 0..MOST_ANCESTORS {
            let parent = self.connection.query_tree(top)?.reply()?.parent;
            if parent == self.root || parent == x11rb::NONE {
                break;
            }
            top = parent;
        }
        let children = self.connection.query_tree(self.root)?.reply()?.children;
        let above = children.iter().rev().take_while(|&&child| child != top).take(MOST_ABOVE);
        let asked = above.map(|&child| {
            let atom = self.atoms._PLAYHEAD_NOTICE;
            Ok((child, self.connection.get_property(false, child, atom, AtomEnum::CARDINAL, 0, 1)?))
        });
        let asked: Vec<_> = asked.collect::<Result<_, Stopped>>()?;
        let mine = (rank(self.kind), std::cmp::Reverse(self.id));
        let mut found = false;
        for (child, cookie) in asked {
            // A window that has gone meanwhile is not above any more.
            let Ok(reply) = cookie.reply() else { continue };
            let other = reply.value32().and_then(|mut values| values.next());
            found |= other.is_some_and(|other| (other, std::cmp::Reverse(child)) > mine);
        }
        Ok(found)
    }

    /// Takes keyboard and pointer, as long as nobody else has them. `true`: both are ours.
    pub(super) fn hold(&self) -> Result<bool, Stopped> {
        let (c, now, mode) = (self.connection, x11rb::CURRENT_TIME, GrabMode::ASYNC);
        let keyboard = c.grab_keyboard(false, self.id, now, mode, mode)?;
        let mask = EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::LEAVE_WINDOW;
        let pointer = c.grab_pointer(false, self.id, mask, mode, mode, self.id, self.cursor, now)?;
        let (keyboard, pointer) = (keyboard.reply()?.status, pointer.reply()?.status);
        Ok(keyboard == GrabStatus::SUCCESS && pointer == GrabStatus::SUCCESS)
    }

    /// Takes the keyboard's focus: by a click, or where no window has it.
    pub(super) fn focus(&self, only_if_free: bool) -> Result<(), Stopped> {
        let current = self.connection.get_input_focus()?.reply()?.focus;
        let free = current == x11rb::NONE || current == u32::from(u8::from(InputFocus::POINTER_ROOT));
        if free || !only_if_free {
            let back = InputFocus::POINTER_ROOT;
            self.connection.set_input_focus(back, self.id, x11rb::CURRENT_TIME)?;
        }
        Ok(())
    }

    /// Answers a window manager that wants to know whether we live.
    pub(super) fn pong(&self, mut event: xproto::ClientMessageEvent) -> Result<(), Stopped> {
        event.window = self.root;
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.connection.send_event(false, self.root, mask, event)?;
        Ok(())
    }

    /// Paints a picture with its upper left corner at a place in the window.
    pub(super) fn paint(&self, canvas: &Canvas, at: (i32, i32)) -> Result<(), Stopped> {
        let stride = (canvas.width as usize * self.pixels.bytes).next_multiple_of(self.pixels.pad);
        // The server's limit has room for the request's head.
        let most = PART.min(self.connection.maximum_request_bytes().saturating_sub(64));
        let rows = (most / stride.max(1)).max(1) as i32;
        let mut data = Vec::with_capacity(rows as usize * stride);
        for first in (0..canvas.height).step_by(rows as usize) {
            data.clear();
            let count = rows.min(canvas.height - first);
            (first..first + count).for_each(|y| self.pixels.row(canvas.row(y), &mut data));
            let (x, y, width, height) = place(Area::new(at.0, at.1 + first, canvas.width, count));
            let format = ImageFormat::Z_PIXMAP;
            self.connection.put_image(
                format,
                self.id,
                self.gc,
                width,
                height,
                x,
                y,
                0,
                self.pixels.depth,
                &data,
            )?;
        }
        Ok(())
    }

    /// Where the window's upper left corner is on the screen.
    pub(super) fn origin(&self) -> Result<(i32, i32), Stopped> {
        let place = self.connection.translate_coordinates(self.id, self.root, 0, 0)?.reply()?;
        Ok((place.dst_x.into(), place.dst_y.into()))
    }
}

/// Consent goes before notices.
fn rank(kind: Kind) -> u32 {
    match kind {
        Kind::Notice => 1,
        Kind::Consent => 2,
    }
}

/// The X server counts in 16 bits.
fn place(area: Area) -> (i16, i16, u16, u16) {
    let short = |value: i32| value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    let length = |value: i32| value.clamp(1, i16::MAX.into()) as u16;
    (short(area.x), short(area.y), length(area.width), length(area.height))
}

/// The usual pointer: a display without a window manager shows a cross elsewhere.
fn arrow(connection: &RustConnection) -> Result<Cursor, Stopped> {
    const ARROW: u16 = 68;
    let (font, cursor) = (connection.generate_id()?, connection.generate_id()?);
    let opened = connection.open_font(font, b"cursor")?;
    if opened.check().is_err() {
        return Ok(x11rb::NONE);
    }
    let (black, white) = ((0, 0, 0), (u16::MAX, u16::MAX, u16::MAX));
    connection.create_glyph_cursor(
        cursor,
        font,
        font,
        ARROW,
        ARROW + 1,
        black.0,
        black.1,
        black.2,
        white.0,
        white.1,
        white.2,
    )?;
    connection.close_font(font)?;
    Ok(cursor)
}

/// The monitors, without those that show what another shows; the whole screen where the display cannot tell. The first is the one
/// that the user calls the first.
pub(super) fn monitors(
    connection: &RustConnection,
    root: xproto::Window,
) -> Result<(Area, Vec<Area>), Stopped> {
    let geometry = connection.get_geometry(root)?.reply()?;
    let whole = Area::new(0, 0, geometry.width.into(), geometry.height.into());
    let has_randr = connection.extension_information(randr::X11_EXTENSION_NAME)?.is_some();
    let mut monitors: Vec<(bool, Area)> = Vec::new();
    if has_randr && let Ok(reply) = connection.randr_get_monitors(root, true)?.reply() {
        for monitor in reply.monitors {
            let (x, y) = (monitor.x.into(), monitor.y.into());
            let area = Area::new(x, y, monitor.width.into(), monitor.height.into()).within(&whole);
            let is_new = monitors.iter().all(|(_, other)| area.within(other) != area);
            if is_new && area.width > 0 && area.height > 0 {
                monitors.retain(|(_, other)| other.within(&area) != *other);
                monitors.push((monitor.primary, area));
            }
        }
    }
    if monitors.is_empty() {
        monitors.push((true, whole));
    }
    monitors.sort_by_key(|(primary, _)| !primary);
    Ok((whole, monitors.into_iter().map(|(_, area)| area).collect()))
}

/// How much larger than at 96 dots per inch things are shown: what the user has set, and more on screens of very many pixels.
pub(super) fn scale(
    connection: &RustConnection,
    root: xproto::Window,
    monitor: Area,
) -> Result<f32, Stopped> {
    const MOST_WORDS: u32 = 16 << 10;
    let kind = AtomEnum::STRING;
    let resources =
        connection.get_property(false, root, AtomEnum::RESOURCE_MANAGER, kind, 0, MOST_WORDS)?.reply()?.value;
    let set = dots(&String::from_utf8_lossy(&resources)).unwrap_or(96.0) / 96.0;
    let by_size = monitor.height as f32 / 1080.0;
    Ok(set.max(by_size).clamp(1.0, 4.0))
}

/// Dots per inch, as the X resources have them.
fn dots(resources: &str) -> Option<f32> {
    let mut lines = resources.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.trim() == "Xft.dpi")?;
    value.trim().parse::<f32>().ok().filter(|dots| dots.is_finite() && *dots > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_per_inch_are_read_from_resources_that_say_so() {
        assert_eq!(dots("Xcursor.size:\t24\nXft.dpi:\t144\n"), Some(144.0));
        for none in ["", "Xft.dpi", "Xft.dpi: much", "Xft.dpi: -3", "Xft.dpi: inf", "*dpi: 100"] {
            assert_eq!(dots(none), None, "{none}");
        }
    }

    #[test]
    fn colours_fit_displays_of_few_bits() {
        let pixels = Pixels {
            depth: 16,
            bytes: 2,
            pad: 4,
            least_first: true,
            channels: [(11, 31), (5, 63), (0, 31)],
            opaque: 0,
        };
        assert_eq!(pixels.pixel(0xff_ffff), 0xffff);
        assert_eq!(pixels.pixel(0xff_0000), 0xf800);
        let mut row = Vec::new();
        pixels.row(&[0, 0x00_00ff, 0xff_ffff], &mut row);
        assert_eq!(row, [0, 0, 0x1f, 0, 0xff, 0xff, 0, 0]);
    }
}
