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
mod kubernetes;
mod left_behind;
mod lifecycle;
mod package;
mod people;
mod quick_start;
mod rates;
mod reference;
mod running;
mod scraped;
mod service;
mod setup;
mod support;
mod synthesize;
#[path = "../../../dataset/tests/support/mod.rs"]
mod traffic;
mod train;
mod why;
