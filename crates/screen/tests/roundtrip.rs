//! Whatever is encoded is decoded bit for bit, and whatever is not a packet is refused.

use playhead_screen::{Decoder, Encoder, EncoderConfig, PacketKind, Picture, Rect, Want, packet_kind};
use proptest::prelude::*;

/// A picture that changes as a desktop does.
struct Desk {
    width: u32,
    height: u32,
    pixels: Vec<u32>,
}

#[derive(Debug, Clone)]
enum Edit {
    Fill(Spot, u32),
    Noise(Spot, u32),
    Text(Spot, u32),
    /// A film's picture, with one pixel wrong in so many.
    Film(Spot, u32, u32),
    /// Moves a rectangle by an offset.
    Move(Spot, i32, i32),
    Size(u32, u32),
    Nothing,
}

/// A rectangle in thousandths of the picture.
#[derive(Debug, Clone, Copy)]
struct Spot(u32, u32, u32, u32);

fn spots() -> impl Strategy<Value = Spot> {
    (0..1000u32, 0..1000u32, 1..1000u32, 1..1000u32)
        .prop_map(|(x, y, width, height)| Spot(x, y, width, height))
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (spots(), any::<u32>()).prop_map(|(spot, colour)| Edit::Fill(spot, colour)),
        2 => (spots(), any::<u32>()).prop_map(|(spot, seed)| Edit::Noise(spot, seed)),
        3 => (spots(), any::<u32>()).prop_map(|(spot, seed)| Edit::Text(spot, seed)),
        3 => (spots(), any::<u32>(), 1..300u32).prop_map(|(spot, seed, wrong)| Edit::Film(spot, seed, wrong)),
        4 => (spots(), -90..90i32, -90..90i32).prop_map(|(spot, x, y)| Edit::Move(spot, x, y)),
        1 => (1..260u32, 1..200u32).prop_map(|(width, height)| Edit::Size(width, height)),
        1 => Just(Edit::Nothing),
    ]
}

impl Desk {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0x33_66_99; (width * height) as usize] }
    }

    fn rect(&self, spot: Spot) -> Rect {
        let (x, y) = (spot.0 * self.width / 1000, spot.1 * self.height / 1000);
        let width = (spot.2 * self.width / 1000).clamp(1, self.width - x);
        let height = (spot.3 * self.height / 1000).clamp(1, self.height - y);
        Rect { x, y, width, height }
    }

    fn each(&mut self, rect: Rect, mut colour: impl FnMut(u32, u32) -> u32) {
        for y in rect.y..rect.y + rect.height {
            for x in rect.x..rect.x + rect.width {
                self.pixels[(y * self.width + x) as usize] = colour(x, y);
            }
        }
    }

    /// Makes the edit and tells what it damaged.
    fn edit(&mut self, edit: &Edit) -> Vec<Rect> {
        match *edit {
            Edit::Fill(spot, colour) => {
                let rect = self.rect(spot);
                self.each(rect, |_, _| colour);
                vec![rect]
            }
            Edit::Noise(spot, mut seed) => {
                let rect = self.rect(spot);
                self.each(rect, |x, y| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (x + y) * 0x01_02_01 + (seed >> 30)
                });
                vec![rect]
            }
            Edit::Text(spot, mut seed) => {
                let rect = self.rect(spot);
                self.each(rect, |_, _| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    [0xff_ff_ff, 0, 0xff_ff_ff, 0x88_88_88][(seed >> 30) as usize]
                });
                vec![rect]
            }
            Edit::Film(spot, mut seed, wrong) => {
                let rect = self.rect(spot);
                let matrix = seed as usize % 3;
                self.each(rect, |x, y| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let light = 60 + (x + y + (seed >> 29)) % 150;
                    let pixel =
                        film_pixel(matrix, [light, 100 + x / 8 % 50, 110 + y / 8 % 40].map(f64::from));
                    if (seed >> 8).is_multiple_of(wrong) { pixel ^ seed & 0x01_03_01 } else { pixel }
                });
                vec![rect]
            }
            Edit::Move(spot, dx, dy) => {
                let (from, old) = (self.rect(spot), self.pixels.clone());
                let mut damage = Vec::new();
                for y in from.y..from.y + from.height {
                    for x in from.x..from.x + from.width {
                        let (to_x, to_y) = (x as i32 + dx, y as i32 + dy);
                        if (0..self.width as i32).contains(&to_x) && (0..self.height as i32).contains(&to_y) {
                            let to = (to_y as u32 * self.width + to_x as u32) as usize;
                            self.pixels[to] = old[(y * self.width + x) as usize];
                        }
                    }
                }
                damage.push(Rect { x: 0, y: 0, width: self.width, height: self.height });
                damage
            }
            Edit::Size(width, height) => {
                *self = Self::new(width, height);
                self.edit(&Edit::Noise(Spot(0, 0, 1000, 500), width * height))
            }
            Edit::Nothing => Vec::new(),
        }
    }

    /// The picture as an X server would give it: with padding behind the rows and anything in the fourth byte.
    fn bytes(&self, padding: usize) -> (Vec<u8>, usize) {
        let stride = self.width as usize * 4 + padding;
        let mut bytes = Vec::new();
        for row in self.pixels.chunks(self.width as usize) {
            bytes.extend(row.iter().flat_map(|pixel| (pixel | 0x5a00_0000).to_le_bytes()));
            bytes.resize(bytes.len() + padding, 0xee);
        }
        (bytes, stride)
    }

    fn expected(&self) -> Vec<u32> {
        self.pixels.iter().map(|pixel| pixel & 0xff_ff_ff).collect()
    }
}

/// The pixel of a lightness and two differences by BT.601, BT.709 or JFIF.
fn film_pixel(matrix: usize, [y, u, v]: [f64; 3]) -> u32 {
    let (red, green) = [(0.299, 0.587), (0.2126, 0.7152), (0.299, 0.587)][matrix];
    let blue = 1.0 - red - green;
    let (light, scale) = if matrix == 2 { (y, 255.0) } else { ((y - 16.0) * 255.0 / 219.0, 224.0) };
    let (u, v) = ((u - 128.0) * 255.0 / scale, (v - 128.0) * 255.0 / scale);
    let r = light + 2.0 * (1.0 - red) * v;
    let b = light + 2.0 * (1.0 - blue) * u;
    let g = (light - red * r - blue * b) / green;
    [r, g, b].iter().fold(0, |pixel, c| pixel << 8 | c.round().clamp(0.0, 255.0) as u32)
}

fn encode(
    encoder: &mut Encoder,
    desk: &Desk,
    damage: &[Rect],
    want: Want,
    padding: usize,
) -> Option<Vec<u8>> {
    let (data, stride) = desk.bytes(padding);
    let picture = Picture { width: desk.width, height: desk.height, stride, data: &data };
    let mut out = vec![0xaa; 3];
    let encoded = encoder.encode(&picture, damage, want, &mut out).expect("the picture is whole");
    assert_eq!(out[..3], [0xaa; 3], "what stood in the vector is left alone");
    encoded.map(|encoded| {
        let packet = out.split_off(3);
        assert_eq!(packet_kind(&packet), Ok(encoded.kind));
        packet
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 2_000 }))]

    #[test]
    fn every_picture_is_decoded_as_it_was(
        size in (1..300u32, 1..200u32),
        edits in prop::collection::vec((edits(), 0..10u8), 1..14),
        padding in 0..9usize,
    ) {
        let mut desk = Desk::new(size.0, size.1);
        let (mut encoder, mut decoder) = (Encoder::new(EncoderConfig { seed: 3 }), Decoder::new());
        // A second decoder that knows nothing but the newest anchor and jumps to every key frame.
        let mut seeking: Option<Vec<u8>> = None;
        for (edit, want) in edits {
            let damage = desk.edit(&edit);
            let want = match want { 0 => Want::Anchor, 1 | 2 => Want::Key, _ => Want::Delta };
            let Some(packet) = encode(&mut encoder, &desk, &damage, want, padding) else {
                prop_assert_eq!(want, Want::Delta);
                prop_assert_eq!(decoder.pixels(), desk.expected());
                continue;
            };
            let rects = decoder.decode(&packet).unwrap();
            let kind = packet_kind(&packet).unwrap();
            let covered: u64 = rects.iter().map(|rect| u64::from(rect.width) * u64::from(rect.height)).sum();
            prop_assert!(kind == PacketKind::Delta || covered == u64::from(desk.width * desk.height));
            prop_assert_eq!((decoder.width(), decoder.height()), (desk.width, desk.height));
            prop_assert_eq!(decoder.pixels(), desk.expected());
            match kind {
                PacketKind::Anchor => seeking = Some(packet),
                PacketKind::Key => {
                    let mut other = Decoder::new();
                    other.decode(seeking.as_ref().unwrap()).unwrap();
                    other.decode(&packet).unwrap();
                    prop_assert_eq!(other.pixels(), desk.expected());
                }
                PacketKind::Delta => {}
            }
        }
    }

    #[test]
    fn damaged_packets_never_panic_and_the_decoder_recovers(
        edits in prop::collection::vec(edits(), 1..5),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut desk = Desk::new(200, 150);
        let (mut encoder, mut decoder) = (Encoder::new(EncoderConfig::default()), Decoder::new());
        let anchor = encode(&mut encoder, &desk, &[], Want::Delta, 0).unwrap();
        decoder.decode(&anchor).unwrap();
        for edit in edits {
            let damage = desk.edit(&edit);
            let Some(mut packet) = encode(&mut encoder, &desk, &damage, Want::Delta, 0) else { continue };
            for (at, value) in &flips {
                let at = at.index(packet.len());
                packet[at] ^= value;
            }
            let _ = decoder.decode(&packet);
            let _ = decoder.decode(&packet[..cut.index(packet.len())]);
            decoder.decode(&anchor).unwrap();
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Decoder::new().decode(&bytes);
    }
}

#[test]
fn deltas_and_keys_without_their_state_are_refused() {
    let mut desk = Desk::new(100, 100);
    let mut encoder = Encoder::new(EncoderConfig::default());
    let anchor = encode(&mut encoder, &desk, &[], Want::Delta, 0).unwrap();
    let damage = desk.edit(&Edit::Fill(Spot(100, 100, 300, 300), 0xff));
    let delta = encode(&mut encoder, &desk, &damage, Want::Delta, 0).unwrap();
    let key = encode(&mut encoder, &desk, &[], Want::Key, 0).unwrap();
    let mut decoder = Decoder::new();
    assert!(decoder.decode(&delta).is_err());
    assert!(decoder.decode(&key).is_err() || packet_kind(&key) == Ok(PacketKind::Anchor));
    decoder.decode(&anchor).unwrap();
    decoder.decode(&delta).unwrap();
    assert_eq!(decoder.pixels(), desk.expected());
}

#[test]
fn a_tiny_packet_cannot_ask_for_a_huge_picture() {
    // An anchor of 8,192 x 8,192 with empty sections.
    let packet = [0x11, 0x80, 0x40, 0x80, 0x40, 0];
    let error = Decoder::new().decode(&packet).unwrap_err().to_string();
    assert!(error.contains("8192x8192"), "{error}");
}

#[test]
fn pictures_with_too_few_bytes_are_refused() {
    let mut encoder = Encoder::new(EncoderConfig::default());
    let picture = Picture { width: 10, height: 10, stride: 40, data: &[0; 399] };
    let error = encoder.encode(&picture, &[], Want::Delta, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "picture buffer of 399 bytes with stride 40, expected at least 400 bytes; pass the whole picture"
    );
    let picture = Picture { width: 0, height: 10, stride: 40, data: &[0; 400] };
    assert!(encoder.encode(&picture, &[], Want::Delta, &mut Vec::new()).is_err());
}

#[test]
fn scrolling_and_moving_cost_little() {
    let mut desk = Desk::new(1024, 768);
    desk.edit(&Edit::Text(Spot(100, 100, 600, 600), 5));
    let mut encoder = Encoder::new(EncoderConfig::default());
    let first = encode(&mut encoder, &desk, &[], Want::Delta, 0).unwrap();
    let damage = desk.edit(&Edit::Move(Spot(100, 100, 600, 600), 37, -21));
    let moved = encode(&mut encoder, &desk, &damage, Want::Delta, 0).unwrap();
    assert!(moved.len() * 8 < first.len(), "{} bytes of {} to move a window", moved.len(), first.len());
}
