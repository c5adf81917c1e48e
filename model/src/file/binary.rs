//! Little-endian reading and writing, and the encoding of calibration and feature tables.

use super::errors::ModelFormatError;
use crate::profile::{FeatureHistogram, FeatureRange, Profile};
use conformal::Calibration;

/// Reads a part from its beginning; every shortage is an error that names part and place.
pub(super) struct Reader<'a> {
    part: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(part: &'a str, bytes: &'a [u8]) -> Self {
        Self { part, bytes, at: 0 }
    }

    pub(super) fn malformed(&self, what: impl std::fmt::Display) -> ModelFormatError {
        ModelFormatError::malformed(self.part, format!("{what}, before byte {}", self.at))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelFormatError> {
        let Some(array) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) else {
            return Err(self.malformed("it ends too early"));
        };
        self.at += N;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ModelFormatError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ModelFormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ModelFormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ModelFormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, ModelFormatError> {
        let value = self.array().map(f32::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(self.malformed("a number is not finite")) }
    }

    pub(super) fn f64(&mut self) -> Result<f64, ModelFormatError> {
        let value = self.array().map(f64::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(self.malformed("a number is not finite")) }
    }

    /// Room for `count` items of at least `size` bytes: never more than the part could hold.
    pub(super) fn room(&self, count: usize, size: usize) -> usize {
        count.min((self.bytes.len() - self.at) / size)
    }

    pub(super) fn end(self) -> Result<(), ModelFormatError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.malformed(format!("{} bytes too many", self.bytes.len() - self.at)))
        }
    }
}

pub(super) fn put_f32s(out: &mut Vec<u8>, values: &[f32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

pub(super) fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// `count: u64`, then the scores, ascending.
pub(super) fn encode_calibration(calibration: &Calibration) -> Vec<u8> {
    let mut out = (calibration.held_out() as u64).to_le_bytes().to_vec();
    put_f32s(&mut out, calibration.scores());
    out
}

pub(super) fn decode_calibration(
    part: &str,
    bytes: &[u8],
) -> Result<Calibration, ModelFormatError> {
    let mut reader = Reader::new(part, bytes);
    let count = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
    let mut scores = Vec::with_capacity(reader.room(count, size_of::<f32>()));
    for _ in 0..count {
        let score = reader.f32()?;
        if !(0.0..=1.0).contains(&score) {
            return Err(reader.malformed("a score is not in [0, 1]"));
        }
        if scores.last().is_some_and(|last| *last > score) {
            return Err(reader.malformed("the scores do not ascend"));
        }
        scores.push(score);
    }
    reader.end()?;
    Calibration::new(scores).map_err(|e| ModelFormatError::malformed(part, e.to_string()))
}

/// `sampled: u64`, then per input the five numbers of its range, `edges: u16`, the edges, the
/// counts.
pub(super) fn encode_profile(profile: &Profile) -> Vec<u8> {
    let mut out = profile.sampled.to_le_bytes().to_vec();
    for (range, histogram) in profile.ranges.iter().zip(&profile.histograms) {
        put_f32s(&mut out, &[range.min, range.p01, range.median, range.p99, range.max]);
        let edges = u16::try_from(histogram.edges.len()).expect("a histogram has 16 bins");
        out.extend(edges.to_le_bytes());
        put_f32s(&mut out, &histogram.edges);
        out.extend(histogram.counts.iter().flat_map(|count| count.to_le_bytes()));
    }
    out
}

/// The profile of `rows` training rows in `inputs` features.
pub(super) fn decode_profile(
    part: &str,
    bytes: &[u8],
    inputs: usize,
    rows: u64,
) -> Result<Profile, ModelFormatError> {
    let mut reader = Reader::new(part, bytes);
    let sampled = reader.u64()?;
    if sampled == 0 || sampled > rows {
        return Err(reader.malformed("it samples none of the training rows, or more than all"));
    }
    let (mut ranges, mut histograms) = (Vec::new(), Vec::new());
    for _ in 0..inputs {
        ranges.push(decode_range(&mut reader)?);
        histograms.push(decode_histogram(&mut reader, sampled)?);
    }
    reader.end()?;
    Ok(Profile { ranges, histograms, rows, sampled })
}

fn decode_range(reader: &mut Reader<'_>) -> Result<FeatureRange, ModelFormatError> {
    let range = FeatureRange {
        min: reader.f32()?,
        p01: reader.f32()?,
        median: reader.f32()?,
        p99: reader.f32()?,
        max: reader.f32()?,
    };
    if [range.min, range.p01, range.median, range.p99, range.max].is_sorted() {
        Ok(range)
    } else {
        Err(reader.malformed("a feature's range does not ascend"))
    }
}

fn decode_histogram(
    reader: &mut Reader<'_>,
    sampled: u64,
) -> Result<FeatureHistogram, ModelFormatError> {
    let count = usize::from(reader.u16()?);
    let edges = (0..count).map(|_| reader.f32()).collect::<Result<Vec<_>, _>>()?;
    if !edges.is_sorted_by(|a, b| a < b) {
        return Err(reader.malformed("the edges of a histogram do not ascend"));
    }
    let counts = (0..=count).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
    let counted = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
    if counted == Some(sampled) {
        Ok(FeatureHistogram { edges, counts })
    } else {
        Err(reader.malformed("a histogram does not count each sampled row once"))
    }
}
