//! Bounds of configured values.

use std::{fmt, time::Duration};

/// A configured value that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` must be {bound}, got {got}")]
pub struct BoundError {
    /// The key, as `section.key`.
    pub key: &'static str,
    /// The bound, as it follows "must be".
    pub bound: String,
    /// The value found.
    pub got: String,
}

impl BoundError {
    /// An error that names key, bound and value.
    #[must_use]
    pub fn new(key: &'static str, bound: impl Into<String>, got: impl fmt::Display) -> Self {
        Self { key, bound: bound.into(), got: got.to_string() }
    }

    /// Checks that a duration lies between two others, both included.
    ///
    /// # Errors
    /// It does not.
    pub fn check(
        key: &'static str,
        value: Duration,
        least: Duration,
        most: Duration,
    ) -> Result<(), Self> {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let [least, most] = [least, most].map(humantime::format_duration);
        let got = humantime::format_duration(value);
        Err(Self::new(key, format!("between {least} and {most}"), got))
    }
}
