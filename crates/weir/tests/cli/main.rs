//! The `weir` command as it is built, in the protected host of a lab.

mod bad_input;
mod by_hand;
mod captures;
mod closed_pipe;
mod exchange;
mod experiment;
mod faults;
mod import;
mod judging;
mod left_behind;
mod lifecycle;
mod people;
mod rates;
mod running;
mod scraped;
mod service;
mod support;
mod synthesize;
#[path = "../../../dataset/tests/support/mod.rs"]
mod traffic;
mod train;
mod why;
