//! Columns of tails: which features are odd on both sides, and the least scale of each.

use features::{Feature, FlowFeature, PeerFeature, Scale};
use tail::Column;

/// Least scale of a ratio or of a natural logarithm.
const FLOOR: f64 = 0.15;

/// The same of a mean length in bytes: that share of a full Ethernet frame.
const LENGTH_FLOOR: f64 = FLOOR * 1_500.0;

/// Features that describe shape, not amount: low values are odd as well.
const TWO_SIDED: [&str; 10] = [
    "byte_log_ratio",
    "byte_log_ratio_60s",
    "byte_log_ratio_600s",
    "egress_length_mean",
    "egress_payload_ratio",
    "ingress_length_mean",
    "ingress_packet_share",
    "ingress_payload_ratio",
    "packets_per_flow",
    "payload_per_flow",
];

/// The columns of features by their names; of names that no table has, one-sided ones.
pub(crate) fn columns(names: &[String]) -> Vec<Column> {
    names.iter().map(|name| column(name)).collect()
}

fn column(name: &str) -> Column {
    let of_peer = PeerFeature::from_name(name).map(|one| (one.scale(), one.natural_unit()));
    let of_flow = || FlowFeature::from_name(name).map(|one| (one.scale(), one.natural_unit()));
    let floor = match of_peer.or_else(of_flow) {
        // log2(1 + x), where the floor is of ln(1 + x).
        Some((Scale::Log, _)) => FLOOR * std::f64::consts::LOG2_E,
        Some((Scale::Linear, "bytes")) => LENGTH_FLOOR,
        _ => FLOOR,
    };
    Column { two_sided: TWO_SIDED.contains(&name), floor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_sided_feature_is_one_of_a_table() {
        for name in TWO_SIDED {
            let known =
                PeerFeature::from_name(name).is_some() || FlowFeature::from_name(name).is_some();
            assert!(known, "{name}");
        }
    }

    #[test]
    fn a_floor_is_the_same_amount_in_each_unit() {
        let floors = ["remote_open_rate", "ingress_length_mean", "icmp_share", "unknown"]
            .map(|name| column(name).floor);
        assert!((floors[0] - 0.2164).abs() < 1e-4, "{floors:?}");
        assert!((floors[1] - 225.0).abs() < 1e-9 && (floors[2] - 0.15).abs() < 1e-9);
        assert!((floors[3] - 0.15).abs() < 1e-9);
    }
}
