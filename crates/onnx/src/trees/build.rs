//! From nodes as a file lists them to [`Trees`].

use super::{Node, Trees, index, is_leaf};
use crate::errors::OnnxError;
use crate::read::limits;

/// The comparisons of ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equals,
    Differs,
}

/// A node as a file describes it; children are indices into the same tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PlainNode {
    Split {
        test: Test,
        feature: usize,
        threshold: f32,
        /// NaN counts as passing the test.
        takes_nan: bool,
        pass: usize,
        fail: usize,
    },
    Leaf,
}

/// A tree and how a file calls its nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlainTree {
    pub(crate) id: i64,
    pub(crate) nodes: Vec<PlainNode>,
    pub(crate) ids: Vec<i64>,
}

impl Trees {
    /// Appends a tree, checked: from its one root each node is reached once, no deeper than
    /// the limit, thresholds are numbers. Returns for each of its nodes the leaf it became.
    pub(crate) fn push(
        &mut self,
        tree: &PlainTree,
        n_features: usize,
        graph_node: &str,
    ) -> Result<Vec<Option<u32>>, OnnxError> {
        let error = |at: usize, what: &'static str| OnnxError::InvalidTree {
            node: graph_node.into(),
            tree: tree.id,
            at: tree.ids.get(at).copied().unwrap_or(-1),
            what,
        };
        let mut leaves = vec![None; tree.nodes.len()];
        let mut visited = vec![false; tree.nodes.len()];
        let root = root_of(tree).map_err(|at| error(at, "no root, or more than one"))?;
        self.roots.push(index(self.nodes.len()));
        let mut deepest = 0;
        // Work list: a node, its depth, and the split it is the far child of.
        let mut ahead = vec![(root, 0_u16, None::<usize>)];
        while let Some((at, depth, parent)) = ahead.pop() {
            let Some(node) = tree.nodes.get(at) else {
                return Err(error(at, "a split leads to a node that is not there"));
            };
            if std::mem::replace(&mut visited[at], true) {
                return Err(error(at, "two splits lead here, a tree has no cycles"));
            }
            let placed = self.nodes.len();
            if let Some(parent) = parent {
                self.nodes[parent].fail = index(placed);
            }
            deepest = deepest.max(depth);
            match *node {
                PlainNode::Leaf => {
                    let fail = index(placed);
                    let leaf = Node { fail, ..Node::at_most(f32::NAN, 0, false) };
                    self.nodes.push(leaf);
                    self.leaf_of.push(index(self.n_leaves));
                    leaves[at] = Some(index(self.n_leaves));
                    self.n_leaves += 1;
                }
                PlainNode::Split { test, feature, threshold, takes_nan, pass, fail } => {
                    if usize::from(depth) >= limits::TREE_DEPTH {
                        return Err(error(at, "the tree is deeper than 1,024 levels"));
                    }
                    if threshold.is_nan() {
                        return Err(error(at, "the threshold is NaN"));
                    }
                    if feature >= n_features {
                        return Err(error(at, "splits on a feature that rows do not have"));
                    }
                    let feature = u16::try_from(feature).unwrap_or(u16::MAX);
                    let (node, exchanged) = Node::of(test, threshold, feature, takes_nan);
                    let (near, far) = if exchanged { (fail, pass) } else { (pass, fail) };
                    self.any_equals |= node.equals;
                    self.nodes.push(node);
                    self.leaf_of.push(0);
                    ahead.push((far, depth + 1, Some(placed)));
                    ahead.push((near, depth + 1, None));
                }
            }
        }
        if let Some(at) = visited.iter().position(|visited| !visited) {
            return Err(error(at, "no split leads here"));
        }
        self.depths.push(deepest);
        debug_assert!(
            self.nodes
                .iter()
                .enumerate()
                .all(|(at, node)| { node.fail as usize > at || is_leaf(node, at) })
        );
        Ok(leaves)
    }
}

impl Node {
    fn at_most(threshold: f32, feature: u16, takes_nan: bool) -> Self {
        Self { threshold, fail: 0, feature, takes_nan, equals: false }
    }

    /// The node that decides like `test`, and whether its children are exchanged.
    fn of(test: Test, threshold: f32, feature: u16, takes_nan: bool) -> (Self, bool) {
        let at_most = |threshold, takes_nan| Self::at_most(threshold, feature, takes_nan);
        match test {
            Test::AtMost => (at_most(threshold, takes_nan), false),
            Test::Below => (at_most(below(threshold), takes_nan), false),
            Test::Above => (at_most(threshold, !takes_nan), true),
            Test::AtLeast => (at_most(below(threshold), !takes_nan), true),
            Test::Equals => (Self { equals: true, ..at_most(threshold, takes_nan) }, false),
            // NaN differs from everything, with or without its track.
            Test::Differs => (Self { equals: true, ..at_most(threshold, false) }, true),
        }
    }
}

/// The greatest float below `threshold`; NaN, which nothing is at most, below −∞.
fn below(threshold: f32) -> f32 {
    if threshold == f32::NEG_INFINITY { f32::NAN } else { threshold.next_down() }
}

/// The one node that no split leads to; else the first node that is wrong.
fn root_of(tree: &PlainTree) -> Result<usize, usize> {
    let mut is_child = vec![false; tree.nodes.len()];
    for node in &tree.nodes {
        if let PlainNode::Split { pass, fail, .. } = *node {
            for child in [pass, fail] {
                if let Some(is_child) = is_child.get_mut(child) {
                    *is_child = true;
                }
            }
        }
    }
    let mut roots = (0..tree.nodes.len()).filter(|at| !is_child[*at]);
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root),
        (_, Some(second)) => Err(second),
        (None, None) => Err(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(test: Test, threshold: f32, pass: usize, fail: usize) -> PlainNode {
        PlainNode::Split { test, feature: 0, threshold, takes_nan: false, pass, fail }
    }

    fn tree(nodes: &[PlainNode]) -> PlainTree {
        PlainTree { id: 7, nodes: nodes.to_vec(), ids: (0..).take(nodes.len()).collect() }
    }

    fn error(nodes: &[PlainNode]) -> String {
        Trees::default().push(&tree(nodes), 1, "trees").unwrap_err().to_string()
    }

    type Holds = fn(&f32, &f32) -> bool;

    #[test]
    #[expect(clippy::float_cmp, reason = "exact comparisons are what is tested")]
    fn every_test_decides_as_its_comparison_does() {
        let values = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -f32::MIN_POSITIVE,
            -1e-45,
            -0.0,
            0.0,
            1e-45,
            1.0,
            1.0_f32.next_up(),
            f32::MAX,
            f32::INFINITY,
            f32::NAN,
        ];
        let tests: [(Test, Holds); 6] = [
            (Test::AtMost, |v, t| v <= t),
            (Test::Below, |v, t| v < t),
            (Test::AtLeast, |v, t| v >= t),
            (Test::Above, |v, t| v > t),
            (Test::Equals, |v, t| v == t),
            (Test::Differs, |v, t| v != t),
        ];
        for (test, holds) in tests {
            for threshold in values.into_iter().filter(|value| !value.is_nan()) {
                for (value, takes_nan) in values.iter().flat_map(|v| [(*v, false), (*v, true)]) {
                    let (node, exchanged) = Node::of(test, threshold, 0, takes_nan);
                    let expected = holds(&value, &threshold) || (takes_nan && value.is_nan());
                    let case = (test, value, threshold, takes_nan);
                    assert_eq!(node.passes(value) != exchanged, expected, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_tree_is_refused_by_name() {
        let leaf = PlainNode::Leaf;
        let cycle = [split(Test::AtMost, 0.0, 1, 2), split(Test::AtMost, 0.0, 0, 2), leaf];
        assert!(error(&cycle).contains("no root"));
        let island = [leaf, split(Test::AtMost, 0.0, 2, 1), leaf];
        assert!(error(&island).contains("no split leads here"));
        let shared = [split(Test::AtMost, 0.0, 1, 1), leaf];
        assert!(error(&shared).contains("two splits lead here"));
        let beyond = [split(Test::AtMost, 0.0, 1, 9), leaf];
        assert!(error(&beyond).contains("not there"));
        let nan = [split(Test::AtMost, f32::NAN, 1, 2), leaf, leaf];
        assert_eq!(
            error(&nan),
            "node `trees`, tree 7, tree node 0: the threshold is NaN: export the model anew"
        );
        assert!(error(&[]).contains("no root"));
    }
}
