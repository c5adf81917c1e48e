//! Windows from capture files: the same counters as live, by the capture's own clock.
//!
//! ```text
//! file ─► unpack ─► CaptureReader ─► sorted ─┐
//! file ─► unpack ─► CaptureReader ─► sorted ─┴► Captures ─► parse ─► HomeNet ─► Tables ─► Window
//!                   (pcap-parser)               by time             which side
//!                                                                   is local
//! ```
//!
//! A file is looked through before ([`Survey`]): what is out of order in it is sorted as far as a
//! bounded buffer reaches, and [`HomeSide`] says whether the local side is told or guessed.
//!
//! [`CaptureReader`] gives one file's frames and [`Captures`] those of several, [`Replay`] gives
//! windows; [`Tables`] stands for the kernel's maps, and a packet goes through
//! [`flows_common::metering`], as in the programs. Nothing here reads a clock, draws a random
//! number or depends on the order of a hash: the same file and options give the same windows.
//!
//! Super-packets are a limit: a capture does not show of how many packets a GRO or GSO one
//! consists. A TCP frame above the link's largest packet ([`ReplayOptions::mtu`]) is cut into full
//! segments; a UDP one counts as one packet of its whole length.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod ahead;
mod boundaries;
mod captures;
mod clock;
mod error;
mod home;
mod home_side;
mod input;
mod link;
mod reader;
mod replay;
mod report;
#[cfg(test)]
mod sample;
mod section;
mod sorted;
mod stream;
mod super_packet;
mod survey;
mod table;
mod tables;
mod threaded;
pub mod unpacked;

pub use captures::Captures;
pub use error::CaptureError;
pub use home::{HomeNet, ToldBy};
pub use home_side::{HomeSide, Proposal};
pub use reader::{CaptureReader, Frame};
pub use replay::{Replay, ReplayOptions};
pub use report::{CaptureLoss, CaptureReport};
pub use stream::{Compression, ReadProgress};
pub use survey::Survey;
pub use tables::Tables;
pub use threaded::ThreadedReplay;
