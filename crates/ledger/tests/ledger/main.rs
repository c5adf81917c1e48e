//! The promises of the ledger, each as a test; one binary, so that SQLite is linked once.

#![forbid(unsafe_code)]

mod append_only;
mod full_disk;
mod killed;
mod migration;
mod opening;
mod paging;
mod power_loss;
mod reading;
mod retention;
mod support;
mod writing;
