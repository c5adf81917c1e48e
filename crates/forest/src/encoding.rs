//! Little-endian reading and writing, for a forest's bytes and for formats that embed them.

use thiserror::Error;

/// Refusal of bytes: the cause, and the offset up to which they were read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}, before byte {at}")]
pub struct DecodeError {
    /// The cause.
    pub what: String,
    /// Bytes read until then.
    pub at: usize,
}

/// A reader of bytes from their beginning. Every shortage is an error that names the place.
///
/// ```
/// use weir_forest::encoding::{Reader, put_f32s};
///
/// let mut bytes = vec![7];
/// put_f32s(&mut bytes, &[0.5]);
/// let mut reader = Reader::new(&bytes);
/// assert_eq!((reader.u8()?, reader.f32()?), (7, 0.5));
/// assert_eq!(reader.u16().unwrap_err().to_string(), "it ends too early, before byte 5");
/// reader.end()?;
/// # Ok::<(), weir_forest::encoding::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The error of this cause at this place.
    pub fn malformed(&self, what: impl Into<String>) -> DecodeError {
        DecodeError { what: what.into(), at: self.at }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(array) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) else {
            return Err(self.malformed("it ends too early"));
        };
        self.at += N;
        Ok(*array)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next four bytes as a finite number; one that is not finite is refused.
    pub fn f32(&mut self) -> Result<f32, DecodeError> {
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(self.malformed("a number is not finite")) }
    }

    /// The next eight bytes as a finite number; one that is not finite is refused.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        let value = self.array().map(f64::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(self.malformed("a number is not finite")) }
    }

    /// Room for `count` items of at least `size` bytes: never more than the rest could hold.
    #[must_use]
    pub const fn room(&self, count: usize, size: usize) -> usize {
        let rest = (self.bytes.len() - self.at) / size;
        if count < rest { count } else { rest }
    }

    /// Refuses bytes that are left over.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.malformed(format!("{} bytes too many", self.bytes.len() - self.at)))
        }
    }
}

/// Appends numbers.
pub fn put_f32s(out: &mut Vec<u8>, values: &[f32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// Appends numbers.
pub fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
