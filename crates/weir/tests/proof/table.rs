//! The table of what became of each attack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use collector::event::{ActionTaken, DecisionRecord};
use lab::AttackTruth;

use crate::{scene::RunOutcome, traffic::Shift};

/// Fate of an attack.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) name: String,
    /// Seconds from its first frame to the end of the window that was told of.
    pub(crate) reported_s: Option<f64>,
    /// Likewise, until a source of it would be blocked.
    pub(crate) blocked_s: Option<f64>,
    /// Number of its sources that would be blocked.
    pub(crate) blocked: usize,
    /// Windows in which a guard refused, by its text.
    pub(crate) refused: BTreeMap<&'static str, usize>,
}

impl Fate {
    /// Of an attack in a part of the capture that lasts as long.
    pub(crate) fn of(attack: &AttackTruth, shift: Shift, part_ns: u64, told: &RunOutcome) -> Self {
        let began_ns = shift.of(attack.began.unix_ns);
        let during = began_ns..began_ns + part_ns;
        let its: Vec<&DecisionRecord> = told
            .anomalies
            .iter()
            .filter(|anomaly| {
                attack.sources.contains(anomaly.peer()) && during.contains(&anomaly.at_ns)
            })
            .collect();
        let after_s = |one: &DecisionRecord| (one.at_ns - began_ns) as f64 / 1e9;
        let blocks: Vec<_> =
            its.iter().filter(|one| one.outcome == ActionTaken::WouldBlock).collect();
        let mut refused = BTreeMap::new();
        for refusal in its.iter().filter_map(|one| one.refusal) {
            *refused.entry(refusal.text()).or_default() += 1;
        }
        let sources: BTreeSet<_> = blocks.iter().map(|one| one.peer()).collect();
        Self {
            name: attack.name.clone(),
            reported_s: its.first().map(|one| after_s(one)),
            blocked_s: blocks.first().map(|one| after_s(one)),
            blocked: sources.len(),
            refused,
        }
    }

    /// Why not, in most windows.
    pub(crate) fn refusal(&self) -> &'static str {
        let most = self.refused.iter().max_by_key(|&(_, windows)| windows);
        most.map_or("", |(text, _)| text)
    }
}

/// The fates side by side, one setting beside the other.
pub(crate) fn of_fates(fates: &[Vec<Fate>; 3]) -> String {
    let mut text = String::from(
        "| attack | reported after | defaults: blocked after | act | act, report | not blocked \
         because |\n|---|---|---|---|---|---|\n",
    );
    let seconds = |s: Option<f64>| s.map_or_else(|| "–".to_owned(), |s| format!("{s:.1} s"));
    let [defaults, act, report] = fates;
    for ((one, two), three) in defaults.iter().zip(act).zip(report) {
        let why = if three.blocked == 0 { three.refusal() } else { "" };
        let [first, second, third] = [one, two, three].map(|fate| seconds(fate.blocked_s));
        let (name, reported) = (&one.name, seconds(one.reported_s));
        // A string takes all.
        let _ = writeln!(text, "| {name} | {reported} | {first} | {second} | {third} | {why} |");
    }
    text
}
