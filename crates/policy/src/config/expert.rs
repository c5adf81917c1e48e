//! `[policy.expert]`: keys that take the statistics, or an experiment, to choose.

use std::time::Duration;

use super::{BoundError, section};
use crate::statistics::{PValues, ProcedureChoice};

/// Surprise from which on a peer stands out, by default: one benign peer-window in a thousand.
pub const ALERT_SURPRISE: f64 = 3.0;

/// Least surprise that may be asked for; below it no reasons are given.
const LEAST_SURPRISE: f64 = 2.0;

/// Greatest surprise that there is.
const GREATEST_SURPRISE: f64 = 300.0;

/// A key of `[policy.expert]` that stands in `[policy]`, its place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`policy.{0}` is `policy.expert.{0}` now")]
pub struct MovedKey(pub &'static str);

impl MovedKey {
    /// Checks that none of these keys of `[policy]` moved to `[policy.expert]`.
    ///
    /// # Errors
    /// The first that did.
    pub fn check<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<(), Self> {
        let moved = |key| ExpertConfig::KEYS.iter().find(|moved| **moved == key);
        keys.into_iter().find_map(moved).map_or(Ok(()), |key| Err(Self(key)))
    }
}

section! {
    /// `[policy.expert]` as written; unknown keys are errors.
    ExpertConfig {
        /// Scope of `wrong_blocks`: each window by itself, or all of `memory`.
        procedure: ProcedureChoice = ProcedureChoice::PerWindow,
        /// Span that the online procedure keeps the rate over.
        #[serde(with = "humantime_serde")]
        memory: Duration = Duration::from_mins(1),
        /// P-values that decide.
        p_values: PValues = PValues::Conditional,
        /// Surprise needed to be reported: −log10 of the chance in a benign window, at least 2.
        alert_surprise: f64 = ALERT_SURPRISE,
        /// Surprise needed to be acted on, at least `alert_surprise`.
        act_surprise: f64 = 3.3,
        /// Surprise at which one window is enough, at least `act_surprise`.
        decisive_surprise: f64 = 5.5,
        /// Anomalous windows needed, at least 1...
        windows: u32 = 2,
        /// ...among this many, 64 at most.
        of_windows: u32 = 3,
        /// Packets from or to a peer in those windows, below which it is not acted on.
        min_packets: u64 = 4,
        /// Packets per second left to a rate-limited source, at least 1.
        rate_limit_pps: u32 = 5,
        /// New unverified anomalous sources in one window above which none of them is acted on: a
        /// flood with forged sources.
        max_unverified_sources: u32 = 8,
        /// Blocks that may be made in a minute.
        max_blocks_per_minute: u32 = 60,
        /// Share of the ordinary peers (seen before without standing out) that may be blocked at
        /// once; beyond it the breaker opens and weir only shadows.
        max_share_of_peers: f64 = 0.25,
        /// Share of the ordinary traffic's bytes that blocked peers may have carried, likewise.
        max_share_of_bytes: f64 = 0.25,
        /// Time that the breaker stays open; 0s: until `weir rearm`.
        #[serde(with = "humantime_serde")]
        rearm_after: Duration = Duration::from_mins(15),
        /// Time that a peer is left alone after a person took its block back.
        #[serde(with = "humantime_serde")]
        grace: Duration = Duration::from_hours(1),
        /// Share of the blocks, drawn by lot, that end early, to see what the peer does then.
        early_release: f64 = 0.02,
        /// Sources a second without a completed handshake at one service, above which, and above ten
        /// times what the service ordinarily sees, it is under a flood from forged sources.
        flood_sources: u32 = 200,
        /// Such sources a second above which a service is under a flood whatever it ordinarily
        /// sees, at least `flood_sources`.
        flood_ceiling: u32 = 20_000,
        /// Time that services are watched for what is ordinary before one can be limited.
        #[serde(with = "humantime_serde")]
        flood_baseline: Duration = Duration::from_mins(1),
        /// Seed of what is drawn by lot.
        seed: u64 = 0,
    }
}

impl ExpertConfig {
    pub(super) fn check(&self) -> Result<(), BoundError> {
        self.check_surprises()?;
        self.check_windows()?;
        self.check_guards()
    }

    fn check_surprises(&self) -> Result<(), BoundError> {
        let (alert, act) = (self.alert_surprise, self.act_surprise);
        let steps = [
            ("policy.expert.alert_surprise", alert, LEAST_SURPRISE, String::new()),
            (
                "policy.expert.act_surprise",
                act,
                alert,
                format!("`policy.expert.alert_surprise` ({alert})"),
            ),
            (
                "policy.expert.decisive_surprise",
                self.decisive_surprise,
                act,
                format!("`policy.expert.act_surprise` ({act})"),
            ),
        ];
        for (key, value, least, named) in steps {
            if !(least..=GREATEST_SURPRISE).contains(&value) {
                let least = if named.is_empty() { least.to_string() } else { named };
                let bound = format!("at least {least} and at most {GREATEST_SURPRISE}");
                return Err(BoundError::new(key, bound, value));
            }
        }
        Ok(())
    }

    fn check_windows(&self) -> Result<(), BoundError> {
        if self.windows == 0 || self.windows > self.of_windows {
            let most = format!("between 1 and `policy.expert.of_windows` ({})", self.of_windows);
            return Err(BoundError::new("policy.expert.windows", most, self.windows));
        }
        if self.of_windows > 64 {
            let key = "policy.expert.of_windows";
            return Err(BoundError::new(key, "at most 64", self.of_windows));
        }
        let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
        BoundError::check("policy.expert.memory", self.memory, second, day)
    }

    fn check_guards(&self) -> Result<(), BoundError> {
        for (key, value) in [
            ("policy.expert.max_share_of_peers", self.max_share_of_peers),
            ("policy.expert.max_share_of_bytes", self.max_share_of_bytes),
            ("policy.expert.early_release", self.early_release),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(BoundError::new(key, "between 0 and 1", value));
            }
        }
        if self.max_blocks_per_minute == 0 {
            let least = "at least 1 (`mode = \"shadow\"` blocks nothing)";
            return Err(BoundError::new("policy.expert.max_blocks_per_minute", least, 0));
        }
        if self.flood_ceiling < self.flood_sources {
            let least = format!("at least `policy.expert.flood_sources` ({})", self.flood_sources);
            let key = "policy.expert.flood_ceiling";
            return Err(BoundError::new(key, least, self.flood_ceiling));
        }
        if self.rate_limit_pps == 0 {
            return Err(BoundError::new("policy.expert.rate_limit_pps", "at least 1", 0));
        }
        let (least, day) = (Duration::ZERO, Duration::from_hours(24));
        BoundError::check("policy.expert.rearm_after", self.rearm_after, least, day * 30)?;
        BoundError::check("policy.expert.flood_baseline", self.flood_baseline, least, day)?;
        BoundError::check("policy.expert.grace", self.grace, least, day * 365)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_known_by_its_name_and_refused_in_its_old_place() {
        let written = serde_json::to_value(ExpertConfig::default()).expect("plain data");
        let written: BTreeSet<_> = written.as_object().expect("a table").keys().cloned().collect();
        assert_eq!(written, ExpertConfig::KEYS.iter().map(|&key| key.to_owned()).collect());
        for key in ExpertConfig::KEYS {
            let error = MovedKey::check(["mode", key]).expect_err(key).to_string();
            assert_eq!(error, format!("`policy.{key}` is `policy.expert.{key}` now"));
        }
        assert_eq!(MovedKey::check(["mode", "ttl", "expert", "colour"]), Ok(()));
    }
}
