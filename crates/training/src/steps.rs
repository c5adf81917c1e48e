//! Sums of step functions, one per feature: what HBOS and ECOD come down to.

use onnx::write::Steps;

/// Most edges of a step function: its values then are 256, as many as a byte tells apart.
pub(crate) const MAX_EDGES: usize = 255;

/// A step function as it is measured: `value` up to and including `edge`, from the edge before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) edge: f32,
    pub(crate) value: f64,
}

/// The value of a step function at `x`; NaN counts as less than any edge.
#[cfg(test)]
pub(crate) fn value_at(steps: &Steps, x: f32) -> f64 {
    steps.values[steps.edges.partition_point(|edge| *edge < x)]
}

/// Joins neighbouring pieces until at most [`MAX_EDGES`] edges are left, such that the greatest
/// error is as small as can be: a joined piece has the middle between its least and greatest
/// value. Returns that error too; 0 where nothing had to be joined.
///
/// `pieces` ascend by edge; `last` is the value above all of them.
pub(crate) fn joined(pieces: &[Piece], last: f64) -> (Steps, f64) {
    let all = || pieces.iter().map(|piece| piece.value).chain([last]);
    let (low, high) =
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let fits = |tolerance: f64| join(pieces, last, tolerance).edges.len() <= MAX_EDGES;
    if fits(0.0) {
        return (join(pieces, last, 0.0), 0.0);
    }
    // The spread that a joined piece may have; one piece for all is sure to fit.
    let (mut too_small, mut enough) = (0.0, high - low);
    for _ in 0..40 {
        let middle = f64::midpoint(too_small, enough);
        if fits(middle) { enough = middle } else { too_small = middle }
    }
    (join(pieces, last, enough), enough / 2.0)
}

/// Joins greedily from the left: no partition into pieces of at most this spread has fewer.
fn join(pieces: &[Piece], last: f64, spread: f64) -> Steps {
    let mut steps = Steps::default();
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut edge = None;
    for (next, value) in
        pieces.iter().map(|piece| (Some(piece.edge), piece.value)).chain([(None, last)])
    {
        let (lower, upper) = (low.min(value), high.max(value));
        if let Some(edge) = edge.filter(|_| upper - lower > spread) {
            steps.edges.push(edge);
            steps.values.push(f64::midpoint(low, high));
            (low, high) = (value, value);
        } else {
            (low, high) = (lower, upper);
        }
        edge = next;
    }
    steps.values.push(f64::midpoint(low, high));
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_pieces_stay_as_they_are() {
        let pieces = [Piece { edge: 1.0, value: 3.0 }, Piece { edge: 2.0, value: 5.0 }];
        let (steps, error) = joined(&pieces, 4.0);
        assert_eq!((steps.edges, steps.values), (vec![1.0, 2.0], vec![3.0, 5.0, 4.0]));
        assert!(error.abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn no_value_is_off_by_more_than_the_error_told(
            values in prop::collection::vec(-50.0_f64..50.0, 1..2_000),
            last in -50.0_f64..50.0,
        ) {
            let edge = |at: usize| at as f32;
            let pieces: Vec<Piece> = values
                .iter()
                .enumerate()
                .map(|(at, value)| Piece { edge: edge(at), value: *value })
                .collect();
            let (steps, error) = joined(&pieces, last);
            prop_assert!(steps.edges.len() <= MAX_EDGES);
            prop_assert!(steps.edges.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(steps.values.len(), steps.edges.len() + 1);
            for (at, value) in values.iter().chain([&last]).enumerate() {
                prop_assert!((value_at(&steps, edge(at)) - value).abs() <= error + 1e-9);
            }
        }
    }
}
