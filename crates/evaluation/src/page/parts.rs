//! The page's tables and lists.

use maud::{Markup, html};

use report::{
    colour::Role,
    html::figure,
    text::{area, count, counted, dash, delay_text, number, percent, rate_text},
};

use super::plot::{self, Course};
use crate::{
    Attack, BUDGETS, Discrimination, Evaluation, OperatingPoint, Proportion, Report, Rule, Unit,
    Verdict,
    table::{FEATURES_SHOWN, found, interval},
    time::clock_text,
};

/// Extent of the evaluated rows, under the title.
pub(super) fn extent(report: &Report, evaluation: &Evaluation) -> Markup {
    let counts = &evaluation.counts;
    html! {
        p.soft {
            (count(counts.benign)) " benign and " (count(counts.attack)) " attack "
            (report.rows()) " of " (counted(counts.peers, "peer")) " in " (counted(counts.windows, "window"))
            ", " (clock_text(counts.span.from)) " to " (clock_text(counts.span.to))
            @if counts.unlabelled > 0 {
                "; " (count(counts.unlabelled)) " unlabelled ones left out"
            }
        }
    }
}

/// Each detector's caveats; those that all share are said once.
pub(super) fn caveats(report: &Report) -> Markup {
    let evaluations = &report.evaluations;
    let Some(first) = evaluations.first() else { return html! {} };
    let shared: Vec<_> = first
        .caveats
        .iter()
        .filter(|one| evaluations.iter().all(|other| other.caveats.contains(one)))
        .collect();
    let own = |evaluation: &Evaluation| -> Vec<String> {
        let own = evaluation.caveats.iter().filter(|one| !shared.contains(one));
        own.map(crate::Caveat::text).collect()
    };
    let has_own = evaluations.iter().any(|evaluation| !own(evaluation).is_empty());
    html! {
        @if !shared.is_empty() || has_own || !report.notes.is_empty() {
            div.warn role="note" {
                h3 { "Before you trust these numbers" }
                ul {
                    @for caveat in &shared { li { (caveat.text()) } }
                    @for evaluation in evaluations {
                        @for caveat in own(evaluation) {
                            li { b { (evaluation.detector.name) ": " } (caveat) }
                        }
                    }
                    @for note in &report.notes { li { (note) } }
                }
            }
        }
    }
}

/// Detectors side by side, a line each.
pub(super) fn side_by_side(report: &Report) -> Markup {
    let Some(first) = report.evaluations.first() else { return html! {} };
    html! {
        div.scroll tabindex="0" { table {
            caption { "The detectors side by side, on the same " (report.rows()) "." }
            thead { tr {
                th { "detector" }
                th.n { "AUROC" } th.n { "95 % interval" } th.n { "average precision" }
                @for at in &first.rows.at_rates { th.n { "caught at " (rate_text(at.rate)) } }
                th.n { "attacks found" }
                th.n { "false alarms at p ≤ 0.01" }
                @for budget in &first.budgets { th.n { "found at " (percent(budget.share)) " of peers" } }
            } }
            tbody { @for evaluation in &report.evaluations { tr {
                th.name scope="row" { (evaluation.detector.name) }
                td.n { (area(evaluation.rows.auroc)) }
                td.n { (interval(&evaluation.rows)) }
                td.n { (area(evaluation.rows.average_precision)) }
                (rate_cells(&evaluation.rows))
                td.n {
                    @if let Some(at) = evaluation.operating_points.first() {
                        (at.attacks_found.count) " of " (at.attacks_found.of)
                        br; small { "at " (at.rule.short()) }
                    } @else { (dash()) }
                }
                td.n {
                    @match evaluation.calibration.as_ref().map(|check| &check.claims[1]) {
                        Some(claim) => { (percent(claim.realised.share)) br; small { "claimed 1 %" } }
                        None => (dash()),
                    }
                }
                @for budget in &evaluation.budgets { td.n { (found(budget)) } }
            } } }
        } }
        @if !report.features.is_empty() {
            div.scroll tabindex="0" { table {
                caption {
                    "Attacks found by a single feature, and by the tails without it, at a budget of \
                     benign peers."
                }
                thead { tr {
                    th { "feature" }
                    @for how in ["alone", "without it"] {
                        @for share in BUDGETS { th.n { (how) ", " (percent(share)) " of peers" } }
                    }
                } }
                tbody { @for one in report.leading_features(FEATURES_SHOWN) { tr {
                    th.name scope="row" { (one.feature) }
                    @for budget in one.alone.iter().chain(&one.without) { td.n { (found(budget)) } }
                } } }
            } }
        }
    }
}

fn rate_cells(told: &Discrimination) -> Markup {
    html! {
        @for at in &told.at_rates {
            td.n {
                @match at.measured {
                    Some(caught) => {
                        (percent(caught.true_positives.share))
                        br; small { (count(caught.true_positives.count)) " of " (count(caught.true_positives.of)) }
                    }
                    None => { (dash()) br; small { "needs " (count(at.needs_benign)) " benign" } }
                }
            }
        }
    }
}

/// Rows, peers and windows.
pub(super) fn units(report: &Report, evaluation: &Evaluation) -> Markup {
    html! {
        h3 { "Per " (report.row) ", per peer, per window" }
        div.scroll tabindex="0" { table {
            caption {
                "A peer or a window counts by its highest score: was the attacker found at all, \
                 and was there an alarm when there was cause."
            }
            thead { tr {
                th { "per" } th.n { "attack" } th.n { "benign" } th.n { "AUROC" }
                th.n { "95 % interval" } th.n { "average precision" }
                @for at in &evaluation.rows.at_rates { th.n { "caught at " (rate_text(at.rate)) } }
            } }
            tbody { @for told in [&evaluation.rows, &evaluation.peers, &evaluation.windows] { tr {
                th.name scope="row" {
                    @match told.unit {
                        Unit::Row => (report.row),
                        Unit::Peer => "peer",
                        Unit::Window => "window",
                    }
                }
                td.n { (count(told.attack)) }
                td.n { (count(told.benign)) }
                td.n { (area(told.auroc)) }
                td.n { (interval(told)) }
                td.n { (area(told.average_precision)) }
                (rate_cells(told))
            } } }
        } }
    }
}

fn bar(proportion: &Proportion) -> Markup {
    html! {
        (percent(proportion.share))
        span.bar aria-hidden="true" { i style={ "width:" (format!("{:.1}", proportion.share * 100.0)) "%" } {} }
        small { (count(proportion.count)) " of " (count(proportion.of)) }
    }
}

fn rule_heads(points: &[OperatingPoint]) -> Markup {
    html! { @for at in points { th.n { (at.rule.short()) } } }
}

/// Bars per class.
pub(super) fn classes(evaluation: &Evaluation) -> Markup {
    html! { @if !evaluation.classes.is_empty() {
        h3 { "Per attack class" }
        div.scroll tabindex="0" { table {
            caption {
                "The share of each class's rows that raise an alarm, at so many false alarms \
                 (“1 in 1,000”) and by the detector's own p-values."
            }
            thead { tr {
                th { "class" } th.n { "rows" } th.n { "attacks" } th.n { "AUROC" }
                (rule_heads(&evaluation.operating_points))
            } }
            tbody { @for class in &evaluation.classes { tr {
                th.name scope="row" { (class.class) }
                td.n { (count(class.rows)) br; small { (counted(class.peers, "peer")) } }
                td.n { (count(class.attacks)) }
                td.n { (area(class.auroc)) }
                @for caught in &class.caught { td.n { (bar(caught)) } }
            } } }
        } }
    } }
}

/// Scores and p-values over time.
pub(super) fn timelines(evaluation: &Evaluation) -> Markup {
    let alarm = plot::alarm_threshold(evaluation);
    let score = plot::timeline(&evaluation.timeline, Course::Score, alarm.map(|(_, at)| at));
    let p_value = plot::timeline(&evaluation.timeline, Course::PValue, Some(2.0));
    let dashed = alarm.map_or_else(String::new, |(rate, _)| {
        format!(" Dashed: the threshold at a false-positive rate of {}.", rate_text(rate))
    });
    html! { @if score.is_some() || p_value.is_some() {
        h3 { "Over time" }
        (sides())
        @if let Some(svg) = score {
            (figure(
                "Highest score of each window",
                &svg,
                &format!(
                    "Shaded: attacks, numbered as in the table below. A good detector lifts the \
                     attack dots above all benign ones.{dashed} Time without windows is left out."
                ),
            ))
        }
        @if let Some(svg) = p_value {
            (figure(
                "Smallest p-value of each window",
                &svg,
                "Higher is less likely to be benign. Dashed: p = 0.01. Of many benign rows in a \
                 window, some have a small p-value by chance.",
            ))
        }
    } }
}

fn sides() -> Markup {
    let swatch = |role: Role| html! { i.box style={ "background:var(" (role.variable()) ")" } {} };
    html! {
        ul.legend {
            li { (swatch(Role::Benign)) "benign" }
            li { (swatch(Role::Attack)) "attack" }
        }
    }
}

/// Each attack with the time until it was detected.
pub(super) fn attacks(evaluation: &Evaluation) -> Markup {
    html! { @if !evaluation.attacks.is_empty() {
        h3 { "Each attack, and how soon it was detected" }
        div.scroll tabindex="0" { table {
            caption {
                "From the start of its first window to the end of the first window in which one \
                 of its rows raised an alarm; a window is decided when it ends."
            }
            thead { tr {
                th.n { "no." } th { "attack" } th { "first window" } th.n { "rows" }
                (rule_heads(&evaluation.operating_points))
            } }
            tbody { @for (index, attack) in evaluation.attacks.iter().enumerate() {
                (one_attack(index + 1, attack))
            } }
        } }
    } }
}

fn one_attack(number: usize, attack: &Attack) -> Markup {
    html! { tr {
        td.n { (number) }
        th.name scope="row" { (attack.name) br; small { (attack.class) } }
        td.t { (clock_text(attack.first)) br; small { "for " (delay_text(attack.last.duration_since(attack.first).as_secs_f64())) } }
        td.n { (count(attack.rows)) br; small { (counted(attack.peers, "peer")) } }
        @for detection in &attack.detections { td.n {
            @if let (Some(delay), Some(windows)) = (detection.delay_s, detection.delay_windows) {
                (delay_text(delay))
                br; small { "window " (count(windows)) }
                br; small { (percent(detection.caught.share)) " of rows" }
            } @else { span.missed { "missed" } }
        } }
    } }
}

/// Cost and catch of each operating point.
pub(super) fn operating_points(report: &Report, evaluation: &Evaluation) -> Markup {
    html! { @if !evaluation.operating_points.is_empty() {
        h3 { "Operating points" }
        div.scroll tabindex="0" { table {
            caption {
                "Thresholds “1 in …” are chosen on these very rows: they say what the detector \
                 could do. “p ≤ …” is what it does by itself."
            }
            thead { tr {
                th { "alarm if" } th.n { "attack " (report.rows()) " caught" }
                th.n { "95 % interval" } th.n { "attacks found" } th.n { "middle delay" }
                th.n { "false alarms" } th.n { "an hour" } th.n { "benign peers hit" }
            } }
            tbody { @for at in &evaluation.operating_points { tr {
                th.name scope="row" { (at.rule.short()) br; small { (condition(at.rule)) } }
                td.n { (bar(&at.true_positives)) }
                td.n { (percent(at.true_positives.low)) " – " (percent(at.true_positives.high)) }
                td.n { (at.attacks_found.count) " of " (at.attacks_found.of) }
                td.n { (at.median_delay_s.map_or_else(dash, delay_text)) }
                td.n { (count(at.false_positives.count)) " of " (count(at.false_positives.of)) br; small { (rate_text(at.false_positives.share)) @if at.false_positives_of_attackers > 0 { br; (count(at.false_positives_of_attackers)) " of attackers" } } }
                td.n { (at.false_alarms_per_hour.map_or_else(dash, number)) }
                td.n { (count(at.benign_peers_alarmed.count)) " of " (count(at.benign_peers_alarmed.of)) }
            } } }
        } }
    } }
}

fn condition(rule: Rule) -> String {
    match rule {
        Rule::FalsePositiveRate { threshold: Some(threshold), .. } => {
            format!("score ≥ {}", number(threshold))
        }
        Rule::FalsePositiveRate { threshold: None, .. } => {
            "no threshold: the highest scores are benign".to_owned()
        }
        Rule::PValue { .. } => "the detector's own claim".to_owned(),
    }
}

/// The spread of scores, and whether p-values keep what they claim.
pub(super) fn spread_and_calibration(evaluation: &Evaluation, series: usize) -> Markup {
    let alarm = plot::alarm_threshold(evaluation);
    let dashed = alarm.map_or_else(String::new, |(rate, _)| {
        format!(" Dashed: the threshold at a false-positive rate of {}.", rate_text(rate))
    });
    html! {
        h3 { "Scores and p-values" }
        (sides())
        div.plots {
            (figure(
                "How scores are spread",
                &plot::histogram(&evaluation.histogram, alarm.map(|(_, at)| at)),
                &format!(
                    "Benign and attack rows, each as shares of its own number. The less the two \
                     overlap, the better.{dashed}"
                ),
            ))
            @if let Some(check) = &evaluation.calibration {
                (figure(
                    "Whether p-values keep their word",
                    &plot::calibration(check, series),
                    &format!(
                        "Claimed against realised share of benign rows with so small a p-value, \
                         bars: 95 %. On the dotted line the claim is kept; above it there are more \
                         false alarms than claimed. Greatest distance from uniform: {} \
                         (Kolmogorov–Smirnov); small p-values too frequent by at most {}. Points \
                         at the lower edge: none.",
                        number(check.distance), number(check.too_small_by)
                    ),
                ))
            }
        }
        @if let Some(check) = &evaluation.calibration {
            div.scroll tabindex="0" { table {
                caption {
                    "False alarms claimed and realised on " (count(check.benign))
                    " benign rows. The smallest p-value of all rows is " (number(check.smallest_p)) "."
                }
                thead { tr {
                    th.n { "p at most" } th.n { "realised" } th.n { "95 % interval" }
                    th.n { "alarms" } th { "verdict" }
                } }
                tbody { @for claim in &check.claims { tr {
                    td.n { (claim.alpha) }
                    td.n { (percent(claim.realised.share)) }
                    td.n { (percent(claim.realised.low)) " – " (percent(claim.realised.high)) }
                    td.n { (count(claim.realised.count)) }
                    td {
                        @if claim.verdict == Verdict::TooMany { span.missed { (claim.verdict.text()) } }
                        @else { (claim.verdict.text()) }
                    }
                } } }
            } }
        }
    }
}

/// Drift per feature.
pub(super) fn drift(evaluation: &Evaluation) -> Markup {
    let highest = evaluation.drift.first().map_or(1.0, |drift| drift.index.max(0.5));
    html! { @if !evaluation.drift.is_empty() {
        h3 { "Drift since training" }
        div.scroll tabindex="0" { table {
            caption {
                "Population stability index of each feature, training against evaluated benign \
                 rows. By convention below 0.1 is stable and from 0.25 is another distribution; \
                 below “by chance” the difference may be none at all."
            }
            thead { tr {
                th { "feature" } th.n { "PSI" } th.n { "by chance below" } th { "reading" }
            } }
            tbody { @for drift in &evaluation.drift { tr {
                th.name scope="row" { (drift.feature) }
                td.n {
                    (number(drift.index))
                    span.bar.false aria-hidden="true" { i style={ "width:" (format!("{:.1}", (drift.index / highest * 100.0).clamp(0.0, 100.0))) "%" } {} }
                }
                td.n { (number(drift.by_chance)) }
                td { (drift.reading.text()) }
            } } }
        } }
    } }
}

/// Identity of data, software and models.
pub(super) fn identity(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Data, models and how to make this again" }
            div.card {
                pre { code { (report.command) } }
                dl { @for fact in &report.facts { dt { (fact.name) } dd { (fact.value) } } }
                @for evaluation in &report.evaluations {
                    h3 { (evaluation.detector.name) }
                    dl {
                        @for fact in &evaluation.detector.facts { dt { (fact.name) } dd { (fact.value) } }
                        @if let Some(trained) = evaluation.detector.trained {
                            dt { "trained on" }
                            dd { (clock_text(trained.from)) " to " (clock_text(trained.to)) }
                        }
                    }
                }
            }
        }
    }
}

/// Meaning of the words.
pub(super) fn reading(report: &Report) -> Markup {
    let term = |name: &str, text: String| html! { dt { (name) } dd { (text) } };
    html! {
        section {
            h2 { "What the words mean" }
            div.card { dl {
                (term("row", format!(
                    "One {}: what a remote address did within one window.", report.row
                )))
                (term("false-positive rate", "The share of benign rows that raise an alarm. “1 in \
                    1,000” is the lowest threshold at which no more than that share does; it needs \
                    at least 1,000 benign rows, and is left out with fewer.".to_owned()))
                (term("AUROC", "The chance that a random attack row scores higher than a random \
                    benign one; ties count half. 0.5 is chance. Its interval takes the rows of one \
                    peer as one another's likes (Obuchowski 1997).".to_owned()))
                (term("average precision", "The area under the precision-recall curve as steps \
                    (AUPR). Depends on how many of the rows are attacks.".to_owned()))
                (term("p-value", "The detector's claim of how often a benign row scores as \
                    high.".to_owned()))
                (term("95 % interval", "Wilson's for shares. It takes rows as independent, which \
                    rows of one peer are not quite: it is rather too narrow.".to_owned()))
            } }
        }
    }
}
