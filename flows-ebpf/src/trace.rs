//! Packets of one network namespace, counted where they come, go and end while somebody asks.
//!
//! At a tracepoint there is no packet but the kernel's own `struct sk_buff`: its fields are copied
//! from places that the loader found in the kernel's types.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::PerCpuHashMap,
    helpers::{bpf_ktime_get_boot_ns, generated::bpf_probe_read_kernel},
    programs::RawTracePointContext,
};
use flows_common::{
    TraceCounters, TraceEnd, TraceKey, TraceLayout, TraceLedger, TracePoint, TraceSettings,
    parse::{Bytes, Frame, LinkLayer, Packet, parse},
};

use crate::maps::{TRACE_LEDGER, TRACE_REASONS, TRACE_VIEW, TRACED};

/// What is followed; the loader writes it. What stands here has the verifier of `weir doctor` follow all
/// that it would follow in earnest.
#[unsafe(no_mangle)]
static TRACE: TraceSettings = TraceSettings {
    layout: TraceLayout {
        buffer: TraceLayout::BUFFER_LIMIT,
        head: 0,
        data: 0,
        tail: 0,
        end: 0,
        len: 0,
        network_header: 0,
        protocol: 0,
        device: 0,
        socket: 0,
        route: 0,
        segments: 0,
        device_net: 0,
        socket_net: 0,
        route_device: 0,
        cookie: 0,
    },
    namespace: 1,
    ends: [TraceEnd { address: [1; 2], mask: [!0; 2], port: 1 }; 2],
    protocol: 1,
    tells_socket: 0,
};

/// A setting as the loader wrote it: one at a time, for the verifier knows what it is then.
macro_rules! setting {
    ($($field:tt)+) => {
        // SAFETY: a static of ours; volatile, for the compiler knows only the placeholder.
        unsafe { core::ptr::read_volatile(&raw const TRACE.$($field)+) }
    };
}

/// Bytes of headers that are looked at: an IPv6 header with some extensions, and a transport header.
const HEADERS: usize = 128;
/// Words of a buffer's fields, and of the widest field behind their last place.
const FIELDS: usize = (TraceLayout::BUFFER_LIMIT as usize + 1) / 8 + 1;

/// What a CPU looks at.
#[repr(C, align(8))]
pub(crate) struct View {
    /// A copy of a `struct sk_buff`, as far as its fields matter.
    fields: [u64; FIELDS],
    /// The packet from its IP header on.
    headers: [u8; HEADERS],
}

/// A buffer that came up from an interface.
#[inline(always)]
pub(crate) fn arrived(ctx: &RawTracePointContext) {
    note(TracePoint::Arrived.index(), ctx.arg(0), 0, 0);
}

/// A buffer that is handed to an interface.
#[inline(always)]
pub(crate) fn left(ctx: &RawTracePointContext) {
    note(TracePoint::Left.index(), ctx.arg(0), 0, 0);
}

/// A buffer that the kernel lets go of: its arguments are the buffer, the place, the reason (Linux
/// 5.17) and the receiving socket (6.11).
#[inline(always)]
pub(crate) fn dropped(ctx: &RawTracePointContext) {
    let socket = if setting!(tells_socket) == 0 { 0 } else { ctx.arg(3) };
    note(TracePoint::Dropped.index(), ctx.arg(0), socket, ctx.arg(2));
}

/// Counts a buffer at a point. A function of its own, so that the object holds it once, and its
/// arguments scalars, for a structure would lie in its caller's memory.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn note(point: u32, buffer: u64, socket: u64, reason: u32) -> u32 {
    let Some(ledger) = TRACE_LEDGER.get_ptr_mut(point) else { return 0 };
    let Some(view) = TRACE_VIEW.get_ptr_mut(point) else { return 0 };
    // SAFETY: both are this CPU's own element for this program, which does not interrupt itself.
    let (ledger, view) = unsafe { (&mut *ledger, &mut *view) };
    ledger.seen += 1;
    if !read(view.fields.as_mut_ptr().cast(), setting!(layout.buffer) & 0xff, buffer) {
        ledger.unread += 1;
        return 0;
    }
    let namespace = namespace(view, socket);
    if namespace != 0 && namespace != setting!(namespace) {
        ledger.elsewhere += 1;
        return 0;
    }
    count(point, reason, namespace != 0, ledger, view);
    0
}

/// Counts a buffer of the namespace that is asked after; of one whose namespace cannot be told, that the
/// question is about it.
#[inline(always)]
fn count(point: u32, reason: u32, placed: bool, ledger: &mut TraceLedger, view: &mut View) {
    let head: u64 = word(view, setting!(layout.head));
    let data: u64 = word(view, setting!(layout.data));
    let start = if point == TracePoint::Arrived.index() {
        // Its network header is not told yet; a VLAN tag may still stand before it.
        data + if is_tagged(half(view, setting!(layout.protocol))) { 4 } else { 0 }
    } else {
        head + u64::from(half(view, setting!(layout.network_header)))
    };
    let behind = head + u64::from(double(view, setting!(layout.tail)));
    let length = double(view, setting!(layout.len)).wrapping_add((data.wrapping_sub(start)) as u32);
    let end = head + u64::from(double(view, setting!(layout.end)));
    let segments = u64::from(read_half(end + u64::from(setting!(layout.segments)))).max(1);
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_boot_ns() };
    let counted = TraceCounters {
        packets: segments,
        bytes: length.into(),
        first_ns: now_ns,
        last_ns: now_ns,
    };
    let is_loss = placed && point == TracePoint::Dropped.index();
    if is_loss && !add(&TRACE_REASONS, &reason, &counted) {
        ledger.no_room += segments;
    }
    let Some(packet) = packet(view, start, behind, length) else {
        ledger.unread += 1;
        return;
    };
    let key = key(point, reason, &packet);
    if !is_followed(&key) {
        ledger.others += 1;
    } else if !placed {
        ledger.unplaced += segments;
    } else if !add(&TRACED, &key, &counted) {
        ledger.no_room += segments;
    }
}

/// The cookie of the namespace that a buffer is in, 0 where it cannot be told.
///
/// By its interface; UDP keeps a number in that place once a datagram has come to its socket
/// (`udp_set_dev_scratch`), and then the socket tells, or else the route.
#[inline(always)]
fn namespace(view: &View, receiving: u64) -> u64 {
    let device = word(view, setting!(layout.device));
    let sending = word(view, setting!(layout.socket));
    let socket = if is_address(receiving) { receiving } else { sending };
    let net = if is_address(device) {
        read_word(device + u64::from(setting!(layout.device_net)))
    } else if is_address(socket) {
        read_word(socket + u64::from(setting!(layout.socket_net)))
    } else {
        // The lowest bit tells whether the route is counted.
        let route = word(view, setting!(layout.route)) & !1;
        if !is_address(route) {
            return 0;
        }
        let device = read_word(route + u64::from(setting!(layout.route_device)));
        if !is_address(device) {
            return 0;
        }
        read_word(device + u64::from(setting!(layout.device_net)))
    };
    if is_address(net) { read_word(net + u64::from(setting!(layout.cookie))) } else { 0 }
}

/// True of an address of the kernel's, whose highest bit is set on what weir runs on.
#[inline(always)]
const fn is_address(value: u64) -> bool {
    value >> 63 != 0
}

/// True of the EtherType of a VLAN tag, in the order of the network.
#[inline(always)]
const fn is_tagged(protocol: u16) -> bool {
    matches!(u16::from_be(protocol), 0x8100 | 0x88a8)
}

/// The packet whose IP header is at `start`, as far as its bytes go in one piece.
#[inline(always)]
fn packet(view: &mut View, start: u64, behind: u64, length: u32) -> Option<Packet> {
    let linear = behind.wrapping_sub(start);
    let linear = if linear > HEADERS as u64 { HEADERS as u32 } else { linear as u32 };
    if !read(view.headers.as_mut_ptr(), linear, start) {
        return None;
    }
    let bytes = Copied { start: view.headers.as_ptr(), length: opaque(linear as usize) };
    let frame = Frame { length, gso_segs: 0, gso_size: 0, tag: None, link: LinkLayer::Bare };
    parse(&bytes, &frame).ok()
}

#[inline(always)]
fn key(point: u32, reason: u32, packet: &Packet) -> TraceKey {
    TraceKey {
        source: packet.source.to_16(),
        destination: packet.destination.to_16(),
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        protocol: packet.protocol.into(),
        point: point as u16,
        reason,
        reserved: 0,
    }
}

/// True where the question is about it.
#[inline(always)]
fn is_followed(key: &TraceKey) -> bool {
    let protocol = setting!(protocol);
    if protocol != 0 && protocol != u32::from(key.protocol) {
        return false;
    }
    let (one, other) = (setting!(ends[0]), setting!(ends[1]));
    let source = (words(key.source), key.source_port);
    let destination = (words(key.destination), key.destination_port);
    one.is(source.0, source.1) && other.is(destination.0, destination.1)
        || one.is(destination.0, destination.1) && other.is(source.0, source.1)
}

/// An address as two words in the order of memory.
#[inline(always)]
const fn words(address: [u8; 16]) -> [u64; 2] {
    let both = u128::from_ne_bytes(address);
    let (low, high) = (both as u64, (both >> 64) as u64);
    if cfg!(target_endian = "little") { [low, high] } else { [high, low] }
}

/// Adds to an entry of this CPU's, made where there is none; false where there is no room.
#[inline(always)]
fn add<K, const SIZE: usize>(
    table: &PerCpuHashMap<K, TraceCounters, SIZE>,
    key: &K,
    counted: &TraceCounters,
) -> bool {
    let mut found = table.get_ptr_mut(key);
    if found.is_none() {
        let nothing = TraceCounters { packets: 0, bytes: 0, first_ns: 0, last_ns: 0 };
        // Another CPU may have made it meanwhile.
        let _ = table.insert(key, nothing, u64::from(BPF_NOEXIST));
        found = table.get_ptr_mut(key);
    }
    let Some(found) = found else { return false };
    // SAFETY: this CPU's own value, and the keys of a program are its own.
    let found = unsafe { &mut *found };
    if found.packets == 0 {
        found.first_ns = counted.first_ns;
    }
    found.last_ns = counted.last_ns;
    found.packets += counted.packets;
    found.bytes += counted.bytes;
    true
}

/// Bytes of a packet that were copied.
struct Copied {
    start: *const u8,
    length: usize,
}

impl Bytes for Copied {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if N > HEADERS || offset > HEADERS - N || offset + N > self.length {
            return None;
        }
        // SAFETY: within what was copied.
        Some(unsafe { self.start.add(opaque(offset)).cast::<[u8; N]>().read() })
    }
}

/// The same number, of which the compiler knows nothing: it would leave out a check that the verifier
/// needs, or add an offset before it is checked.
#[inline(always)]
fn opaque(value: usize) -> usize {
    let same: usize;
    // SAFETY: a move of a register to itself.
    unsafe { core::arch::asm!("{0} = {0}", inlateout(reg) value => same) };
    same
}

/// Copies from the kernel's memory; false where that is not to be had.
#[inline(always)]
fn read(to: *mut u8, bytes: u32, from: u64) -> bool {
    // SAFETY: the helper copies what can be read and refuses the rest; `to` has room for `bytes`.
    unsafe { bpf_probe_read_kernel(to.cast::<c_void>(), bytes, from as *const c_void) == 0 }
}

/// A word of the kernel's memory, 0 where it cannot be read.
#[inline(always)]
fn read_word(from: u64) -> u64 {
    let mut value = 0_u64;
    read((&raw mut value).cast(), 8, from);
    value
}

#[inline(always)]
fn read_half(from: u64) -> u16 {
    let mut value = 0_u16;
    read((&raw mut value).cast(), 2, from);
    value
}

/// A field of 8 bytes of a buffer.
#[inline(always)]
fn word(view: &View, place: u32) -> u64 {
    // SAFETY: within the copy, which has room for the widest field at its last place, and aligned.
    unsafe { view.fields.as_ptr().byte_add((place & 0xf8) as usize).read() }
}

/// A field of 4 bytes.
#[inline(always)]
fn double(view: &View, place: u32) -> u32 {
    // SAFETY: as in `word`.
    unsafe { view.fields.as_ptr().cast::<u32>().byte_add((place & 0xfc) as usize).read() }
}

/// A field of 2 bytes.
#[inline(always)]
fn half(view: &View, place: u32) -> u16 {
    // SAFETY: as in `word`.
    unsafe { view.fields.as_ptr().cast::<u16>().byte_add((place & 0xfe) as usize).read() }
}
