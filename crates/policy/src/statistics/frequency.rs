//! Frequencies, as a person writes them: `1 a day`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of times in an hour, a day, …: `1 a day`, `2 per week`, `3 an hour`.
///
/// ```
/// use weir_policy::statistics::Frequency;
///
/// let frequency: Frequency = "2 per week".parse()?;
/// assert_eq!(frequency.to_string(), "2 a week");
/// assert!((frequency.per_day() - 2.0 / 7.0).abs() < 1e-12);
/// # Ok::<(), weir_policy::statistics::FrequencyError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frequency {
    times: f64,
    period: Period,
}

/// The span of a frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Minute,
    Hour,
    Day,
    Week,
    /// Thirty days.
    Month,
    /// 365 days.
    Year,
}

/// Text that is no frequency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a frequency must be a number above 0 and a span, as in \"1 a day\", \"2 per week\", \
     \"3 an hour\", or \"none\", got `{got}`"
)]
pub struct FrequencyError {
    /// The text.
    pub got: String,
}

impl Period {
    const ALL: [Self; 6] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    const fn days(self) -> f64 {
        match self {
            Self::Minute => 1.0 / 1_440.0,
            Self::Hour => 1.0 / 24.0,
            Self::Day => 1.0,
            Self::Week => 7.0,
            Self::Month => 30.0,
            Self::Year => 365.0,
        }
    }
}

impl Frequency {
    /// Times a day on average, above 0.
    #[must_use]
    pub const fn per_day(self) -> f64 {
        self.times / self.period.days()
    }
}

impl FromStr for Frequency {
    type Err = FrequencyError;

    fn from_str(text: &str) -> Result<Self, FrequencyError> {
        parse(text).ok_or_else(|| FrequencyError { got: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Frequency> {
    let mut words = text.split_whitespace();
    let times: f64 = words.next()?.parse().ok()?;
    let _article = words.next().filter(|word| ["a", "an", "per"].contains(word))?;
    let name = words.next()?;
    let period = Period::ALL.into_iter().find(|period| period.name() == name)?;
    let holds = words.next().is_none() && times > 0.0 && times <= 1e9;
    holds.then_some(Frequency { times, period })
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.period == Period::Hour { "an" } else { "a" };
        write!(f, "{} {article} {}", self.times, self.period.name())
    }
}

impl Serialize for Frequency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `#[serde(with)]` for a frequency that may be `"none"`.
pub(crate) mod or_none {
    use super::{Deserialize, Deserializer, Frequency, Serializer, de};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(
        frequency: &Option<Frequency>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match frequency {
            Some(frequency) => serializer.collect_str(frequency),
            None => serializer.serialize_str("none"),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Frequency>, D::Error> {
        match String::deserialize(deserializer)?.trim() {
            "none" => Ok(None),
            text => text.parse().map(Some).map_err(de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_a_frequency_is_read() {
        for (text, per_day) in [
            ("1 a day", 1.0),
            ("14 per week", 2.0),
            (" 3  an hour ", 72.0),
            ("0.5 a month", 1.0 / 60.0),
        ] {
            let frequency: Frequency = text.parse().expect(text);
            assert!((frequency.per_day() - per_day).abs() < 1e-12, "{text}");
            assert_eq!(frequency.to_string().parse(), Ok(frequency));
        }
    }

    #[test]
    fn what_is_no_frequency_is_refused_with_the_forms_that_are() {
        for text in
            ["", "1", "day", "0 a day", "-1 a day", "1 each day", "1 a fortnight", "NaN a day"]
        {
            let error = text.parse::<Frequency>().expect_err(text).to_string();
            let ends =
                format!("\"1 a day\", \"2 per week\", \"3 an hour\", or \"none\", got `{text}`");
            assert!(error.ends_with(&ends), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_at_all_makes_the_parser_fail(text in ".*") {
            if let Ok(frequency) = text.parse::<Frequency>() {
                prop_assert!(frequency.per_day() > 0.0 && frequency.per_day().is_finite());
            }
        }
    }
}
