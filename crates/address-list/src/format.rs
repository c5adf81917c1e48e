//! Formats of a list.

use std::{convert::Infallible, fmt, num::NonZeroUsize, str::FromStr};

/// Format of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// By the first line that says something: CSV where it has a comma or a tab outside a remark,
    /// or is the name of a column of addresses; else text.
    #[default]
    Detect,
    /// Lines of one address or prefix each; remarks begin with `#` or `;`.
    Text,
    /// Records of one line, fields parted by commas (by tabs where the first record has no comma),
    /// quotes as in RFC 4180; lines that begin with `#` are remarks.
    Csv,
}

/// Column of a CSV file that has the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its name in the header, whatever the case.
    Name(String),
    /// By its number, from 1.
    Number(NonZeroUsize),
}

impl FromStr for Column {
    type Err = Infallible;

    /// A number is a number, anything else a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Options of a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Format of the list.
    pub format: Format,
    /// Column of the addresses in a CSV file; found by the header without it. A list with a column
    /// is CSV.
    pub column: Option<Column>,
}
