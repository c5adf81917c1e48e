//! The budget of false alarms.

use weir_policy::statistics::{PValues, Selector, Share};

use crate::world::{LIKENESS, World, config, judge, mean};

const MINUTE: u64 = 60_000_000_000;
const PEERS: usize = 20;
/// Windows of a quarter of a day.
const WINDOWS: u64 = 360;

/// False alarms in a quarter of a day, with a budget of 120 a day; `flooded` windows hold a
/// hundred true anomalies as well.
fn false_alarms(seed: u64, p_values: PValues, flooded: bool) -> f64 {
    let mut world = World::new(seed, 8_000, PEERS, LIKENESS);
    let mut selector = Selector::new(&config(|raw| {
        raw.false_alarms = Some("5 an hour".parse().expect("a frequency"));
        raw.wrong_blocks = Share::new(0.9).expect("a share");
        raw.expert.p_values = p_values;
    }));
    let mut wrong = 0;
    for number in 1..=WINDOWS {
        if number % 10 == 0 {
            world.change_peers();
        }
        let anomalies = if flooded && number % 40 == 39 { 100 } else { 0 };
        let evidence = world.window(anomalies);
        let outcome = judge(&mut selector, &evidence, anomalies, number * MINUTE, MINUTE);
        wrong += outcome.wrong;
    }
    wrong as f64
}

#[test]
fn false_alarms_stay_within_the_budget_at_this_traffic_also_amid_floods() {
    const SETS: u64 = 40;
    for (p_values, flooded) in
        [(PValues::Marginal, false), (PValues::Marginal, true), (PValues::Conditional, false)]
    {
        let alarms: Vec<f64> =
            (0..SETS).map(|seed| false_alarms(3_000 + seed, p_values, flooded)).collect();
        let (alarms, error) = mean(&alarms);
        println!("{p_values:?}, floods {flooded}: {alarms:.2} ± {error:.2} of 30 in six hours");
        assert!(alarms <= 30.0 + 3.0 * error, "{alarms} ± {error}");
        assert!(alarms > 1.0, "a budget that is not used at all: {alarms}");
    }
}
