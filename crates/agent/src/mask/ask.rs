//! What is asked of the display about its windows.

use super::{
    judge::{About, Process},
    region::Area,
    tree::{Body, Shape},
};
use crate::capture::Connection;
use std::path::Path;
use x11rb::{
    connection::RequestConnection as _,
    cookie::Cookie,
    errors::{ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{
        res::{self, ConnectionExt as _},
        shape::{self, ConnectionExt as _},
        xfixes::{self, ConnectionExt as _},
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GetPropertyReply,
            MapState, Rectangle, Window, WindowClass,
        },
    },
};

/// Most of a text property that is read, in units of four bytes.
const TEXT: u32 = 1_024;
/// A window of more rectangles than this hides nothing.
const MOST_PARTS: usize = 64;
/// So many windows are asked about before their answers are awaited.
const AT_ONCE: usize = 256;

/// Names by which the display knows properties.
#[derive(Debug)]
pub(super) struct Atoms {
    net_name: Atom,
    net_pid: Atom,
    leader: Atom,
    manager: Atom,
    compositor: Atom,
    has_shapes: bool,
}

impl Atoms {
    pub(super) fn new(connection: &Connection, screen: usize) -> Result<Self, ReplyOrIdError> {
        let has = |name| connection.extension_information(name).map(|found| found.is_some());
        let atom = |name: &str| -> Result<Atom, ReplyError> {
            Ok(connection.intern_atom(false, name.as_bytes())?.reply()?.atom)
        };
        if has(res::X11_EXTENSION_NAME)? {
            connection.res_query_version(1, 2)?.reply()?;
        }
        Ok(Self {
            net_name: atom("_NET_WM_NAME")?,
            net_pid: atom("_NET_WM_PID")?,
            leader: atom("WM_CLIENT_LEADER")?,
            manager: atom("_NET_SUPPORTING_WM_CHECK")?,
            compositor: atom(&format!("_NET_WM_CM_S{screen}"))?,
            has_shapes: has(shape::X11_EXTENSION_NAME)?,
        })
    }

    /// Whether a property says whose a window is.
    pub(super) fn matter(&self, atom: Atom) -> bool {
        let standard = [AtomEnum::WM_CLASS, AtomEnum::WM_NAME, AtomEnum::WM_TRANSIENT_FOR].map(Atom::from);
        standard.contains(&atom) || [self.net_name, self.net_pid, self.leader, self.manager].contains(&atom)
    }
}

/// Listens to the root window, and to who composites.
pub(super) fn watch(connection: &Connection, root: Window, atoms: &Atoms) -> Result<(), ReplyOrIdError> {
    // The size of the root is for the capture to hear, by the same connection.
    connection.change_window_attributes(root, &listen(EventMask::STRUCTURE_NOTIFY))?.check()?;
    let mask = xfixes::SelectionEventMask::SET_SELECTION_OWNER
        | xfixes::SelectionEventMask::SELECTION_WINDOW_DESTROY
        | xfixes::SelectionEventMask::SELECTION_CLIENT_CLOSE;
    Ok(connection.xfixes_select_selection_input(root, atoms.compositor, mask)?.check()?)
}

/// Asks to hear of a window's children and of what it says, and of more.
fn listen(more: EventMask) -> ChangeWindowAttributesAux {
    let events = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE | more;
    ChangeWindowAttributesAux::new().event_mask(events)
}

/// Whether a compositing manager is at work.
pub(super) fn is_composited(connection: &Connection, atoms: &Atoms) -> Result<bool, ReplyOrIdError> {
    Ok(connection.get_selection_owner(atoms.compositor)?.reply()?.owner != x11rb::NONE)
}

/// A window of the window manager.
pub(super) fn manager(
    connection: &Connection,
    root: Window,
    atoms: &Atoms,
) -> Result<Option<Window>, ReplyOrIdError> {
    let of = |window| -> Result<Option<Window>, ReplyError> {
        let reply = connection.get_property(false, window, atoms.manager, AtomEnum::WINDOW, 0, 1)?.reply()?;
        Ok(reply.value32().and_then(|mut values| values.next()))
    };
    let Some(found) = of(root)? else { return Ok(None) };
    // What an earlier window manager left behind names a window that is gone, or somebody else's.
    match of(found) {
        Ok(own) => Ok(own.filter(|own| *own == found)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What a window is.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: Window,
    pub(super) parent: Window,
    pub(super) children: Vec<Window>,
    pub(super) shape: Shape,
    pub(super) mapped: bool,
    pub(super) input_only: bool,
    pub(super) redirect: bool,
    /// What can be seen of it, in its own coordinates, where it is no full rectangle.
    pub(super) parts: Option<Vec<Area>>,
    pub(super) about: About,
}

impl Asked {
    pub(super) fn body(&self) -> Body {
        match &self.parts {
            _ if self.input_only => Body::Nothing,
            Some(parts) => Body::Parts(parts.clone()),
            None => Body::Full,
        }
    }
}

/// Asks about windows, and from then on hears of them. Those that are gone are left out; the others stay in order.
pub(super) fn ask(
    connection: &Connection,
    atoms: &Atoms,
    ids: &[Window],
) -> Result<Vec<Asked>, ReplyOrIdError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let mut waiting = Vec::with_capacity(ids.len());
        for &id in ids {
            // Its refusal comes as an event, and the answers below tell the same.
            connection.change_window_attributes(id, &listen(EventMask::NO_EVENT))?.ignore_error();
            if atoms.has_shapes {
                connection.shape_select_input(id, true)?.ignore_error();
            }
            let text = |atom: Atom| connection.get_property(false, id, atom, AtomEnum::ANY, 0, TEXT);
            let number = |atom: Atom, kind| connection.get_property(false, id, atom, kind, 0, 1);
            let properties = [
                text(AtomEnum::WM_CLASS.into())?,
                text(atoms.net_name)?,
                text(AtomEnum::WM_NAME.into())?,
                number(atoms.net_pid, AtomEnum::CARDINAL)?,
                number(atoms.leader, AtomEnum::WINDOW)?,
                number(AtomEnum::WM_TRANSIENT_FOR.into(), AtomEnum::WINDOW)?,
            ];
            let extents = atoms.has_shapes.then(|| connection.shape_query_extents(id)).transpose()?;
            let attributes = connection.get_window_attributes(id)?;
            waiting.push((
                id,
                attributes,
                connection.get_geometry(id)?,
                connection.query_tree(id)?,
                properties,
                extents,
            ));
        }
        for (id, attributes, geometry, tree, properties, extents) in waiting {
            let properties = properties.map(answer);
            let extents = extents.map(answer);
            let (attributes, geometry, tree) = (answer(attributes)?, answer(geometry)?, answer(tree)?);
            let (Some(attributes), Some(geometry), Some(tree)) = (attributes, geometry, tree) else {
                continue;
            };
            let mut said = Vec::with_capacity(properties.len());
            for property in properties {
                said.push(property?);
            }
            let is_shaped = match extents {
                Some(extents) => extents?.is_none_or(|extents| extents.bounding_shaped),
                None => false,
            };
            let parts = if is_shaped { Some(parts(connection, id)?) } else { None };
            let input_only = attributes.class == WindowClass::INPUT_ONLY;
            found.push(Asked {
                id,
                parent: tree.parent,
                children: tree.children,
                shape: Shape {
                    x: geometry.x.into(),
                    y: geometry.y.into(),
                    width: geometry.width.into(),
                    height: geometry.height.into(),
                    border: geometry.border_width.into(),
                },
                mapped: attributes.map_state != MapState::UNMAPPED,
                input_only,
                redirect: attributes.override_redirect,
                parts,
                about: about(&said),
            });
        }
    }
    Ok(found)
}

/// The rectangles that a shaped window consists of; none when they are too many.
fn parts(connection: &Connection, id: Window) -> Result<Vec<Area>, ReplyOrIdError> {
    let reply = answer(connection.shape_get_rectangles(id, shape::SK::BOUNDING)?)?;
    let rectangles = reply.map(|reply| reply.rectangles).filter(|all| all.len() <= MOST_PARTS);
    let area =
        |part: Rectangle| Area::new(part.x.into(), part.y.into(), part.width.into(), part.height.into());
    Ok(rectangles.into_iter().flatten().map(area).collect())
}

/// An answer, or `None` if the window is gone.
fn answer<R: x11rb::x11_utils::TryParse>(
    cookie: Cookie<'_, Connection, R>,
) -> Result<Option<R>, ConnectionError> {
    match cookie.reply() {
        Ok(reply) => Ok(Some(reply)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(ReplyError::ConnectionError(error)) => Err(error),
    }
}

/// From the properties in the order in which they are asked for.
fn about(said: &[Option<GetPropertyReply>]) -> About {
    let get = |at: usize| said.get(at).and_then(Option::as_ref);
    let text = |at: usize| get(at).map(|reply| reply.value.as_slice()).unwrap_or_default();
    let number = |at: usize| get(at).and_then(|reply| reply.value32()?.next()).filter(|value| *value != 0);
    About {
        classes: texts(text(0)),
        titles: [text(1), text(2)].into_iter().flat_map(texts).collect(),
        pid: number(3),
        leader: number(4),
        transient_for: number(5),
    }
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// The process that made a window.
pub(super) fn process(connection: &Connection, window: Window) -> Result<Process, ReplyOrIdError> {
    if connection.extension_information(res::X11_EXTENSION_NAME)?.is_none() {
        return Ok(Process::Foreign);
    }
    let masks = res::ClientIdMask::CLIENT_XID | res::ClientIdMask::LOCAL_CLIENT_PID;
    let spec = res::ClientIdSpec { client: window, mask: masks };
    let ids = match connection.res_query_client_ids(&[spec])?.reply() {
        Ok(reply) => reply.ids,
        Err(ReplyError::X11Error(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if ids.is_empty() {
        // It has gone: whose it was will never be known.
        return Ok(Process::Local(0, None));
    }
    let local = ids.iter().find(|id| id.spec.mask == res::ClientIdMask::LOCAL_CLIENT_PID);
    let pid = local.and_then(|id| id.value.first().copied()).filter(|pid| *pid != 0);
    let Some(pid) = pid else { return Ok(Process::Foreign) };
    let names = names(pid);
    if names.is_none() {
        tracing::warn!(pid, "cannot tell the name of a process with windows: masks by process cover it");
    }
    Ok(Process::Local(pid, names))
}

/// The names that a process goes by: its own, its program's, and the one it was called by.
fn names(pid: u32) -> Option<Vec<String>> {
    let folder = Path::new("/proc").join(pid.to_string());
    let mut names = vec![std::fs::read_to_string(folder.join("comm")).ok()?.trim_end().to_owned()];
    let file = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    names.extend(std::fs::read_link(folder.join("exe")).ok().and_then(|path| file(&path)));
    if let Ok(line) = std::fs::read(folder.join("cmdline")) {
        let first = texts(line.split(|byte| *byte == 0).next().unwrap_or_default());
        names.extend(first.first().and_then(|name| file(Path::new(name))));
    }
    names.dedup();
    Some(names)
}
