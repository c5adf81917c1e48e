//! Traffic does what it says.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::time::Duration;

use lab::{Attack, AttackClass, AttackPlan, Lab, Scenario};

#[test]
fn benign_clients_are_served_while_a_scan_goes_on() {
    let scenario = Scenario::builtin("demo").unwrap();
    let lab = Lab::build(&scenario.topology).unwrap();
    let benign = lab.start_benign(&scenario).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let plan = AttackPlan::usual(AttackClass::SynScan);
    let attack = lab.start_attack(&Attack::new(plan, Duration::from_secs(2)).unwrap()).unwrap();
    let truth = attack.wait().unwrap();
    println!("{truth:#?}");
    for report in benign.finish().unwrap() {
        println!("{} {:?}", report.client, report.total);
        for kind in report.kinds {
            println!("   {kind:?}");
        }
    }
    lab.remove().unwrap();
}
