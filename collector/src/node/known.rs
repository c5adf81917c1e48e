//! Knowledge of the blocks that the node made, by itself or for a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use events::Action;
use flows_common::Scope;
use ipnet::IpNet;
use ledger::{Moment, Origin};
use policy::ProtectedHosts;
use serde::{Deserialize, Serialize};

use datapath::Target;

/// Facts of a block beyond the kernel's entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownBlock {
    /// Its number; the entry's `reason` is its lower half.
    pub(super) id: u64,
    pub(super) origin: Origin,
    /// The part of the target's packets that it is on.
    pub(super) scope: Scope,
    /// As the kernel's entry has it.
    pub(super) action: Action,
    pub(super) who: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) decision: Option<u64>,
    pub(super) p_value: Option<f64>,
    pub(super) offence: Option<u32>,
    /// Drawn by lot to end early.
    pub(super) early: bool,
    pub(super) made: Moment,
    pub(super) expires: Moment,
}

/// Facts of a prefix that a person allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PersonAllowed {
    pub(super) who: String,
    pub(super) since: jiff::Timestamp,
    pub(super) expires: Option<jiff::Timestamp>,
    /// The same on the boot clock, which no one sets: what counts while the node runs.
    #[serde(skip)]
    pub(super) expires_ns: Option<u64>,
    pub(super) note: Option<String>,
}

/// Protected hosts by where they are known from; the policy holds their union.
#[derive(Clone, Debug, Default)]
pub(super) struct ProtectedBy {
    /// The reader: own addresses, gateways, name servers, remote log-ins.
    pub(super) reader: ProtectedHosts,
    /// Clients of the API, by when they were last heard of, in ns of the boot clock.
    pub(super) clients: BTreeMap<IpAddr, u64>,
    pub(super) files: Vec<IpNet>,
    pub(super) people: BTreeMap<IpNet, PersonAllowed>,
    /// Prefixes that the kernel passes whatever is blocked.
    pub(super) in_kernel: BTreeSet<IpNet>,
}

impl ProtectedBy {
    /// As the policy is told of it.
    pub(super) fn hosts(&self) -> ProtectedHosts {
        let mut hosts = self.reader.clone();
        hosts.administrators.extend(self.clients.keys());
        hosts.allowed = self.files.iter().chain(self.people.keys()).copied().collect();
        hosts
    }

    /// The prefix that the kernel passes and that shares addresses with this one.
    pub(super) fn overlap_in_kernel(&self, net: IpNet) -> Option<IpNet> {
        self.in_kernel.iter().copied().find(|one| one.contains(&net) || net.contains(one))
    }
}

/// The blocks that are known, by target.
pub(super) type KnownBlocks = BTreeMap<Target, KnownBlock>;
