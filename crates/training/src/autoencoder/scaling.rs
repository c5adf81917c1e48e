//! Robust scaling: features centred at their median, in units of their usual spread.

use onnx::write::Scaling;

/// Standard deviations from the first to the third quartile of a normal distribution.
const QUARTILES: f64 = 1.349;
/// The same from the 1st to the 99th percentile.
const PERCENTILES: f64 = 4.653;
/// The same from the least to the greatest, allowed for as the least unit: no value of the
/// training rows then lies more than 20 units out.
const EXTREMES: f64 = 20.0;

/// The scaling of finite rows that lie side by side, at least one.
///
/// The unit is the greatest of three: the quartiles' distance, which extreme rows do not move; the
/// percentiles', for a feature that is mostly zero; and the extremes', so that none explodes. A
/// feature that never varies has its own unit.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the feature's own type")]
pub(super) fn robust(rows: &[f32], width: usize) -> Scaling {
    let mut scaling = Scaling::default();
    for feature in 0..width {
        let mut column: Vec<f32> = rows.iter().skip(feature).step_by(width).copied().collect();
        column.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| f64::from(column[place(share, column.len())]);
        let unit = [
            (at(0.75) - at(0.25)) / QUARTILES,
            (at(0.99) - at(0.01)) / PERCENTILES,
            (at(1.0) - at(0.0)) / EXTREMES,
        ]
        .into_iter()
        .fold(0.0, f64::max);
        let scale = (1.0 / unit) as f32;
        scaling.offset.push(at(0.5) as f32);
        scaling.scale.push(if unit > 0.0 && scale.is_finite() { scale } else { 1.0 });
    }
    scaling
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the last index"
)]
fn place(share: f64, len: usize) -> usize {
    (share * (len - 1) as f64).round() as usize
}

/// Rows in scaled units, computed in f32 as the written model does.
pub(super) fn scaled(rows: &[f32], scaling: &Scaling) -> Vec<f64> {
    let factors = scaling.offset.iter().zip(&scaling.scale).cycle();
    rows.iter().zip(factors).map(|(x, (offset, scale))| f64::from((x - offset) * scale)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extreme_row_hardly_moves_the_scale_and_none_lies_far_out() {
        let mut rows: Vec<f32> = (0..1_000_u16).map(f32::from).collect();
        let before = robust(&rows, 1);
        rows.push(15_000.0);
        let after = robust(&rows, 1);
        assert!(after.scale[0] / before.scale[0] > 0.45);
        rows.push(1e9);
        let wild = robust(&rows, 1);
        assert!(scaled(&rows, &wild).iter().all(|value| value.abs() <= 20.001));
    }

    #[test]
    fn a_constant_feature_keeps_its_unit_and_no_scale_is_infinite() {
        let constant = robust(&[3.0; 20], 1);
        assert_eq!((constant.offset[0], constant.scale[0]), (3.0, 1.0));
        let tiny = robust(&[0.0, 1e-45, 1e-45, 0.0], 1);
        assert!(tiny.scale[0].is_finite());
    }
}
