//! Support of the end-to-end tests: a lab with weir's kernel side inside, or a counted skip; the
//! interfaces' counters; a pipeline's events; waiting for conditions.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use collector::{
    config::{Config, Mode, RawConfig},
    event::{
        DecisionRecord, Event, ExpiredEvent, FailureEvent, NoticeEvent, ServiceEvent, WindowEvent,
    },
    live::Live,
    node::{Node as WeirNode, NodeParts},
    pipeline::Pipeline,
    protected::own_addresses,
    sink::{Sink, SinkError},
};
use datapath::KernelError;
use engine::{Arrival, Detector};
use lab::{Lab, Node, Scenario};
use linfa::ParamGuard as _;
use model::{Context, IsolationForest, ModelFile, Window};
use policy::{
    Policy, ProtectedHosts,
    statistics::{PValues, Unsupported},
};
use training::{BEYOND, Learner};

/// Polling interval for conditions.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Attempts to find a moment without traffic in the lab.
const REST_ATTEMPTS: u32 = 200;

/// A scenario written in a test.
pub(crate) fn scenario(text: &str) -> Scenario {
    Scenario::parse("the test's scenario", text).expect("a valid scenario")
}

/// The scenario's lab, its interfaces without offloads so that each frame passes them as it would
/// pass a wire; none where the machine cannot hold a lab, and the test is then counted as skipped.
#[track_caller]
pub(crate) fn lab_or_skip(scenario: &Scenario) -> Option<Lab> {
    let topology = lab::Topology { offloads: false, ..scenario.topology.clone() };
    match Lab::build(&topology) {
        Ok(lab) => Some(lab),
        Err(error) if error.is_unavailable() => {
            test_support::skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// weir's kernel side inside the lab's host; none where the kernel cannot load it, and the test
/// is then counted as skipped.
#[track_caller]
pub(crate) fn open_or_skip(lab: &Lab, config: &Config) -> Option<Live> {
    let opened = lab.enter(lab.host(), || Live::open(config)).expect("the host's namespace");
    match opened {
        Ok(live) => Some(live),
        Err(error) => match error.downcast_ref::<KernelError>() {
            Some(KernelError::MissingCapability { .. } | KernelError::Rejected { .. }) => {
                test_support::skip(&error.to_string());
                None
            }
            _ => panic!("{error:#}"),
        },
    }
}

/// The host's interfaces watched in a mode, nothing pinned, other keys at their defaults.
pub(crate) fn watching(interfaces: &[&str], mode: Mode) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.capture.interfaces = interfaces.iter().map(ToString::to_string).collect();
    raw.policy.mode = mode;
    // A test learns for seconds: no rate is supported for one calibration by itself.
    raw.policy.expert.p_values = PValues::Marginal;
    raw.policy.unsupported = Unsupported::Act;
    raw.guard.persist = false;
    raw
}

/// Waits for something to come about, and returns it.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "no {what} within {} s", limit.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}

/// Frames that a member's interface has counted, in and out.
pub(crate) fn interface_frames(lab: &Lab, node: &Node, interface: &str) -> [u64; 2] {
    let table = lab
        .enter(node, || std::fs::read_to_string("/proc/thread-self/net/dev"))
        .expect("the member's namespace")
        .expect("procfs");
    let counts: Vec<u64> = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))
        .expect("the interface is listed")
        .split_whitespace()
        .map(|word| word.parse().expect("a count"))
        .collect();
    // proc_net(5): eight columns of what was received, then those of what was sent.
    [counts[1], counts[9]]
}

/// Frames counted by the host's interfaces together, in and out, at a moment when weir had counted
/// exactly as many: no frame passed while a window was drained. That window goes to `take`.
#[track_caller]
pub(crate) fn frames_at_rest(lab: &Lab, live: &Live, mut take: impl FnMut(&Window)) -> [u64; 2] {
    let count = || {
        lab.host().interfaces.iter().fold([0; 2], |sum: [u64; 2], link| {
            let one = interface_frames(lab, lab.host(), &link.name);
            [sum[0] + one[0], sum[1] + one[1]]
        })
    };
    for _ in 0..REST_ATTEMPTS {
        let counted = count();
        take(&live.drain_once().expect("a window"));
        if count() == counted {
            return counted;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the lab's traffic does not come to rest")
}

/// Learns from as many windows as this time holds, and fits both models.
#[track_caller]
pub(crate) fn learn(live: &Live, window: Duration, length: Duration) -> (ModelFile, Context) {
    let (done, learnt) = mpsc::channel();
    let mut learner = Learner::of_windows(window);
    let wanted = length.as_nanos().div_ceil(window.as_nanos());
    let mut taken = 0;
    let pipeline = Pipeline::feed(live.drain(), window, move |next| {
        learner.take(&next.window);
        taken += 1;
        if taken == wanted {
            let _ = done.send(std::mem::take(&mut learner));
        }
        Ok(())
    })
    .expect("threads");
    let learner = learnt.recv_timeout(2 * length + Duration::from_mins(1)).expect("a learner");
    pipeline.stop().expect("the last window is drained");
    println!("{:?}", learner.learnt());
    let params = IsolationForest::params().beyond(BEYOND).check().expect("valid parameters");
    learner.finish(&params, "2026-01-01T00:00:00Z").expect("enough rows")
}

/// Events of a pipeline, shared between its sink and the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Mutex<Told>>);

/// Events so far, in order.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) windows: Vec<WindowEvent>,
    pub(crate) anomalies: Vec<DecisionRecord>,
    pub(crate) expired: Vec<ExpiredEvent>,
    pub(crate) failures: Vec<FailureEvent>,
    pub(crate) services: Vec<ServiceEvent>,
    pub(crate) notices: Vec<NoticeEvent>,
}

impl Record {
    /// Looks at it; nothing new is taken meanwhile.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Record {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        let mut told = self.told();
        match event.clone() {
            Event::Window(window) => told.windows.push(window),
            Event::Anomaly(anomaly) => told.anomalies.push(anomaly),
            Event::Expired(expired) => told.expired.push(expired),
            Event::Failure(failure) => told.failures.push(failure),
            Event::Service(limit) => told.services.push(limit),
            Event::Notice(notice) => told.notices.push(notice),
            Event::Outage(_)
            | Event::Site(_)
            | Event::Closed(_)
            | Event::Drift(_)
            | Event::Model(_)
            | Event::Act(_)
            | Event::Difference(_)
            | Event::Other => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A node that enforces in the lab, with a model of its benign traffic.
pub(crate) struct Watch {
    pub(crate) pipeline: Pipeline,
    pub(crate) record: Record,
}

impl Watch {
    /// Benign traffic that is learnt from.
    const LEARN: Duration = Duration::from_secs(20);
    /// Longest wait for windows.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Learns, and then enforces in windows of a length; from these addresses somebody administers the
    /// host.
    #[track_caller]
    pub(crate) fn begin(
        lab: &Lab,
        live: &Live,
        window: Duration,
        administrators: &[IpAddr],
    ) -> Self {
        let (model, context) = learn(live, window, Self::LEARN);
        let mut detector = Detector::new(model, context, window);
        // What was counted during the fit is a window of odd length: part of the past, not scored.
        detector.assess(&live.drain_once().expect("a window"), Arrival::default());
        let mut raw = watching(&["eth0"], Mode::Enforce);
        raw.capture.window = window;
        raw.policy.expert.flood_baseline = Duration::from_secs(1);
        let config = raw.check().expect("a valid configuration");
        let own = lab.enter(lab.host(), own_addresses).expect("the host").expect("its addresses");
        let administrators = administrators.iter().copied().collect();
        let hosts = ProtectedHosts { administrators, ..ProtectedHosts::own(own) };
        let policy = Policy::new(config.policy.clone(), hosts);
        let enforcer = live.enforcer(&config).expect("an empty blocklist");
        let node = Arc::new(WeirNode::new(NodeParts::new(policy, enforcer)));
        let record = Record::default();
        let sinks: Vec<Box<dyn Sink>> = vec![Box::new(record.clone())];
        let pipeline =
            Pipeline::score(live.drain(), window, detector, node, sinks).expect("threads");
        let begun = Self { pipeline, record };
        begun.pass(3);
        begun
    }

    /// Waits for so many more windows.
    #[track_caller]
    pub(crate) fn pass(&self, windows: usize) {
        let from = self.record.told().windows.len();
        wait_for("more windows", Self::PATIENCE, || {
            assert!(!self.pipeline.has_failed(), "a stage ended");
            (self.record.told().windows.len() >= from + windows).then_some(())
        });
    }
}
