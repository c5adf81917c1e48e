//! Source of windows, as the pipeline asks for them.

use std::net::IpAddr;

use model::Window;

/// Where windows come from: one call a window.
pub trait Drain: Send {
    /// Ends the current window and returns it.
    ///
    /// # Errors
    /// The tables cannot be read; the pipeline stops.
    fn drain(&mut self) -> anyhow::Result<Window>;

    /// Remotes whose counts in the current window leave no doubt that they scan; asked
    /// [every so often](crate::pipeline::GLANCE_EVERY). The window goes on untouched.
    ///
    /// # Errors
    /// As for [`Self::drain`].
    fn glance(&mut self) -> anyhow::Result<Vec<IpAddr>> {
        Ok(Vec::new())
    }
}

impl<F: FnMut() -> anyhow::Result<Window> + Send> Drain for F {
    fn drain(&mut self) -> anyhow::Result<Window> {
        self()
    }
}
