//! The detectors that are evaluated.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::model::{
    Channel, DetectorModel, Detectors,
    assess::{EntityAssessment, assess},
    schema,
};
use clap::ValueEnum;
use dataset::{Dataset, Label, Selection, TableKind};
use evaluation::{Fact, Observation, Observations, TimeSpan, Truth};
use training::{Method, Plan, train, train_beside};

use crate::cli::{
    reading::{Level, Piece},
    train::source::{TableRows, horizons},
};
use ::model::WARM_UP;
use engine::drift::DriftCounter;

/// By what a row's score is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The detector's own score, as its forest or network gives it: its surprise among the held-out
    /// rows of its horizon.
    Score,
    /// The tail score, how far out its three oddest features lie; its surprise likewise.
    Tail,
    /// All measures together, as the policy takes them: the surprise, and Simes' combination of the
    /// p-values.
    Combined,
}

impl By {
    /// Surprise and p-value of a row by it.
    fn of(self, own: &DetectorModel, row: &EntityAssessment) -> (f64, f64) {
        match self {
            Self::Score => (own.surprise(row.score), own.calibration().p_value(row.score).marginal),
            Self::Tail => {
                let p = own.tail_calibration().p_value(row.tail_score).marginal;
                (own.tail_surprise(row.tail_score), p)
            }
            Self::Combined => (row.surprise, row.p_value),
        }
    }
}

/// A detector for what is evaluated, and what it said so far.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) facts: Vec<Fact>,
    pub(super) same_source: bool,
    /// Those of what is evaluated.
    detectors: Detectors,
    /// By what it ranks rows, whatever is asked for.
    pub(super) always: Option<By>,
    pub(super) observations: Observations,
    pub(super) drift: Vec<(Channel, DriftCounter)>,
}

impl Candidate {
    fn new(name: String, detectors: Detectors) -> Self {
        // From what is not the network's own nothing drifts.
        let own = detectors.iter().filter(|(_, detector)| detector.training().rows > 0);
        let drift =
            own.map(|(channel, detector)| (*channel, DriftCounter::new(detector))).collect();
        Self {
            name,
            facts: Vec::new(),
            same_source: false,
            detectors,
            always: None,
            observations: Observations::new(),
            drift,
        }
    }

    /// A model file's detectors, as far as they are needed.
    pub(super) fn load(path: &Path, level: Level, of: &Dataset) -> anyhow::Result<Self> {
        let model = crate::cli::load_model_of(path, of.window_ns()?, &of.homes()?)?;
        let mut detectors = model.detectors().clone();
        detectors.retain(|channel, _| channel.kind == level.kind());
        anyhow::ensure!(
            !detectors.is_empty(),
            "model `{}` has no detector of {}s: train it on tables with more of their rows",
            path.display(),
            level.kind()
        );
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut candidate = Self::new(name, detectors);
        let manifest = model.manifest();
        candidate.facts = vec![
            Fact::new("file", path.display().to_string()),
            Fact::new("SHA-256", model.digest()),
            Fact::new("made", format!("{} by {}", manifest.created, manifest.software)),
        ];
        Ok(candidate)
    }

    /// The tails that stand beside this one's scorers, as a candidate of their own.
    fn tails(&self) -> Self {
        let mut tails = Self::new("tails".to_owned(), self.detectors.clone());
        (tails.always, tails.same_source) = (Some(By::Tail), self.same_source);
        tails.facts.clone_from(&self.facts);
        tails
    }

    /// The detector of rows over the window.
    pub(super) fn over_the_window(&self) -> Option<(Channel, DetectorModel)> {
        let (channel, detector) = self.detectors.first_key_value()?;
        Some((*channel, detector.clone()))
    }

    /// Adds what the detectors tell of themselves.
    pub(super) fn describe(&mut self) {
        for (channel, detector) in &self.detectors {
            let training = detector.training();
            let method = training.facts.method.clone();
            self.facts.extend([
                Fact::new(
                    format!("{channel} detector"),
                    method.unwrap_or_else(|| detector.scorer().kind()),
                ),
                Fact::new(
                    format!("{channel} schema"),
                    format!("{}, hash {}", detector.schema().name, detector.schema().hash),
                ),
                Fact::new(
                    format!("{channel} training"),
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
        let facts = self.detectors.values().map(|one| &one.training().facts);
        let spans = facts.filter_map(|facts| {
            let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
            Some(TimeSpan { from: time(&facts.from)?, to: time(&facts.to)? })
        });
        spans.reduce(|all, one| TimeSpan { from: all.from.min(one.from), to: all.to.max(one.to) })
    }

    /// Scores rows and takes down what they were: by surprise, so that rows of all horizons are of one
    /// scale. A row of a horizon without a detector is no observation.
    pub(super) fn take(&mut self, level: Level, by: By, rows: &Piece) -> anyhow::Result<()> {
        let Self { detectors, observations, always, .. } = self;
        let mut note = |(start_ns, end_ns), entity, label: &Label, (score, p_value)| {
            let (p_value, truth) = (Some(p_value), truth(label));
            observations.push(Observation { start_ns, end_ns, entity, score, p_value, truth })
        };
        if level == Level::Decision {
            let peers = rows.peers();
            let assessment = assess(detectors, level.kind(), peers.rows(), peers.peers().len());
            for (number, entity) in rows.entities().iter().enumerate() {
                if assessment.horizon(number).is_some() {
                    let assessed = assessment.entities()[number];
                    let found = (assessed.surprise, assessed.p_value);
                    note(rows.window_span_ns(), rows.about(entity.row), &entity.label, found)?;
                }
            }
            return Ok(());
        }
        let by = always.unwrap_or(by);
        let each = rows.each();
        let assessment = assess(detectors, level.kind(), &each, rows.len());
        for (index, assessed) in assessment.entities().iter().enumerate() {
            let Some(own) = detectors.get(&rows.channel(level, index)) else { continue };
            let span = (rows.starts_ns[index], rows.ends_ns[index]);
            note(span, rows.about(index), &rows.labels[index], by.of(own, assessed))?;
        }
        Ok(())
    }
}

/// Keeps the detectors of rows that every candidate measures: what one is asked and another is not
/// compares nothing. Says what is left out.
pub(super) fn keep_common(candidates: &mut [Candidate]) -> anyhow::Result<Vec<String>> {
    let all: BTreeSet<Channel> =
        candidates.iter().flat_map(|one| one.detectors.keys().copied()).collect();
    let mut notes = Vec::new();
    for channel in all {
        let lacks = |one: &&Candidate| !one.detectors.contains_key(&channel);
        let without: Vec<&str> =
            candidates.iter().filter(lacks).map(|one| one.name.as_str()).collect();
        if without.is_empty() {
            continue;
        }
        let (rows, names) = (channel.rows(), without.join(", "));
        notes.push(format!("Rows of {rows} are left out: no detector of them in {names}."));
        for candidate in &mut *candidates {
            candidate.detectors.remove(&channel);
            candidate.drift.retain(|(one, _)| *one != channel);
        }
    }
    anyhow::ensure!(
        candidates.iter().all(|one| !one.detectors.is_empty()),
        "there are no rows that all of these measure, so nothing can be compared: train them on \
         tables of one window length"
    );
    Ok(notes)
}

/// A label, as an evaluation has it.
pub(super) fn truth(label: &Label) -> Truth<'_> {
    match label {
        Label::Unlabelled => Truth::Unlabelled,
        Label::Benign => Truth::Benign,
        Label::Attack { class, name } => Truth::Attack { class, name: name.as_deref() },
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
    let table = level.table();
    dataset.require(table)?;
    let schema = schema::schema_id(level.kind());
    let mut candidates = Vec::new();
    for method in Method::all(seed)? {
        eprintln!("weir: fitting {}", method.name());
        let mut detectors = Detectors::new();
        for (place, &horizon) in horizons(&dataset)?.all().iter().enumerate() {
            let selection = Selection { horizon: Some(horizon), ..selection.clone() };
            let rows = TableRows::new(&dataset, table, &selection);
            let plan = Plan { seed, window_ns, ..Plan::new(method.clone()) };
            let fit = if place == 0 { train } else { train_beside };
            match fit(&rows, &schema, &plan) {
                Ok(trained) => {
                    detectors.insert(Channel::new(level.kind(), horizon), trained.detector);
                }
                Err(error) if place > 0 && error.is_of_too_few_rows() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut candidate = Candidate::new(method.name().to_owned(), detectors);
        candidate.facts = vec![
            Fact::new("trained on", super::facts::paths(train_paths)),
            Fact::new("seed", seed.to_string()),
        ];
        candidate.same_source = same_source;
        candidates.push(candidate);
    }
    candidates.insert(0, candidates[0].tails());
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use ::model::{Horizon, Kind, assess::HorizonRows};
    use linfa::ParamGuard as _;

    use super::*;

    /// A detector over a horizon of so many ms, and its held-out rows, which spread so much.
    fn detector(horizon_ms: u32, spread: f32) -> (Channel, DetectorModel, Vec<f32>) {
        let schema = schema::schema_id(Kind::Peer);
        let width = schema.features.len();
        let noise = |row: usize, column: usize| ((row * 7_919 + column * 104_729) % 1_009) as f32;
        let rows = |from: usize, spread: f32| -> Vec<f32> {
            let row = |row| (0..width).map(move |column| noise(row, column) / 1_009.0 * spread);
            (from..from + 1_000).flat_map(row).collect()
        };
        let params = ::model::IsolationForest::params().n_trees(20).check().expect("sound");
        let held_out = rows(1_000, spread);
        let made = DetectorModel::fit(schema, &rows(0, 1.0), &held_out, &params).expect("rows");
        (Channel::new(Kind::Peer, Horizon::from_ms(horizon_ms)), made, held_out)
    }

    #[test]
    fn a_rank_means_the_same_at_every_horizon() {
        let of_a_tenth = |(channel, own, rows): (Channel, DetectorModel, Vec<f32>), by: By| {
            let count = rows.len() / own.schema().features.len();
            let detectors = Detectors::from([(channel, own.clone())]);
            let rows = [HorizonRows { horizon: channel.horizon, rows, of: (0..count).collect() }];
            let assessment = assess(&detectors, Kind::Peer, &rows, count);
            let mut falling: Vec<(f64, f32)> = assessment
                .entities()
                .iter()
                .map(|row| {
                    (by.of(&own, row).0, if by == By::Tail { row.tail_score } else { row.score })
                })
                .collect();
            falling.sort_by(|one, other| other.0.total_cmp(&one.0));
            falling[count / 10]
        };
        for by in [By::Tail, By::Score] {
            let [short, long] = [(1_000, 1.0), (60_000, 1.6)]
                .map(|(ms, spread)| of_a_tenth(detector(ms, spread), by));
            assert!(
                (short.0 - 1.0).abs() < 0.05 && (long.0 - 1.0).abs() < 0.05,
                "{short:?} {long:?}"
            );
            assert!(long.1 > 1.05 * short.1, "the scores themselves differ: {short:?} {long:?}");
        }
    }
}
