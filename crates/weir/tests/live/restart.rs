//! A node that is restarted amid its clients: none of them is new to it, none is blocked, and an
//! attacker is as soon as ever.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use collector::{
    config::{Config, Mode},
    event::DecisionRecord,
    live::Live,
    node::{Journal, Node, NodeParts, RunFacts},
    pipeline::Pipeline,
    protected::own_addresses,
};
use engine::Detector;
use lab::{Lab, Sources};
use model::{Context, ModelFile};
use policy::{Policy, ProtectedHosts};

use crate::support::{Record, lab_or_skip, learn, open_or_skip, scenario, wait_for, watching};

const WINDOW: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_mins(1);
/// Windows of a run in which nothing but benign traffic is seen.
const CALM: usize = 20;

const SCENARIO: &str = r#"
name = "restart"
seed = 5
duration = "10m"
topology = { clients = 6, attackers = 1 }

[[benign]]
does = { kind = "web", port = 80, pause = "400ms" }

[[benign]]
does = { kind = "web", port = 443, pause = "600ms" }
clients = [0, 2, 4]

[[benign]]
does = { kind = "dns", pause = "700ms" }

[[benign]]
does = { kind = "interactive", pause = "300ms" }
clients = [1, 2]

[[attack]]
name = "scan"
does = { kind = "syn_scan", ports = [1, 4096], rate = 400 }
attacker = 0
duration = "90s"
"#;

/// A run of the node.
struct Run {
    pipeline: Pipeline,
    node: Arc<Node>,
    record: Record,
    /// What was told of the past.
    past: Option<String>,
}

impl Run {
    /// Starts with a context that knows nothing but what an earlier run kept.
    fn start(live: &Live, config: &Config, own: &[IpAddr], model: &ModelFile) -> Self {
        let facts = RunFacts { config: "c".into(), model: "m".into(), mode: "enforce" };
        let (journal, before) = Journal::open(&config.raw.ledger, &facts, 0).expect("a ledger");
        let own = ProtectedHosts::own(own.iter().copied());
        let parts = NodeParts {
            journal,
            config: Some((config.clone(), Box::new(|| anyhow::bail!("nobody reloads")))),
            ..NodeParts::new(
                Policy::new(config.policy.clone(), own),
                live.enforcer(config).expect("a blocklist"),
            )
        };
        let node = Arc::new(Node::new(parts));
        node.take_over_people().expect("nobody was allowed");
        node.reconcile(&before).expect("the kernel's tables");
        let mut detector = Detector::new(model.clone(), Context::of_windows(WINDOW), WINDOW);
        let past = node.take_up_past(&mut detector);
        let record = Record::default();
        let sinks: Vec<Box<dyn collector::sink::Sink>> = vec![Box::new(record.clone())];
        let pipeline = Pipeline::score(live.drain(), WINDOW, detector, Arc::clone(&node), sinks);
        Self { pipeline: pipeline.expect("threads"), node, record, past }
    }

    fn pass(&self, windows: usize) {
        let from = self.record.told().windows.len();
        wait_for("more windows", PATIENCE, || {
            assert!(!self.pipeline.has_failed(), "a stage ended");
            (self.record.told().windows.len() >= from + windows).then_some(())
        });
    }

    /// What was decided, in the order in which it was.
    fn stop(self) -> Vec<DecisionRecord> {
        self.pipeline.stop().expect("the last window is drained");
        self.node.stop("test");
        std::mem::take(&mut self.record.told().anomalies)
    }
}

#[test]
fn a_restarted_node_blocks_no_client_and_has_forgotten_none() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let own = lab.enter(lab.host(), own_addresses).expect("the host").expect("its addresses");
    let benign = lab.start_benign(&scenario).expect("clients");
    let (model, _) = learn(&live, WINDOW, Duration::from_secs(30));
    live.drain_once().expect("what came during the fit");

    let first = Run::start(&live, &config, &own, &model);
    assert_eq!(first.past, None, "there was no run before");
    first.pass(CALM);
    assert_no_entry(&lab, &first.stop());

    let second = Run::start(&live, &config, &own, &model);
    let told = second.past.clone().expect("there was a run before");
    assert!(told.starts_with("goes on from what was known 0 s ago"), "{told}");
    let attack = lab.start_attack(scenario.attack("scan").expect("it is there")).expect("it runs");
    let Sources::Real { address } = *attack.sources() else { panic!("one source") };
    // Within the windows in which a fresh start only looks on.
    let blocked = wait_for("a block", PATIENCE, || {
        let told = second.record.told();
        let mut its = told.anomalies.iter().filter(|one| one.peer() == address);
        its.find(|one| one.outcome.made_entry()).map(|one| one.window)
    });
    println!("blocked in window {blocked} of the second run");
    attack.finish().expect("its truth");
    second.pass(CALM);
    let decided = second.stop();
    let warming = decided.iter().filter(|one| one.refusal == Some(policy::Refusal::WarmingUp));
    assert_eq!(warming.count(), 0, "nothing warms up");
    let others: Vec<_> = decided.iter().filter(|one| one.peer() != address).cloned().collect();
    assert_no_entry(&lab, &others);
    let clients = benign.finish().expect("clients");
    let failed: u64 = clients.iter().map(|client| client.total.failed).sum();
    let attempted: u64 = clients.iter().map(|client| client.total.attempted).sum();
    assert!(attempted > 200 && failed == 0, "{failed} of {attempted} benign requests failed");

    // One that was damaged is told and not taken up; nobody is blocked meanwhile.
    let path = folder.path().join("past.weir");
    let mut bytes = std::fs::read(&path).expect("what was kept");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("a file");
    let third = Run::start(&live, &config, &own, &model);
    let told = third.past.clone().expect("there was a run before");
    assert!(told.contains("past.weir`: it is damaged; nobody is blocked for"), "{told}");
    third.stop();
    drop(live);
    lab.remove().expect("the lab is gone");
}

fn config(folder: &Path) -> Config {
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.capture.window = WINDOW;
    raw.ledger.path = folder.join("ledger.db");
    raw.check().expect("a valid configuration")
}

#[track_caller]
fn assert_no_entry(lab: &Lab, decided: &[DecisionRecord]) {
    let made = decided.iter().filter(|one| one.outcome.made_entry());
    let made: Vec<_> = made.map(|one| (one.peer(), &one.reasons)).collect();
    assert!(made.is_empty(), "of {} clients: {made:?}", lab.clients().len());
}
