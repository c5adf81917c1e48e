//! The limits of services in the kernel. See [`flows_common::service`] for what they do.

use core::{
    ffi::c_void,
    ptr::{self, NonNull},
};

use aya_ebpf::bindings::BPF_ANY;
use flows_common::{
    Direction, Held, Knocks, ServiceEntry, ServiceKey, Verdict, VerifiedPeer,
    guard::{Clock, Lease, Rate, Ruling},
    parse::Address,
    service::{Bucket, Contact, Services, VERIFIED_NS, knocker, rule_service},
};

use crate::{
    guard::{self, Hook, compare_exchange},
    maps::{KNOCKS, KNOWN, SERVED, SERVICE_LIMIT},
    socket,
};

/// Age at which a known remote's time is written anew, in ns: without it, each flow would write it.
const STALE_NS: u64 = VERIFIED_NS / 16;

/// Return values of [`hold`]: a scalar, for a structure would lie in its caller's memory.
mod outcome {
    pub(super) const NO_LIMIT: u32 = 0;
    pub(super) const PASS: u32 = 1;
    pub(super) const DROP: u32 = 2;
}

/// Holds an incoming packet against the limit of its service, and counts what becomes of it;
/// `None`, and nothing is counted, where the service has none.
#[inline(always)]
pub(crate) fn decide<H: Hook>(context: *mut c_void) -> Option<Verdict> {
    match hold::<H>(context) {
        outcome::NO_LIMIT => None,
        outcome::DROP => Some(Verdict::Drop),
        _ => Some(Verdict::Pass),
    }
}

/// A function of its own, which is called only where some service is limited: the way of all
/// other packets stays as short as it is. In one section with all such: aya 0.14 takes two at one
/// offset for the same.
#[cold]
#[inline(never)]
#[unsafe(link_section = ".text")]
fn hold<H: Hook>(context: *mut c_void) -> u32 {
    let hook = &H::of(context);
    let Some(ruling) = ruling(hook) else { return outcome::NO_LIMIT };
    guard::count(hook, ruling, Direction::Ingress);
    match ruling.verdict() {
        Verdict::Pass => outcome::PASS,
        Verdict::Drop => outcome::DROP,
    }
}

#[inline(always)]
fn ruling<H: Hook>(hook: &H) -> Option<Ruling> {
    let contact = socket::contact::<H>(hook.context(), Direction::Ingress)?;
    rule_service(&Limits { hook }, contact)
}

/// Makes a remote known that just proved its address.
#[inline(always)]
pub(crate) fn exempt(remote: &[u8; 16], until_ns: u64) {
    if let Some(known) = KNOWN.get_ptr_mut(remote) {
        // SAFETY: a map value, alive until the program returns (RCU), aligned to its 8 bytes;
        // volatile, for other CPUs may write it meanwhile, and any of their times will do.
        unsafe {
            let place = &raw mut (*known).until_ns;
            if until_ns.saturating_sub(ptr::read_volatile(place)) > STALE_NS {
                ptr::write_volatile(place, until_ns);
            }
        }
        return;
    }
    // Where the kernel has no entry to give at this moment, the next flow will do.
    let _ = KNOWN.insert(remote, VerifiedPeer { until_ns }, u64::from(BPF_ANY));
}

/// Notes that somebody completed a handshake at a TCP port.
#[inline(always)]
pub(crate) fn serve(port: u16, now_ns: u64) {
    if let Some(served) = SERVED.get_ptr_mut(u32::from(port)) {
        // SAFETY: a map value, aligned to its 8 bytes; volatile, for other CPUs may write it meanwhile,
        // and any of their times will do.
        unsafe { ptr::write_volatile(served, now_ns) };
    }
}

/// The tables of limits, for one packet.
struct Limits<'a, H> {
    hook: &'a H,
}

impl<H> Clock for Limits<'_, H> {
    #[inline(always)]
    fn recent_ns(&self) -> u64 {
        guard::recent_ns()
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        guard::now_ns()
    }
}

impl<H: Hook> Services for Limits<'_, H> {
    type Limit = NonNull<ServiceEntry>;

    #[inline(always)]
    fn limit(&self, service: &ServiceKey) -> Option<Self::Limit> {
        SERVICE_LIMIT.get_ptr_mut(service).and_then(NonNull::new)
    }

    #[inline(always)]
    fn limit_lease(&self, entry: Self::Limit) -> Lease {
        // SAFETY: a map value, alive until the program returns (RCU); user space replaces
        // entries rather than editing them.
        Lease::of_service(unsafe { entry.as_ref() })
    }

    #[inline(always)]
    fn limit_rate(&self, entry: Self::Limit) -> Rate {
        // SAFETY: as for `limit_lease`.
        let entry = unsafe { entry.as_ref() };
        Rate { packet_cost_ns: entry.packet_cost_ns, burst_ns: entry.burst_ns }
    }

    #[inline(always)]
    fn arrival_ns(&self, entry: Self::Limit, bucket: Bucket) -> u64 {
        // SAFETY: as for `limit_lease`; volatile, for other CPUs change it meanwhile.
        unsafe { ptr::read_volatile(arrival_of(entry, bucket)) }
    }

    #[inline(always)]
    fn advance(
        &self,
        entry: Self::Limit,
        bucket: Bucket,
        expected_ns: u64,
        arrival_ns: u64,
    ) -> bool {
        // SAFETY: as for `limit_lease`; the field is aligned to its 8 bytes.
        unsafe { compare_exchange(arrival_of(entry, bucket), expected_ns, arrival_ns) }
    }

    #[inline(always)]
    fn verified_until_ns(&self, remote: &Address) -> u64 {
        match KNOWN.get_ptr_mut(remote.to_16()) {
            // SAFETY: as for `arrival_ns`.
            Some(known) => unsafe { ptr::read_volatile(&raw const (*known).until_ns) },
            None => 0,
        }
    }

    #[inline(always)]
    fn exempt(&self, remote: &Address, until_ns: u64) {
        exempt(&remote.to_16(), until_ns);
    }

    #[inline(always)]
    fn is_allowed(&self, remote: &Address) -> bool {
        guard::is_allowed(remote)
    }

    #[inline(always)]
    fn held(&self, contact: &Contact) -> Held {
        socket::held(self.hook.context(), contact)
    }

    #[inline(always)]
    fn is_open(&self, contact: &Contact, now_ns: u64) -> bool {
        let served = SERVED.get_ptr_mut(u32::from(contact.local_port));
        // SAFETY: as for `arrival_ns`.
        let served_ns = served.map_or(0, |served| unsafe { ptr::read_volatile(served) });
        let lately = served_ns != 0 && now_ns < served_ns.saturating_add(VERIFIED_NS);
        lately || socket::is_taken(self.hook.context())
    }

    #[inline(always)]
    fn knocks(&self, remote: &Address) -> Knocks {
        match KNOCKS.get_ptr_mut(knocker(*remote)) {
            // SAFETY: as for `arrival_ns`.
            Some(knocks) => unsafe { ptr::read_volatile(knocks) },
            None => Knocks::default(),
        }
    }

    #[inline(always)]
    fn set_knocks(&self, remote: &Address, knocks: Knocks) {
        // Where the kernel has no entry to give at this moment, the next knock will do.
        let _ = KNOCKS.insert(knocker(*remote), knocks, u64::from(BPF_ANY));
    }
}

#[inline(always)]
fn arrival_of(entry: NonNull<ServiceEntry>, bucket: Bucket) -> *mut u64 {
    // SAFETY: an element of the entry's array.
    unsafe { (&raw mut (*entry.as_ptr()).arrival_ns).cast::<u64>().add(bucket.index()) }
}
