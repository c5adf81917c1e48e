//! The detectors that are evaluated.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::model::{DetectorModel, IsolationForest, schema};
use clap::ValueEnum;
use dataset::{Dataset, Selection, TableKind};
use evaluation::{Fact, Observation, Observations, TimeSpan, Truth};
use linfa::ParamGuard as _;
use training::{AutoencoderParams, BEYOND, Ecod, Hbos, Method, Plan, train};

use crate::cli::{
    reading::{Level, Piece},
    train::source::TableRows,
};
use ::model::WARM_UP;
use engine::drift::DriftCounter;

/// By what a row's score is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The detector's own score, as its forest or network gives it.
    Score,
    /// The tail score: how far out its three oddest features lie.
    Tail,
    /// All measures together, as the policy takes them: the surprise, and Simes' combination of the
    /// p-values.
    Combined,
}

/// A detector for what is evaluated, and what it said so far.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) facts: Vec<Fact>,
    pub(super) same_source: bool,
    /// Both are there for decisions, else at least the one of the table.
    flow: Option<DetectorModel>,
    peer: Option<DetectorModel>,
    /// By what it ranks rows, whatever is asked for.
    pub(super) always: Option<By>,
    pub(super) observations: Observations,
    pub(super) drift: Vec<DriftCounter>,
}

impl Candidate {
    fn new(name: String, flow: Option<DetectorModel>, peer: Option<DetectorModel>) -> Self {
        let counters = [("flow", &flow), ("peer", &peer)];
        let drift = counters
            .into_iter()
            .filter_map(|(table, detector)| Some(DriftCounter::new(table, detector.as_ref()?)))
            .collect();
        Self {
            name,
            facts: Vec::new(),
            same_source: false,
            flow,
            peer,
            always: None,
            observations: Observations::new(),
            drift,
        }
    }

    /// A model file's detectors, as far as they are needed.
    pub(super) fn load(path: &Path, level: Level, window_ns: Option<u64>) -> anyhow::Result<Self> {
        let model = crate::cli::load_model_of(path, window_ns)?;
        let of = |table: TableKind, detector: &DetectorModel| {
            let needed = level.table() == table || level.second_table() == Some(table);
            needed.then(|| detector.clone())
        };
        let flow = of(TableKind::Flow, model.flow());
        let peer = of(TableKind::Peer, model.peer());
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut candidate = Self::new(name, flow, peer);
        let manifest = model.manifest();
        candidate.facts = vec![
            Fact::new("file", path.display().to_string()),
            Fact::new("SHA-256", model.digest()),
            Fact::new("made", format!("{} by {}", manifest.created, manifest.software)),
        ];
        candidate.describe();
        Ok(candidate)
    }

    /// The tails that stand beside this one's scorer, as a candidate of their own.
    fn tails(&self) -> Self {
        let mut tails = Self::new("tails".to_owned(), self.flow.clone(), self.peer.clone());
        (tails.always, tails.same_source) = (Some(By::Tail), self.same_source);
        tails.facts.clone_from(&self.facts);
        tails
    }

    /// The detector of the table that is evaluated.
    pub(super) fn of_table(&self, level: Level) -> Option<&DetectorModel> {
        if level == Level::Flow { self.flow.as_ref() } else { self.peer.as_ref() }
    }

    /// Adds what the detectors tell of themselves.
    fn describe(&mut self) {
        for (table, detector) in [("flow", &self.flow), ("peer", &self.peer)] {
            let Some(detector) = detector else { continue };
            let training = detector.training();
            let method = training.facts.method.clone();
            self.facts.extend([
                Fact::new(
                    format!("{table} detector"),
                    method.unwrap_or_else(|| detector.scorer().kind()),
                ),
                Fact::new(
                    format!("{table} schema"),
                    format!("{}, hash {}", detector.schema().name, detector.schema().hash),
                ),
                Fact::new(
                    format!("{table} training"),
                    format!(
                        "{} rows, {} held out, digest {}",
                        report::text::count(training.rows),
                        report::text::count(training.held_out),
                        training.digest
                    ),
                ),
            ]);
        }
    }

    /// When its training rows were seen, if it tells.
    pub(super) fn trained(&self) -> Option<TimeSpan> {
        let facts = [&self.flow, &self.peer].into_iter().flatten().map(|one| &one.training().facts);
        let spans = facts.filter_map(|facts| {
            let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
            Some(TimeSpan { from: time(&facts.from)?, to: time(&facts.to)? })
        });
        spans.reduce(|all, one| TimeSpan { from: all.from.min(one.from), to: all.to.max(one.to) })
    }

    /// Scores rows and takes down what they were.
    pub(super) fn take(&mut self, level: Level, by: By, rows: &Piece) -> anyhow::Result<()> {
        let (flow, peer) = (self.flow.as_ref(), self.peer.as_ref());
        let own = if level == Level::Flow { flow } else { peer };
        let Some(own) = own else { return Ok(()) };
        let by = self.always.unwrap_or(by);
        let assessment = rows.assess(level, flow.unwrap_or(own), peer.unwrap_or(own));
        for (index, assessed) in assessment.peers().iter().enumerate() {
            let (score, p_value) = match by {
                By::Score => {
                    let p = own.calibration().p_value(assessed.peer_score).marginal;
                    (f64::from(assessed.peer_score), p)
                }
                By::Tail => {
                    let p = own.tail_calibration().p_value(assessed.tail_score).marginal;
                    (f64::from(assessed.tail_score), p)
                }
                By::Combined => (assessed.surprise, assessed.p_value),
            };
            self.observations.push(Observation {
                start_ns: rows.starts_ns[index],
                end_ns: rows.ends_ns[index],
                peer: rows.remote[index],
                score,
                p_value: Some(p_value),
                truth: truth(&rows.labels[index]),
            })?;
        }
        Ok(())
    }
}

/// A label, as an evaluation has it.
pub(super) fn truth(label: &dataset::Label) -> Truth<'_> {
    match label {
        dataset::Label::Unlabelled => Truth::Unlabelled,
        dataset::Label::Benign => Truth::Benign,
        dataset::Label::Attack { class, name } => Truth::Attack { class, name: name.as_deref() },
    }
}

/// Opens the tables of the training, whose windows must be as long as those that are evaluated.
pub(super) fn training_like(paths: &[PathBuf], data: &Dataset) -> anyhow::Result<Dataset> {
    let training = Dataset::open(paths)?;
    if let (Some(one), Some(other)) = (training.window_ns()?, data.window_ns()?)
        && one.abs_diff(other) > one.max(other) / 5
    {
        let [one, other] =
            [one, other].map(|ns| humantime::format_duration(Duration::from_nanos(ns)));
        anyhow::bail!(
            "the windows of --train are of {one}, those that are evaluated of {other}: a feature \
             means something else in each, so give tables of one length"
        );
    }
    Ok(training)
}

/// Fits every kind of detector to the same rows with the same split.
pub(super) fn fit_all(
    train_paths: &[PathBuf],
    level: Level,
    seed: u64,
    data: &Dataset,
) -> anyhow::Result<Vec<Candidate>> {
    let dataset = training_like(train_paths, data)?;
    let window_ns = dataset.window_ns()?;
    let same_source = TableKind::ALL.into_iter().any(|table| {
        dataset.files(table).any(|one| data.files(table).any(|other| one.path == other.path))
    });
    let selection =
        Selection { skip_lossy: true, skip_first_windows: WARM_UP, ..Selection::default() };
    let fit = |table: TableKind, which: usize| -> anyhow::Result<Option<DetectorModel>> {
        if level.table() != table && level.second_table() != Some(table) {
            return Ok(None);
        }
        dataset.require(table)?;
        let schema = match table {
            TableKind::Flow => schema::flow_schema_id(),
            _ => schema::peer_schema_id(),
        };
        let rows = TableRows::new(&dataset, table, &selection);
        let method = methods(seed)?.swap_remove(which);
        Ok(Some(train(&rows, &schema, &Plan { seed, window_ns, ..Plan::new(method) })?.detector))
    };
    let names: Vec<&str> = methods(seed)?.iter().map(Method::name).collect();
    let mut candidates = Vec::with_capacity(names.len());
    for (which, name) in names.into_iter().enumerate() {
        eprintln!("weir: fitting {name}");
        let mut candidate = Candidate::new(
            name.to_owned(),
            fit(TableKind::Flow, which)?,
            fit(TableKind::Peer, which)?,
        );
        candidate.facts = vec![
            Fact::new("trained on", super::facts::paths(train_paths)),
            Fact::new("seed", seed.to_string()),
        ];
        candidate.same_source = same_source;
        candidate.describe();
        candidates.push(candidate);
    }
    candidates.insert(0, candidates[0].tails());
    Ok(candidates)
}

/// The detectors that are compared, with the defaults of `weir train`.
fn methods(seed: u64) -> anyhow::Result<Vec<Method>> {
    let forest = || IsolationForest::params().beyond(BEYOND).seed(seed);
    Ok(vec![
        Method::Forest(forest().check()?),
        Method::Forest(forest().extension_level(1).check()?),
        Method::Autoencoder(AutoencoderParams::default()),
        Method::Hbos(Hbos::default()),
        Method::Ecod(Ecod::default()),
    ])
}
