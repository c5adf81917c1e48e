//! Counting a packet in its flow.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_NOEXIST, TC_ACT_SHOT, TC_ACT_UNSPEC},
    btf_maps::LruHashMap,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    programs::TcContext,
};
use flows_common::{
    ClockSource, Direction, Fact, FlowCounters, FlowKey, Held, Loss, PeerCounters, PeerKey,
    Settings, Verdict,
    account::News,
    guard::Size,
    metering::{Entry, FlowTables, Observation, meter},
    parse::{Frame, HEADERS_LIMIT, LinkLayer, Rejected, parse},
    service::{Contact, VERIFIED_NS},
};

use crate::{
    guard::{self, Hook},
    maps::{self, CONTROL, FLOWS, LEDGER, PEERS, SCRATCH, Scratch},
    packet::{Linear, reread},
    service, socket,
};

/// Lets the packet go to the next program, and on: what `TCX_NEXT` and clsact's
/// "unspecified" both are.
const NEXT: i32 = TC_ACT_UNSPEC;

/// As far as headers can reach: where the chain of extensions may end, its last one, and a
/// transport header.
const HEADERS_REACH: u32 = HEADERS_LIMIT as u32 + 2048 + 64;

/// All zero: what a new entry is made from. In `.rodata`, for the BPF stack is too small for it.
static NOTHING: [u64; size_of::<FlowCounters>() / 8] = [0; size_of::<FlowCounters>() / 8];

const _: () = assert!(size_of::<PeerCounters>() <= size_of::<FlowCounters>());

/// A packet at TC, of an interface whose frames are `BARE` or Ethernet's.
pub(crate) struct Skb<const BARE: bool>(TcContext);

impl<const BARE: bool> Skb<BARE> {
    #[inline(always)]
    pub(crate) const fn new(ctx: TcContext) -> Self {
        Self(ctx)
    }

    /// The kernel's own view of it.
    #[inline(always)]
    const fn facts(&self) -> *const __sk_buff {
        self.0.skb.skb
    }

    /// Bytes before its IP header.
    ///
    /// Where the kernel takes the header of a tunnel off, it goes on to show it to TC at ingress as if
    /// it were the link's. What it leaves out of the packet's length there (`qdisc_pkt_len`) is that
    /// header; at egress the packet is no longer than that.
    #[inline(always)]
    fn before_ip(&self) -> u32 {
        if !BARE {
            return 0;
        }
        // SAFETY: the context is the one the kernel called the program with.
        let (length, without) = unsafe { ((*self.facts()).len, (*self.facts()).wire_len) };
        length.saturating_sub(without)
    }
}

/// Counts an incoming packet and passes it on.
#[inline(always)]
pub(crate) fn ingress<const BARE: bool>(ctx: &Skb<BARE>) -> i32 {
    gather(ctx);
    account(ctx, &maps::settings(), Direction::Ingress);
    NEXT
}

/// Holds an incoming packet against the blocklist and passes it on: for an interface without
/// XDP. As there, what is dropped is in the guard's ledger and in no flow.
#[inline(always)]
pub(crate) fn ingress_guard<const BARE: bool>(ctx: &Skb<BARE>) -> i32 {
    // A packet whose IP header is not at hand would be nobody's.
    gather(ctx);
    match guard::decide(ctx, Direction::Ingress) {
        Verdict::Drop => TC_ACT_SHOT,
        Verdict::Pass => NEXT,
    }
}

/// Counts an outgoing packet and passes it on, unless it goes to a blocked remote and the
/// settings ask for the guard here.
#[inline(always)]
pub(crate) fn egress<const BARE: bool>(ctx: &Skb<BARE>) -> i32 {
    let settings = maps::settings();
    gather(ctx);
    if settings.guard_at_tc_egress != 0 && guard::decide(ctx, Direction::Egress) == Verdict::Drop {
        return TC_ACT_SHOT;
    }
    account(ctx, &settings, Direction::Egress);
    NEXT
}

impl<const BARE: bool> Hook for Skb<BARE> {
    const LINK: LinkLayer = if BARE { LinkLayer::Bare } else { LinkLayer::Ethernet };

    #[inline(always)]
    fn of(context: *mut c_void) -> Self {
        Self(TcContext::new(context.cast()))
    }

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.0.skb.skb.cast()
    }

    #[inline(always)]
    fn bytes(&self) -> Linear {
        linear(self)
    }

    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        frame(self).tag
    }

    #[inline(always)]
    fn size(&self) -> Size {
        let frame = frame(self);
        Size { packets: frame.segments(), bytes: frame.wire_length().into() }
    }
}

/// Parses a packet and counts it in the active buffer.
#[inline(always)]
fn account<const BARE: bool>(ctx: &Skb<BARE>, settings: &Settings, direction: Direction) {
    let frame = frame(ctx);
    // The buffer is chosen once per packet: whatever this packet adds lands in one window.
    let Some(control) = CONTROL.get(0) else { return };
    let buffer = control.active & 1;
    let Some(ledger) = LEDGER.get_ptr_mut(buffer) else { return };
    // SAFETY: this CPU's own element, and programs are not preempted by one another.
    let ledger = unsafe { &mut *ledger };
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return };
    let parsed = parse_skb(ctx, &frame, scratch);
    let scratch = reread(scratch);
    // SAFETY: this CPU's own element, and the packet was just written where there is one.
    let parsed = parsed.map(|()| unsafe { &(*scratch).packet });
    // SAFETY: the context is the one the kernel called the program with.
    let ifindex = unsafe { (*ctx.facts()).ifindex };
    let observed = Observation { frame: &frame, parsed, direction, ifindex };
    let mut tables = Maps { buffer, cpus: settings.cpus, scratch, context: ctx.context() };
    meter(&mut tables, ledger, &observed, || now_ns(ctx, settings));
}

/// This CPU's tables of one buffer.
struct Maps {
    buffer: u32,
    cpus: u32,
    scratch: *mut Scratch,
    context: *mut c_void,
}

impl Maps {
    /// The place of the tables in the outer ones.
    #[inline(always)]
    fn place(&self) -> u32 {
        // SAFETY: the helper has no preconditions.
        self.buffer * self.cpus + unsafe { bpf_get_smp_processor_id() }
    }
}

impl FlowTables for Maps {
    #[inline(always)]
    fn flow(&mut self, key: &FlowKey) -> Result<Entry<'_, FlowCounters>, Loss> {
        let flows = FLOWS.get(self.place()).ok_or(Loss::NoTable)?;
        entry(flows, key).ok_or(Loss::TableFull)
    }

    #[inline(always)]
    fn peer(&mut self, key: &PeerKey) -> Option<Entry<'_, PeerCounters>> {
        entry(PEERS.get(self.place())?, key)
    }

    #[inline(always)]
    fn join_paths(&mut self, news: News) -> News {
        // SAFETY: this CPU's own element, just written when it is read.
        unsafe {
            let place = &raw mut (*self.scratch).news;
            place.write(news);
            reread(place).read()
        }
    }

    #[inline(always)]
    fn ask_host(&mut self, key: &FlowKey) {
        if matches!(socket::held(self.context, &Contact::of_flow(key)), Held::Nothing) {
            return;
        }
        let Some(flow) = FLOWS.get(self.place()).and_then(|flows| flows.get_ptr_mut(key)) else {
            return;
        };
        // SAFETY: an entry of this CPU's own table, alive until the program returns.
        unsafe { (*flow).facts |= Fact::Socket.bit() };
    }

    #[inline(always)]
    fn exempt(&mut self, key: &FlowKey, now_ns: u64) {
        service::exempt(&key.remote, now_ns.saturating_add(VERIFIED_NS));
        service::serve(key.local_port, now_ns);
    }
}

/// The entry of a key, made all zero where there is none; `None` where the table refuses.
#[inline(always)]
fn entry<'a, K, V, const SIZE: usize>(
    table: &LruHashMap<K, V, SIZE>,
    key: &K,
) -> Option<Entry<'a, V>> {
    const { assert!(size_of::<V>() <= size_of_val(&NOTHING)) };
    let (counters, inserted) = if let Some(counters) = table.get_ptr_mut(key) {
        (counters, false)
    } else {
        // SAFETY: `V` is one of the contract's counters: integers, for which all zero is a value.
        let nothing = unsafe { &*(&raw const NOTHING).cast::<V>() };
        table.insert(key, nothing, u64::from(BPF_NOEXIST)).ok()?;
        (table.get_ptr_mut(key)?, true)
    };
    // SAFETY: an entry of this CPU's own table, alive until the program returns.
    Some(Entry { counters: unsafe { &mut *counters }, inserted })
}

/// Parses the packet into `scratch`.
#[inline(always)]
fn parse_skb<const BARE: bool>(
    ctx: &Skb<BARE>,
    frame: &Frame,
    scratch: *mut Scratch,
) -> Result<(), Rejected> {
    let packet = parse(&linear(ctx), frame)?;
    // SAFETY: this CPU's own element, and programs are not preempted by one another.
    unsafe { (&raw mut (*scratch).packet).write(packet) };
    Ok(())
}

/// Makes the headers of a packet linear, of which a part may lie in fragments.
#[inline(always)]
fn gather<const BARE: bool>(ctx: &Skb<BARE>) {
    if linear(ctx).len() < frame(ctx).length as usize {
        reach::<BARE>(ctx.context());
    }
}

/// Makes more of the packet linear where the headers go on in its fragments; where that fails, it
/// is parsed as far as it goes.
///
/// A function of its own, which ends all the ways through this first look: in a loop with the
/// second one, the verifier would follow each way through the one from each end of the other. All
/// functions of their own are in one section: aya 0.14 takes two at one offset for the same.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn reach<const BARE: bool>(context: *mut c_void) {
    let ctx = Skb::<BARE>::of(context);
    let parsed = parse(&linear(&ctx), &frame(&ctx));
    if matches!(parsed, Err(rejected) if rejected.loss.is_truncation()) {
        let _ = ctx.0.pull_data(ctx.0.len().min(HEADERS_REACH));
    }
}

#[inline(always)]
fn linear<const BARE: bool>(ctx: &Skb<BARE>) -> Linear {
    if !BARE {
        return Linear::new(ctx.0.data(), ctx.0.data_end());
    }
    // The verifier wants a bound; no header of a tunnel is as long.
    let start = ctx.0.data() + (ctx.before_ip() & 0xfff) as usize;
    Linear::new(reread(start as *mut u8) as usize, ctx.0.data_end())
}

/// Metadata of the packet that the kernel keeps beside its bytes.
#[inline(always)]
fn frame<const BARE: bool>(ctx: &Skb<BARE>) -> Frame {
    let skb = ctx.facts();
    // SAFETY: the context is the one the kernel called the program with.
    unsafe {
        Frame {
            length: (*skb).len - ctx.before_ip(),
            gso_segs: (*skb).gso_segs,
            gso_size: (*skb).gso_size,
            tag: if (*skb).vlan_present == 0 { None } else { Some((*skb).vlan_tci as u16) },
            link: Skb::<BARE>::LINK,
        }
    }
}

#[inline(always)]
fn now_ns<const BARE: bool>(ctx: &Skb<BARE>, settings: &Settings) -> u64 {
    if settings.clock == ClockSource::SkbTimestamp.code() {
        // SAFETY: the context is the one the kernel called the program with.
        return unsafe { (*ctx.facts()).tstamp };
    }
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}
