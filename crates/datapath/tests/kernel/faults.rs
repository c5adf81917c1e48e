//! Faults of the kernel side, staged for real: what is lost is told apart, and nothing else is.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, Map, MapData};
use aya_obj::generated::bpf_map_type::{self, BPF_MAP_TYPE_LRU_HASH};
use flows_common::{FlowCounters, FlowKey, Scope};
use ipnet::IpNet;
use weir_datapath::{Block, BlockAction, Kernel, Target, XdpPreference, boot_ns};

use crate::support::{LOCAL, Wire, attached, host, small, udp_v4};

/// This process's maps of a type, with keys and values of these sizes, opened beside weir's own
/// descriptors.
fn maps(kind: bpf_map_type, key: usize, value: usize) -> Vec<MapData> {
    let files = fs::read_dir("/proc/self/fdinfo").expect("procfs");
    let ids = files.filter_map(|file| {
        let text = fs::read_to_string(file.ok()?.path()).ok()?;
        let fact = |name: &str| -> Option<usize> {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        let facts = ["map_type:", "key_size:", "value_size:"].map(fact);
        (facts == [Some(kind as usize), Some(key), Some(value)]).then(|| fact("map_id:")).flatten()
    });
    let ids: BTreeSet<usize> = ids.collect();
    let open = |id| MapData::from_id(u32::try_from(id).expect("an id")).expect("a map");
    ids.into_iter().map(open).collect()
}

fn flow_tables() -> Vec<HashMap<MapData, FlowKey, FlowCounters>> {
    let maps = maps(BPF_MAP_TYPE_LRU_HASH, size_of::<FlowKey>(), size_of::<FlowCounters>());
    let tables = maps.into_iter().map(|map| HashMap::try_from(Map::LruHashMap(map)));
    tables.collect::<Result<_, _>>().expect("flow tables")
}

fn keys(tables: &[HashMap<MapData, FlowKey, FlowCounters>]) -> Vec<FlowKey> {
    tables.iter().flat_map(|table| table.keys().filter_map(Result::ok)).collect()
}

#[test]
fn what_somebody_takes_out_of_a_table_is_no_eviction_and_makes_the_window_lossy() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Off).expect("attached");
        let mut tables = flow_tables();
        let network = wire.network_end();
        for last in 1..=10 {
            network.send_times(&udp_v4(host(last), LOCAL, [1_000, 53]), 3);
        }
        // A frame of its own tells that those before it have come.
        network.send(&udp_v4(host(99), LOCAL, [1_000, 53]));
        wait_for("the frames", || keys(&tables).len() == 11);
        let taken: Vec<FlowKey> =
            keys(&tables).into_iter().filter(|key| key.remote[15] <= 4).collect();
        for key in &taken {
            assert!(tables.iter_mut().any(|table| table.remove(key).is_ok()));
        }
        let window = kernel.drain(boot_ns()).expect("a window");
        assert_eq!((window.flows.len(), window.evicted_flows, window.evicted_packets), (7, 0, 0));
        assert_eq!((window.imbalance(), window.is_lossy()), (12, true));
        let next = kernel.drain(boot_ns()).expect("a window");
        assert_eq!((next.imbalance(), next.is_lossy()), (0, false));
    });
}

#[test]
fn peers_beyond_their_table_are_counted_as_evicted_and_every_packet_is_in_a_flow() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let options = weir_datapath::KernelOptions { peer_capacity: 512, ..small() };
        let (mut kernel, _) = attached(&options, XdpPreference::Off).expect("attached");
        let (_, peers) = kernel.capacity_per_cpu();
        let network = wire.network_end();
        let sent = 4 * u16::try_from(peers).expect("a small table");
        for number in 0..sent {
            let [high, low] = number.to_be_bytes();
            network.send(&udp_v4([198, 18, high, low], LOCAL, [1_000, 53]));
        }
        let (mut seen, mut evicted, mut listed) = (0, 0, 0);
        wait_for("the frames", || {
            let window = kernel.drain(boot_ns()).expect("a window");
            assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
            seen += window.packet_counters.frames[0];
            evicted += window.evicted_peers;
            listed += window.peers.len() as u64;
            seen == u64::from(sent)
        });
        assert!(evicted > u64::from(peers), "{evicted} of {sent}");
        // Two CPUs may have made an entry each of one peer.
        assert!(listed + evicted >= u64::from(sent), "{listed} + {evicted} of {sent}");
    });
}

#[test]
fn without_membarrier_each_packet_is_still_in_exactly_one_window() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Off).expect("attached");
        refuse_membarrier();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let (network, mut sent) = (wire.network_end(), 0_u64);
                while !done.load(Ordering::Relaxed) {
                    for port in 1..=100 {
                        network.send(&udp_v4(host(1), LOCAL, [port, 53]));
                    }
                    sent += 100;
                }
                sent
            });
            let (mut seen, mut in_flows) = (0, 0);
            let mut take = |kernel: &mut Kernel| {
                let window = kernel.drain(boot_ns()).expect("a window");
                assert_eq!((window.imbalance(), window.is_lossy()), (0, false), "{window:?}");
                seen += window.packet_counters.frames[0];
                in_flows += window.drained_packets();
                seen
            };
            for _ in 0..50 {
                take(&mut kernel);
            }
            done.store(true, Ordering::Relaxed);
            let sent = sender.join().expect("a sender");
            wait_for("the last frames", || take(&mut kernel) == sent);
            assert_eq!(in_flows, sent);
        });
    });
}

/// Has the kernel refuse membarrier(2) to this thread and those that it starts, as it does where
/// CPUs run without ticks (`nohz_full`).
fn refuse_membarrier() {
    let statement = |code: u32, k: u32, jt, jf| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt,
        jf,
        k,
    };
    let number = u32::try_from(libc::SYS_membarrier).expect("a system call");
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EINVAL.unsigned_abs();
    let mut filter = [
        // The number is the first word of `struct seccomp_data`.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, refuse, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program is alive and as long as said.
    let refused = unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program),
            0
        );
        libc::syscall(libc::SYS_membarrier, 1, 0, 0)
    };
    assert_eq!(refused, -1);
}

#[test]
fn every_prefix_is_read_once_while_others_come_and_go() {
    if !test_support::root() {
        return;
    }
    let kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let block = Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: boot_ns() + (1 << 40),
        reason: 7,
    };
    let prefix = |net: u8, number: u16| -> IpNet {
        format!("2001:db8:{net:x}:{number:x}::/64").parse().expect("a prefix")
    };
    // They are read in lots of 4,096: the first ends amid those that come and go.
    let standing = (0..4_000).map(|number| prefix(1, number));
    let standing: BTreeSet<IpNet> =
        standing.chain((0..2_000).map(|number| prefix(3, number))).collect();
    let mut bulk = blocklist.bulk(boot_ns(), 0);
    for &net in &standing {
        bulk.put(&Target::from(net), &block).expect("room");
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (done, blocklist, block) = (&done, &blocklist, &block);
        let churn = scope.spawn(move || {
            let some: Vec<Target> = (0..20).map(|number| prefix(2, number).into()).collect();
            let mut turns = 0_u64;
            while !done.load(Ordering::Relaxed) {
                for target in &some {
                    blocklist.insert(*target, block, boot_ns()).expect("room");
                }
                for target in &some {
                    assert!(blocklist.remove(target).expect("removed"), "{target} is not there");
                }
                turns += 1;
            }
            turns
        });
        let until = Instant::now() + Duration::from_secs(3);
        let (mut reads, mut twice, mut missed) = (0, 0, 0);
        while Instant::now() < until {
            let listed: Vec<IpNet> =
                blocklist.list().expect("a list").iter().map(|one| one.target.into()).collect();
            let distinct: BTreeSet<IpNet> = listed.iter().copied().collect();
            twice += listed.len() - distinct.len();
            missed += standing.difference(&distinct).count();
            reads += 1;
        }
        done.store(true, Ordering::Relaxed);
        let turns = churn.join().expect("a writer");
        assert_eq!((twice, missed), (0, 0), "{reads} reads during {turns} turns");
        assert!(reads > 10 && turns > 1, "{reads} reads during {turns} turns");
    });
}

#[track_caller]
fn wait_for(what: &str, mut come_about: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !come_about() {
        assert!(Instant::now() < until, "no {what}");
        std::thread::yield_now();
    }
}
