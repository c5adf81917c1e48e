//! Traffic does what it says.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::time::Duration;

use lab::{Attack, AttackClass, AttackPlan, Lab, Scenario, Tap};

#[test]
fn benign_clients_are_served_while_a_scan_goes_on() {
    let scenario = Scenario::builtin("demo").unwrap();
    let lab = Lab::build(&scenario.topology).unwrap();
    let cap = lab.capture(std::path::Path::new("/tmp/lab.pcap"), Tap::Switch, 0, 1 << 30).unwrap();
    let benign = lab.start_benign(&scenario).unwrap();
    let t = nix_time();
    std::thread::sleep(Duration::from_secs(
        std::env::var("SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(3),
    ));
    println!("cpu benign {:?}", nix_time() - t);
    let mut n = 0;
    for class in AttackClass::ALL {
        for family in [lab::Family::V4, lab::Family::V6] {
            let plan = AttackPlan::usual(class);
            let mut attack = Attack::new(plan, Duration::from_secs(2)).unwrap();
            attack.family = family;
            let attack = lab.start_attack(&attack).unwrap();
            let t = nix_time();
            let truth = attack.wait().unwrap();
            println!(
                "{} {:?} {:?} cpu {:?} {:?}",
                truth.name,
                truth.sent,
                truth.ended.since(truth.began),
                nix_time() - t,
                truth.sources
            );
            n += 1;
        }
    }
    println!("{n}");
    for report in benign.finish().unwrap() {
        println!("{} {:?}", report.client, report.total);
        for kind in report.kinds {
            println!("   {kind:?}");
        }
    }
    println!("{:?}", cap.finish().unwrap());
    lab.remove().unwrap();
}
fn nix_time() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<f64> = s
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|x| x.parse().unwrap())
        .collect();
    (f[0] + f[1]) / 100.0
}
