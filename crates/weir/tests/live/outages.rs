//! A server that is stopped and started: what this host's kernel writes of it, as the programs count it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use collector::config::Mode;
use flows_common::{FlowCounters, FlowKey, TcpFlag};
use lab::{Family, Lab, Node};
use model::{LocalService, Outage, Outages};

use crate::support::{lab_or_skip, open_or_skip, scenario, watching};

const PORT: u16 = 8_443;
const PATIENCE: Duration = Duration::from_secs(5);
const CLIENTS: usize = 4;

fn enter<T: Send>(lab: &Lab, node: &Node, work: impl FnOnce() -> T + Send) -> T {
    lab.enter(node, work).expect("the member's namespace")
}

/// A connection on which a byte went each way; both of its ends.
fn converse(lab: &Lab, client: &Node, listener: &TcpListener) -> [TcpStream; 2] {
    let address = listener.local_addr().expect("bound");
    let mut own = enter(lab, client, move || TcpStream::connect_timeout(&address, PATIENCE))
        .expect("it is served");
    let (mut its, _) = listener.accept().expect("a connection");
    own.set_read_timeout(Some(PATIENCE)).expect("a socket");
    its.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut byte = [0];
    own.write_all(b"?").and_then(|()| its.read_exact(&mut byte)).expect("a request");
    its.write_all(b"!").and_then(|()| own.read_exact(&mut byte)).expect("an answer");
    [own, its]
}

#[test]
fn a_server_that_is_stopped_fails_its_clients_and_a_scan_beside_it_is_the_scanners() {
    let scenario = scenario(
        "name = \"outages\"\nduration = \"1m\"\ntopology = { clients = 4, attackers = 1 }\n",
    );
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let config = watching(&["eth0"], Mode::Observe).check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let address = SocketAddr::new(lab.host().address(Family::V4), PORT);
    let bind = || enter(&lab, lab.host(), move || TcpListener::bind(address)).expect("a listener");
    let clients = &lab.clients()[..CLIENTS];
    let attacker = &lab.attackers()[0];
    let mut outages = Outages::default();
    live.drain_once().expect("what came before");

    let listener = bind();
    let open: Vec<_> = clients.iter().map(|client| converse(&lab, client, &listener)).collect();
    thread::sleep(Duration::from_millis(100));
    let served = live.drain_once().expect("a window");
    let (rest, found) = outages.look(&served, &[]);
    assert_eq!((rest.flows.len(), found), (served.flows.len(), Vec::new()));

    // It is killed: what its clients still send meets RSTs, and so do their new connections.
    drop(listener);
    for [mut own, its] in open {
        own.write_all(b"?").expect("nothing tells yet");
        thread::sleep(Duration::from_millis(10));
        drop(its);
    }
    for client in clients {
        let refused = enter(&lab, client, move || TcpStream::connect_timeout(&address, PATIENCE));
        assert!(refused.is_err(), "{refused:?}");
    }
    enter(&lab, attacker, move || {
        for port in 9_000..9_100 {
            let closed = SocketAddr::new(address.ip(), port);
            let _ = TcpStream::connect_timeout(&closed, PATIENCE).expect_err("closed");
        }
        let _ = TcpStream::connect_timeout(&address, PATIENCE).expect_err("away");
    });
    thread::sleep(Duration::from_millis(100));
    let away = live.drain_once().expect("a window");
    let (rest, found) = outages.look(&away, &[]);
    let service = LocalService { protocol: 6, port: PORT };
    let [Outage { service: of, clients: met, flows, told: false }] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((of, met), (service, 1 + CLIENTS as u64), "the scanner met it too");
    assert!(flows > CLIENTS as u64, "{flows}: resets and refusals");
    let left: Vec<u16> = rest.flows.iter().map(|(key, _)| key.local_port).collect();
    let probes = (9_000..9_100).filter(|port| left.contains(port)).count();
    assert_eq!(probes, 100, "the scan is evidence");
    let was_reset = |(key, flow): &&(FlowKey, FlowCounters)| {
        key.local_port == PORT && flow.directions[1].flags[TcpFlag::Rst.index()] > 0
    };
    assert_eq!(rest.flows.iter().filter(was_reset).count(), 0, "no client is left with an RST");
    assert!(!rest.is_lossy());

    // It is back.
    let listener = bind();
    let again: Vec<_> = clients.iter().map(|client| converse(&lab, client, &listener)).collect();
    thread::sleep(Duration::from_millis(100));
    let back = live.drain_once().expect("a window");
    let (_, found) = outages.look(&back, &[]);
    assert_eq!(found, []);
    drop(again);
    lab.remove().expect("removed");
}
