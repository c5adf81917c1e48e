//! Mapping between a formula's natural quantity and the column's value.

/// Mapping between a formula's natural quantity and the column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// As it is.
    Linear,
    /// `log2(1 + x)` for the quantities that are never negative and have a heavy tail: a step of
    /// 1 is a doubling.
    Log,
}

impl Scale {
    /// The value that stands for `natural`. On the logarithmic scale, what is below 0 is 0.
    #[inline]
    #[must_use]
    pub fn apply(self, natural: f64) -> f64 {
        match self {
            Self::Linear => natural,
            Self::Log => natural.max(0.0).ln_1p() * std::f64::consts::LOG2_E,
        }
    }

    /// The natural quantity of `value`.
    #[inline]
    #[must_use]
    pub fn invert(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => (value * std::f64::consts::LN_2).exp_m1(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubling_is_a_step_of_one() {
        assert!((Scale::Log.apply(1.0) - 1.0).abs() < 1e-12);
        assert!((Scale::Log.apply(1023.0) - 10.0).abs() < 1e-12);
        assert!(Scale::Log.apply(-5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_was_scaled_reads_back() {
        for natural in [0.0, 0.001, 1.0, 12345.6, 1e18] {
            for scale in [Scale::Linear, Scale::Log] {
                let back = scale.invert(scale.apply(natural));
                assert!((back - natural).abs() <= 1e-9 * natural.max(1.0), "{natural}: {back}");
            }
        }
    }
}
