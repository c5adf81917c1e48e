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
//!    [`parse::Packet`], or the [`parse::Rejected`] that says why the packet has no flow;
//! 2. [`FlowKey::of`] places it, seen from the interface;
//! 3. [`account::update`] adds it to the flow's counters (all zero for a new flow) and says
//!    what is news, which [`account::note_peer`] tells the remote's counters;
//! 4. [`Ledger`] counts the packet as seen and, where it is in no flow, why.
//!
//! [`FlowCounters::merge`] and [`PeerCounters::merge`] join what several CPUs counted.

#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the verifier sees one function: what is called per packet is inlined into it"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets stay below HEADERS_LIMIT plus one header; a checked conversion could panic"
)]

pub mod account;
mod block;
mod counters;
pub mod guard;
mod key;
mod ledger;
mod merge;
pub mod parse;
mod peer;
pub mod service;
mod settings;

pub use block::{Action, BlockEntry, BlockStats, GuardLedger, PrefixKey, REASON_NONE, Verdict};
pub use counters::{DirectionCounters, FlowCounters, LENGTH_BUCKETS, TCP_FLAGS, TcpFlag};
pub use key::{Direction, FlowKey, PeerKey, map_v4, unmap_v4};
pub use ledger::{EtherClass, Ledger, Loss};
pub use peer::{BITMAP_WORDS, PeerCounters};
pub use service::{KnownPeer, ServiceEntry, ServiceKey};
pub use settings::{ClockSource, Control, GuardControl, Settings};

#[cfg(feature = "user")]
mod pod;
