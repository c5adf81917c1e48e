//! `weir run` as a service: what systemd is told, and how little it needs.

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::unistd::{Uid, chown};

use crate::support::Bench;

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/systemd");
/// A user without a right of its own; nobody has to have an entry for it.
const USER: u32 = 64_999;

#[test]
fn the_service_manager_is_told_that_it_is_ready_alive_and_stopping() {
    let Some(bench) = Bench::new() else { return };
    let manager = UnixDatagram::bind(bench.path("notify")).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let hear = |wanted: &str| -> String {
        let until = Instant::now() + Duration::from_secs(30);
        let mut heard = Vec::new();
        while Instant::now() < until {
            let mut word = [0; 4_096];
            let Ok(length) = manager.recv(&mut word) else { continue };
            let word = String::from_utf8_lossy(&word[..length]).into_owned();
            if word.contains(wanted) {
                return word;
            }
            heard.push(word);
        }
        panic!("{wanted} is not in {heard:?}");
    };
    let notify = bench.path("notify");
    let environment = [("NOTIFY_SOCKET", notify.as_str()), ("WEIR__CAPTURE__WINDOW", "200ms")];
    let mut weir = bench.enforcing(&environment);
    let ready = hear("READY=1\n");
    assert!(ready.contains("STATUS=eth0: enforce, flows at "), "{ready}");
    hear("WATCHDOG=1");
    assert_eq!(weir.terminate(), Some(0));
    hear("STOPPING=1");
}

#[test]
fn three_capabilities_are_enough_for_a_user_without_rights() {
    let Some(setpriv) = test_support::program("setpriv") else { return };
    let Some(bench) = Bench::new() else { return };
    for folder in [bench.folder.path(), Path::new(&bench.bpffs)] {
        chown(folder, Some(Uid::from_raw(USER)), None).expect("root may");
    }
    let weir = bench.path("weir");
    std::fs::copy(env!("CARGO_BIN_EXE_weir"), &weir).expect("a copy that everybody may run");
    let user = USER.to_string();
    let capabilities = "-all,+bpf,+net_admin,+perfmon";
    let mut words = vec!["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"];
    for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
        words.extend([set, capabilities]);
    }
    words.extend([&*weir, "run", "-i", "eth0", "--mode", "enforce"]);
    let mut running = bench.spawn(bench.command(setpriv.to_str().unwrap(), &words));
    running.line("eth0: enforce, flows at ");
    running.line("no model: ");
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn the_units_leave_little_to_attack() {
    let Some(analyze) = test_support::program("systemd-analyze") else { return };
    for unit in ["weir.service", "weir-forward.service"] {
        let unit = format!("{UNITS}/{unit}");
        let words = ["security", "--offline=yes", "--threshold=20", "--no-pager", &unit];
        let ran = Command::new(&analyze).args(words).output().expect("it starts");
        let said = String::from_utf8_lossy(&ran.stdout);
        let last = said.lines().last().unwrap_or_default();
        assert!(ran.status.success(), "{unit} is above 2.0: {last}");
    }
}
