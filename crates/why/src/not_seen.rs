//! What could not be looked at.

use std::fmt::Display;

/// Sentences, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotSeen(pub(crate) Vec<String>);

impl NotSeen {
    pub(crate) fn add(&mut self, what: &str, why: &dyn Display) {
        let told = format!("{what}: {why}");
        if !self.0.contains(&told) {
            self.0.push(told);
        }
    }
}
