//! What the prior is worth where little was learnt: found and cried over, with it and without.

use std::{collections::BTreeMap, fmt::Write as _};

use policy::ALERT_SURPRISE;
use serde::Serialize;
use training::Prior;

use super::{
    budget::{Budgeted, View},
    capture::Capture,
    corpus::Use,
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
#[must_use]
pub fn run(captures: &[Capture], mut tell: impl FnMut(&str)) -> [Said; 2] {
    let mut devices: BTreeMap<&str, Vec<&Capture>> = BTreeMap::new();
    for one in captures.iter().filter(|one| one.group.starts_with("IoT")) {
        let device = one.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        devices.entry(device).or_default().push(one);
    }
    let attacks: Vec<&Capture> = captures
        .iter()
        .filter(|one| one.attacks.iter().any(super::capture::Attack::is_abuse))
        .collect();
    let mut said = [Said::default(); 2];
    for (device, own) in devices.into_iter().filter(|(_, own)| own.len() > 2) {
        tell(&format!("the prior's worth: {device}"));
        let mut lessons = Lessons::default();
        lessons.take(own[0], Use::Train);
        lessons.take(own[1], Use::Calibrate);
        for (said, prior) in said.iter_mut().zip([&Prior::default(), Prior::shipped()]) {
            said.models += 1;
            let Ok(model) = lessons.fit(prior) else {
                said.unmade += 1;
                continue;
            };
            let mut seen = Budgeted::default();
            own[2..].iter().chain(&attacks).for_each(|one| seen.take(&model, one));
            let view = View::ALL.iter().position(|view| *view == View::Peers).unwrap_or_default();
            let is = |peak: f64| usize::from(peak >= ALERT_SURPRISE);
            said.benign[0] += seen.remotes;
            said.benign[1] += seen.benign.iter().map(|one| is(one.peaks[0][view])).sum::<usize>();
            for one in seen.attacks.iter().filter(|one| one.is_abuse) {
                said.attacks[0] += 1;
                said.attacks[1] += is(one.peaks[0][view]);
            }
        }
    }
    said
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
