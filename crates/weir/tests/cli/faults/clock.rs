//! Clocks that jump, a process that stands still, a time namespace.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{json, ready, wait_for, window};
use crate::support::{Bench, assert_one_line, told};

const DAY_S: i64 = 86_400;

/// A `clock_gettime` whose wall clock is as many seconds ahead as a file says.
const SHIM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, id, now);
    long ahead = 0;
    if (result == 0 && id == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("WEIR_TEST_CLOCK"), "r");
        if (file) { if (fscanf(file, "%ld", &ahead) != 1) ahead = 0; fclose(file); }
        now->tv_sec += ahead;
    }
    return result;
}
"#;

#[test]
fn a_wall_clock_that_jumps_moves_no_lease_and_ends_nothing_early() {
    let Some(bench) = Bench::new() else { return };
    let Some(compiler) = test_support::program("cc") else { return };
    let (shim, clock) = (bench.path("clock.so"), bench.path("clock"));
    let mut cc = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o", &shim, "-x", "c", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    cc.stdin.take().expect("its input").write_all(SHIM.as_bytes()).expect("it reads");
    assert!(cc.wait().expect("it ends").success());
    let set = |ahead_s: i64| fs::write(&clock, ahead_s.to_string()).expect("a clock");
    set(0);
    let mut weir = bench.enforcing(&[
        ("LD_PRELOAD", &shim),
        ("WEIR_TEST_CLOCK", &clock),
        ("WEIR__CAPTURE__WINDOW", "200ms"),
    ]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    told(&bench.output(&["allow", "add", "203.0.113.128/25", "--for", "10m"]));
    for ahead_s in [400 * DAY_S, -400 * DAY_S] {
        set(ahead_s);
        let before = window(&bench);
        // The upkeep looks at what people allowed every 5 s.
        wait_for("windows", || window(&bench) > before + 30);
        let status = json(&bench, &["status"]);
        let now = jiff::Timestamp::now().as_second() + ahead_s;
        let told_now: jiff::Timestamp = status["time"].as_str().unwrap().parse().expect("a time");
        assert!(told_now.as_second().abs_diff(now) < 60, "its clock did not jump: {told_now}");
        assert!((500_000..=600_000).contains(&left_ms(&bench)));
        assert!(told(&bench.output(&["allow", "list"])).contains("203.0.113.128/25"));
        assert_eq!(ready(&bench).0, 200);
    }
    assert_eq!(weir.terminate(), Some(0));
    // The next run reads a ledger of other times, and the kernel's leases count.
    set(0);
    let mut weir = bench.enforcing(&[]);
    assert!((500_000..=600_000).contains(&left_ms(&bench)));
    assert_eq!(weir.terminate(), Some(0));
}

/// What is left of the only block's lease.
fn left_ms(bench: &Bench) -> u64 {
    json(bench, &["blocks"])[0]["remaining_ms"].as_u64().expect("a lease")
}

#[test]
fn a_process_that_stood_still_makes_one_long_window_and_no_gap() {
    let Some(bench) = Bench::new() else { return };
    let events = bench.path("events.jsonl");
    let mut weir =
        bench.enforcing(&[("WEIR__EVENTS__PATH", &events), ("WEIR__CAPTURE__WINDOW", "200ms")]);
    wait_for("windows", || window(&bench) > 3);
    weir.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(3));
    weir.signal(Signal::SIGCONT);
    let before = window(&bench);
    wait_for("windows", || window(&bench) > before + 3);
    assert_eq!(weir.terminate(), Some(0));
    let written = fs::read_to_string(&events).expect("events");
    let windows: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["event"] == "window")
        .collect();
    let time = |one: &Value, key: &str| one[key].as_u64().expect("a time");
    for pair in windows.windows(2) {
        assert_eq!(time(&pair[0], "end_ns"), time(&pair[1], "start_ns"));
    }
    assert!(windows.iter().all(|one| one["imbalance"] == 0), "{written}");
    let long =
        windows.iter().filter(|one| time(one, "end_ns") - time(one, "start_ns") > 2_500_000_000);
    assert_eq!(long.count(), 1, "{written}");
}

#[test]
fn a_time_namespace_with_another_boot_clock_is_refused_by_name() {
    let Some(bench) = Bench::new() else { return };
    if test_support::program("unshare").is_none() {
        return;
    }
    let model = bench.model();
    let weir = env!("CARGO_BIN_EXE_weir");
    let words = ["--time", "--boottime", "86400", "--fork", weir, "run", "-i", "eth0"];
    let more = ["--model", &model, "--mode", "enforce"];
    let output = bench.run(bench.command("unshare", &[&words[..], &more].concat()));
    assert_one_line(&output, &["86400 s off the kernel's", "time namespace", "outside of it"]);
    bench.assert_nothing_is_left();
}
