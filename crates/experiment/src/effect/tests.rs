use std::time::Duration;

use policy::{Mode, PolicyConfig, ProtectedHosts, Unverified, ValidPolicy};
use proptest::prelude::*;

use super::*;
use crate::{
    sample::{SECOND, Sample, peer},
    stream::Extent,
};

/// Policy that blocks within one window and enforces.
fn eager(change: impl FnOnce(&mut PolicyConfig)) -> ValidPolicy {
    let mut raw = PolicyConfig { mode: Mode::Enforce, ..PolicyConfig::default() };
    (raw.expert.windows, raw.expert.early_release) = (1, 0.0);
    (raw.expert.act_surprise, raw.expert.decisive_surprise) = (5.0, 7.5);
    change(&mut raw);
    raw.check(1_000_000).expect("valid")
}

fn run(sample: &Sample, config: ValidPolicy) -> Effect {
    Effect::of(&sample.stream(), Policy::new(config, ProtectedHosts::default()))
}

#[test]
fn a_block_stops_all_windows_after_its_decision() {
    // Ten windows of 100 packets and 6,000 bytes; the first one is what the decision is made on.
    let sample = Sample::new().attack(1, 0..10, 9.0);
    let effect = run(&sample, eager(|_| ()));
    let [block] = &effect.blocks[..] else { panic!("{:?}", effect.blocks) };
    assert_eq!((block.decided_ns, block.action), (SECOND, Action::Drop));
    assert_eq!(block.stopped, Amount { packets: 900, bytes: 54_000 });
    let attack = &effect.attacks[0];
    assert_eq!(attack.first_block_ns, Some(SECOND));
    assert_eq!(attack.sent_after, attack.stopped, "nothing passes a drop");
    assert_eq!(effect.stopped.attack, block.stopped);
}

#[test]
fn a_block_stops_until_it_expires_and_the_next_one_lasts_twice_as_long() {
    let sample = Sample::new().attack(1, 0..12, 9.0);
    let effect = run(&sample, eager(|raw| raw.ttl = Duration::from_secs(3)));
    let times: Vec<(u64, u64, u32)> = effect
        .blocks
        .iter()
        .map(|block| (block.decided_ns / SECOND, block.expires_ns / SECOND, block.offence))
        .collect();
    // Windows 1, 2, 3 are stopped; window 4 is seen again, and so on.
    assert_eq!(times, [(1, 4, 1), (5, 11, 2), (12, 24, 3)]);
    assert_eq!(effect.stopped.attack.packets, 300 + 600);
}

#[test]
fn a_block_that_ends_within_a_window_stops_its_part_of_it() {
    let sample = Sample::new().attack(1, 0..3, 9.0);
    let effect = run(&sample, eager(|raw| raw.ttl = Duration::from_millis(1_250)));
    assert_eq!(effect.blocks[0].stopped, Amount { packets: 125, bytes: 7_500 });
    assert_eq!(effect.blocks.len(), 2, "what was seen of the window is decided on");
}

#[test]
fn an_unverified_source_keeps_its_burst_and_its_rate() {
    let sample = Sample::new().unverified(1, 0..4);
    let effect = run(&sample, eager(|_| ()));
    assert_eq!(effect.blocks[0].action, Action::RateLimit);
    // Three windows of 100 packets, of which 5 a second and a burst of 10 pass.
    assert_eq!(effect.blocks[0].stopped.packets, 300 - 15 - 5 - 5);
    assert_eq!(effect.attacks[0].sent_after.packets, 300);
}

#[test]
fn shadow_stops_nothing_and_is_no_block_of_the_attack() {
    let sample = Sample::new().attack(1, 0..4, 9.0);
    let effect = run(&sample, eager(|raw| raw.mode = Mode::Shadow));
    assert_eq!(effect.blocks.len(), 1);
    assert_eq!(effect.stopped, ByLabel::default());
    assert_eq!(effect.attacks[0].first_block_ns, None);
}

#[test]
fn what_is_benign_and_blocked_is_collateral() {
    let sample = Sample::new().benign(7, 0..5, 9.0).benign(8, 0..5, 0.0);
    let effect = run(&sample, eager(|_| ()));
    assert_eq!(effect.stopped.benign, Amount { packets: 400, bytes: 24_000 });
    assert_eq!(effect.hit.benign, BTreeSet::from([peer(7)]));
    assert_eq!(effect.blocks[0].label, RowLabel::Benign);
}

#[test]
fn refusals_are_counted_by_guard_and_by_whom_they_spare() {
    let sample = Sample::new().attack(1, 0..3, 3.0).benign(7, 0..2, 6.0);
    let effect =
        run(&sample, eager(|raw| (raw.expert.windows, raw.unverified) = (3, Unverified::Drop)));
    let rows = |refusal| &effect.refused[&refusal].rows;
    assert_eq!(rows(Refusal::BelowMargin).attack, 3);
    assert_eq!(rows(Refusal::TooFewWindows).benign, 2);
    assert_eq!(effect.blocks, []);
}

#[test]
fn blocks_that_stand_and_blocks_per_minute_have_their_peaks() {
    let mut sample = Sample::new();
    for last in 0..6 {
        let from = u64::from(last) * 20;
        sample = sample.attack(last, from..from + 1, 9.0);
    }
    let effect = run(&sample, eager(|raw| raw.ttl = Duration::from_secs(30)));
    assert_eq!(effect.blocks.len(), 6);
    assert_eq!((effect.peak_per_minute(), effect.peak_active), (3, 2));
}

#[test]
fn a_source_that_is_blocked_already_is_blocked_from_the_next_attacks_start() {
    let sample = Sample::new().attack(1, 0..2, 9.0).named("second").attack(1, 5..8, 9.0);
    let effect = run(&sample, eager(|_| ()));
    assert_eq!(effect.blocks.len(), 1);
    assert_eq!(effect.attacks[1].first_block_ns, Some(5 * SECOND));
    assert_eq!(effect.attacks[1].stopped.packets, 300);
}

#[test]
fn a_flood_from_forged_sources_keeps_what_its_service_is_limited_to() {
    // 250 sources of 100 packets each in every window, none of which is anomalous by itself.
    let sample = Sample::new().strangers(250, 0..3);
    let effect = run(
        &sample,
        eager(|raw| {
            raw.service_limit_pps = 1_000;
            raw.expert.flood_baseline = Duration::ZERO;
        }),
    );
    assert_eq!(effect.blocks, []);
    let [service] = &effect.services[..] else { panic!("{:?}", effect.services) };
    assert_eq!(service.decided_ns, SECOND);
    // Of 25,000 packets a window 1,000 pass, and a burst of 1,000 in the first; each source's
    // part is rounded down.
    let above = 23_000 + 24_000;
    assert!((above - 500..=above).contains(&service.stopped.packets), "{service:?}");
    assert_eq!(effect.stopped.attack, service.stopped);
    assert_eq!(effect.attacks[0].first_block_ns, Some(SECOND));
    assert!(effect.attacks[0].first_limit_ns.is_some() && effect.attacks[0].blocked.is_empty());
}

fn samples() -> impl Strategy<Value = Sample> {
    let part = (0_u8..12, 0_u64..30, 1_u64..20, 0.0_f64..10.0, 0..3);
    proptest::collection::vec(part, 1..30).prop_map(|parts| {
        parts.into_iter().fold(Sample::new(), |sample, (last, from, length, surprise, kind)| {
            // Addresses of a kind of their own: one peer has one row a window.
            match kind {
                0 => sample.attack(last, from..from + length, surprise),
                1 => sample.benign(50 + last, from..from + length, surprise),
                _ => sample.unverified(100 + last, from..from + length),
            }
        })
    })
}

proptest! {
    #[test]
    fn no_more_is_stopped_than_was_sent(
        sample in samples(),
        act in 3.0_f64..7.5,
        ttl_ms in 1_000_u64..60_000,
    ) {
        let config = eager(|raw| {
            raw.expert.act_surprise = act;
            raw.ttl = Duration::from_millis(ttl_ms);
        });
        let extent = Extent::of(&sample.stream());
        let effect = run(&sample, config);
        let pairs = [
            (effect.stopped.attack, extent.amounts.attack),
            (effect.stopped.benign, extent.amounts.benign),
            (effect.stopped.unlabelled, extent.amounts.unlabelled),
        ];
        for (stopped, sent) in pairs {
            prop_assert!(stopped.packets <= sent.packets && stopped.bytes <= sent.bytes);
        }
        for (attack, sent) in effect.attacks.iter().zip(&extent.attacks) {
            prop_assert!(attack.stopped.packets <= attack.sent_after.packets);
            prop_assert!(attack.sent_after.packets <= sent.amount.packets);
            prop_assert!(attack.first_block_ns.is_none_or(|first_ns| first_ns >= sent.first_ns));
            prop_assert!(attack.blocked.is_subset(&sent.sources));
        }
        let by_block: u64 = effect.blocks.iter().map(|block| block.stopped.packets).sum::<u64>()
            + effect.services.iter().map(|service| service.stopped.packets).sum::<u64>();
        let by_label = pairs.iter().map(|(stopped, _)| stopped.packets).sum::<u64>();
        prop_assert_eq!(by_block, by_label, "each stopped packet is one block's");
    }

    #[test]
    fn a_stricter_threshold_blocks_no_peer_in_its_first_window_that_a_laxer_one_spares(
        sample in samples(),
        least in (3.0_f64..7.5, 3.0_f64..7.5),
    ) {
        let first = |act: f64| -> BTreeSet<IpAddr> {
            let config = eager(|raw| {
                raw.expert.act_surprise = act;
                raw.expert.max_unverified_sources = 1_000;
            });
            let effect = run(&sample, config);
            let start_ns = effect.blocks.iter().map(|block| block.decided_ns).min();
            let first = effect.blocks.iter().filter(|block| Some(block.decided_ns) == start_ns);
            first.filter(|block| block.decided_ns == sample.first_end_ns())
                .map(|block| block.decision.evidence.address)
                .collect()
        };
        let (strict, lax) = (least.0.max(least.1), least.0.min(least.1));
        prop_assert!(first(strict).is_subset(&first(lax)));
    }
}
