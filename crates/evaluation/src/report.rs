//! The report: one detector's evaluation, or several side by side on the same rows.

use serde::{Deserialize, Serialize};

use report::text::{count, delay_text, percent, plain, rate_text};

use crate::{
    Budget, Evaluation, Fact, FeatureCheck,
    detection::{OperatingPoint, Rule},
};

/// The version of the JSON form; raised when a field changes its meaning or goes.
pub const REPORT_FORMAT: u32 = 1;

/// Evaluations of one or several detectors on the same rows.
///
/// Its JSON form (`serde`) has its fields in the order of declaration, floats in their shortest
/// exact form, times in RFC 3339: the same input gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: u32,
    /// Title of the evaluated data.
    pub title: String,
    /// Name of a row, in the singular: `peer-window`.
    pub row: String,
    /// The command that makes this report again.
    pub command: String,
    /// Identification of data and software.
    pub facts: Vec<Fact>,
    /// Notes of the caller, added to each evaluation's caveats.
    pub notes: Vec<String>,
    /// Evaluations, one per detector.
    pub evaluations: Vec<Evaluation>,
    /// Each feature by itself and left out, where detectors were compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<FeatureCheck>,
}

impl Report {
    /// The report as JSON, indented, with a line end.
    ///
    /// # Panics
    /// Never: it holds nothing that JSON could not.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("plain structs, finite numbers");
        json.push('\n');
        json
    }

    /// The rows in the plural.
    #[must_use]
    pub fn rows(&self) -> String {
        format!("{}s", plain(&self.row))
    }

    /// The features that find most by themselves or are missed most, the best first.
    pub(crate) fn leading_features(&self, count: usize) -> Vec<&FeatureCheck> {
        let mut features: Vec<&FeatureCheck> = self.features.iter().collect();
        let found = |budgets: &[Budget; 2]| budgets.map(|at| at.attacks_found.count);
        features.sort_by(|a, b| {
            found(&b.alone).cmp(&found(&a.alone)).then(found(&a.without).cmp(&found(&b.without)))
        });
        features.truncate(count);
        features
    }

    /// Summary of an evaluation, in a few sentences.
    #[must_use]
    pub fn headline(&self, evaluation: &Evaluation) -> String {
        let mut sentences = Vec::new();
        let by_rate = evaluation
            .operating_points
            .iter()
            .rfind(|at| matches!(at.rule, Rule::FalsePositiveRate { rate, .. } if rate >= 1e-3));
        match by_rate {
            Some(at) => sentences.push(self.catches(at)),
            None if evaluation.counts.attack == 0 => {
                sentences.push("There are no attack rows, so nothing can be caught.".to_owned());
            }
            None => sentences.push(format!(
                "{} benign {} are too few to measure even 1 false alarm in 100.",
                count(evaluation.counts.benign),
                self.rows()
            )),
        }
        if let Some(area) = evaluation.rows.auroc {
            sentences.push(format!(
                "Given one attack and one benign {}, it ranks the attack higher {} of the time.",
                plain(&self.row),
                percent(area)
            ));
        }
        let by_p = evaluation
            .operating_points
            .iter()
            .find(|at| matches!(at.rule, Rule::PValue { alpha } if alpha.total_cmp(&1e-2).is_eq()));
        if let Some(at) = by_p
            && at.false_positives.of > 0
        {
            sentences.push(format!(
                "Left to its own p-values at 0.01, it raises {} false {} in {} benign {} ({}, \
                 claimed 1 in 100) and finds {} of {} {}.",
                count(at.false_positives.count),
                if at.false_positives.count == 1 { "alarm" } else { "alarms" },
                count(at.false_positives.of),
                self.rows(),
                rate_text(at.false_positives.share),
                at.attacks_found.count,
                at.attacks_found.of,
                if at.attacks_found.of == 1 { "attack" } else { "attacks" },
            ));
        }
        sentences.join(" ")
    }

    fn catches(&self, at: &OperatingPoint) -> String {
        let Rule::FalsePositiveRate { rate, .. } = at.rule else { return String::new() };
        let delay = at
            .median_delay_s
            .map(|delay| format!(", the middle one after {}", delay_text(delay)))
            .unwrap_or_default();
        format!(
            "At one false alarm in {} benign {} it catches {} of the attack {} ({} of {}) and \
             finds {} of {} {}{delay}.",
            rate_text(rate).trim_start_matches("1 in "),
            self.rows(),
            percent(at.true_positives.share),
            self.rows(),
            count(at.true_positives.count),
            count(at.true_positives.of),
            at.attacks_found.count,
            at.attacks_found.of,
            if at.attacks_found.of == 1 { "attack" } else { "attacks" },
        )
    }
}

impl Rule {
    /// The rule as a column's head: `1 in 1,000`, `p ≤ 0.01`.
    #[must_use]
    pub fn short(self) -> String {
        match self {
            Self::FalsePositiveRate { rate, .. } => rate_text(rate),
            Self::PValue { alpha } => format!("p ≤ {alpha}"),
        }
    }
}
