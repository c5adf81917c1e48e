//! The watch over benign traffic.

use weir_policy::{
    Subject,
    statistics::{BETS, DriftWatch, Moved},
};

use crate::world::World;

/// Windows within which a shift of one and a half standard deviations suspends.
const SOON: usize = 150;

fn observe(watch: &mut DriftWatch, world: &mut World, shift: f64) -> bool {
    let p_values: [Option<f64>; BETS] = std::array::from_fn(|_| Some(world.shifted_p(shift)));
    let (index, share, before, now) = (shift, 0.5, 0.0, 1.0);
    let moved = Moved { subject: Subject::Peer, feature: "x".into(), index, share, before, now };
    // Named where there is a shift.
    let moved = (shift > 0.0).then_some(moved);
    watch.observe(p_values, true, moved.into_iter().collect()).suspended
}

#[test]
fn a_shift_suspends_within_150_windows_and_blocking_resumes_after_it() {
    for held_out in [300, 5_000] {
        let mut took = Vec::new();
        for seed in 0..40 {
            let mut world = World::new(4_000 + seed, held_out, 0, 0.0);
            let mut watch = DriftWatch::default();
            for _ in 0..500 {
                assert!(!observe(&mut watch, &mut world, 0.0), "before the shift");
            }
            let windows = (1..=SOON).find(|_| observe(&mut watch, &mut world, 1.5));
            took.push(windows.unwrap_or_else(|| panic!("not within {SOON} windows")));
            let back = (1..=500).find(|_| !observe(&mut watch, &mut world, 0.0));
            assert!(back.is_some(), "it did not resume");
        }
        took.sort_unstable();
        println!("{held_out} rows: suspended after {} (median), {} (worst)", took[20], took[39]);
    }
}

#[test]
fn without_a_shift_nothing_is_ever_suspended() {
    for seed in 0..60 {
        let mut world = World::new(5_000 + seed, 300, 0, 0.0);
        let mut watch = DriftWatch::default();
        for window in 0..3_000 {
            assert!(!observe(&mut watch, &mut world, 0.0), "seed {seed}, window {window}");
        }
    }
}

#[test]
fn benign_traffic_that_became_calmer_suspends_nothing() {
    let mut world = World::new(6_000, 300, 0, 0.0);
    let mut watch = DriftWatch::default();
    assert!((0..2_000).all(|_| !observe(&mut watch, &mut world, -1.5)));
}
