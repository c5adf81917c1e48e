//! Made-up networks, each learnt from by itself, with an attack of each class in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Cursor,
    time::Duration,
};

use anyhow::Context as _;
use lab::{AttackClass, AttackTruth, Synthesis, Synthetic};
use model::Window;
use replay::{CaptureReader, HomeNet, Replay, ReplayOptions};
use serde::Serialize;

use super::{
    Tell,
    budget::{BUDGETS, Budgeted},
    capture::{Attack, Capture},
    corpus, each,
    own::learn,
    score::{Fate, PROMPT, Run},
};

/// Networks that are attacked.
pub const NETWORKS: u64 = 7;

/// Networks in which nobody attacks, beside: a share of a few remotes is none.
pub const CALM: u64 = 35;

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
    /// Fates by class.
    pub fates: BTreeMap<String, Vec<Fate>>,
    /// Benign remotes of the calm captures: all, reported, and those that would have been blocked.
    pub benign: [usize; 3],
    /// The latter, and how each stood out.
    pub wrong: Vec<String>,
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

/// Makes up networks, and one capture for each class of attacks in those that are attacked.
///
/// # Errors
/// A capture cannot be made.
pub fn run([attacked, calm]: [u64; 2], tell: Tell<'_>) -> anyhow::Result<Made> {
    let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + attacked + calm).collect();
    let mut all = Made::default();
    let classes = |seed| if seed < FIRST_SEED + attacked { AttackClass::ALL } else { &[] };
    for one in each(&seeds, |&seed| Made::of_network(seed, classes(seed), tell))? {
        all.fold.join(one.fold);
        for (class, fates) in one.fates {
            all.fates.entry(class).or_default().extend(fates);
        }
        all.benign.iter_mut().zip(one.benign).for_each(|(sum, one)| *sum += one);
        all.wrong.extend(one.wrong);
        all.quiet += one.quiet;
    }
    Ok(all)
}

impl Made {
    fn of_network(seed: u64, classes: &[AttackClass], tell: Tell<'_>) -> anyhow::Result<Self> {
        tell(&format!("made-up network {seed}"));
        let mut made = Self::default();
        let synthesis = Synthesis { attack: None, seed, duration: PART * 2, frames: FRAMES };
        let calm = windows(&synthesis.make()?)?;
        let (attacked, learnt) = calm.split_at(calm.partition_point(is_in_the_first_part));
        let Ok(model) = learn(learnt) else {
            return Ok(Self { quiet: 1, ..made });
        };
        made.take_calm(&model, seed, attacked)?;
        for &class in classes {
            let capture = Synthesis { attack: Some(class), ..synthesis }.make()?;
            let mut windows = windows(&capture)?;
            windows.truncate(windows.partition_point(is_in_the_first_part));
            made.take(&model, (seed, class), windows, attacks(&capture.truth().attacks))?;
        }
        Ok(made)
    }

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
        for (remote, one) in run.benign(&calm) {
            self.benign[0] += 1;
            self.benign[1] += usize::from(one.reported.is_some());
            self.benign[2] += usize::from(one.acted.is_some());
            if one.acted.is_some() {
                self.wrong.push(format!("{remote} in network {seed}: {}", one.story));
            }
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
        let Some(capture) = Capture::of(name, corpus::Fold::Tested, windows, attacks) else {
            return Ok(());
        };
        self.fold.take(model, &capture);
        for attack in &capture.attacks {
            self.fates.entry(attack.class.clone()).or_default().push(run.fate(attack));
        }
        Ok(())
    }

    /// Found at the budgets, reported and acted on, class by class, as Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| class | runs | found at 1 % / 0.3 %, peers | all views | a remote reported | decidable | \
             acted on at once |\n|---|---|---|---|---|---|---|\n",
        );
        let is_of = |class: Option<&str>, one: &str| class.is_none_or(|class| class == one);
        let found = |class: Option<&str>, view: usize| {
            BUDGETS
                .map(|budget| {
                    let found = self.fold.found(budget, 0, view);
                    found.filter(|one| is_of(class, &one.class)).count().to_string()
                })
                .join(" / ")
        };
        let classes: BTreeSet<&str> = self.fates.keys().map(String::as_str).collect();
        for class in classes.into_iter().map(Some).chain([None]) {
            let fates = || {
                let its = self.fates.iter().filter(move |(one, _)| is_of(class, one));
                its.flat_map(|(_, fates)| fates)
            };
            let count = |of: fn(&Fate) -> bool| fates().filter(|one| of(one)).count();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                class.unwrap_or("all"),
                fates().count(),
                found(class, 1),
                found(class, 3),
                count(|one| one.reported),
                count(|one| one.decidable),
                count(|one| one.promptly),
            );
        }
        let [all, reported, blocked] = self.benign;
        let _ = writeln!(
            text,
            "\nActed on at once: within {PROMPT} windows of being decidable. Of {all} benign remotes \
             {reported} were reported and {blocked} would have been blocked.",
        );
        for one in &self.wrong {
            let _ = writeln!(text, "- blocked: {one}");
        }
        text
    }
}

/// Attacks of one capture, one for whoever sends them: one that goes to many hosts is one. What the host's
/// side shows while it lasts is its.
fn attacks(truths: &[AttackTruth]) -> Vec<Attack> {
    let mut joined: Vec<AttackTruth> = Vec::new();
    for truth in truths {
        match joined.iter_mut().find(|one| one.sources == truth.sources) {
            Some(one) => {
                one.began = one.began.min(truth.began);
                one.ended = one.ended.max(truth.ended);
            }
            None => joined.push(truth.clone()),
        }
    }
    joined.iter().map(|truth| Attack::of_truth(truth).alone()).collect()
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
