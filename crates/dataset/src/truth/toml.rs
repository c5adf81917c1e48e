//! A truth in TOML.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::entry::RawInterval;
use super::{MAX_INTERVALS, Rest, Truth, TruthError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTruth {
    #[serde(default)]
    rest: Rest,
    #[serde(default)]
    interval: Vec<Spanned<RawInterval>>,
}

pub(super) fn read(path: &Path, text: &str) -> Result<Truth, TruthError> {
    let raw: RawTruth = toml::from_str(text).map_err(|error| TruthError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        reason: error.message().to_owned(),
    })?;
    if raw.interval.len() > MAX_INTERVALS {
        return Err(TruthError::Many { path: path.to_owned(), limit: MAX_INTERVALS });
    }
    let check = |raw: &Spanned<RawInterval>| {
        raw.get_ref().check().map_err(|refused| TruthError::Value {
            path: path.to_owned(),
            line: line_of(text, raw.span().start),
            column: refused.column,
            reason: refused.reason,
        })
    };
    let intervals = raw.interval.iter().map(check).collect::<Result<_, _>>()?;
    Ok(Truth { intervals, rest: raw.rest })
}

/// A text, a number, a time or a list of them, as CSV would have it.
pub(super) fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Text(String),
        Whole(i64),
        Number(f64),
        Time(toml::value::Datetime),
        List(Vec<Words>),
    }
    impl Words {
        fn text(self) -> String {
            match self {
                Self::Text(text) => text,
                Self::Whole(number) => number.to_string(),
                Self::Number(number) => number.to_string(),
                Self::Time(time) => time.to_string(),
                Self::List(list) => list.into_iter().map(Self::text).collect::<Vec<_>>().join(" "),
            }
        }
    }
    Ok(Words::deserialize(deserializer)?.text())
}

fn line_of(text: &str, at: usize) -> u64 {
    text.get(..at).unwrap_or_default().matches('\n').count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;

    fn toml(text: &str) -> Result<Truth, String> {
        read(Path::new("t.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_interval_takes_lists_numbers_and_times() {
        let truth = toml(
            "rest = \"benign\"\n\
             [[interval]]\n\
             from = 1970-01-01T00:00:10Z\n\
             to = 20.5\n\
             remote = [\"203.0.113.7\", \"2001:db8::/64\"]\n\
             local_port = 80\n\
             class = \"slow_http\"\n",
        )
        .expect("a truth");
        let slow = Interval {
            from_ns: 10_000_000_000,
            to_ns: 20_500_000_000,
            remote: vec!["203.0.113.7/32".parse().unwrap(), "2001:db8::/64".parse().unwrap()],
            local_ports: 80..=80,
            ..Interval::of_class("slow_http")
        };
        assert_eq!(truth, Truth { intervals: vec![slow], rest: Rest::Benign });
        assert_eq!(toml(""), Ok(Truth::default()));
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, told) in [
            ("rest = 'good'\n", "`t.toml`, line 1: unknown variant `good`"),
            ("\n[[interval]]\ncolour = 1\n", "`t.toml`, line 3: unknown field `colour`"),
            (
                "\n[[interval]]\nclass = 'x'\nfrom = 'noon'\n",
                "`t.toml`, line 2, from: `noon` is no time",
            ),
            ("[[interval]]\n", "`t.toml`, line 1, class: must not be empty"),
            ("=", "`t.toml`, line 1: "),
        ] {
            let error = toml(text).expect_err(text);
            assert!(error.starts_with(told), "{error}");
        }
    }
}
