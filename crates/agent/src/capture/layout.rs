//! Size and monitors.

use super::{CaptureError, Connection};
use playhead_model::Monitor;
use x11rb::protocol::{randr::ConnectionExt as _, xproto::ConnectionExt as _};

/// Width and height of the root window.
pub(super) fn size(connection: &Connection, root: u32) -> Result<(u16, u16), CaptureError> {
    let geometry = connection.get_geometry(root)?.reply()?;
    Ok((geometry.width, geometry.height))
}

/// The active monitors; the whole root window where the display cannot tell.
pub(super) fn monitors(connection: &Connection, root: u32) -> Result<Vec<Monitor>, CaptureError> {
    let reply = match connection.randr_get_monitors(root, true)?.reply() {
        Ok(reply) => reply.monitors,
        Err(x11rb::errors::ReplyError::X11Error(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut monitors = Vec::with_capacity(reply.len());
    for monitor in reply {
        let name = match monitor.name {
            0 => Vec::new(),
            atom => connection.get_atom_name(atom)?.reply()?.name,
        };
        monitors.push(Monitor {
            name: String::from_utf8_lossy(&name).into_owned(),
            x: monitor.x.into(),
            y: monitor.y.into(),
            width: monitor.width.into(),
            height: monitor.height.into(),
        });
    }
    if monitors.is_empty() {
        let (width, height) = size(connection, root)?;
        monitors.push(Monitor {
            name: "screen".into(),
            x: 0,
            y: 0,
            width: width.into(),
            height: height.into(),
        });
    }
    Ok(monitors)
}
