//! Value of a name in the graph, as far as it is known without rows.

use std::rc::Rc;

use super::constant::Constant;
use crate::rows::{Step, Steps};
use crate::trees::{Ensemble, Tail, Trees};

/// The value of a name.
#[derive(Clone)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    /// The model's input, after steps.
    Rows(Rows),
    /// A number per leaf of one tree: any operator over it can be worked out beforehand.
    Leafwise(Leafwise),
    /// A sum of such numbers over several trees.
    Summed(Summed),
    Scores(Box<Scores>),
    /// A dense network computes it.
    Network,
}

/// Columns of what steps give.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) steps: Rc<Steps>,
    /// None: all of them, in order.
    pub(super) columns: Option<Rc<[u16]>>,
}

impl Rows {
    pub(super) fn width(&self) -> usize {
        self.columns.as_ref().map_or(self.steps.width, |columns| columns.len())
    }

    pub(super) fn then(&self, step: Step) -> Self {
        let steps = self.selected().then(step);
        Self { steps: Rc::new(steps), columns: None }
    }

    /// The steps, a selection of columns among them.
    pub(super) fn selected(&self) -> Steps {
        match &self.columns {
            None => (*self.steps).clone(),
            Some(columns) => self.steps.then(Step::Select(columns.to_vec())),
        }
    }

    /// Some of these columns.
    pub(super) fn select(&self, columns: &[u16]) -> Self {
        let through = |column: &u16| match &self.columns {
            None => *column,
            Some(columns) => columns[usize::from(*column)],
        };
        let in_order = columns.len() == self.steps.width
            && columns.iter().enumerate().all(|(at, column)| usize::from(through(column)) == at);
        let columns = (!in_order).then(|| columns.iter().map(through).collect());
        Self { steps: Rc::clone(&self.steps), columns }
    }
}

#[derive(Clone)]
pub(super) struct Leafwise {
    pub(super) tree: Rc<Planted>,
    /// A number per leaf.
    pub(super) values: Rc<[f32]>,
}

/// A tree and the rows that it is asked about.
pub(super) struct Planted {
    pub(super) steps: Rc<Steps>,
    pub(super) trees: Trees,
}

impl Leafwise {
    pub(super) fn same_tree(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.tree, &other.tree)
    }

    pub(super) fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        let values = self.values.iter().map(|value| f(*value)).collect();
        Self { tree: Rc::clone(&self.tree), values }
    }

    pub(super) fn zip(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let both = self.values.iter().zip(other.values.iter());
        let values = both.map(|(a, b)| f(*a, *b)).collect();
        Self { tree: Rc::clone(&self.tree), values }
    }
}

#[derive(Clone)]
pub(super) struct Summed {
    pub(super) terms: Vec<Leafwise>,
    pub(super) constant: f64,
}

impl Summed {
    pub(super) fn of(term: Leafwise) -> Self {
        Self { terms: vec![term], constant: 0.0 }
    }

    /// All trees as one ensemble; none where they are not asked about the same rows.
    pub(super) fn into_scores(self) -> Option<Scores> {
        let steps = Rc::clone(&self.terms.first()?.tree.steps);
        let mut trees = Trees::default();
        let mut values = Vec::new();
        for term in &self.terms {
            let other = &term.tree.steps;
            if !Rc::ptr_eq(&steps, other) && steps != *other {
                return None;
            }
            trees.append(&term.tree.trees);
            values.extend_from_slice(&term.values);
        }
        let mut ensemble = Ensemble::new(trees, values, 1);
        ensemble.base[0] = self.constant;
        Some(Scores { steps, ensemble, hits: None, is_classifier: false })
    }
}

/// Result of an ensemble, and the steps after it.
#[derive(Clone)]
pub(super) struct Scores {
    pub(super) steps: Rc<Steps>,
    pub(super) ensemble: Ensemble,
    pub(super) hits: Option<Vec<f32>>,
    pub(super) is_classifier: bool,
}

impl Scores {
    pub(super) fn then(mut self, tail: Tail) -> Self {
        self.ensemble.tail.push(tail);
        self
    }
}
