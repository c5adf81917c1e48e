//! Where events go.

mod json_lines;

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
