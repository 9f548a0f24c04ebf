//! Packets without their residuals: any bytes in their place, and any packets packed and put back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_screen::{DensePacker, DenseUnpacker};

/// Enough for some boxes, little enough to be quick.
const MOST: u64 = 1 << 18;

fuzz_target!(|data: &[u8]| {
    let Some((&[width, height, split, length], rest)) = data.split_first_chunk::<4>() else { return };
    let (width, height) = (u32::from(width) * 2 + 1, u32::from(height) * 2 + 1);
    let (residuals, thin) = rest.split_at(rest.len().min(usize::from(split)));
    let mut unpacker = DenseUnpacker::new(width, height, residuals, MOST);
    let mut input = thin;
    for length in [usize::from(length), thin.len(), thin.len() + residuals.len()] {
        let _ = unpacker.unpack(&mut input, length, &mut Vec::new());
    }

    let mut packer = DensePacker::new(width, height, MOST);
    let mut packed = Vec::new();
    let packets: Vec<&[u8]> = rest.splitn(3, |byte| *byte == 0xfe).collect();
    let taken: Vec<&[u8]> = packets.into_iter().filter(|packet| packer.pack(packet, &mut packed)).collect();
    let residuals = packer.finish();
    let mut unpacker = DenseUnpacker::new(width, height, &residuals, MOST);
    let mut input = packed.as_slice();
    for packet in taken {
        let mut out = Vec::new();
        unpacker.unpack(&mut input, packet.len(), &mut out).expect("what was packed comes back");
        assert_eq!(out, packet);
    }
    assert!(input.is_empty());
});
