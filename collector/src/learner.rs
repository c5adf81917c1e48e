//! Learner: gathers benign windows and fits both models on them.

use model::{
    Context, DetectorModel, Feature, FlowFeature, IsolationForestValidParams, ModelFile,
    PeerFeature, Window, schema,
};

/// Rows of one kind kept at most; beyond that every second row is dropped and from then on only
/// each second, fourth, … one is taken, so that memory stays bounded and time evenly covered.
pub const ROWS_LIMIT: usize = 1 << 20;

/// Windows at the start that only fill the context: in them everything is new.
pub const WARM_UP: u64 = 3;

/// The share of windows, from the first on and in tenths, that the forests are fitted on; the later ones
/// calibrate them. A split in time, not at random: neighbouring windows resemble each other.
const TRAINING_TENTHS: u64 = 6;

/// Rows of one kind, with the window each came from.
#[derive(Debug)]
struct Rows {
    width: usize,
    values: Vec<f32>,
    windows: Vec<u64>,
    /// One in `1 << stride` rows is taken.
    stride: u32,
    seen: u64,
}

impl Rows {
    fn new<F: Feature>() -> Self {
        Self { width: F::ALL.len(), values: Vec::new(), windows: Vec::new(), stride: 0, seen: 0 }
    }

    fn extend(&mut self, window: u64, rows: &[f32]) {
        for row in rows.chunks_exact(self.width) {
            if self.seen.trailing_zeros() >= self.stride {
                if self.windows.len() == ROWS_LIMIT {
                    self.halve();
                }
                self.values.extend_from_slice(row);
                self.windows.push(window);
            }
            self.seen += 1;
        }
    }

    fn halve(&mut self) {
        self.stride += 1;
        let width = self.width;
        for (to, from) in (0..self.windows.len()).step_by(2).enumerate() {
            self.windows[to] = self.windows[from];
            self.values.copy_within(from * width..(from + 1) * width, to * width);
        }
        self.windows.truncate(self.windows.len().div_ceil(2));
        self.values.truncate(self.windows.len() * width);
    }

    /// The rows of the first windows and those of the later ones.
    fn split(&self) -> (&[f32], &[f32]) {
        let (Some(first), Some(last)) = (self.windows.first(), self.windows.last()) else {
            return (&[], &[]);
        };
        let boundary = first + (last - first) * TRAINING_TENTHS / 10;
        let rows = self.windows.partition_point(|&window| window <= boundary);
        self.values.split_at(rows * self.width)
    }
}

/// Gathers windows; see [`Learner::finish`].
pub struct Learner {
    context: Context,
    flows: Rows,
    peers: Rows,
    windows: u64,
    lossy: u64,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").field("learnt", &self.learnt()).finish_non_exhaustive()
    }
}

/// What a learner has gathered.
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
            flows: Rows::new::<FlowFeature>(),
            peers: Rows::new::<PeerFeature>(),
            windows: 0,
            lossy: 0,
        }
    }
}

impl Learner {
    /// Takes one window of benign traffic.
    ///
    /// # Errors
    /// The feature tables are not this build's, which cannot be.
    pub fn take(&mut self, window: &Window) -> anyhow::Result<()> {
        self.windows += 1;
        let observed = self.context.observe(window);
        if window.is_lossy() {
            self.lossy += 1;
        } else if self.windows > WARM_UP {
            let flows = schema::feature_rows(&schema::flow_batch(&observed.flows, window))?;
            let peers = schema::feature_rows(&schema::peer_batch(&observed.peers, window))?;
            self.flows.extend(self.windows, &flows);
            self.peers.extend(self.windows, &peers);
        }
        Ok(())
    }

    /// What was gathered so far.
    #[must_use]
    pub const fn learnt(&self) -> Learnt {
        Learnt {
            windows: self.windows,
            lossy_windows: self.lossy,
            flow_rows: self.flows.seen,
            peer_rows: self.peers.seen,
        }
    }

    /// Fits both models on the first windows and calibrates them on the later ones. `created` is
    /// the time the model file will state.
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
    ) -> anyhow::Result<(ModelFile, Context)> {
        let fit = |what, id, rows: &Rows| -> anyhow::Result<DetectorModel> {
            let (train, calibrate) = rows.split();
            DetectorModel::fit(id, train, calibrate, params).map_err(|error| {
                let rows = rows.windows.len();
                anyhow::anyhow!("{what} model from {rows} rows: {error}; learn for longer")
            })
        };
        let flow = fit("flow", schema::flow_schema_id(), &self.flows)?;
        let peer = fit("peer", schema::peer_schema_id(), &self.peers)?;
        Ok((ModelFile::new(flow, peer, created)?, self.context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_limit_are_thinned_evenly() {
        let mut rows = Rows { width: 1, values: vec![], windows: vec![], stride: 0, seen: 0 };
        for window in 0..(ROWS_LIMIT as u64 * 3) {
            rows.extend(window, &[window as f32]);
        }
        assert!(rows.windows.len() <= ROWS_LIMIT && rows.windows.len() > ROWS_LIMIT / 2);
        let apart: std::collections::BTreeSet<u64> =
            rows.windows.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(apart.len(), 1, "{apart:?}");
    }

    #[test]
    fn the_split_is_in_time_and_keeps_a_window_whole() {
        let mut rows = Rows { width: 2, values: vec![], windows: vec![], stride: 0, seen: 0 };
        for window in 0..10 {
            rows.extend(window, &[0.0, 1.0, 2.0, 3.0]);
        }
        let (train, calibrate) = rows.split();
        assert_eq!((train.len(), calibrate.len()), (6 * 4, 4 * 4));
    }
}
