//! The captures that the project ships: learnt from on one day, attacked on another.
//!
//! Here training and test are of one network, as they are where weir runs.

use std::{fmt::Write as _, net::IpAddr, path::Path};

use anyhow::Context as _;
use forest::IsolationForest;
use linfa::ParamGuard as _;
use model::{ModelFile, Window};
use serde::Serialize;
use training::{BEYOND, Learner};

use super::{
    capture::{Attack, Capture},
    score::{PROMPT, Run, Verdict},
};

/// What became of the lab's two other days.
#[derive(Debug, Serialize)]
pub struct Own {
    /// The day without attacks.
    pub benign: Run,
    /// That with attacks.
    pub mixed: Run,
    #[serde(skip)]
    day: Capture,
}

/// A model of windows, as `weir learn` makes it.
///
/// # Errors
/// There are too few rows to learn from.
pub fn learn(windows: &[Window]) -> anyhow::Result<ModelFile> {
    let mut learner = Learner::default();
    for window in windows {
        learner.take(window);
    }
    let params = IsolationForest::params().beyond(BEYOND).check()?;
    Ok(learner.finish(&params, "1970-01-01T00:00:00Z")?.0)
}

/// Learns from `benign-train` and runs the two others, each with an empty past.
///
/// # Errors
/// A capture or its ground truth cannot be read.
pub fn run(shipped: &Path) -> anyhow::Result<Own> {
    let read = |name| {
        let capture = Capture::of_lab(shipped, name)?;
        capture.with_context(|| format!("{name} of training-data/ has no rows"))
    };
    let model = learn(&read("benign-train")?.windows)?;
    let day = read("mixed")?;
    let benign = Run::of(&model, &read("benign-test")?.windows)?;
    Ok(Own { benign, mixed: Run::of(&model, &day.windows)?, day })
}

impl Own {
    /// The lab's attacks one by one, as Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| attack | remotes | highest surprise | reported | blocked or limited | refused most \
             often |\n|---|---|---|---|---|---|\n",
        );
        for attack in &self.day.attacks {
            self.row(&mut text, attack);
        }
        let reported = |run: &Run, capture: &Capture| {
            let [mut reported, mut acted] = [0, 0];
            for (_, one) in run.benign(capture) {
                reported += usize::from(one.reported.is_some());
                acted += usize::from(one.acted.is_some());
            }
            [reported, acted]
        };
        let nobody = Capture { attacks: Vec::new(), ..self.day.clone() };
        let [calm, amid] = [reported(&self.benign, &nobody), reported(&self.mixed, &self.day)];
        let told = |run: &Run, capture: &Capture| {
            let of = |(remote, one): (&IpAddr, &Verdict)| {
                one.reported.map(|(_, at_s)| format!("- {remote} at {at_s:.0} s: {}", one.story))
            };
            run.benign(capture).filter_map(of).collect::<Vec<_>>().join("\n")
        };
        let fates = || self.day.attacks.iter().filter(|one| one.is_abuse());
        let prompt = fates().filter(|one| self.mixed.fate(one).promptly).count();
        let _ = writeln!(
            text,
            "\nOf {} inbound scans, floods and guessers {prompt} were acted on within {PROMPT} windows \
             of being decidable. Of the benign day's {} remotes {} were reported and {} would have \
             been blocked; of the benign ones amid the attacks {} and {}.",
            fates().count(),
            self.benign.remotes.len(),
            calm[0],
            calm[1],
            amid[0],
            amid[1],
        );
        let (calm, amid) = (told(&self.benign, &nobody), told(&self.mixed, &self.day));
        let _ = writeln!(text, "\nReported on the benign day:\n\n{calm}\n\nAmid:\n\n{amid}");
        text
    }

    fn row(&self, text: &mut String, attack: &Attack) {
        let start_ns = self.day.windows.first().map_or(0, |window| window.start_ns);
        let began = attack.during.map_or(start_ns, |span| span.start_ns);
        let began_s = began.saturating_sub(start_ns) as f64 / 1e9;
        let its: Vec<_> = self.mixed.of_attack(attack).map(|(_, one)| one).collect();
        let when = |moments: Vec<f64>| {
            let first = moments.iter().copied().min_by(f64::total_cmp);
            let told = |first: f64| format!("{} after {:.1} s", moments.len(), first - began_s);
            first.map_or_else(|| "**no**".to_owned(), told)
        };
        let surprise = its.iter().map(|one| one.surprise()).fold(0.0, f64::max);
        let refused = its.iter().flat_map(|one| &one.refused).max_by_key(|(_, count)| **count);
        let _ = writeln!(
            text,
            "| {} | {} | {surprise:.2} | {} | {} | {} |",
            attack.name,
            its.len(),
            when(its.iter().filter_map(|one| Some(one.reported?.1)).collect()),
            when(its.iter().filter_map(|one| Some(one.acted?.1)).collect()),
            refused.map_or(String::new(), |(why, count)| format!("{count} × {why}")),
        );
    }
}
