//! The encoding of calibration and feature tables.

use forest::encoding::{DecodeError, Reader, put_f32s};

use crate::profile::{FeatureHistogram, FeatureRange, Profile};
use conformal::Calibration;
use tail::Tails;

/// `count: u64`, then the scores, ascending.
pub(super) fn encode_calibration(calibration: &Calibration) -> Vec<u8> {
    let mut out = (calibration.held_out() as u64).to_le_bytes().to_vec();
    put_f32s(&mut out, calibration.scores());
    out
}

/// Of scores in [0, `most`].
pub(super) fn decode_calibration(bytes: &[u8], most: f32) -> Result<Calibration, DecodeError> {
    let mut reader = Reader::new(bytes);
    let count = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
    let mut scores = Vec::with_capacity(reader.room(count, size_of::<f32>()));
    for _ in 0..count {
        let score = reader.f32()?;
        if !(0.0..=most).contains(&score) {
            return Err(reader.malformed(format!("a score is not in [0, {most}]")));
        }
        if scores.last().is_some_and(|last| *last > score) {
            return Err(reader.malformed("the scores do not ascend"));
        }
        scores.push(score);
    }
    reader.end()?;
    Calibration::new(scores)
        .map_err(|error| DecodeError { what: error.to_string(), at: bytes.len() })
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

/// The profile of `rows` training rows in the features of these tails.
pub(super) fn decode_profile(
    bytes: &[u8],
    tails: Tails,
    rows: u64,
) -> Result<Profile, DecodeError> {
    let mut reader = Reader::new(bytes);
    let sampled = reader.u64()?;
    if sampled == 0 || sampled > rows {
        return Err(reader.malformed("it samples none of the training rows, or more than all"));
    }
    let (mut ranges, mut histograms) = (Vec::new(), Vec::new());
    for _ in 0..tails.n_features() {
        ranges.push(decode_range(&mut reader)?);
        histograms.push(decode_histogram(&mut reader, sampled)?);
    }
    reader.end()?;
    Ok(Profile { ranges, histograms, tails, rows, sampled })
}

fn decode_range(reader: &mut Reader<'_>) -> Result<FeatureRange, DecodeError> {
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
) -> Result<FeatureHistogram, DecodeError> {
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
