//! A bet against p-values, which gains where they are too small.

/// Share of the capital that is dealt anew between the two bets in each step.
const JUMP: f64 = 0.01;

/// A test martingale that bets on p-values being too small: the Simple Jumper of Vovk, Petej,
/// Nouretdinov, Ahlberg, Carlsson and Gammerman 2021 (*Retrain or not retrain: conformal test
/// martingales for change-point detection*, COPA, algorithm 1), with its two bets on small
/// p-values, `ε ∈ {−1, 0}`, and without that on large ones.
///
/// The capital begins at 1, and a bet multiplies its part by `1 + ε (p − ½)`. Where each p-value
/// is at least ½ on average given those before it, the capital is a supermartingale: by Ville's
/// inequality it ever reaches `c` with probability at most `1 / c`. P-values that are too large
/// break no promise, so nothing is won by them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JumperMartingale {
    /// Capital of the bet on small p-values, and of the part that stays off the table.
    capital: [f64; 2],
}

impl Default for JumperMartingale {
    fn default() -> Self {
        Self { capital: [0.5; 2] }
    }
}

impl JumperMartingale {
    /// Bets on one p-value; NaN counts as 1.
    pub fn bet(&mut self, p: f64) {
        let p = if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) };
        let dealt = JUMP / 2.0 * self.capital();
        let [small, off] = self.capital.map(|part| part * (1.0 - JUMP) + dealt);
        self.capital = [small * (1.5 - p), off];
    }

    /// Capital of both parts.
    #[must_use]
    pub fn capital(&self) -> f64 {
        self.capital.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use model::sample::Draws;

    use super::*;

    #[test]
    fn on_uniform_p_values_the_capital_rarely_ever_gets_far() {
        // Ville: at most one in twenty ever reaches 20, one in a hundred 100.
        const RUNS: usize = 2_000;
        let mut reached = [0_usize; 2];
        for seed in 0..RUNS as u64 {
            let mut draws = Draws::new(seed, 0);
            let mut martingale = JumperMartingale::default();
            let mut most = 0.0_f64;
            for _ in 0..1_000 {
                martingale.bet(draws.unit());
                most = most.max(martingale.capital());
            }
            for (count, bound) in reached.iter_mut().zip([20.0, 100.0]) {
                *count += usize::from(most >= bound);
            }
        }
        for (count, bound) in reached.into_iter().zip([20.0, 100.0]) {
            let expected = RUNS as f64 / bound;
            let margin = 3.0 * expected.sqrt();
            assert!((count as f64) <= expected + margin, "{count} of {RUNS} reached {bound}");
        }
    }

    #[test]
    fn small_p_values_multiply_it_and_large_ones_cost_little() {
        let after = |p: f64| {
            let mut martingale = JumperMartingale::default();
            (0..60).for_each(|_| martingale.bet(p));
            martingale.capital()
        };
        assert!(after(0.05) > 1e8, "{}", after(0.05));
        assert!((0.3..1.0).contains(&after(0.95)), "{}", after(0.95));
        assert!(after(f64::NAN) <= 1.0);
    }
}
