//! The vectors under `testdata/vectors/encrypted`: what another program must make and open as this one does.
//!
//! The files are kept: what was encrypted once must stay readable. `PLAYHEAD_BLESS=all` makes them anew.
#![allow(clippy::unwrap_used, reason = "a test may fail by it")]

use playhead_model::{EndReason, Gap, GapCause, RecordingId};
use playhead_vault::{
    BLOCK, DataKey, Declared, Decrypter, Encrypter, Header, KeyId, NONCE, Opener, SaltHasher, SealedRecord,
    SiteKey, file_len, open_record, seal_record,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const RECORDING: RecordingId = RecordingId::from_bytes([
    0x01, 0x9a, 0x3c, 0x00, 0x11, 0x22, 0x73, 0x44, 0x95, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
]);
const SEQ: u64 = 258;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors")
}

fn key() -> DataKey {
    DataKey::new(
        KeyId::from_u128(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00),
        std::array::from_fn(|at| at as u8),
    )
}

fn site_key() -> SiteKey {
    SiteKey::new(std::array::from_fn(|at| 0xff - at as u8))
}

fn nonce() -> [u8; NONCE] {
    std::array::from_fn(|at| 0x40 + at as u8)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn from_hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What is encrypted: something, nothing, and what fills blocks to the last byte.
fn plain(name: &str) -> Vec<u8> {
    let length = match name {
        "short" => 3_000,
        "empty" => 0,
        _ => 2 * BLOCK,
    };
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn encrypted(plain: &[u8], segment: u32) -> Vec<u8> {
    let mut salt = SaltHasher::new(&key());
    salt.update(plain);
    let mut out = Vec::new();
    let header = Header::new(&key(), RECORDING, segment, salt.finish());
    let mut encrypter = Encrypter::new(&key(), header, &mut out).unwrap();
    plain.chunks(10_007).for_each(|piece| encrypter.push(piece, &mut out));
    encrypter.finish(&mut out).unwrap();
    out
}

fn declared() -> Declared {
    let gap = Gap { from_us: 5, to_us: 9, cause: GapCause::QueueFull };
    Declared { gaps: vec![gap], end: Some(EndReason::SessionEnded) }
}

const FILES: [(&str, u32); 3] = [("short", 0), ("empty", 7), ("blocks", 4_000_000_000)];

fn make() -> Value {
    let folder = directory().join("encrypted");
    fs::create_dir_all(&folder).unwrap();
    let files: Vec<Value> = FILES
        .iter()
        .map(|&(name, segment)| {
            let plain = plain(name);
            let file = encrypted(&plain, segment);
            let stored = name != "blocks";
            if stored {
                fs::write(folder.join(name).with_extension("sealed"), &file).unwrap();
            }
            json!({
                "name": name, "segment": segment, "stored": stored, "bytes": file.len(), "plain_bytes": plain.len(),
                "plain_blake3": blake3::hash(&plain).to_string(), "blake3": blake3::hash(&file).to_string(),
                "header": hex(&file[..playhead_vault::HEADER]),
            })
        })
        .collect();
    json!({
        "about": "files, a journal's record and a wrapped key as docs/encryption.md has them; byte n of what is encrypted is (31 n + n / 251) modulo 256",
        "recording": RECORDING, "key_id": key().id(), "key": hex(key().expose()),
        "files": files,
        "site_key": hex(site_key().expose()), "nonce": hex(&nonce()),
        "wrapped": hex(&site_key().wrap(RECORDING, &key(), nonce())),
        "record": {
            "seq": SEQ, "declared": declared(), "plain": hex(b"a fragment"),
            "sealed": hex(&seal_record(&key(), RECORDING, SEQ, &declared(), nonce(), b"a fragment").unwrap()),
        },
    })
}

#[test]
fn what_was_encrypted_once_opens_and_is_made_the_same_again() {
    let path = directory().join("encrypted/encrypted.json");
    if std::env::var("PLAYHEAD_BLESS").is_ok_and(|bless| bless == "all" || !path.exists()) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&make()).unwrap() + "\n").unwrap();
    }
    let expected: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let key = DataKey::new(
        expected["key_id"].as_str().unwrap().parse().unwrap(),
        from_hex(&expected["key"]).try_into().unwrap(),
    );

    for file in expected["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let plain = plain(name);
        let made = encrypted(&plain, u32::try_from(file["segment"].as_u64().unwrap()).unwrap());
        assert_eq!(blake3::hash(&made).to_string(), file["blake3"], "{name}");
        assert_eq!(file_len(plain.len() as u64), made.len() as u64, "{name}");
        let stored = if file["stored"] == true {
            fs::read(directory().join("encrypted").join(name).with_extension("sealed")).unwrap()
        } else {
            made
        };
        assert_eq!(
            (stored.len() as u64, hex(&stored[..playhead_vault::HEADER])),
            (file["bytes"].as_u64().unwrap(), file["header"].as_str().unwrap().to_owned())
        );
        let header = Header::parse(&stored).unwrap();
        assert_eq!(
            (header.recording(), header.segment()),
            (RECORDING, file["segment"].as_u64().unwrap() as u32)
        );
        assert_eq!(header.key(), key.id());
        assert_eq!(opened(&key, &stored).unwrap(), plain, "{name}");
        assert_eq!(blake3::hash(&plain).to_string(), file["plain_blake3"], "{name}");

        // Changed anywhere, cut off anywhere, or with another key it does not open.
        for at in (0..stored.len()).step_by(stored.len().div_ceil(97)) {
            let mut flipped = stored.clone();
            flipped[at] ^= 1;
            assert!(opened(&key, &flipped).is_none(), "{name}: byte {at}");
            assert!(opened(&key, &stored[..at]).is_none(), "{name}: cut off at {at}");
        }
        assert!(opened(&DataKey::new(key.id(), [9; 32]), &stored).is_none());
    }

    let wrapped = from_hex(&expected["wrapped"]);
    let site = SiteKey::new(from_hex(&expected["site_key"]).try_into().unwrap());
    assert_eq!(site.unwrap(RECORDING, key.id(), &wrapped).unwrap().expose(), key.expose());
    assert_eq!(site.wrap(RECORDING, &key, nonce()), wrapped);

    let record = &expected["record"];
    let (seq, sealed) = (record["seq"].as_u64().unwrap(), from_hex(&record["sealed"]));
    let parsed = SealedRecord::parse(&sealed).unwrap();
    assert_eq!(serde_json::to_value(&parsed.declared).unwrap(), record["declared"]);
    assert_eq!(open_record(&key, RECORDING, seq, &parsed).unwrap(), from_hex(&record["plain"]));
    assert!(open_record(&key, RECORDING, seq + 1, &parsed).is_err(), "it belongs to one place alone");
    let again = seal_record(&key, RECORDING, seq, &parsed.declared, nonce(), &from_hex(&record["plain"]));
    assert_eq!(again.unwrap(), sealed);
}

/// All that an encrypted file holds; `None` when anything about it is wrong.
fn opened(key: &DataKey, file: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(file).ok()?;
    let mut decrypter = Decrypter::new(Opener::new(key, header, file.len() as u64).ok()?);
    let plain = decrypter.push(file).ok()?;
    decrypter.finish().ok()?;
    Some(plain)
}
