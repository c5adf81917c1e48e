//! Every map of the programs, and the constants they are loaded with.
//!
//! The sizes here are placeholders where the loader sets them: the outer tables (two buffers of
//! all possible CPUs), the blocklist and its statistics.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerCpuHashMap},
    macros::btf_map,
};
use flows_common::{
    BlockEntry, BlockStats, Control, FlowCounters, FlowKey, GuardControl, GuardCounters, Knocks,
    PacketCounters, PeerCounters, PeerKey, ServiceEntry, ServiceKey, Settings, TraceCounters,
    TraceKey, TraceLedger, VerifiedPeer, account::News, parse::Packet, service::Contact,
};

use crate::trace::View;

/// Entries are made one at a time and the table is mostly empty: not preallocated.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// Placeholder size of a table that the loader sizes.
const SIZED_BY_LOADER: usize = 64;

/// Most allowed prefixes.
const ALLOW_LIMIT: usize = 65_536;
/// Most blocked prefixes.
const PREFIX_LIMIT: usize = 16_384;
/// Most limited services.
const SERVICE_COUNT: usize = 256;
/// Most remotes whose knocks at closed ports are counted.
const KNOCKER_COUNT: usize = 16_384;
/// Ports of TCP.
const PORT_COUNT: usize = 65_536;

/// Flows of one CPU in one buffer.
type FlowTable = LruHashMap<FlowKey, FlowCounters, SIZED_BY_LOADER>;
/// Peers of one CPU in one buffer.
type PeerTable = LruHashMap<PeerKey, PeerCounters, SIZED_BY_LOADER>;

/// Constants of the loaded programs; the loader writes them.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings { clock: 0, cpus: 1, guard_at_tc_egress: 0, reserved: 0 };

/// The settings as the loader wrote them.
///
/// Not by `aya_ebpf::Global`: its `MaybeUninit` is a union whose name in BTF kernels refuse.
#[inline(always)]
pub(crate) fn settings() -> Settings {
    // SAFETY: a static of ours; volatile, for the compiler knows only the placeholder.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS) }
}

/// The buffer that the flow programs write to; one element.
#[btf_map]
pub(crate) static CONTROL: Array<Control, 1> = Array::new();

/// Look-ups that the guard needs; one element.
#[btf_map]
pub(crate) static GUARD_CONTROL: Array<GuardControl, 1> = Array::new();

/// Flow tables at `buffer * cpus + cpu`.
#[btf_map]
pub(crate) static FLOWS: ArrayOfMaps<FlowTable, SIZED_BY_LOADER> = ArrayOfMaps::new();

/// Peer tables at `buffer * cpus + cpu`.
#[btf_map]
pub(crate) static PEERS: ArrayOfMaps<PeerTable, SIZED_BY_LOADER> = ArrayOfMaps::new();

/// Packets seen and lost, by buffer.
#[btf_map]
pub(crate) static LEDGER: PerCpuArray<PacketCounters, 2> = PerCpuArray::new();

/// Blocked IPv4 addresses.
#[btf_map]
pub(crate) static BLOCK_V4: HashMap<[u8; 4], BlockEntry, SIZED_BY_LOADER, ON_DEMAND> =
    HashMap::new();

/// Blocked IPv6 addresses.
#[btf_map]
pub(crate) static BLOCK_V6: HashMap<[u8; 16], BlockEntry, SIZED_BY_LOADER, ON_DEMAND> =
    HashMap::new();

/// Blocked prefixes of the 16-byte form.
#[btf_map]
pub(crate) static BLOCK_PREFIX: LpmTrie<[u8; 16], BlockEntry, PREFIX_LIMIT> = LpmTrie::new();

/// Allowed prefixes of the 16-byte form.
#[btf_map]
pub(crate) static ALLOW: LpmTrie<[u8; 16], u32, ALLOW_LIMIT> = LpmTrie::new();

/// Limited services.
#[btf_map]
pub(crate) static SERVICE_LIMIT: HashMap<ServiceKey, ServiceEntry, SERVICE_COUNT> = HashMap::new();

/// Remotes that proved their address, in the 16-byte form; the least recently seen go first.
#[btf_map]
pub(crate) static KNOWN: LruHashMap<[u8; 16], VerifiedPeer, SIZED_BY_LOADER> = LruHashMap::new();

/// Knocks at closed ports while these are limited, by [`flows_common::service::knocker`].
#[btf_map]
pub(crate) static KNOCKS: LruHashMap<[u8; 16], Knocks, KNOCKER_COUNT> = LruHashMap::new();

/// When somebody completed a handshake at a TCP port last, in ns of the boot clock, by port.
#[btf_map]
pub(crate) static SERVED: Array<u64, PORT_COUNT> = Array::new();

/// Packets of blocked sources, by [`BlockEntry::slot`]; per CPU, so that no cache line bounces.
#[btf_map]
pub(crate) static BLOCK_STATS: PerCpuArray<BlockStats, SIZED_BY_LOADER> = PerCpuArray::new();

/// Decisions of the guard, by direction.
#[btf_map]
pub(crate) static GUARD: PerCpuArray<GuardCounters, 2> = PerCpuArray::new();

/// The packet that a CPU is counting.
#[repr(C)]
pub(crate) struct Scratch {
    /// The packet.
    pub(crate) packet: Packet,
    /// The facts that it made known of its flow.
    pub(crate) news: News,
}

/// The packet that a CPU is counting; one element. See [`crate::packet::reread`] for why it is
/// not on the stack.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Contact that a CPU holds against the limit of a service; one element. Not on the stack for the
/// same reason.
#[btf_map]
pub(crate) static CONTACT: PerCpuArray<Contact, 1> = PerCpuArray::new();

/// Latest reading of the clock by one CPU, and the tick it was taken in.
#[repr(C)]
pub(crate) struct Glance {
    /// The coarse clock then: it stands still between ticks.
    pub(crate) coarse_ns: u64,
    /// The boot clock then.
    pub(crate) boot_ns: u64,
}

/// The latest reading of the clock; one element.
#[btf_map]
pub(crate) static GLANCE: PerCpuArray<Glance, 1> = PerCpuArray::new();

/// What is followed, by key.
#[btf_map]
pub(crate) static TRACED: PerCpuHashMap<TraceKey, TraceCounters, SIZED_BY_LOADER> =
    PerCpuHashMap::new();

/// All that the kernel let go of in the namespace that is asked after, by its reason.
#[btf_map]
pub(crate) static TRACE_REASONS: PerCpuHashMap<u32, TraceCounters, SIZED_BY_LOADER> =
    PerCpuHashMap::new();

/// What was seen at each point.
#[btf_map]
pub(crate) static TRACE_LEDGER: PerCpuArray<TraceLedger, 3> = PerCpuArray::new();

/// What a CPU looks at, by point: a program at one may interrupt that at another, and none itself.
#[btf_map]
pub(crate) static TRACE_VIEW: PerCpuArray<View, 3> = PerCpuArray::new();
