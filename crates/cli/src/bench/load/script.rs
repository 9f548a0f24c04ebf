//! What a session sends and when, made once for many sessions by the agent's own recorder.

use super::{
    Profile,
    desktop::{Desktop, SIZE},
    piece::{Piece, particulars},
    surface::Random,
};
use crate::bench::trace::{Trace, traces};
use anyhow::{Context as _, Result, bail, ensure};
use playhead_agent::{Moment, Recorder, Sink};
use playhead_format::Fragment;
use playhead_model::{RecordingId, RecordingSettings};
use playhead_screen::{Picture, Rect};
use serde::Serialize;
use std::{path::Path, thread};

/// Between two pictures that are drawn.
const TICK_US: u64 = 100_000;
/// Scripts that are made at a time.
const AT_ONCE: usize = 2;

/// The fragments of a session in order; each is due when it ends.
pub(super) struct Script {
    pub(super) pieces: Vec<Piece>,
    pub(super) seconds: u64,
}

/// What sessions do on average.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rates {
    /// MB an hour of session.
    pub(super) mb_per_hour: f64,
    /// The same over the seconds in which there is a fragment.
    pub(super) mb_per_active_hour: f64,
    /// Seconds with a fragment, of all.
    pub(super) active_share: f64,
    pub(super) fragments_per_second: f64,
    pub(super) fragment_bytes: f64,
    pub(super) uncompressed_bytes: f64,
    /// Bytes of the first picture.
    pub(super) first_bytes: f64,
}

/// What is to be made.
pub(super) struct Wanted<'a> {
    pub(super) profile: Profile,
    pub(super) seconds: u64,
    /// How many different scripts.
    pub(super) count: usize,
    pub(super) seed: u64,
    /// Real pictures instead of drawn ones.
    pub(super) traces: Option<&'a Path>,
}

/// Makes the scripts. Each begins a new segment at another time, as sessions do that did not begin together.
///
/// # Errors
/// Traces that cannot be read.
pub(super) fn make(wanted: &Wanted<'_>) -> Result<Vec<Script>> {
    let traces = wanted.traces.map(traces).transpose()?;
    let numbers: Vec<usize> = (0..wanted.count).collect();
    let mut scripts = Vec::new();
    for some in numbers.chunks(AT_ONCE) {
        let made: Vec<_> = thread::scope(|scope| {
            let traces = traces.as_deref();
            let threads: Vec<_> =
                some.iter().map(|&number| scope.spawn(move || one(wanted, number, traces))).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        for script in made {
            match script {
                Ok(script) => scripts.push(script?),
                Err(_) => bail!("the thread that makes fragments panicked"),
            }
        }
    }
    Ok(scripts)
}

/// The rates of the scripts together.
pub(super) fn rates(scripts: &[Script]) -> Rates {
    let seconds: u64 = scripts.iter().map(|script| script.seconds).sum();
    let pieces = || scripts.iter().flat_map(|script| &script.pieces);
    let sum = |of: fn(&Piece) -> usize| pieces().map(of).sum::<usize>() as f64;
    let first: f64 = scripts.iter().filter_map(|script| Some(script.pieces.first()?.bytes() as f64)).sum();
    let active: usize = scripts
        .iter()
        .map(|script| {
            let mut seconds: Vec<u64> =
                script.pieces.iter().map(|piece| piece.head().end_us / 1_000_000).collect();
            seconds.dedup();
            seconds.len()
        })
        .sum();
    let (count, bytes) = (pieces().count() as f64, sum(Piece::bytes) - first);
    let hours = seconds as f64 / 3_600.0;
    Rates {
        mb_per_hour: bytes / hours / 1e6,
        mb_per_active_hour: bytes / (active as f64 / 3_600.0) / 1e6,
        active_share: active as f64 / seconds as f64,
        fragments_per_second: count / seconds as f64,
        fragment_bytes: bytes / count,
        uncompressed_bytes: sum(Piece::uncompressed) / count,
        first_bytes: first / scripts.len() as f64,
    }
}

/// Prepares fragments as they come.
#[derive(Default)]
struct Outlet(Vec<Piece>);

impl Sink for Outlet {
    type Error = anyhow::Error;

    fn keep(&mut self, fragment: &Fragment) -> Result<()> {
        self.0.push(Piece::new(fragment)?);
        Ok(())
    }
}

fn one(wanted: &Wanted<'_>, number: usize, traces: Option<&[Trace]>) -> Result<Script> {
    let mut settings = RecordingSettings::default();
    let part = u32::try_from((number + 1) * settings.rollover_seconds as usize / wanted.count)?;
    settings.rollover_seconds = part.max(60);
    let info = particulars(RecordingId::from_bytes([0; 16]), 0, 0);
    let seed = wanted.seed.wrapping_add(number as u64 * 1_000_003);
    let mut making = Making {
        recorder: Recorder::new(info, settings, seed),
        outlet: Outlet::default(),
        end_us: wanted.seconds * 1_000_000,
    };
    match traces {
        Some(traces) => making.replay(wanted.profile, traces, seed)?,
        None => making.draw(wanted.profile, seed)?,
    }
    let pieces = making.outlet.0;
    ensure!(!pieces.is_empty(), "the session is too short for a single fragment: give more --seconds");
    Ok(Script { pieces, seconds: wanted.seconds })
}

struct Making {
    recorder: Recorder,
    outlet: Outlet,
    end_us: u64,
}

fn moment(media_us: u64) -> Moment {
    Moment { media_us, wall_us: media_us }
}

impl Making {
    /// Closes what is due before a time.
    fn until(&mut self, at_us: u64) -> Result<()> {
        while let Some(deadline) = self.recorder.deadline().filter(|&deadline| deadline <= at_us) {
            self.recorder.tick(moment(deadline), &mut self.outlet)?;
        }
        Ok(())
    }

    fn draw(&mut self, profile: Profile, seed: u64) -> Result<()> {
        let mut desktop = Desktop::new(profile, seed);
        let (width, height) = SIZE;
        self.recorder.shape(moment(0), &Desktop::shape())?;
        let mut at_us = 0;
        while at_us < self.end_us {
            self.until(at_us)?;
            let at = moment(at_us);
            let damage = desktop.tick();
            if !damage.is_empty() || self.recorder.needs_picture(at) {
                let data = &desktop.screen().data;
                let picture = Picture { width, height, stride: width as usize * 4, data };
                self.recorder.picture(at, &picture, &damage, &mut self.outlet)?;
            }
            let (x, y) = desktop.pointer();
            self.recorder.place(at, x, y, true)?;
            at_us += TICK_US;
        }
        self.until(self.end_us)
    }

    /// Plays traces one after another in an order of chance, with pauses where the profile has them.
    fn replay(&mut self, profile: Profile, traces: &[Trace], seed: u64) -> Result<()> {
        let mut random = Random::new(seed);
        let mut start_us = 0;
        while start_us < self.end_us {
            let name = trace_of(profile, &mut random);
            let trace = traces.iter().find(|trace| trace.name == name);
            let trace =
                trace.with_context(|| format!("no trace '{name}': `playhead bench corpus` makes it"))?;
            let (width, height) = (trace.particulars.width, trace.particulars.height);
            let mut data = vec![0; trace.picture_bytes()];
            let mut pictures = trace.pictures()?;
            for at_ms in &trace.particulars.timestamps_ms {
                let at_us = start_us + at_ms * 1_000;
                if at_us >= self.end_us || !pictures.next(&mut data)? {
                    break;
                }
                self.until(at_us)?;
                let picture = Picture { width, height, stride: width as usize * 4, data: &data };
                let whole = [Rect { x: 0, y: 0, width, height }];
                self.recorder.picture(moment(at_us), &picture, &whole, &mut self.outlet)?;
            }
            start_us += (trace.particulars.seconds * 1e6) as u64;
            if profile == Profile::Office {
                start_us += u64::from(random.between(20, 100)) * 1_000_000;
            }
        }
        self.until(self.end_us)
    }
}

fn trace_of(profile: Profile, random: &mut Random) -> &'static str {
    match (profile, random.below(100)) {
        (Profile::Office, 0..55) => "typing",
        (Profile::Office, 55..75) => "terminal",
        (Profile::Office, 75..85) => "windows",
        (Profile::Office, 85..90) => "browsing",
        (Profile::Office, _) => "idle",
        (Profile::Busy, 0..20) => "typing",
        (Profile::Busy, 20..40) => "terminal",
        (Profile::Busy, 40..70) => "windows",
        (Profile::Busy, _) => "browsing",
        (Profile::Video | Profile::Bulk, _) => "video",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::piece::Place;
    use playhead_format::{Chain, open_fragment};

    #[test]
    fn a_drawn_session_is_a_sound_recording() {
        let wanted = Wanted { profile: Profile::Office, seconds: 130, count: 2, seed: 5, traces: None };
        let scripts = make(&wanted).unwrap();
        let info = particulars(RecordingId::from_bytes([4; 16]), 8, 1_790_000_000_000_000);
        for script in &scripts {
            let mut chain = Chain::new(info.id);
            for piece in &script.pieces {
                let place = Place { info: &info, previous: chain.head(), began_us: 1_790_000_000_000_000 };
                let (_, record, _) = piece.place(&place).unwrap();
                chain.accept(&open_fragment(&record).unwrap()).unwrap();
            }
        }
        let rates = rates(&scripts);
        assert!(rates.active_share > 0.0 && rates.active_share < 1.0, "{rates:?}");
        assert!(rates.first_bytes > 50_000.0, "{rates:?}");
    }
}
