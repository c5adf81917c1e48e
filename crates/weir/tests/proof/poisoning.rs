//! Poisoning: what an attacker buys who is there while a node learns on.
//!
//! A made-up network in virtual time, in which a day is ten minutes: learnt for five, learnt on for a day
//! or more with the attacker there, and then put to an examination, in which attackers of every rate are
//! played anew. What is bought is told by the lowest rate that is acted on, of the model that stayed as
//! it was and of the one that learnt on. Two days and a half, in some five minutes:
//!
//! ```sh
//! cargo test -p weir --test proof -- --ignored --nocapture poisoning
//! ```

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use collector::config::RawConfig;
use engine::{Arrival, Detector, basis, judge};
use lab::{Author, Guise, Move, Pace as Rate, Phase, Strategy, Synthesis, Targets};
use linfa::ParamGuard as _;
use model::{Context, IsolationForest, ModelFile, Window};
use policy::{Outcome, Policy, ProtectedHosts, Standing, statistics::Unsupported};
use training::{BEYOND, Learner, NotLearnt, Ongoing, Pace, Word};

use crate::{
    search::world::{host, windows},
    traffic::SECOND,
};

const SEED: u64 = 77;
/// Seconds that are learnt from before anything is learnt on.
const LEARNT: u64 = 300;
/// Seconds of an examination.
const EXAM: u64 = 90;
/// Seconds of benign traffic before an examination, in which everything is new to it.
const AHEAD: u64 = 60;
/// Attacks a second of the examination.
const RATES: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
/// A day is ten minutes.
const PACE: Pace = Pace {
    half_life: Duration::from_mins(10),
    every: Duration::from_secs(150),
    settle: Duration::from_secs(30),
    unusual: 3.0,
};

/// What an attacker does.
#[derive(Clone, Copy, Debug)]
struct Attack {
    name: &'static str,
    does: Move,
    targets: Targets,
}

const ATTACKS: [Attack; 2] = [
    Attack { name: "guesses", does: Move::Login, targets: Targets::Listening },
    Attack { name: "scans", does: Move::Syn, targets: Targets::Many { count: 500 } },
];

impl Attack {
    fn phase(self, from_s: u64, to_s: u64, pace: Rate, addresses: u16) -> Strategy {
        let phase = Phase {
            start: from_s as f64,
            length: (to_s - from_s) as f64,
            pace,
            guise: Guise::Own { addresses },
            targets: self.targets,
            moves: vec![self.does],
            keeps_port: false,
        };
        Strategy { seed: 5, phases: vec![phase] }
    }
}

/// A network, its own addresses, and what was captured of it.
struct World {
    synthesis: Synthesis,
    own: BTreeSet<IpAddr>,
}

/// Windows with an attacker, and the addresses that he used.
struct Played {
    windows: Vec<Window>,
    attackers: BTreeSet<IpAddr>,
}

impl World {
    fn new(until_s: u64) -> Self {
        let duration = Duration::from_secs(until_s + EXAM);
        let synthesis = Synthesis { attack: None, seed: SEED, duration, frames: 4_000_000 };
        let own = synthesis.make().expect("a network").truth().host.iter().copied().collect();
        Self { synthesis, own }
    }

    fn play(&self, strategy: Option<&Strategy>, from_s: u64, to_s: u64) -> Played {
        let stage = self.synthesis.set().expect("a stage").since(Duration::from_secs(from_s));
        let played = strategy.map_or_else(|| stage.calm(), |strategy| stage.play(strategy));
        let played = played.expect("a sound strategy");
        let until_ns = (Synthesis::EPOCH.as_secs() + to_s) * SECOND;
        let mut windows = windows(&played);
        windows.retain(|window| window.start_ns < until_ns);
        let attackers = played.senders(Author::Attacker).into_iter().map(host).collect();
        Played { windows, attackers }
    }

    fn policy(&self, model: &ModelFile) -> Policy {
        let mut raw = RawConfig::default();
        raw.policy.unsupported = Unsupported::Act;
        let config = raw.check().expect("the defaults hold").policy;
        Policy::new(config, ProtectedHosts::own(self.own.iter().copied())).calibrated(&basis(model))
    }

    /// The lowest rate at which an attack is acted on, as its place among [`RATES`].
    fn examine(&self, model: &ModelFile, exam: &[Played]) -> usize {
        let acted_on = |played: &Played| self.first_act_s(model, played).is_some();
        exam.iter().position(acted_on).unwrap_or(RATES.len())
    }

    /// Tells of each act of a fixed model on an attacker, and when.
    fn each_act(&self, model: &ModelFile, played: &Played, mut act: impl FnMut(IpAddr, u64)) {
        let mut detector = Detector::new(model.clone(), Context::default(), Duration::from_secs(1));
        let mut policy = self.policy(model);
        for window in &played.windows {
            let judged = judge(&mut policy, detector.assess(window, Arrival::default()));
            for decision in judged.verdicts.peers {
                let peer = host(decision.evidence.address);
                let blocked = matches!(decision.outcome, Outcome::Block { .. });
                if blocked && played.attackers.contains(&peer) {
                    act(peer, window.end_ns);
                }
            }
        }
    }

    /// When an attacker is first acted on by a fixed model, in s since the beginning.
    fn first_act_s(&self, model: &ModelFile, played: &Played) -> Option<u64> {
        let began_ns = played.windows.first()?.start_ns;
        let mut first = None;
        self.each_act(model, played, |_, at_ns| {
            first.get_or_insert((at_ns - began_ns) / SECOND);
        });
        first
    }

    /// What a node that learns on has in force at the end.
    fn learn_on(&self, model: &ModelFile, played: &Played) -> LearntOn {
        let ongoing = Ongoing::new(Duration::from_secs(1), PACE, params());
        let detector = Detector::new(model.clone(), Context::default(), Duration::from_secs(1));
        let mut detector = detector.learn_on(ongoing);
        let mut policy = self.policy(model);
        let mut told = LearntOn { model: model.clone(), taken: 0, refused: 0, acted_on_s: None };
        let began_ns = played.windows.first().map_or(0, |window| window.start_ns);
        let mut words = Vec::new();
        for window in &played.windows {
            let ongoing = detector.learning().expect("it learns");
            ongoing.hear(&std::mem::take(&mut words));
            let judged = judge(&mut policy, detector.assess(window, Arrival::default()));
            for decision in judged.verdicts.peers {
                let evidence = &decision.evidence;
                let mut until_ns = window.end_ns;
                if let Outcome::Block { expires_ns, .. } = decision.outcome {
                    until_ns = expires_ns;
                    if played.attackers.contains(&host(evidence.address)) {
                        let at_s = (window.end_ns - began_ns) / SECOND;
                        told.acted_on_s.get_or_insert(at_s);
                    }
                }
                if evidence.standing != Standing::Unproven {
                    words.push((evidence.address, Word::Reported { until_ns }));
                }
            }
            let Some(copy) = detector.due_to_learn() else { continue };
            match copy.train(detector.model(), 0, "2026-01-01T00:00:00Z") {
                Ok(candidate) => {
                    told.taken += 1;
                    policy.recalibrate(&basis(&candidate.model));
                    told.model = candidate.model.clone();
                    detector.replace_model(candidate.model);
                }
                Err(NotLearnt::Fit(_)) => {}
                Err(error) => {
                    println!("    refused: {error}");
                    told.refused += 1;
                }
            }
        }
        told
    }
}

struct LearntOn {
    model: ModelFile,
    taken: u32,
    refused: u32,
    acted_on_s: Option<u64>,
}

fn params() -> model::IsolationForestValidParams {
    IsolationForest::params().n_trees(50).beyond(BEYOND).check().expect("valid")
}

fn learnt(windows: &[Window]) -> ModelFile {
    let mut learner = Learner::default();
    let until = windows
        .iter()
        .take_while(|window| window.start_ns < (Synthesis::EPOCH.as_secs() + LEARNT) * SECOND);
    until.for_each(|window| learner.take(window));
    learner.finish(&params(), "2026-01-01T00:00:00Z").expect("enough to learn from").0
}

fn rate(place: usize) -> String {
    RATES.get(place).map_or_else(|| "none".to_owned(), |rate| format!("{rate}/s"))
}

/// Share of the rows of peers over a window that are an attacker's, in a model that is learnt.
fn share(played: &Played) -> f64 {
    let mut context = Context::default();
    let (mut his, mut all) = (0, 0);
    let until_ns = (Synthesis::EPOCH.as_secs() + LEARNT) * SECOND;
    for window in played.windows.iter().take_while(|window| window.start_ns < until_ns) {
        let observed = context.observe(window);
        let rows = observed.peers.iter().filter(|row| row.horizon.ms() == 1_000);
        for row in rows {
            let peer = host(engine::detector::address(row.key.address));
            all += 1;
            his += u32::from(played.attackers.contains(&peer));
        }
    }
    f64::from(his) / f64::from(all.max(1))
}

/// What one attack buys, by each way to be there while a network learns on until then.
///
/// Learning on costs nothing: its model acts on no higher a rate than the one that stayed as it was, and
/// where that one had the attacker in its training, on one step of [`RATES`] more at most than one that
/// had not.
fn buys(attack: Attack, until_s: u64) {
    let world = World::new(until_s);
    let end_s = until_s + EXAM;
    let calm = world.play(None, 0, until_s);
    let clean = learnt(&calm.windows);
    let at = |rate| attack.phase(until_s, end_s, Rate::Even { rate }, 1);
    let exam: Vec<Played> =
        RATES.iter().map(|&rate| world.play(Some(&at(rate)), until_s - AHEAD, end_s)).collect();
    let name = attack.name;
    let tell = |what: &str, model: &ModelFile| {
        let place = world.examine(model, &exam);
        println!("{name}, {what}: acted on from {}", rate(place));
        place
    };
    let by_clean = tell("learnt without an attacker", &clean);
    let quiet = world.learn_on(&clean, &calm);
    println!("  nobody there: {} models taken, {} refused", quiet.taken, quiet.refused);
    assert!(quiet.taken > 1);
    let by_quiet = tell("and learnt on without one", &quiet.model);
    assert!(by_quiet <= by_clean, "learning on alone costs nothing");

    // From one in a hundred seconds to five a second.
    let ramp = attack.phase(LEARNT, until_s, Rate::Ramp { from: 0.01, to: 5.0 }, 1);
    let played = world.play(Some(&ramp), LEARNT - AHEAD, until_s);
    let fixed = world.first_act_s(&clean, &played);
    let ramped = world.learn_on(&clean, &played);
    println!(
        "  the ramp is acted on after {fixed:?} s by a fixed model, after {:?} s by one that learns; \
         {} models taken, {} refused",
        ramped.acted_on_s, ramped.taken, ramped.refused
    );
    assert!(ramped.taken > 1);
    let by_ramped = tell("learnt on with an attacker who ramps", &ramped.model);
    assert!(by_ramped <= by_clean, "who ramps buys nothing");

    for rate in [0.1, 0.4, 1.0] {
        let steady = attack.phase(0, until_s, Rate::Even { rate }, 1);
        let played = world.play(Some(&steady), 0, until_s);
        let there = learnt(&played.windows);
        let percent = 100.0 * share(&played);
        let what = format!("{rate}/s from the first second on, {percent:.0} % of the rows");
        let by_there = tell(&format!("learnt with {what}"), &there);
        let on = world.learn_on(&there, &played);
        println!(
            "  acted on after {:?} s; {} models taken, {} refused",
            on.acted_on_s, on.taken, on.refused
        );
        assert!(on.taken > 0);
        let by_on = tell("  and learnt on", &on.model);
        assert!(
            by_on <= by_there.min(by_clean + 1),
            "who was there first buys no more than before"
        );
    }
}

/// A day of the network's and some hours.
const A_DAY: u64 = 1_000;
/// Two and a half.
const DAYS: u64 = 1_900;

#[test]
fn a_guesser_who_is_there_while_a_node_learns_buys_nothing() {
    buys(ATTACKS[0], A_DAY);
}

#[test]
fn a_scanner_who_is_there_while_a_node_learns_buys_nothing() {
    buys(ATTACKS[1], A_DAY);
}

#[test]
#[ignore = "takes minutes: days of learning with an attacker there"]
fn in_days_neither_buys_more() {
    for attack in ATTACKS {
        buys(attack, DAYS);
    }
}
