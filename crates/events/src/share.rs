//! Shares, as a person writes them: `1 in 100`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, Serializer};

/// A share above 0 and below 1: `1 in 100`, `1 %` or `0.01`.
///
/// ```
/// use weir_events::Share;
///
/// let share: Share = "1 %".parse()?;
/// assert_eq!(share, "1 in 100".parse()?);
/// assert_eq!(share.to_string(), "1 in 100");
/// assert_eq!("0.15".parse::<Share>()?.to_string(), "15 %");
/// # Ok::<(), weir_events::ShareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "Written")]
pub struct Share(f64);

/// Text that is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share must be above 0 and below 1, as in \"1 in 100\", \"1 %\" or 0.01, got `{got}`")]
pub struct ShareError {
    /// The text.
    pub got: String,
}

impl Share {
    /// A tenth.
    pub const TENTH: Self = Self(0.1);

    /// A share of a number.
    ///
    /// # Errors
    /// The number is not above 0 and below 1.
    pub fn new(value: f64) -> Result<Self, ShareError> {
        if value > 0.0 && value < 1.0 {
            Ok(Self(value))
        } else {
            Err(ShareError { got: value.to_string() })
        }
    }

    /// The number, above 0 and below 1.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        parse(text.trim())
            .and_then(|value| Self::new(value).ok())
            .ok_or_else(|| ShareError { got: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<f64> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    if let Some(percent) = text.strip_suffix('%') {
        return Some(number(percent)? / 100.0);
    }
    match text.split_once(" in ") {
        Some((part, whole)) => Some(number(part)? / number(whole)?),
        None => number(text),
    }
}

impl fmt::Display for Share {
    /// The shortest of a person's forms that reads back as the same share.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forms = [
            format!("1 in {}", (1.0 / self.0).round()),
            format!("{} %", self.0 * 100.0),
            format!("{} %", (self.0 * 1e8).round() / 1e6),
        ];
        let same = |form: &&String| form.parse() == Ok(*self);
        match forms.iter().find(same) {
            Some(form) => f.write_str(form),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A share as it may be written.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a share, as in \"1 in 100\", \"1 %\" or 0.01")]
enum Written {
    Text(String),
    Number(f64),
}

impl TryFrom<Written> for Share {
    type Error = ShareError;

    fn try_from(written: Written) -> Result<Self, ShareError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Number(value) => Self::new(value),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_a_share_is_read() {
        for text in ["1 in 100", " 1 in 100 ", "2 in 200", "1 %", "1%", "0.01", "1e-2"] {
            assert_eq!(text.parse(), Ok(Share(0.01)), "{text}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused_with_the_forms_that_are() {
        for text in ["", "0", "1", "100 %", "-1 %", "1 in 0", "1 in 1", "NaN", "one in ten", "%"] {
            let error = text.parse::<Share>().expect_err(text).to_string();
            let ends = format!("as in \"1 in 100\", \"1 %\" or 0.01, got `{text}`");
            assert!(error.ends_with(&ends), "{error}");
        }
    }

    #[test]
    fn a_configuration_may_spell_it_as_text_or_as_a_number() {
        let read = |json| serde_json::from_str::<Share>(json).map_err(|e| e.to_string());
        assert_eq!(read("\"1 in 20\""), Ok(Share(0.05)));
        assert_eq!(read("0.05"), Ok(Share(0.05)));
        assert!(read("5").unwrap_err().contains("got `5`"));
    }

    proptest! {
        #[test]
        fn a_share_reads_back_as_it_was_shown(value in 1e-12_f64..1.0) {
            let share = Share(value);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn no_text_at_all_makes_the_parser_fail(text in ".*") {
            if let Ok(share) = text.parse::<Share>() {
                prop_assert!(share.value() > 0.0 && share.value() < 1.0);
            }
        }
    }
}
