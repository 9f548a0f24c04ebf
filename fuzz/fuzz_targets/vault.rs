//! Encrypted files, records and headers, time stamps and recipients: anything at all, and sound ones that were changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_model::RecordingId;
use playhead_proof::TimeStamp;
use playhead_vault::{
    DataKey, Declared, Decrypter, Encrypter, Header, KeyId, Opener, Recipient, SaltHasher, SealedRecord,
    open_record, plain_len, seal_record,
};

const RECORDING: RecordingId = RecordingId::from_bytes([1; 16]);

fuzz_target!(|data: &[u8]| {
    let key = DataKey::new(KeyId::from_u128(1), [2; 32]);
    let _ = Header::parse(data);
    let _ = plain_len(data.len() as u64);
    if let Ok(stamp) = TimeStamp::read(data) {
        let _ = stamp.check(&[0; 32], None);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<Header>();
        let _ = text.parse::<Recipient>();
    }
    if let Ok(sealed) = SealedRecord::parse(data) {
        assert!(open_record(&key, RECORDING, 0, &sealed).is_err(), "nobody can make one without the key");
    }

    // A file and a record made of the data, changed at one place.
    let Some((&[at, to, rest @ ..], content)) = data.split_first_chunk::<4>() else { return };
    let mut salt = SaltHasher::new(&key);
    salt.update(content);
    let header = Header::new(&key, RECORDING, 0, salt.finish());
    let mut file = Vec::new();
    let mut encrypter = Encrypter::new(&key, header, &mut file).expect("the key fits");
    encrypter.push(content, &mut file);
    encrypter.finish(&mut file).expect("the content is the same");
    let whole = file.clone();
    let place = (usize::from(at) << 8 | usize::from(to)) % file.len();
    match rest[0] % 3 {
        0 => file[place] ^= rest[1],
        1 => file.truncate(place),
        _ => file.insert(place, rest[1]),
    }
    let read = || {
        let mut decrypter = Decrypter::new(Opener::new(&key, header, file.len() as u64)?);
        let mut plain = decrypter.push(&file[..place.min(file.len())])?;
        plain.extend(decrypter.push(&file[place.min(file.len())..])?);
        decrypter.finish().map(|()| plain)
    };
    match read() {
        Ok(plain) => assert!(file == whole && plain == content),
        Err(_) => assert!(file != whole),
    }
    let mut record =
        seal_record(&key, RECORDING, 7, &Declared::default(), [3; 12], content).expect("little is declared");
    let place = place % record.len();
    record[place] ^= rest[1];
    let opened = SealedRecord::parse(&record).and_then(|sealed| open_record(&key, RECORDING, 7, &sealed));
    assert_eq!(opened.is_ok(), rest[1] == 0);
});
