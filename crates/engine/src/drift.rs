//! Drift: the input of the watch over benign traffic.
//!
//! Of each whole window the rows of ordinary peers are counted into the training's bins, and one
//! p-value of each measure is bet on ([`policy::statistics::DriftWatch`]). Peers that stand out
//! are left out of both, and so is what anybody may have sent in a peer's name: an attack neither
//! looks like drift nor can suspend its own block. What the peers of one network do, be they as many as
//! a /24 holds, is no drift where other networks go on as before ([`networks`]). A shift that lifts
//! every benign peer that far at once is not for this watch, but for the breaker.

mod counter;
mod networks;

use evaluation::Reading;
use model::{
    DetectorModel, Feature as _, ModelFile, PeerFeature,
    assess::{Assessment, HorizonRows},
    sample::Draws,
};
use policy::{
    ALERT_SURPRISE, Standing, Subject,
    statistics::{BETS, Drift, DriftWatch, Moved},
};

pub use counter::{DriftCounter, Side};

use crate::peer_rows::PeerRows;
use networks::Networks;

/// Rows that one window adds at most, spread over its ordinary peers: a window of
/// very many does not outweigh those before it.
const ROWS_OF_A_WINDOW: usize = 256;

/// Rows over which the spread is measured: it is forgotten by half whenever twice as many were
/// counted. As rows of one peer resemble each other, fewer would move by chance.
const SPAN: u64 = 4_096;

/// Rows below which nothing is said of the spread.
const LEAST_ROWS: u64 = 512;

/// The streams of random numbers that p-values are drawn with: of all peers, and by network.
const STREAMS: [usize; 2] = [0, 1];

/// Watches the windows that a detector assesses.
#[derive(Debug)]
pub struct DriftSensor {
    watch: DriftWatch,
    peers: DriftCounter,
    networks: Networks,
    draws: [Draws; 2],
}

impl DriftSensor {
    /// Nothing seen yet; the seed draws which p-values are bet on, and where the model is learnt on,
    /// drift asks for another before it suspends.
    pub(crate) fn new(model: &ModelFile, seed: u64, learning: bool) -> Self {
        Self {
            watch: if learning { DriftWatch::of_learning() } else { DriftWatch::default() },
            peers: DriftCounter::new(model.peer()),
            networks: Networks::default(),
            draws: STREAMS.map(|stream| Draws::new(seed, stream)),
        }
    }

    /// Drift over the windows so far.
    pub(crate) const fn drift(&self) -> &Drift {
        self.watch.drift()
    }

    /// Takes the rows of a window that lost nothing; returns true where it changes whether blocking
    /// is suspended, or a model learnt anew.
    pub(crate) fn take(
        &mut self,
        model: &ModelFile,
        assessment: &Assessment<'_>,
        peers: &PeerRows,
    ) -> bool {
        let nothing = HorizonRows { horizon: model.window(), rows: Vec::new(), of: Vec::new() };
        let of_window = peers.rows().iter().find(|block| block.horizon == model.window());
        let HorizonRows { rows, of, .. } = of_window.unwrap_or(&nothing);
        let entities = assessment.entities();
        let is_ordinary = |row: &usize| {
            let (_, facts) = peers.peers()[of[*row]];
            let is_its_own = facts.standing != Standing::Unproven;
            is_its_own && entities[of[*row]].surprise < ALERT_SURPRISE
        };
        let ordinary: Vec<usize> = (0..of.len()).filter(is_ordinary).collect();
        count(&mut self.peers, &ordinary, rows);
        let [of_all, of_networks] = &mut self.draws;
        let p_values = drawn(model.peer(), &ordinary, rows, of_all);
        let with_network = ordinary.iter().map(|&row| (peers.peers()[of[row]].0, row));
        self.networks.take(with_network, |rows_of| drawn(model.peer(), rows_of, rows, of_networks));
        let state = |drift: &Drift| (drift.suspended, drift.relearning);
        let before = state(self.watch.drift());
        let moved = moved(Subject::Peer, &self.peers).collect();
        let drift = self.watch.observe(p_values, self.networks.agree(), farthest_first(moved));
        state(drift) != before
    }
}

/// The p-values of one of these rows, by score and by tail score.
fn drawn(
    detector: &DetectorModel,
    indices: &[usize],
    rows: &[f32],
    draws: &mut Draws,
) -> [Option<f64>; BETS] {
    if indices.is_empty() {
        return [None; BETS];
    }
    let width = detector.inputs().width();
    let index = indices[draws.below(indices.len())];
    let row = &rows[index * width..][..width];
    let by_score = detector.calibration().p_value(detector.score_row(row));
    let by_tails = detector.tail_calibration().p_value(detector.tail_score(row));
    [by_score, by_tails].map(|p_value| Some(p_value.conditional))
}

fn count(counter: &mut DriftCounter, indices: &[usize], rows: &[f32]) {
    let every = indices.len().div_ceil(ROWS_OF_A_WINDOW).max(1);
    for &index in indices.iter().step_by(every) {
        counter.count(Side::Test, &rows[index * counter.width..][..counter.width]);
    }
    if counter.counted() >= 2 * SPAN {
        counter.forget_half();
    }
}

/// The features that are not spread as in training.
fn moved(subject: Subject, counter: &DriftCounter) -> impl Iterator<Item = Moved> {
    let enough = counter.counted() >= LEAST_ROWS;
    let drift = if enough { counter.finish(None) } else { Vec::new() };
    drift.into_iter().filter(|drift| drift.reading == Reading::Moved).map(move |drift| {
        let (share, [before, now]) = counter.where_moved(&drift.feature);
        let natural = |value| match PeerFeature::from_name(&drift.feature) {
            Some(feature) => feature.natural(value),
            None => value,
        };
        let (before, now) = (natural(before), natural(now));
        Moved { subject, index: drift.index, share, before, now, feature: drift.feature }
    })
}

fn farthest_first(mut moved: Vec<Moved>) -> Vec<Moved> {
    moved.sort_by(|a, b| {
        b.index
            .total_cmp(&a.index)
            .then_with(|| (a.subject, &a.feature).cmp(&(b.subject, &b.feature)))
    });
    moved
}

#[cfg(test)]
pub(crate) mod tests;
