//! Any bytes in any order: no panic, no overflow, sums that add up; and the sequence for one packet,
//! step by step.

mod counting;
mod frames;
mod handshake;
mod merging;
mod parsing;
mod sequence;
mod table;
