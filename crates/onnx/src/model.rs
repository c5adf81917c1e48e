use std::fmt;

use crate::errors::OnnxError;
use crate::kind::OnnxKind;
use crate::network;
use crate::read::{self, Engine, ReadModel};
use crate::rows::Steps;
use crate::trees;

/// A model read from ONNX, validated, ready to score rows.
///
/// Rows are `f32`, side by side: `rows[row * n_features + feature]`.
///
/// # Values that are not finite
///
/// Trees send NaN where the file says, as onnxruntime does. A network computes with what it
/// gets. A score that is NaN or infinite in the end is given as the most anomalous one of the
/// model's kind: 1 of an isolation forest or a classifier, else [`f32::MAX`].
#[derive(Clone, Debug)]
pub struct OnnxModel {
    kind: OnnxKind,
    n_features: usize,
    steps: Steps,
    /// The feature that each column behind the steps stems from.
    origins: Vec<usize>,
    engine: Engine,
    producer: String,
    feature_names: Vec<String>,
    output: String,
}

/// Description of a model, for a person.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// Kind that the model was recognised as.
    pub kind: OnnxKind,
    /// Features per row.
    pub n_features: usize,
    /// The program that wrote the file and its version, empty where the file does not say.
    pub producer: String,
    /// Steps that a row passes through, in order, one per line.
    pub steps: Vec<String>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} features", self.kind, self.n_features)?;
        if !self.producer.is_empty() {
            write!(f, ", by {}", self.producer)?;
        }
        for step in &self.steps {
            write!(f, "\n  {step}")?;
        }
        Ok(())
    }
}

impl OnnxModel {
    /// Reads and validates a model.
    ///
    /// Time and memory are bounded by the file's size and by limits that no sensible scorer
    /// reaches; nothing outside `bytes` is read, external data is refused.
    ///
    /// Of several outputs the score is made from `score_samples`, else from probabilities,
    /// else from the first that holds numbers.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OnnxError> {
        let ReadModel { kind, n_features, steps, engine, producer, feature_names, output } =
            read::read(bytes)?;
        let origins = steps.origins();
        Ok(Self { kind, n_features, steps, origins, engine, producer, feature_names, output })
    }

    /// Features per row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Kind that the model was recognised as.
    #[must_use]
    pub fn kind(&self) -> OnnxKind {
        self.kind
    }

    /// True if scores are isolation scores or probabilities, in [0, 1] by themselves. Trees that
    /// vote without a link function may still give others.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        match (self.kind, &self.engine) {
            (OnnxKind::IsolationForest | OnnxKind::TreeClassifier, _) => true,
            (OnnxKind::Network, Engine::Network(network)) => network.ends_in_probability(),
            _ => false,
        }
    }

    /// The features' names in the order of a row, where the file holds them; else empty.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Scores rows that lie side by side, on the calling thread; higher is more anomalous.
    /// [`OnnxKind`] says what the numbers mean. Any row has a finite score, which does not
    /// depend on the rows beside it; only a network that sums over columns by itself, or ends in a
    /// softmax of several classes, may give another last digit in another place of the slice.
    ///
    /// # Panics
    ///
    /// If `rows` does not hold exactly `scores.len()` rows of
    /// [`n_features`](Self::n_features) values.
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        assert_eq!(
            rows.len(),
            scores.len() * self.n_features,
            "rows must hold one row of {} features per score",
            self.n_features
        );
        let block = match &self.engine {
            Engine::Trees(_) => trees::BLOCK,
            Engine::Network(_) => network::BLOCK,
        };
        let mut stepped = Vec::new();
        let mut outputs = Vec::new();
        let blocks = rows.chunks(block * self.n_features).zip(scores.chunks_mut(block));
        for (rows, scores) in blocks {
            let rows = self.stepped(rows, &mut stepped);
            match &self.engine {
                Engine::Trees(ensemble) => ensemble.score_block(rows, self.steps.width, scores),
                Engine::Network(network) => {
                    network.run(rows, &mut outputs);
                    self.score_outputs(rows, &outputs, network.n_outputs(), scores);
                }
            }
            for score in scores {
                *score = self.total(*score);
            }
        }
    }

    /// Scores one row, as [`score_rows`](Self::score_rows) does.
    ///
    /// # Panics
    ///
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        let mut score = [0.0];
        self.score_rows(row, &mut score);
        score[0]
    }

    /// By how much each feature raised (above 0) or lowered the row's score.
    ///
    /// - Trees: along the row's way, the change of the expected value at every split, credited
    ///   to the feature that was tested (Saabas 2014, *Interpreting random forests*); in levels
    ///   of the mean path of an isolation forest, else in units of the sum of trees.
    /// - [`OnnxKind::Autoencoder`]: the feature's share of the mean squared error; the shares
    ///   add up to the score.
    /// - [`OnnxKind::Network`]: by how much the score falls when the feature alone takes its
    ///   value from `baseline`, an ordinary row such as the medians of benign traffic. The
    ///   other kinds do not look at `baseline`.
    ///
    /// All are finite. Meant for alerts: costs up to `n_features` times a score.
    ///
    /// # Panics
    ///
    /// If `row` or `baseline` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn contributions(&self, row: &[f32], baseline: &[f32]) -> Vec<f64> {
        assert_eq!(row.len(), self.n_features, "a row must have the model's features");
        assert_eq!(baseline.len(), self.n_features, "a baseline must have the model's features");
        let mut contributions = vec![0.0; self.n_features];
        let mut stepped = Vec::new();
        match &self.engine {
            Engine::Trees(ensemble) => {
                let mut by_column = vec![0.0; self.steps.width];
                ensemble.credit(self.stepped(row, &mut stepped), &mut by_column);
                let unit = self.unit_of_credit(ensemble);
                for (origin, credit) in self.origins.iter().zip(by_column) {
                    contributions[*origin] += unit * credit;
                }
            }
            Engine::Network(network) if self.kind == OnnxKind::Autoencoder => {
                let row = self.stepped(row, &mut stepped);
                let mut outputs = Vec::new();
                network.run(row, &mut outputs);
                let width = row.len() as f64;
                for ((origin, value), output) in self.origins.iter().zip(row).zip(&outputs) {
                    contributions[*origin] +=
                        (f64::from(*value) - f64::from(*output)).powi(2) / width;
                }
            }
            Engine::Network(_) => self.occlude(row, baseline, &mut contributions),
        }
        for contribution in &mut contributions {
            *contribution = finite(*contribution);
        }
        contributions
    }

    /// Description of the model, for a person.
    #[must_use]
    pub fn describe(&self) -> Description {
        let mut steps = self.steps.describe();
        match &self.engine {
            Engine::Trees(ensemble) => {
                let trees = &ensemble.trees;
                steps.push(format!(
                    "{} trees with {} nodes, at most {} levels",
                    trees.n_trees(),
                    trees.n_nodes(),
                    trees.depth()
                ));
            }
            Engine::Network(network) => {
                steps.push(format!("network: {}", network.ops().join(", ")));
            }
        }
        steps.push(format!("score from output `{}`", self.output));
        Description {
            kind: self.kind,
            n_features: self.n_features,
            producer: self.producer.clone(),
            steps,
        }
    }

    fn stepped<'a>(&self, rows: &'a [f32], stepped: &'a mut Vec<f32>) -> &'a [f32] {
        if self.steps.is_empty() {
            return rows;
        }
        self.steps.apply(rows, stepped);
        stepped
    }

    fn score_outputs(&self, rows: &[f32], outputs: &[f32], width: usize, scores: &mut [f32]) {
        if self.kind != OnnxKind::Autoencoder {
            for (score, outputs) in scores.iter_mut().zip(outputs.chunks_exact(width)) {
                *score = outputs[width - 1];
            }
            return;
        }
        let pairs = rows.chunks_exact(width).zip(outputs.chunks_exact(width));
        for (score, (row, output)) in scores.iter_mut().zip(pairs) {
            let squares =
                row.iter().zip(output).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
            *score = trees::narrow(squares.sum::<f64>() / width as f64);
        }
    }

    /// The score itself where it is finite, else the most anomalous one.
    fn total(&self, score: f32) -> f32 {
        match self.kind {
            OnnxKind::IsolationForest if score.is_nan() => 1.0,
            OnnxKind::IsolationForest => score.clamp(0.0, 1.0),
            OnnxKind::TreeClassifier if !score.is_finite() => 1.0,
            _ if score.is_finite() => score,
            _ => f32::MAX,
        }
    }

    /// Worth of a unit of credit: levels of the mean path taken off, or the score's own
    /// direction.
    fn unit_of_credit(&self, ensemble: &trees::Ensemble) -> f64 {
        if self.kind != OnnxKind::IsolationForest {
            return ensemble.direction();
        }
        match ensemble.aggregate {
            trees::Aggregate::Average => -1.0,
            _ => -1.0 / ensemble.trees.n_trees() as f64,
        }
    }

    fn occlude(&self, row: &[f32], baseline: &[f32], contributions: &mut [f64]) {
        let n = self.n_features;
        let mut rows = row.repeat(n + 1);
        for (feature, value) in baseline.iter().enumerate() {
            rows[(feature + 1) * n + feature] = *value;
        }
        let mut scores = vec![0.0; n + 1];
        self.score_rows(&rows, &mut scores);
        for (contribution, without) in contributions.iter_mut().zip(&scores[1..]) {
            *contribution = f64::from(scores[0]) - f64::from(*without);
        }
    }
}

fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}
