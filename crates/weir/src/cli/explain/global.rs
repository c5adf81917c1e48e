//! Mean contributions of features, over many rows.

use std::fmt::Write as _;

use ::model::{DetectorModel, FeatureImportance, Importance, ModelFile};
use dataset::{Dataset, Selection, TableKind};
use report::text::{count, number, percent};
use serde::Serialize;

use crate::cli::{
    reading::{Level, read},
    table,
};

/// The mean contributions in one table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GlobalExplanation {
    table: &'static str,
    detector: String,
    /// Rows explained.
    rows: u64,
    /// Rows there are.
    of_rows: u64,
    /// Of `mean_amount`.
    unit: String,
    features: Vec<Part>,
}

#[derive(Clone, Debug, Serialize)]
struct Part {
    feature: String,
    mean_share: f64,
    mean_amount: f64,
}

/// The mean contributions for each table that is there; every so many-th row is explained, at
/// most `sample`.
pub(super) fn explain(
    dataset: &Dataset,
    model: &ModelFile,
    selection: &Selection,
    sample: u64,
) -> anyhow::Result<Vec<GlobalExplanation>> {
    let mut told = Vec::new();
    for (level, detector) in [(Level::Flow, model.flow()), (Level::Peer, model.peer())] {
        if dataset.files(level.table()).next().is_some() {
            told.push(one(dataset, level, detector, selection, sample)?);
        }
    }
    if told.iter().all(|one| one.rows == 0) {
        dataset.require(TableKind::Peer)?;
        anyhow::bail!("there are no rows to explain: check the time range and the filters");
    }
    Ok(told)
}

fn one(
    dataset: &Dataset,
    level: Level,
    detector: &DetectorModel,
    selection: &Selection,
    sample: u64,
) -> anyhow::Result<GlobalExplanation> {
    let of_rows = dataset.rows(level.table());
    let step = of_rows.div_ceil(sample).max(1);
    let width = detector.schema().features.len();
    let mut importance = Importance::new(detector);
    let mut seen = 0_u64;
    read(dataset, level, selection, &mut |rows| {
        for row in rows.rows.chunks_exact(width) {
            if seen.is_multiple_of(step) {
                importance.extend(row);
            }
            seen += 1;
        }
        Ok(())
    })?;
    let (rows, unit) = (importance.rows(), importance.unit().to_owned());
    let part = |one: FeatureImportance| Part {
        feature: one.name,
        mean_share: one.mean_share,
        mean_amount: one.mean_amount,
    };
    Ok(GlobalExplanation {
        table: level.name(),
        detector: detector.scorer().kind(),
        rows,
        of_rows: seen,
        unit,
        features: importance.finish().into_iter().map(part).collect(),
    })
}

pub(super) fn to_json(told: &[GlobalExplanation]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(told)? + "\n")
}

pub(super) fn to_text(told: &[GlobalExplanation]) -> String {
    let mut text = String::new();
    for one in told {
        let _ = writeln!(
            text,
            "{} table, {}: mean contribution over {} of {} rows, in {}",
            one.table,
            one.detector,
            count(one.rows),
            count(one.of_rows),
            one.unit
        );
        let mut rows = vec![["feature", "share", "amount"].map(str::to_owned).to_vec()];
        rows.extend(one.features.iter().map(|feature| {
            vec![feature.feature.clone(), percent(feature.mean_share), number(feature.mean_amount)]
        }));
        let _ = writeln!(text, "{}", table(&rows));
    }
    text
}
