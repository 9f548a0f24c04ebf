//! A real X server with something to record on it.

use crate::{Program, Shot};
use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{path::Path, process::Command};
use x11rb::{
    connection::{Connection as _, RequestConnection as _},
    protocol::{
        randr::{self, ConnectionExt as _},
        xproto::{ConnectionExt as _, *},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// An X display and a window that can be drawn on.
pub struct Display {
    server: Program,
    name: String,
    connection: RustConnection,
    root: Window,
    window: Window,
    gc: Gcontext,
    size: (u16, u16),
    random: SmallRng,
}

impl Display {
    /// Starts an X server of `width` x `height` and fills it with one window of a noisy picture.
    ///
    /// # Errors
    /// Xvnc is not installed or does not start.
    pub fn start(folder: &Path, width: u16, height: u16, seed: u64) -> Result<Self> {
        // Xvnc rather than Xvfb: it is what remote desktops run on, and its screen can change its size.
        let mut command = Command::new("Xvnc");
        command.args([
            "-displayfd",
            "1",
            "-SecurityTypes",
            "None",
            "-rfbport",
            "-1",
            "-depth",
            "24",
            "-noreset",
        ]);
        command.args(["-rfbunixpath"]).arg(folder.join("vnc")).args(["-nolisten", "tcp", "-geometry"]);
        command.arg(format!("{width}x{height}"));
        let mut server = Program::start(&mut command, &folder.join("xserver.log"))?;
        let name = format!(":{}", server.line().context("Xvnc gives no display")?);
        let (connection, screen) = x11rb::connect(Some(&name))?;
        let screen = connection.setup().roots[screen].clone();
        let (window, gc) = (connection.generate_id()?, connection.generate_id()?);
        let values = CreateWindowAux::new().background_pixel(0x30_40_50).override_redirect(1);
        let (depth, class) = (screen.root_depth, WindowClass::INPUT_OUTPUT);
        connection.create_window(
            depth,
            window,
            screen.root,
            0,
            0,
            width,
            height,
            0,
            class,
            screen.root_visual,
            &values,
        )?;
        connection.map_window(window)?;
        connection.create_gc(gc, window, &CreateGCAux::new().graphics_exposures(0))?;
        let random = SmallRng::seed_from_u64(seed);
        let size = (width, height);
        let mut display = Self { server, name, connection, root: screen.root, window, gc, size, random };
        display.noise(0, 0, width, height)?;
        display.sync()?;
        Ok(display)
    }

    /// Its name, such as `:7`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does something that changes the picture: text-like marks, a scroll, a moved block, a noisy picture, a plain area.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn act(&mut self) -> Result<()> {
        let (x, y, width, height) = self.area();
        match self.random.random_range(0..6) {
            0 => self.noise(x, y, width.min(300), height.min(200))?,
            1 => self.fill(x, y, width, height)?,
            2 => {
                // A scroll: what is below moves up, new lines come in at the lower edge.
                let by = self.random.random_range(1..40).min(height - 1);
                let (sx, sy) = (x as i16, y as i16);
                self.connection.copy_area(
                    self.window,
                    self.window,
                    self.gc,
                    sx,
                    sy + by as i16,
                    sx,
                    sy,
                    width,
                    height - by,
                )?;
                self.fill(x, y + height - by, width, by)?;
            }
            3 => {
                let (to_x, to_y, ..) = self.area();
                self.connection.copy_area(
                    self.window,
                    self.window,
                    self.gc,
                    x as i16,
                    y as i16,
                    to_x as i16,
                    to_y as i16,
                    width,
                    height,
                )?;
            }
            _ => self.marks(x, y)?,
        }
        self.connection.flush()?;
        Ok(())
    }

    /// Fills the whole window with one colour.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn flash(&mut self, colour: u32) -> Result<()> {
        self.connection.change_gc(self.gc, &ChangeGCAux::new().foreground(colour))?;
        let whole = Rectangle { x: 0, y: 0, width: self.size.0, height: self.size.1 };
        self.connection.poly_fill_rectangle(self.window, self.gc, &[whole])?;
        self.sync()
    }

    /// Writes text-like marks, in strokes of 420 x 24 pixels at most.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn write(&mut self, x: u16, y: u16) -> Result<()> {
        self.marks(x, y)?;
        self.sync()
    }

    /// Waits until the server has done everything asked of it.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn sync(&self) -> Result<()> {
        Ok(self.connection.sync()?)
    }

    /// The X server's own picture of the screen, without the pointer.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn shot(&self) -> Result<Shot> {
        let size = self.connection.get_geometry(self.root)?.reply()?;
        let image = self.connection.get_image(
            ImageFormat::Z_PIXMAP,
            self.root,
            0,
            0,
            size.width,
            size.height,
            u32::MAX,
        )?;
        Ok(Shot::from_bgrx(size.width.into(), size.height.into(), &image.reply()?.data))
    }

    /// Changes the screen's size through RandR, as a reconnecting client does, to one of those the server offers.
    ///
    /// # Errors
    /// The X server does not offer the size.
    pub fn resize(&mut self, width: u16, height: u16) -> Result<()> {
        // What an answer looks like depends on the version that was asked for.
        self.connection.randr_query_version(1, 2)?.reply()?;
        let info = self.connection.randr_get_screen_info(self.root)?.reply()?;
        let fits = |size: &randr::ScreenSize| (size.width, size.height) == (width, height);
        let index = info.sizes.iter().position(fits).with_context(|| format!("no size {width}x{height}"))?;
        let (now, stamp) = (x11rb::CURRENT_TIME, info.config_timestamp);
        self.connection
            .randr_set_screen_config(self.root, now, stamp, index as u16, randr::Rotation::ROTATE0, 0)?
            .reply()?;
        self.size = (width, height);
        self.sync()
    }

    /// Moves the pointer.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn point(&self, x: i16, y: i16) -> Result<()> {
        self.connection.warp_pointer(x11rb::NONE, self.root, 0, 0, 0, 0, x, y)?;
        self.sync()
    }

    /// Ends the X server at once.
    pub fn kill(&mut self) {
        self.server.kill_hard();
    }

    fn area(&mut self) -> (u16, u16, u16, u16) {
        let width = self.random.random_range(8..=self.size.0 / 2);
        let height = self.random.random_range(48..=self.size.1 / 2);
        let x = self.random.random_range(0..=self.size.0 - width);
        let y = self.random.random_range(0..=self.size.1 - height);
        (x, y, width, height)
    }

    fn fill(&mut self, x: u16, y: u16, width: u16, height: u16) -> Result<()> {
        let colour = self.random.random_range(0..0x100_0000);
        self.connection.change_gc(self.gc, &ChangeGCAux::new().foreground(colour))?;
        let area = Rectangle { x: x as i16, y: y as i16, width, height };
        self.connection.poly_fill_rectangle(self.window, self.gc, &[area])?;
        Ok(())
    }

    /// Many small strokes of two colours, as text is.
    fn marks(&mut self, x: u16, y: u16) -> Result<()> {
        let colour = self.random.random_range(0..0x100_0000);
        self.connection.change_gc(self.gc, &ChangeGCAux::new().foreground(colour))?;
        let strokes: Vec<_> = (0..60)
            .map(|index: i16| Rectangle {
                x: x as i16 + index * 7,
                y: y as i16 + self.random.random_range(0..12),
                width: self.random.random_range(1..6),
                height: self.random.random_range(1..12),
            })
            .collect();
        self.connection.poly_fill_rectangle(self.window, self.gc, &strokes)?;
        Ok(())
    }

    /// Smooth colour with grain, as a photo is.
    fn noise(&mut self, x: u16, y: u16, width: u16, height: u16) -> Result<()> {
        // A request holds a limited number of bytes, so the picture goes in bands.
        let band =
            ((self.connection.maximum_request_bytes() - 64) / (usize::from(width) * 4)).clamp(1, 64) as u16;
        let mut top = 0;
        while top < height {
            let rows = band.min(height - top);
            let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(rows) * 4);
            for row in top..top + rows {
                for column in 0..width {
                    let base = u32::from(row + column) / 8;
                    for shift in 0..3 {
                        pixels.push((base * (shift + 1) + self.random.random_range(0..5)) as u8);
                    }
                    pixels.push(0);
                }
            }
            let (at_x, at_y) = (x as i16, (y + top) as i16);
            self.connection.put_image(
                ImageFormat::Z_PIXMAP,
                self.window,
                self.gc,
                width,
                rows,
                at_x,
                at_y,
                0,
                24,
                &pixels,
            )?;
            top += rows;
        }
        Ok(())
    }
}
