//! Combining p-values and choosing among many of them.

/// Simes' combination of p-values: `min over k of n p₍ₖ₎ / k` (Simes 1986).
///
/// It is a p-value for "none of them is anomalous" where they are independent or positively
/// dependent, as those of one peer's flows are. 1 for none; sorts `p_values`.
#[must_use]
pub fn simes(p_values: &mut [f64]) -> f64 {
    p_values.sort_unstable_by(f64::total_cmp);
    let n = p_values.len() as f64;
    p_values.iter().enumerate().map(|(index, p)| p * n / (index + 1) as f64).fold(1.0, f64::min)
}

/// The largest p-value that Benjamini and Hochberg's procedure (1995) rejects at `rate`, if any.
///
/// Rejecting all p-values up to it keeps the expected share of false rejections at or below
/// `rate`, for independent or positively dependent ones.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64], rate: f64) -> Option<f64> {
    let mut sorted = p_values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    sorted
        .iter()
        .enumerate()
        .rev()
        .find(|&(index, p)| *p <= rate * (index + 1) as f64 / n)
        .map(|(_, p)| *p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simes_of_one_is_itself_and_of_none_is_one() {
        assert_eq!(simes(&mut [0.03]).to_bits(), 0.03_f64.to_bits());
        assert_eq!(simes(&mut []).to_bits(), 1.0_f64.to_bits());
    }

    #[test]
    fn simes_takes_the_best_of_the_scaled_order_statistics() {
        // 0.04 * 3 / 1 = 0.12, 0.04 * 3 / 2 = 0.06, 0.9 * 3 / 3 = 0.9
        assert!((simes(&mut [0.9, 0.04, 0.04]) - 0.06).abs() < 1e-12);
    }

    #[test]
    fn the_step_up_procedure_rejects_what_a_later_rank_carries() {
        // Thresholds at rate 0.05: 0.0125, 0.025, 0.0375, 0.05. The second p-value is above
        // its own threshold; the third is below its, and carries it.
        assert_eq!(benjamini_hochberg(&[0.03, 0.9, 0.001, 0.028], 0.05), Some(0.03));
        assert_eq!(benjamini_hochberg(&[0.2, 0.9], 0.05), None);
        assert_eq!(benjamini_hochberg(&[], 0.05), None);
    }
}
