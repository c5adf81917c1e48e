//! The captures that the project ships: learnt from on one day, attacked on another.
//!
//! Here training and test are of one network, as they are where weir runs.

use std::{net::IpAddr, path::Path};

use anyhow::Context as _;
use engine::Detector;
use features::{Context, Window};
use forest::IsolationForest;
use lab::{AttackTruth, GroundTruth};
use linfa::ParamGuard as _;
use model::ModelFile;
use replay::HomeNet;
use serde::Serialize;
use training::{BEYOND, Learner};

use super::{
    replay::windows,
    score::{Acted, Scored, score_one},
};

/// An attack of the mixed capture.
#[derive(Clone, Debug, Serialize)]
pub struct OwnAttack {
    /// Its name in the ground truth.
    pub name: String,
    /// Windows of its sources, each remote by itself.
    pub windows: usize,
    /// The highest surprise in any of them.
    pub surprise: f64,
    /// Acts of the policy on its sources; times count from the attack's beginning.
    pub acted: Acted,
}

/// Outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Own {
    /// The day without attacks.
    pub benign: Scored,
    /// Benign remotes of the mixed capture that were reported, and blocked.
    pub bystanders: [usize; 2],
    /// Attack by attack, in the order of their beginnings.
    pub attacks: Vec<OwnAttack>,
}

/// A capture of `training-data/` with its ground truth.
struct Day {
    name: &'static str,
    windows: Vec<Window>,
    truth: GroundTruth,
}

/// Learns from `benign-train` as `weir learn` does and scores the two others, each with an empty
/// past.
///
/// # Errors
/// A capture or its ground truth cannot be read.
pub fn run(training_data: &Path) -> anyhow::Result<Own> {
    let model = learn(&Day::read(training_data, "benign-train")?)?;
    let benign = Day::read(training_data, "benign-test")?.score(&model, |_| false)?;
    let mixed = Day::read(training_data, "mixed")?;
    let is_source = |peer| mixed.truth.attacks.iter().any(|attack| attack.sources.contains(peer));
    let acted = mixed.score(&model, is_source)?.acted;
    let attacks = mixed.truth.attacks.iter().map(|attack| mixed.of_attack(&model, attack));
    Ok(Own {
        benign,
        bystanders: [acted.reported[0], acted.blocked[0]],
        attacks: attacks.collect::<anyhow::Result<_>>()?,
    })
}

fn learn(day: &Day) -> anyhow::Result<ModelFile> {
    let mut learner = Learner::default();
    for window in &day.windows {
        learner.take(window);
    }
    let params = IsolationForest::params().beyond(BEYOND).check()?;
    Ok(learner.finish(&params, "1970-01-01T00:00:00Z")?.0)
}

impl Day {
    fn read(training_data: &Path, name: &'static str) -> anyhow::Result<Self> {
        let truth = GroundTruth::read(&training_data.join(format!("{name}.truth.json")))
            .context("a capture of training-data/ has its ground truth beside it")?;
        let home = HomeNet::new(truth.host.iter().map(|&address| address.into()));
        let windows = windows(&training_data.join(format!("{name}.pcap.zst")), &home)?;
        Ok(Self { name, windows, truth })
    }

    fn score(
        &self,
        model: &ModelFile,
        is_attacker: impl Fn(IpAddr) -> bool,
    ) -> anyhow::Result<Scored> {
        let detector =
            Detector::new(model.clone(), Context::default(), std::time::Duration::from_secs(1));
        let named = (self.name.to_owned(), "lab".to_owned());
        score_one(detector, &self.windows, named, is_attacker)
    }

    /// The whole day again, with this attack's sources as the only attackers.
    fn of_attack(&self, model: &ModelFile, attack: &AttackTruth) -> anyhow::Result<OwnAttack> {
        let scored = self.score(model, |peer| attack.sources.contains(peer))?;
        let start_ns = self.windows.first().map_or(0, |window| window.start_ns);
        let began_s = attack.began.unix_ns.saturating_sub(start_ns) as f64 / 1e9;
        let since = |moment: Option<f64>| moment.map(|after_s| after_s - began_s);
        let during = || scored.observations.iter().filter(|one| one.is_attacker);
        Ok(OwnAttack {
            name: attack.name.clone(),
            windows: during().count(),
            surprise: during().map(|one| one.surprise).fold(f64::MIN, f64::max),
            acted: Acted {
                first_report_s: since(scored.acted.first_report_s),
                first_block_s: since(scored.acted.first_block_s),
                ..scored.acted.clone()
            },
        })
    }
}
