//! The encoding of a forest.
//!
//! Trees are written in preorder without any node index: a split is followed by its left and
//! then its right subtree. What does not describe a tree cannot be written down at all.
//!
//! ```text
//! header    features u16, max_samples u32, max_depth u8, extension_level u16, beyond f64, seed u64,
//!           trees u32
//! standard  per feature: cuts u8, each f32, strictly ascending
//!           split: 1, feature u8, cut u8        leaf: 0, samples u32
//! extended  per feature: mean f64, 1 / standard deviation f64
//!           split: 1, terms u16, each feature u8 and weight f64, threshold f64
//!           leaf: 0, samples u32
//! ```

use crate::algorithm::{IsolationForest, Kind, Origin};
use crate::cuts::Cuts;
use crate::encoding::{DecodeError, Reader, put_f32s, put_f64s};
use crate::extended::{ExtendedForest, PlaneSketch, Spread, Term};
use crate::limits::{MAX_BEYOND, MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES, MAX_TREES};
use crate::standard::StandardForest;
use crate::tree::{Sketch, Trees};

const LEAF: u8 = 0;
const SPLIT: u8 = 1;

impl IsolationForest {
    /// The forest as bytes: a few per node, the same for the same forest.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote, and checks every node.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

fn encode(forest: &IsolationForest) -> Vec<u8> {
    let (origin, kind) = forest.parts();
    let mut out = Vec::new();
    put_u16(&mut out, origin.n_features);
    put_u32(&mut out, origin.max_samples);
    put_u8(&mut out, origin.max_depth);
    put_u16(&mut out, origin.extension_level);
    put_f64s(&mut out, &[origin.beyond]);
    out.extend(origin.seed.to_le_bytes());
    put_u32(&mut out, forest.n_trees());
    match kind {
        Kind::Standard(forest) => encode_standard(forest, &mut out),
        Kind::Extended(forest) => encode_extended(forest, &mut out),
    }
    out
}

fn encode_standard(forest: &StandardForest, out: &mut Vec<u8>) {
    for feature in 0..forest.cuts().n_features() {
        let cuts = forest.cuts().of(feature);
        put_u8(out, cuts.len());
        put_f32s(out, cuts);
    }
    for node in &forest.trees().nodes {
        if node.is_leaf() {
            out.push(LEAF);
            out.extend(node.samples.to_le_bytes());
        } else {
            out.extend([SPLIT, node.feature, node.cut]);
        }
    }
}

fn encode_extended(forest: &ExtendedForest, out: &mut Vec<u8>) {
    for (mean, inverse) in forest.spread.mean.iter().zip(&forest.spread.inverse) {
        put_f64s(out, &[*mean, *inverse]);
    }
    for (at, node) in forest.nodes.iter().enumerate() {
        if node.right == 0 {
            out.push(LEAF);
            out.extend(node.samples.to_le_bytes());
            continue;
        }
        out.push(SPLIT);
        let terms = forest.terms_of(at);
        put_u16(out, terms.len());
        for term in terms {
            out.push(term.feature);
            put_f64s(out, &[term.weight]);
        }
        put_f64s(out, &[node.threshold]);
    }
}

fn decode(bytes: &[u8]) -> Result<IsolationForest, DecodeError> {
    let mut decoder = Decoder { reader: Reader::new(bytes), max_depth: 0 };
    let origin = Origin {
        n_features: decoder.bounded("features", 1, MAX_FEATURES, |r| r.u16().map(usize::from))?,
        max_samples: decoder.bounded("rows per tree", 2, MAX_SAMPLES, u32_of)?,
        max_depth: decoder.bounded("levels", 0, MAX_DEPTH, |r| r.u8().map(usize::from))?,
        extension_level: decoder
            .bounded("extension level", 0, MAX_FEATURES - 1, |r| r.u16().map(usize::from))?,
        beyond: decoder.share()?,
        seed: decoder.reader.u64()?,
    };
    let n_trees = decoder.bounded("trees", 1, MAX_TREES, u32_of)?;
    decoder.max_depth = origin.max_depth;
    let kind = if origin.extension_level == 0 {
        Kind::Standard(decoder.standard(&origin, n_trees)?)
    } else {
        Kind::Extended(decoder.extended(&origin, n_trees)?)
    };
    decoder.reader.end()?;
    Ok(IsolationForest::from_parts(origin, kind))
}

struct Decoder<'a> {
    reader: Reader<'a>,
    max_depth: usize,
}

impl Decoder<'_> {
    fn bounded(
        &mut self,
        what: &str,
        min: usize,
        max: usize,
        read: impl Fn(&mut Reader<'_>) -> Result<usize, DecodeError>,
    ) -> Result<usize, DecodeError> {
        let got = read(&mut self.reader)?;
        if (min..=max).contains(&got) {
            return Ok(got);
        }
        Err(self.reader.malformed(format!("{what} must be between {min} and {max}, got {got}")))
    }

    fn share(&mut self) -> Result<f64, DecodeError> {
        let share = self.reader.f64()?;
        if (0.0..=MAX_BEYOND).contains(&share) {
            return Ok(share);
        }
        Err(self.reader.malformed("the share of rows beyond must be between 0 and 0.9"))
    }

    fn standard(&mut self, origin: &Origin, n_trees: usize) -> Result<StandardForest, DecodeError> {
        let mut per_feature = Vec::with_capacity(origin.n_features);
        for _ in 0..origin.n_features {
            let count = self.reader.u8()?;
            let cuts = (0..count).map(|_| self.reader.f32()).collect::<Result<Vec<_>, _>>()?;
            if !cuts.is_sorted_by(|a, b| a < b) {
                return Err(self.reader.malformed("a feature's cuts do not ascend"));
            }
            per_feature.push(cuts);
        }
        let cuts = Cuts::new(&per_feature);
        let mut trees = Trees::default();
        for _ in 0..n_trees {
            let tree = self.sketch(&cuts, 0)?;
            self.check_samples(tree.samples())?;
            trees.push(&tree);
        }
        Ok(StandardForest::new(cuts, trees))
    }

    fn sketch(&mut self, cuts: &Cuts, depth: usize) -> Result<Sketch, DecodeError> {
        if !self.splits(depth)? {
            return Ok(Sketch::Leaf { samples: self.reader.u32()? });
        }
        let (feature, cut) = (self.reader.u8()?, self.reader.u8()?);
        if usize::from(feature) >= cuts.n_features() {
            return Err(self.reader.malformed("a split on a feature that rows do not have"));
        }
        if usize::from(cut) >= cuts.of(usize::from(feature)).len() {
            return Err(self.reader.malformed("a split at a cut that the feature does not have"));
        }
        Ok(Sketch::Split {
            feature,
            cut,
            left: Box::new(self.sketch(cuts, depth + 1)?),
            right: Box::new(self.sketch(cuts, depth + 1)?),
        })
    }

    fn extended(&mut self, origin: &Origin, n_trees: usize) -> Result<ExtendedForest, DecodeError> {
        if origin.extension_level >= origin.n_features {
            return Err(self.reader.malformed("the extension level is not below the features"));
        }
        let (mut mean, mut inverse) = (Vec::new(), Vec::new());
        for _ in 0..origin.n_features {
            mean.push(self.reader.f64()?);
            inverse.push(self.reader.f64()?);
        }
        let mut trees = Vec::with_capacity(n_trees);
        for _ in 0..n_trees {
            let tree = self.plane(origin, 0)?;
            self.check_samples(tree.samples())?;
            trees.push(tree);
        }
        Ok(ExtendedForest::new(Spread { mean, inverse }, origin.extension_level, &trees))
    }

    fn plane(&mut self, origin: &Origin, depth: usize) -> Result<PlaneSketch, DecodeError> {
        if !self.splits(depth)? {
            return Ok(PlaneSketch::Leaf { samples: self.reader.u32()? });
        }
        let count = usize::from(self.reader.u16()?);
        if count != origin.extension_level + 1 {
            return Err(self.reader.malformed("a split with the wrong number of terms"));
        }
        let mut terms = Vec::with_capacity(count);
        for _ in 0..count {
            let (feature, weight) = (self.reader.u8()?, self.reader.f64()?);
            if usize::from(feature) >= origin.n_features {
                return Err(self.reader.malformed("a split on a feature that rows do not have"));
            }
            terms.push(Term { feature, weight });
        }
        Ok(PlaneSketch::Split {
            terms,
            threshold: self.reader.f64()?,
            left: Box::new(self.plane(origin, depth + 1)?),
            right: Box::new(self.plane(origin, depth + 1)?),
        })
    }

    /// True if the next node is a split.
    fn splits(&mut self, depth: usize) -> Result<bool, DecodeError> {
        match self.reader.u8()? {
            LEAF => Ok(false),
            SPLIT if depth < self.max_depth => Ok(true),
            SPLIT => Err(self.reader.malformed("a split below the deepest level")),
            _ => Err(self.reader.malformed("a node that is neither leaf nor split")),
        }
    }

    fn check_samples(&self, samples: u64) -> Result<(), DecodeError> {
        if samples <= MAX_SAMPLES as u64 {
            return Ok(());
        }
        Err(self.reader.malformed("a tree with more rows than a tree may be grown from"))
    }
}

fn u32_of(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    reader.u32().map(|value| usize::try_from(value).unwrap_or(usize::MAX))
}

fn put_u8(out: &mut Vec<u8>, value: usize) {
    out.push(u8::try_from(value).expect("checked when the forest was made"));
}

fn put_u16(out: &mut Vec<u8>, value: usize) {
    out.extend(u16::try_from(value).expect("checked when the forest was made").to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend(u32::try_from(value).expect("checked when the forest was made").to_le_bytes());
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;

    use super::*;

    fn forests() -> Vec<IsolationForest> {
        let rows: Vec<f32> = (0..900_u16).map(|i| f32::from(i * 7 % 101)).collect();
        let fit = |extension_level| {
            let params = IsolationForest::params().n_trees(5).extension_level(extension_level);
            params.check().unwrap().fit_rows(&rows, 3).unwrap()
        };
        let beyond = IsolationForest::params().n_trees(5).beyond(0.25).check().unwrap();
        vec![fit(0), fit(2), beyond.fit_rows(&rows, 3).unwrap()]
    }

    #[test]
    fn a_forest_is_read_as_it_was_written() {
        for forest in forests() {
            assert_eq!(decode(&encode(&forest)).unwrap(), forest);
        }
    }

    #[test]
    fn a_forest_with_any_byte_changed_is_refused_or_a_forest_still() {
        for forest in forests() {
            let mut bytes = encode(&forest);
            for at in 0..bytes.len() {
                for change in [1, 0x80, 0xff] {
                    bytes[at] ^= change;
                    if let Ok(other) = decode(&bytes) {
                        let score = other.score_row(&vec![1.0; other.n_features()]);
                        assert!(score > 0.0 && score <= 1.0, "byte {at}");
                    }
                    bytes[at] ^= change;
                }
            }
        }
    }

    #[test]
    fn a_forest_cut_short_or_too_long_is_refused() {
        for forest in forests() {
            let mut bytes = encode(&forest);
            for length in 0..bytes.len() {
                assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
            }
            bytes.push(0);
            let error = decode(&bytes).unwrap_err().to_string();
            assert!(error.starts_with("1 bytes too many"), "{error}");
        }
    }
}
