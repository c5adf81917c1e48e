//! Captures through detector and policy, with what is known of them beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use collector::config::RawConfig;
use engine::{Arrival, Detector, basis, judge};
use features::{Context, Horizon, Window};
use model::ModelFile;
use policy::{
    Outcome, Policy, ProtectedHosts, Reason, Refusal,
    statistics::{PValues, Unsupported},
};
use serde::Serialize;

use super::capture::{Attack, Capture};

/// Windows in which an attack that has become decidable is to be acted on.
pub const PROMPT: u64 = 2;

/// What detector and policy said of the remotes of a capture.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Run {
    /// Every remote, by what became of it.
    pub remotes: BTreeMap<IpAddr, Verdict>,
    /// Parts of the host's side that were alarmed on.
    pub sites: BTreeSet<String>,
    /// Seconds from the first window's beginning to a limit on a service.
    pub limits: Vec<f64>,
}

/// What became of a remote. Moments are numbers of windows, and seconds since the first one's
/// beginning.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// The window in which its surprise first was one to act on.
    pub decidable: Option<u64>,
    /// That in which it was first reported.
    pub reported: Option<(u64, f64)>,
    /// That in which it would first have been blocked or limited.
    pub acted: Option<(u64, f64)>,
    /// Windows in which a guard refused, by its reason.
    pub refused: BTreeMap<&'static str, usize>,
    /// The highest surprise by the time that the row covers, in ms, and the features that made it.
    pub surprises: BTreeMap<u32, (f64, String)>,
    /// How it stood out when it was first acted on, or else when it was first reported.
    pub story: String,
    /// Windows with a row of it.
    pub windows: usize,
}

/// What became of an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts that each stand alone")]
pub struct Fate {
    /// A remote that takes part was reported.
    pub reported: bool,
    /// One had a surprise to act on, or was acted on without.
    pub decidable: bool,
    /// One would have been blocked or limited.
    pub acted: bool,
    /// And within [`PROMPT`] windows of its being decidable.
    pub promptly: bool,
}

impl Run {
    /// Puts windows through a detector that begins with an empty past, and the policy that a user gets
    /// who configures nothing but that what the calibration cannot support is acted on: the captures
    /// are minutes long.
    ///
    /// # Errors
    /// The default configuration is not valid, which a test excludes.
    pub fn of(model: &ModelFile, windows: &[Window]) -> anyhow::Result<Self> {
        Self::after(model, &[], windows)
    }

    /// The same after other windows, which nothing is told of.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn after(model: &ModelFile, past: &[Window], windows: &[Window]) -> anyhow::Result<Self> {
        let mut raw = RawConfig::default();
        raw.policy.expert.p_values = PValues::Marginal;
        raw.policy.unsupported = Unsupported::Act;
        let config = raw.check()?.policy;
        let least = config.expert.act_surprise;
        let mut policy = Policy::new(config, ProtectedHosts::default()).calibrated(&basis(model));
        let mut detector = Detector::new(model.clone(), Context::default(), Duration::from_secs(1));
        for window in past {
            judge(&mut policy, detector.assess(window, Arrival::default()));
        }
        let start_ns = windows.first().map_or(0, |window| window.start_ns);
        let mut run = Self::default();
        for (number, window) in (0..).zip(windows) {
            let after_s = window.end_ns.saturating_sub(start_ns) as f64 / 1e9;
            let assessed = detector.assess(window, Arrival::default());
            for one in &assessed.evidence {
                let verdict = run.remotes.entry(one.address).or_default();
                let highest = verdict.surprises.entry(one.horizon_ms).or_default();
                if one.surprise > highest.0 {
                    *highest = (one.surprise, features(assessed.reasons.get(&one.subject())));
                }
                verdict.windows += 1;
                if one.surprise >= least {
                    verdict.decidable.get_or_insert(number);
                }
            }
            let judged = judge(&mut policy, assessed);
            run.limits.extend(judged.verdicts.services.iter().map(|_| after_s));
            run.sites.extend(judged.sites.iter().map(|one| format!("{:?}", one.site)));
            for decision in judged.verdicts.peers {
                let one = &decision.evidence;
                let verdict = run.remotes.entry(one.address).or_default();
                let acts = matches!(decision.outcome, Outcome::Block { .. });
                if verdict.reported.is_none() || acts && verdict.acted.is_none() {
                    let horizon = Horizon::from_ms(one.horizon_ms);
                    let why = features(judged.reasons.get(&one.subject()));
                    let how = format!("{:?}, {:.1} over {horizon}", one.standing, one.surprise);
                    verdict.story = format!("{how} by {why}");
                }
                verdict.reported.get_or_insert((number, after_s));
                match decision.outcome {
                    Outcome::Block { .. } => {
                        verdict.acted.get_or_insert((number, after_s));
                    }
                    Outcome::Refused(refusal) => verdict.refuse(refusal),
                }
            }
        }
        Ok(run)
    }

    /// What became of an attack.
    #[must_use]
    pub fn fate(&self, attack: &Attack) -> Fate {
        let mut fate = Fate::default();
        for (_, one) in self.of_attack(attack) {
            fate.reported |= one.reported.is_some();
            fate.decidable |= one.decidable.is_some() || one.acted.is_some();
            fate.acted |= one.acted.is_some();
            let is_prompt = |at: u64| one.decidable.is_none_or(|since| at <= since + PROMPT);
            fate.promptly |= one.acted.is_some_and(|(at, _)| is_prompt(at));
        }
        fate
    }

    /// Why an attack is not acted on: what refused most often, and its highest surprises.
    #[must_use]
    pub fn why_not(&self, attack: &Attack) -> String {
        let its = || self.of_attack(attack).map(|(_, one)| one);
        let mut surprises: BTreeMap<u32, (f64, &str)> = BTreeMap::new();
        for (&horizon, (surprise, why)) in its().flat_map(|one| &one.surprises) {
            let highest = surprises.entry(horizon).or_default();
            if *surprise > highest.0 {
                *highest = (*surprise, why);
            }
        }
        let surprises: Vec<String> = surprises
            .iter()
            .map(|(&ms, (surprise, why))| {
                format!("{surprise:.1} over {} {why}", Horizon::from_ms(ms))
            })
            .collect();
        let windows = its().map(|one| one.windows).max().unwrap_or(0);
        let refused = its().flat_map(|one| &one.refused).max_by_key(|(_, count)| **count);
        let refused = refused.map_or("not reported", |(why, _)| *why);
        format!("{refused}; {} in {windows} windows", surprises.join(", "))
    }

    /// The remotes of an attack.
    pub fn of_attack<'a>(
        &'a self,
        attack: &'a Attack,
    ) -> impl Iterator<Item = (&'a IpAddr, &'a Verdict)> {
        self.remotes.iter().filter(|(remote, _)| attack.has(**remote))
    }

    /// The remotes that take part in no attack.
    pub fn benign<'a>(
        &'a self,
        capture: &'a Capture,
    ) -> impl Iterator<Item = (&'a IpAddr, &'a Verdict)> {
        let is_benign = |remote: &IpAddr| !capture.attacks.iter().any(|one| one.has(*remote));
        self.remotes.iter().filter(move |(remote, _)| is_benign(remote))
    }
}

impl Verdict {
    /// The highest surprise.
    #[must_use]
    pub fn surprise(&self) -> f64 {
        self.surprises.values().map(|one| one.0).fold(0.0, f64::max)
    }

    fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal.text()).or_default() += 1;
    }
}

/// Names and values of the features that tell most.
fn features(reasons: Option<&Vec<Reason>>) -> String {
    let told = |one: &Reason| format!("{} {:.3}", one.feature, one.value);
    let told: Vec<String> = reasons.into_iter().flatten().take(3).map(told).collect();
    if told.is_empty() { "nothing told".to_owned() } else { told.join(", ") }
}
