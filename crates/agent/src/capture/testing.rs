//! A real X server for tests.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
};
use x11rb::{
    connection::Connection as _,
    protocol::xproto::{ConnectionExt as _, *},
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// An Xvfb of one's own, and a connection to draw with.
pub(crate) struct Display {
    server: Child,
    pub(crate) name: String,
    pub(crate) connection: RustConnection,
    pub(crate) root: Window,
    gc: Gcontext,
    state: u64,
}

impl Display {
    /// Starts one. `more` are further arguments.
    pub(crate) fn start(width: u16, height: u16, more: &[&str]) -> Self {
        let screen = format!("{width}x{height}x24");
        Self::run("Xvfb", &[&["-screen", "0", &screen], more].concat()).expect("install xvfb")
    }

    /// Starts one that can change its size; `None` where there is no Xvnc.
    pub(crate) fn resizable(width: u16, height: u16, depth: u8) -> Option<Self> {
        let (geometry, depth) = (format!("{width}x{height}"), depth.to_string());
        let socket = std::env::temp_dir().join(format!("playhead-{}-{geometry}-{depth}", std::process::id()));
        let socket = socket.to_string_lossy();
        let started = Self::run(
            "Xvnc",
            &["-geometry", &geometry, "-depth", &depth, "-SecurityTypes", "None", "-rfbunixpath", &socket],
        );
        if started.is_none() {
            println!("not run: there is no Xvnc (package tigervnc-standalone-server)");
        }
        started
    }

    fn run(program: &str, arguments: &[&str]) -> Option<Self> {
        let mut server = Command::new(program)
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        let mut pipe = server.stdout.take().unwrap();
        let mut byte = [0];
        while pipe.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            number.push(byte[0] as char);
        }
        let name = format!(":{}", number.trim());
        let (connection, screen) = x11rb::connect(Some(&name)).expect("the X server lets its owner in");
        let root = connection.setup().roots[screen].root;
        let gc = connection.generate_id().unwrap();
        let values =
            CreateGCAux::new().subwindow_mode(SubwindowMode::INCLUDE_INFERIORS).graphics_exposures(0);
        connection.create_gc(gc, root, &values).unwrap();
        Some(Self { server, name, connection, root, gc, state: 7 })
    }

    /// Draws something: a filled rectangle, some lines of noise, or a moved area.
    pub(crate) fn act(&mut self) {
        let (width, height) = self.size();
        let (x, y) = (self.random(width - 20) as i16, self.random(height - 20) as i16);
        let (w, h) = (20 + self.random(200) as u16, 5 + self.random(150) as u16);
        let colour = self.random(0x100_0000);
        let points: Vec<Point> = (0..300)
            .map(|_| Point { x: x + self.random(200) as i16, y: y + self.random(100) as i16 })
            .collect();
        let c = &self.connection;
        c.change_gc(self.gc, &ChangeGCAux::new().foreground(colour)).unwrap();
        match colour % 3 {
            0 => {
                c.poly_fill_rectangle(self.root, self.gc, &[Rectangle { x, y, width: w, height: h }])
                    .unwrap();
            }
            1 => {
                c.poly_point(CoordMode::ORIGIN, self.root, self.gc, &points).unwrap();
            }
            _ => {
                c.copy_area(self.root, self.root, self.gc, x, y, x / 2, y / 2, w, h).unwrap();
            }
        }
        self.sync();
    }

    /// Draws 100 x 100 pixels that no codec can shorten.
    pub(crate) fn noise(&mut self) {
        let data: Vec<u8> = (0..100 * 100 * 4).map(|_| self.random(256) as u8).collect();
        let format = ImageFormat::Z_PIXMAP;
        self.connection.put_image(format, self.root, self.gc, 100, 100, 10, 10, 0, 24, &data).unwrap();
        self.sync();
    }

    /// Switches to another of the display's sizes.
    pub(crate) fn resize(&self, width: u16, height: u16) {
        use x11rb::protocol::randr::ConnectionExt as _;
        let (c, root) = (&self.connection, self.root);
        // What an answer looks like depends on the version that was asked for.
        c.randr_query_version(1, 2).unwrap().reply().unwrap();
        let info = c.randr_get_screen_info(root).unwrap().reply().unwrap();
        let number = info.sizes.iter().position(|size| (size.width, size.height) == (width, height)).unwrap();
        let (now, stamp) = (x11rb::CURRENT_TIME, info.config_timestamp);
        let set = c.randr_set_screen_config(root, now, stamp, number as u16, info.rotation, 0);
        set.unwrap().reply().unwrap();
    }

    /// Divides the screen into two monitors side by side, the left one so many pixels wide.
    pub(crate) fn divide(&self, left: u16) {
        use x11rb::protocol::randr::{ConnectionExt as _, MonitorInfo};
        let c = &self.connection;
        c.randr_query_version(1, 5).unwrap().reply().unwrap();
        let (width, height) = self.size();
        let right = width as u16 - left;
        for (name, x, width) in [("left", 0, left), ("right", left as i16, right)] {
            let name = c.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
            // One that is there cannot be set again.
            c.randr_delete_monitor(self.root, name).unwrap().ignore_error();
            let place = MonitorInfo { name, x, width, height: height as u16, ..MonitorInfo::default() };
            c.randr_set_monitor(self.root, place).unwrap().check().unwrap();
        }
    }

    pub(crate) fn sync(&self) {
        self.connection.sync().unwrap();
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        let geometry = self.connection.get_geometry(self.root).unwrap().reply().unwrap();
        (geometry.width.into(), geometry.height.into())
    }

    /// What the X server itself says that it shows, as a decoder gives pixels.
    pub(crate) fn shot(&self) -> Vec<u32> {
        let (width, height) = self.size();
        let (format, size) = (ImageFormat::Z_PIXMAP, (width as u16, height as u16));
        let reply = self.connection.get_image(format, self.root, 0, 0, size.0, size.1, u32::MAX);
        let data = reply.unwrap().reply().unwrap().data;
        data.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0])).collect()
    }

    /// Moves the pointer.
    pub(crate) fn point(&self, x: i16, y: i16) {
        use x11rb::protocol::xtest::ConnectionExt as _;
        self.connection.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0).unwrap();
        self.sync();
    }

    /// Ends the X server. It takes its lock and its sockets with it.
    pub(crate) fn stop(&mut self) {
        use nix::{
            sys::signal::{Signal, kill},
            unistd::Pid,
        };
        let _ = kill(Pid::from_raw(self.server.id() as i32), Signal::SIGTERM);
        let _ = self.server.wait();
    }

    pub(crate) fn random(&mut self, below: u32) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 32) as u32 % below.max(1)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop();
    }
}
