//! Files for handing over, encrypted to a passphrase or to recipients in the age format, version 1 (<https://age-encryption.org/v1>):
//! `age`, `rage` and others open them.

use crate::{VaultError, key::NONCE};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    agreement, hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use std::{fmt, str::FromStr};
use zeroize::Zeroizing;

/// Least characters of a passphrase.
pub const LEAST_PASSPHRASE: usize = 12;

/// Bytes of a chunk of the content.
const CHUNK: usize = 64 << 10;
/// Most recipients of one file.
const MOST: usize = 20;
/// Work of making a key of a passphrase: 128 MiB and some tenths of a second each time somebody guesses.
const WORK: u8 = 17;
const VERSION: &str = "age-encryption.org/v1";

/// Somebody who can open files that are encrypted to them: an X25519 public key, `age1…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient")
    }
}

/// Who can open a file.
#[derive(Clone)]
pub enum Secrecy {
    /// Whoever knows the passphrase.
    Passphrase(Zeroizing<String>),
    /// Each of these.
    Recipients(Vec<Recipient>),
}

impl fmt::Debug for Secrecy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("Passphrase"),
            Self::Recipients(all) => write!(f, "Recipients({})", all.len()),
        }
    }
}

impl Secrecy {
    /// Of a passphrase or of recipients; `None` for a file that everybody can open.
    ///
    /// # Errors
    /// Both, too short a passphrase, too many recipients, or some that are none.
    pub fn of(passphrase: Option<String>, recipients: &[String]) -> Result<Option<Self>, VaultError> {
        match passphrase.map(Zeroizing::new) {
            None if recipients.is_empty() => Ok(None),
            None if recipients.len() > MOST => Err(VaultError::Nobody(MOST)),
            None => {
                let all = recipients.iter().map(|text| text.parse());
                Ok(Some(Self::Recipients(all.collect::<Result<_, _>>()?)))
            }
            Some(_) if !recipients.is_empty() => Err(VaultError::Nobody(MOST)),
            Some(passphrase) => match passphrase.chars().count() {
                actual @ ..LEAST_PASSPHRASE => {
                    Err(VaultError::Passphrase { expected: LEAST_PASSPHRASE, actual })
                }
                _ => Ok(Some(Self::Passphrase(passphrase))),
            },
        }
    }
}

impl FromStr for Recipient {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let bytes =
            bech32(text.trim(), "age").ok_or(VaultError::Recipient("it is mistyped or of another kind"))?;
        let key = bytes.first_chunk::<32>().filter(|_| bytes.len() == 32);
        key.copied().map(Self).ok_or(VaultError::Recipient("its length is another"))
    }
}

/// Encrypts a file from its beginning to its end.
pub struct AgeEncrypter {
    key: LessSafeKey,
    chunk: u64,
    pending: Vec<u8>,
}

impl AgeEncrypter {
    /// Begins a file; its header goes to `out`. With a passphrase this takes 128 MiB and some tenths of a second. `random` fills bytes
    /// and tells whether it could.
    ///
    /// # Errors
    /// No random bytes; a recipient that is no key.
    pub fn new(
        secrecy: &Secrecy,
        mut random: impl FnMut(&mut [u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<Self, VaultError> {
        let mut fill = |bytes: &mut [u8]| if random(bytes) { Ok(()) } else { Err(VaultError::Random) };
        let mut file_key = Zeroizing::new([0; 16]);
        fill(&mut *file_key)?;
        let mut header = format!("{VERSION}\n");
        match secrecy {
            Secrecy::Passphrase(passphrase) => {
                let mut salt = [0; 16];
                fill(&mut salt)?;
                header += &of_passphrase(passphrase, salt, &file_key)?;
            }
            Secrecy::Recipients(recipients) => {
                for recipient in recipients {
                    let mut secret = Zeroizing::new([0; 32]);
                    fill(&mut *secret)?;
                    header += &of_recipient(recipient, &secret, &file_key)?;
                }
            }
        }
        header += "---";
        let mac_key = hmac::Key::new(hmac::HMAC_SHA256, &*derive(&*file_key, &[], b"header"));
        let mac = hmac::sign(&mac_key, header.as_bytes());
        let mut nonce = [0; 16];
        fill(&mut nonce)?;
        out.extend(format!("{header} {}\n", STANDARD_NO_PAD.encode(mac.as_ref())).as_bytes());
        out.extend(nonce);
        let key = chacha(&derive(&*file_key, &nonce, b"payload"));
        Ok(Self { key, chunk: 0, pending: Vec::with_capacity(CHUNK + 16) })
    }

    /// Adds bytes of the file; whole chunks go to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.pending.len() == CHUNK {
                self.seal(false, out);
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.pending.len()));
            self.pending.extend(now);
            bytes = later;
        }
    }

    /// The end of the file; the last chunk goes to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.seal(true, out);
    }

    fn seal(&mut self, last: bool, out: &mut Vec<u8>) {
        let mut nonce = [0; NONCE];
        nonce[3..11].copy_from_slice(&self.chunk.to_be_bytes());
        nonce[11] = u8::from(last);
        seal(&self.key, nonce, &mut self.pending);
        out.extend(&self.pending);
        self.pending.clear();
        self.chunk += 1;
    }
}

fn of_passphrase(passphrase: &str, salt: [u8; 16], file_key: &[u8; 16]) -> Result<String, VaultError> {
    let label = [VERSION.as_bytes(), b"/scrypt", &salt].concat();
    let mut key = Zeroizing::new([0; 32]);
    // Constants that fit each other; a failure here would be the library's.
    let params = scrypt::Params::new(WORK, 8, 1).map_err(|_| VaultError::Random)?;
    scrypt::scrypt(passphrase.as_bytes(), &label, &params, &mut *key).map_err(|_| VaultError::Random)?;
    let body = wrap(&key, file_key);
    Ok(format!("-> scrypt {} {WORK}\n{body}\n", STANDARD_NO_PAD.encode(salt)))
}

fn of_recipient(recipient: &Recipient, secret: &[u8; 32], file_key: &[u8; 16]) -> Result<String, VaultError> {
    let wrong = || VaultError::Recipient("it is no key");
    let secret = agreement::PrivateKey::from_private_key(&agreement::X25519, secret).map_err(|_| wrong())?;
    let share = secret.compute_public_key().map_err(|_| wrong())?;
    let salt = [share.as_ref(), &recipient.0].concat();
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, recipient.0);
    // A key of low order gives zeros for everybody, and is refused.
    let body = agreement::agree(&secret, peer, wrong(), |shared| {
        let key = derive(shared, &salt, &[VERSION.as_bytes(), b"/X25519"].concat());
        Ok(wrap(&key, file_key))
    })?;
    Ok(format!("-> X25519 {}\n{body}\n", STANDARD_NO_PAD.encode(share.as_ref())))
}

/// The file's key for one who can open it, in base64.
fn wrap(key: &[u8; 32], file_key: &[u8; 16]) -> String {
    let mut body = file_key.to_vec();
    seal(&chacha(key), [0; NONCE], &mut body);
    STANDARD_NO_PAD.encode(body)
}

fn chacha(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key);
    LessSafeKey::new(key.unwrap_or_else(|_| unreachable!("32 bytes are a key")))
}

fn seal(key: &LessSafeKey, nonce: [u8; NONCE], bytes: &mut Vec<u8>) {
    let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), bytes);
    // It refuses 256 GiB and more only.
    assert!(sealed.is_ok(), "ChaCha20-Poly1305 refuses {} bytes", bytes.len());
}

fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let filled = key.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *out));
    assert!(filled.is_ok(), "HKDF refuses 32 bytes");
    out
}

/// The bytes of a Bech32 text (BIP 173) with this human-readable part, in small letters.
fn bech32(text: &str, part: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const LONGEST: usize = 200;
    let digits = text.strip_prefix(part)?.strip_prefix('1').filter(|digits| digits.len() < LONGEST)?;
    let value =
        |char: u8| DIGITS.iter().position(|&digit| digit == char).and_then(|at| u8::try_from(at).ok());
    let values: Vec<u8> = digits.bytes().map(value).collect::<Option<_>>()?;
    let expanded = part.bytes().map(|byte| byte >> 5).chain([0]).chain(part.bytes().map(|byte| byte & 31));
    let mut check = 1u32;
    for value in expanded.chain(values.iter().copied()) {
        let top = check >> 25;
        check = (check & 0x01ff_ffff) << 5 ^ u32::from(value);
        for (bit, term) in
            [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3].into_iter().enumerate()
        {
            check ^= if top >> bit & 1 == 1 { term } else { 0 };
        }
    }
    let values = values.get(..values.len().checked_sub(6)?).filter(|_| check == 1)?;
    let (mut bytes, mut gathered, mut bits) = (Vec::new(), 0u32, 0);
    for &value in values {
        gathered = gathered << 5 | u32::from(value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((gathered >> bits & 0xff) as u8);
        }
    }
    // What is left over is padding: fewer than five bits, all zero.
    (bits < 5 && gathered & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipient out of the format's own description.
    const ONE: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn recipients_are_read_and_slips_are_found() {
        let key: Recipient = ONE.parse().unwrap();
        assert_eq!(key.0.len(), 32);
        for at in 4..ONE.len() {
            let mut text = ONE.to_owned().into_bytes();
            text[at] = if text[at] == b'q' { b'p' } else { b'q' };
            assert!(String::from_utf8(text).unwrap().parse::<Recipient>().is_err(), "{at}");
        }
        for wrong in ["", "age1", "age", "ssh-ed25519 AAAA", &ONE[..61], &ONE.to_uppercase(), &ONE.repeat(5)]
        {
            assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_for_a_passphrase_or_for_recipients() {
        let one = [ONE.to_owned()];
        assert!(Secrecy::of(None, &[]).unwrap().is_none());
        assert!(matches!(Secrecy::of(None, &one), Ok(Some(Secrecy::Recipients(_)))));
        let long = || Some("correct horse battery".to_owned());
        assert!(matches!(Secrecy::of(long(), &[]), Ok(Some(Secrecy::Passphrase(_)))));
        assert!(matches!(Secrecy::of(long(), &one), Err(VaultError::Nobody(20))));
        assert!(matches!(
            Secrecy::of(Some("short".into()), &[]),
            Err(VaultError::Passphrase { actual: 5, .. })
        ));
        assert!(Secrecy::of(None, &vec![ONE.to_owned(); 21]).is_err());
        assert_eq!(format!("{:?}", Secrecy::of(long(), &[]).unwrap()), "Some(Passphrase)");
    }

    #[test]
    fn without_random_bytes_nothing_is_encrypted() {
        let secrecy = Secrecy::of(None, &[ONE.to_owned()]).unwrap().unwrap();
        let mut out = Vec::new();
        assert_eq!(AgeEncrypter::new(&secrecy, |_| false, &mut out).err(), Some(VaultError::Random));
        assert!(out.is_empty());
        // A public key of low order.
        let weak = Secrecy::Recipients(vec![Recipient([0; 32])]);
        let made = AgeEncrypter::new(
            &weak,
            |bytes| {
                bytes.fill(7);
                true
            },
            &mut out,
        );
        assert!(matches!(made.err(), Some(VaultError::Recipient(_))));
    }
}
