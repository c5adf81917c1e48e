//! Errors of a list, and of one of its lines.

use std::{io, net::IpAddr, time::Duration};

use flows_common::Action;
use ipnet::IpNet;

use crate::LONGEST_LINE;

/// Characters of a line that a message shows.
const SHOWN: usize = 64;

/// Reason for which a list cannot be read any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("line {line}: {source}")]
    Read {
        /// The line that was to be read.
        line: u64,
        /// Error of the system.
        source: io::Error,
    },
    /// A CSV file whose header names no column of addresses.
    #[error(
        "line {line}: no column of addresses in the header `{header}`; name it with `--column`"
    )]
    NoColumn {
        /// The header's line.
        line: u64,
        /// The header, shortened.
        header: String,
    },
    /// A CSV file without a header whose first record has several addresses.
    #[error(
        "line {line}: several addresses and no header in `{record}`; say which with `--column`"
    )]
    Ambiguous {
        /// The record's line.
        line: u64,
        /// The record, shortened.
        record: String,
    },
    /// A CSV file without the column that was asked for.
    #[error("line {line}: no column `{column}` in `{header}`")]
    ColumnMissing {
        /// The header's line.
        line: u64,
        /// The column.
        column: String,
        /// The header, shortened.
        header: String,
    },
}

/// Reason for which a line makes no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// More bytes than a line may have.
    #[error("the line is longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// Bytes that are no UTF-8.
    #[error("the line is no text in UTF-8")]
    NotText,
    /// Text that is neither an address nor a prefix.
    #[error("`{0}` is neither an address nor a prefix like 192.0.2.0/24")]
    NotAnAddress(String),
    /// A first and a last address.
    #[error("`{0}` is a range; write it as prefixes")]
    Range(String),
    /// A prefix whose length is written as a mask.
    #[error("`{0}` has a mask; write the prefix's length, as in 192.0.2.0/24")]
    Mask(String),
    /// A prefix longer than an address.
    #[error("`{text}` has a length above {max}")]
    Length {
        /// The prefix as written.
        text: String,
        /// The most there may be.
        max: u8,
    },
    /// A prefix with bits behind its length, which can be read in two ways.
    #[error(
        "`{text}` has host bits set: write {address} for the address or {prefix} for the prefix"
    )]
    HostBits {
        /// The prefix as written.
        text: String,
        /// First of the readings.
        address: IpAddr,
        /// The other.
        prefix: IpNet,
    },
    /// More than one word where a list has one.
    #[error("`{0}` is more than one word; a list has one address or prefix a line, and CSV commas")]
    Words(String),
    /// A CSV record that ends within quotes.
    #[error("a quote is not closed; a record must be on one line")]
    OpenQuote,
    /// A CSV record with text behind a closing quote.
    #[error("text follows a closing quote")]
    AfterQuote,
    /// A CSV record without the column of addresses.
    #[error("the record has {found} fields and no field {wanted}, where addresses are")]
    FieldMissing {
        /// Fields there are.
        found: usize,
        /// The field's number, from 1.
        wanted: usize,
    },
    /// A length of time that is none.
    #[error("`{0}` is no length of time; write seconds or a unit, as in 3600, 12h or 7d")]
    Lease(String),
    /// A length of time beyond the bounds.
    #[error("a block must last 1s to 365d, got {}", humantime::format_duration(*.0))]
    LeaseBounds(Duration),
    /// An action that is none.
    #[error("`{}` is no action; it is one of {}", .0, Action::ALL.map(Action::name).join(", "))]
    Action(String),
    /// A rate that is none.
    #[error("`{0}` is no rate; it is a number of packets a second from 1 to 4294967295")]
    Rate(String),
}

/// A part of a list for a message: bounded, and without characters that a terminal obeys.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_shows_is_bounded_and_harmless() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(shown(&"x".repeat(65)), "x".repeat(64) + "…");
        assert_eq!(shown(&"x".repeat(64)), "x".repeat(64));
    }

    #[test]
    fn the_bounds_that_a_message_names_are_those_that_hold() {
        let error = LineError::LeaseBounds(Duration::ZERO).to_string();
        let (_, bounds) = error.split_once("must last ").unwrap();
        let (shortest, rest) = bounds.split_once(" to ").unwrap();
        let longest = rest.split(',').next().unwrap();
        let of = |text: &str| humantime::parse_duration(text).unwrap();
        assert_eq!([of(shortest), of(longest)], [crate::SHORTEST_LEASE, crate::LONGEST_LEASE]);
    }
}
