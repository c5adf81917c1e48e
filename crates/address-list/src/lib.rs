//! Lists of addresses and prefixes as people keep them: one a line, CIDR lists with remarks, CSV.
//!
//! # What it is
//!
//! ```text
//! BufRead ─► Lines ─► Reader ─► Line { number, Entry or LineError }
//!            bounded  which format, by the first line that says something
//! ```
//!
//! A [`Reader`] hands out one line at a time and holds no more than that one, whatever the size
//! of the list. It is total: any bytes come out as entries or as errors with the number of their
//! line, and a bad line does not end the list.
//!
//! # What it never does
//!
//! No files, no clock, no kernel, and no guess: a prefix with bits set behind its length is an
//! error that shows both ways to read it, and never cut to either.
//!
//! # In what order
//!
//! [`Reader::new`] over the bytes, then [`Reader::next_line`] until there is none; each
//! [`Line`] has its number, and an [`Entry`] or a [`LineError`].

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod asks;
mod columns;
mod error;
mod format;
mod lines;
mod net;
mod reader;
mod record;

pub use asks::{Asks, LONGEST_LEASE, SHORTEST_LEASE};
pub use error::{LineError, ReadError};
pub use format::{Column, Format, Options};
pub use lines::LONGEST_LINE;
pub use net::{MAPPED_V4, WidthError, check_width, parse_net, unmapped};
pub use reader::{Entry, Line, Reader};
