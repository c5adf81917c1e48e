//! The contract between weir's eBPF programs and its user space.
//!
//! What is here: the types that cross the kernel boundary, and the **one implementation** of
//! packet parsing and packet accounting. The same code is compiled for the BPF target (the
//! programs in `flows-ebpf`) and for the host (pcap replay, tests, benches), so a feature has
//! one definition.
//!
//! What is never here: I/O, allocation, clocks, floating point; and in a type that crosses the
//! boundary no enum, no reference and no implicit padding. Sizes and offsets are asserted at
//! compile time beside each type.
//!
//! Order of calls, for one packet:
//!
//! 1. [`parse::parse`] reads the headers through [`parse::Bytes`] and yields a
//!    [`parse::Packet`], or the [`Loss`] that says why the packet has no flow;
//! 2. [`FlowKey::new`] places it, seen from the interface;
//! 3. [`account::open`] makes the counters of a new flow, [`account::update`] adds to those of a
//!    known one, and [`account::note_peer`] tells the remote's counters when there is news;
//! 4. [`Ledger`] counts the packet as seen and, where it is not in a flow, why.

#![no_std]

pub mod account;
mod block;
mod counters;
mod key;
mod ledger;
pub mod parse;
mod peer;
mod settings;

pub use block::{Action, BlockEntry, BlockStats, GuardLedger, PrefixKey, REASON_NONE, Verdict};
pub use counters::{DirectionCounters, FlowCounters, LENGTH_BUCKETS, TCP_FLAGS, TcpFlag};
pub use key::{Direction, FlowKey, PeerKey, map_v4, unmap_v4};
pub use ledger::{EtherClass, Ledger, Loss};
pub use peer::{BITMAP_WORDS, PeerCounters};
pub use settings::{ClockSource, Control, Settings};

#[cfg(feature = "user")]
mod pod;
