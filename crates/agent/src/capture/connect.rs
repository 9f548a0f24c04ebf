//! Getting in touch with a display.

use super::{CaptureError, Connection, authority, patient::Patient};
use nix::{
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::{Uid, User},
};
use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use x11rb::{
    connection::Connection as _,
    errors::ConnectError,
    protocol::xproto::{ImageOrder, Screen},
    reexports::x11rb_protocol::parse_display::{ConnectAddress, ParsedDisplay, parse_display},
    rust_connection::DefaultStream,
};

/// A connection and the screen that it is about.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) screen: Screen,
    /// The screen's number.
    pub(super) number: usize,
}

/// Connects to a display with the cookie from `xauthority` or from where it usually lies. Nobody else than the process `server` may
/// listen there, where it is given.
pub(super) fn connect(
    display: &str,
    xauthority: Option<&Path>,
    server: Option<u32>,
) -> Result<Connected, CaptureError> {
    let no_display = |source| CaptureError::NoDisplay { display: display.to_owned(), source };
    let parsed = parse_display(Some(display)).map_err(|error| no_display(error.into()))?;
    let number: usize = parsed.screen.into();
    let (stream, cookie, tried) = dial(display, &parsed, xauthority)?;
    if let Some(server) = server {
        let is_it = getsockopt(&stream, PeerCredentials)
            .is_ok_and(|credentials| u32::try_from(credentials.pid()) == Ok(server));
        if !is_it {
            return Err(CaptureError::Another { display: display.to_owned() });
        }
    }
    let stream = Patient::new(stream);
    let (name, data) = cookie.map_or_else(Default::default, |cookie| (authority::COOKIE.to_vec(), cookie));
    let connection = Connection::connect_to_stream_with_auth_info(stream, number, name, data);
    let not_allowed = |reason: &[u8]| CaptureError::NotAllowed {
        display: display.to_owned(),
        reason: String::from_utf8_lossy(reason).trim_end_matches(['\0', '\n', ' ']).to_owned(),
        tried: tried.clone(),
    };
    let connection = connection.map_err(|error| match error {
        ConnectError::SetupFailed(failed) => not_allowed(&failed.reason),
        ConnectError::SetupAuthenticate(asked) => not_allowed(&asked.reason),
        other => no_display(other),
    })?;
    // The connection checked that there is a screen of this number.
    let screen = connection.setup().roots[number].clone();
    Ok(Connected { connection, screen, number })
}

/// Opens the socket and finds the cookie. The third is where it was looked for, for people.
fn dial(
    display: &str,
    parsed: &ParsedDisplay,
    xauthority: Option<&Path>,
) -> Result<(DefaultStream, Option<Vec<u8>>, String), CaptureError> {
    let mut failure: io::Error = io::ErrorKind::NotFound.into();
    for address in parsed.connect_instruction() {
        let (stream, (family, host)) = match DefaultStream::connect(&address) {
            Ok(connected) => connected,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        let home = session_account(display).map(|user| user.dir);
        let candidates = authority::candidates(xauthority, home);
        let tried = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let mut cookie = None;
        for path in candidates {
            match authority::find(&path, |other| family == other.into(), &host, parsed.display) {
                Ok(found) => cookie = found,
                Err(source) if xauthority.is_some() => {
                    return Err(CaptureError::Authority { path, source });
                }
                Err(_) => {}
            }
            if cookie.is_some() {
                break;
            }
        }
        return Ok((stream, cookie, tried));
    }
    Err(CaptureError::NoDisplay { display: display.to_owned(), source: ConnectError::IoError(failure) })
}

/// Name of the user whose session runs on a display: the owner of its socket, or else of this process.
pub(crate) fn session_user(display: &str) -> String {
    let account = session_account(display).or_else(|| User::from_uid(Uid::current()).ok().flatten());
    account.map_or_else(|| Uid::current().to_string(), |user| user.name)
}

fn session_account(display: &str) -> Option<User> {
    let parsed = parse_display(Some(display)).ok()?;
    let socket = parsed.connect_instruction().find_map(|address| match address {
        ConnectAddress::Socket(path) => Some(PathBuf::from(path)),
        _ => None,
    })?;
    let owner = std::fs::metadata(socket).ok()?.uid();
    User::from_uid(Uid::from_raw(owner)).ok().flatten()
}

/// Checks that a pixel is four bytes: blue, green, red, and one that is not used.
pub(super) fn check_pixels(
    display: &str,
    connection: &Connection,
    screen: &Screen,
) -> Result<(), CaptureError> {
    let setup = connection.setup();
    let depth = screen.root_depth;
    let format = setup.pixmap_formats.iter().find(|format| format.depth == depth);
    let visual = screen
        .allowed_depths
        .iter()
        .flat_map(|depth| &depth.visuals)
        .find(|visual| visual.visual_id == screen.root_visual);
    let bits = format.map_or(0, |format| format.bits_per_pixel);
    let is_rgb = visual.is_some_and(|visual| {
        (visual.red_mask, visual.green_mask, visual.blue_mask) == (0xff_0000, 0xff00, 0xff)
    });
    if bits == 32 && is_rgb && matches!(depth, 24 | 32) && setup.image_byte_order == ImageOrder::LSB_FIRST {
        return Ok(());
    }
    Err(CaptureError::Visual { display: display.to_owned(), depth, bits })
}
