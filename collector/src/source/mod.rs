//! Where windows come from.

pub mod pcap;
