//! Learner: gathers benign windows and fits both models on them.

use std::time::Duration;

use model::{
    Context, DetectorModel, Feature, FlowFeature, IsolationForestValidParams, ModelFile,
    ModelFormatError, Observed, PeerFeature, SchemaId, WARM_UP, Window, schema,
};
use thiserror::Error;

use crate::{Method, Plan, SampledRows, TrainingError, train};

/// Reason for which no model came out of the windows.
#[derive(Debug, Error)]
pub enum LearnError {
    /// A model could not be fitted or calibrated.
    #[error("{table} model from {rows} rows: {source}; learn for longer")]
    Fit {
        /// `flow` or `peer`.
        table: &'static str,
        /// Rows gathered.
        rows: usize,
        /// The reason.
        source: TrainingError,
    },
    /// Both models do not fit into one file.
    #[error(transparent)]
    File(#[from] ModelFormatError),
}

/// Gathers windows; see [`Learner::finish`].
pub struct Learner {
    context: Context,
    flows: SampledRows,
    peers: SampledRows,
    windows: u64,
    lossy: u64,
    window_ns: Option<u64>,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").field("learnt", &self.learnt()).finish_non_exhaustive()
    }
}

/// Rows that a learner has gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Learnt {
    /// Windows seen, the warm-up included.
    pub windows: u64,
    /// Windows left out because they had lost flows.
    pub lossy_windows: u64,
    /// Flow rows gathered.
    pub flow_rows: u64,
    /// Peer rows gathered.
    pub peer_rows: u64,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            context: Context::default(),
            flows: SampledRows::new(FlowFeature::ALL.len()),
            peers: SampledRows::new(PeerFeature::ALL.len()),
            windows: 0,
            lossy: 0,
            window_ns: None,
        }
    }
}

impl Learner {
    /// A learner of windows of a configured length, which the model file will state.
    #[must_use]
    pub fn of_windows(length: Duration) -> Self {
        Self { window_ns: u64::try_from(length.as_nanos()).ok(), ..Self::default() }
    }

    /// Takes one window of benign traffic.
    pub fn take(&mut self, window: &Window) {
        self.windows += 1;
        let Observed { flows, peers } = self.context.observe(window);
        if window.is_lossy() {
            self.lossy += 1;
        } else if self.windows > WARM_UP {
            self.flows.extend(self.windows, &FlowFeature::rows(&flows));
            self.peers.extend(self.windows, &PeerFeature::rows(&peers));
        }
    }

    /// Rows gathered so far.
    #[must_use]
    pub const fn learnt(&self) -> Learnt {
        Learnt {
            windows: self.windows,
            lossy_windows: self.lossy,
            flow_rows: self.flows.seen(),
            peer_rows: self.peers.seen(),
        }
    }

    /// Fits both models on the first windows and calibrates them on the later ones, as
    /// [`train`] does. `created` is the time the model file will state.
    ///
    /// The context comes back too: a detector that goes on with it does not take everything for
    /// new.
    ///
    /// # Errors
    /// Too few rows to fit or to calibrate; the error says how many there were.
    pub fn finish(
        self,
        params: &IsolationForestValidParams,
        created: &str,
    ) -> Result<(ModelFile, Context), LearnError> {
        let window_ns = self.window_ns;
        let plan = Plan { window_ns, ..Plan::new(Method::Forest(params.clone())) };
        let fit = |table, id: SchemaId, rows: &SampledRows| -> Result<DetectorModel, LearnError> {
            let rows_gathered = rows.len();
            let trained = train(rows, &id, &plan).map_err(|source| LearnError::Fit {
                table,
                rows: rows_gathered,
                source,
            })?;
            Ok(trained.detector)
        };
        let flow = fit("flow", schema::flow_schema_id(), &self.flows)?;
        let peer = fit("peer", schema::peer_schema_id(), &self.peers)?;
        Ok((ModelFile::new(flow, peer, created)?, self.context))
    }
}
