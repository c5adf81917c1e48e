//! The pinned guard, only read: nobody waits for it, and no table is walked but that of prefixes.

use std::{net::IpAddr, path::Path};

use flows_common::{BlockStats, Direction, GuardCounters};
use ipnet::IpNet;

use super::{
    block::Blocked,
    error::KernelError,
    guard_maps::GuardMaps,
    pin::PinnedMaps,
    probe,
    service::{LimitedService, Service},
    shards::Cpus,
    slots::Slots,
    target::Target,
};

/// The guard that is pinned for the calling thread's network namespace.
#[derive(Debug)]
pub struct GuardReader(GuardMaps);

impl GuardReader {
    /// Opens it, whether or not a weir runs on it; `None` where nothing is pinned.
    ///
    /// # Errors
    /// [`KernelError::PinForeign`] where another version of weir pinned it,
    /// [`KernelError::MissingCapability`].
    pub fn pinned(bpffs: &Path) -> Result<Option<Self>, KernelError> {
        probe::require()?;
        let Some(pins) = PinnedMaps::look(bpffs)? else { return Ok(None) };
        GuardMaps::pinned(&pins, Cpus::read()?.possible).map(Self).map(Some)
    }

    /// The entries that hold an address, the narrowest first, each with its counts; `None` for those
    /// that share theirs with others.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn holding(
        &self,
        address: IpAddr,
    ) -> Result<Vec<(Blocked, Option<BlockStats>)>, KernelError> {
        let holding = self.0.holding(address)?;
        holding.into_iter().map(|one| Ok((one, self.counts(one.entry.slot)?))).collect()
    }

    /// The allowed prefixes that hold an address.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn allowing(&self, address: IpAddr) -> Result<Vec<IpNet>, KernelError> {
        let all = self.0.allowed()?;
        let prefixes = all.iter().filter_map(Target::prefix_of);
        Ok(prefixes.filter(|prefix| prefix.contains(&address.to_canonical())).collect())
    }

    /// The limited services, each with its counts.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn services(&self) -> Result<Vec<(LimitedService, Option<BlockStats>)>, KernelError> {
        let limits = self.0.limits()?.into_iter();
        limits
            .map(|(key, entry)| {
                let service = Service { protocol: key.protocol, port: key.port };
                Ok((LimitedService { service, entry }, self.counts(entry.slot)?))
            })
            .collect()
    }

    /// What the guard decided on what came in, since it was loaded.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn counters(&self) -> Result<GuardCounters, KernelError> {
        self.0.guard_counters(Direction::Ingress)
    }

    fn counts(&self, slot: u32) -> Result<Option<BlockStats>, KernelError> {
        if slot == Slots::SHARED { Ok(None) } else { self.0.stats(slot).map(Some) }
    }
}
