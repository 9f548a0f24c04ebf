//! A session host with xrdp, and people who come to it by FreeRDP.

use crate::alone::Place;
use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::Uid;
use playhead_testsuite::{Program, wait_for};
use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        xproto::{
            AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, KEY_PRESS_EVENT,
            KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// Programs without which there is no such host.
const PROGRAMS: [&str; 6] = [
    "/usr/sbin/xrdp",
    "/usr/sbin/xrdp-sesman",
    "/usr/bin/xfreerdp",
    "/usr/bin/openbox",
    "/usr/bin/xterm",
    "/usr/sbin/useradd",
];
const PASSWORD: &str = "Play-head-7";

/// xrdp, and accounts on this machine. All of it is gone with this value.
pub(crate) struct Host {
    folder: PathBuf,
    daemons: Vec<Child>,
    people: Vec<String>,
    /// Where the clients' windows are.
    screen: Program,
    screen_name: String,
}

impl Host {
    /// Starts one, with these settings of xrdp in a copy of the machine; `None` where that is not possible, which is told.
    pub(crate) async fn start(
        folder: &Path,
        people: &[&str],
        place: &Place,
        settings: &[(&str, &str)],
    ) -> Result<Option<Self>> {
        let missing = PROGRAMS.iter().find(|program| !Path::new(program).exists());
        if let Some(missing) = missing {
            println!("not run: there is no {missing} (scripts/deps.sh test)");
            return Ok(None);
        }
        if !Uid::effective().is_root() {
            println!("not run: a session host needs root");
            return Ok(None);
        }
        if place.is_copy() {
            set(settings)?;
        }
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]);
        let mut screen = Program::start(&mut command, &folder.join("clients.log"))?;
        let screen_name = format!(":{}", screen.line()?);
        let mut host =
            Self { folder: folder.to_owned(), daemons: Vec::new(), people: Vec::new(), screen, screen_name };
        for person in people {
            host.add(person)?;
        }
        if TcpStream::connect("127.0.0.1:3389").is_err() {
            std::fs::create_dir_all("/run/xrdp")?;
            for daemon in ["xrdp-sesman", "xrdp"] {
                let log = std::fs::File::create(folder.join(format!("{daemon}.log")))?;
                let mut command = Command::new(format!("/usr/sbin/{daemon}"));
                command.arg("--nodaemon").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
                host.daemons.push(command.spawn()?);
            }
            wait_for("xrdp", Duration::from_secs(20), async || {
                Ok(TcpStream::connect("127.0.0.1:3389").is_ok().then_some(()))
            })
            .await?;
        }
        Ok(Some(host))
    }

    fn add(&mut self, person: &str) -> Result<()> {
        run("userdel", &["--force", "--remove", person]).ok();
        run("useradd", &["--create-home", "--shell", "/bin/bash", person])?;
        self.people.push(person.to_owned());
        let mut passwords = Command::new("chpasswd").stdin(Stdio::piped()).spawn()?;
        let mut stdin = passwords.stdin.take().context("no input")?;
        std::io::Write::write_all(&mut stdin, format!("{person}:{PASSWORD}\n").as_bytes())?;
        drop(stdin);
        ensure!(passwords.wait()?.success(), "no password for {person}");
        self.write_session(person, "openbox &\nxterm &\nexec sleep 100000\n")
    }

    /// What a person's desktop is.
    pub(crate) fn write_session(&self, person: &str, text: &str) -> Result<()> {
        let home = PathBuf::from("/home").join(person);
        let script = home.join(".xsession");
        std::fs::write(&script, text)?;
        run("chmod", &["+x", &script.to_string_lossy()])?;
        run("chown", &["-R", &format!("{person}:"), &home.to_string_lossy()])
    }

    /// Signs somebody in from a client of this name, with a desktop of this size.
    pub(crate) fn sign_in(&self, person: &str, client: &str, size: &str) -> Result<Client> {
        self.sign_in_to(person, client, size, None)
    }

    /// The same, to a program in place of the desktop, where one is given.
    pub(crate) fn sign_in_to(
        &self,
        person: &str,
        client: &str,
        size: &str,
        program: Option<&str>,
    ) -> Result<Client> {
        let log = std::fs::File::create(self.folder.join(format!("{person}-{client}.log")))?;
        let mut command = Command::new("xfreerdp");
        command.args(["/v:127.0.0.1", "/cert:ignore", &format!("/u:{person}"), &format!("/p:{PASSWORD}")]);
        command.args([format!("/size:{size}"), format!("/client-hostname:{client}")]);
        command.args(program.map(|program| format!("/shell:{program}")));
        command.env("DISPLAY", &self.screen_name).env("HOME", &self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Client(command.spawn()?))
    }

    /// Starts a session of a person's on Xvnc, to which nobody is connected.
    pub(crate) fn start_on_xvnc(&self, person: &str) -> Result<()> {
        run("xrdp-sesrun", &["-s", "127.0.0.1", "-t", "Xvnc", "-g", "800x600", "-p", PASSWORD, person])
    }

    /// Where clients' windows are.
    pub(crate) fn screen(&self) -> &str {
        &self.screen_name
    }
}

/// Sets what stands in xrdp's settings.
fn set(settings: &[(&str, &str)]) -> Result<()> {
    let path = "/etc/xrdp/xrdp.ini";
    let text = std::fs::read_to_string(path)?;
    let is_set = |line: &&str| {
        line.split_once('=').is_some_and(|(key, _)| settings.iter().any(|(name, _)| key.trim() == *name))
    };
    let mut lines: Vec<String> = text.lines().filter(|line| !is_set(line)).map(str::to_owned).collect();
    for (name, value) in settings {
        let section = if *name == "EnableProcessId" { "[Logging]" } else { "[Globals]" };
        let at = lines.iter().position(|line| line.trim() == section).context("no such section")?;
        lines.insert(at + 1, format!("{name}={value}"));
    }
    Ok(std::fs::write(path, lines.join("\n") + "\n")?)
}

impl Drop for Host {
    fn drop(&mut self) {
        for person in &self.people {
            // Sessions belong to the accounts and end with them.
            let _ = Command::new("pkill").args(["-KILL", "-u", person]).status();
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for person in &self.people {
            let _ = run("userdel", &["--force", "--remove", person]);
        }
        let _ = self.screen.stop(Duration::from_secs(5));
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let done =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    if !done.status.success() {
        let said =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        bail!("{program} {arguments:?}: {}: {said}", done.status);
    }
    Ok(())
}

/// A client that is connected. Dropped, it is cut off; the session goes on.
pub(crate) struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody at the keyboard of a session.
pub(crate) struct Hands {
    connection: RustConnection,
    root: u32,
}

impl Hands {
    /// At the display of a person's session.
    pub(crate) fn at(display: &str, person: &str) -> Result<Self> {
        // Tests that run beside this one must not be sent to another display's cookies.
        let cookies = format!("/home/{person}/.Xauthority");
        let told = Command::new("xauth").args(["-f", &cookies, "list", display]).output()?;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let cookie = text.split_whitespace().nth(2).context("no cookie")?;
        let bytes: Vec<u8> = (0..cookie.len() / 2)
            .map(|at| u8::from_str_radix(&cookie[at * 2..at * 2 + 2], 16))
            .collect::<Result<_, _>>()?;
        let number = display.trim_start_matches(':');
        let path = format!("/tmp/.X11-unix/X{number}");
        let stream = std::os::unix::net::UnixStream::connect(path)?;
        let (stream, _) = x11rb::rust_connection::DefaultStream::from_unix_stream(stream)?;
        let name = b"MIT-MAGIC-COOKIE-1".to_vec();
        let connection = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, bytes)?;
        let root = connection.setup().roots[0].root;
        Ok(Self { connection, root })
    }

    /// Presses the key with this X keysym.
    pub(crate) fn press(&self, keysym: u32) -> Result<()> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let keys = self.connection.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        let each = usize::from(keys.keysyms_per_keycode);
        let at = keys.keysyms.iter().position(|&other| other == keysym).context("no such key")?;
        let code = first + u8::try_from(at / each)?;
        for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            self.connection.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)?;
        }
        Ok(self.connection.sync()?)
    }

    /// Waits until the notice is shown.
    pub(crate) async fn see_notice(&self) -> Result<()> {
        wait_for("the notice", Duration::from_secs(20), async || Ok(self.notice(self.root)?.map(|_| ())))
            .await
    }

    /// Clicks the button of the notice, which is at its lower right, where one is shown.
    pub(crate) fn click_notice(&self) -> Result<()> {
        let Some((window, width, height)) = self.notice(self.root)? else { return Ok(()) };
        let (right, up) = (98, 56);
        let place = self
            .connection
            .translate_coordinates(
                window,
                self.root,
                i16::try_from(width)? - right,
                i16::try_from(height)? - up,
            )?
            .reply()?;
        for kind in [MOTION_NOTIFY_EVENT, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            let detail = u8::from(kind != MOTION_NOTIFY_EVENT);
            self.connection.xtest_fake_input(kind, detail, 0, self.root, place.dst_x, place.dst_y, 0)?;
        }
        Ok(self.connection.sync()?)
    }

    /// The notice's window below another one, with its size.
    fn notice(&self, below: u32) -> Result<Option<(u32, u16, u16)>> {
        for child in self.connection.query_tree(below)?.reply()?.children {
            let kind = u32::from(AtomEnum::STRING);
            let class = self.connection.get_property(false, child, AtomEnum::WM_CLASS, kind, 0, 64)?.reply();
            if class.is_ok_and(|class| class.value.starts_with(b"playhead-notice")) {
                let place = self.connection.get_geometry(child)?.reply()?;
                return Ok(Some((child, place.width, place.height)));
            }
            if let Some(found) = self.notice(child)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Width and height of the session's screen.
    pub(crate) fn size(&self) -> Result<(u16, u16)> {
        let root = self.connection.get_geometry(self.root)?.reply()?;
        Ok((root.width, root.height))
    }
}
