//! Attacks of a scenario.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::raw::{duration, within};
use crate::{AttackClass, Family};

/// The most frames, connections or requests an attack may send in a second.
const MAX_RATE: u32 = 50_000;
/// The most frames one attack may send in all.
const MAX_FRAMES: u64 = 2_000_000;

/// Addresses that a scan hides among.
pub(crate) const DECOYS: u8 = 10;

/// An attack by one attacker.
#[derive(Clone, Debug, PartialEq)]
pub struct Attack {
    /// Its name, unique in its scenario.
    pub name: String,
    /// Kind of attack.
    pub does: AttackPlan,
    /// The attacker's index.
    pub attacker: usize,
    /// Over which family.
    pub family: Family,
    /// Start, where the scenario is run as a whole.
    pub start: Duration,
    /// Duration.
    pub duration: Duration,
    /// Seed of its randomness.
    pub seed: u64,
}

impl Attack {
    /// An attack of this plan by the first attacker, over IPv4, at once, named by its class.
    pub fn new(does: AttackPlan, duration: Duration) -> Result<Self, crate::LabError> {
        let attack = Self {
            name: does.class().name().to_owned(),
            does,
            attacker: 0,
            family: Family::V4,
            start: Duration::ZERO,
            duration,
            seed: 42,
        };
        attack.check().map_err(crate::LabError::Invalid)?;
        Ok(attack)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let bounds = Duration::from_millis(100)..=Duration::from_mins(30);
        if !bounds.contains(&self.duration) {
            return Err(format!(
                "`duration` of an attack must be 100ms to 30m, got {}",
                humantime::format_duration(self.duration)
            ));
        }
        self.does.check()?;
        let frames = u64::from(self.does.frame_rate().unwrap_or(0)) * self.duration.as_secs();
        if frames > MAX_FRAMES {
            return Err(format!(
                "`rate` times `duration` must be at most {MAX_FRAMES} frames, got {frames}"
            ));
        }
        Ok(())
    }
}

/// Channel by which data leaves the protected host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A single upload over TCP.
    Tcp,
    /// Long names in queries to port 53.
    Dns,
}

/// In whose name a scan is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanGuise {
    /// The attacker's own.
    #[default]
    Own,
    /// The attacker's own, with a SYN-ACK that nobody asked for at the beginning and now and then.
    SynAckFirst,
    /// The attacker's own, each SYN among ten like it from addresses that are not his.
    Decoys,
    /// Ever other addresses of the one network that is kept for spoofed sources: a prober's /64.
    Network,
    /// The first benign client's.
    Client,
}

/// An attack with its measures; `vlan` sends tagged frames, which the protected host's own stack
/// does not answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AttackPlan {
    /// Crafted SYNs to each port of a range, in random order, over and over.
    SynScan {
        /// First and last port.
        #[serde(default = "low_ports")]
        ports: [u16; 2],
        /// SYNs per second.
        #[serde(default = "scan_rate")]
        rate: u32,
        /// The tag's VLAN id.
        #[serde(default)]
        vlan: Option<u16>,
        /// In whose name.
        #[serde(default)]
        guise: ScanGuise,
    },
    /// Crafted SYNs, one at a time.
    LowAndSlowScan {
        /// First and last port.
        #[serde(default = "low_ports")]
        ports: [u16; 2],
        /// Time between two SYNs, give or take a quarter.
        #[serde(with = "duration", default = "scan_pause")]
        period: Duration,
    },
    /// Crafted SYNs to one port from random ports of the attacker's own address, or from one.
    SynFlood {
        /// The port.
        #[serde(default = "http")]
        port: u16,
        /// SYNs per second.
        #[serde(default = "flood_rate")]
        rate: u32,
        /// The tag's VLAN id.
        #[serde(default)]
        vlan: Option<u16>,
        /// The port that all of them come from.
        #[serde(default)]
        source_port: Option<u16>,
    },
    /// The same, from random addresses of the range kept for spoofed sources.
    SpoofedSynFlood {
        /// The port.
        #[serde(default = "http")]
        port: u16,
        /// SYNs per second.
        #[serde(default = "flood_rate")]
        rate: u32,
        /// Time in which that rate is come to, evenly.
        #[serde(with = "duration", default)]
        ramp: Duration,
    },
    /// Crafted datagrams from the attacker's own address.
    UdpFlood {
        /// The port; a random one for each datagram if none.
        #[serde(default)]
        port: Option<u16>,
        /// Payload bytes.
        #[serde(default = "datagram_payload")]
        payload: u16,
        /// Datagrams per second.
        #[serde(default = "flood_rate")]
        rate: u32,
        /// The tag's VLAN id.
        #[serde(default)]
        vlan: Option<u16>,
    },
    /// Crafted echo requests from the attacker's own address.
    IcmpFlood {
        /// Payload bytes.
        #[serde(default = "echo_payload")]
        payload: u16,
        /// Requests per second.
        #[serde(default = "flood_rate")]
        rate: u32,
        /// The tag's VLAN id.
        #[serde(default)]
        vlan: Option<u16>,
    },
    /// Real connections to port 22, three wrong passwords each.
    SshBruteForce {
        /// Connections per second.
        #[serde(default = "login_rate")]
        rate: u32,
    },
    /// Real connections to port 80 that send a few bytes of a header now and then.
    SlowHttp {
        /// Connections held open.
        #[serde(default = "slow_connections")]
        connections: u32,
        /// Time between two drips of one connection.
        #[serde(with = "duration", default = "one_second")]
        drip: Duration,
    },
    /// The protected host uploads to the attacker.
    Exfiltration {
        /// Through what.
        #[serde(default = "tcp")]
        channel: Channel,
        /// Rate.
        #[serde(default = "upload_rate")]
        bytes_per_second: u64,
    },
    /// The protected host connects to the attacker's port 8443, says a little and leaves.
    Beaconing {
        /// Time between two connections.
        #[serde(with = "duration", default = "five_seconds")]
        period: Duration,
        /// Largest share of the period by which the time varies, 0 to 0.5.
        #[serde(default = "small_jitter")]
        jitter: f64,
    },
    /// The protected host connects to one port of ever other addresses of the network that is kept for
    /// spoofed sources, where nobody answers.
    OutboundScan {
        /// The port.
        #[serde(default = "smb")]
        port: u16,
        /// Connections per second.
        #[serde(default = "login_rate")]
        rate: u32,
    },
}

impl AttackPlan {
    /// The classes that there are plans of.
    pub const CLASSES: [AttackClass; 11] = [
        AttackClass::SynScan,
        AttackClass::LowAndSlowScan,
        AttackClass::SynFlood,
        AttackClass::SpoofedSynFlood,
        AttackClass::UdpFlood,
        AttackClass::IcmpFlood,
        AttackClass::SshBruteForce,
        AttackClass::SlowHttp,
        AttackClass::Exfiltration,
        AttackClass::Beaconing,
        AttackClass::OutboundScan,
    ];

    /// The attack's class.
    #[must_use]
    pub const fn class(&self) -> AttackClass {
        match self {
            Self::SynScan { guise: ScanGuise::Decoys, .. } => AttackClass::DecoyScan,
            Self::SynScan { .. } => AttackClass::SynScan,
            Self::LowAndSlowScan { .. } => AttackClass::LowAndSlowScan,
            Self::SynFlood { .. } => AttackClass::SynFlood,
            Self::SpoofedSynFlood { .. } => AttackClass::SpoofedSynFlood,
            Self::UdpFlood { .. } => AttackClass::UdpFlood,
            Self::IcmpFlood { .. } => AttackClass::IcmpFlood,
            Self::SshBruteForce { .. } => AttackClass::SshBruteForce,
            Self::SlowHttp { .. } => AttackClass::SlowHttp,
            Self::Exfiltration { .. } => AttackClass::Exfiltration,
            Self::Beaconing { .. } => AttackClass::Beaconing,
            Self::OutboundScan { .. } => AttackClass::OutboundScan,
        }
    }

    /// The VLAN id of the attack's frames, if they are tagged.
    #[must_use]
    pub const fn vlan(&self) -> Option<u16> {
        match *self {
            Self::SynScan { vlan, .. }
            | Self::SynFlood { vlan, .. }
            | Self::UdpFlood { vlan, .. }
            | Self::IcmpFlood { vlan, .. } => vlan,
            _ => None,
        }
    }

    /// Crafted frames per second, for attacks that craft frames at a rate.
    fn frame_rate(&self) -> Option<u32> {
        match *self {
            Self::SynScan { rate, guise: ScanGuise::Decoys, .. } => {
                Some(rate.saturating_mul(1 + u32::from(DECOYS)))
            }
            Self::SynScan { rate, .. }
            | Self::SynFlood { rate, .. }
            | Self::SpoofedSynFlood { rate, .. }
            | Self::UdpFlood { rate, .. }
            | Self::IcmpFlood { rate, .. } => Some(rate),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), String> {
        if let Some(rate) = self.frame_rate() {
            within("rate", rate, 1, MAX_RATE)?;
        }
        if let Some(vlan) = self.vlan() {
            within("vlan", vlan, 1, 4094)?;
        }
        match *self {
            Self::SynScan { ports, .. } | Self::LowAndSlowScan { ports, .. }
                if ports[0] == 0 || ports[0] > ports[1] =>
            {
                Err(format!(
                    "`ports` must be a first and a last port from 1 on, got {} and {}",
                    ports[0], ports[1]
                ))
            }
            Self::UdpFlood { payload, .. } | Self::IcmpFlood { payload, .. } => {
                // 1,500 less an IPv6 and an ICMPv6 header: the frames are not fragmented.
                within("payload", payload, 0, 1_400)
            }
            Self::SshBruteForce { rate } | Self::OutboundScan { rate, .. } => {
                within("rate", rate, 1, 1_000)
            }
            Self::SlowHttp { connections, .. } => within("connections", connections, 1, 1_000),
            Self::Exfiltration { bytes_per_second, .. } => {
                within("bytes_per_second", bytes_per_second, 100, 50_000_000)
            }
            Self::Beaconing { jitter, .. } => within("jitter", jitter, 0.0, 0.5),
            _ => Ok(()),
        }
    }
}

fn low_ports() -> [u16; 2] {
    [1, 1024]
}

fn scan_rate() -> u32 {
    300
}

fn scan_pause() -> Duration {
    Duration::from_millis(1_500)
}

fn http() -> u16 {
    80
}

fn smb() -> u16 {
    445
}

fn flood_rate() -> u32 {
    2_000
}

fn datagram_payload() -> u16 {
    512
}

fn echo_payload() -> u16 {
    56
}

fn login_rate() -> u32 {
    20
}

fn slow_connections() -> u32 {
    150
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn tcp() -> Channel {
    Channel::Tcp
}

fn upload_rate() -> u64 {
    4_000_000
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn small_jitter() -> f64 {
    0.1
}
