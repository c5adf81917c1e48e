//! A flag that ends traffic, seen by tasks and by threads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// A flag that is set once and ends everything that was started with it.
///
/// Clones share the flag. It may be set from a signal task, another thread or a test: the lab
/// itself installs no signal handlers.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Flag>);

/// A flag for two kinds of waiters.
#[derive(Debug, Default)]
struct Flag {
    for_threads: Mutex<bool>,
    wake: Condvar,
    for_tasks: watch::Sender<bool>,
}

impl Stop {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag; setting it again changes nothing.
    pub fn stop(&self) {
        *self.0.for_threads.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.wake.notify_all();
        self.0.for_tasks.send_replace(true);
    }

    /// True once the flag is set.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.for_tasks.borrow()
    }

    /// Waits in a task until the flag is set.
    pub async fn stopped(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.for_tasks.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Blocks the thread until the flag is set or the time is over; true if it is set.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let stopped = self.0.for_threads.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.wake.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_the_waiting_of_threads() {
        let stop = Stop::new();
        assert!(!stop.wait(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| stop.wait(Duration::from_mins(1)));
            stop.stop();
            assert!(waiter.join().unwrap());
        });
        assert!(stop.is_stopped());
    }

    #[test]
    fn a_stop_ends_the_waiting_of_tasks() {
        let stop = Stop::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let other = stop.clone();
            std::thread::spawn(move || other.stop());
            stop.stopped().await;
        });
    }
}
