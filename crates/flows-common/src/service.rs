//! Limits by attacked service: the guard's ruling where the source of a packet is unproven.
//!
//! A flood from forged addresses cannot be stopped by source: each is new, and any of them may
//! belong to a third party. Its packets share a destination. So the *service* gets a rate, which
//! unknown remotes share; known remotes keep full service meanwhile, and no address is ever blocked
//! by it.
//!
//! Known remotes, and the reason that a forger is none:
//!
//! - A remote in the table of known peers. User space puts the proven peers of past windows
//!   there; the TC program puts a remote there that acknowledged this host's own initial sequence
//!   number ([`crate::account::News::PROVEN`]), which whoever forges an address does not see.
//!   Any other ACK to or from it would prove nothing: anybody can forge the one and provoke the
//!   other.
//! - A TCP segment of a connection that this host holds open, whatever the tables say: the host
//!   is asked for its socket. A half-open one does not count.
//!
//! A limit has two buckets of the same rate, one for what opens (a SYN, a datagram) and one for
//! TCP segments that do not: a flood of SYNs leaves the segment that ends an honest stranger's
//! handshake alone. Strangers share the first bucket with the flood; retransmission of their
//! SYNs gives them more than one chance, and whoever got through once is known.
//!
//! Limits of this: later fragments have no port, and count as port 0 of their protocol; a
//! forger who guesses the address of a known peer passes, as that peer would.
//!
//! Beside services, all TCP ports that nothing listens on have one limit together: [`Knocks`] says
//! whom it holds.

mod closed;

use crate::{
    Action, Direction, FlowKey, Held, Scope, TcpFlag,
    guard::{Cause, Clock, Lease, Rate, Ruling, is_alive, take_turn},
    parse::{Address, Packet, TCP, UDP},
};

pub use closed::{KNOCKS_NS, Knocks, SEVERAL, knocker};

/// Time that a remote stays known after it proved its address, to the kernel or to user space: 1 h.
///
/// As long as the policy holds a peer to be ordinary after its last visit: a client that pauses
/// between two visits keeps full service when a flood falls into the pause.
pub const VERIFIED_NS: u64 = 3_600_000_000_000;

/// A service of this host, whatever its address: a transport protocol and a local port.
///
/// Port 0 stands for packets of the protocol that have none: ICMP, and later fragments. Of TCP it
/// stands for all ports that nothing listens on ([`Self::CLOSED_PORTS`]).
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// The local port, in host order.
    pub port: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// Always zero: the kernel compares keys byte by byte.
    pub reserved: u8,
}

const _: () = assert!(size_of::<ServiceKey>() == 4 && align_of::<ServiceKey>() == 4);

/// The limit of one service.
///
/// As a [`crate::BlockEntry`], the kernel honours it until `expires_ns` and ignores it afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceEntry {
    /// When the limit stops counting, in ns of `CLOCK_BOOTTIME`.
    pub expires_ns: u64,
    /// When it was made, in ns of `CLOCK_BOOTTIME`.
    pub created_ns: u64,
    /// ns that one packet costs (10⁹ / packets per second), in each bucket.
    pub packet_cost_ns: u64,
    /// Greatest lead of a burst over the clock, in ns, in each bucket.
    pub burst_ns: u64,
    /// The theoretical arrival time of the next packet, by [`Bucket::index`], kept by the kernel.
    pub arrival_ns: [u64; 2],
    /// [`Action::RateLimit`] or [`Action::Shadow`], by its code.
    pub action: u32,
    /// Which decision made it; opaque to the kernel.
    pub reason: u32,
    /// Its element of the statistics array; slot 0 is shared by those that have none.
    pub slot: u32,
    /// Always zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<ServiceEntry>() == 64 && align_of::<ServiceEntry>() == 8);
const _: () = assert!(core::mem::offset_of!(ServiceEntry, arrival_ns) == 32);

/// A remote that proved its address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifiedPeer {
    /// Until when that counts, in ns of `CLOCK_BOOTTIME`.
    pub until_ns: u64,
}

const _: () = assert!(size_of::<VerifiedPeer>() == 8);

/// Budget that a packet of a stranger draws on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Openings: a SYN without ACK, a datagram.
    Opening,
    /// A TCP segment that does not open.
    Further,
}

impl Bucket {
    /// The place in [`ServiceEntry::arrival_ns`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Opening => 0,
            Self::Further => 1,
        }
    }
}

/// Remote, service and kind of an incoming packet: the part of it that matters to a limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The source.
    pub remote: Address,
    /// The destination.
    pub local: Address,
    /// The source port, 0 for none.
    pub remote_port: u16,
    /// The service.
    pub local_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 1: the packet opens nothing, and its bucket is [`Bucket::Further`].
    pub further: u8,
    /// Always zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Contact>() == 40);

impl Contact {
    /// The contact of a flow's remote with this host, amid a connection.
    #[inline(always)]
    #[must_use]
    pub fn of_flow(key: &FlowKey) -> Self {
        Self {
            remote: Address::of_v6(key.remote),
            local: Address::of_v6(key.local),
            remote_port: key.remote_port,
            local_port: key.local_port,
            protocol: key.protocol,
            further: 1,
            reserved: [0; 2],
        }
    }

    /// True where a socket of exactly this tuple may hold its connection: a datagram, or a
    /// segment that does not open.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_held(&self) -> bool {
        match self.protocol {
            TCP => self.further != 0,
            UDP => true,
            _ => false,
        }
    }

    /// The contact that a packet makes which goes this way.
    #[inline(always)]
    #[must_use]
    pub const fn of_way(packet: &Packet, direction: Direction) -> Self {
        let contact = Self::of(packet);
        match direction {
            Direction::Ingress => contact,
            Direction::Egress => Self {
                remote: contact.local,
                local: contact.remote,
                remote_port: contact.local_port,
                local_port: contact.remote_port,
                ..contact
            },
        }
    }

    /// The contact that an incoming packet makes.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet) -> Self {
        const HANDSHAKE: u8 =
            TcpFlag::Syn.bit() | TcpFlag::Ack.bit() | TcpFlag::Rst.bit() | TcpFlag::Fin.bit();
        let further = packet.tcp && packet.tcp_flags & HANDSHAKE != TcpFlag::Syn.bit();
        Self {
            remote: packet.source,
            local: packet.destination,
            remote_port: packet.source_port,
            local_port: packet.destination_port,
            protocol: packet.protocol,
            further: further as u8,
            reserved: [0; 2],
        }
    }

    /// The service's key.
    #[inline(always)]
    #[must_use]
    pub const fn service(&self) -> ServiceKey {
        ServiceKey { port: self.local_port, protocol: self.protocol, reserved: 0 }
    }

    /// Budget that it draws on.
    #[inline(always)]
    #[must_use]
    pub const fn bucket(&self) -> Bucket {
        if self.further == 0 { Bucket::Opening } else { Bucket::Further }
    }
}

/// Where the guard finds limits of services, and who is known.
pub trait Services: Clock {
    /// A handle on an entry.
    type Limit: Copy;

    /// The limit of a service.
    fn limit(&self, service: &ServiceKey) -> Option<Self::Limit>;

    /// Reads an entry's lease.
    fn limit_lease(&self, entry: Self::Limit) -> Lease;

    /// Reads an entry's rate.
    fn limit_rate(&self, entry: Self::Limit) -> Rate;

    /// Reads an element of [`ServiceEntry::arrival_ns`].
    fn arrival_ns(&self, entry: Self::Limit, bucket: Bucket) -> u64;

    /// Sets that element if it still is `expected_ns`; tells whether it was.
    fn advance(
        &self,
        entry: Self::Limit,
        bucket: Bucket,
        expected_ns: u64,
        arrival_ns: u64,
    ) -> bool;

    /// Until when a remote is known, 0 where it is not.
    fn verified_until_ns(&self, remote: &Address) -> u64;

    /// Makes a remote known.
    fn exempt(&self, remote: &Address, until_ns: u64);

    /// The address lies in an allowed prefix.
    fn is_allowed(&self, remote: &Address) -> bool;

    /// This host's hold on the contact's TCP connection.
    fn held(&self, contact: &Contact) -> Held;

    /// True of a TCP port that is open to the contact: the host has a socket there, or somebody
    /// completed a handshake there less than [`VERIFIED_NS`] before `now_ns`. Asked only while
    /// closed ports are limited.
    fn is_open(&self, contact: &Contact, now_ns: u64) -> bool;

    /// Knocks of a remote at closed ports so far.
    fn knocks(&self, remote: &Address) -> Knocks;

    /// Sets the knocks of a remote.
    fn set_knocks(&self, remote: &Address, knocks: Knocks);
}

/// Holds an incoming packet that no entry of a source decided against the limit of its service, or
/// where that has none, against that of closed ports; `None` where neither is there.
#[inline(always)]
pub fn rule_service<T: Services>(tables: &T, contact: &Contact) -> Option<Ruling> {
    let service = contact.service();
    let is_own = service.port != 0 || contact.protocol != TCP;
    let (entry, at_closed) = match tables.limit(&service) {
        Some(entry) if is_own => (entry, false),
        // A later fragment has no port of its own either.
        _ if contact.protocol == TCP && contact.remote_port != 0 => {
            (tables.limit(&ServiceKey::CLOSED_PORTS)?, true)
        }
        _ => return None,
    };
    let lease = tables.limit_lease(entry);
    let (alive, recent_ns) = is_alive(tables, lease.expires_ns);
    let mut ruling = Ruling { cause: Cause::Expired, slot: lease.slot, now_ns: recent_ns };
    let exempt = if !alive {
        Some(Cause::Expired)
    } else if tables.verified_until_ns(&contact.remote) > recent_ns {
        Some(Cause::Known)
    } else if tables.is_allowed(&contact.remote) {
        Some(Cause::Allowed)
    } else {
        None
    };
    if let Some(cause) = exempt {
        ruling.cause = cause;
        // Most packets are no matter of closed ports.
        return if at_closed { None } else { Some(ruling) };
    }
    if at_closed {
        if !knocks(tables, contact, recent_ns) {
            return None;
        }
    } else if contact.protocol == TCP
        && contact.further != 0
        && !matches!(tables.held(contact), Held::Nothing)
    {
        // So that what it opens next passes as well.
        tables.exempt(&contact.remote, recent_ns.saturating_add(VERIFIED_NS));
        ruling.cause = Cause::Known;
        return Some(ruling);
    }
    ruling.now_ns = tables.now_ns();
    let bucket = contact.bucket();
    let within = take_turn(
        &tables.limit_rate(entry),
        ruling.now_ns,
        || tables.arrival_ns(entry, bucket),
        |expected_ns, next_ns| tables.advance(entry, bucket, expected_ns, next_ns),
    );
    ruling.cause = match (within, Action::from_code(lease.action)) {
        (true, _) => Cause::ServiceBelowRate,
        (false, Some(Action::RateLimit)) => Cause::ServiceAboveRate,
        // An action this build does not know harms nobody, and is still counted.
        (false, _) => Cause::ServiceShadow,
    };
    Some(ruling)
}

/// True of a packet that the limit of closed ports holds: to one of them, or the opening of a remote
/// that knocked at several.
#[inline(always)]
fn knocks<T: Services>(tables: &T, contact: &Contact, now_ns: u64) -> bool {
    let opens = contact.further == 0;
    if tables.is_open(contact, now_ns) {
        return opens && tables.knocks(&contact.remote).are_several(now_ns);
    }
    if opens {
        let knocks = tables.knocks(&contact.remote).and(contact.local_port, now_ns);
        tables.set_knocks(&contact.remote, knocks);
    }
    true
}

impl Lease {
    /// The lease of a service's limit.
    #[inline(always)]
    #[must_use]
    pub const fn of_service(entry: &ServiceEntry) -> Self {
        Self {
            expires_ns: entry.expires_ns,
            action: entry.action,
            slot: entry.slot,
            scope: Scope::All.code(),
        }
    }
}

#[cfg(test)]
mod tests;
