//! The loaded program and the host build of the same code, fed the same frames.

use std::fmt::{Debug, Write as _};

use flows_common::{ClockSource, Direction, PacketCounters, Window, parse};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use replay::{HomeNet, Tables};
use weir_datapath::{Kernel, KernelOptions, SkbContext, boot_ns};

/// `TC_ACT_UNSPEC`, by which a program passes the packet on.
const NEXT: u32 = u32::MAX;

/// The interface that a test run takes for the packet's.
const LOOPBACK: u32 = 1;

/// Room on one CPU for the largest capture, of 37,000 flows, so that neither side evicts.
const CAPACITY: u32 = 1 << 17;

/// Both worlds, and what they were fed.
pub(crate) struct Both {
    kernel: Kernel,
    host: Host,
    lengths: std::ops::RangeInclusive<usize>,
    compared: usize,
    packet_counters: PacketCounters,
}

/// The host build on its own.
pub(crate) struct Host {
    tables: Tables,
    home: HomeNet,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { tables: Tables::new(CAPACITY as usize), home: HomeNet::default() }
    }

    /// Counts a frame once `permit` has seen it and its direction, and has agreed.
    pub(crate) fn count_if(
        &mut self,
        bytes: &[u8],
        context: &SkbContext,
        permit: impl FnOnce(Direction) -> bool,
    ) -> bool {
        let shape = parse::Frame {
            length: u32::try_from(bytes.len()).expect("a frame is short"),
            gso_segs: context.gso_segs,
            gso_size: context.gso_size,
            tag: None,
            link: context.link,
        };
        let parsed = parse::parse(bytes, &shape);
        let direction = match &parsed {
            Ok(packet) => self.home.direction(packet, None),
            Err(_) => Direction::ALL[bytes.len() % 2],
        };
        let permitted = permit(direction);
        if permitted {
            self.tables.count(&shape, &parsed, direction, LOOPBACK, context.tstamp_ns);
        }
        permitted
    }

    /// Window counted so far, sorted by key; counting starts anew.
    pub(crate) fn take(&mut self) -> Window {
        self.tables.take(0, 0)
    }
}

/// Outcome of feeding a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// Both counted it.
    Whole,
    /// Both counted as much of it as a test run takes.
    Cut,
    /// A test run does not take it: below 14 bytes, or (Linux 6.18) ending within the IP header
    /// that its `EtherType` announces. Behind a VLAN tag it does.
    Refused,
}

impl Both {
    /// Loads the programs, with the frame's own time for a clock, and keeps this thread on one
    /// CPU: each CPU has tables of its own.
    pub(crate) fn load() -> Self {
        let mut cpu = CpuSet::new();
        cpu.set(0).expect("there is a first CPU");
        sched_setaffinity(Pid::from_raw(0), &cpu).expect("a thread may choose its CPU");
        let options = KernelOptions {
            flow_capacity: CAPACITY,
            peer_capacity: CAPACITY,
            clock: ClockSource::SkbTimestamp,
            ..KernelOptions::default()
        };
        let mut kernel = Kernel::load(&options).expect("the programs load");
        let lengths = accepted_lengths(&mut kernel);
        let mut both = Self {
            kernel,
            host: Host::new(),
            lengths,
            compared: 0,
            packet_counters: PacketCounters::default(),
        };
        both.drain();
        both
    }

    /// The lengths that a test run takes.
    pub(crate) fn lengths(&self) -> std::ops::RangeInclusive<usize> {
        self.lengths.clone()
    }

    /// Keys compared so far.
    pub(crate) fn compared(&self) -> usize {
        self.compared
    }

    /// Kernel counters, summed over all that was compared.
    pub(crate) fn ledger(&self) -> &PacketCounters {
        &self.packet_counters
    }

    /// Feeds a frame to both.
    pub(crate) fn feed(&mut self, bytes: &[u8], time_ns: u64) -> Fed {
        self.feed_as(bytes, &SkbContext { tstamp_ns: time_ns, ..SkbContext::default() })
    }

    /// Feeds a frame with what the kernel is to believe of it.
    pub(crate) fn feed_as(&mut self, bytes: &[u8], context: &SkbContext) -> Fed {
        if bytes.len() < *self.lengths.start() {
            return Fed::Refused;
        }
        let taken = &bytes[..bytes.len().min(*self.lengths.end())];
        let Self { kernel, host, .. } = self;
        let counted = host.count_if(taken, context, |direction| {
            match kernel.test_run_tc(direction, taken, context, 1) {
                Ok(run) => {
                    assert_eq!(run.returned, NEXT, "a packet is always passed on: {taken:02x?}");
                    true
                }
                Err(_) if ends_within_ip_header(taken) => false,
                Err(error) => panic!("{error}: {context:?} {taken:02x?}"),
            }
        });
        if !counted {
            return Fed::Refused;
        }
        if taken.len() == bytes.len() { Fed::Whole } else { Fed::Cut }
    }

    /// Drains both and lists where they differ: `what`, key, field.
    pub(crate) fn differences(&mut self, what: &str) -> Vec<String> {
        let (kernel, host) = self.drain();
        assert_eq!(kernel.evicted_flows, 0, "{what}: the tables are large enough");
        self.compared += kernel.flows.len() + kernel.peers.len();
        self.packet_counters.add(&kernel.packet_counters);
        let mut found = Vec::new();
        if kernel.imbalance() != 0 {
            found.push(format!("{what}: {} packets unaccounted for", kernel.imbalance()));
        }
        compare(what, &kernel.flows, &host.flows, &mut found);
        compare(what, &kernel.peers, &host.peers, &mut found);
        compare(
            what,
            &[("ledger", kernel.packet_counters)],
            &[("ledger", host.packet_counters)],
            &mut found,
        );
        found
    }

    fn drain(&mut self) -> (Window, Window) {
        let mut kernel = self.kernel.drain(boot_ns()).expect("the tables drain");
        kernel.flows.sort_unstable_by_key(|(key, _)| *key);
        kernel.peers.sort_unstable_by_key(|(key, _)| *key);
        (kernel, self.host.take())
    }
}

fn ends_within_ip_header(bytes: &[u8]) -> bool {
    match bytes.get(12..14) {
        Some([0x08, 0x00]) => bytes.len() < 14 + 20,
        Some([0x86, 0xdd]) => bytes.len() < 14 + 40,
        _ => false,
    }
}

/// Lists what two sorted tables do not have in common.
fn compare<K, V>(what: &str, kernel: &[(K, V)], host: &[(K, V)], found: &mut Vec<String>)
where
    K: Ord + Debug,
    V: Eq + Debug,
{
    let (mut kernel, mut host) = (kernel.iter().peekable(), host.iter().peekable());
    loop {
        let order = match (kernel.peek(), host.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let kernels = if order.is_le() { kernel.next() } else { None };
        let hosts = if order.is_ge() { host.next() } else { None };
        match (kernels, hosts) {
            (Some((key, one)), Some((_, other))) if one != other => {
                found.push(format!("{what}: {key:?}:{}", fields(one, other)));
            }
            (Some((key, _)), None) => found.push(format!("{what}: only in the kernel: {key:?}")),
            (None, Some((key, _))) => found.push(format!("{what}: only on the host: {key:?}")),
            _ => {}
        }
    }
}

/// The fields in which two values differ, with both values.
fn fields<V: Debug>(kernel: &V, host: &V) -> String {
    let (kernel, host) = (format!("{kernel:#?}"), format!("{host:#?}"));
    let mut differing = String::new();
    for (one, other) in kernel.lines().zip(host.lines()).filter(|(one, other)| one != other) {
        write!(differing, " [kernel {} host {}]", one.trim(), other.trim())
            .expect("a string takes all");
    }
    differing
}

/// Finds the shortest and the longest frame that a test run takes: both depend on the kernel.
fn accepted_lengths(kernel: &mut Kernel) -> std::ops::RangeInclusive<usize> {
    let mut accepts = |length: usize| {
        let context = SkbContext::default();
        kernel.test_run_tc(Direction::Ingress, &vec![0; length], &context, 1).is_ok()
    };
    let shortest = (1..64).find(|&length| accepts(length)).expect("a test run takes a short frame");
    let (mut taken, mut refused) = (shortest, 1 << 16);
    while refused - taken > 1 {
        let middle = taken.midpoint(refused);
        if accepts(middle) {
            taken = middle;
        } else {
            refused = middle;
        }
    }
    shortest..=taken
}
