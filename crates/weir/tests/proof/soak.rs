//! A benign soak: an hour of a made-up network with a deploy, a reload, a restart, a change of address,
//! new clients, a health checker, a backup, twenty log-ins at once and an allowed audit in it. Nobody is
//! blocked.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use engine::{Arrival, Detector, basis, judge};
use lab::{Author, Episode, Stage, Synthesis};
use model::Context;
use policy::{
    Evidence, Mode, Outcome, Policy, ProtectedHosts, Refusal,
    statistics::{OnDrift, Unsupported},
};

use crate::search::world::{learn, windows};

const HOUR: Duration = Duration::from_hours(1);
/// Time that is learnt from.
const LEARNT: Duration = Duration::from_mins(20);
/// From there to the first episode, and from one to the next.
const APART: Duration = Duration::from_secs(270);
/// When the health checker comes, which is learnt with all the others.
const CHECKED: Duration = Duration::from_mins(1);
/// What happens, one after the other.
const HAPPENS: [Episode; 8] = [
    Episode::Deploy,
    Episode::Reload,
    Episode::NewAddress,
    Episode::Newcomers,
    Episode::Backup,
    Episode::LogIns,
    Episode::Restart,
    Episode::Audit,
];

/// What was done to whom, by seconds since the beginning; empty where nobody was hit.
#[derive(Debug, Default)]
struct Hit {
    blocks: BTreeMap<IpAddr, Vec<(u64, String)>>,
    limits: Vec<u64>,
    notices: Vec<String>,
    refused_audit: usize,
    windows: usize,
}

/// An hour of the network of a seed with these episodes in it.
fn soak(seed: u64, episodes: &[Episode]) -> Hit {
    let hour = Synthesis { attack: None, seed, duration: HOUR, frames: 20_000_000 };
    let mut stage: Stage = hour.set().expect("a stage").with(CHECKED, Episode::HealthChecks);
    for (nth, &episode) in (0..).zip(episodes) {
        stage = stage.with(LEARNT + APART * (nth + 1), episode);
    }
    let capture = stage.calm().expect("an hour");
    let own = capture.truth().host.clone();
    assert!(!capture.senders(Author::Benign).is_empty());
    let all = windows(&capture);
    let learnt_ns = (Synthesis::EPOCH + LEARNT).as_nanos();
    let (before, after) =
        all.split_at(all.partition_point(|window| u128::from(window.start_ns) < learnt_ns));
    let model = learn(before).expect("enough to learn from");
    let mut raw = collector::config::RawConfig::default();
    raw.policy.mode = Mode::Enforce;
    raw.policy.unsupported = Unsupported::Act;
    raw.policy.drift = OnDrift::Report;
    raw.policy.allow = vec![Episode::auditor().into()];
    let config = raw.check().expect("the defaults hold").policy;
    let mut policy = Policy::new(config, ProtectedHosts::own(own)).calibrated(&basis(&model));
    let mut detector = Detector::new(model, Context::default(), Duration::from_secs(1));
    let mut hit = Hit { windows: after.len(), ..Hit::default() };
    // The last minutes that were learnt from are the past of what comes.
    for window in before.iter().rev().take(600).rev().chain(after) {
        let judged = judge(&mut policy, detector.assess(window, Arrival::default()));
        if u128::from(window.start_ns) < learnt_ns {
            continue;
        }
        let at_s = window.end_ns / 1_000_000_000 - Synthesis::EPOCH.as_secs();
        hit.limits.extend(judged.verdicts.services.iter().map(|_| at_s));
        hit.notices.extend(judged.verdicts.notices.iter().map(|one| format!("{at_s}: {one:?}")));
        for one in judged.verdicts.peers {
            let (peer, standing) = one.evidence.subject();
            match one.outcome {
                Outcome::Block { scope, .. } => {
                    let why = judged.reasons.get(&(peer, standing)).into_iter().flatten().take(3);
                    let why: Vec<String> = why.map(|one| one.feature.clone()).collect();
                    let Evidence { surprise, horizon_ms, new_or_large, service, .. } = one.evidence;
                    let service = service.map_or_else(String::new, |service| service.to_string());
                    let how = format!(
                        "{standing:?} {scope:?} {surprise:.1} {horizon_ms} {new_or_large} {service} \
                         {why:?}"
                    );
                    hit.blocks.entry(peer).or_default().push((at_s, how));
                }
                Outcome::Refused(Refusal::Allowed) => hit.refused_audit += 1,
                Outcome::Refused(_) => {}
            }
        }
    }
    hit
}

#[track_caller]
fn check(seed: u64) {
    let hit = soak(seed, &HAPPENS);
    println!("network {seed}: {hit:?}");
    // Of 2,400 seconds, those in which anything was sent.
    assert!(hit.windows > 1_500, "{} windows", hit.windows);
    assert!(hit.refused_audit > 0, "the audit is seen, and allowed");
    assert!(hit.blocks.is_empty(), "{:?}", hit.blocks);
    assert_eq!((&hit.limits[..], &hit.notices[..]), (&[][..], &[][..]));
}

#[test]
fn an_hour_in_which_much_happens_blocks_nobody() {
    (0..=14).chain([16, 18]).for_each(check);
}

#[test]
#[ignore = "three networks of thirty clients more, a minute"]
fn an_hour_in_which_much_happens_blocks_nobody_in_large_networks() {
    [15, 17, 19].into_iter().for_each(check);
}
