//! Reading: what a file is, which rows are wanted, and the blocks they come in.

mod block;
mod blocks;
mod conform;
mod decode;
mod facts;
mod parquet_file;
mod selection;
mod set;
mod walk;

pub use block::{BLOCK_ROWS, Block, StoredWindow};
pub use blocks::{Blocks, take_rows};
pub use selection::{Columns, LabelFilter, ReadCounts, Selection};
pub use set::{DataFile, Dataset};

pub(crate) use decode::Decode;
pub(crate) use facts::{facts, provenance};
pub(crate) use parquet_file::ParquetFile;
pub(crate) use walk::walk;
