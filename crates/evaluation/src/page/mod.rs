//! The report as one HTML page that needs nothing else: no script, no request, light and dark.

mod parts;
mod plot;

use maud::{Markup, html};
use report::{
    colour::Role,
    html::{figure, page},
    text::{area, count, dash, percent, rate_text},
};

use crate::{Evaluation, Report};

impl Report {
    /// The report as one HTML page, some hundred kilobytes, whatever the number of rows.
    ///
    /// Names from outside are escaped; there is no script on the page, and its policy forbids
    /// every request.
    #[must_use]
    pub fn to_html(&self) -> String {
        let extent = html! {
            @if let Some(first) = self.evaluations.first() {
                (parts::extent(self, first))
            }
        };
        let body = html! {
            (self.in_short())
            (self.curves())
            @for (series, evaluation) in self.evaluations.iter().enumerate() {
                (self.detail(evaluation, series))
            }
            (parts::identity(self))
            (parts::reading(self))
        };
        page(&self.title, &extent, &body)
    }

    fn in_short(&self) -> Markup {
        html! {
            section aria-label="In short" {
                @if let [only] = &self.evaluations[..] {
                    div.card { p.lead { (self.headline(only)) } }
                    (tiles(only))
                } @else {
                    (parts::side_by_side(self))
                    div.card {
                        @for evaluation in &self.evaluations {
                            p { b { (evaluation.detector.name) ": " } (self.headline(evaluation)) }
                        }
                    }
                }
                (parts::caveats(self))
            }
        }
    }

    /// The curves of all detectors in one drawing each.
    fn curves(&self) -> Markup {
        let told = || self.evaluations.iter().map(|evaluation| &evaluation.rows);
        if told().all(|told| told.roc.is_empty()) {
            return html! {};
        }
        let roc: Vec<_> = told().map(|told| told.roc.as_slice()).collect();
        let recall: Vec<_> = told().map(|told| told.precision_recall.as_slice()).collect();
        let benign = told().map(|told| told.benign).max().unwrap_or(0);
        let prevalence = told().next().map_or(0.0, crate::Discrimination::prevalence);
        let legend = html! {
            @if self.evaluations.len() > 1 {
                ul.legend {
                    @for (series, evaluation) in self.evaluations.iter().enumerate() {
                        li {
                            i class={ "d" (series % 6) }
                              style={ "border-color:var(" (Role::Series(series).variable()) ")" } {}
                            (evaluation.detector.name)
                        }
                    }
                }
            }
        };
        html! {
            section {
                h2 { "What is caught, and at which price" }
                (legend)
                div.plots {
                    (figure(
                        "At few false alarms",
                        &plot::roc_log(&roc, benign),
                        "ROC curve with the false alarms on a logarithmic axis: the part that matters. Read it from the \
                         left: how much is caught (up) when so few benign rows may raise an alarm \
                         (across). It ends where a single benign row would be too many.",
                    ))
                    (figure(
                        "All thresholds",
                        &plot::roc(&roc),
                        "The same ROC curve on a linear axis. The dotted diagonal is chance; the \
                         area under the curve is the AUROC. A curve that looks perfect here may \
                         still be poor at few false alarms.",
                    ))
                    (figure(
                        "Alarms that are right",
                        &plot::precision_recall(&recall, prevalence),
                        &format!(
                            "Precision (the share of alarms that are attacks) against recall. The \
                             dotted line is chance: the {} of these rows that are attacks. Where \
                             attacks are rarer, precision is lower.",
                            percent(prevalence)
                        ),
                    ))
                }
            }
        }
    }

    fn detail(&self, evaluation: &Evaluation, series: usize) -> Markup {
        let several = self.evaluations.len() > 1;
        html! {
            section {
                @if several { h2 { "Detector: " (evaluation.detector.name) } }
                @if several { (tiles(evaluation)) }
                (parts::units(self, evaluation))
                (parts::classes(evaluation))
                (parts::timelines(evaluation))
                (parts::attacks(evaluation))
                (parts::operating_points(self, evaluation))
                (parts::spread_and_calibration(evaluation, series))
                (parts::drift(evaluation))
            }
        }
    }
}

/// The numbers that people ask for first.
fn tiles(evaluation: &Evaluation) -> Markup {
    let told = &evaluation.rows;
    let tile = |value: String, name: String| html! { div.tile { b { (value) } span { (name) } } };
    let found = evaluation.operating_points.first().map(|at| at.attacks_found);
    let first_rule = evaluation.operating_points.first().map(|at| at.rule.short());
    html! {
        div.tiles {
            (tile(area(told.auroc), match told.auroc_interval {
                Some(interval) => format!(
                    "AUROC, 95 %: {} to {}", area(Some(interval.low)), area(Some(interval.high))
                ),
                None => "AUROC".to_owned(),
            }))
            (tile(area(told.average_precision), "average precision (AUPR)".to_owned()))
            @for at in &told.at_rates {
                (tile(
                    at.measured.map_or_else(dash, |caught| percent(caught.true_positives.share)),
                    match at.measured {
                        Some(_) => format!("caught at {} false alarms", rate_text(at.rate)),
                        None => format!(
                            "caught at {}: not measurable, needs {} benign rows",
                            rate_text(at.rate), count(at.needs_benign)
                        ),
                    },
                ))
            }
            @if let (Some(found), Some(rule)) = (found, first_rule) {
                (tile(format!("{} of {}", found.count, found.of), format!("attacks found at {rule}")))
            }
        }
    }
}
