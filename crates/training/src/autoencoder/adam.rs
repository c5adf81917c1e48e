//! Adam: Kingma, Ba 2015, *Adam: A Method for Stochastic Optimization* (arXiv 1412.6980),
//! algorithm 1.

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

pub(super) struct Adam {
    rate: f64,
    /// First and second moment of each weight's gradient.
    moments: Vec<(f64, f64)>,
    /// β₁ᵗ and β₂ᵗ after t steps.
    decay: (f64, f64),
}

impl Adam {
    pub(super) fn new(weights: usize, rate: f64) -> Self {
        Self { rate, moments: vec![(0.0, 0.0); weights], decay: (1.0, 1.0) }
    }

    pub(super) fn step(&mut self, weights: &mut [f64], gradient: &[f64]) {
        self.decay = (self.decay.0 * BETA_1, self.decay.1 * BETA_2);
        let (first_bias, second_bias) = (1.0 - self.decay.0, 1.0 - self.decay.1);
        for ((weight, slope), (first, second)) in
            weights.iter_mut().zip(gradient).zip(&mut self.moments)
        {
            *first = BETA_1 * *first + (1.0 - BETA_1) * slope;
            *second = BETA_2 * *second + (1.0 - BETA_2) * slope * slope;
            let step = (*first / first_bias) / ((*second / second_bias).sqrt() + EPSILON);
            *weight -= self.rate * step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_is_as_long_as_the_rate_and_many_find_the_minimum() {
        let mut weights = [5.0, -3.0];
        let mut adam = Adam::new(2, 0.1);
        adam.step(&mut weights, &[1e-3, -1e3]);
        assert!((weights[0] - 4.9).abs() < 1e-5 && (weights[1] + 2.9).abs() < 1e-5);
        let mut adam = Adam::new(2, 0.1);
        for _ in 0..500 {
            let gradient = [2.0 * (weights[0] - 1.0), 2.0 * (weights[1] - 2.0)];
            adam.step(&mut weights, &gradient);
        }
        assert!((weights[0] - 1.0).abs() < 1e-2 && (weights[1] - 2.0).abs() < 1e-2);
    }
}
