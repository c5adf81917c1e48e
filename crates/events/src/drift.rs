//! Drift: a watch over the p-values of benign traffic.

use serde::{Deserialize, Serialize};

use crate::Subject;

/// A feature that is not spread as in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Owner of the feature.
    pub subject: Subject,
    /// Its name.
    pub feature: String,
    /// Population stability index against the training.
    pub index: f64,
    /// A share of the rows, of which the values below tell; 0 where it was not recorded.
    #[serde(default)]
    pub share: f64,
    /// Value that this share of the training rows do not exceed, in the feature's natural unit.
    #[serde(default)]
    pub before: f32,
    /// The same of the rows of late.
    #[serde(default)]
    pub now: f32,
}

/// Verdict of the watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Benign p-values no longer hold, and no block should be made by them.
    pub suspended: bool,
    /// They no longer hold, and a model is learnt anew; blocking goes on meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relearning: bool,
    /// Capital of the most successful bet against them, 1 or so where they hold.
    pub martingale: f64,
    /// Features that are not spread as in training, whether or not blocking is suspended.
    pub features: Vec<Moved>,
}

impl Moved {
    fn to_text(&self) -> String {
        let Self { subject, feature, index, share, before, now } = self;
        let named = format!("{} {feature}", subject.name());
        if *share > 0.0 {
            let percent = share * 100.0;
            format!("{named}, {percent:.0} % up to {now:.4} ({before:.4} in training)")
        } else {
            format!("{named} ({index:.2})")
        }
    }
}

impl Drift {
    /// The verdict, as a person reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let named: Vec<String> = self.features.iter().map(Moved::to_text).collect();
        let moved = match named.join("; ") {
            nothing if nothing.is_empty() => String::new(),
            named => format!("; moved: {named}"),
        };
        let verdict = match (self.suspended, self.relearning) {
            (true, _) => "is not as in training, blocking is suspended",
            (false, true) => "is not as in training, a model is learnt anew",
            (false, false) => "is as in training",
        };
        format!("benign traffic {verdict}{moved}")
    }
}
