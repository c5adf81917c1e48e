//! Mean contributions of features, over many rows.

use std::fmt::Write as _;

use ::model::{Channel, DetectorModel, FeatureImportance, Importance, ModelFile};
use dataset::{Dataset, Selection, TableKind};
use report::text::{count, number, percent};
use serde::Serialize;

use crate::cli::table;

/// The mean contributions in rows of one kind and horizon.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GlobalExplanation {
    rows_of: Channel,
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

/// The mean contributions for each detector whose table is there; every so many-th row is explained,
/// at most `sample`.
pub(super) fn explain(
    dataset: &Dataset,
    model: &ModelFile,
    selection: &Selection,
    sample: u64,
) -> anyhow::Result<Vec<GlobalExplanation>> {
    let mut told = Vec::new();
    for (&channel, detector) in model.detectors() {
        if dataset.files(channel.kind.into()).next().is_some() {
            told.push(one(dataset, channel, detector, selection, sample)?);
        }
    }
    told.retain(|one| one.rows > 0);
    if told.is_empty() {
        dataset.require(TableKind::Peer)?;
        anyhow::bail!("there are no rows to explain: check the time range and the filters");
    }
    Ok(told)
}

fn one(
    dataset: &Dataset,
    channel: Channel,
    detector: &DetectorModel,
    selection: &Selection,
    sample: u64,
) -> anyhow::Result<GlobalExplanation> {
    // Rows of a longer horizon are fewer by as much.
    let longer = channel.horizon.ns() / dataset.window_ns()?.unwrap_or(1).max(1);
    let of_rows = dataset.rows(channel.kind.into()) / longer.max(1);
    let step = of_rows.div_ceil(sample).max(1);
    let selection = Selection { horizon: Some(channel.horizon), ..selection.clone() };
    let width = detector.schema().features.len();
    let mut importance = Importance::new(detector);
    let mut seen = 0_u64;
    for block in dataset.blocks(channel.kind.into(), &selection) {
        for row in block?.rows.chunks_exact(width) {
            if seen.is_multiple_of(step) {
                importance.extend(row);
            }
            seen += 1;
        }
    }
    let (rows, unit) = (importance.rows(), importance.unit().to_owned());
    let part = |one: FeatureImportance| Part {
        feature: one.name,
        mean_share: one.mean_share,
        mean_amount: one.mean_amount,
    };
    Ok(GlobalExplanation {
        rows_of: channel,
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
            "{}, {}: mean contribution over {} of {} rows, in {}",
            one.rows_of,
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
