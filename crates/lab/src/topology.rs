//! Topology of a lab, as asked for.

use serde::{Deserialize, Serialize};

use crate::LabError;

/// The most clients a lab holds.
pub const MAX_CLIENTS: usize = 64;
/// The most attackers a lab holds.
pub const MAX_ATTACKERS: usize = 32;

/// The shape of a lab: one protected host, its clients and its attackers around a switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// The lab's id, part of each namespace's name: 1 to 16 of `a-z`, `0-9`. A random one if
    /// none is given.
    pub id: Option<String>,
    /// Benign clients, 1 to [`MAX_CLIENTS`].
    pub clients: usize,
    /// Attackers, 0 to [`MAX_ATTACKERS`].
    pub attackers: usize,
    /// Gives the protected host a second interface, `eth1`, on a switch of its own; clients and
    /// attackers are then dealt to the two in turn (even indices on `eth0`, odd ones on `eth1`).
    pub second_interface: bool,
    /// Interfaces keep checksum, segmentation, GRO and VLAN offloads. Without them
    /// each frame passes every interface as it would pass a wire, so that frame and byte counts
    /// can be compared exactly.
    pub offloads: bool,
}

impl Default for Topology {
    fn default() -> Self {
        Self { id: None, clients: 6, attackers: 2, second_interface: false, offloads: true }
    }
}

impl Topology {
    /// Number of switches, and of interfaces of the protected host.
    #[must_use]
    pub fn segments(&self) -> usize {
        1 + usize::from(self.second_interface)
    }

    pub(crate) fn check(&self) -> Result<(), LabError> {
        bounded("clients", self.clients, 1, MAX_CLIENTS)?;
        bounded("attackers", self.attackers, 0, MAX_ATTACKERS)?;
        match &self.id {
            Some(id) if !is_id(id) => Err(LabError::Invalid(format!(
                "the lab id `{id}` must be 1 to 16 lower-case letters and digits"
            ))),
            _ => Ok(()),
        }
    }
}

fn bounded(name: &str, value: usize, least: usize, most: usize) -> Result<(), LabError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(LabError::Invalid(format!("`{name}` must be {least} to {most}, got {value}")))
    }
}

/// True where `id` may be part of a namespace's name.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=16).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_out_of_bounds_are_refused_with_the_bound() {
        let topology = Topology { clients: 65, ..Topology::default() };
        assert_eq!(topology.check().unwrap_err().to_string(), "`clients` must be 1 to 64, got 65");
    }

    #[test]
    fn an_id_that_is_no_name_is_refused() {
        for id in ["", "Demo", "a/b", "abcdefghijklmnopq", ".."] {
            assert!(!is_id(id), "{id}");
        }
        assert!(is_id("demo7"));
    }
}
