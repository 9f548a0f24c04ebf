//! What a person does on the desktop, from the seed.

use std::time::{Duration, Instant};

use x11rb::protocol::xproto::Window;

use super::apps::{App, Kind};
use super::content::sentence;
use super::random::Random;
use super::screen::{Area, button, key};
use super::stage::Stage;
use super::{DesktopError, Options};

/// A kind of work, which asks its own of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Activity {
    /// Prose in a text editor, with slips and thinking.
    Typing,
    /// Commands in a terminal: long lists, a build, a process monitor.
    Terminal,
    /// Reading web pages: scrolling text, figures and photographs.
    Browsing,
    /// Moving and minimising windows, opening menus.
    Windows,
    /// A video clip beside a text.
    Video,
    /// Next to nothing.
    Idle,
}

impl Activity {
    /// All of them, in the order of a first round.
    pub(crate) const ALL: [Self; 6] =
        [Self::Terminal, Self::Typing, Self::Browsing, Self::Windows, Self::Video, Self::Idle];

    /// Its name on the command line and in file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Typing => "typing",
            Self::Terminal => "terminal",
            Self::Browsing => "browsing",
            Self::Windows => "windows",
            Self::Video => "video",
            Self::Idle => "idle",
        }
    }

    /// The applications it is done with.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Typing => &[Kind::Editor],
            Self::Terminal => &[Kind::Terminal],
            Self::Browsing => &[Kind::Browser],
            Self::Windows => &[Kind::Browser, Kind::Editor, Kind::Terminal],
            Self::Video => &[Kind::Editor, Kind::Player],
            Self::Idle => &[Kind::Terminal, Kind::Editor],
        }
    }

    /// Where each application lies on the screen, in thousandths: x, y, width, height.
    fn place(self, kind: Kind) -> (i32, i32, i32, i32) {
        match (self, kind) {
            (Self::Windows, Kind::Browser) => (260, 110, 620, 740),
            (Self::Windows, Kind::Editor) => (30, 55, 470, 650),
            (Self::Windows, _) => (365, 280, 470, 555),
            (Self::Video, Kind::Editor) => (30, 55, 520, 830),
            (Self::Video, _) => (600, 280, 333, 333),
            (Self::Idle, Kind::Terminal) => (470, 370, 470, 460),
            (_, Kind::Editor) => (100, 75, 730, 830),
            (_, Kind::Browser) => (30, 30, 890, 930),
            (_, _) => (60, 55, 680, 830),
        }
    }
}

/// How long an activity goes on before its windows are put in order again, when it is the only one.
const ALONE: Duration = Duration::from_secs(600);

/// Works on the desktop until it ends or is told to stop; both are errors.
pub(super) fn play(stage: &mut Stage, options: &Options) -> Result<(), DesktopError> {
    let wanted: Vec<Activity> = match options.only {
        Some(activity) => {
            // Who asks for one kind of work wants to hear what it needs.
            for kind in activity.kinds() {
                kind.program()?;
            }
            vec![activity]
        }
        None => possible(),
    };
    let mut script = Script::new(stage, options.seed, 2);
    let mut round = wanted.clone();
    loop {
        for &activity in &round {
            let tried = script.prepare(activity).and_then(|()| {
                let time = script.random.time(12_000, 24_000);
                // Preparing is work too: who wants an idle desktop gets one.
                let time = if options.only.is_some() { ALONE } else { time };
                script.perform(activity, Instant::now() + time)
            });
            match tried {
                Ok(()) => {}
                Err(error @ DesktopError::NoWindow { .. }) => {
                    tracing::warn!(error = %error, activity = activity.name(), "the demonstration goes on without");
                    script.stage.pause(Duration::from_secs(1))?;
                }
                Err(error) => return Err(error),
            }
            if activity == Activity::Video && round.len() > 1 {
                script.stage.close(&[Kind::Player]);
            }
        }
        for last in (1..round.len()).rev() {
            let other = script.random.range(0, i32::try_from(last).unwrap_or(0));
            round.swap(last, usize::try_from(other).unwrap_or(0));
        }
    }
}

/// The kinds of work whose programs are installed; says what to install for the others.
fn possible() -> Vec<Activity> {
    let mut missing: Vec<Kind> =
        Activity::ALL.iter().flat_map(|activity| activity.kinds()).copied().collect();
    missing.sort_unstable();
    missing.dedup();
    missing.retain(|kind| match kind.program() {
        Ok(_) => false,
        Err(error) => {
            tracing::warn!(error = %error, "the demonstration goes on without");
            true
        }
    });
    let all = Activity::ALL.into_iter();
    all.filter(|activity| !activity.kinds().iter().any(|kind| missing.contains(kind))).collect()
}

/// Hands on mouse and keyboard.
pub(crate) struct Script<'a> {
    stage: &'a mut Stage,
    random: Random,
    apps: Vec<App>,
    pointer: (i32, i32),
    /// Characters typed into the editor.
    typed: usize,
    column: usize,
    command: usize,
    tab: u32,
}

/// What is typed into the terminal, and how many milliseconds one then looks at it.
const COMMANDS: [(&str, i32); 8] = [
    ("sh build.sh", 7000),
    ("ls -la /usr/bin | head -300", 1800),
    ("seq 1 20000", 1500),
    ("find /usr/share/doc | sort | head -2500", 2000),
    ("top -d 1 -n 6", 7500),
    ("sed -n '1,45p' /usr/share/common-licenses/GPL-3", 1500),
    ("clear; sed -n '46,90p' /usr/share/common-licenses/GPL-3", 1500),
    ("df -h; ps aux | head -40", 1500),
];

/// When the editor's text has become this long, somebody starts afresh.
const LONG_TEXT: usize = 6000;

impl<'a> Script<'a> {
    /// `stream` makes a script of its own of the same seed.
    pub(crate) fn new(stage: &'a mut Stage, seed: u64, stream: u64) -> Self {
        let random = Random::new(seed, stream);
        Self { stage, random, apps: Vec::new(), pointer: (0, 0), typed: 0, column: 0, command: 0, tab: 1 }
    }

    /// The desktop it works on.
    pub(crate) fn stage(&mut self) -> &mut Stage {
        self.stage
    }

    /// Puts the applications for an activity into place, and starts those that are not there.
    pub(crate) fn prepare(&mut self, activity: Activity) -> Result<(), DesktopError> {
        self.apps.clear();
        for &kind in activity.kinds() {
            let (x, y, width, height) = activity.place(kind);
            let area = self.stage.area(x, y, width, height);
            let area = if kind == Kind::Player { Area { width: 640, height: 360, ..area } } else { area };
            let app = self.stage.app(kind, area)?;
            if kind != Kind::Player {
                self.stage.screen.place(app.window, area)?;
            }
            self.stage.bring_up(app.window)?;
            self.apps.push(app);
        }
        let corner = self.stage.area(950, 950, 0, 0);
        self.glide(corner.x, corner.y)?;
        match activity {
            Activity::Typing => self.start_writing(),
            Activity::Idle | Activity::Windows => {
                self.type_line("clear; ls -la /etc | head -40", Kind::Terminal)
            }
            _ => Ok(()),
        }
    }

    /// Does it until then.
    pub(crate) fn perform(&mut self, activity: Activity, until: Instant) -> Result<(), DesktopError> {
        match activity {
            Activity::Typing => self.write(until),
            Activity::Terminal => self.command(until),
            Activity::Browsing => self.browse(until),
            Activity::Windows => self.arrange(until),
            Activity::Video => self.rest(until, 1),
            Activity::Idle => self.rest(until, 2),
        }
    }

    // --- the activities

    fn start_writing(&mut self) -> Result<(), DesktopError> {
        if self.typed > LONG_TEXT {
            self.strike(&[key::CONTROL], 'a'.into())?;
            self.strike(&[], key::DELETE)?;
            self.typed = 0;
        }
        self.strike(&[key::CONTROL], key::END)?;
        self.strike(&[], key::RETURN)?;
        self.column = 0;
        Ok(())
    }

    fn write(&mut self, until: Instant) -> Result<(), DesktopError> {
        loop {
            let text = sentence(&mut self.random, 13);
            for character in text.chars().chain([' ']) {
                if over(until) {
                    return Ok(());
                }
                self.write_character(character)?;
            }
            if self.random.percent(40) {
                let thinking = self.random.time(400, 1500);
                self.pause(thinking, until)?;
            }
        }
    }

    fn write_character(&mut self, character: char) -> Result<(), DesktopError> {
        // A person's line length.
        let character = if character == ' ' && self.column > 86 { '\n' } else { character };
        self.column = if character == '\n' { 0 } else { self.column + 1 };
        self.typed += 1;
        self.stage.screen.character(character)?;
        if self.random.percent(3) {
            let slip = *self.random.pick(&['a', 'e', 'i', 'o', 'n']);
            let noticing = self.random.time(150, 350);
            self.stage.screen.character(slip)?;
            self.stage.pause(noticing)?;
            self.strike(&[], key::BACKSPACE)?;
        }
        // Two dice: most strokes near the middle.
        let rhythm = self.random.time(20, 110) + self.random.time(15, 95);
        self.stage.pause(rhythm)
    }

    fn command(&mut self, until: Instant) -> Result<(), DesktopError> {
        while !over(until) {
            let (line, time) = COMMANDS[self.command % COMMANDS.len()];
            self.command += 1;
            self.type_line(line, Kind::Terminal)?;
            let time = self.random.time(time, time + 600);
            self.pause(time, until)?;
        }
        Ok(())
    }

    fn browse(&mut self, until: Instant) -> Result<(), DesktopError> {
        let middle = self.stage.area(480, 560, 0, 0);
        self.glide(middle.x, middle.y)?;
        while !over(until) {
            for _ in 0..self.random.range(3, 5) {
                if self.random.percent(20) {
                    self.strike(&[], key::PAGE_DOWN)?;
                } else {
                    let wheel = if self.random.percent(85) { button::WHEEL_DOWN } else { button::WHEEL_UP };
                    for _ in 0..self.random.range(2, 6) {
                        self.stage.screen.click(wheel)?;
                        let notch = self.random.time(50, 120);
                        self.pause(notch, until)?;
                    }
                }
                let reading = self.random.time(600, 1600);
                self.pause(reading, until)?;
                if over(until) {
                    return Ok(());
                }
            }
            self.tab = self.tab % 3 + 1;
            self.strike(&[key::CONTROL], u32::from('0') + self.tab)?;
            self.pause(Duration::from_millis(1200), until)?;
        }
        Ok(())
    }

    fn arrange(&mut self, until: Instant) -> Result<(), DesktopError> {
        let movable: Vec<Window> =
            [Kind::Editor, Kind::Terminal].into_iter().filter_map(|kind| self.window(kind)).collect();
        while !over(until) && !movable.is_empty() {
            let window = *self.random.pick(&movable);
            self.stage.bring_up(window)?;
            self.pause(Duration::from_millis(400), until)?;
            self.drag(window)?;
            self.pause(Duration::from_millis(500), until)?;
            if over(until) {
                return Ok(());
            }
            match self.random.range(0, 2) {
                0 => {
                    self.stage.screen.minimise(window)?;
                    self.pause(Duration::from_millis(900), until)?;
                    self.stage.bring_up(window)?;
                }
                1 => self.open_desktop_menu(until)?,
                _ => self.open_editor_menu(until)?,
            }
            self.pause(Duration::from_millis(800), until)?;
        }
        Ok(())
    }

    /// Takes a window by its title bar and carries it somewhere.
    fn drag(&mut self, window: Window) -> Result<(), DesktopError> {
        const STEPS: i32 = 24;
        let (Some(area), bar) = (self.stage.screen.area(window)?, self.stage.screen.title_bar(window)?)
        else {
            return Ok(());
        };
        let limit = self.stage.area(500, 380, 0, 0);
        let (x, y) = (self.random.range(0, limit.x), self.random.range(bar, limit.y.max(bar)));
        let grip = (area.x + area.width / 3, area.y - bar / 2);
        self.glide(grip.0, grip.1)?;
        self.stage.screen.button(button::LEFT, true)?;
        for step in 1..=STEPS {
            self.pointer = (grip.0 + (x - area.x) * step / STEPS, grip.1 + (y - area.y) * step / STEPS);
            self.stage.screen.point(self.pointer.0, self.pointer.1)?;
            self.stage.pause(Duration::from_millis(30))?;
        }
        self.stage.screen.button(button::LEFT, false)
    }

    fn open_desktop_menu(&mut self, until: Instant) -> Result<(), DesktopError> {
        let corner = self.stage.area(960, 940, 0, 0);
        self.glide(corner.x, corner.y)?;
        self.stage.screen.click(button::RIGHT)?;
        self.pause(Duration::from_millis(500), until)?;
        for _ in 0..3 {
            self.strike(&[], key::DOWN)?;
            self.pause(Duration::from_millis(250), until)?;
        }
        self.strike(&[], key::ESCAPE)
    }

    fn open_editor_menu(&mut self, until: Instant) -> Result<(), DesktopError> {
        if let Some(editor) = self.window(Kind::Editor) {
            self.stage.bring_up(editor)?;
        }
        self.pause(Duration::from_millis(300), until)?;
        self.strike(&[key::ALT], 'f'.into())?;
        self.pause(Duration::from_millis(700), until)?;
        self.strike(&[], key::RIGHT)?;
        self.pause(Duration::from_millis(700), until)?;
        self.strike(&[], key::ESCAPE)?;
        self.strike(&[], key::ESCAPE)
    }

    /// Looks on, and moves the mouse once after the `part`th part of the time.
    fn rest(&mut self, until: Instant, part: u32) -> Result<(), DesktopError> {
        self.stage.pause(until.saturating_duration_since(Instant::now()) / part)?;
        if !over(until) {
            let place = self.stage.area(400, 600, 0, 0);
            self.glide(place.x, place.y)?;
        }
        self.stage.pause(until.saturating_duration_since(Instant::now()))
    }

    // --- hands

    fn type_line(&mut self, line: &str, into: Kind) -> Result<(), DesktopError> {
        if let Some(window) = self.window(into) {
            self.stage.bring_up(window)?;
        }
        for character in line.chars() {
            self.stage.screen.character(character)?;
            let rhythm = self.random.time(15, 70);
            self.stage.pause(rhythm)?;
        }
        self.strike(&[], key::RETURN)
    }

    fn strike(&mut self, held: &[u32], symbol: u32) -> Result<(), DesktopError> {
        self.stage.screen.key(held, symbol)?;
        self.stage.pause(Duration::from_millis(20))
    }

    /// Moves the pointer as a hand does: on its way, and slower at both ends.
    fn glide(&mut self, x: i32, y: i32) -> Result<(), DesktopError> {
        const STEPS: i32 = 16;
        let from = self.pointer;
        for step in 1..=STEPS {
            let eased = step * step * (3 * STEPS - 2 * step);
            let along = |from: i32, to: i32| from + (to - from) * eased / (STEPS * STEPS * STEPS);
            self.pointer = (along(from.0, x), along(from.1, y));
            self.stage.screen.point(self.pointer.0, self.pointer.1)?;
            self.stage.pause(Duration::from_millis(16))?;
        }
        Ok(())
    }

    fn pause(&mut self, time: Duration, until: Instant) -> Result<(), DesktopError> {
        self.stage.pause(time.min(until.saturating_duration_since(Instant::now())))
    }

    fn window(&self, kind: Kind) -> Option<Window> {
        self.apps.iter().find(|app| app.kind == kind).map(|app| app.window)
    }
}

fn over(until: Instant) -> bool {
    Instant::now() >= until
}
