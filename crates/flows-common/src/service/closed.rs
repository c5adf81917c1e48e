//! The limit of closed ports: TCP ports of this host that nothing listens on.
//!
//! A scan with decoys comes from many addresses, of which all but one belong to third parties. What
//! they have in common is that they knock where nothing listens. So closed ports have a limit that all
//! unproven sources share ([`ServiceKey::CLOSED_PORTS`]), and whoever knocked at several of them lately
//! shares it for the connections that it would open at others, too: a scanner does not learn from
//! what goes unanswered which ports are open.
//!
//! Open is a port at which the host has a socket, or at which somebody completed a handshake in the
//! last hour: behind a rule that hands connections on, to a container say, there is no socket here.
//! Known remotes, segments of connections, and the openings of who did not knock are left alone.
//!
//! Limits of this: a service behind such a rule that nobody used for an hour is closed until its next
//! connection; of datagrams there is no limit of this kind, for there a handshake tells nothing.

use crate::{parse::Address, service::ServiceKey};

/// Distinct closed ports, one after the other, from which on a remote's openings are held to the
/// limit of closed ports: a client that tries a service that is down again and again knocks at one.
pub const SEVERAL: u32 = 4;

/// Time without a knock after which knocks are counted anew, in ns: a minute.
pub const KNOCKS_NS: u64 = 60_000_000_000;

impl ServiceKey {
    /// TCP's closed ports. No service listens at port 0.
    pub const CLOSED_PORTS: Self = Self { port: 0, protocol: crate::parse::TCP, reserved: 0 };
}

/// Knocks of a remote, IPv6 by /64, at closed ports while these were limited.
///
/// Other CPUs may write it meanwhile, and a knock may be lost by it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knocks {
    /// Time of the last one, in ns of the boot clock.
    pub last_ns: u64,
    /// Knocks at another port than the one before.
    pub ports: u32,
    /// Port of the last one.
    pub last_port: u32,
}

const _: () = assert!(size_of::<Knocks>() == 16);

impl Knocks {
    /// These, and one more.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, port: u16, now_ns: u64) -> Self {
        let before = if self.is_over(now_ns) { 0 } else { self.ports };
        let is_other = before == 0 || self.last_port != port as u32;
        let ports = if is_other { before.saturating_add(1) } else { before };
        Self { last_ns: now_ns, ports, last_port: port as u32 }
    }

    /// True of a remote that knocked at several ports lately.
    #[inline(always)]
    #[must_use]
    pub const fn are_several(self, now_ns: u64) -> bool {
        self.ports >= SEVERAL && !self.is_over(now_ns)
    }

    #[inline(always)]
    const fn is_over(self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns) > KNOCKS_NS
    }
}

/// The remote whose knocks are counted together: an address, or the /64 of an IPv6 one.
#[inline(always)]
#[must_use]
pub const fn knocker(remote: Address) -> [u8; 16] {
    let is_v4 = remote.v4().is_some();
    let address = u128::from_be_bytes(remote.to_16());
    if is_v4 { address.to_be_bytes() } else { (address >> 64 << 64).to_be_bytes() }
}
