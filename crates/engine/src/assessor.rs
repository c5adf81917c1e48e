//! Assessor: the rows of a window and the facts of its peers, as evidence per peer.
//!
//! Measures and their combination are [`model::assess`]'s; this module answers the policy's
//! questions: the service and facts of each peer, the drift of benign traffic, and the facts of the
//! window. Rows of live windows and rows of stored tables take the same way.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use flows_common::parse::{ICMP, ICMPV6, TCP, UDP};
use model::{
    CALIBRATION_ROWS, Feature, Horizon, Horizons, Kind, LocalService, ModelFile, Outage, PeerFacts,
    PeerFeature, Span,
    assess::{EntityAssessment, assess},
};
use policy::{
    Evidence, Reason, Service, Standing, WindowFacts,
    statistics::{Basis, Drift, HeldOut},
};

use crate::drift::DriftSensor;
use crate::peer_rows::PeerRows;
use crate::sites::SiteEvidence;

/// Features that lead an explanation.
const LEADING: usize = 3;

/// Peers of one window that are explained at most, the most anomalous first. Of unproven ones anybody
/// makes up as many as he likes: they neither buy time with explanations nor leave others without.
const EXPLAINED: usize = 256;
const EXPLAINED_UNPROVEN: usize = 32;

/// ICMP packets a second of one remote that need no other evidence than that they are odd: several times
/// what a program for echo requests sends unless it is run as root.
const ICMP_FLOOD: f32 = 20.0;

/// Part of its flows and two that failed ([`PeerFeature::RemoteFailedRatio`]) from which on a remote asks
/// in vain: half of four, nine in twenty of twenty.
const IN_VAIN: f32 = 0.4;

/// Questions alike a second, by datagrams, from which on they are a flood, answered or not.
const ASKED_PER_S: f32 = 50.0;

/// Times from which on failing where one is served otherwise, or repeating oneself, is abuse: three. One
/// question that nobody answers is chance, and two requests alike within a second are a page.
const SEVERAL: f32 = 2.5;

/// Requests alike of a proven remote that is answered, from which on to repeat them is abuse: so many a
/// second, and so many in a row of whatever length. Twenty log-ins at once are somebody's work.
const ALIKE_PER_S: f32 = 2.5;
const ALIKE: f32 = 24.0;

/// Draws which p-values the drift watch bets on.
const DRIFT_SEED: u64 = 0;

/// Facts of a window's arrival, which its counters do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The machine was suspended while the window ran.
    pub slept: bool,
    /// It is a capture's last: rows of horizons that are still open come with it.
    pub last: bool,
}

/// Evidence of one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessed {
    /// Number of the window, from 1.
    pub number: u64,
    /// Facts of the window that the policy goes by.
    pub facts: WindowFacts,
    /// Evidence per peer and standing, in their order.
    pub evidence: Vec<Evidence>,
    /// Why, for those of at least [`model::assess::UNUSUAL`] surprise, as far as they are few.
    pub reasons: HashMap<(IpAddr, Standing), Vec<Reason>>,
    /// Services of this host that failed their clients; what those met is in no row.
    pub outages: Vec<Outage>,
    /// Parts of the host's own side that are far out; none from tables, which a study is on.
    pub sites: Vec<SiteEvidence>,
    /// Drift of benign traffic against training.
    pub drift: Drift,
    /// Blocking is suspended from this window on, or not any more.
    pub drift_changed: bool,
}

/// A window that was joined with its past: from live packets, or read back from tables.
#[derive(Clone, Copy, Debug)]
pub struct WindowRows<'a> {
    /// When it began and ended.
    pub span: Span,
    /// It lost flows, peers or packets; see [`model::Window::is_lossy`].
    pub is_lossy: bool,
    /// Rows of peers that came with it.
    pub peers: &'a PeerRows,
}

/// Scores windows in their order, and watches them for drift.
pub struct Assessor {
    model: ModelFile,
    drift: DriftSensor,
    horizons: Horizons,
    /// Windows at the start in which nobody is blocked anew.
    warm_up: u64,
    number: u64,
    /// The model is learnt on.
    learning: bool,
}

impl std::fmt::Debug for Assessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assessor").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Assessor {
    /// An assessor of windows of a configured length, of which the first few are told as warming
    /// up.
    #[must_use]
    pub fn new(model: ModelFile, window: Duration, warm_up: u64) -> Self {
        let drift = DriftSensor::new(&model, DRIFT_SEED, false);
        let horizons = Horizons::of(window);
        Self { model, drift, horizons, warm_up, number: 0, learning: false }
    }

    /// Has drift ask for a model that is learnt anew before it suspends anything.
    pub(crate) fn learn_on(&mut self) {
        self.learning = true;
        self.drift = DriftSensor::new(&self.model, DRIFT_SEED, true);
    }

    /// Scores by another model from the next window on.
    pub(crate) fn replace_model(&mut self, model: ModelFile) {
        self.model = model;
        self.drift = DriftSensor::new(&self.model, DRIFT_SEED, self.learning);
    }

    /// Begins anew: what follows was joined with a past that was empty so many windows before.
    pub fn restart(&mut self, windows_before: u64) {
        self.drift = DriftSensor::new(&self.model, DRIFT_SEED, self.learning);
        self.number = windows_before;
    }

    /// Has windows up to this number be told as warming up.
    pub(crate) const fn wait(&mut self, warm_up: u64) {
        self.warm_up = warm_up;
    }

    /// The model it scores with.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    /// Scores the rows of peers that came with a window.
    ///
    /// # Panics
    /// As [`model::assess::assess`].
    pub fn assess(&mut self, window: WindowRows<'_>, arrival: Arrival) -> Assessed {
        let WindowRows { span, is_lossy, peers } = window;
        self.number += 1;
        let assessment =
            assess(self.model.detectors(), Kind::Peer, peers.rows(), peers.peers().len());
        let mut drift_changed = false;
        if !is_lossy {
            drift_changed = self.drift.take(&self.model, &assessment, peers);
        }
        let mut evidence: Vec<Evidence> = peers
            .peers()
            .iter()
            .zip(assessment.entities())
            .enumerate()
            .map(|(number, ((address, facts), assessed))| {
                let horizon = assessment.horizon(number);
                let row_packets = horizon.map_or(0, |horizon| peers.packets(number, horizon));
                Evidence { row_packets, ..evidence(*address, facts, *assessed, horizon) }
            })
            .collect();
        let mut reasons = HashMap::new();
        let (unproven, others): (Vec<usize>, Vec<usize>) = assessment
            .unusual()
            .into_iter()
            .partition(|&index| evidence[index].standing == Standing::Unproven);
        let others = others.into_iter().take(EXPLAINED);
        for index in others.chain(unproven.into_iter().take(EXPLAINED_UNPROVEN)) {
            let why = assessment.reasons(index);
            let peer = &evidence[index];
            let value = |feature: PeerFeature| {
                assessment.value(index, feature.name()).map_or(0.0, |value| feature.natural(value))
            };
            let replies = Replies {
                in_vain: value(PeerFeature::RemoteFailedRatio) >= IN_VAIN,
                complains: value(PeerFeature::EgressIcmp) > value(PeerFeature::IngressIcmp),
                failed: value(PeerFeature::RemoteFailed),
                empty: value(PeerFeature::RemoteEmpty),
                probed: value(PeerFeature::NewTargetsFailed) >= 0.5,
            };
            let is_more = |reason: &Reason| tells_of_more(reason, peer, replies);
            evidence[index].new_or_large = !why.iter().take(LEADING).any(is_more);
            reasons.insert(evidence[index].subject(), why);
        }
        let drift = self.drift.drift().clone();
        let facts = WindowFacts {
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            lossy: is_lossy,
            blind: false,
            interrupted: arrival.slept || self.horizons.is_overlong(span),
            drifting: drift.suspended,
            warming_up: self.number <= self.warm_up,
        };
        Assessed {
            number: self.number,
            facts,
            evidence,
            reasons,
            outages: Vec::new(),
            sites: Vec::new(),
            drift,
            drift_changed,
        }
    }
}

fn evidence(
    address: IpAddr,
    facts: &PeerFacts,
    assessed: EntityAssessment,
    horizon: Option<Horizon>,
) -> Evidence {
    let service = |LocalService { protocol, port }| Service { protocol, port };
    Evidence {
        address,
        p_value: assessed.p_value,
        conditional_p_value: assessed.conditional_p_value,
        peer_score: assessed.score,
        horizon_ms: horizon.map_or(0, Horizon::ms),
        tail_score: assessed.tail_score,
        surprise: assessed.surprise,
        standing: facts.standing,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: facts.flows,
        packets: facts.packets,
        bytes: facts.bytes,
        service: facts.service.map(service),
    }
}

/// Replies of this host to a peer.
#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    /// There are none to a large part of what it asks.
    in_vain: bool,
    /// They are ICMP messages, and more than the echoes of its own.
    complains: bool,
    /// Its flows that failed, and those that were empty.
    failed: f32,
    empty: f32,
    /// Of those that failed some were for what it had not tried before.
    probed: bool,
}

/// True of a feature that tells of more than a newcomer, or than a business that is as busy or as large
/// as it is: of a kind that is abuse. Openings are, where nobody completes them, datagrams, where the
/// host complains of them or they are for many ports, and ICMP, of which no business takes as much; of who
/// proved itself none is. The same datagram over and over is where nobody answers it: a resolver's clients
/// ask for the same names.
fn tells_of_more(reason: &Reason, peer: &Evidence, replies: Replies) -> bool {
    let Some(feature) = PeerFeature::from_name(&reason.feature) else { return false };
    let at = |protocol| peer.service.is_some_and(|service| service.protocol == protocol);
    let of = |protocol| at(protocol) && peer.standing == Standing::Unproven;
    let seconds = peer.horizon_ms.max(1) as f32 / 1e3;
    let asked = reason.value < ASKED_PER_S * seconds;
    let is_asking = feature == PeerFeature::Repetition && at(UDP) && asked && !replies.in_vain;
    let is_chance = match feature {
        PeerFeature::RemoteFailed | PeerFeature::RemoteFailedRatio => {
            replies.failed < SEVERAL && !replies.probed
        }
        PeerFeature::RemoteEmpty | PeerFeature::RemoteEmptyRatio => replies.empty < SEVERAL,
        PeerFeature::Repetition if peer.standing == Standing::Proven && !replies.in_vain => {
            reason.value < (ALIKE_PER_S * seconds).clamp(SEVERAL, ALIKE)
        }
        PeerFeature::Repetition => reason.value < SEVERAL,
        _ => false,
    };
    let is_rate = feature.is_rate() && of(TCP)
        || feature == PeerFeature::EgressIcmp && of(UDP) && replies.complains
        || feature == PeerFeature::Targets && of(UDP)
        || feature == PeerFeature::IngressIcmp
            && (of(ICMP) || of(ICMPV6))
            && reason.value >= ICMP_FLOOD * seconds;
    feature.may_act() && !is_chance && !is_asking || is_rate
}

/// Facts of a model file's calibration that the policy's claims rest on.
#[must_use]
pub fn basis(model: &ModelFile) -> Basis {
    let (peer, training) = (model.peer(), model.peer().training());
    let rows = (training.rows + training.held_out) as f64;
    let windows = training.facts.windows.filter(|windows| *windows > 0);
    Basis {
        held_out: HeldOut {
            scores: peer.calibration().held_out() as u64,
            tails: peer.tail_calibration().held_out() as u64,
        },
        peers_per_window: windows.map(|windows| rows / windows as f64),
        held_out_share: training.held_out as f64 / rows.max(1.0),
        most_rows: CALIBRATION_ROWS as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::tests::model;
    use crate::peer_rows::PeerRow;

    const SECOND: u64 = 1_000_000_000;

    /// A window of one peer, so long.
    fn assess(assessor: &mut Assessor, length_ns: u64, facts: PeerFacts) -> Assessed {
        assess_all(assessor, length_ns, &[(IpAddr::from([192, 0, 2, 7]), facts, 0.5)])
    }

    /// A window of these peers, with rows of one value.
    fn assess_all(
        assessor: &mut Assessor,
        length_ns: u64,
        peers: &[(IpAddr, PeerFacts, f32)],
    ) -> Assessed {
        let width = assessor.model().peer().inputs().width();
        let span = Span { start_ns: SECOND, end_ns: SECOND + length_ns };
        let horizon = assessor.model().window();
        let rows: Vec<_> = peers.iter().map(|(.., value)| vec![*value; width]).collect();
        let rows = peers.iter().zip(&rows).map(|(&(address, facts, _), row)| PeerRow {
            address,
            horizon,
            covers: span,
            is_lossy: false,
            facts,
            row,
        });
        let peers = PeerRows::of(span, rows);
        let rows = WindowRows { span, is_lossy: false, peers: &peers };
        assessor.assess(rows, Arrival::default())
    }

    #[test]
    fn evidence_has_the_facts_that_came_with_the_rows() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 0);
        let service = Some(LocalService { protocol: 6, port: 443 });
        let standing = Standing::Proven;
        let facts =
            PeerFacts { standing, flows: 2, packets: 9, bytes: 540, service, ..Default::default() };
        let found = assess(&mut assessor, SECOND, facts);
        let [one] = &found.evidence[..] else { panic!("one peer") };
        assert_eq!((one.standing, one.flows, one.packets, one.bytes), (standing, 2, 9, 540));
        assert_eq!(one.service, Some(Service { protocol: 6, port: 443 }));
        assert_eq!((one.address, one.horizon_ms), (IpAddr::from([192, 0, 2, 7]), 1_000));
    }

    #[test]
    fn a_forged_crowd_leaves_no_proven_peer_without_reasons() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 0);
        let odd = |last: u8, standing, value| {
            (IpAddr::from([203, 0, 113, last]), PeerFacts { standing, ..Default::default() }, value)
        };
        let mut peers: Vec<_> = (0..200).map(|last| odd(last, Standing::Unproven, 9e9)).collect();
        peers.push(odd(250, Standing::Proven, 9e6));
        let found = assess_all(&mut assessor, SECOND, &peers);
        assert!(found.evidence.iter().all(|one| one.surprise > 3.0));
        assert!(!found.reasons[&(IpAddr::from([203, 0, 113, 250]), Standing::Proven)].is_empty());
        assert_eq!(found.reasons.len(), EXPLAINED_UNPROVEN + 1);
    }

    #[test]
    fn a_restart_warms_up_again_as_far_as_its_past_is_empty() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 2);
        let mut warming = || assess(&mut assessor, SECOND, PeerFacts::default()).facts.warming_up;
        assert_eq!([warming(), warming(), warming()], [true, true, false]);
        assessor.restart(0);
        assert!(assess(&mut assessor, SECOND, PeerFacts::default()).facts.warming_up);
        assessor.restart(7);
        let found = assess(&mut assessor, SECOND, PeerFacts::default());
        assert_eq!((found.number, found.facts.warming_up), (8, false));
    }

    #[test]
    fn a_window_far_too_long_is_interrupted() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 0);
        let mut interrupted =
            |length| assess(&mut assessor, length, PeerFacts::default()).facts.interrupted;
        assert_eq!([3 * SECOND, 3 * SECOND + 1].map(&mut interrupted), [false, true]);
    }

    fn reason(feature: PeerFeature, value: f32) -> Reason {
        Reason {
            subject: policy::Subject::Peer,
            feature: feature.name().to_owned(),
            unit: String::new(),
            value,
            benign_low: 0.0,
            benign_high: 1.0,
            share: 1.0,
        }
    }

    #[test]
    fn twenty_requests_alike_over_a_longer_time_are_work_and_two_dozen_are_not() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 0);
        let service = Some(LocalService { protocol: TCP, port: 22 });
        let facts = PeerFacts { standing: Standing::Proven, service, ..PeerFacts::default() };
        let of_window = assess(&mut assessor, SECOND, facts).evidence.remove(0);
        let tells = |horizon_ms, times| {
            let peer = Evidence { horizon_ms, ..of_window.clone() };
            let reason = reason(PeerFeature::Repetition, times);
            tells_of_more(&reason, &peer, Replies::default())
        };
        assert_eq!([2.0, 3.0].map(|times| tells(1_000, times)), [false, true]);
        for horizon_ms in [10_000, 60_000, 600_000] {
            assert_eq!([20.0, 25.0].map(|times| tells(horizon_ms, times)), [false, true]);
        }
    }

    #[test]
    fn rates_tell_of_abuse_where_nobody_completes_them_and_questions_where_none_is_answered() {
        let mut assessor = Assessor::new(model(1), Duration::from_secs(1), 0);
        let of = |standing, protocol| {
            let service = Some(LocalService { protocol, port: 443 });
            PeerFacts { standing, service, ..PeerFacts::default() }
        };
        let mut tells_at = |replies, value, feature: PeerFeature, standing, protocol| {
            let assessed = assess(&mut assessor, SECOND, of(standing, protocol));
            tells_of_more(&reason(feature, value), &assessed.evidence[0], replies)
        };
        let (proven, unproven) = (Standing::Proven, Standing::Unproven);
        let echoes = Replies::default();
        let told =
            [(unproven, 1), (unproven, 58), (proven, 1), (unproven, 17)].map(|(standing, of)| {
                [19.0, 21.0]
                    .map(|rate| tells_at(echoes, rate, PeerFeature::IngressIcmp, standing, of))
            });
        let floods = [[false, true], [false, true], [false; 2], [false; 2]];
        assert_eq!(told, floods, "a flood of echoes");
        let mut tells_where =
            |replies, feature, standing, of| tells_at(replies, 9.0, feature, standing, of);
        let repeated = [(proven, TCP), (unproven, TCP), (proven, UDP), (unproven, UDP)];
        for (in_vain, told) in [(false, [true, true, false, false]), (true, [true; 4])] {
            let replies = Replies { in_vain, complains: true, ..Replies::default() };
            let repeats = |(standing, protocol)| {
                tells_where(replies, PeerFeature::Repetition, standing, protocol)
            };
            assert_eq!(repeated.map(repeats), told, "in vain: {in_vain}");
        }
        assert!(!tells_where(echoes, PeerFeature::EgressIcmp, unproven, UDP), "it pings");
        let failing = [PeerFeature::RemoteFailed, PeerFeature::RemoteFailedRatio];
        for (failed, probed, told) in [(1.0, false, false), (1.0, true, true), (3.0, false, true)] {
            let replies = Replies { failed, probed, ..echoes };
            let tells = failing.map(|feature| tells_where(replies, feature, proven, TCP));
            assert_eq!(tells, [told; 2], "{failed} {probed}");
        }
        let complains = Replies { complains: true, ..echoes };
        let mut tells =
            |feature, standing, protocol| tells_where(complains, feature, standing, protocol);
        for rate in PeerFeature::ALL.iter().copied().filter(|feature| feature.is_rate()) {
            let told = [(proven, TCP), (proven, UDP), (unproven, TCP), (unproven, UDP)]
                .map(|(standing, protocol)| tells(rate, standing, protocol));
            assert_eq!(told, [false, false, true, false], "{rate:?}");
        }
        for datagrams in [PeerFeature::EgressIcmp, PeerFeature::Targets] {
            assert!(tells(datagrams, unproven, UDP));
            assert!(!tells(datagrams, unproven, TCP) && !tells(datagrams, proven, UDP));
        }
        assert!(tells(PeerFeature::NewTargets, proven, TCP));
        assert!(!tells(PeerFeature::IngressBytes, unproven, TCP));
    }
}
