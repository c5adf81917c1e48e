//! The scenarios that ship with the lab.

/// Name and text of each built-in scenario.
pub const BUILTIN: &[(&str, &str)] = &[("demo", include_str!("../../scenarios/demo.toml"))];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    #[test]
    fn every_builtin_is_valid_and_goes_by_its_name() {
        for (name, _) in BUILTIN {
            let scenario = Scenario::builtin(name).unwrap();
            assert_eq!(&scenario.name, name);
            assert!(!scenario.summary.is_empty());
        }
    }
}
