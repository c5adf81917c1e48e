//! weir's append-only record: what it saw, decided and did, and what people did with it.
//!
//! # What it is
//!
//! The ledger is one SQLite file, which any SQLite tool opens, with a table for each kind of
//! [`Record`]:
//!
//! | table | a row is |
//! |---|---|
//! | `runs`, `stops` | a start of weir, with how the one before ended; an end in good order |
//! | `windows` | a window that was decided on: traffic, losses, mode |
//! | `decisions` | an anomalous peer in a window: [`events::DecisionRecord`] as JSON, beside what it is looked up by |
//! | `blocks`, `endings` | a block that was made or found; how it ended, and what it dropped |
//! | `acts` | something a person did: who, what, what came of it |
//! | `differences` | what kernel, ledger and configuration differed in at a start |
//! | `models`, `retention` | hashes of models; how much retention has removed |
//!
//! **What it promises**
//! - *Append-only.* Triggers refuse to change, remove or replace a row, for other programs too.
//!   Only retention removes, the oldest first, and it writes down how much before it does.
//! - *A batch is there whole or not at all*, and once [`Ledger::append`] has returned, or
//!   [`WriterHandle::wait`], it survives `kill -9` and a loss of power: WAL with
//!   `synchronous=FULL`. The tests kill a writer 200 times, cut the WAL at any byte, and tear
//!   checkpoints by sectors.
//! - *Bounded*, by age and by size; never at the cost of a block that stands, its decision and its
//!   run. Queues are bounded as well, and what did not fit is counted.
//! - *A full disk* is an error that names the file and the remedy. The file stays whole, and the
//!   next batch goes in when there is room.
//! - *One writer*, by a lock file; readers at any time, also when nobody writes. Mode 0600.
//! - *Older versions are migrated*, in one transaction. A newer one, another program's database and
//!   what is no database are refused by name, and not touched.
//!
//! **What it costs.** A day of 86,400 windows with five decisions each (three reasons each), one in
//! fifty of them a block, takes 478 MB: some 1,100 bytes a decision with its indices, half of them
//! reasons and claim, and 80 a window (`cargo run -p ledger --example day`). The default bounds of
//! [`Options`] hold 18 such days. How many decisions of a flood are recorded is the caller's choice.
//!
//! # What it never does
//!
//! It knows nothing of weir but these records, whose words are those of the crate `events`: no
//! policy, no kernel, no formula. It has no clock
//! and no randomness; each time comes in with a record or a question. It never removes a file, and
//! never repairs one.
//!
//! **Times.** What is compared across runs is the wall clock. Boot-clock times are kept next to it,
//! for the kernel's leases run on that clock; they count only on the boot that the run names
//! ([`Run::boot_id`]). [`Moment`] says how to convert.
//!
//! # In what order
//!
//! 1. [`Ledger::open`]. Ask [`Ledger::reader`] for the [last run](Reader::last_run), for what
//!    [stands](Reader::active) and for the [offenders](Reader::offenders), and take the run's
//!    [numbers](Ledger::ids).
//! 2. [`Ledger::append`] the [`Run`] and the [`Difference`]s that reconciliation found.
//! 3. [`Writer::start`]. [`WriterHandle::put`] a batch a window; for an act of a person,
//!    [`WriterHandle::wait`] until it is durable; [`WriterHandle::retain`] once a minute or so.
//! 4. [`WriterHandle::put`] the [`Stop`], then [`Writer::stop`].
//!
//! Everybody else, at any time: [`Ledger::read`], and ask.
//!
//! ```
//! use std::time::Duration;
//!
//! use ledger::{
//!     Act, ActQuery, Actor, Ledger, Moment, Options, PreviousEnd, Run, Stop, Writer, WriterOptions,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("ledger.db");
//! let mut ledger = Ledger::open(&path, &Options::default())?;
//! let boot_id = "5c7d3e64-7d0f-4b8e-a6a5-0d1d6e1f7a11";
//! let previous = match ledger.reader().last_run()? {
//!     Some(last) => last.ended(boot_id),
//!     None => PreviousEnd::None,
//! };
//! let ids = ledger.ids()?;
//! let start = Moment { wall_ns: 1_700_000_000_000_000_000, boot_ns: 20_000_000_000 };
//! ledger.append(&[Run {
//!     id: ids.run(),
//!     start,
//!     boot_id: boot_id.into(),
//!     version: "0.2.0".into(),
//!     config: "c0ffee".into(),
//!     model: "facade".into(),
//!     mode: "shadow".into(),
//!     previous,
//! }
//! .into()])?;
//!
//! let writer = Writer::start(ledger, WriterOptions::default(), |news| eprintln!("{news:?}"))?;
//! let handle = writer.handle();
//! let who = Actor { uid: Some(1_000), pid: Some(4_242), name: "ada".into() };
//! let act = Act {
//!     run: ids.run(),
//!     at_ns: start.wall_ns,
//!     who,
//!     what: "unblock".into(),
//!     arguments: r#"{"target":"203.0.113.7"}"#.into(),
//!     outcome: "done".into(),
//! };
//! let ticket = handle.put(vec![act.clone().into()])?;
//! handle.wait(ticket, Duration::from_secs(5))?;
//!
//! let reader = Ledger::read(&path)?;
//! assert_eq!(reader.acts(&ActQuery::default())?.rows, [act]);
//!
//! handle.put(vec![Stop { run: ids.run(), at: start, why: "signal".into() }.into()])?;
//! let (_ledger, health) = writer.stop();
//! assert_eq!((health.dropped, health.abandoned), (0, 0));
//! # Ok(())
//! # }
//! ```

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
    Act, Actor, Block, Decision, Difference, Ending, How, Origin, Prefix, PreviousEnd, Record, Run,
    Stop, Text, Window,
};
pub use retention::{RETENTION_STEP, Retained};
pub use schema::SCHEMA_VERSION;
pub use store::{Ids, Ledger};
pub use table::Table;
pub use writer::{
    Dropped, Health, LEDGER_QUEUE, News, NotDurable, Ticket, Writer, WriterHandle, WriterOptions,
};
