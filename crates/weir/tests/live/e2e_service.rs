//! A flood of SYNs from forged addresses against one service: its limit keeps the flood off the
//! host, who is known keeps full service, and no address is blocked.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::support::{lab_or_skip, open_or_skip, scenario, wait_for, watching};
use collector::{clock::boot_ns, config::Mode};
use datapath::{Blocklist, RateLimit, Service, ServiceLimit};
use flows_common::{Action, Direction, parse::TCP};
use lab::{Family, Lab, LabError, Node, Stop};
use model::Window;

const PATIENCE: Duration = Duration::from_mins(1);
const PORT: u16 = 8_080;
const SERVICE: Service = Service { protocol: TCP, port: PORT };
const SCENARIO: &str = r#"
name = "service"
duration = "5m"
topology = { clients = 3, attackers = 1 }
benign = [{ does = { kind = "dns", pause = "1s" } }]
attack = [
    { name = "forged", does = { kind = "spoofed_syn_flood", port = 8080, rate = 2000 }, family = "v6", duration = "4m" },
]
"#;
const RATE: RateLimit = RateLimit { packets_per_second: 50, burst_packets: 100 };
/// Longer than the slowest machine takes for what happens under the limit.
const LEASE: Duration = Duration::from_mins(2);
/// Rest of the lease when all of that has happened.
const REST_OF_THE_LEASE: Duration = Duration::from_secs(1);
/// Longest wait of a known client for an answer: less than the second after which TCP retransmits a
/// lost SYN (RFC 6298).
const PROMPT: Duration = Duration::from_millis(900);

#[test]
fn a_limited_service_serves_who_is_known_through_a_forged_flood() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let config = watching(&["eth0"], Mode::Enforce).check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let blocklist = live.blocklist().clone();
    let stop = Stop::new();
    let server = serve(&lab, &stop);
    let address = SocketAddr::new(lab.host().address(Family::V6), PORT);
    let [talker, caller, stranger] = [0, 1, 2].map(|index| &lab.clients()[index]);

    // Before the flood: one client holds a connection, one has had one.
    let mut held = enter(&lab, talker, move || Conversation::open(address)).expect("connected");
    enter(&lab, caller, move || Conversation::open(address)?.say()).expect("an exchange");
    let known =
        |node: &Node| blocklist.is_known(node.address(Family::V6), boot_ns()).expect("a look");
    // A handshake is enough: nothing was said on the held connection yet.
    for client in [caller, talker] {
        wait_for("peer that the kernel knows", PATIENCE, || known(client).then_some(()));
    }
    assert!(!known(stranger));

    let flood = lab.start_attack(scenario.attack("forged").expect("it is there")).expect("a flood");
    live.drain_once().expect("a window");
    let started = Instant::now();
    let limit_for = |lease: Duration| {
        let lease = u64::try_from(lease.as_nanos()).expect("seconds");
        let limit = ServiceLimit {
            rate: RATE,
            action: Action::RateLimit,
            expires_ns: boot_ns() + lease,
            reason: 1,
        };
        blocklist.limit_service(SERVICE, &limit, boot_ns()).expect("a limit");
        limit.expires_ns
    };
    let expires_ns = limit_for(LEASE);
    // What came in before the limit was there is counted now.
    live.drain_once().expect("a window");

    let (talks, calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let limited =
        || blocklist.guard_counters(Direction::Ingress).expect("a ledger").service_limited;
    // Until both were served often beside a flood, and for as long as it takes.
    let goes_on = || {
        let (talks, calls) = (talks.load(Ordering::Relaxed), calls.load(Ordering::Relaxed));
        let enough = talks > 50 && calls > 10 && limited() > 2_000;
        boot_ns() < expires_ns && !(enough && started.elapsed() >= Duration::from_secs(4))
    };
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| {
            while goes_on() {
                held.say().expect("the established client is served");
                talks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        while goes_on() {
            enter(&lab, caller, move || Conversation::open(address)?.say())
                .expect("the known client's new connection is served");
            calls.fetch_add(1, Ordering::Relaxed);
        }
        talking.join().expect("no failure");
    });
    let window = live.drain_once().expect("a window");
    let seconds = started.elapsed().as_secs() + 1;
    assert!(boot_ns() < expires_ns, "not within the lease");
    let (syns, sources) = forged(&window);
    let ledger = blocklist.guard_counters(Direction::Ingress).expect("a ledger");
    println!(
        "{seconds} s: {} exchanges, {} connections; {} SYNs dropped, {syns} from {sources} sources \
         reached the host; {ledger:?}",
        talks.load(Ordering::Relaxed),
        calls.load(Ordering::Relaxed),
        ledger.service_limited,
    );
    let within = u64::from(RATE.packets_per_second) * seconds + u64::from(RATE.burst_packets);
    assert!(syns <= within, "{syns} SYNs reached the host, {within} are allowed");
    assert!(syns >= u64::from(RATE.burst_packets), "strangers get their share: {syns}");
    assert!(known(talker), "its connection proved its address");
    assert_no_block(&blocklist);

    // After the lease everything passes, the flood included, and a stranger is served.
    let until_ns = limit_for(REST_OF_THE_LEASE);
    wait_for("end of the lease", PATIENCE, || (boot_ns() > until_ns).then_some(()));
    let at_the_end = limited();
    live.drain_once().expect("a window");
    wait_for("stranger that is served", PATIENCE, || {
        enter(&lab, stranger, move || Conversation::open(address)?.say()).ok()
    });
    let mut through = 0;
    wait_for("flood that passes", PATIENCE, || {
        through += forged(&live.drain_once().expect("a window")).0;
        (through > 3 * u64::from(RATE.packets_per_second)).then_some(())
    });
    assert_eq!(limited(), at_the_end);
    assert_no_block(&blocklist);
    let expired = blocklist.expire_services(boot_ns()).expect("a sweep");
    assert_eq!(expired.len(), 1);

    flood.finish().expect("the flood's truth");
    stop.stop();
    server.join().expect("the server's thread").expect("the host's namespace");
    drop(held);
    drop(live);
    lab.remove().expect("the lab is gone");
}

fn assert_no_block(blocklist: &Blocklist) {
    assert_eq!(blocklist.list().expect("a list"), [], "an address is blocked");
}

/// Packets of the forged range that reached the flow programs, and their sources.
fn forged(window: &Window) -> (u64, usize) {
    let of_the_flood = window.flows.iter().filter(|(key, _)| {
        key.local_port == PORT && Ipv6Addr::from_octets(key.remote).segments()[2] == 2
    });
    of_the_flood.fold((0, 0), |(packets, sources), (_, flow)| {
        (packets + flow.directions[0].packets, sources + 1)
    })
}

/// Runs `work` in a member's namespace.
fn enter<T: Send>(lab: &Lab, node: &Node, work: impl FnOnce() -> T + Send) -> T {
    lab.enter(node, work).expect("the member's namespace")
}

/// A client's connection.
struct Conversation(TcpStream);

impl Conversation {
    fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PROMPT)?;
        stream.set_read_timeout(Some(PROMPT))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Says a word and waits for its echo.
    fn say(&mut self) -> std::io::Result<()> {
        self.0.write_all(b"word")?;
        self.0.read_exact(&mut [0; 4])
    }
}

/// Echoes what clients say, on a port of the host, until it is stopped.
fn serve(lab: &Lab, stop: &Stop) -> JoinHandle<Result<(), LabError>> {
    let stop = stop.clone();
    let listener = lab
        .enter(lab.host(), || TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), PORT)))
        .expect("the host's namespace")
        .expect("a free port");
    listener.set_nonblocking(true).expect("a mode");
    let listener = Arc::new(listener);
    lab.spawn(lab.host(), "service", move || {
        while !stop.is_stopped() {
            match listener.accept() {
                Ok((client, _)) => {
                    // It ends with its client.
                    std::thread::spawn(move || echo(client));
                }
                Err(_) => {
                    let _ = stop.wait(Duration::from_millis(2));
                }
            }
        }
    })
    .expect("a thread")
}

fn echo(mut client: TcpStream) {
    let _ = client.set_nonblocking(false);
    let _ = client.set_nodelay(true);
    let mut word = [0; 4];
    while client.read_exact(&mut word).is_ok() && client.write_all(&word).is_ok() {}
}
