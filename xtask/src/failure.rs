//! A step that could not be done, and what a person can do about it.

use std::fmt;

/// A failure, and the command or the change that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    what: String,
    remedy: String,
}

impl Failure {
    /// `what` is a clause in lower case; `remedy` an imperative, often with a command in it.
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  to mend it: {}", self.what, self.remedy)
    }
}

impl std::error::Error for Failure {}
