//! The drawings, as SVG in placeholder colours. No text from outside gets into them.

use plotters::prelude::*;
use report::{
    colour::{Role, dashes},
    plot::{Axes, drawing},
    text::{count, number},
};

use crate::{CalibrationCheck, Evaluation, Moment, Point, Rule, ScoreHistogram, Timeline};

const SQUARE: (u32, u32) = (420, 330);
const WIDE: (u32, u32) = (1_140, 300);
/// Attacks that are numbered in a timeline; more would hide each other.
const NUMBERED: usize = 30;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "how plotters asks for labels")]
fn share_text(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A power of ten as a rate, short enough for an axis.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "how plotters asks for labels")]
fn decade_text(rate: &f64) -> String {
    match 1.0 / rate {
        one_in if one_in < 1.5 => "all".to_owned(),
        one_in if one_in < 1e3 => format!("1 in {one_in:.0}"),
        one_in if one_in < 1e6 => format!("1 in {:.0}k", one_in / 1e3),
        one_in => format!("1 in {:.0}M", one_in / 1e6),
    }
}

/// Draws one detector's line in its colour and dashes.
macro_rules! line {
    ($chart:expr, $points:expr, $series:expr) => {{
        let style = Role::Series($series).placeholder().stroke_width(2);
        match dashes($series) {
            (_, 0) => {
                $chart.draw_series(LineSeries::new($points, style))?;
            }
            (on, off) => {
                $chart.draw_series(DashedLineSeries::new($points, on, off, style))?;
            }
        }
    }};
}

/// ROC curves on linear axes, with the diagonal of chance.
pub(super) fn roc(curves: &[&[Point]]) -> String {
    drawing(SQUARE, |area| {
        let axes = Axes {
            x: "false-positive rate",
            y: "true-positive rate",
            x_labels: 6,
            x_text: &share_text,
            y_text: &share_text,
        };
        let mut chart = axes.draw(area, 0.0..1.0, 0.0..1.0)?;
        let chance = [(0.0, 0.0), (1.0, 1.0)];
        chart.draw_series(DashedLineSeries::new(
            chance,
            3,
            5,
            Role::Ink.placeholder().mix(0.5).into(),
        ))?;
        for (series, curve) in curves.iter().enumerate() {
            line!(chart, curve.iter().map(|point| (point.x, point.y)), series);
        }
        Ok(())
    })
}

/// ROC curves on a logarithmic axis of false alarms, down to one among all benign rows.
pub(super) fn roc_log(curves: &[&[Point]], benign: u64) -> String {
    let least = least_decade(benign);
    drawing(SQUARE, |area| {
        let axes = Axes {
            x: "false alarms among benign rows",
            y: "true-positive rate",
            x_labels: 6,
            x_text: &decade_text,
            y_text: &share_text,
        };
        let mut chart = axes.draw(area, (least..1.0).log_scale(), 0.0..1.0)?;
        for (series, curve) in curves.iter().enumerate() {
            line!(chart, steps(curve, least), series);
        }
        Ok(())
    })
}

/// The decade at or below one in `benign`, at least one in a million.
fn least_decade(benign: u64) -> f64 {
    let decades = (benign.max(10) as f64).log10().ceil().clamp(2.0, 6.0);
    10.0_f64.powf(-decades)
}

/// A rising curve as steps: what a threshold catches holds until the next one.
fn steps(curve: &[Point], least: f64) -> Vec<(f64, f64)> {
    let mut path: Vec<(f64, f64)> = Vec::with_capacity(2 * curve.len());
    for point in curve {
        let x = point.x.max(least);
        if let Some(&(_, before)) = path.last() {
            path.push((x, before));
        }
        path.push((x, point.y));
    }
    path
}

/// Precision-recall curves as steps, with the share of attacks that chance has as precision.
pub(super) fn precision_recall(curves: &[&[Point]], prevalence: f64) -> String {
    drawing(SQUARE, |area| {
        let axes = Axes {
            x: "recall (true-positive rate)",
            y: "precision",
            x_labels: 6,
            x_text: &share_text,
            y_text: &share_text,
        };
        let mut chart = axes.draw(area, 0.0..1.0, 0.0..1.0)?;
        let chance = [(0.0, prevalence), (1.0, prevalence)];
        chart.draw_series(DashedLineSeries::new(
            chance,
            3,
            5,
            Role::Ink.placeholder().mix(0.5).into(),
        ))?;
        for (series, curve) in curves.iter().enumerate() {
            let mut path: Vec<(f64, f64)> = Vec::with_capacity(2 * curve.len());
            let mut recall = 0.0;
            for point in *curve {
                path.extend([(recall, point.y), (point.x, point.y)]);
                recall = point.x;
            }
            line!(chart, path, series);
        }
        Ok(())
    })
}

/// The spread of benign and attack scores, each as shares of its own rows.
pub(super) fn histogram(histogram: &ScoreHistogram, threshold: Option<f64>) -> String {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|count| *count as f64 / all).collect()
    };
    let sides =
        [(Role::Benign, shares(&histogram.benign)), (Role::Attack, shares(&histogram.attack))];
    let highest = sides.iter().flat_map(|(_, shares)| shares).copied().fold(0.0, f64::max) * 1.05;
    let (low, mut high) = (histogram.low, histogram.high);
    if high <= low {
        high = low + low.abs().max(1.0) * 1e-3;
    }
    drawing(SQUARE, |area| {
        let axes = Axes {
            x: "score",
            y: "share of rows",
            x_labels: 6,
            x_text: &|score| number(*score),
            y_text: &share_text,
        };
        let mut chart = axes.draw(area, low..high, 0.0..highest)?;
        let width = (high - low) / histogram.benign.len() as f64;
        for (role, shares) in &sides {
            let bars = shares.iter().enumerate().filter(|(_, share)| **share > 0.0);
            let bars: Vec<_> = bars
                .map(|(bin, share)| {
                    let left = low + bin as f64 * width;
                    [(left, 0.0), (left + width, *share)]
                })
                .collect();
            let fill = role.placeholder().mix(0.4).filled();
            chart.draw_series(bars.iter().map(|bar| Rectangle::new(*bar, fill)))?;
            let edge = role.placeholder().stroke_width(1);
            chart.draw_series(bars.iter().map(|bar| Rectangle::new(*bar, edge)))?;
        }
        if let Some(threshold) = threshold.filter(|value| (low..=high).contains(value)) {
            let line = [(threshold, 0.0), (threshold, highest)];
            chart.draw_series(DashedLineSeries::new(
                line,
                6,
                4,
                Role::Ink.placeholder().stroke_width(2),
            ))?;
        }
        Ok(())
    })
}

/// State of a moment on a timeline.
#[derive(Clone, Copy)]
pub(super) enum Course {
    /// The highest scores.
    Score,
    /// The smallest p-values, as −log₁₀.
    PValue,
}

impl Course {
    fn of(self, moment: &Moment) -> [Option<f64>; 2] {
        let evidence = |p: f64| -p.max(1e-12).log10() + 0.0;
        match self {
            Self::Score => [moment.benign_score, moment.attack_score],
            Self::PValue => [moment.benign_p.map(evidence), moment.attack_p.map(evidence)],
        }
    }
}

/// The course of scores or p-values over the windows, attacks shaded; none if there are none.
pub(super) fn timeline(timeline: &Timeline, course: Course, alarm: Option<f64>) -> Option<String> {
    let values: Vec<[Option<f64>; 2]> =
        timeline.moments.iter().map(|moment| course.of(moment)).collect();
    let known = || values.iter().flatten().flatten().copied();
    let (mut low, mut high) =
        (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if !low.is_finite() {
        return None;
    }
    if matches!(course, Course::PValue) {
        low = 0.0;
    }
    let room = ((high - low) * 0.12).max(1e-6);
    high += room;
    let last = values.len() as f64;
    let day = jiff::SignedDuration::from_hours(20);
    let ends = timeline.moments.first().zip(timeline.moments.last());
    let long = ends.is_some_and(|(first, last)| last.from.duration_since(first.from) > day);
    let time = |place: &f64| moment_text(&timeline.moments, *place, long);
    let chance = |evidence: &f64| number(10.0_f64.powf(-evidence));
    let plain = |value: &f64| number(*value);
    Some(drawing(WIDE, |area| {
        let axes = Axes {
            x: "windows in the order of time (UTC)",
            y: if matches!(course, Course::Score) { "highest score" } else { "smallest p-value" },
            x_labels: if long { 7 } else { 11 },
            x_text: &time,
            y_text: if matches!(course, Course::Score) { &plain } else { &chance },
        };
        let mut chart = axes.draw(area, -0.5..last - 0.5, low..high)?;
        let shade = Role::Attack.placeholder().mix(0.16).filled();
        chart.draw_series(timeline.spans.iter().map(|span| {
            let (first, last) = (span.first as f64 - 0.5, span.last as f64 + 0.5);
            Rectangle::new([(first, low), (last, high)], shade)
        }))?;
        let ink = Role::Ink.placeholder();
        let style = TextStyle::from(("sans-serif", 16).into_font()).color(&ink);
        if timeline.spans.len() <= NUMBERED {
            chart.draw_series(timeline.spans.iter().enumerate().map(|(index, span)| {
                // At its start, for long attacks have others in their middle.
                let start = span.first as f64 - 0.3;
                Text::new(count(index as u64 + 1), (start, high), style.clone())
            }))?;
        }
        for (side, role, size) in [(0, Role::Benign, 2), (1, Role::Attack, 3)] {
            let points = values.iter().enumerate().filter_map(|(place, value)| {
                Some(Circle::new((place as f64, value[side]?), size, role.placeholder().filled()))
            });
            chart.draw_series(points)?;
        }
        if let Some(alarm) = alarm.filter(|value| (low..=high).contains(value)) {
            let line = [(-0.5, alarm), (last - 0.5, alarm)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, ink.stroke_width(1)))?;
        }
        Ok(())
    }))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on the axis; below 0 it becomes 0"
)]
fn moment_text(moments: &[Moment], place: f64, long: bool) -> String {
    let format = if long { "%m-%d %H:%M" } else { "%H:%M:%S" };
    let moment = moments.get(place.round() as usize);
    moment.map_or_else(String::new, |moment| moment.from.strftime(format).to_string())
}

/// Claimed against realised rates, both logarithmic, with the diagonal of a kept claim.
pub(super) fn calibration(check: &CalibrationCheck, series: usize) -> String {
    let least = least_decade(check.benign).max(1e-4);
    drawing(SQUARE, |area| {
        let axes = Axes {
            x: "claimed: p-value at most",
            y: "realised",
            x_labels: 6,
            x_text: &|p| number(*p),
            y_text: &|p| number(*p),
        };
        let mut chart = axes.draw(area, (1e-4..1.0).log_scale(), (least..1.0).log_scale())?;
        let ink = Role::Ink.placeholder();
        let kept = (0..=40).map(|step| 10.0_f64.powf(f64::from(step) / 10.0 - 4.0));
        let kept = kept.filter(|p| *p >= least).map(|p| (p, p));
        chart.draw_series(DashedLineSeries::new(kept, 3, 5, ink.mix(0.6).into()))?;
        let curve = check.curve.iter().map(|point| (point.x, point.y.max(least)));
        let style = Role::Series(series).placeholder();
        chart.draw_series(LineSeries::new(curve, style.stroke_width(2)))?;
        for claim in &check.claims {
            let realised = &claim.realised;
            let bar =
                [(claim.alpha, realised.low.max(least)), (claim.alpha, realised.high.max(least))];
            chart.draw_series(LineSeries::new(bar, ink.stroke_width(2)))?;
            let point = (claim.alpha, realised.share.max(least));
            chart.draw_series([Circle::new(point, 4, style.filled())])?;
        }
        Ok(())
    })
}

/// The threshold that a reader cares for: at one false alarm in 1,000, or in 100.
pub(super) fn alarm_threshold(evaluation: &Evaluation) -> Option<(f64, f64)> {
    evaluation.operating_points.iter().rev().find_map(|at| match at.rule {
        Rule::FalsePositiveRate { rate, threshold } if rate >= 1e-3 => Some((rate, threshold?)),
        _ => None,
    })
}
