//! How fast one core encrypts and decrypts: `cargo run --release -p playhead-vault --example speed`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example that tells of speed")]

use playhead_model::RecordingId;
use playhead_vault::{
    BLOCK, DataKey, Declared, Encrypter, Header, KeyId, NONCE, Opener, SaltHasher, seal_record,
};
use std::time::Instant;

fn main() {
    let (key, id) = (DataKey::new(KeyId::from_u128(1), [7; 32]), RecordingId::from_bytes([1; 16]));
    let file: Vec<u8> = (0..32 << 20).map(|at: usize| (at * 31 + at / 255) as u8).collect();
    let rounds = 16;
    let rate = |began: Instant, bytes: usize| bytes as f64 / began.elapsed().as_secs_f64() / 1e6;

    let began = Instant::now();
    let mut salt = SaltHasher::new(&key);
    for _ in 0..rounds {
        salt = SaltHasher::new(&key);
        salt.update(&file);
    }
    println!("salt of a file: {:.0} MB/s", rate(began, rounds * file.len()));
    let header = Header::new(&key, id, 0, salt.finish());
    let mut out = Vec::new();
    let began = Instant::now();
    for _ in 0..rounds {
        out.clear();
        let mut encrypter = Encrypter::new(&key, header, &mut out).unwrap();
        for piece in file.chunks(BLOCK) {
            encrypter.push(piece, &mut out);
        }
        encrypter.finish(&mut out).unwrap();
    }
    println!("encrypting a file, its salt checked: {:.0} MB/s", rate(began, rounds * file.len()));
    let opener = Opener::new(&key, header, out.len() as u64).unwrap();
    let began = Instant::now();
    let mut parts = 0;
    for _ in 0..rounds {
        for at in (0..file.len() as u64).step_by(512 << 10) {
            let part = at..at + (512 << 10);
            let span = opener.span(&part).unwrap();
            let sealed = out[span.start as usize..span.end as usize].to_vec();
            assert_eq!(opener.open(&part, sealed).unwrap().len(), 512 << 10);
            parts += 1;
        }
    }
    let took = began.elapsed();
    println!(
        "decrypting parts of 512 KiB: {:.0} MB/s, {:.2} ms each",
        rate(began, rounds * file.len()),
        took.as_secs_f64() * 1e3 / f64::from(parts)
    );
    let record = &file[..20_000];
    let began = Instant::now();
    for seq in 0..20_000 {
        seal_record(&key, id, seq, &Declared::default(), [9; NONCE], record).unwrap();
    }
    println!(
        "records of 20 kB: {:.0} MB/s, {:.1} us each",
        rate(began, 20_000 * record.len()),
        began.elapsed().as_secs_f64() * 50.0
    );
}
