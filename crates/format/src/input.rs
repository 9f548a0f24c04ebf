//! Reading fields from a byte slice, never past its end.

use crate::FormatError;

/// What is left of a slice of untrusted bytes.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    left: &'a [u8],
    what: &'static str,
}

impl<'a> Input<'a> {
    /// Reads `bytes`, which are called `what` in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { left: bytes, what }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(FormatError::Truncated {
            what: self.what,
            expected: count as u64,
            actual: self.left.len() as u64,
        })?;
        self.left = left;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, FormatError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes preceded by their length in 32 bits.
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// Bytes preceded by their length in 64 bits.
    pub(crate) fn prefixed_long(&mut self) -> Result<&'a [u8], FormatError> {
        let length = self.u64()?;
        // A length beyond the address space is certainly beyond the slice.
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// UTF-8 text preceded by its length in 32 bits.
    pub(crate) fn text(&mut self) -> Result<&'a str, FormatError> {
        let what = self.what;
        str::from_utf8(self.prefixed()?)
            .map_err(|error| FormatError::invalid(what, format!("expected UTF-8 text: {error}")))
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.left
    }

    pub(crate) fn len(&self) -> usize {
        self.left.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Refuses bytes after the last field.
    pub(crate) fn end(self) -> Result<(), FormatError> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(FormatError::TrailingBytes { what: self.what, count: count as u64 }),
        }
    }
}
