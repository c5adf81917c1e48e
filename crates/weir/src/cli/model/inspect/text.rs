//! A model file as a person reads it.

use std::fmt::Write as _;

use ::model::{DetectorManifest, TrainingFacts};

use super::summary::{CalibrationSummary, DetectorSummary, Summary};
use report::text::{columns as table, short_number};

pub(super) fn describe(summary: &Summary) -> String {
    let mut text = format!(
        "{}: made {} by {}\nformat {}, sha256 {}\n",
        summary.file, summary.created, summary.software, summary.format, summary.sha256
    );
    if !summary.home.is_empty() {
        let _ = writeln!(text, "home side: {}", summary.home.join(" and "));
    }
    for (channel, detector) in &summary.detectors {
        let rows = channel.kind.name();
        let _ = write!(text, "\ndetector of {}: {}\n", channel.rows(), kind(&detector.manifest));
        for (what, said) in facts(detector) {
            let _ = writeln!(text, "  {what:<12} {said}");
        }
        for line in claims(&detector.calibration, detector.manifest.calibration_rows, rows) {
            let _ = writeln!(text, "  {:<12} {line}", "can claim");
        }
        text.push('\n');
        text.push_str(&ranges(detector));
    }
    text
}

fn kind(manifest: &DetectorManifest) -> String {
    let Some(forest) = &manifest.forest else {
        return format!("{}, run from ONNX", manifest.kind);
    };
    let leaning = match forest.extension_level {
        0 => String::new(),
        level => format!(", extension level {level}"),
    };
    format!(
        "{}, {} trees of up to {} rows and {} levels{leaning}, seed {}",
        manifest.kind, forest.n_trees, forest.max_samples, forest.max_depth, forest.seed
    )
}

fn facts(detector: &DetectorSummary) -> Vec<(&'static str, String)> {
    let manifest = &detector.manifest;
    let (inputs, features) = (manifest.inputs.len(), manifest.features.len());
    let mut facts = vec![
        ("schema", {
            let fits = if detector.fits_this_build { "this build's" } else { "NOT this build's" };
            format!("{} {}, {fits}", manifest.schema, manifest.schema_hash)
        }),
        ("reads", {
            if manifest.inputs == manifest.features {
                format!("all {features} features")
            } else {
                format!("{inputs} of {features} features: {}", manifest.inputs.join(", "))
            }
        }),
    ];
    facts.extend(detector.steps.iter().map(|step| ("step", step.clone())));
    if let Some(onnx) = &manifest.onnx {
        facts.push(("onnx", format!("sha256 {}", onnx.sha256)));
        if let (Some(center), Some(unit)) = (onnx.center, onnx.unit) {
            facts.push(("scale", format!("a raw score of {center:.4} is ½, {unit:.4} more is ¾")));
        }
    }
    facts.push((
        "trained on",
        match manifest.training_rows {
            0 => "no rows of its own".to_owned(),
            rows => format!("{rows} rows"),
        },
    ));
    facts.extend(told(&manifest.training));
    facts.push(("data", format!("sha256 {}", manifest.training_digest)));
    let (held_out, calibrated) = (manifest.held_out_rows, manifest.calibration_rows);
    let sampled =
        if calibrated < held_out { format!(", a sample of {held_out}") } else { String::new() };
    let scores = &detector.calibration;
    facts.push((
        "calibrated",
        format!(
            "on {calibrated} held-out rows{sampled}: scores {:.3} (median) to {:.3} (99 %), \
             tail scores {:.2} (median)",
            scores.median_score, scores.score_99, scores.median_tail_score
        ),
    ));
    facts
}

/// Facts of the training rows, as the file's maker stated them.
fn told(facts: &TrainingFacts) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if let Some(source) = &facts.source {
        told.push(("packed from", format!("{}, sha256 {}", source.file, source.sha256)));
    }
    told.extend(facts.method.iter().map(|method| ("method", method.clone())));
    if let Some(windows) = facts.windows {
        told.push(("windows", windows.to_string()));
    }
    if let (Some(from), Some(to)) = (&facts.from, &facts.to) {
        told.push(("time", format!("{from} to {to}")));
    }
    told.extend(facts.selection.iter().map(|selection| ("selection", selection.clone())));
    if !facts.excluded_labels.is_empty() {
        told.push(("without", facts.excluded_labels.join(", ")));
    }
    if let Some(trimmed) = facts.trimmed {
        told.push(("trimmed", format!("the most anomalous {} %", percent(trimmed))));
    }
    told
}

/// Which error rates can be claimed, in words.
fn claims(calibration: &CalibrationSummary, rows: u64, what: &str) -> Vec<String> {
    let smallest = calibration.smallest_p;
    let every = (1.0 / smallest).floor();
    let mut lines = vec![format!(
        "at best one false alarm in {every:.0} benign {what} rows (p ≥ {smallest:.1e}) for this \
         very calibration, one in {} on average over calibrations",
        rows + 1
    )];
    let list = |supported: bool| -> Vec<String> {
        let rates = calibration.rates.iter().filter(|rate| rate.supported == supported);
        rates.map(|rate| format!("{} %", percent(rate.rate))).collect()
    };
    let (yes, no) = (list(true), list(false));
    if !yes.is_empty() {
        lines.push(format!("error rates of {}", yes.join(", ")));
    }
    if !no.is_empty() {
        lines.push(format!(
            "not {}: hold out more benign rows, about 4.6 for each row between false alarms",
            no.join(", ")
        ));
    }
    lines
}

fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn ranges(detector: &DetectorSummary) -> String {
    let head = ["feature", "unit", "least", "1 %", "median", "99 %", "most"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for range in &detector.ranges {
        let mut row = vec![range.feature.clone(), range.unit.clone()];
        let numbers = [range.min, range.p01, range.median, range.p99, range.max];
        row.extend(numbers.map(short_number));
        rows.push(row);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ::model::{Channel, DetectorModel, IsolationForest, Kind, ModelFile, SchemaId, schema};
    use linfa::ParamGuard as _;

    use super::*;

    fn detector(schema: SchemaId) -> DetectorModel {
        let width = schema.features.len();
        let rows: Vec<f32> = (0..1_000 * width).map(|i| (i * 7 % 101) as f32 / 101.0).collect();
        let params = IsolationForest::params().n_trees(5).check().unwrap();
        let (train, held_out) = rows.split_at(400 * width);
        DetectorModel::fit(schema, train, held_out, &params).unwrap()
    }

    #[test]
    fn a_person_reads_what_it_is_and_what_it_can_claim() {
        let detectors = ["peer-1s", "net-60s"].map(|channel| {
            let channel: Channel = channel.parse().unwrap();
            (channel, detector(schema::schema_id(channel.kind)))
        });
        let model = ModelFile::new(detectors, "2026-01-31T12:00:00Z").unwrap();
        let text = describe(&Summary::of(Path::new("benign.weir"), &model));
        for said in [
            "benign.weir: made 2026-01-31T12:00:00Z by weir",
            "detector of nets over 60s: isolation forest, 5 trees of up to 256 rows and 8 levels, seed",
            ", this build's",
            "all 40 features",
            "on 600 held-out rows",
            "error rates of 10 %, 1 %\n",
            "not 0.1 %, 0.01 %",
        ] {
            let features = format!("all {} features", schema::schema_id(Kind::Peer).features.len());
            let said = said.replace("all 40 features", &features);
            assert!(text.contains(&said), "{said}\n{text}");
        }
    }
}
