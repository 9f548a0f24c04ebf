//! Pictures are split, put together again by the reference player, and compared.

use super::*;
use crate::Composer;
use playhead_screen::{Decoder, Encoder, EncoderConfig, Want};

const WIDTH: usize = 328;
const HEIGHT: usize = 246;

/// A desktop: text on white, with room for photos and films.
struct Desktop(Vec<u8>);

impl Desktop {
    fn new() -> Self {
        let mut desktop = Self(vec![255; WIDTH * HEIGHT * 4]);
        desktop.fill((0, 0, WIDTH, HEIGHT), |x, y| {
            if (x * 5 + y * 3) % 11 == 0 && y % 14 < 9 { 0x20_2020 } else { 0xff_ffff }
        });
        desktop
    }

    fn fill(
        &mut self,
        (left, top, width, height): (usize, usize, usize, usize),
        pixel: impl Fn(usize, usize) -> u32,
    ) {
        for y in 0..height {
            for x in 0..width {
                let at = ((top + y) * WIDTH + left + x) * 4;
                self.0[at..at + 4].copy_from_slice(&pixel(x, y).to_le_bytes());
            }
        }
    }

    /// Something photographic; another number is another photo.
    fn photo(&mut self, area: (usize, usize, usize, usize), number: usize) {
        self.fill(area, |x, y| {
            let grain = |salt: usize| ((x * 7_919 + y * 104_729 + (x * y + number * 31) * salt) >> 3) % 9;
            let part = |base: usize, salt| ((base + number * 3) % 180 + 20 + grain(salt)) as u32;
            part(x + y / 2, 3) << 16 | part(y, 5) << 8 | part(x / 2 + 60, 7)
        });
    }

    fn picture(&self) -> Picture<'_> {
        Picture { width: WIDTH as u32, height: HEIGHT as u32, stride: WIDTH * 4, data: &self.0 }
    }
}

/// An agent and a player in one.
struct Pair {
    layer: Layer,
    encoder: Encoder,
    decoder: Decoder,
    composer: Composer,
    at_us: u64,
    /// Bytes of the newest packet and its video messages.
    bytes: (usize, usize),
}

impl Pair {
    fn new() -> Self {
        Self {
            layer: Layer::new(1, 60),
            encoder: Encoder::new(EncoderConfig { seed: 1 }),
            decoder: Decoder::new(),
            composer: Composer::new(),
            at_us: 0,
            bytes: (0, 0),
        }
    }

    fn take(&mut self, desktop: &Desktop, want: Want) {
        self.at_us += 100_000;
        let whole = [Rect { x: 0, y: 0, width: WIDTH as u32, height: HEIGHT as u32 }];
        self.layer.split(self.at_us, &desktop.picture(), &whole, want == Want::Anchor);
        self.code(want);
    }

    fn code(&mut self, want: Want) {
        let mut packet = Vec::new();
        let sharp = self.layer.sharp().unwrap();
        let kind = self
            .encoder
            .encode(&sharp, self.layer.damage(), want, &mut packet)
            .unwrap()
            .map(|done| done.kind);
        if kind.is_some() {
            self.decoder.decode(&packet).unwrap();
        }
        match kind {
            Some(PacketKind::Anchor) => self.composer.begin(WIDTH as u32, HEIGHT as u32),
            Some(PacketKind::Key) => self.composer.key(),
            _ => {}
        }
        let messages = self.layer.emit(kind).unwrap();
        messages.iter().for_each(|message| self.composer.apply(message).unwrap());
        if kind == Some(PacketKind::Anchor) {
            self.composer.end_anchor();
        }
        self.bytes = (packet.len(), messages.iter().map(Vec::len).sum());
    }

    /// Which pixels are shown from the video; checks that these are close and all others exact.
    fn check(&self, desktop: &Desktop) -> Vec<bool> {
        let from_video = self.composer.is_video(self.decoder.pixels());
        let shown = self.composer.show(self.decoder.pixels());
        let (mut squares, mut count) = (0.0, 0);
        for (at, (&shown, bytes)) in shown.iter().zip(desktop.0.chunks_exact(4)).enumerate() {
            let [blue, green, red, _] = shown.to_le_bytes();
            if from_video[at] {
                let parts = [(blue, bytes[0]), (green, bytes[1]), (red, bytes[2])];
                squares += parts.map(|(a, b)| f64::from(a.abs_diff(b)).powi(2)).iter().sum::<f64>();
                count += 3;
            } else {
                assert_eq!([blue, green, red], bytes[..3], "pixel {} {}", at % WIDTH, at / WIDTH);
            }
        }
        let psnr = 10.0 * (255.0 * 255.0 / (squares / f64::from(count.max(1))).max(1e-3)).log10();
        assert!(psnr > 30.0, "{psnr:.1} dB");
        from_video
    }
}

fn count(pixels: &[bool]) -> usize {
    pixels.iter().filter(|&&is_video| is_video).count()
}

fn share(pixels: &[bool], (left, top, width, height): (usize, usize, usize, usize)) -> f64 {
    let rows = (top..top + height).flat_map(|y| (left..left + width).map(move |x| y * WIDTH + x));
    rows.filter(|&at| pixels[at]).count() as f64 / (width * height) as f64
}

#[test]
fn text_alone_makes_no_video() {
    let (mut pair, mut desktop) = (Pair::new(), Desktop::new());
    pair.take(&desktop, Want::Anchor);
    for line in 0..20 {
        desktop.fill((10, line * 12, 200, 10), |x, y| if (x * line + y) % 5 == 0 { 0 } else { 0xff_ffff });
        pair.take(&desktop, Want::Delta);
        assert_eq!(pair.bytes.1, 0);
        assert_eq!(count(&pair.check(&desktop)), 0);
    }
}

#[test]
fn a_photo_goes_into_the_video_at_the_anchor_and_comes_back_from_behind_a_window() {
    let (mut pair, mut desktop) = (Pair::new(), Desktop::new());
    let photo = (41, 37, 240, 180);
    desktop.photo(photo, 1);
    pair.take(&desktop, Want::Anchor);
    let all = pair.check(&desktop);
    assert!(share(&all, photo) > 0.85, "{}", share(&all, photo));
    assert!(pair.bytes.1 > 0);
    // A window over it, moved along pixel by pixel, and away.
    let before = desktop.0.clone();
    for step in 0..6 {
        desktop.0.clone_from(&before);
        desktop
            .fill((60 + step * 13, 60, 90, 70), |x, y| if (x + y) % 9 == 0 { 0x10_3060 } else { 0xe0_e0e0 });
        pair.take(&desktop, if step == 3 { Want::Key } else { Want::Delta });
        pair.check(&desktop);
        assert!(pair.bytes.1 < 200, "nothing new for the video: {:?}", pair.bytes);
    }
    desktop.0 = before;
    pair.take(&desktop, Want::Delta);
    assert_eq!(pair.check(&desktop), all);
}

#[test]
fn a_film_becomes_video_and_what_is_beside_it_stays_exact() {
    let (mut pair, mut desktop) = (Pair::new(), Desktop::new());
    pair.take(&desktop, Want::Anchor);
    let film = (67, 45, 128, 96);
    for number in 0..12 {
        desktop.photo(film, number);
        desktop.fill((20, 200, 100, 10), |x, y| if (x * number + y) % 4 == 0 { 0 } else { 0xff_ffff });
        pair.take(&desktop, if number == 7 { Want::Key } else { Want::Delta });
        let shown = pair.check(&desktop);
        if number > 4 {
            assert!(share(&shown, film) > 0.95, "{number}: {}", share(&shown, film));
            assert!(pair.bytes.0 < 4_000, "{number}: the film is drawn twice, {:?}", pair.bytes);
        }
        assert_eq!(count(&shown), (share(&shown, film) * 12_288.0).round() as usize, "only the film");
    }
    // It stands still: coded better once, and after that nothing.
    let rough = pair.layer.still_at().unwrap();
    assert_eq!(rough, pair.at_us + 1_000_000);
    pair.layer.settle();
    pair.code(Want::Delta);
    assert!(pair.bytes.1 > 0 && pair.layer.still_at().is_none());
    pair.check(&desktop);
    pair.take(&desktop, Want::Delta);
    assert_eq!(pair.bytes, (0, 0));
    // A key frame has to bring it again, an anchor as well.
    for want in [Want::Key, Want::Anchor, Want::Key] {
        pair.take(&desktop, want);
        // Edges of photos are left to the lossless codec.
        assert!(share(&pair.check(&desktop), film) > 0.75);
    }
    // Text where the film was is exact at once or a moment later.
    desktop.fill(film, |x, y| if (x * 3 + y * 5) % 7 == 0 { 0x40_0000 } else { 0xff_fff0 });
    pair.take(&desktop, Want::Delta);
    desktop.fill(film, |x, y| if (x * 3 + y * 5) % 7 == 1 { 0x40_0000 } else { 0xff_fff0 });
    pair.take(&desktop, Want::Delta);
    assert_eq!(count(&pair.check(&desktop)), 0);
}

#[test]
fn a_scrolled_photo_is_no_film() {
    let (mut pair, mut desktop) = (Pair::new(), Desktop::new());
    pair.take(&desktop, Want::Anchor);
    for step in 0..10 {
        let photo = |x: usize, y: usize| {
            let y = y + step * 11;
            let grain = ((x * 7_919) ^ (y * 104_729) ^ (x * y * 13)) as u32;
            (0x30_4050 + (grain & 0x0f_0f0f)) + (y as u32 / 3) * 0x01_0101
        };
        desktop.fill((40, 20, 200, 200), photo);
        pair.take(&desktop, Want::Delta);
        assert_eq!(pair.bytes.1, 0, "step {step}");
        assert_eq!(count(&pair.check(&desktop)), 0);
    }
}

#[test]
fn a_pixel_of_the_stand_in_colour_is_shown_right() {
    let (mut pair, mut desktop) = (Pair::new(), Desktop::new());
    desktop.photo((40, 40, 200, 160), 1);
    pair.take(&desktop, Want::Anchor);
    let key = pair.layer.state.as_ref().unwrap().key;
    // Over the photo and beside it, where it would be taken for the video.
    desktop.fill((60, 60, 40, 3), |_, _| key);
    desktop.fill((2, 2, 30, 3), |_, _| key);
    pair.take(&desktop, Want::Delta);
    pair.check(&desktop);
}
