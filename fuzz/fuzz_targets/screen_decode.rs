//! The screen codec on a stream of packets: what was encoded decodes to the same pixels, and whatever comes else, the decoder neither panics nor
//! takes much memory or time, and an anchor always brings it back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_screen::{Decoder, Encoder, EncoderConfig, Picture, Rect, Want};

const WIDTH: usize = 170;
const HEIGHT: usize = 130;

/// A picture that the fuzzer's bytes draw on.
struct Desk(Vec<u8>);

impl Desk {
    /// Draws a rectangle as six bytes say: flat, grain, letters or moved content.
    fn draw(&mut self, [x, y, w, h, how, value]: [u8; 6]) {
        let (x, y) = (usize::from(x) % WIDTH, usize::from(y) % HEIGHT);
        let (w, h) = (1 + usize::from(w) % (WIDTH - x), 1 + usize::from(h) % (HEIGHT - y));
        let before = self.0.clone();
        let value = usize::from(value);
        for row in y..y + h {
            for col in x..x + w {
                let at = (row * WIDTH + col) * 4;
                let noise = (row.wrapping_mul(7919) ^ col.wrapping_mul(104_729))
                    .wrapping_mul(0x9e37_79b1 + value)
                    >> 16;
                let pixel = match how % 4 {
                    0 => [value as u8, (value * 3) as u8, (value * 7) as u8, how],
                    1 => [0, 1, 2, 3].map(|c| (row + col * c + (noise >> (c * 4) & 7)) as u8),
                    2 if (row % 9 * 8 + col % 8) * (value + 3) % 7 < 3 && col % 8 < 6 && row % 9 < 7 => {
                        [value as u8; 4]
                    }
                    2 => [255; 4],
                    _ => {
                        let from = ((row + value) % HEIGHT * WIDTH + (col + value / 3) % WIDTH) * 4;
                        [before[from], before[from + 1], before[from + 2], before[from + 3]]
                    }
                };
                self.0[at..at + 4].copy_from_slice(&pixel);
            }
        }
    }

    fn is(&self, decoder: &Decoder) -> bool {
        let pixels = self.0.chunks_exact(4).map(|p| u32::from_le_bytes([p[0], p[1], p[2], 0]));
        decoder.pixels().iter().copied().eq(pixels)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new();
    // Raw bytes first, then the same bytes as changes to packets that decode, since no fuzzer guesses a whole packet.
    let _ = decoder.decode(data);
    let mut desk = Desk((0..WIDTH * HEIGHT * 4).map(|at| (at / 4 % 251 / 60) as u8 * 50).collect());
    let mut encoder = Encoder::new(EncoderConfig::default());
    let (width, height) = (WIDTH as u32, HEIGHT as u32);
    let whole = [Rect { x: 0, y: 0, width, height }];
    let mut encode = |desk: &Desk, want, out: &mut Vec<u8>| {
        let picture = Picture { width, height, stride: WIDTH * 4, data: &desk.0 };
        encoder.encode(&picture, &whole, want, out).expect("a picture of a possible size").is_some()
    };
    let mut anchor = Vec::new();
    encode(&desk, Want::Anchor, &mut anchor);
    decoder.decode(&anchor).expect("an anchor decodes");
    for piece in data.chunks(16) {
        // Six bytes draw, one asks, the rest damage the packet.
        let Some((drawing, rest)) = piece.split_first_chunk::<6>() else { break };
        desk.draw(*drawing);
        let Some((&want, damage)) = rest.split_first() else { break };
        let want = match want % 8 {
            0 => Want::Anchor,
            1 => Want::Key,
            _ => Want::Delta,
        };
        let mut packet = Vec::new();
        if !encode(&desk, want, &mut packet) {
            continue;
        }
        // A second decoder is damaged, so that the first stays in step.
        if damage.iter().any(|&b| b != 0) {
            let mut broken = packet.clone();
            for change in damage.chunks_exact(3) {
                let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % broken.len();
                broken[at] ^= change[2];
            }
            let mut other = Decoder::new();
            other.decode(&anchor).expect("an anchor decodes");
            let _ = other.decode(&broken);
            let _ = other.decode(&packet);
            other.decode(&anchor).expect("an anchor brings the decoder back");
        }
        decoder.decode(&packet).expect("what was encoded decodes");
        assert!(desk.is(&decoder), "another picture came out than went in");
        if playhead_screen::packet_kind(&packet) == Ok(playhead_screen::PacketKind::Anchor) {
            anchor = packet;
        }
    }
});
