//! Frames counted three ways: by the loaded programs, by the host build of the same code, and by
//! tshark.
//!
//! The corpus is the project's own and made by code, so that a checkout proves this wherever it
//! may load programs. The captures that the project does not ship add what real networks made of
//! the formats. Where these, root or tshark are missing, the tests that need them are skipped and
//! say so.

mod both;
mod captures;
mod corpus;
mod counters;
mod oracle;
mod shared;
mod sweeps;
mod tshark;
