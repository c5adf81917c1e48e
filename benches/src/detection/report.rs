//! The tables, as Markdown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use super::{
    learn::Learnt,
    own::Own,
    score::{Observation, Scored},
};

/// Shares of the benign remotes that may ever be above, at which detection is told.
const BUDGETS: [f64; 2] = [0.01, 0.003];

/// Surprise above which a share `budget` of benign remotes ever was, by the highest of each; at
/// least 0.
#[must_use]
pub fn threshold(benign: &[f64], budget: f64) -> f64 {
    let mut descending = benign.to_vec();
    descending.sort_unstable_by(|a, b| b.total_cmp(a));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is at most the count"
    )]
    let place = (descending.len() as f64 * budget) as usize;
    descending.get(place).copied().unwrap_or(0.0).max(0.0)
}

/// Text of the result: the learning, the false alarms by group, the attacks by capture.
#[must_use]
pub fn others(learnt: &Learnt, scored: &[Scored]) -> String {
    let mut text = String::new();
    let [train, calibrate] = [0, 1].map(|place| {
        let peers: usize = learnt.peers.values().map(|rows| rows[place]).sum();
        format!(
            "{} captures, {} windows, {peers} rows of peers",
            learnt.captures[place], learnt.windows[place]
        )
    });
    let _ = writeln!(text, "Learnt from {train}; calibrated with {calibrate}.\n");
    let benign: Vec<&Scored> = scored.iter().filter(|one| !one.is_attack).collect();
    false_alarms(&mut text, &benign);
    let highest: Vec<f64> = benign.iter().flat_map(|one| highest(one).into_values()).collect();
    let thresholds = BUDGETS.map(|budget| threshold(&highest, budget));
    let found = thresholds.map(|least| {
        let above = |one: &&Scored| attackers(one).any(|seen| seen.surprise > least);
        scored.iter().filter(|one| one.is_attack).filter(above).count()
    });
    let _ = writeln!(
        text,
        "\nSurprise that 1 % and 0.3 % of the {} benign remotes ever exceed: {:.2} and {:.2}. Attack \
         captures with an attacking remote above it: {} and {}.\n",
        highest.len(),
        thresholds[0],
        thresholds[1],
        found[0],
        found[1],
    );
    attacks(&mut text, scored, thresholds);
    text
}

fn false_alarms(text: &mut String, benign: &[&Scored]) {
    let mut groups: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    for one in benign {
        groups.entry(&one.group).or_default().push(one);
    }
    text.push_str(
        "| benign captures | captures | remotes × windows | p ≤ 0.01 | p ≤ 0.001 | remotes \
         | reported | would be blocked |\n|---|---|---|---|---|---|---|---|\n",
    );
    let all = ("all", benign.to_vec());
    for (group, captures) in groups.into_iter().chain([all]) {
        let observations: Vec<&Observation> =
            captures.iter().flat_map(|one| &one.observations).collect();
        let share = |rate: f64| {
            let below = observations.iter().filter(|one| one.p_value <= rate).count();
            100.0 * below as f64 / observations.len().max(1) as f64
        };
        let sum =
            |count: fn(&Scored) -> usize| captures.iter().map(|one| count(one)).sum::<usize>();
        let _ = writeln!(
            text,
            "| {group} | {} | {} | {:.1} % | {:.2} % | {} | {} | {} |",
            captures.len(),
            observations.len(),
            share(0.01),
            share(0.001),
            sum(|one| remotes(one, |_| true)),
            sum(|one| one.acted.reported[0]),
            sum(|one| one.acted.blocked[0]),
        );
    }
}

fn attacks(text: &mut String, scored: &[Scored], thresholds: [f64; 2]) {
    text.push_str(
        "| capture | attack | remotes | at 1 %: remotes, windows, after | at 0.3 % | highest \
         surprise | reported | blocked or limited | benign remotes reported, blocked |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for one in scored.iter().filter(|one| one.is_attack) {
        let most = attackers(one).map(|seen| seen.surprise).fold(0.0, f64::max);
        let [at_1, at_03] = thresholds.map(|threshold| found(one, threshold));
        let after =
            |moment: Option<f64>| moment.map_or(String::new(), |s| format!(" after {s:.0} s"));
        let acted = &one.acted;
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {at_1} | {at_03} | {most:.2} | {}{} | {}{} | {}, {} |",
            one.name,
            one.group,
            remotes(one, |seen| seen.is_attacker),
            acted.reported[1],
            after(acted.first_report_s),
            acted.blocked[1],
            after(acted.first_block_s),
            acted.reported[0],
            acted.blocked[0],
        );
    }
}

/// Attacking remotes above a threshold, the share of their windows, and the time of the first.
fn found(one: &Scored, threshold: f64) -> String {
    let above = || attackers(one).filter(|seen| seen.surprise > threshold);
    let Some(first) = above().map(|seen| seen.after_s).min_by(f64::total_cmp) else {
        return "**missed**".to_owned();
    };
    let peers = remotes(one, |seen| seen.is_attacker && seen.surprise > threshold);
    let share = 100.0 * above().count() as f64 / attackers(one).count().max(1) as f64;
    format!("{peers}, {share:.0} %, {first:.0} s")
}

/// The highest surprise of each remote.
fn highest(one: &Scored) -> BTreeMap<IpAddr, f64> {
    let mut highest = BTreeMap::new();
    for seen in &one.observations {
        let remote: &mut f64 = highest.entry(seen.peer).or_default();
        *remote = remote.max(seen.surprise);
    }
    highest
}

fn attackers(one: &Scored) -> impl Iterator<Item = &Observation> {
    one.observations.iter().filter(|seen| seen.is_attacker)
}

fn remotes(one: &Scored, which: impl Fn(&Observation) -> bool) -> usize {
    let peers: BTreeSet<_> =
        one.observations.iter().filter(|seen| which(seen)).map(|seen| seen.peer).collect();
    peers.len()
}

/// The lab's own captures, attack by attack.
#[must_use]
pub fn own(own: &Own) -> String {
    let mut text = String::from(
        "| attack | remotes × windows | highest surprise | reported | blocked or limited \
         | refused most often |\n|---|---|---|---|---|---|\n",
    );
    for attack in &own.attacks {
        let when = |remotes: usize, moment: Option<f64>| {
            moment.map_or("**no**".to_owned(), |after_s| format!("{remotes} after {after_s:.1} s"))
        };
        let main = attack.acted.refused.iter().max_by_key(|(_, count)| **count);
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {} | {} | {} |",
            attack.name,
            attack.windows,
            attack.surprise,
            when(attack.acted.reported[1], attack.acted.first_report_s),
            when(attack.acted.blocked[1], attack.acted.first_block_s),
            main.map_or(String::new(), |(why, count)| format!("{count} × {why}")),
        );
    }
    let _ = writeln!(
        text,
        "\nOf the benign day's {} remotes {} were reported and {} would have been blocked; of the \
         benign ones amid the attacks {} and {}.",
        remotes(&own.benign, |_| true),
        own.benign.acted.reported[0],
        own.benign.acted.blocked[0],
        own.bystanders[0],
        own.bystanders[1],
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_benign_lies_above_the_threshold() {
        let benign: Vec<f64> = (0..1_000).map(|one| f64::from(one) / 1_000.0).collect();
        let above = |budget| {
            let threshold = threshold(&benign, budget);
            benign.iter().filter(|one| **one > threshold).count()
        };
        assert_eq!(BUDGETS.map(above), [10, 3]);
    }

    #[test]
    fn without_benign_remotes_the_threshold_is_no_surprise_at_all() {
        assert!(threshold(&[], 1e-2).abs() < f64::EPSILON);
    }
}
