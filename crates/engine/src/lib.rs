//! The decision engine: one path from a window to decisions.
//!
//! # What it never does
//!
//! No I/O, no clock, no thread, no kernel.

#![forbid(unsafe_code)]

pub mod detector;
pub mod drift;
