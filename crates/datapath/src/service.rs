//! Limits by attacked service: what [`super::Blocklist`] does against floods from forged sources.
//!
//! See [`flows_common::service`] for what the kernel makes of a limit, and who is exempt.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr},
    os::fd::AsFd as _,
};

use flows_common::{
    Action, ServiceEntry, ServiceKey, VerifiedPeer,
    parse::{ICMP, ICMPV6, TCP, UDP},
};

use super::{
    block::RateLimit,
    blocklist::Blocklist,
    error::KernelError,
    guard_maps::GuardMaps,
    shards::{SERVICE_CAPACITY, VERIFIED_CAPACITY},
    slots::Slots,
    syscall::{self, Batch},
};

/// A service of this host, on any of its addresses of both families.
///
/// Port 0 means the protocol's packets that have none: ICMP, and later fragments; of TCP, all ports
/// that nothing listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// The IP protocol number, after any IPv6 extension headers.
    pub protocol: u8,
    /// The local port.
    pub port: u16,
}

impl Service {
    /// All TCP ports that nothing listens on ([`ServiceKey::CLOSED_PORTS`]).
    pub const CLOSED_PORTS: Self = Self { protocol: TCP, port: 0 };

    fn key(self) -> ServiceKey {
        ServiceKey { port: self.port, protocol: self.protocol, reserved: 0 }
    }
}

/// `tcp/443`, as configurations and events spell it.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            TCP if self.port == 0 => f.write_str("closed ports")?,
            TCP => f.write_str("tcp")?,
            UDP => f.write_str("udp")?,
            ICMP => f.write_str("icmp")?,
            ICMPV6 => f.write_str("icmpv6")?,
            other => write!(f, "protocol {other}")?,
        }
        if self.port == 0 { Ok(()) } else { write!(f, "/{}", self.port) }
    }
}

/// Rate and lease of what strangers together may send to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimit {
    /// The rate that strangers share: once for what opens (SYNs, datagrams), once more for TCP
    /// segments that do not.
    pub rate: RateLimit,
    /// Action above the rate: [`Action::Shadow`] counts and passes, any other drops.
    pub action: Action,
    /// End of the limit, in ns of the boot clock ([`super::boot_ns`]).
    pub expires_ns: u64,
    /// Identifier of the decision that made it; opaque to the kernel.
    pub reason: u32,
}

impl ServiceLimit {
    /// The kernel's form of it, in place of what was `before`.
    ///
    /// The buckets stay as full as they were where the rate is the same: a flood renews its limit
    /// with every window, and must not get a burst each time.
    #[must_use]
    pub fn entry(&self, now_ns: u64, slot: u32, before: Option<&ServiceEntry>) -> ServiceEntry {
        let (packet_cost_ns, burst_ns) = self.rate.cost_and_burst_ns();
        let arrival_ns = before
            .filter(|before| (before.packet_cost_ns, before.burst_ns) == (packet_cost_ns, burst_ns))
            .map_or([0; 2], |before| before.arrival_ns);
        let action = match self.action {
            Action::Shadow => Action::Shadow,
            Action::RateLimit | Action::Drop => Action::RateLimit,
        };
        ServiceEntry {
            expires_ns: self.expires_ns,
            created_ns: now_ns,
            packet_cost_ns,
            burst_ns,
            arrival_ns,
            action: action.code(),
            reason: self.reason,
            slot,
            reserved: 0,
        }
    }
}

/// Live limit, as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedService {
    /// Limited service.
    pub service: Service,
    /// The entry.
    pub entry: ServiceEntry,
}

/// Count of remotes known to have proved their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedCount {
    /// Remotes whose time is not over.
    pub known: usize,
    /// Remotes that there is room for; beyond it the least recently seen go.
    pub capacity: u32,
}

impl Blocklist {
    /// Limits what strangers may send to a service, or replaces its limit; returns what the
    /// kernel now holds. No address is blocked by it.
    ///
    /// A replaced limit keeps its statistics ([`Self::stats`] of the entry's slot) and, where the
    /// rate stays, what its buckets hold. In force when this returns; at most 256 services.
    ///
    /// # Errors
    /// [`KernelError::BlocklistFull`], [`KernelError::LimitNotKept`].
    pub fn limit_service(
        &self,
        service: Service,
        limit: &ServiceLimit,
        now_ns: u64,
    ) -> Result<ServiceEntry, KernelError> {
        let mut state = self.state();
        let before = self.maps.limit(service)?;
        let slot = before.map_or_else(|| state.slots.give(), |entry| entry.slot);
        let entry = limit.entry(now_ns, slot, before.as_ref());
        if let Err(error) = self.maps.put_limit(service, &entry) {
            if before.is_none() {
                state.slots.give_back(slot);
            }
            return Err(error);
        }
        self.maps.tell()?;
        match self.maps.limit(service)? {
            // The kernel may have taken turns since.
            Some(kept) if ServiceEntry { arrival_ns: entry.arrival_ns, ..kept } == entry => {
                Ok(kept)
            }
            kept => Err(KernelError::LimitNotKept {
                service: service.to_string(),
                wrote: format!("{entry:?}"),
                read: format!("{kept:?}"),
            }),
        }
    }

    /// Lifts a service's limit; tells whether there was one.
    ///
    /// # Errors
    /// The tables cannot be read or written.
    pub fn lift_service(&self, service: Service) -> Result<bool, KernelError> {
        let mut state = self.state();
        let Some(entry) = self.maps.limit(service)? else { return Ok(false) };
        let removed = syscall::delete(self.maps.services.as_fd(), &service.key())
            .map_err(KernelError::system("lift a service's limit"))?;
        if removed {
            if entry.slot != Slots::SHARED {
                self.maps.clear_stats(entry.slot)?;
            }
            state.slots.give_back(entry.slot);
            self.maps.tell()?;
        }
        Ok(removed)
    }

    /// The limit of a service, one past its lease included.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn service(&self, service: Service) -> Result<Option<ServiceEntry>, KernelError> {
        self.maps.limit(service)
    }

    /// All limits, those past their lease included, by service.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn services(&self) -> Result<Vec<LimitedService>, KernelError> {
        let mut limits: Vec<LimitedService> = self
            .maps
            .limits()?
            .into_iter()
            .map(|(key, entry)| LimitedService {
                service: Service { protocol: key.protocol, port: key.port },
                entry,
            })
            .collect();
        limits.sort_by_key(|limited| limited.service);
        Ok(limits)
    }

    /// Turns all limits to shadow, rates and leases as they are.
    ///
    /// # Errors
    /// The tables cannot be read or written.
    pub fn shadow_services(&self) -> Result<(), KernelError> {
        let _state = self.state();
        let shadow = Action::Shadow.code();
        for (key, entry) in self.maps.limits()? {
            if entry.action != shadow {
                let service = Service { protocol: key.protocol, port: key.port };
                self.maps.put_limit(service, &ServiceEntry { action: shadow, ..entry })?;
            }
        }
        Ok(())
    }

    /// Lifts the limits past their lease and returns them. The kernel ignores them anyway: this
    /// makes room, and packets are no longer parsed for them.
    ///
    /// # Errors
    /// The tables cannot be read or written.
    pub fn expire_services(&self, now_ns: u64) -> Result<Vec<LimitedService>, KernelError> {
        let mut expired = self.services()?;
        expired.retain(|limited| limited.entry.expires_ns <= now_ns);
        for limited in &expired {
            // A limit renewed since the list was read stays.
            let renewed =
                self.maps.limit(limited.service)?.is_some_and(|entry| entry.expires_ns > now_ns);
            if !renewed {
                self.lift_service(limited.service)?;
            }
        }
        Ok(expired)
    }

    /// Makes remotes known, so that no limit of a service holds for them until `until_ns` (boot
    /// clock); returns how many are known now that were not known as long before.
    ///
    /// For peers that proved their address in past windows; the kernel adds those that do while
    /// it runs ([`flows_common::service::VERIFIED_NS`]). A time that is longer already stays.
    ///
    /// # Errors
    /// [`KernelError::PeersNotKept`] where more are given than the table has room for, of which
    /// the last ones are known then.
    pub fn exempt(&self, remotes: &[IpAddr], until_ns: u64) -> Result<usize, KernelError> {
        let known = self.maps.known.as_fd();
        let failed = || KernelError::system("make a peer known");
        let mut written = Vec::new();
        for remote in remotes {
            let key = key_of(*remote);
            let before: Option<VerifiedPeer> = syscall::lookup(known, &key).map_err(failed())?;
            if before.is_none_or(|before| before.until_ns < until_ns) {
                syscall::update(known, &key, &VerifiedPeer { until_ns }, syscall::ANY)
                    .map_err(failed())?;
                written.push(key);
            }
        }
        let mut kept = 0;
        for key in &written {
            let after: Option<VerifiedPeer> = syscall::lookup(known, key).map_err(failed())?;
            kept += usize::from(after.is_some_and(|after| after.until_ns >= until_ns));
        }
        if kept == written.len() {
            return Ok(kept);
        }
        Err(KernelError::PeersNotKept { wrote: written.len(), kept, capacity: VERIFIED_CAPACITY })
    }

    /// True where a remote is known at a time.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn is_known(&self, remote: IpAddr, now_ns: u64) -> Result<bool, KernelError> {
        let found: Option<VerifiedPeer> = syscall::lookup(self.maps.known.as_fd(), &key_of(remote))
            .map_err(KernelError::system("look a known peer up"))?;
        Ok(found.is_some_and(|peer| peer.until_ns > now_ns))
    }

    /// Count of remotes known at a time. Reads them all.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn known(&self, now_ns: u64) -> Result<VerifiedCount, KernelError> {
        let (mut keys, mut peers) = (Vec::<[u8; 16]>::new(), Vec::<VerifiedPeer>::new());
        syscall::read_batches(self.maps.known.as_fd(), Batch::Read, &mut keys, &mut peers)
            .map_err(KernelError::system("list the known peers"))?;
        let known = peers.iter().filter(|peer| peer.until_ns > now_ns).count();
        Ok(VerifiedCount { known, capacity: VERIFIED_CAPACITY })
    }
}

impl GuardMaps {
    fn limit(&self, service: Service) -> Result<Option<ServiceEntry>, KernelError> {
        syscall::lookup(self.services.as_fd(), &service.key())
            .map_err(KernelError::system("read a service's limit"))
    }

    /// Every limit.
    pub(super) fn limits(&self) -> Result<Vec<(ServiceKey, ServiceEntry)>, KernelError> {
        let (mut keys, mut entries) = (Vec::new(), Vec::new());
        syscall::read_batches(self.services.as_fd(), Batch::Read, &mut keys, &mut entries)
            .map_err(KernelError::system("list the limits of services"))?;
        Ok(keys.into_iter().zip(entries).collect())
    }

    fn put_limit(&self, service: Service, entry: &ServiceEntry) -> Result<(), KernelError> {
        let refused = |source: io::Error| match source.raw_os_error() {
            Some(libc::E2BIG) => KernelError::BlocklistFull {
                table: "service limit",
                capacity: SERVICE_CAPACITY,
                remedy: "lift some",
            },
            _ => KernelError::System { action: "limit a service", source },
        };
        syscall::update(self.services.as_fd(), &service.key(), entry, syscall::ANY).map_err(refused)
    }
}

/// The 16-byte form of an address.
fn key_of(remote: IpAddr) -> [u8; 16] {
    match remote.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_spelled_by_protocol_and_port() {
        for (protocol, port, wanted) in [
            (TCP, 443, "tcp/443"),
            (TCP, 0, "closed ports"),
            (UDP, 53, "udp/53"),
            (ICMP, 0, "icmp"),
            (ICMPV6, 0, "icmpv6"),
            (132, 9, "protocol 132/9"),
        ] {
            assert_eq!(Service { protocol, port }.to_string(), wanted);
        }
    }

    #[test]
    fn a_burst_of_one_leaves_no_time_ahead() {
        let rate = RateLimit { packets_per_second: 1_000, burst_packets: 1 };
        let limit = ServiceLimit { rate, action: Action::RateLimit, expires_ns: 9, reason: 4 };
        let entry = limit.entry(5, 2, None);
        assert_eq!((entry.packet_cost_ns, entry.burst_ns), (1_000_000, 0));
        assert_eq!((entry.expires_ns, entry.created_ns, entry.slot, entry.reason), (9, 5, 2, 4));
    }

    #[test]
    fn a_renewed_limit_gives_no_burst_anew_and_one_of_another_rate_does() {
        let rate = RateLimit { packets_per_second: 500, burst_packets: 500 };
        let limit = ServiceLimit { rate, action: Action::RateLimit, expires_ns: 9, reason: 4 };
        let used = ServiceEntry { arrival_ns: [700, 800], ..limit.entry(5, 2, None) };
        let renewed = ServiceLimit { expires_ns: 60, ..limit }.entry(6, 2, Some(&used));
        assert_eq!((renewed.arrival_ns, renewed.expires_ns), ([700, 800], 60));
        let rate = RateLimit { packets_per_second: 400, ..rate };
        let other = ServiceLimit { rate, ..limit }.entry(6, 2, Some(&used));
        assert_eq!(other.arrival_ns, [0, 0]);
    }
}
