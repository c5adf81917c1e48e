//! The report as one HTML page that needs nothing else: no script, no request, light and dark.

mod colour;
mod parts;
mod plot;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    Evaluation, Report,
    text::{area, dash, percent, rate_text},
};
use colour::Role;
pub(crate) use colour::rules;
pub use plot::scatter;

/// The page's own layout; colours come from [`colour::rules`].
pub(crate) const STYLE: &str = include_str!("style.css");

/// Content security policy of a page: nothing but the page's own style is loaded.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Report {
    /// The report as one HTML page, some hundred kilobytes, whatever the number of rows.
    ///
    /// Names from outside are escaped; there is no script on the page, and its policy forbids
    /// every request.
    #[must_use]
    pub fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) (PreEscaped(colour::rules())) }
                }
                body {
                    header {
                        h1 { (self.title) }
                        @if let Some(first) = self.evaluations.first() {
                            (parts::extent(self, first))
                        }
                    }
                    main {
                        (self.in_short())
                        (self.curves())
                        @for (series, evaluation) in self.evaluations.iter().enumerate() {
                            (self.detail(evaluation, series))
                        }
                        (parts::identity(self))
                        (parts::reading(self))
                    }
                }
            }
        };
        page.into_string()
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
                            rate_text(at.rate), crate::text::count(at.needs_benign)
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

/// A drawing with its title above and how to read it below; the drawing is taken as it is.
#[must_use]
pub fn figure(title: &str, svg: &str, caption: &str) -> Markup {
    html! {
        figure role="group" aria-label=(title) {
            h4 { (title) }
            div role="img" aria-label={ (title) ". " (caption) } { (PreEscaped(svg)) }
            figcaption { (caption) }
        }
    }
}
