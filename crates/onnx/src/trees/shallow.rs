//! Shallow trees as full ones: the next node is worked out instead of loaded, which takes a
//! third of the time (100 trees of 8 levels: 1.1 million rows/s instead of 0.3).

use super::{Node, Trees, is_leaf};

/// Deepest tree that is filled up: 2¹⁰ leaves take 12 kB, and a block's rows 16 kB, of the
/// 32 to 48 kB that the nearest cache holds.
const MAX_LEVELS: u16 = 10;

/// Most slots for each node that is there.
const MAX_FILL: usize = 8;

/// A split in 8 bytes; the children of slot `i` are `2i + 1` and `2i + 2`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    threshold: f32,
    feature: u32,
}

/// A tree of which every way down has the same number of splits. Below a leaf the ways down are
/// filled up with splits that every number passes, and all lead to that leaf.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shallow {
    levels: u16,
    slots: Vec<Slot>,
    /// Index of the leaf node among all nodes.
    leaves: Vec<u32>,
}

impl Shallow {
    /// None where the tree is too deep, too sparse, or tests for equality.
    pub(super) fn of(trees: &Trees, tree: usize) -> Option<Self> {
        let root = trees.roots[tree] as usize;
        let end = trees.roots.get(tree + 1).map_or(trees.nodes.len(), |next| *next as usize);
        let levels = trees.depths[tree];
        if levels > MAX_LEVELS || 1 << levels > MAX_FILL * (end - root) {
            return None;
        }
        let filler = Slot { threshold: f32::INFINITY, feature: 0 };
        let mut slots = vec![filler; (1 << levels) - 1];
        let mut leaves = vec![0; 1 << levels];
        let mut ahead = vec![(root, 0_usize, levels)];
        while let Some((at, slot, below)) = ahead.pop() {
            let node: &Node = &trees.nodes[at];
            if is_leaf(node, at) {
                let first = ((slot + 1) << below) - (1 << levels);
                leaves[first..first + (1 << below)].fill(super::index(at));
            } else if node.equals {
                return None;
            } else {
                slots[slot] = Slot { threshold: node.threshold, feature: node.feature.into() };
                ahead.push((at + 1, 2 * slot + 1, below - 1));
                ahead.push((node.fail as usize, 2 * slot + 2, below - 1));
            }
        }
        Some(Self { levels, slots, leaves })
    }

    pub(super) fn n_slots(&self) -> usize {
        self.leaves.len()
    }

    /// The leaf nodes of `LANES` rows without NaN.
    #[inline]
    pub(super) fn lanes<const LANES: usize>(&self, block: &[f32], width: usize) -> [u32; LANES] {
        let mut slots = [0_usize; LANES];
        for _ in 0..self.levels {
            for (lane, slot) in slots.iter_mut().enumerate() {
                let Slot { threshold, feature } = self.slots[*slot];
                let passes = block[lane * width + feature as usize] <= threshold;
                *slot = 2 * *slot + 2 - usize::from(passes);
            }
        }
        slots.map(|slot| self.leaves[slot - self.slots.len()])
    }
}
