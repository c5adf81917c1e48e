//! Where windows come from.

pub mod pcap;
pub mod unpacked;
