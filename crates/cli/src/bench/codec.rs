//! `playhead bench codec`: what the codec makes of traces, in bytes and processor time.
//!
//! The whole way of a picture into a stored fragment is measured: finding what changed in the whole screen, encoding, and the
//! fragment's compression and hash. Then everything is decoded again and compared.

use super::{
    sharpness::Sharpness,
    trace::{Trace, traces},
};
use anyhow::{Context as _, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use playhead_format::{
    Channel, Flags, Fragment, FragmentBuilder, FragmentHead, Hash, Message, SegmentWriter, genesis,
    open_fragment,
};
use playhead_model::RecordingId;
use playhead_screen::{Decoder, Encoder, EncoderConfig, PacketKind, Picture, Rect, Want, packet_kind};
use playhead_video::{Composer, Layer};
use serde::Serialize;
use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
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
    /// Compare with what another encoder made of the same traces: a folder with NAME.mkv
    #[arg(long, value_name = "FOLDER")]
    other: Option<PathBuf>,
    /// Write the fragments there, as SEGMENT.mcap
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
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
    /// Mean structural similarity of the brightness of text; none where there is none.
    text_ssim: Option<f64>,
    /// What the other encoder has of the same pixels.
    other: Option<Other>,
}

/// How the other encoder does.
#[derive(Debug, Serialize)]
struct Other {
    /// Of the pixels that ours shows from the video.
    video_psnr: Option<f64>,
    text_ssim: Option<f64>,
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
    if let Some(folder) = &args.store {
        store(folder, trace, &fragments)?;
    }
    let Checked { exact, video_share, video_psnr, text_ssim, other } = check(trace, &fragments, args)?;
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
        text_ssim,
        other,
    })
}

/// Writes the fragments as a recording's segment.
fn store(folder: &Path, trace: &Trace, fragments: &[Fragment]) -> Result<()> {
    let path = folder.join(&trace.name).with_extension("mcap");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = SegmentWriter::new(BufWriter::new(file))?;
    for fragment in fragments {
        writer.append(&fragment.bytes, &fragment.head)?;
    }
    writer.finish()?;
    Ok(())
}

/// What came of decoding.
struct Checked {
    exact: bool,
    video_share: f64,
    video_psnr: Option<f64>,
    text_ssim: Option<f64>,
    other: Option<Other>,
}

/// Errors of some pixels.
#[derive(Default)]
struct Errors {
    pixels: u64,
    squares: u64,
}

impl Errors {
    fn add(&mut self, shown: [u8; 3], original: &[u8]) {
        self.pixels += 1;
        self.squares +=
            shown.iter().zip(original).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
    }

    /// Peak signal-to-noise ratio in dB.
    fn psnr(&self) -> Option<f64> {
        let mean = self.squares as f64 / (self.pixels * 3).max(1) as f64;
        (self.pixels > 0).then(|| 10.0 * (255.0 * 255.0 / mean.max(1e-6)).log10())
    }
}

/// Decodes the fragments beside a second reading of the trace.
fn check(trace: &Trace, fragments: &[Fragment], args: &Args) -> Result<Checked> {
    let mut pictures = trace.pictures()?;
    let mut picture = vec![0; trace.picture_bytes()];
    let mut others = match &args.other {
        Some(folder) => Some(Trace::pictures_of(&folder.join(format!("{}.mkv", trace.name)))?),
        None => None,
    };
    let mut other = vec![0; picture.len()];
    let (mut decoder, mut composer) = (Decoder::new(), Composer::new());
    let (mut exact, mut all) = (true, 0);
    let (mut errors, mut other_errors) = (Errors::default(), Errors::default());
    let (mut text, mut other_text) = (Sharpness::default(), Sharpness::default());
    let width = trace.particulars.width as usize;
    for fragment in fragments {
        let open = open_fragment(&fragment.bytes)?;
        // All messages of one time make one frame.
        let mut messages = open.messages().peekable();
        while let Some(message) = messages.next() {
            let message = message?;
            match Channel::from_id(message.channel) {
                Some(Channel::Screen) => {
                    match packet_kind(message.data)? {
                        PacketKind::Anchor => {
                            composer.begin(trace.particulars.width, trace.particulars.height);
                        }
                        PacketKind::Key => composer.key(),
                        PacketKind::Delta => {}
                    }
                    decoder.decode(message.data)?;
                }
                Some(Channel::Video) => composer.apply(message.data)?,
                _ => continue,
            }
            let goes_on = |next: &Result<Message<'_>, _>| {
                next.as_ref().is_ok_and(|next| next.log_time_us == message.log_time_us)
            };
            if messages.peek().is_some_and(goes_on) {
                continue;
            }
            ensure!(pictures.next(&mut picture)?, "more pictures than frames");
            let shown: Vec<u8> =
                composer.show(decoder.pixels()).into_iter().flat_map(u32::to_le_bytes).collect();
            if let Some(others) = &mut others {
                ensure!(others.next(&mut other)?, "the other encoder has fewer frames");
                other_text.add(width, &picture, &other);
            }
            text.add(width, &picture, &shown);
            let from_video = composer.is_video(decoder.pixels());
            for (at, original) in picture.chunks_exact(4).enumerate() {
                let pixel = |picture: &[u8]| [picture[at * 4], picture[at * 4 + 1], picture[at * 4 + 2]];
                if from_video[at] {
                    errors.add(pixel(&shown), original);
                    other_errors.add(pixel(&other), original);
                } else {
                    exact &= pixel(&shown) == original[..3];
                }
            }
            all += from_video.len() as u64;
        }
        if fragment.head.flags.anchor {
            composer.end_anchor();
        }
    }
    let other = others.map(|_| Other { video_psnr: other_errors.psnr(), text_ssim: other_text.mean() });
    let video_share = errors.pixels as f64 / all.max(1) as f64;
    Ok(Checked { exact, video_share, video_psnr: errors.psnr(), text_ssim: text.mean(), other })
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
    /// Width and height of the pictures.
    size: (u32, u32),
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
            size: (0, 0),
        }
    }

    fn frame(&mut self, trace: &Trace, data: &[u8], at_ms: u64) -> Result<()> {
        let (width, height) = (trace.particulars.width, trace.particulars.height);
        self.size = (width, height);
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
            width: self.size.0,
            height: self.size.1,
        }
    }
}

/// Processor time of this thread; what ffmpeg uses to decode the trace is its own.
pub(super) fn processor_seconds() -> Result<f64> {
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
                    format!(
                        "{:.1} % at {psnr:.1} dB in {:.3} MB",
                        video_share * 100.0,
                        *video_bytes as f64 / 1e6
                    )
                }
                None => "-".into(),
            },
        );
    }
    Ok(())
}
