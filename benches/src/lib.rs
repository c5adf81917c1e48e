//! weir's benches: what DESIGN promises in numbers, measured and held against the promise.
//!
//! Here: the [`section`]s of the table, each of which makes [`measurement`]s; what takes
//! turns and what is said of the samples ([`statistics`]); the table and its JSON form
//! ([`report`]); synthetic [`rows`] and [`traffic`]; and [`scikit_learn`] and [`nfstream`], the
//! other contestants.
//!
//! Never here: a claim beyond "on this machine, in this run". Where two things are
//! compared they take turns in one run and the ratio is taken round by round, because a machine
//! is not the same from one minute to the next.
//!
//! The binary `weir-prior` makes the [`prior`] that is shipped. `weir-bench` runs the sections in order and prints one table; `cargo xtask bench`
//! prepares scikit-learn and calls it.

pub mod bpf;
pub mod cpu;
pub mod crowd;
pub mod design;
pub mod detection;
pub mod machine;
pub mod measurement;
pub mod nfstream;
pub mod prior;
pub mod report;
pub mod rows;
pub mod scikit_learn;
pub mod section;
pub mod statistics;
pub mod traffic;
pub mod wire;
pub mod xdp_filter;
