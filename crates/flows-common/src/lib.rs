//! The contract between weir's eBPF programs and its user space.
//!
//! Contents: the types that cross the kernel boundary, and the **one implementation** of
//! packet parsing and packet accounting. The same code is compiled for the BPF target (the
//! programs in `flows-ebpf`) and for the host (pcap replay, tests, benches), so a feature has
//! one definition.
//!
//! Never in the programs' part: I/O, allocation, clocks, floating point; and in a type that
//! crosses the boundary no enum, no reference and no implicit padding. Sizes and offsets are
//! asserted at compile time beside each type.
//!
//! For user space the feature `std` adds the `Window` that a drain or a replay hands over, and the
//! boot clock; `user` adds `aya::Pod`.
//!
//! Order of calls, for one packet:
//!
//! 1. [`parse::parse`] reads the headers through [`parse::Bytes`] and yields a
//!    [`parse::Packet`], or the [`parse::Rejected`] that says why the packet has no flow;
//! 2. [`metering::meter`] does the rest, over tables that the caller gives: it counts the packet
//!    as seen in the [`PacketCounters`] and, where it is in no flow, why; places it by [`FlowKey::of`];
//!    adds it to its flow ([`account::update`]), and what is news of that to its remote
//!    ([`account::note_peer`]).
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

#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod account;
mod block;
pub mod clock;
mod counters;
pub mod group;
pub mod guard;
pub mod host;
mod key;
mod merge;
pub mod metering;
mod packet_counters;
pub mod parse;
mod peer;
pub mod service;
mod settings;
mod standing;
mod trace;
#[cfg(any(feature = "std", test))]
mod window;

pub use block::{
    Action, BlockEntry, BlockStats, GuardCounters, Held, PrefixKey, REASON_NONE, Scope, Verdict,
};
pub use counters::{DirectionCounters, Fact, FlowCounters, LENGTH_BUCKETS, TCP_FLAGS, TcpFlag};
pub use key::{Direction, FlowKey, PeerKey, map_v4, unmap_v4};
pub use packet_counters::{EtherClass, Loss, PacketCounters};
pub use peer::{BITMAP_WORDS, FAST_SYNS, PeerCounters};
pub use service::{Knocks, ServiceEntry, ServiceKey, VerifiedPeer};
pub use settings::{ClockSource, Control, GuardControl, Settings};
pub use standing::Standing;
pub use trace::{
    TraceCounters, TraceEnd, TraceKey, TraceLayout, TraceLedger, TracePoint, TraceSettings,
};
#[cfg(any(feature = "std", test))]
pub use window::{Span, Window};

#[cfg(feature = "user")]
mod pod;
