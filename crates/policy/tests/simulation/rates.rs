//! The rate of wrong blocks.

use std::time::Duration;

use weir_policy::statistics::{PValues, ProcedureChoice, Selector, Share};

use crate::world::{LIKENESS, World, config, judge, mean};

const SECOND: u64 = 1_000_000_000;
const PEERS: usize = 20;
/// δ of the conditional p-values.
const DELTA: f64 = 0.1;

/// Standard errors that a mean over seeds may lie above what is promised: chance exceeds three
/// once in 740 times.
const MARGIN: f64 = 3.0;

/// The false-discovery proportion and the share of true anomalies found, each averaged over the
/// windows of one calibration set.
fn per_window(seed: u64, held_out: usize, likeness: f64, p_values: PValues) -> (f64, f64) {
    const WINDOWS: u64 = 80;
    let mut world = World::new(seed, held_out, PEERS, likeness);
    let mut selector = Selector::new(&config(|raw| raw.expert.p_values = p_values));
    selector.calibrate(&world.basis());
    let (mut false_share, mut found, mut true_ones) = (0.0, 0, 0);
    for number in 1..=WINDOWS {
        if number % 20 == 0 {
            world.change_peers();
        }
        // Mostly none: then any alarm is a false one.
        let anomalies = [0, 0, 0, 1, 0, 3][(number % 6) as usize];
        let evidence = world.window(anomalies);
        let outcome = judge(&mut selector, &evidence, anomalies, number * SECOND, SECOND);
        false_share += outcome.wrong as f64 / outcome.all.max(1) as f64;
        found += outcome.all - outcome.wrong;
        true_ones += anomalies;
    }
    (false_share / WINDOWS as f64, found as f64 / true_ones as f64)
}

#[test]
fn of_the_peers_called_anomalous_in_a_window_no_more_are_benign_than_configured() {
    const SETS: u64 = 40;
    for p_values in [PValues::Marginal, PValues::Conditional] {
        for (held_out, likeness) in [(600, 0.0), (600, LIKENESS), (5_000, LIKENESS)] {
            let (shares, found): (Vec<f64>, Vec<f64>) =
                (0..SETS).map(|seed| per_window(seed, held_out, likeness, p_values)).unzip();
            let (share, error) = mean(&shares);
            let (found, _) = mean(&found);
            let what = format!("{p_values:?}, {held_out} rows, likeness {likeness}");
            println!("{what}: {share:.4} ± {error:.4} wrong, {found:.3} of the anomalies found");
            assert!(share <= Share::TENTH.value() + MARGIN * error, "{what}: {share} ± {error}");
            if held_out > 2_000 {
                assert!(found > 0.95, "{what}: {found} found");
                // Not for want of alarms.
                assert!(share > 0.005, "{what}: {share}");
            }
        }
    }
}

/// Windows per calibration set, where each set is held to the rate by itself.
const WINDOWS: u64 = 500;
/// The rate there: one that so few windows can be held to.
const RATE: f64 = 0.4;

/// Share of benign windows with an alarm, of one calibration set.
fn alarmed_windows(seed: u64, p_values: PValues) -> f64 {
    let mut world = World::new(seed, 300, 4, 0.0);
    let mut selector = Selector::new(&config(|raw| {
        raw.expert.p_values = p_values;
        raw.wrong_blocks = Share::new(RATE).expect("a share");
    }));
    let alarmed = (1..=WINDOWS)
        .filter(|number| {
            let evidence = world.window(0);
            judge(&mut selector, &evidence, 0, number * SECOND, SECOND).all > 0
        })
        .count();
    alarmed as f64 / WINDOWS as f64
}

#[test]
fn with_conditional_p_values_nine_calibration_sets_in_ten_keep_the_rate_each_by_itself() {
    const SETS: u64 = 60;
    let noise = MARGIN * (RATE * (1.0 - RATE) / WINDOWS as f64).sqrt();
    let failed = |p_values| {
        (0..SETS).filter(|seed| alarmed_windows(1_000 + seed, p_values) > RATE + noise).count()
    };
    let allowed = SETS as f64 * DELTA + MARGIN * (SETS as f64 * DELTA * (1.0 - DELTA)).sqrt();
    let conditional = failed(PValues::Conditional);
    assert!(conditional as f64 <= allowed, "{conditional} of {SETS} sets fail");
    // Those that hold on average over sets fail in about half of them.
    let marginal = failed(PValues::Marginal);
    println!(
        "{conditional} sets of {SETS} fail with conditional p-values, {marginal} with marginal"
    );
    assert!(marginal > conditional + 2, "{marginal} of {SETS} sets fail");
}

/// Decayed false alarms and alarms of the online procedure, averaged over a run: the mean of
/// V, of max(1, D), and of V / max(1, D).
fn online(seed: u64, likeness: f64) -> [f64; 3] {
    const WINDOWS: u64 = 400;
    const MEMORY_S: u64 = 10;
    let mut world = World::new(seed, 20_000, PEERS, likeness);
    let mut selector = Selector::new(&config(|raw| {
        raw.expert.procedure = ProcedureChoice::Online;
        raw.expert.memory = Duration::from_secs(MEMORY_S);
        raw.expert.p_values = PValues::Marginal;
        raw.wrong_blocks = Share::new(0.3).expect("a share");
    }));
    let decay = (-1.0 / MEMORY_S as f64).exp();
    let (mut wrong, mut all, mut sums) = (0.0, 0.0, [0.0; 3]);
    for number in 1..=WINDOWS {
        // A peer is itself for as long as the lag lets it be, and then another.
        if number % 8 == 0 {
            world.change_peers();
        }
        // Attacks of twenty windows, with silence between them.
        let anomalies = if number % 100 >= 80 { 2 } else { 0 };
        let evidence = world.window(anomalies);
        let outcome = judge(&mut selector, &evidence, anomalies, number * SECOND, SECOND);
        wrong = wrong * decay + outcome.wrong as f64;
        all = all * decay + outcome.all as f64;
        let one = f64::max(1.0, all);
        for (sum, value) in sums.iter_mut().zip([wrong, one, wrong / one]) {
            *sum += value / WINDOWS as f64;
        }
    }
    sums
}

#[test]
fn over_the_online_procedures_memory_the_rate_holds_between_attacks_and_during_them() {
    const SETS: u64 = 40;
    for likeness in [0.0, LIKENESS] {
        let runs: Vec<[f64; 3]> = (0..SETS).map(|seed| online(2_000 + seed, likeness)).collect();
        let of = |which: usize| mean(&runs.iter().map(|run| run[which]).collect::<Vec<_>>());
        let ([wrong, all, share], [error, _, share_error]) =
            ([0, 1, 2].map(|which| of(which).0), [0, 1, 2].map(|which| of(which).1));
        println!(
            "likeness {likeness}: V {wrong:.4} ± {error:.4}, max(1, D) {all:.2}, ratio {share:.4}"
        );
        assert!(wrong <= 0.3 * all + MARGIN * error, "{wrong} ± {error} of {all}");
        assert!(share <= 0.3 + MARGIN * share_error, "{share} ± {share_error}");
        // There were attacks, and they were found; and there were false alarms.
        assert!(all > 3.0 && wrong > 0.005, "{wrong} {all}");
    }
}
