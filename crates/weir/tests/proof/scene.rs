//! The model that everything here is decided by, and what detector and policy say of windows.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use collector::{
    config::RawConfig,
    dry_run::Told,
    event::{ActionTaken, DecisionRecord, DriftEvent, Event, OutageEvent, ServiceEvent, SiteEvent},
};
use engine::{Arrival, Detector, basis, judge};
use lab::GroundTruth;
use linfa::ParamGuard as _;
use model::{Context, IsolationForest, ModelFile, Window};
use policy::{
    Mode, Notice, Policy, ProtectedHosts,
    statistics::{OnDrift, Unsupported},
};
use replay::{HomeNet, Replay, ReplayOptions};
use training::{BEYOND, Learner};

use crate::traffic;

/// Victims of the floods in others' captures: further addresses of the host.
const VICTIMS: [[u8; 4]; 4] =
    [[10, 10, 10, 10], [192, 168, 50, 4], [192, 168, 50, 1], [227, 213, 154, 241]];

/// Ground truth of the mixed capture.
pub(crate) static MIXED: LazyLock<GroundTruth> = LazyLock::new(|| {
    let path = traffic::own("mixed").with_extension("").with_extension("truth.json");
    GroundTruth::read(&path).expect("the mixed capture's truth")
});

/// The protected host's addresses.
pub(crate) fn own_addresses() -> BTreeSet<IpAddr> {
    MIXED.host.iter().copied().chain(VICTIMS.map(IpAddr::from)).collect()
}

/// Local addresses.
pub(crate) fn home() -> HomeNet {
    HomeNet::new(own_addresses().into_iter().map(Into::into))
}

/// The windows of captures, merged by time, of one second each.
pub(crate) fn windows(paths: &[PathBuf]) -> Vec<Window> {
    let options = ReplayOptions::default().home(home());
    let replay = Replay::open_all(paths, options).expect("captures");
    replay.collect::<Result<_, _>>().expect("a whole capture")
}

/// Model learnt from the training capture.
pub(crate) fn model() -> &'static ModelFile {
    static MODEL: OnceLock<ModelFile> = OnceLock::new();
    MODEL.get_or_init(|| learnt_from(&windows(&[traffic::own("benign-train")])))
}

/// Model learnt from these windows.
pub(crate) fn learnt_from(windows: &[Window]) -> ModelFile {
    let mut learner = Learner::default();
    for window in windows {
        learner.take(window);
    }
    let params = IsolationForest::params().beyond(BEYOND).check().expect("the defaults hold");
    learner.finish(&params, "2026-01-01T00:00:00Z").expect("enough to learn from").0
}

/// Events, by kind.
#[derive(Debug, Default)]
pub(crate) struct RunOutcome {
    pub(crate) anomalies: Vec<DecisionRecord>,
    pub(crate) services: Vec<ServiceEvent>,
    pub(crate) outages: Vec<OutageEvent>,
    pub(crate) sites: Vec<SiteEvent>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) drifts: Vec<DriftEvent>,
}

impl RunOutcome {
    /// The addresses that would be blocked.
    pub(crate) fn blocked(&self) -> BTreeSet<IpAddr> {
        self.anomalies
            .iter()
            .filter(|anomaly| anomaly.outcome == ActionTaken::WouldBlock)
            .map(DecisionRecord::peer)
            .collect()
    }

    /// The addresses that were reported.
    pub(crate) fn reported(&self) -> BTreeSet<IpAddr> {
        self.anomalies.iter().map(DecisionRecord::peer).collect()
    }
}

/// A setting of the default policy that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    unsupported: Unsupported,
    drift: OnDrift,
}

/// The defaults; blocks also where the calibration is too small for the rate; and also where the
/// traffic has drifted away from the training.
pub(crate) const SETTINGS: [Setting; 3] = [
    Setting { name: "defaults", unsupported: Unsupported::Refuse, drift: OnDrift::Suspend },
    Setting { name: "act", unsupported: Unsupported::Act, drift: OnDrift::Suspend },
    Setting { name: "act, report", unsupported: Unsupported::Act, drift: OnDrift::Report },
];

/// The default policy but for these, calibrated by the model.
pub(crate) fn policy(mode: Mode, setting: Setting) -> Policy {
    policy_of(model(), mode, setting)
}

fn policy_of(model: &ModelFile, mode: Mode, setting: Setting) -> Policy {
    let mut raw = RawConfig::default();
    raw.policy.mode = mode;
    raw.policy.unsupported = setting.unsupported;
    raw.policy.drift = setting.drift;
    let config = raw.check().expect("the defaults hold").policy;
    Policy::new(config, ProtectedHosts::own(own_addresses())).calibrated(&basis(model))
}

/// Events of each setting for the windows in observe mode, as a replay emits them; the
/// windows are scored once for all.
pub(crate) fn dry_run(windows: &[Window]) -> [RunOutcome; 3] {
    dry_run_by(model(), windows)
}

/// The same by another model.
pub(crate) fn dry_run_by(model: &ModelFile, windows: &[Window]) -> [RunOutcome; 3] {
    let mut detector = Detector::new(model.clone(), Context::default(), Duration::from_secs(1));
    let policy = |setting| policy_of(model, Mode::Observe, setting);
    let mut each =
        SETTINGS.map(|setting| (policy(setting), Told::default(), RunOutcome::default()));
    for window in windows {
        let found = detector.assess(window, Arrival::default());
        for (policy, all, told) in &mut each {
            let judged = judge(policy, found.clone());
            all.take(judged, |event| {
                match event {
                    Event::Closed(_) => {}
                    Event::Outage(event) => told.outages.push(event),
                    Event::Site(event) => told.sites.push(event),
                    Event::Drift(event) => told.drifts.push(event),
                    Event::Notice(event) => told.notices.push(event.notice),
                    Event::Service(event) => told.services.push(event),
                    Event::Anomaly(record) => told.anomalies.push(record),
                    other => unreachable!("a dry run tells no {other:?}"),
                }
                Ok(())
            })
            .expect("nothing here fails");
        }
    }
    each.map(|(.., told)| told)
}
