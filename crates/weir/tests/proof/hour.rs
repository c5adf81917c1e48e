//! An hour at the lab's host, with six minutes of every attack in the middle, and one without.

use std::net::IpAddr;

use collector::event_text::describe_site;
use events::Change;
use model::Window;
use policy::{Notice, Service};

use crate::{
    scene::{MIXED, RunOutcome, SETTINGS, Setting, dry_run, model, windows},
    table::{Fate, of_fates},
    traffic::{Composed, SECOND, START, Shift, own},
};

const HOUR: u64 = 3_600 * SECOND;
/// Length of `benign-test`, in ns, to the next whole minute; it is repeated.
const BENIGN: u64 = 300 * SECOND;
/// Length of `mixed`, in ns.
const ATTACKS: u64 = 360 * SECOND;
/// When the attacks come: early, and again in the middle.
const ATTACKED: [u64; 2] = [START + BENIGN, START + BENIGN + ATTACKS + 4 * BENIGN];

/// An hour's windows, and how the times of the attacks shifted.
struct Hour {
    windows: Vec<Window>,
    frames: u64,
    shifts: Vec<Shift>,
}

impl Hour {
    fn compose(with_attacks: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut capture = Composed::create(folder.path().join("hour.pcap"));
        let (mut at_ns, end_ns) = (START, START + HOUR);
        let mut shifts = Vec::new();
        while at_ns < end_ns {
            if with_attacks && ATTACKED.contains(&at_ns) {
                shifts.push(capture.append(&own("mixed"), at_ns, at_ns + ATTACKS));
                at_ns += ATTACKS;
            }
            capture.append_benign(at_ns, end_ns.min(at_ns + BENIGN));
            at_ns += BENIGN;
        }
        let (path, frames) = capture.finish();
        Self { windows: windows(&[path]), frames, shifts }
    }
}

fn is_attacker(peer: IpAddr) -> bool {
    MIXED.attacks.iter().any(|attack| attack.sources.contains(peer))
}

fn benign(peers: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    peers.into_iter().filter(|&peer| !is_attacker(peer)).collect()
}

fn sum_up(title: &str, told: &RunOutcome) {
    let breaker = told.notices.iter().filter(|told| matches!(told, Notice::BreakerOpened { .. }));
    println!(
        "{title}: benign peers reported {:?}, blocked {:?}; limits of services {}; \
         breaker opened {} times; suspended for drift {} times; of the host's own side {:?}",
        benign(told.reported()),
        benign(told.blocked()),
        told.services.len(),
        breaker.count(),
        told.drifts.len(),
        told.sites.iter().filter(|event| event.is_news()).map(describe_site).collect::<Vec<_>>(),
    );
    for notice in &told.notices {
        println!("  {notice:?}");
    }
    for drift in &told.drifts {
        println!("  {drift:?}");
    }
}

/// Assertions on every hour, in every setting.
#[track_caller]
fn check(setting: Setting, told: &RunOutcome) {
    sum_up(setting.name, told);
    assert_eq!(benign(told.blocked()), [] as [IpAddr; 0], "{}", setting.name);
    assert_eq!(told.notices, [], "the breaker stays closed: {}", setting.name);
    assert!(benign(told.reported()).len() <= 2, "{}", setting.name);
    // The test day's clients open more connections than those that were learnt from, and the same
    // five minutes of them come again and again: the watch may notice, behind the attacks.
    let over = ((ATTACKED[1] + ATTACKS - START) / SECOND)..;
    assert!(told.drifts.iter().all(|drift| over.contains(&drift.window)), "{:?}", told.drifts);
}

#[test]
fn an_hour() {
    let hour = Hour::compose(true);
    println!(
        "{} frames, {} windows; {:?}",
        hour.frames,
        hour.windows.len(),
        engine::basis(model())
    );
    let told = dry_run(&hour.windows);
    for (setting, told) in SETTINGS.into_iter().zip(&told) {
        check(setting, told);
        // The forged flood has 126 sources, fewer than a crowd of strangers, and each of them odd.
        let begins = told.services.iter().filter(|event| {
            event.incident.is_some_and(|incident| incident.change == Some(Change::Opened))
        });
        let limited: Vec<_> = begins.map(|event| event.limit.service).collect();
        // The scans of a turn, and its flood.
        let of_a_turn = [Service::CLOSED_PORTS, Service { protocol: 6, port: 80 }];
        assert_eq!(limited, of_a_turn.repeat(2), "{}", setting.name);
    }
    let [early, late] = [0, 1].map(|part| {
        let fates = told.each_ref().map(|told| {
            let of = |attack| Fate::of(attack, hour.shifts[part], ATTACKS, told);
            MIXED.attacks.iter().map(of).collect::<Vec<_>>()
        });
        let minute = (ATTACKED[part] - START) / 60 / SECOND;
        println!("from minute {minute} on\n{}", of_fates(&fates));
        fates
    });
    // Not blocked are the beacons and both exfiltrations, which the host opened (ten ICMP errors of its
    // own in ten seconds are no volume of the remote's), and the forged flood, whose service is limited.
    for fates in early.iter().chain(&late) {
        assert_eq!(count(fates, |fate| fate.reported_s.is_some()), fates.len(), "{fates:?}");
        assert!(count(fates, |fate| fate.blocked_s.is_some()) >= 14, "{fates:?}");
        let in_time = |fate: &Fate| fate.blocked_s.is_none_or(|s| s < longest_s(&fate.name));
        assert!(fates.iter().all(in_time), "{fates:?}");
        let soon = |fate: &Fate| fate.blocked_s.is_some_and(|s| s < 2.0);
        // The second time the slow scanner knocks where it knocked before: a single failure there is
        // chance, and those of ten seconds are not.
        let soon_after = count(fates, |fate| soon(fate) || fate.name == "slow-scan");
        assert!(soon_after >= 11, "{fates:?}");
    }
}

/// Bound on the time to a block, in seconds. This guesser, at two connections a second, shows in rows
/// over ten seconds alone, and of them the defaults want two.
fn longest_s(attack: &str) -> f64 {
    if attack == "ssh-brute-force-v6" { 22.0 } else { 15.0 }
}

fn count(fates: &[Fate], which: impl Fn(&Fate) -> bool) -> usize {
    fates.iter().filter(|&fate| which(fate)).count()
}

#[test]
fn a_benign_hour_blocks_nobody() {
    let hour = Hour::compose(false);
    for (setting, told) in SETTINGS.into_iter().zip(&dry_run(&hour.windows)) {
        check(setting, told);
        assert_eq!(told.blocked().len(), 0, "{}", setting.name);
        assert_eq!(told.services, [], "{}", setting.name);
    }
}
