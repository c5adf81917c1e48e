//! The scenarios that ship with the lab.

/// Name and text of each built-in scenario.
pub const BUILTIN: &[(&str, &str)] = &[
    ("demo", include_str!("../../scenarios/demo.toml")),
    ("benign", include_str!("../../scenarios/benign.toml")),
    ("attacks", include_str!("../../scenarios/attacks.toml")),
    ("adversary", include_str!("../../scenarios/adversary.toml")),
    ("stealth", include_str!("../../scenarios/stealth.toml")),
    ("tour", include_str!("../../scenarios/tour.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttackPlan, BenignKind, Scenario};

    #[test]
    fn every_builtin_is_valid_and_goes_by_its_name() {
        for (name, _) in BUILTIN {
            let scenario = Scenario::builtin(name).unwrap();
            assert_eq!(&scenario.name, name);
            assert!(!scenario.summary.is_empty());
        }
    }

    #[test]
    fn the_builtins_have_every_kind_of_benign_traffic_and_every_plan_of_an_attack() {
        let all: Vec<_> =
            BUILTIN.iter().map(|(name, _)| Scenario::builtin(name).unwrap()).collect();
        for kind in BenignKind::ALL {
            let mut plans = all.iter().flat_map(|scenario| &scenario.benign);
            assert!(plans.any(|benign| benign.does.kind() == kind), "{kind:?}");
        }
        for class in AttackPlan::CLASSES {
            let mut plans = all.iter().flat_map(|scenario| &scenario.attacks);
            assert!(plans.any(|attack| attack.does.class() == class), "{class:?}");
        }
    }

    #[test]
    fn an_unknown_scenario_is_refused_with_those_there_are() {
        assert_eq!(
            Scenario::builtin("demon").unwrap_err().to_string(),
            "no scenario `demon` is built in; there are demo, benign, attacks, adversary, \
             stealth, tour, or give a path"
        );
    }
}
