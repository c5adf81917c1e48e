//! Evidence: what is known of one peer in one window when it is decided on.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

use crate::{PValues, Standing, Subject};

/// Measurements of one peer in one window by the two models, and facts that the guards ask for.
///
/// The unit of evidence is what a remote sent in one [`Standing`]: what others forge in its name is
/// evidence of its own, and so is what this host asked it for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// The remote address.
    #[serde(rename = "peer", serialize_with = "canonical")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "192.0.2.7"))]
    pub address: IpAddr,
    /// The p-value of its rows of all horizons together: the chance of measures as high in a
    /// benign window.
    pub p_value: f64,
    /// The same from calibration-conditional p-values: what an error rate may be claimed by. 1
    /// where it was not recorded.
    pub conditional_p_value: f64,
    /// The highest score of its rows, in (0, 1].
    pub peer_score: f32,
    /// Horizon of the row that the surprise is of, in ms: the time that was unusual. 0 where it was
    /// not recorded.
    #[serde(default)]
    pub horizon_ms: u32,
    /// The highest tail score of its rows: the sum of the three largest surprises of
    /// features, in [0, 36]. 0 where it was not recorded.
    #[serde(default)]
    pub tail_score: f32,
    /// Surprise: −log10 of the chance of all of these in a benign window, by the tails of their
    /// calibrations; in [0, 300]. It claims no rate. 0 where it was not recorded.
    #[serde(default)]
    pub surprise: f64,
    /// Whose packets these are: proven, of flows that this host asked for, or unproven. Of records
    /// that did not tell: unproven.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Standing))]
    pub standing: Standing,
    /// Flows in this window.
    #[serde(default)]
    pub flows: u64,
    /// The features that lead tell only that the peer is new, or that it moves much: what a
    /// newcomer and a backup do.
    #[serde(default)]
    pub new_or_large: bool,
    /// Log-ins that it failed lately, as this host's own log tells: evidence of its own, whatever
    /// the scores are.
    #[serde(default, skip_serializing_if = "crate::words::is_zero")]
    pub failed_log_ins: u32,
    /// Short sessions of equal size that it had in ten minutes at a service for log-ins, with one more in
    /// this row: by packet counters alone.
    #[serde(default, skip_serializing_if = "crate::words::is_zero")]
    pub log_ins_alike: u32,
    /// Packets from and to it over the time of that row, where it is longer than the window's.
    #[serde(default, skip_serializing_if = "crate::words::is_zero")]
    pub row_packets: u64,
    /// Packets from and to it in this window.
    pub packets: u64,
    /// Bytes from and to it in this window, on the wire.
    pub bytes: u64,
    /// Service of the host that most of its packets went to, if it opened any flow; all ports at which
    /// nothing answered are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

impl Evidence {
    /// Whose packets it is evidence of.
    #[must_use]
    pub const fn subject(&self) -> (IpAddr, Standing) {
        (self.address, self.standing)
    }

    /// The p-value that decides.
    #[must_use]
    pub const fn p(&self, by: PValues) -> f64 {
        match by {
            PValues::Conditional => self.conditional_p_value,
            PValues::Marginal => self.p_value,
        }
    }
}

/// An IPv4 address mapped into IPv6 is the IPv4 address, so that a peer has one name.
fn canonical<S: Serializer>(address: &IpAddr, serializer: S) -> Result<S::Ok, S::Error> {
    address.to_canonical().serialize(serializer)
}

/// A service of the host: the aim of a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Service {
    /// IP protocol number.
    pub protocol: u8,
    /// Local port; 0 where the protocol has none, and of TCP for all ports that nothing listens on.
    pub port: u16,
}

impl Service {
    /// All TCP ports that nothing listens on: the aim of a scan.
    pub const CLOSED_PORTS: Self = Self { protocol: 6, port: 0 };
}

/// Protocols that a service is named with, and their IP protocol numbers.
const PROTOCOLS: [(&str, u8); 4] = [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58)];

/// `tcp/443`; a port alone reads as one of TCP.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CLOSED_PORTS {
            return f.write_str("closed ports");
        }
        match PROTOCOLS.iter().find(|(_, number)| *number == self.protocol) {
            Some((name, _)) => f.write_str(name)?,
            None => write!(f, "protocol {}", self.protocol)?,
        }
        if self.port == 0 { Ok(()) } else { write!(f, "/{}", self.port) }
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = text.split_once('/').unwrap_or(("tcp", text));
        let known = PROTOCOLS[..2].iter().find(|(one, _)| *one == name);
        let &(_, protocol) = known.ok_or(format!("`{name}` is neither `tcp` nor `udp`"))?;
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self { protocol, port }),
            _ => Err(format!("`{text}` has no port between 1 and 65535")),
        }
    }
}

/// A feature's part in an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Subject of the feature: the peer or a flow.
    pub subject: Subject,
    /// The feature's name, as the schema spells it.
    pub feature: String,
    /// Its unit; empty for a share or a count.
    pub unit: String,
    /// Its value in this window.
    pub value: f32,
    /// The 1st percentile of the benign training data.
    pub benign_low: f32,
    /// The 99th percentile of the benign training data.
    pub benign_high: f32,
    /// Its share of the score's explanation, in [0, 1].
    pub share: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_port_or_a_protocol_and_a_port() {
        let read = |text: &str| text.parse::<Service>().map(|service| service.to_string());
        assert_eq!(read("443"), Ok("tcp/443".to_owned()));
        assert_eq!(read("udp/53"), Ok("udp/53".to_owned()));
        assert_eq!(read("https"), Err("`https` has no port between 1 and 65535".to_owned()));
        assert_eq!(read("icmp/1"), Err("`icmp` is neither `tcp` nor `udp`".to_owned()));
        assert_eq!(Service { protocol: 58, port: 0 }.to_string(), "icmpv6");
        assert_eq!(Service::CLOSED_PORTS.to_string(), "closed ports");
    }
}
