//! Columns of tails: which features are odd on both sides, and the least scale of each.

use features::{Feature, HostFeature, PeerFeature, Scale, ServiceFeature};
use tail::Column;

/// Least scale of a ratio or of a natural logarithm.
const FLOOR: f64 = 0.15;

/// The columns of features by their names; of names that no table has, one-sided ones.
pub(crate) fn columns(names: &[String]) -> Vec<Column> {
    names.iter().map(|name| column(name)).collect()
}

/// A feature of one name is read alike in every table.
fn column(name: &str) -> Column {
    of::<PeerFeature>(name)
        .or_else(|| of::<HostFeature>(name))
        .or_else(|| of::<ServiceFeature>(name))
        .unwrap_or(Column { two_sided: false, floor: FLOOR })
}

fn of<F: Feature>(name: &str) -> Option<Column> {
    let feature = F::from_name(name)?;
    let floor = match feature.scale() {
        // log2(1 + x), where the floor is of ln(1 + x).
        Scale::Log => FLOOR * std::f64::consts::LOG2_E,
        Scale::Linear => FLOOR,
    };
    Some(Column { two_sided: feature.is_two_sided(), floor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_one_name_is_read_alike_in_every_table() {
        for feature in HostFeature::ALL {
            let own = of::<HostFeature>(feature.name());
            assert_eq!(own, Some(column(feature.name())), "{}", feature.name());
        }
        for feature in ServiceFeature::ALL {
            let own = of::<ServiceFeature>(feature.name());
            assert_eq!(own, Some(column(feature.name())), "{}", feature.name());
        }
    }

    #[test]
    fn a_floor_is_the_same_amount_in_each_unit() {
        let floors = ["remote_flows", "ingress_length", "ingress_share", "unknown"]
            .map(|name| column(name).floor);
        assert!((floors[0] - 0.2164).abs() < 1e-4, "{floors:?}");
        assert!(floors[1..].iter().all(|floor| (floor - 0.15).abs() < 1e-9));
        assert!(column("ingress_length").two_sided && !column("remote_flows").two_sided);
    }
}
