//! The guard's tables in the kernel, and its two hooks.

use core::{
    ffi::c_void,
    ptr::{self, NonNull},
};

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    btf_maps::lpm_trie::Key,
    helpers::{bpf_ktime_get_boot_ns, bpf_ktime_get_coarse_ns, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use flows_common::{
    BlockEntry, Direction, GuardControl, Scope, Verdict,
    guard::{Clock, Lease, Rate, Ruling, Size, Sources, Tables, rule},
    parse::{Address, LinkLayer, remote_address},
};

use crate::{
    maps::{ALLOW, BLOCK_HOSTS, BLOCK_PREFIX, BLOCK_STATS, BLOCK_V4, BLOCK_V6, GLANCE, GUARD, GUARD_CONTROL},
    packet::Linear,
    service, socket,
};

/// Bits of an address in the 16-byte form.
const ADDRESS_BITS: u32 = 128;

/// Interface of the guard to the hook that it sits in.
pub(crate) trait Hook {
    /// Header that its frames begin with.
    const LINK: LinkLayer;

    /// The hook of a context that the kernel called the program with.
    fn of(context: *mut c_void) -> Self;

    /// That context.
    fn context(&self) -> *mut c_void;

    /// The packet's linear part.
    fn bytes(&self) -> Linear;

    /// A VLAN tag that is not among the bytes.
    fn tag(&self) -> Option<u16>;

    /// Size on the wire.
    fn size(&self) -> Size;
}

impl Hook for XdpContext {
    const LINK: LinkLayer = LinkLayer::Ethernet;

    #[inline(always)]
    fn of(context: *mut c_void) -> Self {
        Self::new(context.cast())
    }

    #[inline(always)]
    fn context(&self) -> *mut c_void {
        self.ctx.cast()
    }

    #[inline(always)]
    fn bytes(&self) -> Linear {
        Linear::new(self.data(), self.data_end())
    }

    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        None
    }

    #[inline(always)]
    fn size(&self) -> Size {
        // SAFETY: the context is the one the kernel called the program with. The helper counts
        // the fragments of a multi-buffer frame, which `data_end` leaves out.
        Size { packets: 1, bytes: unsafe { bpf_xdp_get_buff_len(self.ctx) } }
    }
}

/// Holds an XDP frame against the blocklist.
#[inline(always)]
pub(crate) fn at_xdp(ctx: &XdpContext) -> u32 {
    match decide(ctx, Direction::Ingress) {
        Verdict::Pass => XDP_PASS,
        Verdict::Drop => XDP_DROP,
    }
}

/// Holds a frame that goes `direction` against the blocklist and, where it comes in, against the
/// limits of services; and counts what becomes of it.
#[inline(always)]
pub(crate) fn decide<H: Hook>(hook: &H, direction: Direction) -> Verdict {
    let sources = match remote_address(&hook.bytes(), H::LINK, hook.tag(), direction) {
        Ok(remote) => rule(&Kernel { hook, direction }, &remote),
        Err(_) => Sources::Decided(Ruling::NO_ENTRY),
    };
    let ruling = match sources {
        Sources::Open(ruling) => {
            let at_service = match direction {
                Direction::Ingress => service::decide::<H>(hook.context()),
                Direction::Egress => None,
            };
            match at_service {
                Some(verdict) => return verdict,
                None => ruling,
            }
        }
        Sources::Decided(ruling) => ruling,
    };
    count(hook, ruling, direction);
    ruling.verdict()
}

/// Counts what becomes of a frame.
#[inline(always)]
pub(crate) fn count<H: Hook>(hook: &H, mut ruling: Ruling, direction: Direction) {
    let mut size = Size { packets: 1, bytes: 0 };
    if ruling.acted() {
        size = hook.size();
        if let Some(stats) = BLOCK_STATS.get_ptr_mut(ruling.slot) {
            // SAFETY: this CPU's own element, and programs are not preempted by one another.
            let stats = unsafe { &mut *stats };
            if stats.first_ns == 0 {
                ruling.now_ns = now_ns();
            }
            stats.count(&ruling, size);
        }
    }
    if let Some(ledger) = GUARD.get_ptr_mut(direction.index() as u32) {
        // SAFETY: as above.
        unsafe { &mut *ledger }.count(&ruling, size);
    }
}

/// The blocklist maps, for one packet.
struct Kernel<'a, H> {
    hook: &'a H,
    direction: Direction,
}

impl<H> Clock for Kernel<'_, H> {
    #[inline(always)]
    fn recent_ns(&self) -> u64 {
        recent_ns()
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        now_ns()
    }
}

impl<H: Hook> Tables for Kernel<'_, H> {
    type Entry = NonNull<BlockEntry>;

    #[inline(always)]
    fn exact(&self, remote: &Address) -> Option<Self::Entry> {
        match remote.v4() {
            Some(v4) => BLOCK_V4.get_ptr_mut(v4).map(own_call),
            None => BLOCK_V6.get_ptr_mut(remote.to_16()),
        }
        .and_then(NonNull::new)
    }

    #[inline(always)]
    fn control(&self) -> GuardControl {
        GUARD_CONTROL.get(0).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn host(&self, name: [u8; 16]) -> Option<Self::Entry> {
        BLOCK_HOSTS.get_ptr_mut(name).and_then(NonNull::new)
    }

    #[inline(always)]
    fn prefix(&self, remote: &Address) -> Option<Self::Entry> {
        BLOCK_PREFIX.get(&Key::new(ADDRESS_BITS, remote.to_16())).map(NonNull::from)
    }

    #[inline(always)]
    fn allowed(&self, remote: &Address) -> bool {
        is_allowed(remote)
    }

    #[inline(always)]
    fn spares(&self, scope: Scope) -> bool {
        let context = self.hook.context();
        socket::contact::<H>(context, self.direction)
            .is_some_and(|contact| scope.spares(socket::held(context, contact)))
    }

    #[inline(always)]
    fn lease(&self, entry: Self::Entry) -> Lease {
        // SAFETY: a map value, alive until the program returns (RCU); user space replaces
        // entries rather than editing them.
        Lease::of(unsafe { entry.as_ref() })
    }

    #[inline(always)]
    fn rate(&self, entry: Self::Entry) -> Rate {
        // SAFETY: as for `lease`.
        let entry = unsafe { entry.as_ref() };
        Rate { packet_cost_ns: entry.packet_cost_ns, burst_ns: entry.burst_ns }
    }

    #[inline(always)]
    fn arrival_ns(&self, entry: Self::Entry) -> u64 {
        // SAFETY: as for `lease`; volatile, for other CPUs change it meanwhile.
        unsafe { ptr::read_volatile(&raw const (*entry.as_ptr()).arrival_ns) }
    }

    #[inline(always)]
    fn advance(&self, entry: Self::Entry, expected_ns: u64, arrival_ns: u64) -> bool {
        // SAFETY: as for `lease`; the field is aligned to its 8 bytes.
        unsafe { compare_exchange(&raw mut (*entry.as_ptr()).arrival_ns, expected_ns, arrival_ns) }
    }
}

/// True where an address lies in an allowed prefix.
#[inline(always)]
pub(crate) fn is_allowed(remote: &Address) -> bool {
    ALLOW.get(&Key::new(ADDRESS_BITS, remote.to_16())).is_some()
}

/// [`Clock::recent_ns`]: looks at the clock once a tick, for reading it costs as much as all the
/// rest.
#[inline(always)]
pub(crate) fn recent_ns() -> u64 {
    let Some(glance) = GLANCE.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's own element, and programs are not preempted by one another.
    let glance = unsafe { &mut *glance };
    // SAFETY: the helper has no preconditions.
    let coarse_ns = unsafe { bpf_ktime_get_coarse_ns() };
    if glance.coarse_ns != coarse_ns {
        glance.coarse_ns = coarse_ns;
        glance.boot_ns = now_ns();
    }
    glance.boot_ns
}

/// [`Clock::now_ns`].
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Keeps the compiler from making one call of this branch's and the other's: the kernel writes a
/// look-up out in place only where it is for one map (13 ns a packet).
#[inline(always)]
fn own_call(entry: *mut BlockEntry) -> *mut BlockEntry {
    let same: *mut BlockEntry;
    // SAFETY: a move of a register to itself: no instruction at all would leave line information
    // that the kernel refuses.
    unsafe { core::arch::asm!("{0} = {0}", inlateout(reg) entry => same, options(nostack)) };
    same
}

/// Writes `new` where `expected` still stands, in one instruction (`BPF_CMPXCHG`, kernel 5.12).
///
/// Written out, for the compiler has no atomics with a result on this target.
///
/// # Safety
/// `place` points to 8 aligned bytes of a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(place: *mut u64, expected: u64, new: u64) -> bool {
    let found: u64;
    // SAFETY: the instruction compares r0 with the 8 bytes at `place` and leaves in r0 what it
    // found there.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({place} + 0, r0, {new})",
            place = in(reg) place,
            new = in(reg) new,
            inlateout("r0") expected => found,
        );
    }
    found == expected
}
