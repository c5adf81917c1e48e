//! Attackers who have read weir's source, one after the other against the real kernel: each meets an
//! answer in the kernel's tables, and none of them takes anything away from anybody else.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::support::{Watch, lab_or_skip, open_or_skip, scenario, wait_for, watching};
use collector::config::Mode;
use datapath::{Blocklist, Service, Target};
use flows_common::{Direction, Scope, parse::TCP};
use ipnet::IpNet;
use lab::{Family, Lab};

const WINDOW: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(40);
/// Whose address is forged: it does nothing but hold sessions.
const FORGED_CLIENT: usize = 0;
const SCENARIO: &str = r#"
name = "adversaries"
duration = "10m"
topology = { clients = 4, attackers = 7 }
benign = [
    { does = { kind = "interactive", pause = "200ms" }, clients = [0, 1] },
    { does = { kind = "web", port = 80, pause = "300ms" }, clients = [1, 2, 3] },
    { does = { kind = "web", port = 443, pause = "500ms" }, clients = [2, 3] },
    { does = { kind = "dns", pause = "500ms" }, clients = [1, 2, 3] },
]
attack = [
    { name = "syn-ack-first", does = { kind = "syn_scan", ports = [1, 4096], rate = 200, guise = "syn_ack_first" }, attacker = 0, duration = "1m" },
    { name = "forged-client", does = { kind = "syn_scan", ports = [1, 4096], rate = 200, guise = "client" }, attacker = 1, duration = "1m" },
    { name = "one-port", does = { kind = "syn_flood", port = 80, rate = 800, source_port = 20 }, attacker = 2, duration = "1m" },
    { name = "decoys", does = { kind = "syn_scan", ports = [1, 4096], rate = 80, guise = "decoys" }, attacker = 3, duration = "1m" },
    { name = "guesser", does = { kind = "ssh_brute_force", rate = 10 }, attacker = 4, duration = "1m" },
    { name = "ramp", does = { kind = "spoofed_syn_flood", port = 443, rate = 4000, ramp = "3s" }, attacker = 5, duration = "1m" },
    { name = "one-64", does = { kind = "syn_scan", ports = [1, 4096], rate = 200, guise = "network" }, attacker = 6, family = "v6", duration = "1m" },
]
"#;

/// The kernel's answers so far: packets that it dropped, of blocked sources and at limited services.
fn answered(blocklist: &Blocklist) -> u64 {
    blocklist.guard_counters(Direction::Ingress).expect("a ledger").dropped
}

/// The entry that acts on an address: its own, or its /64's.
fn scope_of(blocklist: &Blocklist, address: IpAddr) -> Option<Scope> {
    let mut targets = vec![Target::address(address)];
    if address.is_ipv6() {
        targets.push(Target::Prefix(IpNet::new(address, 64).expect("a length").trunc()));
    }
    let entries = targets.iter().filter_map(|one| blocklist.get(one).expect("a look"));
    entries.map(|entry| Scope::from_code(entry.scope)).max()
}

/// A connection of an attacker to the host's log-in service, on which nothing is done.
fn hold(lab: &Lab, attacker: usize) -> TcpStream {
    let address = (lab.host().address(Family::V4), 22);
    let connect = move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.read_exact(&mut [0; 4])?;
        Ok::<_, std::io::Error>(stream)
    };
    lab.enter(&lab.attackers()[attacker], connect).expect("a namespace").expect("a greeting")
}

#[test]
fn whoever_has_read_the_source_is_answered_and_takes_nothing_from_anybody_else() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.capture.window = WINDOW;
    let config = raw.check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let benign = lab.start_benign(&scenario).expect("clients");
    // From where the guesser sits somebody is logged in.
    let guesser = lab.attackers()[4].address(Family::V4);
    let watch = Watch::begin(&lab, &live, WINDOW, &[guesser]);
    let blocklist = live.blocklist();
    let mut idle = hold(&lab, 4);
    for attack in &scenario.attacks {
        let before = answered(blocklist);
        let begun = Instant::now();
        let running = lab.start_attack(attack).expect("an attack");
        wait_for(&format!("answer to {}", attack.name), PATIENCE, || {
            (answered(blocklist) > before + 20).then_some(())
        });
        println!("{}: answered after {:?}", attack.name, begun.elapsed());
        watch.pass(6);
        running.finish().expect("the attack's truth");
        watch.pass(2);
    }
    let told = watch.record.told();
    assert!(told.notices.is_empty(), "the breaker stays closed: {:?}", told.notices);
    assert!(told.failures.is_empty(), "{:?}", told.failures);
    let flooder = scope_of(blocklist, lab.attackers()[2].address(Family::V4));
    assert!(flooder.is_some(), "who floods from one port is not blocked");
    // He is logged in: what stands goes on, and what he opens besides does not.
    assert_eq!(scope_of(blocklist, guesser), Some(Scope::Unproven));
    idle.write_all(b"SSH-2.0-lab_1.0\r\n").expect("the idle connection stands");
    for client in lab.clients() {
        for family in [Family::V4, Family::V6] {
            let scope = scope_of(blocklist, client.address(family));
            assert!(scope.is_none_or(|scope| scope == Scope::Unproven), "{client:?}: {scope:?}");
        }
    }
    for port in [0, 443] {
        let limit = blocklist.service(Service { protocol: TCP, port }).expect("a look");
        assert!(limit.is_some(), "port {port} is not limited");
    }
    drop(told);
    watch.pipeline.stop().expect("the last window is drained");
    let clients = benign.finish().expect("clients");
    let forged = &clients[FORGED_CLIENT].total;
    assert!(forged.attempted > 50 && forged.failed == 0, "who was forged: {forged:?}");
    for client in &clients {
        assert_eq!(client.total.failed, 0, "{client:?}");
    }
    drop(idle);
    drop(live);
    lab.remove().expect("the lab is gone");
}
