//! Extended forests: Hariri, Carrasco Kind, Brunner 2019, *Extended Isolation Forest*.
//!
//! Two choices differ from the paper, both to the good of network features. Features are
//! standardised first, for a direction drawn over bytes and ratios would see the bytes alone;
//! and the threshold is drawn uniformly among the rows' projections instead of from their
//! bounding box, so that no split leaves a side empty and level 0 would be the standard forest.

use crate::grow::Sample;
use crate::path_length::{FixedPath, leaf_path, to_levels};
use crate::random::Draws;

/// Mean and standard deviation of each feature over all training rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: Vec<f64>,
    /// 1 / standard deviation; 0 for a feature that never varies, which then decides nothing.
    pub(crate) inverse: Vec<f64>,
}

impl Spread {
    /// The value in standard deviations from the mean; finite for any input.
    fn standardise(&self, feature: usize, value: f32) -> f64 {
        let value = if value.is_nan() { f32::MIN } else { value.clamp(f32::MIN, f32::MAX) };
        (f64::from(value) - self.mean[feature]) * self.inverse[feature]
    }
}

/// Sums a [`Spread`] up row by row (Welford 1962), so that a stream needs one pass and its blocks
/// leave no trace.
#[derive(Clone, Debug)]
pub(crate) struct SpreadSum {
    rows: u64,
    mean: Vec<f64>,
    /// Sums of squared deviations from the mean.
    squares: Vec<f64>,
}

impl SpreadSum {
    pub(crate) fn new(n_features: usize) -> Self {
        Self { rows: 0, mean: vec![0.0; n_features], squares: vec![0.0; n_features] }
    }

    pub(crate) fn extend(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.mean.len()) {
            self.rows += 1;
            let share = 1.0 / self.rows as f64;
            for ((mean, squares), value) in self.mean.iter_mut().zip(&mut self.squares).zip(row) {
                let before = f64::from(*value) - *mean;
                *mean += before * share;
                *squares += before * (f64::from(*value) - *mean);
            }
        }
    }

    pub(crate) fn finish(self) -> Spread {
        let rows = self.rows as f64;
        let inverse = self.squares.iter().map(|sum| {
            let variance = sum / rows;
            if variance > 0.0 { variance.sqrt().recip() } else { 0.0 }
        });
        Spread { inverse: inverse.collect(), mean: self.mean }
    }
}

/// A node; its terms lie in [`ExtendedForest::terms`] at its index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlaneNode {
    /// Index of the right child, 0 for a leaf; the left child is the next node.
    pub(crate) right: u32,
    pub(crate) samples: u32,
    /// As in [`Node`](crate::tree::Node).
    pub(crate) path: FixedPath,
    /// Rows whose projection is at most this go left.
    pub(crate) threshold: f64,
}

/// A feature and its weight in a projection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) feature: u8,
    pub(crate) weight: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlaneSketch {
    Split { terms: Vec<Term>, threshold: f64, left: Box<PlaneSketch>, right: Box<PlaneSketch> },
    Leaf { samples: u32 },
}

impl PlaneSketch {
    /// Training rows in all leaves.
    pub(crate) fn samples(&self) -> u64 {
        match self {
            Self::Leaf { samples } => u64::from(*samples),
            Self::Split { left, right, .. } => left.samples() + right.samples(),
        }
    }
}

/// All trees, node after node, each in preorder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExtendedForest {
    pub(crate) spread: Spread,
    pub(crate) nodes: Vec<PlaneNode>,
    pub(crate) roots: Vec<u32>,
    /// `extension_level + 1` per node; unused ones have weight 0.
    pub(crate) terms: Vec<Term>,
    terms_per_node: usize,
}

impl ExtendedForest {
    pub(crate) fn new(spread: Spread, extension_level: usize, trees: &[PlaneSketch]) -> Self {
        let mut forest = Self {
            spread,
            nodes: Vec::new(),
            roots: Vec::new(),
            terms: Vec::new(),
            terms_per_node: extension_level + 1,
        };
        for tree in trees {
            forest.roots.push(index(forest.nodes.len()));
            forest.place(tree, 0);
        }
        forest
    }

    fn place(&mut self, tree: &PlaneSketch, depth: usize) -> usize {
        let at = self.nodes.len();
        let node = PlaneNode { right: 0, samples: 0, path: 0, threshold: 0.0 };
        let unused = Term { feature: 0, weight: 0.0 };
        match tree {
            PlaneSketch::Leaf { samples } => {
                let path = leaf_path(depth, *samples as usize);
                self.nodes.push(PlaneNode { samples: *samples, path, ..node });
                self.terms.resize(self.nodes.len() * self.terms_per_node, unused);
            }
            PlaneSketch::Split { terms, threshold, left, right } => {
                self.nodes.push(PlaneNode { threshold: *threshold, ..node });
                self.terms.extend_from_slice(terms);
                self.terms.resize(self.nodes.len() * self.terms_per_node, unused);
                let left = self.place(left, depth + 1);
                let right = self.place(right, depth + 1);
                let (left, below) = (self.nodes[left], self.nodes[right]);
                let samples = left.samples + below.samples;
                let weighted = u64::from(left.samples) * u64::from(left.path)
                    + u64::from(below.samples) * u64::from(below.path);
                let path = weighted / u64::from(samples.max(1));
                let node = &mut self.nodes[at];
                node.right = index(right);
                node.samples = samples;
                node.path = FixedPath::try_from(path).expect("a mean is within its terms");
            }
        }
        at
    }

    pub(crate) fn n_trees(&self) -> usize {
        self.roots.len()
    }

    pub(crate) fn terms_of(&self, node: usize) -> &[Term] {
        &self.terms[node * self.terms_per_node..][..self.terms_per_node]
    }

    pub(crate) fn path_sum(&self, row: &[f32]) -> FixedPath {
        let mut standard = Vec::with_capacity(row.len());
        self.standardise(row, &mut standard);
        self.sum_of(&standard)
    }

    pub(crate) fn path_sums(&self, rows: &[f32], sums: &mut [FixedPath]) {
        let n_features = self.spread.mean.len();
        let mut standard = Vec::with_capacity(n_features);
        for (row, sum) in rows.chunks_exact(n_features).zip(sums) {
            self.standardise(row, &mut standard);
            *sum = self.sum_of(&standard);
        }
    }

    /// As [`StandardForest::credit`](crate::standard::StandardForest::credit).
    pub(crate) fn credit(&self, row: &[f32], by_feature: &mut [f64]) -> (FixedPath, FixedPath) {
        let mut standard = Vec::with_capacity(row.len());
        self.standardise(row, &mut standard);
        let (mut expected, mut path) = (0, 0);
        for root in &self.roots {
            let mut at = *root as usize;
            expected += self.nodes[at].path;
            while let Some(next) = self.step(at, &standard) {
                let shortened = to_levels(self.nodes[at].path) - to_levels(self.nodes[next].path);
                let pull = |term: &Term| (term.weight * standard[usize::from(term.feature)]).abs();
                let all: f64 = self.terms_of(at).iter().map(pull).sum();
                for term in self.terms_of(at) {
                    let share = if all > 0.0 { pull(term) / all } else { 0.0 };
                    by_feature[usize::from(term.feature)] += share * shortened;
                }
                at = next;
            }
            path += self.nodes[at].path;
        }
        (expected, path)
    }

    fn standardise(&self, row: &[f32], out: &mut Vec<f64>) {
        out.clear();
        out.extend(row.iter().enumerate().map(|(f, value)| self.spread.standardise(f, *value)));
    }

    fn sum_of(&self, standard: &[f64]) -> FixedPath {
        self.roots
            .iter()
            .map(|root| {
                let mut at = *root as usize;
                while let Some(next) = self.step(at, standard) {
                    at = next;
                }
                self.nodes[at].path
            })
            .sum()
    }

    /// The child that the row goes to, none from a leaf.
    #[inline]
    fn step(&self, at: usize, standard: &[f64]) -> Option<usize> {
        let node = &self.nodes[at];
        (node.right != 0).then(|| {
            let left = project(self.terms_of(at), |f| standard[f]) <= node.threshold;
            if left { at + 1 } else { node.right as usize }
        })
    }
}

fn project(terms: &[Term], value: impl Fn(usize) -> f64) -> f64 {
    terms.iter().map(|term| term.weight * value(usize::from(term.feature))).sum()
}

/// Grows one tree.
pub(crate) fn grow(
    sample: &Sample<'_>,
    spread: &Spread,
    extension_level: usize,
    max_depth: usize,
    rng: &mut Draws,
) -> PlaneSketch {
    let n_features = sample.n_features;
    let standard: Vec<f64> = sample
        .values
        .iter()
        .enumerate()
        .map(|(at, value)| spread.standardise(at % n_features, *value))
        .collect();
    let mut rows: Vec<u32> = (0..).take(standard.len() / n_features).collect();
    let mut grower = Grower { standard, n_features, extension_level, max_depth, rng };
    grower.grow(&mut rows, 0)
}

struct Grower<'a> {
    standard: Vec<f64>,
    n_features: usize,
    extension_level: usize,
    max_depth: usize,
    rng: &'a mut Draws,
}

impl Grower<'_> {
    fn grow(&mut self, rows: &mut [u32], depth: usize) -> PlaneSketch {
        let split = if rows.len() > 1 && depth < self.max_depth { self.split(rows) } else { None };
        let Some((terms, threshold)) = split else {
            return PlaneSketch::Leaf { samples: index(rows.len()) };
        };
        let mut left = 0;
        for at in 0..rows.len() {
            if self.projection(&terms, rows[at]) <= threshold {
                rows.swap(left, at);
                left += 1;
            }
        }
        let (left, right) = rows.split_at_mut(left);
        PlaneSketch::Split {
            terms,
            threshold,
            left: Box::new(self.grow(left, depth + 1)),
            right: Box::new(self.grow(right, depth + 1)),
        }
    }

    /// A random direction over features that vary among `rows`, and a threshold uniform
    /// between their projections.
    fn split(&mut self, rows: &[u32]) -> Option<(Vec<Term>, f64)> {
        let mut varying: Vec<usize> =
            (0..self.n_features).filter(|f| self.varies(rows, *f)).collect();
        let count = varying.len().min(self.extension_level + 1);
        let mut terms = Vec::with_capacity(count);
        for _ in 0..count {
            let feature = varying.swap_remove(self.rng.below(varying.len()));
            let feature = u8::try_from(feature).expect("a row has at most 256 features");
            terms.push(Term { feature, weight: self.rng.normal() });
        }
        let (low, high) = rows
            .iter()
            .map(|row| self.projection(&terms, *row))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                (low.min(at), high.max(at))
            });
        (low < high).then(|| {
            let drawn = low + self.rng.unit() * (high - low);
            (terms, if drawn < high { drawn } else { low })
        })
    }

    fn varies(&self, rows: &[u32], feature: usize) -> bool {
        let value = |row: u32| self.standard[row as usize * self.n_features + feature].to_bits();
        rows.iter().any(|row| value(*row) != value(rows[0]))
    }

    fn projection(&self, terms: &[Term], row: u32) -> f64 {
        project(terms, |feature| self.standard[row as usize * self.n_features + feature])
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("1,000 trees over 2²⁰ rows stay below 2³² nodes")
}
