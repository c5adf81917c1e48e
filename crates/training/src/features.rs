//! Features that a detector reads.

use features::SchemaId;
use model::Inputs;

use crate::error::TrainingError;

/// A choice of features.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureChoice {
    /// These alone; all where it is empty.
    pub only: Vec<String>,
    /// Not these.
    pub without: Vec<String>,
    /// Not those that never vary over the training rows. A forest cannot cut them, and HBOS and
    /// ECOD find what differs from them; but **tails are blind to a feature that is left out**,
    /// and what was constant and is no longer so is just what many attacks are.
    pub drop_constant: bool,
}

impl FeatureChoice {
    /// The features chosen by name.
    pub(crate) fn inputs(&self, schema: &SchemaId) -> Result<Inputs, TrainingError> {
        // Names that do not exist are refused in both lists, though one may make the other moot.
        let remaining = Inputs::without(schema, &self.without)?;
        if self.only.is_empty() {
            return Ok(remaining);
        }
        let only = Inputs::of(schema, &self.only)?;
        let names: Vec<&String> =
            remaining.names().iter().filter(|name| only.names().contains(name)).collect();
        Ok(Inputs::of(schema, &names)?)
    }
}

/// Least and greatest value of each feature.
#[derive(Clone, Debug)]
pub(crate) struct Extremes(pub(crate) Vec<(f32, f32)>);

impl Extremes {
    pub(crate) fn new(width: usize) -> Self {
        Self(vec![(f32::INFINITY, f32::NEG_INFINITY); width])
    }

    pub(crate) fn extend(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.0.len()) {
            for ((min, max), value) in self.0.iter_mut().zip(row) {
                *min = min.min(*value);
                *max = max.max(*value);
            }
        }
    }

    pub(crate) fn varies(&self, feature: usize) -> bool {
        self.0[feature].0 < self.0[feature].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(only: &[&str], without: &[&str]) -> Result<Vec<String>, String> {
        let schema = SchemaId {
            name: "example.v1".to_owned(),
            hash: String::new(),
            features: ["a", "b", "c"].map(str::to_owned).to_vec(),
        };
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let choice = FeatureChoice { only: own(only), without: own(without), drop_constant: false };
        choice
            .inputs(&schema)
            .map(|inputs| inputs.names().to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn features_are_chosen_by_name_and_keep_the_schemas_order() {
        assert_eq!(chosen(&[], &[]).unwrap(), ["a", "b", "c"]);
        assert_eq!(chosen(&["c", "a"], &[]).unwrap(), ["a", "c"]);
        assert_eq!(chosen(&["c", "a"], &["a"]).unwrap(), ["c"]);
    }

    #[test]
    fn a_name_that_does_not_exist_and_a_choice_of_nothing_are_refused() {
        assert!(chosen(&["d"], &[]).unwrap_err().contains("no feature `d`"));
        assert!(chosen(&[], &["d"]).unwrap_err().contains("no feature `d`"));
        assert!(chosen(&["a"], &["a"]).unwrap_err().contains("no feature of example.v1 is chosen"));
    }
}
