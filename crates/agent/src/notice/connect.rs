//! Getting in touch with the user's display, as one of the user's own programs.

use super::NoticeError;
use crate::capture::authority;
use std::path::Path;
use x11rb::{
    connection::Connection as _,
    protocol::xproto::Screen,
    reexports::x11rb_protocol::parse_display::parse_display,
    rust_connection::{DefaultStream, RustConnection},
};

/// A connection and the screen that it is about.
pub(crate) struct Connected {
    pub(crate) connection: RustConnection,
    pub(crate) screen: Screen,
}

/// Connects with the cookie from `xauthority`, or from where the user's programs find it.
pub(crate) fn connect(display: &str, xauthority: Option<&Path>) -> Result<Connected, NoticeError> {
    let failed = |reason: String| NoticeError::Display { display: display.to_owned(), reason };
    let parsed = parse_display(Some(display)).map_err(|error| failed(error.to_string()))?;
    let number: usize = parsed.screen.into();
    let mut reason = "nobody listens there".to_owned();
    for address in parsed.connect_instruction() {
        let (stream, (family, host)) = match DefaultStream::connect(&address) {
            Ok(connected) => connected,
            Err(error) => {
                reason = error.to_string();
                continue;
            }
        };
        let mut cookie = None;
        for path in authority::candidates(xauthority, None) {
            match authority::find(&path, |other| family == other.into(), &host, parsed.display) {
                Ok(found) => cookie = found,
                Err(error) if xauthority.is_some() => {
                    return Err(failed(format!("cannot read {}: {error}", path.display())));
                }
                Err(_) => {}
            }
            if cookie.is_some() {
                break;
            }
        }
        let (name, data) =
            cookie.map_or_else(Default::default, |cookie| (authority::COOKIE.to_vec(), cookie));
        let connection = RustConnection::connect_to_stream_with_auth_info(stream, number, name, data)
            .map_err(|error| failed(error.to_string()))?;
        // The connection checked that there is a screen of this number.
        let screen = connection.setup().roots[number].clone();
        return Ok(Connected { connection, screen });
    }
    Err(failed(reason))
}
