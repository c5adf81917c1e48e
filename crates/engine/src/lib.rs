//! The decision engine: one path from a window to decisions, live, in replay and in experiments.
//!
//! ```text
//! Window ─► Detector ─► Assessor::assess ─► Assessed ─► judge ─► Judged ─► carry_out ─► the kernel,
//!           context     scores, drift,      evidence    policy   decisions              events
//!           tables ───► warm-up             and facts
//! ```
//!
//! [`Engine::step`] is both halves at once. A node runs them in two threads, so that people can
//! change the policy between two windows; it calls the same [`Detector::assess`] and [`judge`].
//! [`Judged::carry_out`] has the one order in which the outcome of a window is told.
//!
//! # What it never does
//!
//! No I/O, no clock, no thread, no kernel. The same windows, model and configuration give the same
//! decisions.

#![forbid(unsafe_code)]

mod assessor;
pub mod detector;
pub mod drift;
mod incidents;
mod judge;
mod peer_rows;
mod sites;

pub use assessor::{Arrival, Assessed, Assessor, WindowRows, basis};
pub use detector::Detector;
pub use incidents::Incidents;
pub use judge::{CarryOut, Judged, WindowEnd, judge};
pub use peer_rows::{PeerRow, PeerRows};
pub use sites::SiteEvidence;

use model::{Observed, Window};
use policy::Policy;

/// A detector and a policy over windows in their order.
#[derive(Debug)]
pub struct Engine {
    detector: Detector,
    policy: Policy,
}

impl Engine {
    /// An engine that goes on where the detector and the policy are.
    #[must_use]
    pub const fn new(detector: Detector, policy: Policy) -> Self {
        Self { detector, policy }
    }

    /// Assesses the next window and decides on it.
    pub fn step(&mut self, window: &Window, arrival: Arrival) -> Judged {
        judge(&mut self.policy, self.detector.assess(window, arrival))
    }

    /// Records of the last window.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        self.detector.observed()
    }
}
