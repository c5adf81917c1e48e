//! What holds for any bytes in any order: no panic, no overflow, and sums that add up.

mod counting;
mod frames;
mod merging;
mod parsing;
mod table;
