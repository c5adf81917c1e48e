//! Where events go.

mod json_lines;

use std::sync::Arc;

use control::Feed;

pub use json_lines::{JsonLines, SinkError};

use crate::event::Event;

/// Takes events one by one, in order.
pub trait Sink: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// The sink cannot take it; the caller reports that once and goes on.
    fn take(&mut self, event: &Event) -> Result<(), SinkError>;

    /// Makes what was taken durable.
    ///
    /// # Errors
    /// As for [`Sink::take`].
    fn flush(&mut self) -> Result<(), SinkError>;
}

impl Sink for Arc<Feed> {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        // The events hold nothing that JSON could not.
        self.push(&serde_json::to_string(event).unwrap_or_default());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
