//! The agent's copy of a display's picture.

use super::{CaptureError, Connection, memory::SharedMemory};
use crate::mask::{Area, Cover};
use playhead_model::MaskColour;
use playhead_screen::{Picture, Rect};
use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    protocol::{
        shm::{self, ConnectionExt as _},
        xproto::{ConnectionExt as _, ImageFormat, Rectangle},
    },
};

const PIXEL: usize = 4;
/// More rectangles than this are fetched as the rows they cover: a request each would cost more than the pixels.
const MOST_RECTS: usize = 48;
/// Bytes of shared memory, or one row where that is more. Whatever fits is fetched in one moment; a change of more than a
/// eighth of a large screen may be fetched in several, and what is drawn in between comes again with the next picture.
const AREA: usize = 1 << 20;
/// Width and height of the picture where none is captured.
const BLANK: (u16, u16) = (16, 16);
/// Without shared memory a reply has at most about this many bytes.
const STRIP: usize = 1 << 20;

/// A copy of the root window's pixels and the way they come.
pub(super) struct Frame {
    root: u32,
    width: u16,
    height: u16,
    pixels: Vec<u8>,
    /// Nothing of the copy is valid: fetch it whole.
    stale: bool,
    shared: Option<Segment>,
    depth: u8,
}

/// Shared memory that the display knows under an id.
struct Segment {
    memory: SharedMemory,
    id: shm::Seg,
}

impl Frame {
    pub(super) fn new(
        connection: &Connection,
        root: u32,
        depth: u8,
        size: (u16, u16),
    ) -> Result<Self, CaptureError> {
        let mut frame =
            Self { root, width: 0, height: 0, pixels: Vec::new(), stale: true, shared: None, depth };
        frame.resize(connection, size)?;
        Ok(frame)
    }

    /// A small black picture, in place of one that is not to be captured.
    pub(super) fn blank(root: u32, depth: u8) -> Self {
        let (width, height) = BLANK;
        let pixels = vec![0; usize::from(width) * usize::from(height) * PIXEL];
        Self { root, width, height, pixels, stale: false, shared: None, depth }
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    pub(super) fn picture(&self) -> Picture<'_> {
        Picture {
            width: self.width.into(),
            height: self.height.into(),
            stride: usize::from(self.width) * PIXEL,
            data: &self.pixels,
        }
    }

    /// Takes another size.
    pub(super) fn resize(
        &mut self,
        connection: &Connection,
        (width, height): (u16, u16),
    ) -> Result<(), CaptureError> {
        (self.width, self.height, self.stale) = (width, height, true);
        let bytes = usize::from(width) * usize::from(height) * PIXEL;
        self.pixels = vec![0; bytes];
        if let Some(Segment { id, .. }) = self.shared.take() {
            connection.shm_detach(id)?;
        }
        let room = bytes.min(AREA.max(usize::from(width) * PIXEL));
        self.shared = match attach(connection, room) {
            Ok(segment) => segment,
            Err(CaptureError::Gone(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "no shared memory with the display: its picture costs more to read");
                None
            }
        };
        Ok(())
    }

    /// The copy cannot be trusted any more.
    pub(super) fn forget(&mut self) {
        self.stale = true;
    }

    /// Fetches what `damage` covers and what is `open`, or everything where nothing is valid, and returns what was fetched.
    pub(super) fn fetch(
        &mut self,
        connection: &Connection,
        damage: &[Rectangle],
        open: &[Rect],
    ) -> Result<Vec<Rect>, CaptureError> {
        let whole = Rect { x: 0, y: 0, width: self.width.into(), height: self.height.into() };
        let rects = if self.stale { vec![whole] } else { plan(damage, open, self.width, self.height) };
        if rects.is_empty() {
            return Ok(rects);
        }
        match &self.shared {
            Some(_) => self.fetch_shared(connection, &rects)?,
            None => self.fetch_plain(connection, &rects)?,
        }
        self.stale = false;
        Ok(rects)
    }

    /// Paints over everything in `cover`, or over what of it lies in some of the rectangles. Returns where that is.
    pub(super) fn cover(&mut self, cover: &Cover, only: Option<&Vec<Rect>>) -> Vec<Rect> {
        let (width, height) = (u32::from(self.width), u32::from(self.height));
        let mut covered = Vec::new();
        for (colour, area) in cover.areas() {
            let pixel: [u8; PIXEL] = match colour {
                MaskColour::Black => [0; PIXEL],
                MaskColour::Grey => [0x80; PIXEL],
                MaskColour::White => [0xff; PIXEL],
            };
            match only {
                None => covered.extend(area.within(width, height).map(|rect| (pixel, rect))),
                Some(rects) => covered.extend(rects.iter().filter_map(|rect| {
                    let both = area.both(Area::from(*rect));
                    Some((pixel, both.within(width, height)?))
                })),
            }
        }
        let stride = usize::from(self.width) * PIXEL;
        for (pixel, rect) in &covered {
            let first = rect.y as usize * stride + rect.x as usize * PIXEL;
            for row in self.pixels[first..].chunks_mut(stride).take(rect.height as usize) {
                row[..rect.width as usize * PIXEL].as_chunks_mut().0.fill(*pixel);
            }
        }
        covered.into_iter().map(|(_, rect)| rect).collect()
    }

    /// As many rectangles as there is room for side by side in the shared memory, then into their places, and so on.
    fn fetch_shared(&mut self, connection: &Connection, rects: &[Rect]) -> Result<(), CaptureError> {
        let Some(Segment { memory, id }) = &self.shared else { return Ok(()) };
        for batch in batches(rects, AREA.max(usize::from(self.width) * PIXEL)) {
            let mut waiting = Vec::with_capacity(batch.len());
            for (rect, offset) in &batch {
                let (x, y, width, height) = narrow(rect);
                let format = u8::from(ImageFormat::Z_PIXMAP);
                let (root, planes) = (self.root, u32::MAX);
                let at = u32::try_from(*offset).unwrap_or(u32::MAX);
                waiting.push(connection.shm_get_image(root, x, y, width, height, planes, format, *id, at)?);
            }
            // Every answer is awaited, so that the display has written everything and nothing of it comes later.
            let mut refused = None;
            for cookie in waiting {
                if let Err(error) = cookie.reply() {
                    refused = Some(error);
                }
            }
            if let Some(error) = refused {
                return Err(error.into());
            }
            let stride = usize::from(self.width) * PIXEL;
            for (rect, offset) in &batch {
                let row = rect.width as usize * PIXEL;
                let first = rect.y as usize * stride + rect.x as usize * PIXEL;
                let rows = self.pixels[first..].chunks_mut(stride).take(rect.height as usize);
                for (at, pixels) in rows.enumerate() {
                    memory.read(offset + at * row, &mut pixels[..row]).map_err(CaptureError::Memory)?;
                }
            }
        }
        Ok(())
    }

    /// Through the socket, in strips.
    fn fetch_plain(&mut self, connection: &Connection, rects: &[Rect]) -> Result<(), CaptureError> {
        let stride = usize::from(self.width) * PIXEL;
        for rect in rects {
            let row = rect.width as usize * PIXEL;
            let strip = u32::try_from((STRIP / row.max(1)).max(1)).unwrap_or(u32::MAX);
            let mut top = rect.y;
            while top < rect.y + rect.height {
                let part = Rect { y: top, height: strip.min(rect.y + rect.height - top), ..*rect };
                let (x, y, width, height) = narrow(&part);
                let reply = connection
                    .get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, u32::MAX)?
                    .reply()?;
                if reply.depth != self.depth || reply.data.len() != row * part.height as usize {
                    let got = reply.data.len();
                    return Err(CaptureError::Request(format!(
                        "expected {width} x {height} pixels, got {got} bytes"
                    )));
                }
                for (at, pixels) in (top..).zip(reply.data.chunks_exact(row)) {
                    let start = at as usize * stride + rect.x as usize * PIXEL;
                    self.pixels[start..start + row].copy_from_slice(pixels);
                }
                top += part.height;
            }
        }
        Ok(())
    }
}

/// Cuts rectangles into strips of at most `room` bytes and puts together what fits in it, each with its place there.
fn batches(rects: &[Rect], room: usize) -> Vec<Vec<(Rect, usize)>> {
    let (mut batches, mut batch, mut used) = (Vec::new(), Vec::new(), 0);
    for rect in rects {
        let row = rect.width as usize * PIXEL;
        let most = u32::try_from(room / row.max(1)).unwrap_or(u32::MAX).max(1);
        let mut top = rect.y;
        while top < rect.y + rect.height {
            let strip = Rect { y: top, height: most.min(rect.y + rect.height - top), ..*rect };
            let bytes = row * strip.height as usize;
            if used + bytes > room && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                used = 0;
            }
            batch.push((strip, used));
            used += bytes;
            top += strip.height;
        }
    }
    batches.push(batch);
    batches
}

/// Shares memory for `bytes` with the display; `None` where it cannot.
fn attach(connection: &Connection, bytes: usize) -> Result<Option<Segment>, CaptureError> {
    if connection.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
        return Ok(None);
    }
    let version = connection.shm_query_version()?.reply()?;
    if (version.major_version, version.minor_version) < (1, 2) {
        return Ok(None);
    }
    let memory = SharedMemory::new(bytes).map_err(CaptureError::Memory)?;
    let id = connection.generate_id()?;
    // A file, not a SysV segment: those are refused where display and agent run as different users.
    let file = memory.share().map_err(CaptureError::Memory)?;
    connection.shm_attach_fd(id, file, false)?.check()?;
    Ok(Some(Segment { memory, id }))
}

/// What to fetch for some damage and more: the rectangles within the picture, or the rows they cover when they are many.
fn plan(damage: &[Rectangle], more: &[Rect], width: u16, height: u16) -> Vec<Rect> {
    let clip = |rect: &Rectangle| {
        let (left, top) = (i32::from(rect.x).max(0), i32::from(rect.y).max(0));
        let right = (i32::from(rect.x) + i32::from(rect.width)).min(width.into());
        let bottom = (i32::from(rect.y) + i32::from(rect.height)).min(height.into());
        let side = |from: i32, to: i32| u32::try_from(to - from).ok().filter(|&side| side > 0);
        Some(Rect {
            x: left.unsigned_abs(),
            y: top.unsigned_abs(),
            width: side(left, right)?,
            height: side(top, bottom)?,
        })
    };
    let mut rects: Vec<Rect> = damage.iter().filter_map(clip).chain(more.iter().copied()).collect();
    if rects.len() <= MOST_RECTS {
        return rects;
    }
    rects.sort_by_key(|rect| rect.y);
    let mut bands: Vec<Rect> = Vec::new();
    for rect in rects {
        match bands.last_mut() {
            Some(band) if rect.y <= band.y + band.height => {
                let right = (band.x + band.width).max(rect.x + rect.width);
                band.x = band.x.min(rect.x);
                band.width = right - band.x;
                band.height = band.height.max(rect.y + rect.height - band.y);
            }
            _ => bands.push(rect),
        }
    }
    while bands.len() > MOST_RECTS {
        // Whoever is that scattered gets one rectangle around every two bands.
        bands = bands.chunks(2).map(around).collect();
    }
    bands
}

fn around(rects: &[Rect]) -> Rect {
    let left = rects.iter().map(|rect| rect.x).min().unwrap_or(0);
    let top = rects.iter().map(|rect| rect.y).min().unwrap_or(0);
    let right = rects.iter().map(|rect| rect.x + rect.width).max().unwrap_or(0);
    let bottom = rects.iter().map(|rect| rect.y + rect.height).max().unwrap_or(0);
    Rect { x: left, y: top, width: right - left, height: bottom - top }
}

/// A rectangle within a picture, whose sides fit 15 bits, as the protocol wants it.
fn narrow(rect: &Rect) -> (i16, i16, u16, u16) {
    let short = |value: u32| i16::try_from(value).unwrap_or(i16::MAX);
    let wide = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    (short(rect.x), short(rect.y), wide(rect.width), wide(rect.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangle(x: i16, y: i16, width: u16, height: u16) -> Rectangle {
        Rectangle { x, y, width, height }
    }

    fn area(rects: &[Rect]) -> u64 {
        rects.iter().map(|rect| u64::from(rect.width) * u64::from(rect.height)).sum()
    }

    #[test]
    fn damage_is_clipped_to_the_picture() {
        let rects = plan(
            &[
                rectangle(-5, 3, 10, 10),
                rectangle(90, 90, 50, 50),
                rectangle(200, 0, 5, 5),
                rectangle(0, -9, 5, 9),
            ],
            &[],
            100,
            100,
        );
        let found: Vec<_> = rects.iter().map(|rect| (rect.x, rect.y, rect.width, rect.height)).collect();
        assert_eq!(found, [(0, 3, 5, 10), (90, 90, 10, 10)]);
    }

    #[test]
    fn batches_hold_every_row_once_and_no_more_than_there_is_room() {
        let rects = [
            Rect { x: 0, y: 0, width: 100, height: 3 },
            Rect { x: 5, y: 10, width: 10, height: 100 },
            Rect { x: 0, y: 200, width: 250, height: 2 },
        ];
        for room in [1_000, 1_500, 5_000, 1 << 20] {
            let mut rows = Vec::new();
            for batch in batches(&rects, room) {
                let mut end = 0;
                for (rect, offset) in batch {
                    assert_eq!(offset, end);
                    end += rect.width as usize * PIXEL * rect.height as usize;
                    assert!(end <= room);
                    rows.extend((rect.y..rect.y + rect.height).map(|y| (rect.x, rect.width, y)));
                }
            }
            let expected: Vec<_> = rects
                .iter()
                .flat_map(|rect| (rect.y..rect.y + rect.height).map(|y| (rect.x, rect.width, y)))
                .collect();
            assert_eq!(rows, expected, "{room}");
        }
    }

    #[test]
    fn many_rectangles_become_few_that_cover_them_and_never_more_than_the_picture() {
        for step in [7u16, 11, 40] {
            let mut damage = Vec::new();
            for y in (0..1_000).step_by(step.into()) {
                for x in (0..1_900).step_by(200) {
                    damage.push(rectangle(x, y, 20, 5));
                }
            }
            let rects = plan(&damage, &[], 1920, 1080);
            assert!(rects.len() <= MOST_RECTS);
            assert!(area(&rects) <= 1920 * 1080);
            for one in damage {
                let covered = rects.iter().any(|rect| {
                    rect.x <= one.x as u32
                        && rect.y <= one.y as u32
                        && rect.x + rect.width >= u32::from(one.x as u16 + one.width)
                        && rect.y + rect.height >= u32::from(one.y as u16 + one.height)
                });
                assert!(covered, "{one:?}");
            }
        }
    }
}
