//! Detector: live windows joined with their past, as evidence per peer.
//!
//! The rows come from live windows or captures here; what is made of them is the [`Assessor`]'s,
//! which tables feed too.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use model::{
    Context, ContextCount, Feature as _, FlowFeature, Maintained, ModelFile, Observed, Outages,
    PeerFeature, WARM_UP, Window,
};

use crate::assessor::{Arrival, Assessed, Assessor, WindowRows};

/// Scores windows in their order; the past is part of the features.
pub struct Detector {
    context: Context,
    outages: Outages,
    /// Services that people said may fail.
    maintained: Vec<Maintained>,
    /// Kept between windows for its room only.
    observed: Observed,
    assessor: Assessor,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

impl Detector {
    /// A detector of windows of a configured length that starts from a context: an empty one, or
    /// the one that learning ended with. An empty one takes every flow for new, so that its first
    /// [`WARM_UP`] windows are told as warming up.
    #[must_use]
    pub fn new(model: ModelFile, context: Context, window: Duration) -> Self {
        let warm_up = if context.size() == ContextCount::default() { WARM_UP } else { 0 };
        let assessor = Assessor::new(model, window, warm_up);
        Self {
            context,
            outages: Outages::default(),
            maintained: Vec::new(),
            observed: Observed::default(),
            assessor,
        }
    }

    /// The model it scores with.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        self.assessor.model()
    }

    /// The records of the last window that was assessed.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Takes over which services people said may fail: for the windows from here on.
    pub fn maintain(&mut self, services: Vec<Maintained>) {
        self.maintained = services;
    }

    /// Joins a window with the past and scores its flows and peers.
    ///
    /// The rows are filled by [`Feature::fill`](model::Feature::fill), as the columns of a captured
    /// table are: one definition of a feature, with no table in between.
    pub fn assess(&mut self, window: &Window, arrival: Arrival) -> Assessed {
        let (window, outages) = self.outages.look(window, &self.maintained);
        self.context.observe_into(&window, &mut self.observed);
        let Observed { flows, peers } = &self.observed;
        let flows_of: Vec<_> = peers.iter().map(|peer| peer.flows.clone()).collect();
        let facts: Vec<_> =
            peers.iter().map(|peer| (address(peer.key.address), peer.facts)).collect();
        let assessed = self.assessor.assess(
            WindowRows {
                span: window.span(),
                is_lossy: window.is_lossy(),
                flows: &FlowFeature::rows(flows),
                peers: &PeerFeature::rows(peers),
                flows_of: &flows_of,
                facts: &facts,
            },
            arrival,
        );
        Assessed { outages, ..assessed }
    }
}

/// The address of a 16-byte form.
#[must_use]
pub fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
