//! What the policy is told of one peer in one window.

use std::net::IpAddr;

pub use model::assess::{Reason, Subject};

/// What the two models say of one peer in one window, and what the guards ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The remote address.
    pub address: IpAddr,
    /// The p-value of the peer and its flows together: the chance of a score as high in a
    /// benign window.
    pub p_value: f64,
    /// The peer model's score, in (0, 1].
    pub peer_score: f32,
    /// The highest score among its flows, 0 with none.
    pub flow_score: f32,
    /// The highest novelty of the peer and its flows, in [0, 1).
    pub novelty: f32,
    /// How far the most excessive of these lies above its highest calibration score, as a share
    /// of the way from there to 1; below 0 within the calibration's range.
    pub excess: f64,
    /// Packets from and to it in this window.
    pub packets: u64,
    /// Most of what it sent belongs to TCP connections whose handshake it completed, so the
    /// address is not forged.
    pub verified: bool,
}
