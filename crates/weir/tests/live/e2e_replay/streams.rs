//! Decisions of a running node, a replay and an experiment agree: they share the path from a window
//! to decisions.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use collector::{
    config::RawConfig,
    dry_run::{DryRun, Told},
    enforcer::Observe,
    event::Event,
    node::{Node, NodeParts},
    pipeline::Pipeline,
    sink::{Sink, SinkError},
};
use dataset::Label;
use engine::{Arrival, Detector, Engine, Judged};
use events::Drift;
use experiment::{effect::Effect, stream::Stream};
use linfa::ParamGuard as _;
use model::{
    Channel, Context, Feature, IsolationForest, Kind, ModelFile, PeerFeature, Window, schema,
};
use policy::{Policy, ProtectedHosts, statistics::Unsupported};
use replay::{Replay, ReplayOptions};
use serde_json::{Value, json};
use training::{BEYOND, FeatureChoice, Method, Plan, SampledRows, train};

use super::{
    compare::tolerance,
    watched::{self, Watched},
};

/// Windows that are decided on: in the first ones nobody is blocked anew.
const WINDOWS: usize = 6;
/// Traffic of each.
const WINDOW: Duration = Duration::from_secs(2);

const SCENARIO: &str = r#"
    name = "live-and-decided"
    duration = "2m"
    topology = { clients = 3, attackers = 3 }
    benign = [
        { does = { kind = "web", port = 80, pause = "50ms" } },
        { does = { kind = "dns", pause = "50ms" } },
    ]
    attack = [
        { name = "scan", does = { kind = "syn_scan", ports = [1, 60_000], rate = 200 }, attacker = 0, duration = "90s" },
        { name = "udp", does = { kind = "udp_flood", rate = 200 }, attacker = 1, family = "v6", duration = "90s" },
        { name = "scan-v6", does = { kind = "syn_scan", ports = [1, 60_000], rate = 50 }, attacker = 2, family = "v6", duration = "90s" },
    ]
"#;

/// Fields that are about the kernel: the moment at which a decision was carried out, the place of a
/// window on its clock, how long it took, drains put off, and frames, of which TCP hands egress
/// fewer and larger ones than go out.
const OF_THE_KERNEL: [&str; 7] =
    ["at_ns", "time", "start_ns", "end_ns", "decided_after_us", "late", "frames"];

/// The events as JSON, without what is about the kernel.
fn stripped(events: &[Event]) -> Vec<Value> {
    let strip = |event| {
        let mut value = serde_json::to_value(event).expect("events are JSON");
        let fields = value.as_object_mut().expect("an event is an object");
        for name in OF_THE_KERNEL {
            fields.remove(name);
        }
        if let Some(incident) = fields.get_mut("incident").and_then(Value::as_object_mut) {
            incident.remove("opened");
        }
        // A frame of neither side's address (ARP, neighbour discovery) has a direction live only.
        if let Some(packets) = fields.get_mut("packets").filter(|one| one.is_array()) {
            *packets = packets
                .as_array()
                .expect("two")
                .iter()
                .filter_map(Value::as_u64)
                .sum::<u64>()
                .into();
        }
        value
    };
    events.iter().map(strip).collect()
}

/// A model that reads no feature computed from times, which capture and kernel stamp by two
/// clocks: so that a score is the same to the bit.
fn timeless_model() -> ModelFile {
    let timed = PeerFeature::scored().map(Feature::name);
    let timed = timed.filter(|name| tolerance(name, 1.0).is_some()).map(str::to_owned).collect();
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training-data/benign-train.pcap.zst");
    let (mut context, mut number) = (Context::of_windows(WINDOW), 0);
    let window = context.horizons().window();
    let mut peers = SampledRows::new(PeerFeature::scored().count());
    let options = ReplayOptions::default().window(WINDOW);
    for one in Replay::open(path, options).expect("the training capture") {
        let seen = context.observe(&one.expect("whole"));
        number += 1;
        if number > model::WARM_UP {
            let rows = seen.peers.iter().filter(|row| row.horizon == window);
            peers.extend(number, &PeerFeature::rows(rows));
        }
    }
    let params = IsolationForest::params().beyond(BEYOND).check().expect("the defaults hold");
    let mut plan = Plan::new(Method::Forest(params));
    plan.features = FeatureChoice { without: timed, ..FeatureChoice::default() };
    let trained = train(&peers, &schema::schema_id(Kind::Peer), &plan).expect("enough rows");
    let channel = Channel::new(Kind::Peer, window);
    ModelFile::new([(channel, trained.detector)], "2026-01-01T00:00:00Z").expect("one file")
}

fn policy(model: &ModelFile) -> Policy {
    let mut raw = RawConfig::default();
    // Clients that ask twenty times a second are odd as well, and by datagrams, which prove nobody.
    raw.policy.expert.max_unverified_sources = 64;
    // The training capture supports no rate by itself.
    raw.policy.unsupported = Unsupported::Act;
    let config = raw.check().expect("the defaults hold").policy;
    Policy::new(config, ProtectedHosts::default()).calibrated(&engine::basis(model))
}

fn detector(model: &ModelFile) -> Detector {
    Detector::new(model.clone(), Context::of_windows(WINDOW), WINDOW)
}

/// Keeps every event, in order.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Event>>>);

impl Sink for Kept {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The events of a running node over these windows of the kernel's.
fn told_live(model: &ModelFile, windows: Vec<Window>) -> Vec<Event> {
    let kept = Kept::default();
    let node = Arc::new(Node::new(NodeParts::new(policy(model), Box::new(Observe))));
    let (next, drained) = mpsc::channel::<Window>();
    for window in windows {
        next.send(window).expect("the drain listens");
    }
    drop(next);
    // Behind the last one come empty ones until the pipeline is stopped.
    let (all, gone) = mpsc::channel();
    let drain = move || {
        let next = drained.recv();
        if next.is_err() {
            let _ = all.send(());
        }
        Ok(next.unwrap_or_default())
    };
    let sinks: Vec<Box<dyn Sink>> = vec![Box::new(kept.clone())];
    let tick = Duration::from_millis(50);
    let pipeline = Pipeline::score(drain, tick, detector(model), node, sinks).expect("threads");
    gone.recv().expect("the drain goes on");
    pipeline.stop().expect("no stage fails");
    let mut events = kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let ends: Vec<usize> =
        (0..events.len()).filter(|&place| matches!(events[place], Event::Window(_))).collect();
    events.truncate(ends[WINDOWS - 1] + 1);
    events
}

fn told_by_replay(model: &ModelFile, windows: &[Window]) -> Vec<Event> {
    let mut dry_run = DryRun::new(Engine::new(detector(model), policy(model)));
    let mut events = Vec::new();
    for window in windows {
        let tell = |event| {
            events.push(event);
            Ok(())
        };
        dry_run.take(window, false, tell).expect("nothing here fails");
    }
    events
}

/// The events of an experiment with one setting: its own policy's decisions on the stream that was
/// scored once.
fn told_by_experiment(model: &ModelFile, windows: &[Window]) -> Vec<Event> {
    let mut detector = detector(model);
    let mut stream = Stream::default();
    for window in windows {
        let found = detector.assess(window, Arrival::default());
        let peers = detector.observed().peers.iter();
        let peers = peers.map(|peer| (peer.counts.facts.first_packet_ns, Label::Unlabelled));
        stream.push_assessed(found, peers).expect("few");
    }
    let mut events = Vec::new();
    let (mut number, mut told) = (0, Told::default());
    let effect = Effect::watched(&stream, policy(model), |facts, verdicts| {
        number += 1;
        let judged = Judged {
            number,
            facts: *facts,
            peers: 0,
            drift: Drift::default(),
            drift_changed: false,
            verdicts: verdicts.clone(),
            sites: Vec::new(),
            reasons: HashMap::new(),
        };
        let tell = |event| {
            events.push(event);
            Ok(())
        };
        told.take(judged, tell).expect("nothing here fails");
    });
    assert!(!effect.blocks.is_empty(), "the setting blocks somebody");
    events
}

/// Live frames on veth through a running node, and their capture through a replay with the same
/// model and configuration, give the same events, but for [`OF_THE_KERNEL`]; and an experiment with
/// that one setting decides the same.
#[test]
fn a_node_a_replay_and_an_experiment_tell_the_same_events() {
    let Some(watched) = Watched::start(SCENARIO) else { return };
    let (live, replayed, capture) = watched.live_and_replayed(WINDOWS, WINDOW);

    let model = timeless_model();
    let told = stripped(&told_live(&model, live));
    let again = stripped(&told_by_replay(&model, &replayed));
    for (place, (one, other)) in told.iter().zip(&again).enumerate() {
        assert_eq!(one, other, "event {place}");
    }
    assert_eq!(told.len(), again.len());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for one in &told {
        let kind = format!("{} {} {}", one["event"], one["outcome"], one["refusal"]);
        *kinds.entry(kind).or_default() += 1;
    }
    println!("{kinds:#?}");
    let count = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert!(count(r#""anomaly" "would-block" null"#) >= 2, "{kinds:#?}");
    assert!(count(r#""anomaly" "refused" "warming_up""#) >= 2, "{kinds:#?}");

    let decided: Vec<Value> = again
        .into_iter()
        .filter(|one| one["event"] != json!("window") && one["event"] != json!("drift"))
        .map(|mut one| {
            one.as_object_mut().expect("an object").insert("reasons".to_owned(), json!([]));
            one
        })
        .collect();
    let mut tried = stripped(&told_by_experiment(&model, &replayed));
    for one in &mut tried {
        one.as_object_mut().expect("an object").insert("reasons".to_owned(), json!([]));
    }
    assert_eq!(tried, decided);
    watched::remove(capture);
}
