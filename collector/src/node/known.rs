//! What the node knows of the blocks that it, or a person by it, made.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use ledger::{Moment, Origin};
use policy::Protected;
use serde::{Deserialize, Serialize};

use crate::surroundings::Surroundings;
use datapath::Target;

/// What is known of a block beyond the kernel's entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownBlock {
    /// Its number; the entry's `reason` is its lower half.
    pub(super) id: u64,
    pub(super) origin: Origin,
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

/// What a person allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PersonAllowed {
    pub(super) who: String,
    pub(super) since: jiff::Timestamp,
    pub(super) expires: Option<jiff::Timestamp>,
    pub(super) note: Option<String>,
}

/// Everything that is never blocked, by where that comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowlist {
    pub(super) surroundings: Surroundings,
    /// Clients of the API, by when they were last heard of, in ns of the boot clock.
    pub(super) clients: BTreeMap<IpAddr, u64>,
    pub(super) files: Vec<IpNet>,
    pub(super) people: BTreeMap<IpNet, PersonAllowed>,
}

impl Allowlist {
    /// As the policy is told of it.
    pub(super) fn protected(&self) -> Protected {
        let around = &self.surroundings;
        let administrators: BTreeSet<IpAddr> =
            around.administrators.iter().chain(self.clients.keys()).copied().collect();
        Protected {
            own: around.own.clone(),
            gateways: around.gateways.clone(),
            resolvers: around.resolvers.clone(),
            administrators,
            allowed: self.files.iter().chain(self.people.keys()).copied().collect(),
        }
    }
}

/// The blocks that are known, by target.
pub(super) type KnownBlocks = BTreeMap<Target, KnownBlock>;
