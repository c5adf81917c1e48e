//! Keeping to a rate.

use std::time::{Duration, Instant};

/// Amount due by now at a steady rate.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    per_second: f64,
    /// Seconds until it is come to.
    ramp: f64,
    done: u64,
}

/// The most that is made up for at once after a hold-up; the rest is let go, so that a stalled
/// sender does not burst.
const MOST_AT_ONCE: u64 = 64;

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self::ramped(per_second, Duration::ZERO)
    }

    /// A rate that is come to evenly, in so long.
    pub(crate) fn ramped(per_second: u32, ramp: Duration) -> Self {
        let (per_second, ramp) = (f64::from(per_second), ramp.as_secs_f64());
        Self { began: Instant::now(), per_second, ramp, done: 0 }
    }

    /// Takes what is due.
    pub(crate) fn take(&mut self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and 2^53 events are out of any attack's reach"
        )]
        let due = (self.seconds_at_full() * self.per_second) as u64 + 1;
        let missing = due.saturating_sub(self.done);
        self.done = due;
        missing.min(MOST_AT_ONCE)
    }

    /// Seconds at the full rate in which as much would have come due as has by now.
    fn seconds_at_full(&self) -> f64 {
        let gone = self.began.elapsed().as_secs_f64();
        if gone < self.ramp { gone * gone / (2.0 * self.ramp) } else { gone - self.ramp / 2.0 }
    }

    /// Time until something is due, at least a millisecond: finer waits cost more than they
    /// are worth.
    pub(crate) fn wait(&self) -> Duration {
        let next = Duration::from_secs_f64(self.done as f64 / self.per_second);
        next.saturating_sub(self.began.elapsed()).max(Duration::from_millis(1))
    }
}
