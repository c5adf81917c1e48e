//! Captures through detector and policy, with what is known of them beside it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use collector::config::RawConfig;
use engine::{Arrival, Detector, basis, judge};
use features::{Context, Window};
use model::ModelFile;
use policy::{
    Outcome, Policy, ProtectedHosts, Reason, Refusal,
    statistics::{PValues, Unsupported},
};
use replay::HomeNet;
use serde::Serialize;

use super::{
    corpus::{Corpus, Role},
    replay::{Roots, home_of, windows},
};

/// A remote in a window, as it was scored.
#[derive(Clone, Debug, Serialize)]
pub struct Observation {
    /// The window's end, in seconds from the start of the capture's first window.
    pub after_s: f64,
    /// The remote.
    pub peer: IpAddr,
    /// It takes part in the attack.
    pub is_attacker: bool,
    /// As [`policy::Evidence::p_value`].
    pub p_value: f64,
    /// As [`policy::Evidence::surprise`].
    pub surprise: f64,
    /// Packets from and to it in the window.
    pub packets: u64,
    /// The strongest features, for those above the calibration's range.
    pub why: Vec<String>,
}

/// Acts of the policy in one capture, with its defaults; pairs are of benign remotes and of
/// those that take part in the attack.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Acted {
    /// Remotes reported.
    pub reported: [usize; 2],
    /// Remotes that would have been blocked or limited.
    pub blocked: [usize; 2],
    /// Time of the attack's first report, in s from the capture's beginning.
    pub first_report_s: Option<f64>,
    /// Time of the attack's first block, likewise.
    pub first_block_s: Option<f64>,
    /// Windows of the attack's remotes in which a guard refused, by its reason.
    pub refused: BTreeMap<&'static str, usize>,
}

/// A capture, scored.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// The file, from the folder of captures.
    pub name: String,
    /// The group of benign captures, or the class of the attack.
    pub group: String,
    /// It holds an attack.
    pub is_attack: bool,
    /// Its sources are forged.
    pub forged: bool,
    /// Windows with traffic.
    pub windows: usize,
    /// Every remote in every window.
    pub observations: Vec<Observation>,
    /// Acts of the policy.
    pub acted: Acted,
}

impl Scored {
    /// Number of remotes.
    #[must_use]
    pub fn remotes(&self) -> usize {
        self.observations.iter().map(|one| one.peer).collect::<HashSet<_>>().len()
    }
}

/// Scores every capture of the corpus that is for testing.
///
/// # Errors
/// A capture cannot be read.
pub fn score(
    model: &ModelFile,
    corpus: &Corpus,
    roots: &Roots,
    turns: usize,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<Vec<Scored>> {
    let mut scored = Vec::new();
    for source in corpus.benign.iter().filter(|source| source.role_after(turns) == Role::Test) {
        tell(&format!("scoring {}", source.group));
        for path in roots.captures(source)? {
            let Some(home) = home_of(source, &path)? else { continue };
            let named = (roots.shown(&path), source.group.clone());
            let detector =
                Detector::new(model.clone(), Context::default(), std::time::Duration::from_secs(1));
            scored.push(score_one(detector, &windows(&path, &home)?, named, |_| false)?);
        }
    }
    for capture in &corpus.attack {
        let path = roots.shared.join(&capture.path);
        let mut name = roots.shown(&path);
        if !capture.view.is_empty() {
            name = format!("{name} ({})", capture.view);
        }
        tell(&format!("scoring {name}"));
        let windows = windows(&path, &HomeNet::new(capture.home_prefixes()))?;
        let named = (name, capture.class.clone());
        let detector =
            Detector::new(model.clone(), Context::default(), std::time::Duration::from_secs(1));
        let one = score_one(detector, &windows, named, |peer| capture.is_attacker(peer))?;
        scored.push(Scored { is_attack: true, forged: capture.forged, ..one });
    }
    Ok(scored)
}

/// Puts windows through a detector and the policy that a user gets who configures nothing but
/// that what the calibration cannot support is acted on: the captures are minutes long.
///
/// # Errors
/// The default configuration is not valid, which a test excludes.
pub fn score_one(
    mut detector: Detector,
    windows: &[Window],
    (name, group): (String, String),
    is_attacker: impl Fn(IpAddr) -> bool,
) -> anyhow::Result<Scored> {
    let start_ns = windows.first().map_or(0, |window| window.start_ns);
    let mut raw = RawConfig::default();
    raw.policy.expert.p_values = PValues::Marginal;
    raw.policy.unsupported = Unsupported::Act;
    let mut policy = Policy::new(raw.check()?.policy, ProtectedHosts::default())
        .calibrated(&basis(detector.model()));
    let mut observations = Vec::new();
    let mut verdicts = Verdicts::default();
    for window in windows {
        let after_s = window.end_ns.saturating_sub(start_ns) as f64 / 1e9;
        let found = detector.assess(window, Arrival::default());
        observations.extend(found.evidence.iter().map(|peer| Observation {
            after_s,
            peer: peer.address,
            is_attacker: is_attacker(peer.address),
            p_value: peer.p_value,
            surprise: peer.surprise,
            packets: peer.packets,
            why: found.reasons.get(&peer.subject()).into_iter().flatten().map(shown).collect(),
        }));
        for decision in judge(&mut policy, found).verdicts.peers {
            verdicts.note(decision.evidence.address, &decision.outcome, after_s);
        }
    }
    let acted = verdicts.acted(is_attacker);
    let windows = windows.len();
    Ok(Scored { name, group, is_attack: false, forged: false, windows, observations, acted })
}

/// Outcome of each remote that was anomalous.
#[derive(Default)]
struct Verdicts(HashMap<IpAddr, Verdict>);

/// Outcome of a remote.
#[derive(Default)]
struct Verdict {
    reported_s: f64,
    blocked_s: Option<f64>,
    refused: BTreeMap<Refusal, usize>,
}

impl Verdicts {
    fn note(&mut self, peer: IpAddr, outcome: &Outcome, after_s: f64) {
        let verdict = self
            .0
            .entry(peer)
            .or_insert_with(|| Verdict { reported_s: after_s, ..Verdict::default() });
        match outcome {
            Outcome::Block { .. } => {
                verdict.blocked_s.get_or_insert(after_s);
            }
            Outcome::Refused(refusal) => *verdict.refused.entry(*refusal).or_default() += 1,
        }
    }

    fn acted(&self, is_attacker: impl Fn(IpAddr) -> bool) -> Acted {
        let mut acted = Acted::default();
        for (peer, verdict) in &self.0 {
            let side = usize::from(is_attacker(*peer));
            acted.reported[side] += 1;
            acted.blocked[side] += usize::from(verdict.blocked_s.is_some());
            if side == 0 {
                continue;
            }
            acted.first_report_s = earlier(acted.first_report_s, Some(verdict.reported_s));
            acted.first_block_s = earlier(acted.first_block_s, verdict.blocked_s);
            for (refusal, count) in &verdict.refused {
                *acted.refused.entry(refusal.text()).or_default() += count;
            }
        }
        acted
    }
}

fn earlier(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).min_by(f64::total_cmp)
}

fn shown(reason: &Reason) -> String {
    format!(
        "{} {:.3} {} (benign {:.3} to {:.3})",
        reason.feature, reason.value, reason.unit, reason.benign_low, reason.benign_high
    )
}
