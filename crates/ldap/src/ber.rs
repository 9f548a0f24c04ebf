//! The basic encoding rules, as far as LDAP uses them: one-byte tags, definite lengths.

use crate::WireError;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Takes elements off the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element; `None` at the end.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element's tag and content.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), WireError> {
        let Some((tag, head, length)) = head(self.0)? else {
            return Err(WireError::Short { expected: 2, actual: self.0.len() });
        };
        let rest = &self.0[head..];
        let Some((content, rest)) = rest.split_at_checked(length) else {
            return Err(WireError::Short { expected: length, actual: rest.len() });
        };
        self.0 = rest;
        Ok((tag, content))
    }

    /// The next element's content, when it has this tag.
    pub(crate) fn element(&mut self, tag: u8, expected: &'static str) -> Result<&'a [u8], WireError> {
        match self.next()? {
            (actual, content) if actual == tag => Ok(content),
            (actual, _) => Err(WireError::Tag { expected, actual }),
        }
    }

    /// A number that is not negative.
    pub(crate) fn number(&mut self, tag: u8, expected: &'static str) -> Result<u32, WireError> {
        let content = self.element(tag, expected)?;
        // Five bytes where the first is the sign's.
        let digits = if content.len() == 5 && content[0] == 0 { &content[1..] } else { content };
        if digits.is_empty() || digits.len() > 4 || content[0] & 0x80 != 0 {
            return Err(WireError::Number(content.len()));
        }
        Ok(digits.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// A text.
    pub(crate) fn text(&mut self, expected: &'static str) -> Result<String, WireError> {
        let content = self.element(OCTETS, expected)?;
        String::from_utf8(content.to_vec()).map_err(|_| WireError::Text(expected))
    }
}

/// Tag, length of tag and length together, and length of the content; `None` while there are too few bytes to tell.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, WireError> {
    let [tag, first, rest @ ..] = bytes else { return Ok(None) };
    if *first < 0x80 {
        return Ok(Some((*tag, 2, usize::from(*first))));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return Err(WireError::Length(*first));
    }
    let Some(digits) = rest.get(..count) else { return Ok(None) };
    let length = digits.iter().fold(0u32, |length, &byte| length << 8 | u32::from(byte));
    // Where usize has 32 bits, 4 GiB do not fit; nothing that long is taken anyway.
    Ok(Some((*tag, 2 + count, usize::try_from(length).unwrap_or(usize::MAX))))
}

/// Appends an element.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = (content.len() as u64).to_be_bytes();
            let digits = &length[content.len().leading_zeros() as usize / 8 + (8 - size_of::<usize>())..];
            // At most eight.
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
}

/// Appends an element that holds what `fill` appends.
pub(crate) fn nest(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    put(out, tag, &content);
}

/// Appends a number.
pub(crate) fn put_number(out: &mut Vec<u8>, tag: u8, number: u32) {
    let bytes = u64::from(number).to_be_bytes();
    // As few as there may be, with room for the sign.
    let from = (0..7).find(|&at| bytes[at] != 0 || bytes[at + 1] & 0x80 != 0).unwrap_or(7);
    put(out, tag, &bytes[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_come_back() {
        for number in [0, 1, 127, 128, 255, 256, 32_767, 32_768, 0x7fff_ffff, u32::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, INTEGER, number);
            assert_eq!(Reader::new(&out).number(INTEGER, "a number"), Ok(number), "{out:02x?}");
        }
        for length in [0, 127, 128, 255, 256, 70_000] {
            let mut out = Vec::new();
            put(&mut out, OCTETS, &vec![7; length]);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.element(OCTETS, "bytes").map(<[u8]>::len), Ok(length));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_or_of_another_form_is_refused() {
        assert_eq!(Reader::new(&[4, 3, 1]).next(), Err(WireError::Short { expected: 3, actual: 1 }));
        assert_eq!(Reader::new(&[4, 0x80, 0, 0]).next(), Err(WireError::Length(0x80)), "indefinite");
        assert_eq!(Reader::new(&[4, 0x88]).next(), Err(WireError::Length(0x88)));
        assert!(matches!(Reader::new(&[4, 0x84, 255, 255, 255, 255]).next(), Err(WireError::Short { .. })));
        assert_eq!(Reader::new(&[2, 1, 0xff]).number(INTEGER, "x"), Err(WireError::Number(1)), "negative");
        assert_eq!(Reader::new(&[2, 0]).number(INTEGER, "x"), Err(WireError::Number(0)));
    }
}
