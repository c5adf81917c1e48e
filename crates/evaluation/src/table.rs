//! The report as plain text for a person at a terminal.

use report::text::{area, columns, count, dash, delay_text, number, percent, plain, rate_text};

use crate::{
    BUDGETS, Budget, Evaluation,
    discrimination::{AtRate, Discrimination, Unit},
    drift::Reading,
    report::Report,
};

/// Features shown at most in the drift table.
const DRIFT_SHOWN: usize = 12;

/// Features shown at most by themselves and left out.
pub(crate) const FEATURES_SHOWN: usize = 10;

impl Report {
    /// The report as text, at most some 120 columns wide for usual names.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut parts = vec![plain(&self.title)];
        if self.evaluations.len() > 1 {
            parts.push(section("side by side", &self.side_by_side()));
        }
        if !self.features.is_empty() {
            let title = "attacks found by a single feature, and by the tails without it";
            parts.push(section(title, &self.features()));
        }
        for evaluation in &self.evaluations {
            parts.push(self.one(evaluation));
        }
        if !self.notes.is_empty() {
            parts.push(list("notes", self.notes.iter().map(|note| plain(note))));
        }
        let mut text = parts.join("\n\n");
        text.push('\n');
        text
    }

    fn one(&self, evaluation: &Evaluation) -> String {
        let counts = &evaluation.counts;
        let mut parts = vec![format!(
            "== {} ==\n{}\n{} benign and {} attack {} of {} peers in {} windows, {} to {}",
            plain(&evaluation.detector.name),
            self.headline(evaluation),
            count(counts.benign),
            count(counts.attack),
            self.rows(),
            count(counts.peers),
            count(counts.windows),
            crate::time::clock_text(counts.span.from),
            crate::time::clock_text(counts.span.to),
        )];
        parts.push(section("attacks told from benign traffic", &self.units(evaluation)));
        if !evaluation.classes.is_empty() {
            parts.push(section("caught per class", &classes(evaluation)));
            parts.push(section("attacks, with the time until detected", &attacks(evaluation)));
        }
        if let Some(rows) = calibration(evaluation) {
            parts.push(section("false alarms claimed and realised", &rows));
        }
        if !evaluation.drift.is_empty() {
            parts.push(section("drift since training, on benign rows", &drift(evaluation)));
        }
        if !evaluation.caveats.is_empty() {
            parts.push(list("caveats", evaluation.caveats.iter().map(|one| plain(&one.text()))));
        }
        parts.join("\n\n")
    }

    fn side_by_side(&self) -> Vec<Vec<String>> {
        let mut rows = vec![head(&["detector", "AUROC", "95 % interval", "avg. precision"])];
        rows[0].extend(rate_heads(self.evaluations.first().map(|one| &one.rows)));
        rows[0].extend(["attacks found", "p ≤ 0.01 realised"].map(str::to_owned));
        rows[0].extend(BUDGETS.map(|share| format!("found at {} of peers", percent(share))));
        for evaluation in &self.evaluations {
            let told = &evaluation.rows;
            let mut row = vec![
                plain(&evaluation.detector.name),
                area(told.auroc),
                interval(told),
                area(told.average_precision),
            ];
            row.extend(told.at_rates.iter().map(caught));
            let caught = evaluation.operating_points.first().map(|at| at.attacks_found);
            row.push(caught.map_or_else(dash, |one| format!("{} of {}", one.count, one.of)));
            let claim = evaluation.calibration.as_ref().map(|check| check.claims[1].realised);
            row.push(claim.map_or_else(dash, |realised| percent(realised.share)));
            row.extend(evaluation.budgets.iter().map(found));
            rows.push(row);
        }
        rows
    }

    fn features(&self) -> Vec<Vec<String>> {
        let mut rows = vec![head(&["feature"])];
        for how in ["alone", "without it"] {
            rows[0].extend(BUDGETS.map(|share| format!("{how}, {} of peers", percent(share))));
        }
        for one in self.leading_features(FEATURES_SHOWN) {
            let mut row = vec![plain(&one.feature)];
            row.extend(one.alone.iter().chain(&one.without).map(found));
            rows.push(row);
        }
        rows
    }

    fn units(&self, evaluation: &Evaluation) -> Vec<Vec<String>> {
        let names = ["per", "attack", "benign", "AUROC", "95 % interval", "avg. precision"];
        let mut rows = vec![head(&names)];
        rows[0].extend(rate_heads(Some(&evaluation.rows)));
        for told in [&evaluation.rows, &evaluation.peers, &evaluation.windows] {
            let unit = match told.unit {
                Unit::Row => plain(&self.row),
                Unit::Peer => "peer".to_owned(),
                Unit::Window => "window".to_owned(),
            };
            let mut row = vec![
                unit,
                count(told.attack),
                count(told.benign),
                area(told.auroc),
                interval(told),
                area(told.average_precision),
            ];
            row.extend(told.at_rates.iter().map(caught));
            rows.push(row);
        }
        rows
    }
}

/// The interval as a table shows it.
pub(crate) fn interval(told: &Discrimination) -> String {
    told.auroc_interval.map_or_else(dash, |interval| {
        format!("{}–{}", area(Some(interval.low)), area(Some(interval.high)))
    })
}

/// Attacks found at a budget, as a table shows them.
pub(crate) fn found(budget: &Budget) -> String {
    format!("{} of {}", budget.attacks_found.count, budget.attacks_found.of)
}

/// Catch at a rate, as a table shows it.
pub(crate) fn caught(at: &AtRate) -> String {
    at.measured.map_or_else(
        || format!("– (needs {})", count(at.needs_benign)),
        |caught| percent(caught.true_positives.share),
    )
}

fn rate_heads(told: Option<&Discrimination>) -> Vec<String> {
    let rates = told.map(|told| told.at_rates.as_slice()).unwrap_or_default();
    rates.iter().map(|at| format!("at {}", rate_text(at.rate))).collect()
}

fn rule_heads(evaluation: &Evaluation) -> impl Iterator<Item = String> + '_ {
    evaluation.operating_points.iter().map(|at| at.rule.short())
}

fn classes(evaluation: &Evaluation) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["class", "rows", "peers", "attacks", "AUROC", "avg. precision"])];
    rows[0].extend(rule_heads(evaluation));
    for class in &evaluation.classes {
        let mut row = vec![
            plain(&class.class),
            count(class.rows),
            count(class.peers),
            count(class.attacks),
            area(class.auroc),
            area(class.average_precision),
        ];
        row.extend(class.caught.iter().map(|caught| percent(caught.share)));
        rows.push(row);
    }
    rows
}

fn attacks(evaluation: &Evaluation) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["attack", "class", "first row", "rows", "peers"])];
    rows[0].extend(rule_heads(evaluation));
    for attack in &evaluation.attacks {
        let mut row = vec![
            plain(&attack.name),
            plain(&attack.class),
            crate::time::clock_text(attack.first),
            count(attack.rows),
            count(attack.peers),
        ];
        row.extend(
            attack.detections.iter().map(|detection| {
                detection.delay_s.map_or_else(|| "– missed".to_owned(), delay_text)
            }),
        );
        rows.push(row);
    }
    rows
}

fn calibration(evaluation: &Evaluation) -> Option<Vec<Vec<String>>> {
    let check = evaluation.calibration.as_ref()?;
    let mut rows = vec![head(&["p at most", "realised", "95 % interval", "alarms", "verdict"])];
    for claim in &check.claims {
        let realised = &claim.realised;
        rows.push(vec![
            claim.alpha.to_string(),
            percent(realised.share),
            format!("{}–{}", percent(realised.low), percent(realised.high)),
            format!("{} of {}", count(realised.count), count(realised.of)),
            claim.verdict.text().to_owned(),
        ]);
    }
    Some(rows)
}

fn drift(evaluation: &Evaluation) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["feature", "PSI", "by chance below", "reading"])];
    for drift in evaluation.drift.iter().take(DRIFT_SHOWN) {
        rows.push(vec![
            plain(&drift.feature),
            number(drift.index),
            number(drift.by_chance),
            drift.reading.text().to_owned(),
        ]);
    }
    let rest = evaluation.drift.get(DRIFT_SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let moved = rest.iter().filter(|drift| drift.reading != Reading::Stable).count();
        rows.push(vec![format!("… {} more, {moved} of them not as in training", rest.len())]);
    }
    rows
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn section(title: &str, rows: &[Vec<String>]) -> String {
    format!("{title}\n{}", columns(rows).trim_end())
}

fn list(title: &str, items: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = items.map(|item| format!("- {item}")).collect();
    format!("{title}\n{}", lines.join("\n"))
}
