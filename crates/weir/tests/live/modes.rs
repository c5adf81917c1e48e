//! The kernel's own tables after each change of the mode, and after a restart in another one.

use std::{net::IpAddr, path::Path, time::Duration};

use collector::{
    clock::boot_ns,
    config::{Config, Mode},
    enforcer::GuardView,
    event::{WindowEvent, window_event},
    live::Live,
    node::{AssessedWindow, Journal, Node, NodeParts, RunFacts},
};
use control::{
    Node as _, Who,
    wire::{BlockRequest, HeldBlocks, ModeRequest, Origin},
};
use datapath::{Service, Target};
use engine::Assessed;
use flows_common::Action;
use policy::{Evidence, Policy, ProtectedHosts, Standing, WindowFacts};

use crate::support::{lab_or_skip, open_or_skip, scenario, watching};

const SECOND: u64 = 1_000_000_000;
const STRANGER: u8 = 100;
const BY_HAND: u8 = 150;
const WEB: policy::Service = policy::Service { protocol: 6, port: 80 };

fn peer(last: u8) -> IpAddr {
    IpAddr::from([203, 0, 113, last])
}

/// A client in a network of its own.
fn client(number: u8) -> IpAddr {
    IpAddr::from([100, 64, number, 1])
}

fn evidence(address: IpAddr, is_attack: bool) -> Evidence {
    Evidence {
        address,
        p_value: if is_attack { 0.001 } else { 0.5 },
        conditional_p_value: if is_attack { 0.001 } else { 0.5 },
        peer_score: 0.8,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise: if is_attack { 9.0 } else { 0.0 },
        packets: 100,
        bytes: 6_000,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: None,
    }
}

fn attackers(lasts: impl IntoIterator<Item = u8>) -> Vec<Evidence> {
    lasts.into_iter().map(|last| evidence(peer(last), true)).collect()
}

/// So many sources, each of which sent one packet to the web server and proved nothing.
fn flood(sources: u32) -> Vec<Evidence> {
    let source = |number: u32| Evidence {
        standing: Standing::Unproven,
        packets: 1,
        service: Some(WEB),
        ..evidence(IpAddr::from((0xC633_6400 + number).to_be_bytes()), false)
    };
    (0..sources).map(source).collect()
}

/// A node on the real tables.
struct Stage<'a> {
    live: &'a Live,
    node: Node,
    windows: u64,
}

impl<'a> Stage<'a> {
    fn new(live: &'a Live, config: &Config, ledger: &Path) -> Self {
        let mut raw = config.raw.ledger.clone();
        ledger.clone_into(&mut raw.path);
        let facts = RunFacts { config: "c".into(), model: "m".into(), mode: "enforce" };
        let (journal, before) = Journal::open(&raw, &facts, 0).expect("a ledger");
        let policy = Policy::new(config.policy.clone(), ProtectedHosts::default());
        let parts = NodeParts {
            journal,
            guard: Some(GuardView::new(live.blocklist().clone())),
            ..NodeParts::new(policy, live.enforcer(config).expect("the tables"))
        };
        let node = Node::new(parts);
        node.take_over_people().expect("nothing was allowed");
        node.reconcile(&before).expect("the tables");
        Self { live, node, windows: 0 }
    }

    fn decide(&mut self, evidence: Vec<Evidence>) {
        self.decide_at(evidence, 0);
    }

    /// Decides on a window that ends so much later than now.
    fn decide_at(&mut self, evidence: Vec<Evidence>, later_ns: u64) {
        self.windows += 1;
        let end_ns = boot_ns() + later_ns;
        let counted = model::Window { start_ns: end_ns - SECOND, end_ns, ..Default::default() };
        let summary = WindowEvent { peers: evidence.len(), ..window_event(self.windows, &counted) };
        let facts = WindowFacts { start_ns: end_ns - SECOND, end_ns, ..WindowFacts::default() };
        let assessed = Assessed { number: self.windows, facts, evidence, ..Assessed::default() };
        drop(self.node.decide(AssessedWindow { summary, assessed, model: None }));
    }

    fn go_to(&self, mode: Mode, confirm_within_s: Option<u64>) {
        let request = ModeRequest { mode, confirm_within_s };
        self.node.set_mode(&somebody(), &request).expect("a guard");
    }

    fn block_by_hand(&self) {
        let request = BlockRequest {
            target: peer(BY_HAND).into(),
            action: Action::Drop,
            pps: None,
            for_s: None,
            reason: None,
            list: None,
            force: false,
        };
        self.node.block(&somebody(), &request).expect("room");
    }

    /// What the kernel holds of the stranger, of the person's block and of the service, and that
    /// the status tells the same.
    #[track_caller]
    fn holds(&self, stranger: Action, by_hand: Action, service: Option<Action>) {
        let blocklist = self.live.blocklist();
        let entry = |last| {
            let entry = blocklist.get(&Target::address(peer(last))).expect("the table");
            Action::from_code(entry.expect("it is blocked").action)
        };
        assert_eq!((entry(STRANGER), entry(BY_HAND)), (Some(stranger), Some(by_hand)));
        let web = Service { protocol: WEB.protocol, port: WEB.port };
        let limit = blocklist.service(web).expect("the table");
        assert_eq!(limit.and_then(|limit| Action::from_code(limit.action)), service);
        for one in blocklist.list().expect("the table") {
            let only_shadows = one.entry.action == Action::Shadow.code();
            let may_drop = stranger == Action::Drop || one.target == Target::address(peer(BY_HAND));
            assert!(only_shadows || may_drop, "{one:?} drops");
        }
    }

    /// The counts of the status.
    fn held(&self) -> Vec<HeldBlocks> {
        self.node.status().expect("a status").held
    }
}

fn somebody() -> Who {
    Who::Local { uid: 0, gid: 0, pid: Some(1), user: Some("root".into()) }
}

#[test]
fn the_kernel_does_what_the_mode_says_after_each_change_of_it() {
    let scenario = scenario(
        "name = \"modes\"\nduration = \"10s\"\ntopology = { clients = 1, attackers = 0 }\n",
    );
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.policy.expert.flood_baseline = Duration::ZERO;
    raw.policy.expert.flood_sources = 20;
    raw.tables.blocks = 1_024;
    let config = raw.clone().check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger.db");
    let (drop_it, shadow) = (Action::Drop, Action::Shadow);

    let mut stage = Stage::new(&live, &config, &ledger);
    for _ in 0..5 {
        stage.decide((1..=10).map(|number| evidence(client(number), false)).collect());
    }
    stage.decide(attackers([STRANGER]));
    stage.block_by_hand();
    stage.decide(flood(200));
    let limited = Some(Action::RateLimit);
    stage.holds(drop_it, drop_it, limited);
    let of = |origin, drop, shadow| HeldBlocks { origin, list: None, drop, rate_limit: 0, shadow };
    assert_eq!(stage.held(), [of(Origin::Model, 1, 0), of(Origin::Person, 1, 0)]);

    // Ten ordinary peers at once: the breaker opens behind the first of them.
    stage.decide((1..=10).map(|number| evidence(client(number), true)).collect());
    stage.holds(shadow, drop_it, Some(shadow));
    let held = stage.held();
    assert_eq!(held, [of(Origin::Model, 0, 3), of(Origin::Person, 1, 0)]);
    stage.node.rearm(&somebody()).expect("it is open");
    stage.decide(attackers([STRANGER]));
    stage.holds(drop_it, drop_it, Some(shadow));

    stage.go_to(Mode::Shadow, None);
    stage.holds(shadow, drop_it, Some(shadow));
    // A trial that nobody confirms, and one that somebody does.
    stage.go_to(Mode::Enforce, Some(30));
    stage.decide(attackers([STRANGER]));
    stage.decide(flood(200));
    stage.holds(drop_it, drop_it, limited);
    stage.decide_at(Vec::new(), 31 * SECOND);
    stage.holds(shadow, drop_it, Some(shadow));
    stage.go_to(Mode::Enforce, Some(300));
    stage.decide_at(attackers([STRANGER]), 32 * SECOND);
    stage.node.confirm(&somebody()).expect("it waits");
    stage.holds(drop_it, drop_it, Some(shadow));

    // A restart in another mode, and one that enforces again.
    stage.node.stop("test");
    let mut other = raw.clone();
    other.policy.mode = Mode::Shadow;
    let other = other.check().expect("a valid configuration");
    let stage = Stage::new(&live, &other, &ledger);
    stage.holds(shadow, drop_it, Some(shadow));
    stage.node.stop("test");
    let mut stage = Stage::new(&live, &config, &ledger);
    stage.decide(attackers([STRANGER]));
    stage.holds(drop_it, drop_it, Some(shadow));
}

#[test]
fn a_host_that_takes_address_after_address_is_blocked_by_its_64() {
    let scenario = scenario(
        "name = \"host\"\nduration = \"10s\"\ntopology = { clients = 1, attackers = 0 }\n",
    );
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.tables.blocks = 1_024;
    let config = raw.check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut stage = Stage::new(&live, &config, &folder.path().join("ledger.db"));
    let host = IpAddr::from(std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 7, 0, 0, 0, 0));
    stage.decide(vec![evidence(host, true)]);
    let target = Target::from(events::Prefix::of_host(host).net());
    let entry = live.blocklist().get(&target).expect("a look").expect("a block of the /64");
    assert_eq!(entry.action, Action::Drop.code());
    assert_eq!(live.blocklist().get(&Target::address(host)).expect("a look"), None);
    let blocks = stage.node.blocks(&control::wire::BlockQuery::default()).expect("a list").items;
    assert_eq!(blocks[0].target.to_string(), "2001:db8:1:7::/64");
}
