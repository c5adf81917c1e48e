//! Ground truth of a run: each attack with its addresses, kind and time.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{AttackClass, LabError, Moment};

/// Ground truth of a run, written beside its capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroundTruth {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's seed.
    pub seed: u64,
    /// The protected host's addresses.
    pub host: Vec<IpAddr>,
    /// The benign clients' addresses: whatever they did was benign.
    pub clients: Vec<IpAddr>,
    /// The attacks, in the order in which they began.
    pub attacks: Vec<AttackTruth>,
}

impl GroundTruth {
    /// Writes it as JSON, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), LabError> {
        let failed = |source| LabError::File { doing: "write", path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        let draft = path.with_extension("draft");
        fs::write(&draft, text + "\n").map_err(failed)?;
        fs::rename(&draft, path).map_err(failed)
    }

    /// Reads it back.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let failed = |source| LabError::File { doing: "read", path: path.to_owned(), source };
        let text = fs::read(path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))
    }
}

/// An attack as it really went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackTruth {
    /// The attack's name in its scenario.
    pub name: String,
    /// Kind of attack.
    pub class: AttackClass,
    /// The addresses the host saw: one real one, or those of each spoofed source.
    pub sources: Sources,
    /// The attacked address of the protected host.
    pub victim: IpAddr,
    /// The transport: `tcp`, `udp` or `icmp`.
    pub transport: Transport,
    /// First and last attacked port, or of the attacker's where the victim connects; none for
    /// ICMP.
    pub ports: Option<[u16; 2]>,
    /// True where the protected host opens the flows (exfiltration, beaconing).
    pub initiated_by_the_victim: bool,
    /// The VLAN id of its frames, if they are tagged.
    pub vlan: Option<u16>,
    /// Read right before the first frame was handed to the kernel; of a synthetic attack, the
    /// first frame's time.
    pub began: Moment,
    /// Read right after the last one; of a synthetic attack, the last frame's time.
    pub ended: Moment,
    /// Packets and bytes sent.
    pub sent: Sent,
}

/// Source addresses of an attack's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Sources {
    /// The attacker's own address.
    Real {
        /// The address.
        address: IpAddr,
    },
    /// Addresses drawn from a network, none of which is the attacker's.
    Spoofed {
        /// The network's first address.
        network: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// The attacker's own address.
        attacker: IpAddr,
    },
    /// The addresses of a network that the victim turned to, where it opens the flows.
    Network {
        /// The network's first address.
        network: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
}

impl Sources {
    /// True for an address that is one of the sources.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match *self {
            Self::Real { address: own } => own == address,
            Self::Spoofed { network, prefix, .. } | Self::Network { network, prefix } => {
                is_in(address, network, prefix)
            }
        }
    }

    /// True where the source addresses are forged.
    #[must_use]
    pub const fn are_spoofed(&self) -> bool {
        matches!(self, Self::Spoofed { .. })
    }
}

/// The transport of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP or ICMPv6.
    Icmp,
}

/// Amount that an attack sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Frames that were crafted and accepted by the kernel, none by attacks over sockets; of a
    /// synthetic attack all frames from the side that attacks.
    pub frames: u64,
    /// Frames the kernel refused for want of room, which never left.
    pub refused_frames: u64,
    /// Connections (or, for the DNS channel, queries) that were begun.
    pub connections: u64,
    /// Payload bytes handed to sockets, or in the frames of a synthetic attack.
    pub bytes: u64,
}

fn is_in(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let distance = address.to_bits() ^ network.to_bits();
            distance.checked_shr(32 - u32::from(prefix.min(32))).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let distance = address.to_bits() ^ network.to_bits();
            distance.checked_shr(128 - u32::from(prefix.min(128))).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoofed_sources_are_those_of_the_network() {
        let spoofed = Sources::Spoofed {
            network: "203.0.113.0".parse().unwrap(),
            prefix: 25,
            attacker: "198.51.100.10".parse().unwrap(),
        };
        assert!(spoofed.contains("203.0.113.127".parse().unwrap()));
        assert!(!spoofed.contains("203.0.113.128".parse().unwrap()));
        assert!(!spoofed.contains("198.51.100.10".parse().unwrap()));
        assert!(!spoofed.contains("2001:db8::1".parse().unwrap()));
    }
}
