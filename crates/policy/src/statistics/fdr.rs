//! The step-up procedure of Benjamini and Hochberg.

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
    fn the_step_up_procedure_rejects_what_a_later_rank_carries() {
        // Thresholds at rate 0.05: 0.0125, 0.025, 0.0375, 0.05. The second p-value is above
        // its own threshold; the third is below its, and carries it.
        assert_eq!(benjamini_hochberg(&[0.03, 0.9, 0.001, 0.028], 0.05), Some(0.03));
        assert_eq!(benjamini_hochberg(&[0.2, 0.9], 0.05), None);
        assert_eq!(benjamini_hochberg(&[], 0.05), None);
    }
}
