//! Drift: a watch over the p-values of benign traffic.

use events::{Drift, Moved, Subject};

use super::JumperMartingale;

/// P-values bet on in each window: one of each measure, where there is one.
pub const BETS: usize = 2;

/// Capital at which blocking is suspended. A bet starts anew whenever its capital falls to 1, so
/// each window begins at most one run of each of the two bets, and each run gets here with
/// probability at most one in this: at most two false suspensions in ten million windows, where
/// the p-values hold. A p-value of 0.05 in each window gets here in 46.
pub const SUSPENDS_AT: f64 = 1e7;

/// While suspended, capital that counts as unrest. By Ville's inequality
/// at most one run in twenty gets here where the p-values hold, and far fewer do, for conditional
/// p-values lie well above ½ on average.
const UNREST_AT: f64 = 20.0;

/// Windows without unrest after which blocking resumes, if no feature named at the suspension is
/// still away.
pub const CALM: u32 = 120;

/// Windows without unrest after which it resumes although features are away: they may have moved
/// to where the scores take no offence.
pub const CALM_ENOUGH: u32 = 10 * CALM;

/// Features named at most, those that moved farthest first.
pub const NAMED: usize = 5;

/// Watch over the p-values of ordinary peers, window by window.
///
/// The p-values are the calibration-conditional ones, which decisions rest on: as long as they
/// hold, given the calibration, they are at least ½ on average, and bets against them lose. One row
/// in each window is drawn for each measure, for the rows of one window resemble each other. Peers
/// that stand out are left out by the caller: an attack neither looks like drift nor suspends its
/// own block.
///
/// It has no clock and no randomness; memory is constant.
#[derive(Clone, Debug, Default)]
pub struct DriftWatch {
    bets: [JumperMartingale; BETS],
    /// Windows without unrest since blocking was suspended.
    calm: u32,
    /// A model is learnt anew before anything is suspended.
    learning: bool,
    /// Features that were away when it was suspended.
    blamed: Vec<(Subject, String)>,
    drift: Drift,
}

impl DriftWatch {
    /// A watch over a model that is learnt on: what it finds is first answered by a model that is
    /// learnt anew, and blocking is suspended only where the bets win again before there is one.
    #[must_use]
    pub fn of_learning() -> Self {
        Self { learning: true, ..Self::default() }
    }

    /// Takes one window: the p-value drawn of each measure, whether what they say is more than one
    /// network's doing, and the features that are away from the training, the farthest first. A window
    /// with no p-value says nothing.
    pub fn observe(
        &mut self,
        p_values: [Option<f64>; BETS],
        is_shared: bool,
        moved: Vec<Moved>,
    ) -> &Drift {
        if p_values.iter().all(Option::is_none) {
            return &self.drift;
        }
        let mut evidence = 0.0_f64;
        let mut unrest = false;
        for (bet, p) in self.bets.iter_mut().zip(p_values) {
            if let Some(p) = p {
                bet.bet(p);
            }
            let capital = bet.capital();
            evidence = evidence.max(capital);
            let restarts = capital <= 1.0 || (self.drift.suspended && capital >= UNREST_AT);
            unrest |= self.drift.suspended && capital >= UNREST_AT;
            if restarts {
                *bet = JumperMartingale::default();
            }
        }
        self.drift.martingale = evidence.max(1.0);
        self.drift.features = moved;
        if self.drift.suspended {
            self.calm = if unrest { 0 } else { self.calm + 1 };
            if self.has_calmed_down() {
                self.drift.suspended = false;
                self.bets = Default::default();
            }
        } else if evidence >= SUSPENDS_AT {
            self.bets = Default::default();
            if is_shared && self.learning && !self.drift.relearning {
                self.drift.relearning = true;
            } else if is_shared && !self.drift.features.is_empty() {
                // Of what nothing can be named, the claims alone are withheld.
                self.suspend();
            }
        }
        self.drift.features.truncate(NAMED);
        &self.drift
    }

    /// Verdict on the windows so far.
    #[must_use]
    pub const fn drift(&self) -> &Drift {
        &self.drift
    }

    fn suspend(&mut self) {
        self.drift.suspended = true;
        let named = self.drift.features.iter().take(NAMED);
        self.blamed = named.map(|one| (one.subject, one.feature.clone())).collect();
        self.calm = 0;
    }

    fn has_calmed_down(&self) -> bool {
        let away = |(subject, name): &(Subject, String)| {
            let mut features = self.drift.features.iter();
            features.any(|one| one.subject == *subject && one.feature == *name)
        };
        self.calm >= CALM_ENOUGH || (self.calm >= CALM && !self.blamed.iter().any(away))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved() -> Vec<Moved> {
        let (share, before, now) = (0.5, 12.0, 40.0);
        let feature = "packets".into();
        vec![Moved { subject: Subject::Peer, feature, index: 0.4, share, before, now }]
    }

    /// Windows until the watch is suspended, or is not any more.
    fn windows_until(watch: &mut DriftWatch, suspended: bool, p: f64, moved: &[Moved]) -> u32 {
        let until =
            |_: &u32| watch.observe([Some(p); BETS], true, moved.to_vec()).suspended == suspended;
        (1..10_000).find(until).expect("within 10,000 windows")
    }

    #[test]
    fn it_suspends_names_what_moved_and_resumes_when_both_have_calmed_down() {
        let mut watch = DriftWatch::default();
        assert!(windows_until(&mut watch, true, 0.05, &moved()) <= 50);
        assert!(watch.drift().to_text().contains("moved: peer packets, 50 % up to 40"));
        assert_eq!(windows_until(&mut watch, false, 0.8, &[]), CALM);
        assert_eq!(watch.drift().to_text(), "benign traffic is as in training");
    }

    #[test]
    fn unrest_starts_the_calm_anew_and_a_feature_that_stays_away_holds_it_longer() {
        let mut watch = DriftWatch::default();
        windows_until(&mut watch, true, 0.05, &moved());
        for _ in 0..CALM - 1 {
            assert!(watch.observe([Some(0.8); BETS], true, Vec::new()).suspended);
        }
        for _ in 0..20 {
            assert!(watch.observe([Some(0.05); BETS], true, moved()).suspended);
        }
        let windows = windows_until(&mut watch, false, 0.8, &moved());
        assert_eq!(windows, CALM_ENOUGH);
    }

    #[test]
    fn a_watch_that_was_bored_for_a_million_windows_is_as_alert_as_a_new_one() {
        let mut watch = DriftWatch::default();
        for _ in 0..1_000_000 {
            watch.observe([Some(0.7), None], true, Vec::new());
        }
        assert!(windows_until(&mut watch, true, 0.05, &moved()) <= 50);
    }

    #[test]
    fn nothing_is_suspended_for_what_cannot_be_named() {
        let mut watch = DriftWatch::default();
        for _ in 0..1_000 {
            assert!(!watch.observe([Some(0.05); BETS], true, Vec::new()).suspended);
        }
    }

    #[test]
    fn what_one_network_does_suspends_nothing_and_what_others_do_too_does_at_once() {
        for mut watch in [DriftWatch::default(), DriftWatch::of_learning()] {
            for _ in 0..1_000 {
                let drift = watch.observe([Some(0.05); BETS], false, moved());
                assert!(!drift.suspended && !drift.relearning);
            }
        }
        assert!(windows_until(&mut DriftWatch::default(), true, 0.05, &moved()) <= 50);
    }

    #[test]
    fn where_learning_goes_on_it_is_asked_first_and_suspending_is_the_last_resort() {
        let mut watch = DriftWatch::of_learning();
        let asks = (1..100).find(|_| watch.observe([Some(0.05); BETS], true, moved()).relearning);
        assert!(asks.is_some_and(|windows| windows <= 50) && !watch.drift().suspended);
        assert!(watch.drift().to_text().contains("a model is learnt anew; moved: peer packets"));
        // No model came of it, or none that helps.
        assert!(windows_until(&mut watch, true, 0.05, &moved()) <= 50);
    }

    #[test]
    fn windows_without_a_row_change_nothing() {
        let mut watch = DriftWatch::default();
        for _ in 0..30 {
            watch.observe([Some(0.1); BETS], true, Vec::new());
        }
        let before = watch.drift().martingale;
        watch.observe([None; BETS], true, Vec::new());
        assert!((watch.drift().martingale - before).abs() < 1e-9 && before > 100.0);
    }
}
