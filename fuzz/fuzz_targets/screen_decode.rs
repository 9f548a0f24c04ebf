//! The screen codec's decoder, on a stream of packets: whatever comes, it neither panics nor takes much memory, and an anchor
//! always brings it back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_screen::{Decoder, Encoder, EncoderConfig, Picture, Rect, Want};

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new();
    // Raw bytes first, then the same bytes as changes to packets that decode, since no fuzzer guesses a whole packet.
    let _ = decoder.decode(data);
    let (width, height) = (130, 70);
    let mut pixels: Vec<u8> = (0..width * height * 4).map(|at| (at / 4 % 251 / 60) as u8 * 50).collect();
    let mut encoder = Encoder::new(EncoderConfig::default());
    let mut anchor = Vec::new();
    let whole = [Rect { x: 0, y: 0, width, height }];
    let mut encode = |pixels: &[u8], want, out: &mut Vec<u8>| {
        let picture = Picture { width, height, stride: width as usize * 4, data: pixels };
        encoder.encode(&picture, &whole, want, out).expect("a picture of a possible size")
    };
    encode(&pixels, Want::Anchor, &mut anchor);
    decoder.decode(&anchor).expect("an anchor decodes");
    for piece in data.chunks(24) {
        // The first bytes paint, the rest damage the packet.
        let (paint, damage) = piece.split_at(piece.len().min(8));
        for (at, &value) in paint.iter().enumerate() {
            let from = (usize::from(value) * 131 + at * 977) % pixels.len();
            let length = (usize::from(value) * 16).min(pixels.len() - from);
            pixels[from..from + length].fill(value);
        }
        let mut packet = Vec::new();
        let want = if paint.first().is_some_and(|first| first % 5 == 0) { Want::Key } else { Want::Delta };
        if encode(&pixels, want, &mut packet).is_none() {
            continue;
        }
        for change in damage.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % packet.len();
            packet[at] ^= change[2];
        }
        if decoder.decode(&packet).is_err() {
            decoder.decode(&anchor).expect("an anchor brings the decoder back");
        }
    }
});
