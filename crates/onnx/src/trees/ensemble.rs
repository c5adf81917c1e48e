//! Trees with their leaf values, from rows to scores.

use super::finish::{Post, Tail};
use super::shallow::Shallow;
use super::{Trees, is_leaf};

/// ONNX's `aggregate_function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

impl Aggregate {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "SUM" => Self::Sum,
            "AVERAGE" => Self::Average,
            "MIN" => Self::Min,
            "MAX" => Self::Max,
            _ => return None,
        })
    }

    fn neutral(self) -> f64 {
        match self {
            Self::Sum | Self::Average => 0.0,
            Self::Min => f64::INFINITY,
            Self::Max => f64::NEG_INFINITY,
        }
    }

    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum | Self::Average => a + b,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// Trees, the values of their leaves, and what becomes of the sums.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) trees: Trees,
    /// `width` values per leaf.
    pub(crate) values: Vec<f32>,
    /// Targets or classes.
    pub(crate) width: usize,
    pub(crate) aggregate: Aggregate,
    /// Added to the aggregate; one per target.
    pub(crate) base: Vec<f64>,
    pub(crate) post: Post,
    /// Index of the target that is the score.
    pub(crate) column: usize,
    pub(crate) tail: Vec<Tail>,
    /// Of the score's target, per node: a leaf's value, a split's expected value. Filled by
    /// [`settle`](Self::settle).
    pub(super) expected: Vec<f32>,
    /// Each tree filled up, where it can be. Filled by [`settle`](Self::settle).
    shallow: Vec<Option<Shallow>>,
}

/// Slots of trees that are filled up: 50 MB.
const MAX_SLOTS: usize = 4 << 20;

/// Rows that pass through all trees before the next ones do: their values stay in the cache.
pub(crate) const BLOCK: usize = 256;

impl Ensemble {
    pub(crate) fn new(trees: Trees, values: Vec<f32>, width: usize) -> Self {
        debug_assert_eq!(values.len(), trees.n_leaves() * width);
        Self {
            trees,
            values,
            width,
            aggregate: Aggregate::Sum,
            base: vec![0.0; width],
            post: Post::None,
            column: 0,
            tail: Vec::new(),
            expected: Vec::new(),
            shallow: Vec::new(),
        }
    }

    /// The value of a leaf node for the score's target.
    pub(super) fn leaf_value(&self, at: usize) -> f32 {
        self.values[self.trees.leaf_of[at] as usize * self.width + self.column]
    }

    /// Works out the expected value of every node. `hits` holds each leaf's training rows;
    /// without them the two children of a split count alike.
    pub(crate) fn settle(&mut self, hits: Option<&[f32]>) {
        let n_nodes = self.trees.n_nodes();
        let mut expected = vec![0.0_f64; n_nodes];
        let mut weight = vec![1.0_f64; n_nodes];
        // Children come after their parent.
        for at in (0..n_nodes).rev() {
            let node = &self.trees.nodes[at];
            if is_leaf(node, at) {
                expected[at] = f64::from(self.leaf_value(at));
                if let Some(hits) = hits {
                    weight[at] = f64::from(hits[self.trees.leaf_of[at] as usize]);
                }
            } else {
                let (pass, fail) = (at + 1, node.fail as usize);
                let sum = weight[pass] + weight[fail];
                expected[at] = if hits.is_some() && sum > 0.0 {
                    (weight[pass] * expected[pass] + weight[fail] * expected[fail]) / sum
                } else {
                    expected[pass].midpoint(expected[fail])
                };
                weight[at] = if hits.is_some() { sum } else { 1.0 };
            }
        }
        self.expected = expected.into_iter().map(narrow).collect();
        let mut slots = 0;
        let mut filled = |tree| {
            let shallow = (slots < MAX_SLOTS).then(|| Shallow::of(&self.trees, tree)).flatten();
            slots += shallow.as_ref().map_or(0, Shallow::n_slots);
            shallow
        };
        self.shallow = (0..self.trees.n_trees()).map(&mut filled).collect();
    }

    /// Scores at most [`BLOCK`] rows of `n_features` values.
    pub(crate) fn score_block(&self, rows: &[f32], n_features: usize, scores: &mut [f32]) {
        let plain = self.trees.is_plain(rows);
        if self.width == 1 {
            let mut sums = [self.aggregate.neutral(); BLOCK];
            for tree in 0..self.trees.n_trees() {
                let shallow = self.shallow[tree].as_ref();
                self.trees.leaves(tree, rows, n_features, shallow, plain, |row, node| {
                    sums[row] = self.aggregate.join(sums[row], f64::from(self.expected[node]));
                });
            }
            for (score, sum) in scores.iter_mut().zip(&sums) {
                *score = narrow(self.finish(&[self.based(*sum, 0)]));
            }
            return;
        }
        let mut sums = vec![self.aggregate.neutral(); scores.len() * self.width];
        for tree in 0..self.trees.n_trees() {
            let shallow = self.shallow[tree].as_ref();
            self.trees.leaves(tree, rows, n_features, shallow, plain, |row, node| {
                let leaf = self.trees.leaf_of[node] as usize * self.width;
                let values = &self.values[leaf..leaf + self.width];
                let sums = &mut sums[row * self.width..][..self.width];
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = self.aggregate.join(*sum, f64::from(*value));
                }
            });
        }
        for (score, sums) in scores.iter_mut().zip(sums.chunks_exact_mut(self.width)) {
            for (target, sum) in sums.iter_mut().enumerate() {
                *sum = self.based(*sum, target);
            }
            *score = narrow(self.finish(sums));
        }
    }

    /// The aggregate with its base value.
    fn based(&self, sum: f64, target: usize) -> f64 {
        let trees = self.trees.n_trees() as f64;
        let sum = if self.aggregate == Aggregate::Average { sum / trees } else { sum };
        sum + self.base[target]
    }

    fn finish(&self, sums: &[f64]) -> f64 {
        self.tail.iter().fold(self.post.of(sums, self.column), |value, tail| tail.of(value))
    }

    /// Direction of the score: a greater sum makes a greater one (1), a smaller one (−1), or
    /// neither (0), about the middle of what the trees give.
    pub(crate) fn direction(&self) -> f64 {
        let middle = self.based(self.mean(), self.column);
        let apply = |x: f64| self.tail.iter().fold(x, |value, tail| tail.of(value));
        let (low, high) = (apply(middle - 1e-3), apply(middle + 1e-3));
        if high > low {
            1.0
        } else if high < low {
            -1.0
        } else {
            0.0
        }
    }

    fn mean(&self) -> f64 {
        let roots = self.trees.roots.iter().map(|root| f64::from(self.expected[*root as usize]));
        roots.fold(self.aggregate.neutral(), |sum, root| self.aggregate.join(sum, root))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "scores and leaf values are f32")]
pub(crate) fn narrow(value: f64) -> f32 {
    value as f32
}
