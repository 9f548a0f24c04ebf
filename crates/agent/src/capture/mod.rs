//! Pictures and pointer of an X display.
//!
//! [`Screen`] connects to one display and is driven by one thread: it says what happened ([`Screen::events`]), brings its copy of the
//! picture up to date where the display was drawn on ([`Screen::update`]), and tells what the pointer looks like and where it is.
//! Where nobody draws, nothing is asked and nothing runs.

pub(crate) mod authority;
mod connect;
mod frame;
mod layout;
mod memory;
mod patient;
mod pointer;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use connect::session_user;
pub(crate) type Connection = x11rb::rust_connection::RustConnection<patient::Patient>;

pub(crate) use memory::{forget_unused_code, return_large_buffers};

use crate::mask::Masks;
use connect::Connected;
use frame::Frame;
use playhead_format::CursorMessage;
use playhead_model::{Mask, Monitor};
use playhead_screen::{Picture, Rect};
use pointer::Place;
use std::{
    os::fd::{AsFd as _, BorrowedFd},
    path::PathBuf,
    time::{Duration, Instant},
};
use x11rb::{
    connection::Connection as _,
    errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{
        Event,
        damage::{self, ConnectionExt as _},
        randr::{self, ConnectionExt as _},
        xfixes::{self, ConnectionExt as _},
        xinput::{self, ConnectionExt as _},
        xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask},
    },
};

/// Why a display cannot be captured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// Nobody listens there.
    #[error("there is no display {display}: {source}; start it, or correct its name")]
    NoDisplay {
        /// The display.
        display: String,
        /// Why.
        source: ConnectError,
    },
    /// The display does not let us in.
    #[error(
        "display {display} refuses the connection ({reason}): give the file with its cookie as xauthority in the settings, \
         or in the environment variable XAUTHORITY (tried: {tried})"
    )]
    NotAllowed {
        /// The display.
        display: String,
        /// What the display says.
        reason: String,
        /// Where a cookie was looked for.
        tried: String,
    },
    /// The file with the display's cookie cannot be read.
    #[error("cannot read {path}: {source}; the agent must be allowed to read it")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another program listens there than the session's X server.
    #[error("another program listens at display {display} than the X server of its session")]
    Another {
        /// The display.
        display: String,
    },
    /// The display lacks something without which it cannot be captured.
    #[error(
        "display {display} has no {extension} extension (version {least} or later is needed): use an X server that has it"
    )]
    NoExtension {
        /// The display.
        display: String,
        /// The extension.
        extension: &'static str,
        /// The version needed.
        least: &'static str,
    },
    /// Pixels of another kind.
    #[error(
        "display {display} has a picture of depth {depth} with {bits} bits a pixel: use a depth of 24 or 32 with 8 bits for each of red, green and blue"
    )]
    Visual {
        /// The display.
        display: String,
        /// Its depth.
        depth: u8,
        /// Bits a pixel takes.
        bits: u8,
    },
    /// The connection broke: most likely the display ended.
    #[error("the display is gone: {0}")]
    Gone(#[from] ConnectionError),
    /// The display refused a request.
    #[error("the display refused a request: {0}")]
    Request(String),
    /// Memory to share with the display.
    #[error("cannot share memory with the display: {0}")]
    Memory(std::io::Error),
}

impl From<ReplyError> for CaptureError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => Self::Gone(error),
            ReplyError::X11Error(error) => Self::Request(format!("{error:?}")),
        }
    }
}

impl From<ReplyOrIdError> for CaptureError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => Self::Gone(error),
            other => Self::Request(other.to_string()),
        }
    }
}

impl CaptureError {
    /// Whether the display went away, or was not there. One that does not answer in time is there.
    pub(crate) fn is_gone(&self) -> bool {
        let is_slow = match self {
            Self::Gone(ConnectionError::IoError(error))
            | Self::NoDisplay { source: ConnectError::IoError(error), .. } => {
                error.kind() == std::io::ErrorKind::TimedOut
            }
            _ => false,
        };
        !is_slow && matches!(self, Self::Gone(_) | Self::NoDisplay { .. } | Self::Another { .. })
    }
}

/// What happened on a display since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    /// Something was drawn.
    pub(crate) drawn: bool,
    /// The pointer may have moved.
    pub(crate) moved: bool,
    /// The pointer looks different.
    pub(crate) reshaped: bool,
    /// Size or monitors changed.
    pub(crate) resized: bool,
}

impl Happened {
    /// Whether there is anything to record.
    pub(crate) fn is_something(self) -> bool {
        self != Self::default()
    }

    /// Adds what happened later.
    pub(crate) fn add(&mut self, more: Self) {
        self.drawn |= more.drawn;
        self.moved |= more.moved;
        self.reshaped |= more.reshaped;
        self.resized |= more.resized;
    }
}

/// A display that is being captured.
pub(crate) struct Screen {
    connection: Connection,
    root: u32,
    frame: Frame,
    damage: damage::Damage,
    region: xfixes::Region,
    has_motion: bool,
    /// Only where anything is to be masked.
    pub(crate) masks: Option<Box<Masks>>,
    /// What happened while a picture was taken.
    meanwhile: Happened,
    /// Nothing is captured: the display is only kept in touch with.
    quiet: bool,
}

/// How a display is to be captured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner<'a> {
    /// The file with the display's cookie.
    pub(crate) xauthority: Option<&'a std::path::Path>,
    /// Windows that fit one of these are covered in every picture.
    pub(crate) masks: &'a [Mask],
    /// The process that must be the X server.
    pub(crate) server: Option<u32>,
    /// Capture nothing: the picture is a small black one that never changes.
    pub(crate) quiet: bool,
}

impl Screen {
    /// Connects to the display `name` and begins to watch it. `xauthority` names the file with its cookie. Windows that fit one of the
    /// `masks` are covered in every picture.
    ///
    /// # Errors
    /// No such display, no permission, or a display that cannot be captured.
    #[cfg(test)]
    pub(crate) fn open(
        name: &str,
        xauthority: Option<&std::path::Path>,
        masks: &[Mask],
    ) -> Result<Self, CaptureError> {
        Self::connect(name, &Manner { xauthority, masks, ..Manner::default() })
    }

    /// Connects to the display `name` and begins to watch it.
    ///
    /// # Errors
    /// No such display, no permission, or a display that cannot be captured.
    pub(crate) fn connect(name: &str, manner: &Manner<'_>) -> Result<Self, CaptureError> {
        let Manner { xauthority, masks, server, quiet } = *manner;
        let Connected { connection, screen, number } = connect::connect(name, xauthority, server)?;
        let (root, depth) = (screen.root, screen.root_depth);
        if quiet {
            let (damage, region, frame) = (x11rb::NONE, x11rb::NONE, Frame::blank(root, depth));
            let meanwhile = Happened::default();
            return Ok(Self {
                connection,
                root,
                frame,
                damage,
                region,
                has_motion: true,
                masks: None,
                meanwhile,
                quiet,
            });
        }
        connect::check_pixels(name, &connection, &screen)?;
        let missing =
            |extension, least| CaptureError::NoExtension { display: name.to_owned(), extension, least };
        let present = |extension| connection.extension_information(extension).map(|found| found.is_some());
        use x11rb::connection::RequestConnection as _;
        if !present(xfixes::X11_EXTENSION_NAME)?
            || connection.xfixes_query_version(5, 0)?.reply()?.major_version < 2
        {
            return Err(missing("XFIXES", "2.0"));
        }
        if !present(damage::X11_EXTENSION_NAME)? {
            return Err(missing("DAMAGE", "1.1"));
        }
        connection.damage_query_version(1, 1)?.reply()?;
        if !present(randr::X11_EXTENSION_NAME)? {
            return Err(missing("RANDR", "1.2"));
        }
        connection.randr_query_version(1, 5)?.reply()?;

        let (damage, region) = (connection.generate_id()?, connection.generate_id()?);
        connection.damage_create(damage, root, damage::ReportLevel::NON_EMPTY)?.check()?;
        connection.xfixes_create_region(region, &[])?.check()?;
        connection.xfixes_select_cursor_input(root, xfixes::CursorNotifyMask::DISPLAY_CURSOR)?.check()?;
        let changes = randr::NotifyMask::SCREEN_CHANGE | randr::NotifyMask::CRTC_CHANGE;
        connection.randr_select_input(root, changes)?.check()?;
        // Of monitors that somebody divides a screen into there is no other word.
        let of_root = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        connection.change_window_attributes(root, &of_root)?.check()?;
        let has_motion = present(xinput::X11_EXTENSION_NAME)? && select_motion(&connection, root);
        if !has_motion {
            tracing::warn!(
                display = name,
                "no XInput 2: the pointer's way is recorded only where something is drawn"
            );
        }
        let size = layout::size(&connection, root)?;
        let frame = Frame::new(&connection, root, depth, size)?;
        let masks = match masks {
            [] => None,
            masks => Some(Box::new(Masks::new(&connection, number, root, masks)?)),
        };
        let meanwhile = Happened::default();
        Ok(Self { connection, root, frame, damage, region, has_motion, masks, meanwhile, quiet })
    }

    /// The connection's socket, to wait for.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.connection.stream().as_fd()
    }

    /// What happened since the last call. Does not wait.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn events(&mut self) -> Result<Happened, CaptureError> {
        self.connection.stream().begin();
        let mut happened = std::mem::take(&mut self.meanwhile);
        while let Some(event) = self.connection.poll_for_event()? {
            match self.masks.as_mut().and_then(|masks| masks.take(&event)) {
                Some(matters) => happened.drawn |= matters,
                None => happened.add(meaning(&event)),
            }
        }
        if let Some(masks) = &self.masks {
            happened.drawn |= masks.next().is_some_and(|next| next <= Instant::now());
        }
        // Where there is no word of motion, look whenever there is a reason to look at all.
        happened.moved |= !self.has_motion && happened.drawn;
        Ok(happened)
    }

    /// Whether nothing is captured.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How long it takes until the picture may be another although nothing happens.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let next = self.masks.as_ref().and_then(|masks| masks.next())?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// The masks that have covered anything so far.
    pub(crate) fn applied_masks(&self) -> Vec<Mask> {
        self.masks.iter().flat_map(|masks| masks.applied().cloned()).collect()
    }

    /// Takes over the display's size if it changed. The whole picture counts as drawn then. Returns whether it did.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn resize(&mut self) -> Result<bool, CaptureError> {
        if self.quiet {
            return Ok(false);
        }
        let size = layout::size(&self.connection, self.root)?;
        if size == self.frame.size() {
            return Ok(false);
        }
        self.frame.resize(&self.connection, size)?;
        Ok(true)
    }

    /// Brings the picture up to date and returns where it may have changed. What is drawn meanwhile comes again.
    ///
    /// # Errors
    /// The display is gone, or does not give its picture.
    pub(crate) fn update(&mut self) -> Result<Vec<Rect>, CaptureError> {
        if self.quiet {
            return Ok(Vec::new());
        }
        let mut refusals = 0;
        loop {
            let open = self.begin_cover()?;
            // Taken before the pixels are read: what is drawn after this is reported again.
            self.connection.damage_subtract(self.damage, x11rb::NONE, self.region)?;
            let region = self.connection.xfixes_fetch_region(self.region)?.reply()?;
            match self.frame.fetch(&self.connection, &region.rectangles, &open) {
                Ok(rects) => return self.end_cover(rects),
                // The display shrank a moment ago, and the word of it is still on its way.
                Err(CaptureError::Request(reason)) if refusals < 3 => {
                    refusals += 1;
                    tracing::debug!(reason, "asking for the picture again");
                    self.resize()?;
                    self.frame.forget();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Before pixels are read: the areas that are not covered any more and have to be read.
    fn begin_cover(&mut self) -> Result<Vec<Rect>, CaptureError> {
        let Some(masks) = &mut self.masks else { return Ok(Vec::new()) };
        let meanwhile = &mut self.meanwhile;
        let mut other = |event: &Event| meanwhile.add(meaning(event));
        let (width, height) = self.frame.size();
        let open = masks.begin(&self.connection, (width, height), &mut other, Instant::now())?;
        Ok(open.into_iter().filter_map(|area| area.within(width.into(), height.into())).collect())
    }

    /// Covers what has to be covered after `read` was read. Returns where the picture may have changed.
    fn end_cover(&mut self, mut read: Vec<Rect>) -> Result<Vec<Rect>, CaptureError> {
        let Some(masks) = &mut self.masks else { return Ok(read) };
        let meanwhile = &mut self.meanwhile;
        let mut other = |event: &Event| meanwhile.add(meaning(event));
        let covered = masks.end(&self.connection, &read, &mut other, Instant::now())?;
        meanwhile.drawn |= covered.is_more;
        let places = self.frame.cover(masks.shown(), (!covered.is_new).then_some(&read));
        if covered.is_new {
            read.extend(places);
        }
        Ok(read)
    }

    /// The picture as of the last [`Self::update`].
    pub(crate) fn picture(&self) -> Picture<'_> {
        self.frame.picture()
    }

    /// Where the pointer is.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn place(&self) -> Result<Place, CaptureError> {
        let reply = self.connection.query_pointer(self.root)?.reply()?;
        Ok(Place { x: reply.root_x.into(), y: reply.root_y.into(), visible: reply.same_screen })
    }

    /// What the pointer looks like.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn shape(&self) -> Result<CursorMessage, CaptureError> {
        Ok(pointer::shape(&self.connection.xfixes_get_cursor_image()?.reply()?))
    }

    /// The monitors.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn monitors(&self) -> Result<Vec<Monitor>, CaptureError> {
        layout::monitors(&self.connection, self.root)
    }

    /// A property of the root window, by which an agent finds its recording again. At most 256 bytes.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn mark(&self, name: &str) -> Result<Option<String>, CaptureError> {
        let atom = self.connection.intern_atom(false, name.as_bytes())?.reply()?.atom;
        let kind = x11rb::protocol::xproto::AtomEnum::STRING;
        let reply = self.connection.get_property(false, self.root, atom, kind, 0, 64)?.reply()?;
        Ok(String::from_utf8(reply.value).ok().filter(|text| !text.is_empty()))
    }

    /// Sets that property, or takes it away.
    ///
    /// # Errors
    /// The display is gone.
    pub(crate) fn set_mark(&self, name: &str, text: Option<&str>) -> Result<(), CaptureError> {
        use x11rb::{
            protocol::xproto::{AtomEnum, PropMode},
            wrapper::ConnectionExt as _,
        };
        let atom = self.connection.intern_atom(false, name.as_bytes())?.reply()?.atom;
        match text {
            Some(text) => {
                let text = text.as_bytes();
                self.connection
                    .change_property8(PropMode::REPLACE, self.root, atom, AtomEnum::STRING, text)?
                    .check()?;
            }
            None => self.connection.delete_property(self.root, atom)?.check()?,
        }
        Ok(())
    }
}

/// What an event says that is not about masks.
fn meaning(event: &Event) -> Happened {
    let nothing = Happened::default();
    match event {
        Event::DamageNotify(_) => Happened { drawn: true, ..nothing },
        Event::XinputRawMotion(_) | Event::XinputRawTouchUpdate(_) => Happened { moved: true, ..nothing },
        Event::XfixesCursorNotify(_) => Happened { reshaped: true, ..nothing },
        Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) | Event::ConfigureNotify(_) => {
            Happened { resized: true, ..nothing }
        }
        Event::Error(error) => {
            tracing::debug!(?error, "the display refused a request");
            nothing
        }
        _ => nothing,
    }
}

/// Asks for every movement of any pointing device. Returns whether the display will tell.
fn select_motion(connection: &Connection, root: u32) -> bool {
    const ALL_MASTER_DEVICES: u16 = 1;
    let select = || -> Result<(), ReplyError> {
        connection.xinput_xi_query_version(2, 2)?.reply()?;
        let mask =
            xinput::EventMask { deviceid: ALL_MASTER_DEVICES, mask: vec![xinput::XIEventMask::RAW_MOTION] };
        connection.xinput_xi_select_events(root, &[mask])?.check()
    };
    select().is_ok()
}
