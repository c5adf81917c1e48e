//! `weir eval`: how well detectors tell attacks from benign traffic.

mod candidate;
mod facts;
mod shortcuts;

use std::{path::PathBuf, process::ExitCode};

use ::model::{RowsDigest, file::write_atomically};
use anyhow::Context as _;
use clap::Args;
use dataset::{Dataset, Label, LabelFilter, Selection};
use evaluation::{Detector, Evaluation, REPORT_FORMAT, Report};

use super::{
    Layers, emit,
    reading::{Level, Piece, read},
    selection::SelectionArgs,
};
use candidate::{By, Candidate, fit_all, keep_common};
use engine::drift::Side;
use shortcuts::Shortcuts;

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Labelled feature tables: files and folders as `weir capture`, `weir replay --out` and
    /// `weir label` write them.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// A model to evaluate; of several, all are shown side by side.
    #[arg(long, short, value_name = "FILE", required_unless_present = "compare")]
    model: Vec<PathBuf>,
    /// Fit tails, an isolation forest, an extended one, an autoencoder, HBOS and ECOD to the benign
    /// rows of --train, each on the same split, and show them side by side, with what each feature
    /// finds alone and what the tails find without it, over the window.
    #[arg(long, requires = "train")]
    compare: bool,
    /// Feature tables of the training: what --compare fits to, and what drift is measured from;
    /// may be given several times. Without it, drift is measured from the model's own histograms.
    #[arg(long, value_name = "DATA")]
    train: Vec<PathBuf>,
    /// Table to evaluate; `decision` unless --compare is given, then `peer`.
    #[arg(long, value_enum)]
    table: Option<Level>,
    /// By what rows are ranked; for a single table `score`, for decisions always `combined`.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// The seed of what --compare fits.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Write the report as one self-contained HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
}

impl EvalArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        let level = self.level();
        let by = self.by(level)?;
        let selection = self.selection.resolve()?;
        let dataset = Dataset::open(&self.data)?;
        dataset.require(level.table())?;
        if !dataset.is_labelled(level.table()) {
            anyhow::bail!(
                "the {} table in {} has no labels, so nobody knows what is an attack: join the \
                 ground truth with `weir label --truth FILE {1}`",
                level.table(),
                facts::paths(&self.data)
            );
        }
        let mut candidates: Vec<Candidate> = self
            .model
            .iter()
            .map(|path| Candidate::load(path, level, &dataset))
            .collect::<anyhow::Result<_>>()?;
        if self.compare {
            candidates.extend(fit_all(&self.train, level, self.seed, &dataset)?);
        }
        tell_apart(&mut candidates);
        let left_out = keep_common(&mut candidates)?;
        candidates.iter_mut().for_each(Candidate::describe);
        if !self.compare && !self.train.is_empty() {
            count_training(&self.train, level, &mut candidates, &dataset)?;
        }
        let mut report = self.evaluate(&dataset, level, by, &selection, candidates)?;
        report.notes.extend(left_out);
        if let Some(path) = &self.html {
            write_atomically(path, report.to_html().as_bytes())
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            eprintln!("weir: wrote {}", path.display());
        }
        emit(&if self.json { report.to_json() } else { report.to_text() })?;
        Ok(ExitCode::SUCCESS)
    }

    fn level(&self) -> Level {
        self.table.unwrap_or(if self.compare { Level::Peer } else { Level::Decision })
    }

    fn by(&self, level: Level) -> anyhow::Result<By> {
        match (level, self.by) {
            (Level::Decision, None | Some(By::Combined)) => Ok(By::Combined),
            (Level::Decision, Some(_)) => {
                anyhow::bail!("a decision combines all measures: for one of them add --table peer")
            }
            (Level::Peer | Level::Host | Level::Service | Level::Net, by) => {
                Ok(by.unwrap_or(By::Score))
            }
        }
    }

    fn evaluate(
        &self,
        dataset: &Dataset,
        level: Level,
        by: By,
        selection: &Selection,
        mut candidates: Vec<Candidate>,
    ) -> anyhow::Result<Report> {
        let mut digest = RowsDigest::new();
        let mut tails = candidates.iter().filter(|one| one.always == Some(By::Tail));
        let tails = tails.next().filter(|_| level != Level::Decision);
        let mut shortcuts = tails.and_then(Candidate::over_the_window).map(Shortcuts::new);
        let read = read(dataset, level, selection, &mut |rows| {
            digest.update(&rows.rows);
            for candidate in &mut candidates {
                candidate.take(level, by, rows)?;
                count_drift(candidate, Side::Test, rows);
            }
            if let Some(shortcuts) = &mut shortcuts {
                shortcuts.take(rows);
            }
            Ok(())
        })?;
        let evaluations = candidates
            .into_iter()
            .map(|candidate| {
                let with_horizon = candidate.drift.len() > 1;
                let drift = candidate.drift.iter().flat_map(|(channel, counter)| {
                    counter.finish(with_horizon.then_some(channel.horizon))
                });
                let drift = drift.collect();
                let detector = Detector {
                    trained: candidate.trained(),
                    name: candidate.name,
                    facts: candidate.facts,
                    same_source: candidate.same_source,
                };
                Evaluation::of(detector, &candidate.observations, drift)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> =
            evaluations.iter().map(|evaluation| evaluation.detector.name.as_str()).collect();
        Ok(Report {
            format: REPORT_FORMAT,
            title: format!("{} on {}", names.join(", "), facts::paths(&self.data)),
            row: level.row(),
            command: facts::command(),
            facts: facts::of_data(&self.data, dataset, level, digest.finish()),
            notes: facts::notes(dataset, &read, selection.skip_lossy),
            evaluations,
            features: shortcuts.map(|one| one.finish()).unwrap_or_default(),
        })
    }
}

/// Gives candidates of one name the names of their files.
fn tell_apart(candidates: &mut [Candidate]) {
    let names: Vec<String> = candidates.iter().map(|one| one.name.clone()).collect();
    for candidate in candidates {
        let same = names.iter().filter(|name| **name == candidate.name).count();
        let file = candidate.facts.iter().find(|fact| fact.name == "file");
        if let (2.., Some(file)) = (same, file) {
            candidate.name = file.value.clone();
        }
    }
}

/// Counts benign rows into the bins of each detector of their horizon.
fn count_drift(candidate: &mut Candidate, side: Side, rows: &Piece) {
    let benign = |label: &Label| match side {
        Side::Test => *label == Label::Benign,
        Side::Train => !label.is_attack(),
    };
    for (channel, counter) in &mut candidate.drift {
        for (index, label) in rows.labels.iter().enumerate() {
            if benign(label) && rows.horizons[index] == channel.horizon {
                counter.count(side, rows.row(index));
            }
        }
    }
}

/// Counts the training rows into the detectors' bins, in place of the models' own histograms.
fn count_training(
    paths: &[PathBuf],
    level: Level,
    candidates: &mut [Candidate],
    data: &Dataset,
) -> anyhow::Result<()> {
    let dataset = candidate::training_like(paths, data)?;
    let selection = Selection {
        labels: LabelFilter::NotAttack,
        skip_lossy: true,
        skip_first_windows: ::model::WARM_UP,
        ..Selection::default()
    };
    read(&dataset, level, &selection, &mut |rows| {
        for candidate in candidates.iter_mut() {
            count_drift(candidate, Side::Train, rows);
        }
        Ok(())
    })?;
    Ok(())
}
