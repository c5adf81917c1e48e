//! Bad input: one line that names it and its remedy, the exit code as documented, nothing left.

use std::fs;

use datapath::{AttachOptions, InterfaceName, Kernel, KernelOptions, XdpPreference, leftovers};
use model::{Kind, schema};

use crate::support::{Bench, assert_one_line, told, truncate};

/// A kernel side of another owner, small.
fn another() -> KernelOptions {
    KernelOptions {
        flow_capacity: 64,
        peer_capacity: 64,
        block_capacity: 16,
        stats_slots: 4,
        ..KernelOptions::default()
    }
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let output = bench.output(&["run", "-i", "weir-none", "--model", &model]);
    bench.assert_refuses(&output, &["no interface `weir-none`", "ip -brief link"]);
    let output = bench.output(&["run", "-i", "weir-n*", "--model", &model, "--mode", "enforce"]);
    bench.assert_refuses(&output, &["no interface matches `weir-n*`", "ip -brief link"]);
    let output = bench.output(&["run", "--model", &model]);
    bench.assert_refuses(&output, &["`capture.interfaces` is not set", "--interface"]);
}

#[test]
fn a_model_that_is_missing_corrupt_or_cut_is_named() {
    let Some(bench) = Bench::new() else { return };
    let run = |model: &str| bench.output(&["run", "-i", "eth0", "--model", model]);
    let absent = bench.path("absent.weir");
    bench.assert_refuses(&run(&absent), &[&absent, "No such file"]);

    let path = bench.model();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    bench.assert_refuses(&run(&path), &[&path]);
    truncate(&path, middle as u64);
    bench.assert_refuses(&run(&path), &[&path]);
    truncate(&path, 0);
    bench.assert_refuses(&run(&path), &[&path]);
}

#[test]
fn a_model_of_another_schema_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let mut other = schema::schema_id(Kind::Peer);
    other.hash = "0123456789abcdef".to_owned();
    let path = bench.save_model("other.weir", other);
    let output = bench.output(&["run", "-i", "eth0", "--model", &path]);
    bench.assert_refuses(&output, &[&path, "0123456789ab", "train again"]);
}

#[test]
fn a_configuration_that_does_not_hold_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let run =
        |more: &[&str]| bench.output(&[&["run", "-i", "eth0", "--model", &model], more].concat());
    let file = bench.path("weir.toml");
    fs::write(&file, "[polcy]\nmode = \"shadow\"\n").unwrap();
    bench.assert_refuses(&run(&["--config", &file]), &["polcy", "weir config show"]);
    let absent = bench.path("absent.toml");
    bench.assert_refuses(&run(&["--config", &absent]), &[&absent, "--config"]);
    bench.assert_refuses(
        &run(&["--window", "50ms"]),
        &["`capture.window` must be between 100ms and 1m, got 50ms"],
    );
    for wrong in [["--window", "soon"], ["--mode", "block"], ["--allow", "192.0.2.300"]] {
        let output = run(&wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(wrong[1]));
    }
    bench.assert_nothing_is_left();
}

#[test]
fn a_full_disk_is_told_and_ends_nothing() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let run = |events: &str| {
        bench.output(&[
            "run", "-i", "eth0", "--model", &model, "--for", "2500ms", "--events", events,
        ])
    };
    let output = run("/dev/full");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(error.matches("events file `/dev/full`").count(), 1, "{error}");
    assert!(error.contains("free space") && error.contains("takes no events"), "{error}");
    bench.assert_nothing_is_left();

    let nowhere = bench.path("none/events.jsonl");
    bench.assert_refuses(&run(&nowhere), &[&nowhere, "name another with --events"]);
}

#[test]
fn a_missing_capability_is_named() {
    let Some(bench) = Bench::new() else { return };
    if test_support::program("setpriv").is_none() {
        return;
    }
    let model = bench.model();
    let weir = env!("CARGO_BIN_EXE_weir");
    let without = ["--bounding-set=-all", "--inh-caps=-all", weir];
    for words in [
        &["run", "-i", "eth0", "--model", &model][..],
        &["run", "-i", "eth0", "--model", &model, "--mode", "enforce"],
        &["learn", "-i", "eth0", "--for", "1s"],
        &["blocks"],
        &["unblock", "192.0.2.77"],
    ] {
        let command = bench.command("setpriv", &[&without, words].concat());
        let output = bench.run(command);
        bench.assert_refuses(&output, &["missing CAP_BPF, CAP_NET_ADMIN", "run as root"]);
    }
    let output = bench.run(bench.command("setpriv", &[&without[..], &["doctor"]].concat()));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("missing  capabilities"), "{text}");
}

#[test]
fn beside_another_xdp_program_the_guard_sits_at_tc_ingress_or_the_start_fails() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let other = bench
        .lab
        .enter(bench.lab.host(), || {
            let mut kernel = Kernel::load(&another())?;
            let options = AttachOptions { xdp: XdpPreference::Native, ..AttachOptions::default() };
            kernel.attach(&InterfaceName::new("eth0")?, options)?;
            Ok::<_, datapath::KernelError>(kernel)
        })
        .unwrap()
        .expect("another XDP program");
    let before = bench.attached();
    let run = |xdp: &str| {
        bench.output(&[
            "run", "-i", "eth0", "--model", &model, "--mode", "enforce", "--xdp", xdp, "--for",
            "500ms",
        ])
    };
    let refused = run("native");
    assert_one_line(&refused, &["another XDP program owns `eth0`", "ip link set eth0 xdp off"]);
    assert_eq!(bench.attached(), before);

    let text = told(&run("auto"));
    let expected = "eth0: enforce, flows at TCX, guard at TC ingress, for another XDP program owns";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("0 blocks stay in force on eth0"), "{text}");
    // Its guard alone stays, in a pinned link, as one at XDP would.
    let mut after = bench.attached();
    after.retain(|one| !before.contains(one));
    assert_eq!(after, ["eth0 tc_guard"]);
    drop(other);
    assert_eq!(told(&bench.output(&["detach"])).lines().count(), 1);
    bench.assert_nothing_is_left();
}

#[test]
fn without_a_bpf_filesystem_blocks_cannot_persist_and_observing_works() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let plain = bench.path("plain");
    fs::create_dir(&plain).unwrap();
    let run = |words: &[&str]| {
        let start = ["run", "-i", "eth0", "--model", &model, "--for", "500ms"];
        let mut command = bench.weir(&[&start, words].concat());
        command.env("WEIR__GUARD__BPFFS", &plain);
        command
    };
    let output = bench.run(run(&["--mode", "enforce"]));
    let remedies = [&format!("mount -t bpf bpf -o mode=0700 {plain}"), "`guard.persist = false`"];
    bench.assert_refuses(&output, &remedies);
    assert!(leftovers(plain.as_ref()).unwrap().pins.is_empty());

    assert!(told(&bench.run(run(&["--mode", "observe"]))).contains("eth0: observe"));
    let mut command = run(&["--mode", "enforce"]);
    command.env("WEIR__GUARD__PERSIST", "false");
    assert!(told(&bench.run(command)).contains("guard at XDP (native"));
    bench.assert_nothing_is_left();
}
