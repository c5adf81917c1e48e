//! Programs that a killed weir leaves behind, as found by the doctor.

use std::{
    env,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use datapath::{AttachOptions, InterfaceName, Kernel, KernelOptions, TcPreference, XdpPreference};
use serde_json::Value;

use crate::support::{Bench, told};

/// Variable that makes the test binary the process that gets killed; its value is the file that the
/// process makes once it is attached.
const VICTIM: &str = "WEIR_TEST_VICTIM";
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "is run by another test, as the process that gets killed"]
fn the_process_that_gets_killed() {
    let Some(ready) = env::var_os(VICTIM) else { return };
    let options = KernelOptions {
        flow_capacity: 64,
        peer_capacity: 64,
        block_capacity: 16,
        stats_slots: 4,
        ..KernelOptions::default()
    };
    let mut kernel = Kernel::load(&options).expect("loaded");
    let attach = AttachOptions { xdp: XdpPreference::Off, tc: TcPreference::Clsact };
    kernel.attach(&InterfaceName::new("eth0").expect("a name"), attach).expect("attached");
    std::fs::write(ready, "").expect("a file");
    loop {
        std::thread::sleep(Duration::from_mins(1));
    }
}

fn orphans(bench: &Bench) -> Value {
    let findings: Vec<Value> =
        serde_json::from_str(&told(&bench.output(&["doctor", "--json"]))).expect("JSON");
    findings.into_iter().find(|one| one["subject"] == "orphan programs").expect("looked at")
}

/// Filters, unlike links, outlive their process.
#[test]
fn the_doctor_sees_the_filters_of_a_killed_weir_and_not_those_of_a_running_one() {
    let Some(bench) = Bench::new() else { return };
    let ready = bench.path("ready");
    let mut victim = Command::new(env::current_exe().expect("this binary"));
    victim
        .args(["--exact", "left_behind::the_process_that_gets_killed", "--ignored"])
        .env(VICTIM, &ready)
        .stdout(Stdio::null());
    let mut victim =
        bench.lab.enter(bench.lab.host(), move || victim.spawn()).unwrap().expect("it starts");
    let until = Instant::now() + PATIENCE;
    while !std::fs::exists(&ready).expect("a folder") {
        assert!(Instant::now() < until, "the victim does not attach");
        std::thread::sleep(Duration::from_millis(20));
    }
    let own = filters(&bench);
    assert_eq!(own.len(), 2, "{own:?}");
    let names_one = |finding: &Value| own.iter().any(|id| names(finding, id));
    assert!(!names_one(&orphans(&bench)));
    victim.kill().expect("kill -9");
    victim.wait().expect("it is gone");
    let finding = orphans(&bench);
    assert_eq!(finding["state"], "warning", "{finding}");
    assert!(own.iter().all(|id| names(&finding, id)), "{own:?}: {finding}");
    assert!(finding["remedy"].as_str().is_some_and(|remedy| remedy.contains("weir run")));
}

fn names(finding: &Value, id: &str) -> bool {
    finding["found"].as_str().is_some_and(|found| found.contains(&format!("(id {id})")))
}

/// The numbers of the programs in the clsact filters of `eth0`.
fn filters(bench: &Bench) -> Vec<String> {
    let shown = told(&bench.run(bench.command("bpftool", &["net", "show"])));
    let clsact = shown.lines().filter(|line| line.contains("clsact"));
    clsact.filter_map(|line| Some(line.split(" id ").nth(1)?.trim().to_owned())).collect()
}
