//! The programs in the kernel, on real packets and in test runs: one binary, a module for each
//! claim.

mod attach;
mod changes;
mod conformance;
mod faults;
mod guard;
mod links;
mod offloads;
mod pins;
mod scope;
mod service;
mod sharing;
mod support;
mod trace;
mod unseen;
