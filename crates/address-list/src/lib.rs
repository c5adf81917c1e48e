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
//! ```
//! use address_list::{Options, Reader};
//!
//! let list = "# a remark\n192.0.2.0/24 ; SBL1\n192.0.2.1/24\n2001:db8::7\n";
//! let mut reader = Reader::new(list.as_bytes(), Options::default());
//! let mut nets = Vec::new();
//! while let Some(line) = reader.next_line()? {
//!     match line.entry {
//!         Ok(entry) => nets.push(entry.net.to_string()),
//!         Err(error) => assert_eq!((line.number, error.to_string().contains("host bits")), (3, true)),
//!     }
//! }
//! assert_eq!(nets, ["192.0.2.0/24", "2001:db8::7/128"]);
//! # Ok::<(), address_list::ReadError>(())
//! ```

#![forbid(unsafe_code)]

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
