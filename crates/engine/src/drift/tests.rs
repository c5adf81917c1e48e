use linfa::ParamGuard as _;
use model::{
    Channel, Horizon, IsolationForest, Kind, PeerFacts, SchemaId, Span, assess::assess, schema,
};

use super::*;
use crate::peer_rows::PeerRow;

const PEERS: usize = 12;

/// Rows of values in [0, 1), more often small than large, the features apart from each other.
#[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
fn rows(draws: &mut Draws, count: usize, width: usize) -> Vec<f32> {
    (0..count * width).map(|_| draws.unit().powi(2) as f32).collect()
}

fn detector(schema: SchemaId, seed: u64) -> DetectorModel {
    let width = schema.features.len();
    let mut draws = Draws::new(seed, 1);
    let (train, held_out) = (rows(&mut draws, 3_000, width), rows(&mut draws, 1_000, width));
    let params = IsolationForest::params().n_trees(20).check().expect("valid");
    DetectorModel::fit(schema, &train, &held_out, &params).expect("a detector")
}

/// A model of traffic that a test makes.
pub(crate) fn model(seed: u64) -> ModelFile {
    let channel = Channel::new(Kind::Peer, Horizon::from_ms(1_000));
    let peer = detector(schema::schema_id(Kind::Peer), seed);
    ModelFile::new([(channel, peer)], "2026-01-31T12:00:00Z").expect("a model")
}

/// A sensor in traffic that a test makes.
struct Bench {
    model: ModelFile,
    sensor: DriftSensor,
    draws: Draws,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let model = model(seed);
        let sensor = DriftSensor::new(&model, seed, false);
        Self { model, sensor, draws: Draws::new(seed, 2) }
    }

    /// A window of benign peers and of others; each kind's rows are changed.
    fn window(
        &mut self,
        others: usize,
        benign: impl Fn(&mut [f32]),
        other: impl Fn(&mut [f32]),
    ) -> bool {
        self.window_of(Standing::Proven, others, benign, other)
    }

    /// The same, of others in this standing.
    fn window_of(
        &mut self,
        standing: Standing,
        others: usize,
        benign: impl Fn(&mut [f32]),
        other: impl Fn(&mut [f32]),
    ) -> bool {
        let width = self.model.peer().inputs().width();
        let mut peers = rows(&mut self.draws, PEERS + others, width);
        for (index, row) in peers.chunks_exact_mut(width).enumerate() {
            if index < PEERS { benign(row) } else { other(row) }
        }
        let span = Span { start_ns: 0, end_ns: 1 };
        let row = |(number, row): (usize, _)| PeerRow {
            address: match number.checked_sub(PEERS) {
                None => [198, 51, 100, number.to_le_bytes()[0]].into(),
                Some(other) => [203, 0, 113, other.to_le_bytes()[0]].into(),
            },
            horizon: self.model.window(),
            covers: span,
            is_lossy: false,
            facts: PeerFacts {
                standing: if number < PEERS { Standing::Proven } else { standing },
                ..PeerFacts::default()
            },
            row,
        };
        let peers = PeerRows::of(span, (0..).zip(peers.chunks_exact(width)).map(row));
        let assessment =
            assess(self.model.detectors(), Kind::Peer, peers.rows(), peers.peers().len());
        self.sensor.take(&self.model, &assessment, &peers);
        self.sensor.drift().suspended
    }
}

fn as_before(_: &mut [f32]) {}

/// Some features are larger than they were, within what training saw.
fn larger(row: &mut [f32]) {
    for value in &mut row[3..15] {
        *value = 0.9 + 0.09 * *value;
    }
}

/// Every feature is far beyond what training saw.
fn beyond(row: &mut [f32]) {
    row.fill(1e6);
}

#[test]
fn a_shift_suspends_and_names_the_features_that_shifted_and_nothing_else() {
    let mut bench = Bench::new(1);
    for window in 0..100 {
        assert!(!bench.window(0, as_before, as_before), "window {window}");
    }
    assert_eq!(bench.sensor.drift().features, []);
    let windows = (1..=150).find(|_| bench.window(0, larger, as_before));
    println!("suspended after {windows:?} windows: {}", bench.sensor.drift().to_text());
    assert!(windows.is_some(), "not within 150 windows: {:?}", bench.sensor.drift());
    let shifted = schema::schema_id(Kind::Peer).features[3..15].to_vec();
    let named = &bench.sensor.drift().features;
    assert!(!named.is_empty() && named.iter().all(|one| shifted.contains(&one.feature)));
    let back = (1..=2_000).find(|_| !bench.window(0, as_before, as_before));
    assert!(back.is_some(), "it did not resume: {:?}", bench.sensor.drift());
}

#[test]
fn a_flood_neither_looks_like_drift_nor_hides_it() {
    let mut bench = Bench::new(2);
    for window in 0..80 {
        assert!(!bench.window(60, as_before, beyond), "window {window}");
    }
    assert_eq!(bench.sensor.drift().features, []);
    assert!((1..=150).any(|_| bench.window(60, larger, beyond)), "hidden");
}

#[test]
fn proven_peers_of_one_network_suspend_nothing_be_they_as_many_as_it_holds() {
    for others in [PEERS, 250] {
        let mut bench = Bench::new(4);
        for window in 0..300 {
            assert!(!bench.window(others, as_before, larger), "window {window} of {others}");
        }
        assert!((1..=300).any(|_| bench.window(others, larger, larger)), "all of {others} moved");
    }
}

#[test]
fn a_window_without_an_ordinary_peer_says_nothing() {
    let mut bench = Bench::new(3);
    for _ in 0..100 {
        assert!(!bench.window(0, beyond, beyond));
    }
    assert!((bench.sensor.drift().martingale - 0.0).abs() < f64::EPSILON);
}
