//! A made-up network, a model of it, and what detector and policy say of a strategy played in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Cursor,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use collector::config::RawConfig;
use engine::{Arrival, Detector, Judged, basis};
use lab::{Author, Stage, Strategy, Synthesis, Synthetic};
use linfa::ParamGuard as _;
use model::{Context, IsolationForest, ModelFile, Window};
use policy::{
    Mode, Notice, Outcome, Policy, ProtectedHosts, Refusal, Scope, Service, Standing,
    statistics::{PValues, Unsupported},
};
use replay::{CaptureReader, HomeNet, Replay, ReplayOptions};
use training::{BEYOND, Learner};

use crate::traffic::SECOND;

/// Seconds of benign traffic that are learnt from.
const LEARNT: u64 = 240;
/// Seconds of benign traffic between those and the stage: what is ordinary of floods takes a minute.
const AHEAD: u64 = 70;
/// Seconds in which strategies are played.
pub(super) const STAGE: u64 = 60;
/// Seconds before the stage that a strategy may begin in.
const EARLIER: u64 = 25;

/// The stage in a synthetic capture, in s since its beginning.
const BEGIN: u64 = LEARNT + AHEAD;

/// What counts as enough evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Decisions rest on what the calibration can tell, supported or not.
    Act,
    /// Only what the claimed rate supports is acted on.
    Supported,
}

impl Setting {
    pub(super) const ALL: [Self; 2] = [Self::Act, Self::Supported];

    pub(crate) fn policy(self, own: &BTreeSet<IpAddr>, model: &ModelFile) -> Policy {
        let mut raw = RawConfig::default();
        raw.policy.mode = Mode::Enforce;
        match self {
            Self::Act => raw.policy.unsupported = Unsupported::Act,
            // Minutes of calibration support no rate with those that hold for one calibration.
            Self::Supported => raw.policy.expert.p_values = PValues::Marginal,
        }
        let config = raw.check().expect("the defaults hold").policy;
        Policy::new(config, ProtectedHosts::own(own.iter().copied())).calibrated(&basis(model))
    }
}

/// A block that the policy decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blocked {
    pub(super) peer: IpAddr,
    pub(super) scope: Scope,
    /// Seconds after the stage's beginning.
    pub(super) at_s: i64,
}

/// Decisions on one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) blocks: Vec<Blocked>,
    pub(super) limits: Vec<(i64, Service)>,
    pub(super) notices: Vec<Notice>,
    /// Windows in which blocking was suspended for drift.
    pub(super) suspended: Vec<i64>,
    pub(super) refused: BTreeMap<IpAddr, BTreeMap<Refusal, Vec<i64>>>,
    /// Who proved to be somebody: no limit of a service holds them.
    pub(super) proven: BTreeSet<IpAddr>,
}

/// A network that strategies are played in.
pub(super) struct World {
    pub(super) seed: u64,
    stage: Stage,
    model: ModelFile,
    own: BTreeSet<IpAddr>,
    pub(super) benign: BTreeSet<IpAddr>,
    calm: Vec<Window>,
}

impl World {
    /// The network of a seed; none where it is too quiet to learn from.
    pub(super) fn of(seed: u64) -> Option<Self> {
        let duration = Duration::from_secs(BEGIN + STAGE);
        let amid = Synthesis { attack: None, seed, duration, frames: 2_000_000 };
        let capture = amid.make().expect("a capture");
        let own: BTreeSet<IpAddr> = capture.truth().host.iter().copied().collect();
        let clients = &capture.truth().clients;
        let mut benign = capture.senders(Author::Benign);
        benign.extend(clients);
        let benign: BTreeSet<IpAddr> =
            benign.into_iter().filter(|address| !own.contains(address)).map(host).collect();
        let calm = windows(&capture);
        let learnt = calm.partition_point(|window| window.start_ns < at(LEARNT));
        let model = learn(&calm[..learnt])?;
        let stage = amid.set().expect("a stage").since(Duration::from_secs(BEGIN - EARLIER));
        Some(Self { seed, stage, model, own, benign, calm })
    }

    /// Frames of a strategy, whose times are since the stage's beginning.
    pub(super) fn stage(&self, strategy: &Strategy) -> Synthetic {
        let mut strategy = strategy.clone();
        for phase in &mut strategy.phases {
            phase.start = phase.start.max(-(EARLIER as f64)) + BEGIN as f64;
        }
        self.stage.play(&strategy).expect("a sound strategy")
    }

    /// What is decided with these frames from [`EARLIER`] before the stage on.
    pub(super) fn told(&self, staged: Option<&Synthetic>, settings: &[Setting]) -> Vec<Told> {
        let from_ns = at(BEGIN - EARLIER);
        let staged = staged.map(windows);
        let (before, calm) =
            self.calm.split_at(self.calm.partition_point(|window| window.start_ns < from_ns));
        let played = staged.as_deref().unwrap_or(calm);
        let ahead = before.iter().filter(|window| window.start_ns >= at(LEARNT));
        let mut detector =
            Detector::new(self.model.clone(), Context::default(), Duration::from_secs(1));
        let mut each: Vec<(Policy, Told)> = settings
            .iter()
            .map(|setting| (setting.policy(&self.own, &self.model), Told::default()))
            .collect();
        for window in ahead.chain(played) {
            let found = detector.assess(window, Arrival::default());
            let at_s = (window.end_ns / SECOND).cast_signed() - (at(BEGIN) / SECOND).cast_signed();
            let proven = found.evidence.iter().filter(|one| one.standing == Standing::Proven);
            let proven: BTreeSet<IpAddr> = proven.map(|one| host(one.address)).collect();
            for (policy, told) in &mut each {
                told.proven.extend(&proven);
                told.take(at_s, engine::judge(policy, found.clone()));
            }
        }
        each.into_iter().map(|(_, told)| told).collect()
    }
}

impl Told {
    fn take(&mut self, at_s: i64, judged: Judged) {
        if judged.facts.drifting {
            self.suspended.push(at_s);
        }
        self.notices.extend(judged.verdicts.notices);
        self.limits.extend(judged.verdicts.services.iter().map(|limit| (at_s, limit.service)));
        for decision in judged.verdicts.peers {
            let peer = host(decision.evidence.address);
            match decision.outcome {
                Outcome::Block { scope, .. } => self.blocks.push(Blocked { peer, scope, at_s }),
                Outcome::Refused(refusal) => {
                    let of = self.refused.entry(peer).or_default();
                    of.entry(refusal).or_default().push(at_s);
                }
            }
        }
    }
}

/// The first address of the host that an address is taken for: itself, or its /64.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// So many seconds after the beginning of a synthetic capture, in ns since 1970.
const fn at(seconds: u64) -> u64 {
    (Synthesis::EPOCH.as_secs() + seconds) * SECOND
}

/// A model of these windows, if they hold enough.
pub(crate) fn learn(windows: &[Window]) -> Option<ModelFile> {
    let mut learner = Learner::default();
    for window in windows {
        learner.take(window);
    }
    let params = IsolationForest::params().beyond(BEYOND).check().expect("the defaults hold");
    learner.finish(&params, "2026-01-01T00:00:00Z").ok().map(|(model, _)| model)
}

/// The windows of a synthetic capture.
pub(crate) fn windows(synthetic: &Synthetic) -> Vec<Window> {
    let mut capture = Vec::new();
    synthetic.write(&mut capture, 262_144).expect("memory");
    let reader = CaptureReader::new(Cursor::new(capture), "synthetic").expect("a capture");
    let home = HomeNet::new(lab::HOME.map(|prefix| prefix.parse().expect("a prefix")));
    let replay = Replay::new(reader, ReplayOptions::default().home(home));
    replay.collect::<Result<_, _>>().expect("a whole capture")
}
