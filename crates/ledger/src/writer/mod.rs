//! A thread that appends, so that nobody who decides waits for a disk.

mod health;
mod queue;
mod thread;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use health::{Health, News};
use queue::Queue;
pub use queue::{Dropped, NotDurable, Ticket};

use crate::{Ledger, LedgerError, Record};

/// Records that wait to be written, a batch that is being written among them: some 10 MB, or a
/// quarter of an hour of a full disk at 15 records a second.
pub const LEDGER_QUEUE: usize = 16_384;

/// Bounds and waits of a [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Records that may wait.
    pub queue: usize,
    /// The wait after a first failure; each further one waits twice as long.
    pub first_retry: Duration,
    /// The longest wait between two tries.
    pub longest_retry: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            queue: LEDGER_QUEUE,
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(30),
        }
    }
}

/// The thread that appends to a ledger, and the way to end it.
///
/// Batches are written in the order in which they were put, each in one transaction, several
/// together where they queue. While the disk refuses, the thread keeps what it has and tries
/// again; what no longer finds room in the queue is dropped, and counted in [`Health::dropped`].
///
/// Dropping it stops it as [`Writer::stop`] does.
#[derive(Debug)]
pub struct Writer {
    handle: WriterHandle,
    thread: Option<JoinHandle<Ledger>>,
}

/// Puts batches into a writer's queue; as many as one likes.
#[derive(Clone, Debug)]
pub struct WriterHandle(Arc<Queue>);

impl Writer {
    /// Starts the thread. `tell` is called on it when something changes; what it is told is in
    /// [`Health`] as well.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        ledger: Ledger,
        options: WriterOptions,
        tell: impl FnMut(News<'_>) + Send + 'static,
    ) -> Result<Self, LedgerError> {
        let path = ledger.reader().path().to_owned();
        let handle = WriterHandle(Arc::new(Queue::new(options.queue)));
        let queue = Arc::clone(&handle.0);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || thread::run(ledger, &queue, options, tell))
            .map_err(LedgerError::io("start the thread that writes", &path))?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A handle to put batches with.
    #[must_use]
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Writes what is queued, ends the thread and gives the ledger back. Batches that the disk
    /// refuses even now are counted in [`Health::abandoned`].
    ///
    /// # Panics
    /// If the callback panicked.
    #[must_use = "the ledger is closed when it is dropped, and health says what was lost"]
    pub fn stop(mut self) -> (Ledger, Health) {
        self.handle.0.stop();
        let thread = self.thread.take().expect("only stopping takes it");
        match thread.join() {
            Ok(ledger) => (ledger, self.handle.health()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.0.stop();
            // A panic of the callback was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl WriterHandle {
    /// Puts a batch into the queue; it will be recorded as a whole. Never waits.
    ///
    /// Put what belongs together into one batch: a window, its decisions, and the blocks made of
    /// them. A list that is longer than the queue goes in pieces, each waited for.
    ///
    /// # Errors
    /// The queue is full or the writer has stopped; the batch is dropped and counted.
    pub fn put(&self, batch: Vec<Record>) -> Result<Ticket, Dropped> {
        self.0.put(batch)
    }

    /// Waits until this batch is durable; for acts of people, before they are told "done".
    ///
    /// A disk that refused is tried at once, not after its wait.
    ///
    /// # Errors
    /// It is not durable within `limit`, a record of it was refused, or the writer stopped.
    pub fn wait(&self, ticket: Ticket, limit: Duration) -> Result<(), NotDurable> {
        self.0.wait(ticket..=ticket, limit)
    }

    /// Waits until all that was put so far is durable.
    ///
    /// # Errors
    /// As for [`WriterHandle::wait`].
    pub fn flush(&self, limit: Duration) -> Result<(), NotDurable> {
        self.0.wait(self.0.unwritten(), limit)
    }

    /// Asks for retention as of this wall-clock time: it goes on in steps between batches until
    /// there is nothing to remove. Never waits; see [`Ledger::retain`].
    pub fn retain(&self, now_ns: i64) {
        self.0.retain(now_ns);
    }

    /// Health of the writer.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }
}
