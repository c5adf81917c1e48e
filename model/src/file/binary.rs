//! The encoding of calibration and feature tables.

use forest::encoding::{DecodeError, Reader, put_f32s};

use crate::profile::{FeatureHistogram, FeatureRange, Profile};
use conformal::Calibration;
use tail::Tails;

/// `count: u64`, then the scores, ascending; the same of the prior's, of which there may be none,
/// and the rows that they count as, `f32`.
pub(super) fn encode_calibration(calibration: &Calibration) -> Vec<u8> {
    let (prior, rows) = calibration.prior().unwrap_or((&[], 0.0));
    let mut out = Vec::new();
    for scores in [calibration.scores(), prior] {
        out.extend((scores.len() as u64).to_le_bytes());
        put_f32s(&mut out, scores);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a small number of rows")]
    put_f32s(&mut out, &[rows as f32]);
    out
}

/// Of scores in [0, `most`].
pub(super) fn decode_calibration(bytes: &[u8], most: f32) -> Result<Calibration, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (scores, prior) = (ascending(&mut reader, most)?, ascending(&mut reader, most)?);
    let rows = f64::from(reader.f32()?);
    // A single score would be left out unseen.
    if prior.is_empty() == (rows > 0.0) || scores.len() == 1 {
        return Err(reader.malformed("its scores, those of its prior and their weight disagree"));
    }
    reader.end()?;
    let calibration = if prior.is_empty() {
        Calibration::new(scores)
    } else {
        Calibration::with_prior(scores, prior, rows)
    };
    calibration.map_err(|error| DecodeError { what: error.to_string(), at: bytes.len() })
}

fn ascending(reader: &mut Reader<'_>, most: f32) -> Result<Vec<f32>, DecodeError> {
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
    Ok(scores)
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
    // Of no rows of its own it is of elsewhere.
    if sampled == 0 || rows > 0 && sampled > rows {
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
