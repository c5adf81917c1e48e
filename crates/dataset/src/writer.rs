//! Writing: one file at a time that is whole or not there, and a data set of them.

mod claim;
mod file;
mod flows;
mod options;
mod set;
mod sweep;

pub use file::{FinishedFile, TableWriter};
pub use options::WriterOptions;
pub use set::{DatasetWriter, Written};
pub use sweep::Sweep;
