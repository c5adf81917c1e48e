//! Made-up traffic: scores of benign peers and their flows, calibrated as a model's are.

use std::net::{IpAddr, Ipv4Addr};

use model::{Calibration, assess::simes, sample::Draws};
use weir_policy::{
    Evidence, PolicyConfig, Standing, ValidPolicy, WindowFacts,
    statistics::{Basis, HeldOut, Selector},
};

/// Flows of each peer.
const FLOWS: usize = 3;
/// Correlation between the flows of a peer, between a peer and its flows, and between the windows
/// of a peer: the most that a benign peer resembles itself.
pub(crate) const LIKENESS: f64 = 0.7;
/// Distance of a true anomaly's scores from benign ones, in standard deviations.
const FAR: f64 = 8.0;

/// A network with one calibration. Scores are standard normal where they are benign.
pub(crate) struct World {
    peer: Calibration,
    flow: Calibration,
    draws: Draws,
    /// Lasting part of each benign peer's scores, and its weight.
    lasting: Vec<f64>,
    likeness: f64,
}

/// Outcome of one window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Benign peers called anomalous.
    pub(crate) wrong: usize,
    /// Peers called anomalous.
    pub(crate) all: usize,
}

impl World {
    /// A network of this many benign peers, each with a little of itself in every window.
    pub(crate) fn new(seed: u64, held_out: usize, peers: usize, likeness: f64) -> Self {
        let mut draws = Draws::new(seed, 0);
        let mut scores = |count| (0..count).map(|_| draws.normal() as f32).collect();
        let peer = Calibration::new(scores(held_out)).expect("enough scores");
        let flow = Calibration::new(scores(held_out)).expect("enough scores");
        let lasting = (0..peers).map(|_| draws.normal()).collect();
        Self { peer, flow, draws, lasting, likeness }
    }

    /// Other benign peers come.
    pub(crate) fn change_peers(&mut self) {
        for one in &mut self.lasting {
            *one = self.draws.normal();
        }
    }

    /// The next window: every benign peer, and so many true anomalies.
    pub(crate) fn window(&mut self, anomalies: usize) -> Vec<Evidence> {
        let benign: Vec<f64> = self.lasting.clone();
        let mut peers: Vec<Evidence> = Vec::with_capacity(benign.len() + anomalies);
        for lasting in benign {
            peers.push(self.peer(peers.len(), lasting, self.likeness, 0.0));
        }
        for _ in 0..anomalies {
            peers.push(self.peer(peers.len(), 0.0, 0.0, FAR));
        }
        peers
    }

    /// A benign score that is shifted: its conditional p-value.
    pub(crate) fn shifted_p(&mut self, shift: f64) -> f64 {
        let score = self.draws.normal() + shift;
        self.peer.p_value(score as f32).conditional
    }

    fn peer(&mut self, number: usize, lasting: f64, likeness: f64, shift: f64) -> Evidence {
        let own = (1.0 - likeness * likeness).sqrt();
        let mut score = || (likeness * lasting + own * self.draws.normal() + shift) as f32;
        let of_peer = self.peer.p_value(score());
        let flows: [_; FLOWS] = std::array::from_fn(|_| self.flow.p_value(score()));
        let together =
            |of_peer: f64, mut of_flows: [f64; FLOWS]| simes(&mut [of_peer, simes(&mut of_flows)]);
        let number = u8::try_from(number).expect("few peers");
        Evidence {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
            p_value: together(of_peer.marginal, flows.map(|one| one.marginal)),
            conditional_p_value: together(of_peer.conditional, flows.map(|one| one.conditional)),
            peer_score: 0.5,
            horizon_ms: 1_000,
            tail_score: 12.5,
            surprise: 9.0,
            packets: 10,
            bytes: 1_000,
            standing: Standing::Proven,
            new_or_large: false,
            failed_log_ins: 0,
            log_ins_alike: 0,
            row_packets: 0,
            flows: 1,
            service: None,
        }
    }

    /// Rows behind its calibrations.
    pub(crate) fn basis(&self) -> Basis {
        Basis { held_out: HeldOut::each(self.peer.held_out() as u64), ..Basis::default() }
    }
}

/// A configuration as written, with changes.
pub(crate) fn config(change: impl FnOnce(&mut PolicyConfig)) -> ValidPolicy {
    let mut raw = PolicyConfig::default();
    change(&mut raw);
    raw.check(1_000).expect("a valid configuration")
}

/// Peers called anomalous with the rate claimed; the last `anomalies` peers truly are.
pub(crate) fn judge(
    selector: &mut Selector,
    evidence: &[Evidence],
    anomalies: usize,
    end_ns: u64,
    length_ns: u64,
) -> Outcome {
    let window = WindowFacts {
        start_ns: end_ns.saturating_sub(length_ns),
        ..WindowFacts::ending_at(end_ns)
    };
    let selection = selector.look(evidence, &window);
    let benign = evidence.len() - anomalies;
    let mut outcome = Outcome::default();
    for (index, peer) in evidence.iter().enumerate() {
        if selection.claim(peer).is_some_and(|claim| claim.supported) {
            outcome.all += 1;
            outcome.wrong += usize::from(index < benign);
        }
    }
    outcome
}

/// Mean, and its standard error.
pub(crate) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}
