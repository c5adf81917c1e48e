//! The detection study: what is found in captures that nobody here made, and what is cried over.
//!
//! [`corpus`] says which captures there are and what is known of them; [`replay`] makes windows
//! of them as the protected host would see them; [`learn`] fits the detectors on those that are
//! for it and [`score`] puts all others through detector and policy; [`own`] does the same with
//! the captures that the project ships; [`report`] makes the tables of `docs/detection.md`. The
//! binary `weir-detection` runs it all.

pub mod corpus;
pub mod curve;
pub mod learn;
pub mod own;
pub mod replay;
pub mod report;
pub mod score;
