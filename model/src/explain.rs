//! Explanation: which features made a score, each beside what is usual for it.

use crate::inputs::Inputs;
use crate::profile::{FeatureRange, Place, as_scored};
use crate::scorer::{Attributed, Attribution, Scorer};

/// A feature's part in a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    /// The feature's index in a whole row of the model's schema, from 0.
    pub feature: usize,
    /// The feature's name in the model's schema.
    pub name: String,
    /// The row's value; finite, as a forest sees it (see
    /// [`IsolationForest`](crate::IsolationForest)).
    pub value: f32,
    /// The feature's range in training.
    pub range: FeatureRange,
    /// Where the value lies in that range.
    pub place: Place,
    /// By how much the feature set the row apart, in [`Attribution::unit`]; below 0 where it
    /// made the row look more usual.
    pub amount: f64,
    /// Its share in all that set the row apart, 0 to 1.
    pub share: f64,
}

/// Why a row scored as it did: its features, the one that set it apart most first.
///
/// The meaning of a contribution depends on the kind of detector;
/// [`attribution`](Self::attribution) says which it is. Contributions are finite for any row.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The row's score.
    pub score: f32,
    /// Sum that the contributions are parts of, and their unit.
    pub attribution: Attribution,
    /// A part per input of the detector, by falling [`amount`](Contribution::amount); ties in the
    /// order of the inputs.
    pub contributions: Vec<Contribution>,
}

impl Explanation {
    /// Explains one row of a scorer's inputs. Costs tens of microseconds and allocates: meant for
    /// alerts.
    ///
    /// # Panics
    ///
    /// If `row`, `inputs` and `ranges` do not each have the scorer's number of features.
    pub(crate) fn of(
        scorer: &Scorer,
        inputs: &Inputs,
        ranges: &[FeatureRange],
        row: &[f32],
    ) -> Self {
        assert_eq!(inputs.len(), scorer.n_features(), "each feature must have a name");
        assert_eq!(ranges.len(), scorer.n_features(), "each feature must have a range");
        let Attributed { attribution, amounts } = scorer.attribute(row, ranges);
        let all: f64 = amounts.iter().filter(|amount| **amount > 0.0).sum();
        let mut contributions: Vec<Contribution> = amounts
            .into_iter()
            .enumerate()
            .map(|(input, amount)| {
                let value = as_scored(row[input]);
                Contribution {
                    feature: inputs.places()[input],
                    name: inputs.names()[input].clone(),
                    value,
                    range: ranges[input],
                    place: ranges[input].place(value),
                    amount,
                    share: if amount > 0.0 { amount / all } else { 0.0 },
                }
            })
            .collect();
        // A stable sort, so that ties stay in the order of the features.
        contributions.sort_by(|a, b| b.amount.total_cmp(&a.amount));
        Self { score: scorer.score_row(row), attribution, contributions }
    }

    /// The features that set the row apart most, at most `count`, none that did not.
    pub fn leading(&self, count: usize) -> impl Iterator<Item = &Contribution> {
        self.contributions.iter().take_while(|part| part.amount > 0.0).take(count)
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;
    use proptest::prelude::*;

    use super::*;
    use crate::profile::{Profile, ProfileBuilder};
    use features::SchemaId;
    use forest::IsolationForest;

    /// 500 rows of four features; only the first two vary together.
    fn rows() -> Vec<f32> {
        (0..500_u16)
            .flat_map(|i| {
                let at = f32::from(i * 7 % 101) / 101.0;
                [at, at * 2.0, f32::from(i * 13 % 89) / 89.0, 5.0]
            })
            .collect()
    }

    fn inputs() -> Inputs {
        let features = ["a", "b", "c", "d"].map(String::from).to_vec();
        Inputs::all(&SchemaId { name: "test.v1".into(), hash: "00".into(), features })
    }

    fn profile() -> Profile {
        let mut builder = ProfileBuilder::new(&inputs(), 0);
        builder.extend(&rows());
        builder.finish().unwrap()
    }

    fn forest(extension_level: usize) -> Scorer {
        let params = IsolationForest::params().n_trees(30).extension_level(extension_level);
        Scorer::Forest(params.check().unwrap().fit_rows(&rows(), 4).unwrap())
    }

    #[test]
    fn the_feature_that_is_out_of_range_leads() {
        let profile = profile();
        for extension_level in [0, 1, 3] {
            let forest = forest(extension_level);
            for (feature, name) in ["a", "b", "c"].into_iter().enumerate() {
                let mut row = [0.5, 1.0, 0.5, 5.0];
                row[feature] = 40.0;
                let explanation = Explanation::of(&forest, &inputs(), profile.ranges(), &row);
                let leader = explanation.leading(1).next().unwrap();
                assert_eq!(leader.name, name, "extension level {extension_level}");
                assert_eq!((leader.value, leader.place), (40.0, Place::AboveAll));
                assert!(leader.share > 0.5, "{leader:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn contributions_are_finite_and_add_up_for_any_row(
            row in prop::array::uniform4(any::<f32>()),
            extension_level in 0_usize..4,
        ) {
            let forest = forest(extension_level);
            let explanation = Explanation::of(&forest, &inputs(), profile().ranges(), &row);
            let sum: f64 = explanation.contributions.iter().map(|part| part.amount).sum();
            let Attribution::PathShortening { total } = explanation.attribution else {
                panic!("a forest shortens paths");
            };
            prop_assert!((sum - total).abs() < 1e-4, "{} {}", sum, total);
            prop_assert!(explanation.score > 0.0 && explanation.score <= 1.0);
            for part in &explanation.contributions {
                prop_assert!(part.value.is_finite() && part.amount.is_finite());
                prop_assert!((0.0..=1.0).contains(&part.share));
            }
        }
    }
}
