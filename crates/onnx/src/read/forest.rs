//! Recognising an isolation forest: path lengths, then a power.

use crate::trees::{Aggregate, Ensemble, Post, Tail};

/// Turns an ensemble whose result is ±b^(−k · paths) ± offset into one that gives b^(−k · paths),
/// scikit-learn's `-score_samples`. Returns whether it was one.
pub(super) fn isolate(ensemble: &mut Ensemble) -> bool {
    let summed = matches!(ensemble.aggregate, Aggregate::Sum | Aggregate::Average);
    if ensemble.width != 1 || ensemble.post != Post::None || !summed {
        return false;
    }
    let is_power = |tail: &Tail| match tail {
        Tail::PowerOf(base) => *base > 1.0,
        Tail::Exp => true,
        _ => false,
    };
    let Some(power) = ensemble.tail.iter().position(is_power) else {
        return false;
    };
    let (before, after) = (&ensemble.tail[..power], &ensemble.tail[power + 1..]);
    let is_sign = |tail: &Tail| match tail {
        Tail::Negate | Tail::Add(_) | Tail::SubtractFrom(_) => true,
        Tail::Multiply(by) | Tail::Divide(by) => by.abs().total_cmp(&1.0).is_eq(),
        _ => false,
    };
    let at = |x: f64| before.iter().fold(x, |value, tail| tail.of(value));
    let falls = before.iter().all(|tail| tail.is_affine()) && at(1.0) < at(0.0);
    if !falls || !after.iter().all(is_sign) {
        return false;
    }
    ensemble.tail.truncate(power + 1);
    true
}

/// Training rows of each leaf, from its path length: depth + c(rows).
pub(super) fn hits(ensemble: &Ensemble) -> Option<Vec<f32>> {
    let depths = ensemble.trees.leaf_depths();
    let rows = depths.iter().zip(&ensemble.values).map(|(depth, path)| {
        let lacking = f64::from(*path) - f64::from(*depth);
        (-0.01..60.0).contains(&lacking).then(|| rows_for(lacking))
    });
    rows.collect()
}

/// n with c(n) nearest to `lacking` levels, by bisection.
#[expect(clippy::cast_possible_truncation, reason = "an estimate of how many rows")]
fn rows_for(lacking: f64) -> f32 {
    if lacking < 0.5 {
        return 1.0;
    }
    if lacking < 1.1 {
        return 2.0;
    }
    let c = |n: f64| 2.0 * ((n - 1.0).ln() + std::f64::consts::EULER_GAMMA) - 2.0 * (n - 1.0) / n;
    let (mut low, mut high) = (2.5_f64, 1e13_f64);
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        if c(middle) < lacking { low = middle } else { high = middle }
    }
    low.round() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_leaf_are_told_from_its_path() {
        for n in [1_u16, 2, 3, 4, 10, 256, 4_096] {
            let c = match n {
                1 => 0.0,
                2 => 1.0,
                _ => {
                    let n = f64::from(n);
                    2.0 * ((n - 1.0).ln() + 0.577_215_664_901_532_9) - 2.0 * (n - 1.0) / n
                }
            };
            assert!((rows_for(c) - f32::from(n)).abs() < 0.5, "{n}");
        }
    }
}
