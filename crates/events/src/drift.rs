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
}

/// Verdict of the watch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Benign p-values no longer hold, and no block should be made by them.
    pub suspended: bool,
    /// Capital of the most successful bet against them, 1 or so where they hold.
    pub martingale: f64,
    /// Features that are not spread as in training, whether or not blocking is suspended.
    pub features: Vec<Moved>,
}

impl Moved {
    fn to_text(&self) -> String {
        format!("{} {} ({:.2})", self.subject.name(), self.feature, self.index)
    }
}

impl Drift {
    /// The verdict, as a person reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let named: Vec<String> = self.features.iter().map(Moved::to_text).collect();
        let named =
            if named.is_empty() { "no single feature".to_owned() } else { named.join(", ") };
        if self.suspended {
            format!("benign traffic is not as in training, blocking is suspended; moved: {named}")
        } else {
            format!("benign traffic is as in training; moved: {named}")
        }
    }
}
