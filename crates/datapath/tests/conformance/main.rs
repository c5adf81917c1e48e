//! Real captures, counted three ways: by the loaded programs, by the host build of the same code,
//! and by tshark.
//!
//! The captures are not part of the project; where they, root or tshark are missing, the tests
//! that need them are skipped and say so.

mod both;
mod captures;
mod counters;
mod oracle;
mod tshark;
