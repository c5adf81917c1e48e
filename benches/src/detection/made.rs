//! Made-up networks, each learnt from by itself, with an attack of each class in it.

use std::{collections::BTreeMap, fmt::Write as _, io::Cursor, time::Duration};

use anyhow::Context as _;
use lab::{AttackClass, Synthesis, Synthetic};
use model::Window;
use replay::{CaptureReader, HomeNet, Replay, ReplayOptions};
use serde::Serialize;

use super::{
    budget::{BUDGETS, Budgeted},
    capture::{Attack, Capture},
    corpus,
    own::learn,
    score::{Fate, PROMPT, Run},
};

/// Networks.
pub const NETWORKS: u64 = 7;

/// The first seed: those of the prior's networks lie above.
const FIRST_SEED: u64 = 5_000;

/// Time that is attacked; as much behind it is learnt from, in which the same pairs go on.
const PART: Duration = Duration::from_mins(10);

/// The most frames of a capture.
const FRAMES: usize = 400_000;

/// What became of the attacks in made-up networks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Made {
    /// Budgets over all networks, each with its own model.
    pub fold: Budgeted,
    /// Fates by class, of those from outside that probe, flood or repeat.
    pub fates: BTreeMap<String, Vec<Fate>>,
    /// Benign remotes of the calm captures: all, reported, and those that would have been blocked.
    pub benign: [usize; 3],
    /// Networks that were too quiet to learn from.
    pub quiet: usize,
}

/// A made-up network that nobody attacks, for so long.
///
/// # Errors
/// It cannot be made, or nobody speaks in it.
pub fn calm(seed: u64, duration: Duration, fold: corpus::Fold) -> anyhow::Result<Capture> {
    let made = Synthesis { attack: None, seed, duration, frames: FRAMES }.make()?;
    let named = (format!("network {seed}"), "made up".to_owned());
    let capture = Capture::of(named, fold, windows(&made)?, Vec::new());
    capture.with_context(|| format!("nobody speaks in the made-up network {seed}"))
}

/// Makes up so many networks, and one capture for each class of attacks in each.
///
/// # Errors
/// A capture cannot be made.
pub fn run(networks: u64, mut tell: impl FnMut(&str)) -> anyhow::Result<Made> {
    let mut made = Made::default();
    for seed in FIRST_SEED..FIRST_SEED + networks {
        tell(&format!("made-up network {seed}"));
        let synthesis = Synthesis { attack: None, seed, duration: PART * 2, frames: FRAMES };
        let calm = windows(&synthesis.make()?)?;
        let boundary = calm.partition_point(is_in_the_first_part);
        let (attacked, learnt) = calm.split_at(boundary);
        let Ok(model) = learn(learnt) else {
            made.quiet += 1;
            continue;
        };
        made.take_calm(&model, seed, attacked)?;
        for &class in AttackClass::ALL {
            let synthesis = Synthesis { attack: Some(class), ..synthesis };
            let capture = synthesis.make()?;
            let mut windows = windows(&capture)?;
            windows.truncate(windows.partition_point(is_in_the_first_part));
            let attacks: Vec<Attack> =
                capture.truth().attacks.iter().map(Attack::of_truth).collect();
            made.take(&model, (seed, class), windows, attacks)?;
        }
    }
    Ok(made)
}

impl Made {
    fn take_calm(
        &mut self,
        model: &model::ModelFile,
        seed: u64,
        windows: &[Window],
    ) -> anyhow::Result<()> {
        let run = Run::of(model, windows)?;
        let name = (format!("network {seed}"), "calm".to_owned());
        let calm = Capture::of(name, corpus::Fold::Tested, windows.to_vec(), Vec::new());
        let Some(calm) = calm else { return Ok(()) };
        self.fold.take(model, &calm);
        for one in run.benign(&calm) {
            self.benign[0] += 1;
            self.benign[1] += usize::from(one.reported.is_some());
            self.benign[2] += usize::from(one.acted.is_some());
        }
        Ok(())
    }

    fn take(
        &mut self,
        model: &model::ModelFile,
        (seed, class): (u64, AttackClass),
        windows: Vec<Window>,
        attacks: Vec<Attack>,
    ) -> anyhow::Result<()> {
        let run = Run::of(model, &windows)?;
        let name = (format!("network {seed}"), class.name().to_owned());
        // One attack a capture: what the host's side shows while it lasts is its.
        let attacks: Vec<Attack> = attacks.into_iter().map(Attack::alone).collect();
        let Some(capture) = Capture::of(name, corpus::Fold::Tested, windows, attacks) else {
            return Ok(());
        };
        self.fold.take(model, &capture);
        for attack in capture.attacks.iter().filter(|one| one.is_abuse()) {
            self.fates.entry(attack.class.clone()).or_default().push(run.fate(attack));
        }
        Ok(())
    }

    /// Found at the budgets and acted on, class by class, as Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| class | runs | found at 1 % / 0.3 %, peers | all views | decidable | acted on at \
             once |\n|---|---|---|---|---|---|\n",
        );
        let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.fold.attacks {
            *classes.entry(&one.class).or_default() += 1;
        }
        let found = |class: Option<&str>, view: usize| {
            BUDGETS
                .map(|budget| {
                    let found = self.fold.found(budget, 0, view);
                    found.filter(|one| class.is_none_or(|class| one.class == class)).count()
                })
                .map(|count| count.to_string())
                .join(" / ")
        };
        for (class, runs) in &classes {
            let fates = self.fates.get(*class);
            let count = |of: fn(&Fate) -> bool| {
                fates.map_or(String::new(), |all| {
                    all.iter().filter(|one| of(one)).count().to_string()
                })
            };
            let _ = writeln!(
                text,
                "| {class} | {runs} | {} | {} | {} | {} |",
                found(Some(class), 1),
                found(Some(class), 3),
                count(|one| one.decidable),
                count(|one| one.promptly),
            );
        }
        let fates: Vec<&Fate> = self.fates.values().flatten().collect();
        let count = |of: fn(&Fate) -> bool| fates.iter().filter(|one| of(one)).count();
        let _ = writeln!(
            text,
            "| all | {} | {} | {} | {} of {} | {} |\n\nActed on at once: within {PROMPT} windows of being \
             decidable, of attacks from outside that scan, flood or guess. Of {} benign remotes {} \
             were reported and {} would have been blocked.",
            self.fold.attacks.len(),
            found(None, 1),
            found(None, 3),
            count(|one| one.decidable),
            fates.len(),
            count(|one| one.promptly),
            self.benign[0],
            self.benign[1],
            self.benign[2],
        );
        text
    }
}

fn is_in_the_first_part(window: &Window) -> bool {
    u128::from(window.start_ns) < (Synthesis::EPOCH + PART).as_nanos()
}

/// The windows of a made-up capture.
fn windows(synthetic: &Synthetic) -> anyhow::Result<Vec<Window>> {
    let mut bytes = Vec::new();
    synthetic.write(&mut bytes, 128)?;
    let home: Result<Vec<ipnet::IpNet>, _> = lab::HOME.iter().map(|net| net.parse()).collect();
    let reader = CaptureReader::new(Cursor::new(bytes), "synthetic")?;
    let options = ReplayOptions::default().home(HomeNet::new(home?));
    Ok(Replay::new(reader, options).collect::<Result<_, _>>()?)
}
