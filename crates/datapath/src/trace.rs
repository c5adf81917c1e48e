//! Packets followed through the kernel while somebody asks: what came, what left, and what the kernel
//! dropped and why.
//!
//! ```text
//! Trace::start(filter) ─► (packets go by) ─► read ─► Traced
//! ```
//!
//! Three programs at tracepoints count in the kernel; no event goes to user space. They are attached
//! while a [`Trace`] lives, and end with the process whatever becomes of it. Linux 5.17, with BTF.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    Ebpf, Pod,
    maps::{Map, MapData, PerCpuArray, PerCpuHashMap},
    programs::RawTracePoint,
};
use flows_common::{
    TraceCounters, TraceEnd, TraceKey, TraceLayout, TraceLedger, TracePoint, TraceSettings, map_v4,
    parse::{TCP, UDP},
};
use ipnet::IpNet;

use super::{
    error::KernelError,
    netns,
    object::{self, TRACE_PROGRAMS},
    probe,
    target::Target,
    types::{PATH, Types},
};

/// Keys that are told apart: flows of what is asked after, times the reasons of drops.
const KEY_CAPACITY: u32 = 8_192;
/// Reasons that are told apart; Linux 6.18 has about 120, and its subsystems some of their own.
const REASON_CAPACITY: u32 = 512;

/// What is followed: both ways between two ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Both ends, each of which may be any.
    pub ends: [TraceEndpoint; 2],
    /// The IP protocol.
    pub protocol: Option<u8>,
}

/// One end of what is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceEndpoint {
    /// Its addresses.
    pub net: Option<IpNet>,
    /// Its port.
    pub port: Option<u16>,
}

impl TraceFilter {
    /// No flow: what the kernel drops is counted by its reasons alone.
    #[must_use]
    pub fn of_nobody() -> Self {
        let nobody = TraceEndpoint { net: "::/128".parse().ok(), port: None };
        Self { ends: [nobody; 2], protocol: None }
    }
}

impl TraceEndpoint {
    fn end(self) -> TraceEnd {
        let Some(net) = self.net else {
            return TraceEnd { port: self.port.unwrap_or(0).into(), ..TraceEnd::default() };
        };
        let key = Target::prefix_key(net);
        let bits = u128::MAX.checked_shl(128 - key.length).unwrap_or(0).to_be_bytes();
        TraceEnd {
            address: words(key.address),
            mask: words(bits),
            port: self.port.unwrap_or(0).into(),
        }
    }

    /// True where an address and a port are of this end.
    #[must_use]
    pub fn is(&self, address: IpAddr, port: u16) -> bool {
        let bytes = match address.to_canonical() {
            IpAddr::V4(v4) => map_v4(v4.octets()),
            IpAddr::V6(v6) => v6.octets(),
        };
        self.end().is(words(bytes), port)
    }
}

/// The 16-byte form as two words in the order of memory.
fn words(address: [u8; 16]) -> [u64; 2] {
    let (first, second) = address.split_at(8);
    [first, second].map(|half| u64::from_ne_bytes(half.try_into().unwrap_or_default()))
}

/// A reason of the kernel's to drop a packet (`enum skb_drop_reason`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropReason {
    /// Its number, which other kernels have for other reasons.
    pub number: u32,
    /// Its name without `SKB_DROP_REASON_`; of a subsystem's own (bits 16 and up) its number, for the
    /// kernel tells no name of it.
    pub name: String,
}

impl DropReason {
    /// The kernel's code names no reason, and may be one that means no loss.
    pub const NOT_SPECIFIED: &str = "NOT_SPECIFIED";

    /// True where the packet was used up.
    #[must_use]
    pub fn is_no_loss(&self) -> bool {
        self.name == "CONSUMED" || self.name == "NOT_DROPPED_YET"
    }
}

/// Packets of one flow at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedFlow {
    /// Where they were seen.
    pub point: TracePoint,
    /// Source address and port.
    pub source: (IpAddr, u16),
    /// Destination address and port.
    pub destination: (IpAddr, u16),
    /// The IP protocol.
    pub protocol: u8,
    /// Why they were dropped, where they were.
    pub reason: Option<DropReason>,
    /// How many they were, and when.
    pub counters: TraceCounters,
}

impl TracedFlow {
    /// `tcp 203.0.113.7:40000 -> 192.0.2.1:80`.
    #[must_use]
    pub fn name(&self) -> String {
        let protocol = match self.protocol {
            TCP => "tcp".to_owned(),
            UDP => "udp".to_owned(),
            other => format!("protocol {other}"),
        };
        let end = |(address, port): (IpAddr, u16)| match (address, port) {
            (address, 0) => address.to_string(),
            (address, port) => std::net::SocketAddr::new(address, port).to_string(),
        };
        format!("{protocol} {} -> {}", end(self.source), end(self.destination))
    }
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// What is followed, by flow, point and reason.
    pub flows: Vec<TracedFlow>,
    /// All that the kernel dropped in this namespace, most packets first.
    pub reasons: Vec<(DropReason, TraceCounters)>,
    /// What each point saw.
    pub ledger: BTreeMap<TracePoint, TraceLedger>,
    /// Buffers that a program was not run for, because it was running on that CPU already.
    pub missed: u64,
}

/// Programs that follow packets of the calling thread's network namespace, attached.
#[derive(Debug)]
pub struct Trace {
    object: Ebpf,
    reasons: BTreeMap<u32, String>,
}

impl Trace {
    /// Attaches the programs of these points.
    ///
    /// Loading takes about 100 ms, most of it the kernel's types.
    ///
    /// # Errors
    /// [`KernelError::NoDropReasons`] on a kernel that tells none, or that does not tell its types;
    /// [`KernelError::MissingCapability`].
    pub fn start(filter: &TraceFilter, points: &[TracePoint]) -> Result<Self, KernelError> {
        probe::require()?;
        let types = Types::of_kernel().map_err(|source| KernelError::NoDropReasons {
            why: format!("its types cannot be read from `{PATH}` ({source})"),
        })?;
        let (reasons, tells_socket) = facts(&types)?;
        let settings = TraceSettings {
            layout: layout(&types)?,
            namespace: netns::cookie()?,
            ends: filter.ends.map(TraceEndpoint::end),
            protocol: filter.protocol.unwrap_or(0).into(),
            tells_socket: tells_socket.into(),
        };
        let mut object = object::load_trace(&settings, KEY_CAPACITY, REASON_CAPACITY)?;
        for &point in points {
            attach(&mut object, point)?;
        }
        Ok(Self { object, reasons })
    }

    /// What was seen since the start.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn read(&self) -> Result<Traced, KernelError> {
        let mut flows = Vec::new();
        for (key, counters) in self.summed::<TraceKey>("TRACED")? {
            flows.push(self.flow(&key, counters));
        }
        flows.sort_by(|a, b| {
            let order = |one: &TracedFlow| (one.point, one.protocol, one.source, one.destination);
            order(a).cmp(&order(b)).then_with(|| a.reason.cmp(&b.reason))
        });
        let mut reasons: Vec<_> = self
            .summed::<u32>("TRACE_REASONS")?
            .into_iter()
            .map(|(number, counters)| (self.reason(number), counters))
            .collect();
        reasons.sort_by(|a, b| b.1.packets.cmp(&a.1.packets).then_with(|| a.0.cmp(&b.0)));
        Ok(Traced { flows, reasons, ledger: self.ledger()?, missed: self.missed() })
    }

    /// What the kernel dropped in this namespace since the start, by the names of all its reasons.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn dropped(&self) -> Result<BTreeMap<String, TraceCounters>, KernelError> {
        let nothing = self.reasons.keys().map(|&number| (number, TraceCounters::default()));
        let all = nothing.chain(self.summed::<u32>("TRACE_REASONS")?);
        let named = all.map(|(number, counters)| (self.reason(number), counters));
        let lost = named.filter(|(reason, _)| !reason.is_no_loss());
        Ok(lost.map(|(reason, counters)| (reason.name, counters)).collect())
    }

    fn flow(&self, key: &TraceKey, counters: TraceCounters) -> TracedFlow {
        let address = |bytes| match Target::remote(bytes) {
            Target::Address(address) => address,
            Target::Prefix(prefix) => prefix.addr(),
        };
        let point = TracePoint::ALL.into_iter().find(|one| one.index() == key.point.into());
        let point = point.unwrap_or(TracePoint::Dropped);
        TracedFlow {
            point,
            source: (address(key.source), key.source_port),
            destination: (address(key.destination), key.destination_port),
            protocol: u8::try_from(key.protocol).unwrap_or(u8::MAX),
            reason: (point == TracePoint::Dropped).then(|| self.reason(key.reason)),
            counters,
        }
    }

    fn reason(&self, number: u32) -> DropReason {
        let name = self.reasons.get(&number).cloned();
        let name = name.unwrap_or_else(|| format!("{}:{}", number >> 16, number & 0xffff));
        DropReason { number, name }
    }

    /// The entries of a table, all CPUs together.
    fn summed<K: Pod>(&self, name: &'static str) -> Result<Vec<(K, TraceCounters)>, KernelError> {
        let table: PerCpuHashMap<&MapData, K, TraceCounters> =
            self.map(name)?.try_into().map_err(aya::EbpfError::from)?;
        let mut all = Vec::new();
        for entry in &table {
            let (key, by_cpu) = entry.map_err(aya::EbpfError::from)?;
            let mut sum = TraceCounters::default();
            by_cpu.iter().for_each(|one| sum.merge(one));
            all.push((key, sum));
        }
        Ok(all)
    }

    fn ledger(&self) -> Result<BTreeMap<TracePoint, TraceLedger>, KernelError> {
        let array: PerCpuArray<&MapData, TraceLedger> =
            self.map("TRACE_LEDGER")?.try_into().map_err(aya::EbpfError::from)?;
        let mut ledger = BTreeMap::new();
        for point in TracePoint::ALL {
            let by_cpu = array.get(&point.index(), 0).map_err(aya::EbpfError::from)?;
            let mut sum = TraceLedger::default();
            by_cpu.iter().for_each(|one| sum.merge(one));
            ledger.insert(point, sum);
        }
        Ok(ledger)
    }

    fn map(&self, name: &'static str) -> Result<&Map, KernelError> {
        self.object.map(name).ok_or(KernelError::Object { kind: "map", name })
    }

    /// What the kernel says of programs that were not run (`recursion_misses`).
    fn missed(&self) -> u64 {
        let of = |name: &&str| {
            let program: &RawTracePoint = self.object.program(name)?.try_into().ok()?;
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            let facts = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let line = facts.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
            line.trim().parse::<u64>().ok()
        };
        TRACE_PROGRAMS.iter().filter_map(of).sum()
    }
}

/// The program and the tracepoint of a point.
const fn program_of(point: TracePoint) -> (&'static str, &'static str) {
    match point {
        TracePoint::Arrived => (TRACE_PROGRAMS[0], "netif_receive_skb"),
        TracePoint::Left => (TRACE_PROGRAMS[1], "net_dev_start_xmit"),
        TracePoint::Dropped => (TRACE_PROGRAMS[2], "kfree_skb"),
    }
}

fn attach(object: &mut Ebpf, point: TracePoint) -> Result<(), KernelError> {
    let (name, tracepoint) = program_of(point);
    let program = object::tracepoint(object, name)?;
    program.attach(tracepoint).map_err(|source| KernelError::Program { program: name, source })?;
    Ok(())
}

/// The names of the kernel's reasons by number, and whether its tracepoint tells the socket.
fn facts(types: &Types) -> Result<(BTreeMap<u32, String>, bool), KernelError> {
    const TRACEPOINT: &str = "btf_trace_kfree_skb";
    let none = |why: &str| KernelError::NoDropReasons { why: why.to_owned() };
    let values = types.values("skb_drop_reason").ok_or_else(|| none("it has no reasons"))?;
    // The first argument is the tracepoint's own.
    let arguments = types.arguments(TRACEPOINT).ok_or_else(|| none("it has no such tracepoint"))?;
    if arguments < 4 {
        return Err(none("its tracepoint tells no reason"));
    }
    let plain = |name: String| {
        ["SKB_DROP_REASON_", "SKB_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix).map(str::to_owned))
            .unwrap_or(name)
    };
    let reasons = values.into_iter().map(|(number, name)| (number, plain(name))).collect();
    Ok((reasons, arguments > 4))
}

/// Where the fields are in this kernel.
fn layout(types: &Types) -> Result<TraceLayout, KernelError> {
    let at = |structure: &str, path: &[&str]| {
        types.offset(structure, path).ok_or_else(|| KernelError::NoDropReasons {
            why: format!("its `{structure}` has no `{}`", path.join(".")),
        })
    };
    let buffer = |field| at("sk_buff", &[field]);
    let mut layout = TraceLayout {
        buffer: 0,
        head: buffer("head")?,
        data: buffer("data")?,
        tail: buffer("tail")?,
        end: buffer("end")?,
        len: buffer("len")?,
        network_header: buffer("network_header")?,
        protocol: buffer("protocol")?,
        device: buffer("dev")?,
        socket: buffer("sk")?,
        route: buffer("_skb_refdst")?,
        segments: at("skb_shared_info", &["gso_segs"])?,
        device_net: at("net_device", &["nd_net"])?,
        socket_net: at("sock_common", &["skc_net"])?,
        route_device: at("dst_entry", &["dev"])?,
        cookie: at("net", &["net_cookie"])?,
    };
    let TraceLayout { head, data, tail, end, len, network_header, protocol, .. } = layout;
    let fields = [head, data, tail, end, len, network_header, protocol];
    let last = fields.into_iter().chain([layout.device, layout.socket, layout.route]).max();
    layout.buffer = last.unwrap_or(0) + 8;
    if layout.buffer > TraceLayout::BUFFER_LIMIT {
        let why = format!("its `sk_buff` is longer than weir knows: {} bytes", layout.buffer);
        return Err(KernelError::NoDropReasons { why });
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_address_a_network_or_any() {
        let end = |net: &str, port| TraceEndpoint { net: net.parse().ok(), port };
        let address = |text: &str| text.parse().expect("an address");
        assert!(end("", None).is(address("192.0.2.1"), 9));
        assert!(end("192.0.2.0/24", Some(9)).is(address("192.0.2.1"), 9));
        assert!(!end("192.0.2.0/24", Some(9)).is(address("192.0.2.1"), 8));
        assert!(!end("192.0.2.0/24", None).is(address("192.0.3.1"), 8));
        assert!(end("2001:db8::/32", None).is(address("2001:db8:1::9"), 8));
        assert!(!end("2001:db8::1/128", None).is(address("2001:db8::2"), 8));
        assert!(end("0.0.0.0/0", None).is(address("198.51.100.4"), 1));
        assert!(!end("0.0.0.0/0", None).is(address("2001:db8::2"), 1));
    }

    #[test]
    fn this_kernel_tells_its_reasons_by_name() {
        let Ok(types) = Types::of_kernel() else {
            test_support::skip("the kernel tells no types");
            return;
        };
        let (reasons, _) = facts(&types).expect("Linux 5.17");
        assert!(reasons.values().any(|name| name == "NO_SOCKET"), "{reasons:?}");
        assert!(layout(&types).is_ok_and(|layout| layout.buffer <= TraceLayout::BUFFER_LIMIT));
    }
}
