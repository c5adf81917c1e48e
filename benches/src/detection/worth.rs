//! What the prior is worth where little was learnt: found and cried over, with it and without.

use std::{collections::BTreeMap, fmt::Write as _};

use policy::ALERT_SURPRISE;
use serde::Serialize;
use training::Prior;

use super::{
    Tell,
    budget::{Budgeted, Peaks, View},
    capture::{Attack, Capture},
    corpus::Use,
    each,
    learn::Lessons,
};

/// What models with a prior, or without one, said at the surprise that is reported.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Said {
    /// Models.
    pub models: usize,
    /// Models that could not be made for want of rows.
    pub unmade: usize,
    /// Attacks from outside: all, found by peers' rows.
    pub attacks: [usize; 2],
    /// Benign remotes of the same device's other set-ups: all, alarmed.
    pub benign: [usize; 2],
}

/// Learns from two set-ups of each device, and looks at its others and at the attacks from outside:
/// without the prior, and with it.
///
/// # Errors
/// None; what cannot be learnt is counted.
pub fn run(captures: &[Capture], tell: Tell<'_>) -> anyhow::Result<[Said; 2]> {
    let mut devices: BTreeMap<&str, Vec<&Capture>> = BTreeMap::new();
    for one in captures.iter().filter(|one| one.group.starts_with("IoT")) {
        let device = one.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        devices.entry(device).or_default().push(one);
    }
    let attacks: Vec<&Capture> =
        captures.iter().filter(|one| one.attacks.iter().any(Attack::is_abuse)).collect();
    let devices: Vec<_> = devices.into_iter().filter(|(_, own)| own.len() > 2).collect();
    let of_each = each(&devices, |(device, own)| {
        tell(&format!("the prior's worth: {device}"));
        let mut lessons = Lessons::default();
        lessons.take(own[0], Use::Train);
        lessons.take(own[1], Use::Calibrate);
        let tested: Vec<&Capture> = own[2..].iter().chain(&attacks).copied().collect();
        Ok([&Prior::default(), Prior::shipped()].map(|prior| Said::of(&lessons, prior, &tested)))
    })?;
    let mut said = [Said::default(); 2];
    for one in of_each {
        said.iter_mut().zip(one).for_each(|(said, one)| said.add(one));
    }
    Ok(said)
}

impl Said {
    fn of(lessons: &Lessons, prior: &Prior, tested: &[&Capture]) -> Self {
        let mut said = Self { models: 1, ..Self::default() };
        let Ok(model) = lessons.fit(prior) else { return Self { unmade: 1, ..said } };
        let mut seen = Budgeted::default();
        for one in tested {
            seen.take(&model, one);
        }
        let is = |peaks: &Peaks| usize::from(peaks[0][View::Peers as usize] >= ALERT_SURPRISE);
        said.benign = [seen.remotes, seen.benign.iter().map(|one| is(&one.peaks)).sum()];
        for one in seen.attacks.iter().filter(|one| one.is_abuse) {
            said.attacks[0] += 1;
            said.attacks[1] += is(&one.peaks);
        }
        said
    }

    fn add(&mut self, other: Self) {
        self.models += other.models;
        self.unmade += other.unmade;
        for place in 0..2 {
            self.attacks[place] += other.attacks[place];
            self.benign[place] += other.benign[place];
        }
    }
}

/// As Markdown.
#[must_use]
pub fn table([without, with]: &[Said; 2]) -> String {
    let mut text = String::from(
        "| | models | none for want of rows | attacks from outside found | benign remotes alarmed \
         |\n|---|---|---|---|---|\n",
    );
    for (name, said) in [("without the prior", without), ("with it", with)] {
        let Said { models, unmade, attacks, benign } = said;
        let _ = writeln!(
            text,
            "| {name} | {models} | {unmade} | {} of {} | {} of {} |",
            attacks[1], attacks[0], benign[1], benign[0]
        );
    }
    text
}
