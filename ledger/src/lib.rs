//! weir's append-only record.

#![forbid(unsafe_code)]

mod columns;
mod error;
mod insert;
mod lock;
mod moment;
mod options;
pub mod query;
mod reader;
mod record;
mod retention;
mod schema;
mod store;
mod table;
mod writer;

pub use error::LedgerError;
pub use insert::MAX_TEXT;
pub use moment::Moment;
pub use options::Options;
pub use query::{
    ActQuery, AlertQuery, BlockQuery, Cursor, EndedBlock, LastRun, Offences, Page, Span,
};
pub use reader::{Counts, Reader, TableCount};
pub use record::{
    Act, Actor, Block, Decision, Difference, Ending, How, Origin, Outcome, PreviousEnd, Record,
    Run, Stop, Target, TargetError, Text, Window,
};
pub use retention::{RETENTION_STEP, Retained};
pub use schema::SCHEMA_VERSION;
pub use store::{Ids, Ledger};
pub use table::Table;
pub use writer::{
    Dropped, Health, LEDGER_QUEUE, News, NotDurable, Ticket, Writer, WriterHandle, WriterOptions,
};
