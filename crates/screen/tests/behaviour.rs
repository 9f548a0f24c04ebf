//! What the codec is good at stays cheap, and what is asked too much is refused.

use playhead_screen::{DecodeError, Decoder, Encoder, EncoderConfig, PacketKind, Picture, Rect, Want};

const WIDTH: usize = 640;
const HEIGHT: usize = 400;

/// A picture that can be drawn on.
#[derive(Clone)]
struct Canvas(Vec<u8>);

impl Canvas {
    fn new(colour: impl Fn(usize, usize) -> u32) -> Self {
        let mut canvas = Self(vec![0; WIDTH * HEIGHT * 4]);
        canvas.draw(0, 0, WIDTH, HEIGHT, colour);
        canvas
    }

    /// Draws a rectangle; `colour` gets places relative to it.
    fn draw(&mut self, x: usize, y: usize, w: usize, h: usize, colour: impl Fn(usize, usize) -> u32) {
        for row in 0..h {
            for col in 0..w {
                let at = ((y + row) * WIDTH + x + col) * 4;
                self.0[at..at + 4].copy_from_slice(&colour(col, row).to_le_bytes());
            }
        }
    }

    /// A letter, different for each number, of 8 x 12 pixels.
    fn letter(&mut self, x: usize, y: usize, number: usize) {
        let dot = |col: usize, row: usize| {
            let mixed = (row * 8 + col + number * 101).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed >> 40) % 5
        };
        self.draw(x, y, 8, 12, |col, row| match dot(col, row) {
            0 if col < 6 => 0x22_22_22,
            1 if col < 6 && row > 1 => 0x88_88_90,
            _ => 0xff_ff_ff,
        });
    }
}

fn grain(x: usize, y: usize) -> u32 {
    let noise = |n: usize| {
        (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ n.wrapping_mul(1_299_709)).wrapping_mul(0x9e37_79b1)
            >> 13
            & 7
    };
    let level = |n: usize| (x / 8 + y / 5 + n * 40 + noise(n)) as u32 & 0xff;
    level(0) << 16 | level(1) << 8 | level(2)
}

/// An encoder with a decoder that follows it and compares every picture.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
}

impl Pair {
    fn new() -> Self {
        Self { encoder: Encoder::new(EncoderConfig { seed: 1 }), decoder: Decoder::new() }
    }

    fn packet(&mut self, canvas: &Canvas, want: Want) -> (PacketKind, Vec<u8>) {
        let (width, height) = (WIDTH as u32, HEIGHT as u32);
        let picture = Picture { width, height, stride: WIDTH * 4, data: &canvas.0 };
        let mut packet = Vec::new();
        let all = [Rect { x: 0, y: 0, width, height }];
        let encoded = self.encoder.encode(&picture, &all, want, &mut packet).expect("the size is allowed");
        (encoded.map_or(PacketKind::Delta, |e| e.kind), packet)
    }

    /// Bytes of the packet for a picture.
    fn send(&mut self, canvas: &Canvas, want: Want) -> usize {
        let (_, packet) = self.packet(canvas, want);
        if !packet.is_empty() {
            self.decoder.decode(&packet).expect("the packet is whole");
        }
        let expected = canvas.0.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0]));
        assert!(self.decoder.pixels().iter().copied().eq(expected), "the decoder has another picture");
        packet.len()
    }
}

#[test]
fn a_letter_costs_little_and_less_when_it_is_known() {
    let mut canvas = Canvas::new(|_, _| 0xff_ff_ff);
    let mut pair = Pair::new();
    pair.send(&canvas, Want::Delta);
    let mut costs = Vec::new();
    for (at, number) in [1, 2, 3, 1, 2, 3].into_iter().enumerate() {
        canvas.letter(60 + at * 9, 100, number);
        costs.push(pair.send(&canvas, Want::Delta));
    }
    assert!(costs[..3].iter().all(|c| *c < 260), "{costs:?}");
    assert!(costs[3..].iter().all(|c| *c < 60), "{costs:?}");
}

#[test]
fn what_a_window_covered_is_known_when_the_window_goes() {
    let wallpaper = Canvas::new(grain);
    let mut pair = Pair::new();
    pair.send(&Canvas::new(|_, _| 0), Want::Delta);
    // Not the anchor's own picture, which would be trivial.
    let first = pair.send(&wallpaper, Want::Delta);
    let mut other = wallpaper.clone();
    for blink in 0..5 {
        other.draw(600, 380, 4, 10, |_, _| blink);
        pair.send(&other, Want::Delta);
    }
    let mut covered = other.clone();
    covered.draw(70, 50, 300, 200, |_, _| 0xee_ee_ee);
    pair.send(&covered, Want::Delta);
    let back = pair.send(&other, Want::Delta);
    assert!(back * 50 < first, "{back} bytes of {first} to uncover");
}

#[test]
fn a_scrolled_page_costs_its_new_lines() {
    let page = |from: usize| {
        let mut canvas = Canvas::new(|_, _| 0xff_ff_ff);
        for line in 0..25 {
            for at in 0..60 {
                canvas.letter(20 + at * 10, 5 + line * 15, (from + line) * 31 + at * at + 1);
            }
        }
        canvas
    };
    let mut pair = Pair::new();
    pair.send(&page(0), Want::Delta);
    let whole = pair.send(&page(200), Want::Delta);
    let scrolled = pair.send(&page(202), Want::Delta);
    assert!(scrolled * 4 < whole, "{scrolled} bytes of {whole} to scroll");
}

#[test]
fn a_key_needs_the_anchor_only_and_heals() {
    let mut canvas = Canvas::new(grain);
    let mut pair = Pair::new();
    pair.send(&canvas, Want::Delta);
    canvas.draw(100, 100, 200, 100, |x, y| (x * y) as u32);
    let (_, mut broken) = pair.packet(&canvas, Want::Delta);
    broken.pop();
    assert!(matches!(pair.decoder.decode(&broken), Err(DecodeError::Truncated { .. })));
    canvas.letter(10, 10, 3);
    let (_, delta) = pair.packet(&canvas, Want::Delta);
    let refused = pair.decoder.decode(&delta).map(<[Rect]>::len);
    assert_eq!(refused, Err(DecodeError::Missing { kind: "delta", needs: "key or anchor" }));
    let cost = pair.send(&canvas, Want::Key);
    assert!(cost < 40_000, "{cost} bytes for a key");
}

#[test]
fn a_key_that_would_cost_an_anchor_becomes_one() {
    let mut pair = Pair::new();
    pair.send(&Canvas::new(|_, _| 0x33_33_33), Want::Delta);
    let (kind, _) = pair.packet(&Canvas::new(grain), Want::Key);
    assert_eq!(kind, PacketKind::Anchor);
}

#[test]
fn only_the_top_bytes_changing_is_no_change() {
    let mut canvas = Canvas::new(grain);
    let mut pair = Pair::new();
    pair.send(&canvas, Want::Delta);
    canvas.0.chunks_exact_mut(4).for_each(|p| p[3] = 0xff);
    assert_eq!(pair.send(&canvas, Want::Delta), 0);
}

#[test]
fn drawing_without_end_is_refused() {
    let mut decoder = Decoder::new();
    // One tile; fills of all its rows with colour 0, again and again. Streams 0, 1 and 2.
    let packet = |times: usize| {
        let mut packet = vec![0x11, 64, 64, 0b111];
        let put = |packet: &mut Vec<u8>, mut n: usize| {
            while n >= 0x80 {
                packet.push(n as u8 | 0x80);
                n >>= 7;
            }
            packet.push(n as u8);
        };
        put(&mut packet, times * 2);
        put(&mut packet, times * 2);
        put(&mut packet, 3);
        packet.extend([7, 0].repeat(times));
        packet.extend([64, 255]);
        packet.extend([64, 0].repeat(times - 1));
        packet.extend([1, 2, 3]);
        packet
    };
    decoder.decode(&packet(3)).expect("a few fills are fine");
    assert!(decoder.pixels().iter().all(|p| *p == 0x03_02_01));
    assert!(matches!(decoder.decode(&packet(3000)), Err(DecodeError::Work { .. })));
}

#[test]
fn a_film_costs_less_than_another_picture_like_it() {
    // BT.601, with colours at half the resolution, as films have them.
    let film = |x: usize, y: usize| {
        let light = f64::from(60 + (grain(x, y) & 7) + (x / 9 + y / 7) as u32 % 120 - 16) * 255.0 / 219.0;
        let (u, v) = ((x / 2 / 6 % 30) as f64 * 255.0 / 224.0, (y / 2 / 8 % 25) as f64 * 255.0 / 224.0);
        let (r, b) = (light + 1.402 * v, light + 1.772 * u);
        let g = (light - 0.299 * r - 0.114 * b) / 0.587;
        [r, g, b].iter().fold(0, |pixel, c| pixel << 8 | c.round().clamp(0.0, 255.0) as u32)
    };
    let mut pair = Pair::new();
    pair.send(&Canvas::new(|_, _| 0), Want::Delta);
    let other = Canvas::new(|x, y| film(x, y) ^ (grain(y, x) >> 3 & 0x01_01_01));
    let without = pair.send(&other, Want::Delta);
    let with = pair.send(&Canvas::new(film), Want::Delta);
    assert!(with * 3 < without * 2, "{with} bytes as a film, {without} without");
}
