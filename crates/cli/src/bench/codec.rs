//! `playhead bench codec`: what the codec makes of traces, in bytes and processor time.
//!
//! The whole way of a picture into a stored fragment is measured: finding what changed in the whole screen, encoding, and the
//! fragment's compression and hash. Then everything is decoded again and compared.

use super::trace::{Trace, traces};
use anyhow::{Context as _, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use playhead_format::{
    Channel, Flags, Fragment, FragmentBuilder, FragmentHead, Hash, Message, genesis, open_fragment,
};
use playhead_model::RecordingId;
use playhead_screen::{Decoder, Encoder, EncoderConfig, PacketKind, Picture, Rect, Want, packet_kind};
use playhead_video::{Composer, Layer};
use serde::Serialize;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
};

/// zstd's level, as the agent uses it.
const LEVEL: i32 = 1;
const RECORDING: RecordingId = RecordingId::from_bytes([0xbe; 16]);

/// Measure the codec on a folder of traces (NAME.json and NAME.mkv)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A key frame after this many seconds of activity; 0 for none, as the encoders it is compared with
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    key_seconds: u64,
    /// A fragment is closed after this many milliseconds
    #[arg(long, default_value_t = 1_000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(50..=10_000))]
    fragment_ms: u64,
    /// Code films and photos as video, of this quality from 0 to 100
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(0..=100), num_args = 0..=1, default_missing_value = "50")]
    lossy: Option<u8>,
    /// Write the decoded frames there, as SEGMENT.bgr0: raw pixels of four bytes, one frame after the other
    #[arg(long, value_name = "FOLDER")]
    decoded: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    segments: Vec<Segment>,
    total: Total,
}

#[derive(Debug, Serialize)]
struct Segment {
    segment: String,
    seconds: f64,
    frames: u64,
    /// Bytes of the fragment with the first frame.
    first_bytes: u64,
    /// Bytes of all other fragments.
    rest_bytes: u64,
    /// Processor seconds of encoding, compressing and hashing; reading the trace is not counted.
    cpu_seconds: f64,
    /// Whether every decoded frame equals the original in every pixel, but for those that are shown from the video.
    exact: bool,
    /// The part of all pixels that is shown from the video.
    video_share: f64,
    /// Peak signal-to-noise ratio of those pixels, in dB; none where there are none.
    video_psnr: Option<f64>,
    /// Bytes of the video messages, before the fragments' compression.
    video_bytes: u64,
}

#[derive(Debug, Default, Serialize)]
struct Total {
    seconds: f64,
    frames: u64,
    first_bytes: u64,
    rest_bytes: u64,
    cpu_seconds: f64,
    exact: bool,
}

/// Measures.
///
/// # Errors
/// Traces that cannot be read; frames that do not come back as they were.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut segments = Vec::new();
    for trace in traces(&args.folder)? {
        segments.push(measure(&trace, args).with_context(|| format!("trace {}", trace.name))?);
    }
    let mut total = Total { exact: true, ..Total::default() };
    for segment in &segments {
        total.seconds += segment.seconds;
        total.frames += segment.frames;
        total.first_bytes += segment.first_bytes;
        total.rest_bytes += segment.rest_bytes;
        total.cpu_seconds += segment.cpu_seconds;
        total.exact &= segment.exact;
    }
    let report = Report { segments, total };
    print(&report, args.json)?;
    ensure!(report.total.exact, "frames came back changed: this is a defect of the codec");
    Ok(())
}

/// Encodes a trace into fragments, keeps them, and decodes them beside a second reading of the trace.
fn measure(trace: &Trace, args: &Args) -> Result<Segment> {
    let mut writer = Writer::new(args);
    let mut picture = vec![0; trace.picture_bytes()];
    let mut pictures = trace.pictures()?;
    let mut frames = 0;
    while pictures.next(&mut picture)? {
        let at_ms = trace.particulars.timestamps_ms.get(frames).context("fewer times than frames")?;
        writer.frame(trace, &picture, *at_ms)?;
        frames += 1;
    }
    writer.close()?;
    let Writer { fragments, cpu_seconds, video_bytes, .. } = writer;
    let Checked { exact, video_share, video_psnr } = check(trace, &fragments, args)?;
    let sizes = fragments.iter().map(|fragment| fragment.bytes.len() as u64);
    let first_bytes = sizes.clone().next().unwrap_or_default();
    Ok(Segment {
        segment: trace.name.clone(),
        seconds: trace.particulars.seconds,
        frames: frames as u64,
        first_bytes,
        rest_bytes: sizes.skip(1).sum(),
        cpu_seconds,
        exact,
        video_share,
        video_psnr,
        video_bytes,
    })
}

/// What came of decoding.
struct Checked {
    exact: bool,
    video_share: f64,
    video_psnr: Option<f64>,
}

/// Decodes the fragments beside a second reading of the trace.
fn check(trace: &Trace, fragments: &[Fragment], args: &Args) -> Result<Checked> {
    let mut pictures = trace.pictures()?;
    let mut picture = vec![0; trace.picture_bytes()];
    let mut output = match &args.decoded {
        Some(folder) => Some(BufWriter::new(File::create(folder.join(format!("{}.bgr0", trace.name)))?)),
        None => None,
    };
    let (mut decoder, mut composer) = (Decoder::new(), Composer::new());
    let (mut exact, mut all, mut video, mut squares) = (true, 0u64, 0u64, 0u64);
    for fragment in fragments {
        let open = open_fragment(&fragment.bytes)?;
        // All messages of one time make one frame.
        let mut shown_us = None;
        let mut messages = open.messages().peekable();
        while let Some(message) = messages.next() {
            let message = message?;
            match Channel::from_id(message.channel) {
                Some(Channel::Screen) => {
                    match packet_kind(message.data)? {
                        PacketKind::Anchor => composer.begin(trace.particulars.width, trace.particulars.height),
                        PacketKind::Key => composer.key(),
                        PacketKind::Delta => {}
                    }
                    decoder.decode(message.data)?;
                }
                Some(Channel::Video) => composer.apply(message.data)?,
                _ => continue,
            }
            shown_us = Some(message.log_time_us);
            let goes_on = |next: &Result<Message<'_>, _>| {
                next.as_ref().is_ok_and(|next| Some(next.log_time_us) == shown_us)
            };
            if messages.peek().is_some_and(goes_on) {
                continue;
            }
            ensure!(pictures.next(&mut picture)?, "more pictures than frames");
            let shown = composer.show(decoder.pixels());
            let from_video = composer.is_video(decoder.pixels());
            for ((&pixel, bytes), from_video) in shown.iter().zip(picture.chunks_exact(4)).zip(from_video) {
                let [blue, green, red, _] = pixel.to_le_bytes();
                if from_video {
                    video += 1;
                    let error = [(blue, bytes[0]), (green, bytes[1]), (red, bytes[2])];
                    squares += error.map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).iter().sum::<u64>();
                } else {
                    exact &= [blue, green, red] == bytes[..3];
                }
            }
            all += shown.len() as u64;
            if let Some(output) = &mut output {
                shown.iter().try_for_each(|pixel| output.write_all(&pixel.to_le_bytes()))?;
            }
        }
        if fragment.head.flags.anchor {
            composer.end_anchor();
        }
    }
    let mean = squares as f64 / (video * 3).max(1) as f64;
    let video_psnr = (video > 0).then(|| 10.0 * (255.0 * 255.0 / mean.max(1e-6)).log10());
    Ok(Checked { exact, video_share: video as f64 / all.max(1) as f64, video_psnr })
}

/// What an agent does between the X server and its queue.
struct Writer {
    encoder: Encoder,
    layer: Option<Layer>,
    video_bytes: u64,
    builder: FragmentBuilder,
    fragments: Vec<Fragment>,
    fragment_us: u64,
    key_us: u64,
    start_us: u64,
    last_us: u64,
    since_key_us: u64,
    key_frame: bool,
    anchor: bool,
    cpu_seconds: f64,
}

impl Writer {
    fn new(args: &Args) -> Self {
        Self {
            // The seed is secret where somebody could use it; here a fixed one makes runs comparable.
            encoder: Encoder::new(EncoderConfig { seed: 1 }),
            layer: args.lossy.map(|quality| Layer::new(1, quality)),
            video_bytes: 0,
            builder: FragmentBuilder::new(),
            fragments: Vec::new(),
            fragment_us: args.fragment_ms * 1_000,
            key_us: args.key_seconds * 1_000_000,
            start_us: 0,
            last_us: 0,
            since_key_us: 0,
            key_frame: false,
            anchor: false,
            cpu_seconds: 0.0,
        }
    }

    fn frame(&mut self, trace: &Trace, data: &[u8], at_ms: u64) -> Result<()> {
        let (width, height) = (trace.particulars.width, trace.particulars.height);
        let picture = Picture { width, height, stride: width as usize * 4, data };
        let at_us = (at_ms * 1_000).max(self.last_us);
        let began = processor_seconds()?;
        self.since_key_us += (at_us - self.last_us).min(1_000_000);
        self.last_us = at_us;
        let is_first = self.fragments.is_empty() && self.builder.is_empty();
        let is_key = self.key_us > 0 && self.since_key_us >= self.key_us;
        // The first frame has a fragment to itself, so that its bytes are known.
        if self.anchor || is_key || at_us - self.start_us >= self.fragment_us {
            self.close_counted()?;
        }
        if self.builder.is_empty() {
            self.start_us = at_us;
        }
        let want = if is_first {
            Want::Anchor
        } else if is_key {
            Want::Key
        } else {
            Want::Delta
        };
        let whole = [Rect { x: 0, y: 0, width, height }];
        if let Some(layer) = &mut self.layer {
            // What stood still for a while would have been coded better in between.
            layer.split(at_us, &picture, &whole, want == Want::Anchor);
        }
        let sharp = self.layer.as_ref().and_then(Layer::sharp).unwrap_or(picture);
        let mut kind = None;
        self.builder.push_with(Channel::Screen, at_us, at_us, |out| {
            kind = self.encoder.encode(&sharp, &whole, want, out)?.map(|encoded| encoded.kind);
            Ok::<_, anyhow::Error>(kind.is_some())
        })?;
        let mut is_nothing = kind.is_none();
        if let Some(layer) = &mut self.layer {
            for message in layer.emit(kind)? {
                self.video_bytes += message.len() as u64;
                self.builder.push(Channel::Video, at_us, at_us, &message)?;
                is_nothing = false;
            }
        }
        // A frame that equals the one before is in no trace.
        ensure!(!is_nothing, "a frame without a change");
        let kind = kind.unwrap_or(PacketKind::Delta);
        if kind != PacketKind::Delta {
            self.since_key_us = 0;
            self.key_frame = true;
            self.anchor = kind == PacketKind::Anchor;
        }
        self.cpu_seconds += processor_seconds()? - began;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let began = processor_seconds()?;
        self.close_counted()?;
        self.cpu_seconds += processor_seconds()? - began;
        Ok(())
    }

    fn close_counted(&mut self) -> Result<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let seq = self.fragments.len() as u64;
        let previous = self.fragments.last().map_or_else(|| genesis(RECORDING), |fragment| fragment.hash);
        let newest_anchor = self.fragments.last().map_or(0, |fragment| fragment.head.anchor_seq);
        let head = self.head(seq, previous, if self.anchor { seq } else { newest_anchor });
        self.fragments.push(self.builder.finish(head, LEVEL)?);
        (self.key_frame, self.anchor) = (false, false);
        Ok(())
    }

    fn head(&self, seq: u64, previous: Hash, anchor_seq: u64) -> FragmentHead {
        let flags = Flags {
            key_frame: self.key_frame,
            anchor: self.anchor,
            first_of_segment: seq == 0,
            ..Flags::default()
        };
        FragmentHead {
            flags,
            segment: 0,
            seq,
            start_us: self.start_us,
            end_us: self.last_us,
            anchor_seq,
            activity: 0,
            events: 0,
            recording: RECORDING,
            previous,
            wall_us: self.start_us,
            width: 0,
            height: 0,
        }
    }
}

/// Processor time of this thread; what ffmpeg uses to decode the trace is its own.
fn processor_seconds() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

#[allow(clippy::print_stdout, reason = "the report is what the user asked for")]
fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!(
        "{:12} {:>8} {:>7} {:>10} {:>10} {:>10}  {:5} video",
        "segment", "seconds", "frames", "first MB", "MB/h after", "CPU s/s", "exact"
    );
    for segment in &report.segments {
        println!(
            "{:12} {:8.1} {:7} {:10.3} {:10.1} {:10.4}  {:5} {}",
            segment.segment,
            segment.seconds,
            segment.frames,
            segment.first_bytes as f64 / 1e6,
            segment.rest_bytes as f64 / segment.seconds * 3_600.0 / 1e6,
            segment.cpu_seconds / segment.seconds,
            if segment.exact { "yes" } else { "NO" },
            match segment.video_psnr {
                Some(psnr) => {
                    let Segment { video_share, video_bytes, .. } = segment;
                    format!("{:.1} % at {psnr:.1} dB in {:.3} MB", video_share * 100.0, *video_bytes as f64 / 1e6)
                }
                None => "-".into(),
            },
        );
    }
    Ok(())
}
