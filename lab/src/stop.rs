//! A flag that ends traffic, seen by tasks and by threads.

use std::sync::Arc;

use tokio::sync::watch;

/// A flag that is set once and ends everything that was started with it.
///
/// Clones share the flag. It may be set from a signal task, another thread or a test.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag; setting it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the flag is set.
    pub async fn stopped(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
