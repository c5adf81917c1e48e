//! More learning: it reports every attack, and keeps to as few of the others.

use lab::AttackTruth;

use crate::{
    scene::{MIXED, RunOutcome, dry_run_by, learnt_from, windows},
    traffic::own,
};

/// Shares of the training day that are learnt from: one, two, four and eight minutes.
const PARTS: [usize; 4] = [8, 4, 2, 1];

/// Attacks that come from outside and probe, flood or repeat, from addresses of their own.
fn is_abuse(attack: &AttackTruth) -> bool {
    let words = ["scan", "flood", "brute-force", "slow-http"];
    words.iter().any(|word| attack.name.contains(word)) && !attack.sources.are_spoofed()
}

#[test]
fn however_much_is_learnt_every_attack_is_reported_and_nobody_else_blocked() {
    let (day, attacked) = (windows(&[own("benign-train")]), windows(&[own("mixed")]));
    let benign = windows(&[own("benign-test")]);
    for part in PARTS {
        let model = learnt_from(&day[..day.len() / part]);
        let [_, told, _] = dry_run_by(&model, &attacked);
        let count = |of: fn(&RunOutcome) -> std::collections::BTreeSet<std::net::IpAddr>| {
            let its = of(&told);
            let met = |attack: &&AttackTruth| its.iter().any(|&peer| attack.sources.contains(peer));
            MIXED.attacks.iter().filter(|one| is_abuse(one)).filter(met).count()
        };
        let [_, calm, _] = dry_run_by(&model, &benign);
        let found =
            [count(RunOutcome::reported), count(RunOutcome::blocked), calm.reported().len()];
        let all = MIXED.attacks.iter().filter(|one| is_abuse(one)).count();
        let [reported, blocked, alarmed] = found;
        println!(
            "{} s learnt: of {all} attacks {reported} reported, {blocked} blocked; {alarmed} benign \
             remotes reported, {} blocked",
            day.len() / part,
            calm.blocked().len(),
        );
        assert!(reported == all && blocked >= 12 && alarmed <= 2, "{found:?} of {all}");
        assert!(calm.blocked().is_empty(), "{:?}", calm.blocked());
    }
}
