//! Evidence: what is known of one peer in one window when it is decided on.

use std::net::IpAddr;

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
    /// Packets from and to it in this window.
    pub packets: u64,
    /// Bytes from and to it in this window, on the wire.
    pub bytes: u64,
    /// Service of the host that most of its packets went to, if it opened any flow.
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
    /// Local port; 0 where the protocol has none.
    pub port: u16,
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
