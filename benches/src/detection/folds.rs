//! The three folds: learnt from two thirds of the benign captures, tested on the others and on all
//! attacks.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;
use training::Prior;

use super::{
    Tell,
    budget::{BUDGETS, Budgeted, Measure, Seen, View},
    capture::Capture,
    corpus::{FOLDS, Use},
    each,
    learn::{Learnt, Lessons},
};

/// A fold with what it learnt from.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was learnt from.
    pub learnt: Learnt,
    /// What was seen.
    pub fold: Budgeted,
}

/// Fits and tests each fold.
///
/// # Errors
/// A fold has too few rows to learn from.
pub fn run(captures: &[Capture], prior: &Prior, tell: Tell<'_>) -> anyhow::Result<Vec<Outcome>> {
    let numbers: Vec<usize> = (0..FOLDS).collect();
    each(&numbers, |&number| {
        tell(&format!("fold {}", number + 1));
        let lessons = Lessons::of_fold(captures, number);
        let model = lessons.fit(prior)?;
        let mut fold = Budgeted::default();
        for one in captures {
            if one.fold.usage(&one.name, number) == Use::Test {
                fold.take(&model, one);
            }
        }
        Ok(Outcome { learnt: lessons.learnt(), fold })
    })
}

/// Attacks found by each measure and view, over all folds.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let attacks: usize = outcomes.iter().map(|one| one.fold.attacks.len()).sum();
    let remotes: usize = outcomes.iter().map(|one| one.fold.remotes).sum();
    let _ = writeln!(
        text,
        "Attacks of {attacks} found where 1 % / 0.3 % of the {remotes} benign remotes may ever alarm.\n"
    );
    let head: Vec<&str> = View::ALL.iter().map(|view| view.name()).collect();
    let _ = writeln!(
        text,
        "| measure | {} | peers or the host's side, a budget each |\n|---|{}",
        head.join(" | "),
        "---|".repeat(head.len() + 1)
    );
    for (measure, named) in Measure::ALL.iter().enumerate() {
        let cell = |view: usize| {
            BUDGETS.map(|budget| found(outcomes, budget, measure, view).to_string()).join(" / ")
        };
        let cells: Vec<String> = (0..View::ALL.len()).map(cell).collect();
        let either = BUDGETS.map(|budget| found_by_either(outcomes, budget, measure).to_string());
        let (name, cells) = (named.name(), cells.join(" | "));
        let _ = writeln!(text, "| {name} | {cells} | {} |", either.join(" / "));
    }
    text
}

/// Attacks found at a budget, over all folds.
#[must_use]
pub fn found(outcomes: &[Outcome], budget: f64, measure: usize, view: usize) -> usize {
    outcomes.iter().map(|one| one.fold.found(budget, measure, view).count()).sum()
}

/// The same of peers or the host's side, where each has a budget of its own.
#[must_use]
pub fn found_by_either(outcomes: &[Outcome], budget: f64, measure: usize) -> usize {
    outcomes.iter().map(|one| one.fold.found_by_either(budget, measure)).sum()
}

/// Each attack: in how many folds it was found at the least budget, by peers and by all views, and
/// what stood out most.
#[must_use]
pub fn attacks(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| attack | class | folds found by peers | by all views | surprise, thresholds | most \
         surprising row | its features |\n|---|---|---|---|---|---|---|\n",
    );
    let mut by_name: BTreeMap<(&str, &str), Vec<(usize, &Seen)>> = BTreeMap::new();
    for (number, one) in outcomes.iter().enumerate() {
        for seen in &one.fold.attacks {
            by_name.entry((&seen.class, &seen.name)).or_default().push((number, seen));
        }
    }
    let budget = BUDGETS[1];
    for ((class, name), seen) in by_name {
        let count = |view: usize| {
            let is = |(fold, one): &&(usize, &Seen)| {
                one.peaks[0][view] > outcomes[*fold].fold.threshold(budget, 0, view)
            };
            seen.iter().filter(is).count()
        };
        let peaks: Vec<String> = seen
            .iter()
            .map(|(fold, one)| {
                let least = outcomes[*fold].fold.threshold(budget, 0, 3);
                format!("{:.1} {:.1} of {least:.1}", one.peaks[0][1], one.peaks[0][3])
            })
            .collect();
        let strongest = seen.iter().find_map(|(_, one)| one.strongest.as_ref());
        let (channel, why) = strongest
            .map_or_else(Default::default, |one| (one.channel.clone(), one.reasons.join(", ")));
        let _ = writeln!(
            text,
            "| `{name}` | {class} | {} | {} | {} | {channel} | {why} |",
            count(1),
            count(3),
            peaks.join("; ")
        );
    }
    text
}
