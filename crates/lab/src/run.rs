//! Running a whole scenario.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::truth::{AttackTruth, GroundTruth};
use crate::{ClientReport, Lab, LabError, Moment, RunningAttack, Scenario, Stop};

/// Events of a running scenario.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// The benign clients are at work.
    BenignBegan,
    /// An attack sends its first frame.
    AttackBegan {
        /// Its name.
        name: &'a str,
        /// Time of the event.
        at: Moment,
    },
    /// An attack is over.
    AttackEnded(&'a AttackTruth),
}

/// Traffic sent and its outcome.
#[derive(Clone, Debug, Serialize)]
pub struct TrafficReport {
    /// Attacks with sources, victims and times.
    pub ground_truth: GroundTruth,
    /// Reports of the benign clients.
    pub clients: Vec<ClientReport>,
}

impl Lab {
    /// Runs a scenario from start to end, or until it is stopped: benign traffic all the time,
    /// each attack when its scenario says.
    ///
    /// # Errors
    /// [`LabError::Invalid`] if the lab has fewer members than the scenario names, and whatever
    /// ends a thread early.
    pub fn run(
        &self,
        scenario: &Scenario,
        stop: &Stop,
        mut on_event: impl FnMut(RunEvent<'_>),
    ) -> Result<TrafficReport, LabError> {
        let began = Instant::now();
        let benign = self.start_benign(scenario)?;
        on_event(RunEvent::BenignBegan);
        let mut due: Vec<_> = scenario.attacks.iter().collect();
        due.sort_by_key(|attack| std::cmp::Reverse(attack.start));
        let mut running: Vec<RunningAttack> = Vec::new();
        let mut over = Vec::new();
        while began.elapsed() < scenario.duration && !stop.is_stopped() {
            for done in running.extract_if(.., |attack| attack.is_done()) {
                over.push(settle(done, &mut on_event)?);
            }
            if let Some(attack) = due.pop_if(|attack| attack.start <= began.elapsed()) {
                let started = self.start_attack(attack)?;
                on_event(RunEvent::AttackBegan { name: &attack.name, at: started.began() });
                running.push(started);
                continue;
            }
            let next = due.last().map_or(scenario.duration, |attack| attack.start);
            let left = next.min(scenario.duration).saturating_sub(began.elapsed());
            // Attacks that end meanwhile are noticed within a moment that no one feels.
            let left = if running.is_empty() { left } else { left.min(Duration::from_millis(100)) };
            let _ = stop.wait(left);
        }
        for attack in running {
            over.push(settle(attack, &mut on_event)?);
        }
        over.sort_by_key(|truth| truth.began);
        let clients = benign.finish()?;
        Ok(TrafficReport { ground_truth: self.ground_truth(scenario, over), clients })
    }

    /// The ground truth of attacks that were started one by one.
    #[must_use]
    pub fn ground_truth(&self, scenario: &Scenario, attacks: Vec<AttackTruth>) -> GroundTruth {
        GroundTruth {
            scenario: scenario.name.clone(),
            seed: scenario.seed,
            host: self.host().addresses(),
            clients: self.clients().iter().flat_map(crate::Node::addresses).collect(),
            attacks,
        }
    }
}

/// Ends an attack and reports on it.
fn settle(
    attack: RunningAttack,
    on_event: &mut impl FnMut(RunEvent<'_>),
) -> Result<AttackTruth, LabError> {
    let truth = attack.finish()?;
    on_event(RunEvent::AttackEnded(&truth));
    Ok(truth)
}
