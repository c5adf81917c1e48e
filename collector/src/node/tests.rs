use std::{net::Ipv4Addr, path::Path, sync::Arc};

use control::{
    Node as _, Who,
    wire::{
        AlertQuery, AllowRequest, BlockQuery, BlockRequest, DisallowRequest, ImportRequest, Kind,
        Mode, ModeRequest, UnblockRequest,
    },
};
use flows_common::{Action, BlockEntry, BlockStats};
use ledger::{ActQuery, Ledger};
use policy::{Decision, Evidence, ProtectedHosts, ServiceLimit, Standing, WindowFacts};
use serde_json::json;

use super::*;
use crate::{
    clock::boot_ns,
    config::{RawConfig, RawLedger},
    enforcer::ListLoad,
    event::{ActionTaken, ExpiredEvent, window_event},
};
use datapath::{Attached, Block, BlockCount, Target};

const SECOND: u64 = 1_000_000_000;

/// An enforcer that notes what it is told, with a table in the place of the kernel's.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    acted: Vec<(IpAddr, u32)>,
    table: BTreeMap<Target, BlockEntry>,
    limit: Option<Action>,
    prolonged: Vec<(IpAddr, u64)>,
    known: Vec<IpAddr>,
    ends: Vec<ExpiredEvent>,
    blocked: Vec<Target>,
    allowed: BTreeSet<IpNet>,
    fails: bool,
    guards: bool,
}

impl Noted {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }

    /// What the table has of a peer.
    fn in_table(&self, peer: IpAddr) -> Option<Action> {
        Action::from_code(self.notes().table.get(&Target::address(peer))?.action)
    }
}

impl Enforcer for Noted {
    fn guards(&self) -> bool {
        self.notes().guards
    }

    fn block(&mut self, target: Target, block: &Block, _: u64) -> anyhow::Result<BlockEntry> {
        let mut notes = self.notes();
        notes.blocked.push(target);
        let action = block.action.action();
        let expires_ns = block.expires_ns;
        let entry = BlockEntry { action: action.code(), expires_ns, ..BlockEntry::default() };
        notes.table.insert(target, entry);
        Ok(entry)
    }

    fn unblock(
        &mut self,
        target: Target,
        _: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>> {
        Ok(self.notes().table.remove(&target).map(|entry| (entry, BlockStats::default())))
    }

    fn clear(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn load_list(&mut self, now_ns: u64, _: u32, _: u32) -> anyhow::Result<ListLoad> {
        let capacity = BlockCount { v4: 3, v6: 3, prefixes: 3 };
        Ok(ListLoad::dry_run(None, capacity, 0, now_ns)?)
    }

    fn allow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        anyhow::ensure!(!self.notes().fails, "no room");
        self.notes().allowed.insert(prefix);
        Ok(())
    }

    fn disallow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        self.notes().allowed.remove(&prefix);
        Ok(())
    }

    fn enforce(&mut self, decision: &Decision, number: u32, _: u64) -> anyhow::Result<ActionTaken> {
        let policy::Outcome::Block { action, expires_ns, .. } = decision.outcome else {
            return Ok(ActionTaken::Refused);
        };
        let mut notes = self.notes();
        anyhow::ensure!(!notes.fails, "no room");
        let address = decision.evidence.address;
        notes.acted.push((address, number));
        let entry = BlockEntry { action: action.code(), expires_ns, ..BlockEntry::default() };
        notes.table.insert(Target::address(address), entry);
        Ok(ActionTaken::of(action))
    }

    fn limit(&mut self, limit: &ServiceLimit, _: u64) -> anyhow::Result<ActionTaken> {
        self.notes().limit = Some(limit.action);
        Ok(ActionTaken::RateLimited)
    }

    fn exempt(&mut self, remotes: &[IpAddr], _: u64) -> anyhow::Result<()> {
        self.notes().known.extend(remotes);
        Ok(())
    }

    fn demote(&mut self, target: Target, _: u64) -> anyhow::Result<bool> {
        let mut notes = self.notes();
        anyhow::ensure!(!notes.fails, "no room");
        let Some(entry) = notes.table.get_mut(&target) else { return Ok(false) };
        let shadow = Action::Shadow.code();
        Ok(std::mem::replace(&mut entry.action, shadow) != shadow)
    }

    fn demote_limits(&mut self) -> anyhow::Result<()> {
        let mut notes = self.notes();
        notes.limit = notes.limit.map(|_| Action::Shadow);
        Ok(())
    }

    fn prolong(&mut self, peer: IpAddr, until_ns: u64, _: u64) -> anyhow::Result<bool> {
        self.notes().prolonged.push((peer, until_ns));
        Ok(true)
    }

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(std::mem::take(&mut self.notes().ends))
    }
}

fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

fn attacker(last: u8) -> Evidence {
    Evidence {
        address: peer(last),
        p_value: 0.001,
        conditional_p_value: 0.001,
        peer_score: 0.8,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise: 9.0,
        packets: 100,
        bytes: 6_000,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        flows: 3,
        service: None,
    }
}

/// A window that ends now, with these peers.
fn window(number: u64, evidence: Vec<Evidence>) -> AssessedWindow {
    let end_ns = boot_ns();
    let start_ns = end_ns - SECOND;
    let counted = model::Window { start_ns, end_ns, ..model::Window::default() };
    AssessedWindow {
        summary: WindowEvent { peers: evidence.len(), ..window_event(number, &counted) },
        assessed: Assessed {
            number,
            facts: WindowFacts { start_ns, end_ns, ..WindowFacts::default() },
            evidence,
            ..Assessed::default()
        },
        model: None,
    }
}

fn raw(folder: &Path) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.policy.mode = policy::Mode::Enforce;
    raw.policy.unsupported = policy::statistics::Unsupported::Act;
    raw.ledger = RawLedger { path: folder.join("ledger.db"), ..RawLedger::default() };
    raw
}

/// A node with a ledger in this folder, and what it was told to do.
fn node(folder: &Path) -> (Node, Noted) {
    node_with(folder, Noted::default())
}

fn node_with(folder: &Path, noted: Noted) -> (Node, Noted) {
    let config = raw(folder).check().unwrap();
    let facts = RunFacts { config: "c".into(), model: "m".into(), mode: "enforce" };
    let (journal, _) = Journal::open(&config.ledger, &facts, 0).unwrap();
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own([peer(200)]));
    let again = folder.to_owned();
    let parts = NodeParts {
        journal,
        config: Some((config, Box::new(move || Ok(reread(&again).check()?)))),
        ..NodeParts::new(policy, Box::new(noted.clone()))
    };
    let node = Node::new(parts);
    node.take_over_people().unwrap();
    (node, noted)
}

/// The configuration that a reload finds: other limits, and an allow file.
fn reread(folder: &Path) -> RawConfig {
    let mut raw = raw(folder);
    raw.policy.max_blocks = 7;
    raw.tables.flows = 128;
    raw.policy.allow_files = vec![folder.join("allow.txt")];
    raw
}

fn somebody() -> Who {
    Who::Local { uid: 0, gid: 0, pid: Some(1), user: Some("root".into()) }
}

#[test]
fn a_decision_is_done_told_and_recorded_under_one_number() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let events = node.decide(window(1, vec![attacker(1), attacker(200)]));
    assert!(matches!(&events[..], [Event::Anomaly(_), Event::Anomaly(_), Event::Window(_)]));
    assert_eq!(noted.notes().acted, [(peer(1), 1)]);
    let alerts = node.alerts(&AlertQuery::default()).unwrap().items;
    assert_eq!(alerts.len(), 2);
    let refused = alerts.iter().find(|alert| alert.peer() == peer(200)).unwrap();
    assert_eq!(refused.outcome, ActionTaken::Refused);
    assert_eq!(refused.refusal, Some(policy::Refusal::OwnAddress));
    assert_eq!(node.status().unwrap().refusals["own_address"], 1);

    noted.notes().ends.push(ExpiredEvent { dropped_packets: 42, ..ExpiredEvent::nothing(peer(1)) });
    node.decide(window(2, Vec::new()));
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let blocks = reader.blocks(&ledger::BlockQuery::default()).unwrap().rows;
    assert_eq!(blocks.len(), 1);
    let id = blocks[0].block.decision.unwrap();
    let recorded = reader.decision(id).unwrap().unwrap().record;
    // The same record wherever it is told: as an event, by the API, in the ledger.
    let told = events.iter().find_map(|event| match event {
        Event::Anomaly(record) if record.id == id => Some(record),
        _ => None,
    });
    let alert = alerts.iter().find(|alert| alert.id == id);
    assert_eq!((told, alert), (Some(&recorded), Some(&recorded)));
    assert_eq!(recorded.evidence, attacker(1));
    let mut event = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(event.as_object_mut().unwrap().remove("event"), Some("anomaly".into()));
    assert_eq!(event, serde_json::to_value(&recorded).unwrap());
    let ending = blocks[0].ending.as_ref().unwrap();
    assert_eq!((ending.how, ending.dropped_packets), (ledger::How::Expired, 42));
    assert!(reader.last_run().unwrap().unwrap().stop.is_some());
}

#[test]
fn every_field_of_a_record_survives_ledger_api_and_event() {
    let whole = json!({
        "id": 41, "time": "2026-11-28T19:00:00.000000123Z", "at_ns": 5_000_000_123_u64, "window": 7,
        "incident": {
            "id": 40, "change": "escalated", "opened": "2026-11-28T18:59:00Z", "windows": 3,
            "packets": 900, "bytes": 70_000, "blocks": 1
        },
        "peer": "2001:db8::7", "p_value": 0.000_8, "conditional_p_value": 0.001_234_567_890_123_4,
        "peer_score": 0.75, "horizon_ms": 1000, "tail_score": 12.5, "surprise": 0.3, "packets": 310,
        "bytes": 41_000, "standing": "proven", "flows": 12, "new_or_large": true, "failed_log_ins": 5,
        "service": { "protocol": 6, "port": 443 },
        "claim": {
            "rate": "1 in 10", "procedure": "online", "p_values": "marginal", "p_value": 0.000_8,
            "level": 0.001, "held_out": 2_400, "needed": 9_210, "supported": false
        },
        "outcome": "rate-limited", "action": "rate-limit", "scope": "unproven", "refusal": "own_address",
        "ttl_s": 600, "offence": 2, "early": true,
        "reasons": [{
            "subject": "flow", "feature": "packets", "unit": "packets", "value": 812.5,
            "benign_low": 0.5, "benign_high": 4.0, "share": 0.7
        }],
    });
    let schemas = &control::openapi()["components"]["schemas"];
    let parts = schemas["Alert"]["allOf"].as_array().unwrap().iter();
    for part in parts.chain([&schemas["Evidence"]]) {
        for field in part["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            assert!(whole.get(field).is_some(), "`{field}` is not in this test's record");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let record = serde_json::from_value(whole.clone()).unwrap();
    node.journal.put(vec![node.journal.decision(record, "")]);
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let recorded = reader.decision(41).unwrap().unwrap().record;
    assert_eq!(serde_json::to_value(&recorded).unwrap(), whole);
    let page = serde_json::to_string(&node.alerts(&AlertQuery::default()).unwrap()).unwrap();
    let page: control::wire::Page<control::wire::Alert> = serde_json::from_str(&page).unwrap();
    let [alert] = &page.items[..] else { panic!("{page:?}") };
    assert_eq!(serde_json::to_value(alert).unwrap(), whole);
    let line = serde_json::to_string(&Event::Anomaly(alert.clone())).unwrap();
    let Event::Anomaly(told) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
    assert_eq!(serde_json::to_value(told).unwrap(), whole);
}

#[test]
fn alerts_go_on_in_the_ledger_where_memory_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let windows = ALERTS_KEPT as u64 + 5;
    for number in 1..=windows {
        let [.., high, low] = number.to_be_bytes();
        let address = IpAddr::from([198, 18, high, low]);
        node.decide(window(number, vec![Evidence { address, surprise: 3.1, ..attacker(1) }]));
    }
    node.stop("test");
    let mut seen = Vec::new();
    let mut query = AlertQuery { limit: Some(300), ..AlertQuery::default() };
    loop {
        let page = node.alerts(&query).unwrap();
        seen.extend(page.items.iter().map(|alert| alert.id));
        let Some(next) = page.next else { break };
        query.before = Some(next.parse().unwrap());
    }
    assert_eq!(seen, (1..=windows).rev().collect::<Vec<_>>());
    let after = AlertQuery { after: Some(windows - 2), ..AlertQuery::default() };
    let newest: Vec<u64> =
        node.alerts(&after).unwrap().items.iter().map(|alert| alert.id).collect();
    assert_eq!(newest, [windows - 1, windows]);
}

#[test]
fn a_host_that_goes_on_is_one_incident_with_few_alerts_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let events: Vec<Event> =
        (1..=500).flat_map(|number| node.decide(window(number, vec![attacker(200)]))).collect();
    let told = events.iter().filter(|event| matches!(event, Event::Anomaly(_))).count();
    assert_eq!(told, 500, "for machines each window is an event");
    node.stop("test");
    let alerts = node.alerts(&AlertQuery::default()).unwrap().items;
    let incidents: Vec<(u64, u64)> = alerts
        .iter()
        .map(|alert| alert.incident.map(|incident| (incident.id, incident.windows)).unwrap())
        .collect();
    assert_eq!(incidents, [(1, 100), (1, 10), (1, 1)]);
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let recorded = reader.alerts(&ledger::AlertQuery::default()).unwrap().rows;
    assert_eq!(recorded.len(), 3);
}

#[test]
fn a_block_that_cannot_be_made_is_told_and_decided_again() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    noted.notes().fails = true;
    let events = node.decide(window(1, vec![attacker(1)]));
    let told = |event: &Event| match event {
        Event::Failure(failure) => Some(failure.error.clone()),
        _ => None,
    };
    assert_eq!(events.iter().find_map(told).as_deref(), Some("no room"));
    assert_eq!(node.status().unwrap().refusals["entry_failed"], 1);
    noted.notes().fails = false;
    node.decide(window(2, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
}

#[test]
fn nobody_is_blocked_while_everything_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    for number in 1..=2 {
        let mut early = window(number, vec![attacker(1)]);
        early.assessed.facts.warming_up = true;
        node.decide(early);
    }
    assert_eq!(noted.notes().acted, []);
    assert_eq!(node.status().unwrap().refusals["warming_up"], 2);
    node.decide(window(3, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
}

#[test]
fn a_trial_that_nobody_confirms_turns_its_blocks_to_shadow() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    // By the policy itself: the API refuses a node without a guard.
    node.inner().policy.set_mode(policy::Mode::Enforce, Some(boot_ns() + SECOND / 1_000));
    node.decide(window(1, vec![attacker(1)]));
    let mut late = window(2, Vec::new());
    late.assessed.facts.end_ns += SECOND;
    let events = node.decide(late);
    assert!(
        events.iter().any(|event| matches!(
            event,
            Event::Notice(notice) if matches!(notice.notice, policy::Notice::FellBack { .. })
        )),
        "{events:?}"
    );
    assert_eq!(noted.in_table(peer(1)), Some(Action::Shadow));
    assert_eq!(node.status().unwrap().mode, Mode::Shadow);
}

#[test]
fn a_confirmed_trial_lets_its_blocks_stand_for_their_length() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let error = node.confirm(&somebody()).unwrap_err();
    assert_eq!(error.kind, Kind::Conflict);
    let by_ns = boot_ns() + 60 * SECOND;
    node.inner().policy.set_mode(policy::Mode::Enforce, Some(by_ns));
    node.decide(window(1, vec![attacker(1)]));
    let state = node.confirm(&somebody()).unwrap();
    assert_eq!((state.mode, state.confirm), (Mode::Enforce, None));
    let prolonged = noted.notes().prolonged.clone();
    assert!(prolonged[0].0 == peer(1) && prolonged[0].1 > by_ns, "{prolonged:?}");
}

#[test]
fn a_node_without_a_guard_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    let mode = ModeRequest { mode: Mode::Enforce, confirm_within_s: None };
    let block = BlockRequest {
        target: peer(1).into(),
        action: control::wire::Action::Drop,
        pps: None,
        for_s: None,
        reason: None,
        list: None,
        force: false,
    };
    let unblock = UnblockRequest { target: peer(1).into(), reason: None };
    for error in [
        node.set_mode(&somebody(), &mode).unwrap_err(),
        node.block(&somebody(), &block).unwrap_err(),
        node.unblock(&somebody(), &unblock).unwrap_err(),
        node.import(&somebody(), &batch(None, &["203.0.113.1"], false)).unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::Conflict);
        assert!(error.text.contains("--mode shadow"), "{error}");
    }
    assert_eq!(node.blocks(&BlockQuery::default()).unwrap().items, []);
}

#[test]
fn what_a_person_allows_holds_is_recorded_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, noted) = node(folder.path());
    let prefix: ipnet::IpNet = "198.51.100.0/24".parse().unwrap();
    let request = AllowRequest { prefix: prefix.into(), for_s: None, note: Some("ours".into()) };
    first.allow(&somebody(), &request).unwrap();
    first.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted, []);
    assert_eq!(first.status().unwrap().refusals["allowed"], 1);
    first.stop("test");
    drop(first);

    let (second, noted) = node(folder.path());
    let listed = second.allowed(&control::wire::AllowQuery::default()).unwrap().items;
    let person = listed.iter().find(|one| one.prefix == prefix.into()).unwrap();
    assert_eq!((person.who.as_deref(), person.note.as_deref()), (Some("root"), Some("ours")));
    let own = DisallowRequest { prefix: peer(200).into() };
    assert_eq!(second.disallow(&somebody(), &own).unwrap_err().kind, Kind::Conflict);
    second.disallow(&somebody(), &DisallowRequest { prefix: prefix.into() }).unwrap();
    second.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1);
    second.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    let told: Vec<_> = acts.iter().map(|act| (&*act.what, &*act.who.name)).collect();
    assert_eq!(told, [("disallow", "root"), ("allow", "root")]);
}

#[test]
fn a_reload_takes_all_of_a_configuration_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let allow = folder.path().join("allow.txt");
    std::fs::write(&allow, "198.51.100.0/24\nnobody\n").unwrap();
    let error = node.reload(&somebody()).unwrap_err();
    assert!(error.kind == Kind::Invalid && error.text.contains("line 2"), "{error}");
    node.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted.len(), 1, "nothing of it holds");

    std::fs::write(&allow, "198.51.100.0/24\n").unwrap();
    let reloaded = node.reload(&somebody()).unwrap();
    assert_eq!(reloaded.changed, ["policy.allow_files", "policy.max_blocks"]);
    assert_eq!(reloaded.needs_restart, ["tables.flows"]);
    node.decide(window(2, vec![attacker(2)]));
    assert_eq!(node.status().unwrap().refusals["allowed"], 1);
    assert_eq!(node.status().unwrap().blocks.limit, 7);
}

#[test]
fn a_client_of_the_api_is_not_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    node.heard_from(peer(1));
    node.decide(window(1, vec![attacker(1)]));
    assert_eq!(noted.notes().acted, []);
    assert_eq!(node.status().unwrap().refusals["administrator"], 1);
}

#[test]
fn protected_hosts_are_not_forgotten_for_one_bad_look() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let seen = ProtectedHosts {
        gateways: [peer(1)].into(),
        resolvers: [peer(2)].into(),
        administrators: [peer(3)].into(),
        ..ProtectedHosts::own([peer(200), peer(201)])
    };
    node.take_hosts(seen);
    node.take_hosts(ProtectedHosts::default());
    assert_eq!(noted.notes().allowed, [peer(200), peer(201)].map(IpNet::from).into());
    node.decide(window(1, vec![attacker(1), attacker(2), attacker(3), attacker(200)]));
    let refusals = node.status().unwrap().refusals;
    assert_eq!((refusals["gateway"], refusals["resolver"], refusals["own_address"]), (1, 1, 1));
    assert!(!refusals.contains_key("administrator"), "who has logged out is nobody");
}

#[test]
fn a_node_is_ready_while_it_decides_watches_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _) = node(folder.path());
    assert!(node.ready().unwrap_err().text.contains("no window"));
    node.decide(window(1, Vec::new()));
    node.ready().unwrap();
    for (patterns, why) in
        [(&["eth0"][..], "`eth0` is not watched"), (&["eth*"], "no interface matches `eth*`")]
    {
        let names = patterns.iter().map(ToString::to_string).collect();
        node.inner().config.as_mut().unwrap().interfaces = names;
        assert!(node.ready().unwrap_err().text.contains(why), "{patterns:?}");
    }
    node.interfaces = Box::new(|| {
        let interface = datapath::InterfaceName::new("eth0").unwrap();
        let (tc, guard) = (datapath::TcHook::Tcx, datapath::GuardHook::Off);
        let (unseen, neighbours) = ([0, 7], Vec::new());
        let attached = vec![Attached { interface, ifindex: 2, tc, guard, unseen, neighbours }];
        Watched { attached, ..Watched::default() }
    });
    node.ready().unwrap();
    assert_eq!(node.status().unwrap().interfaces[0].unseen_packets, 7);

    // One that came and could not be watched; of one that no weir reads the status tells alone.
    for (by_type, is_ready) in [(true, true), (false, false)] {
        let watched = (node.interfaces)();
        let refused = datapath::Refused { why: "no room".to_owned(), by_type };
        let name = datapath::InterfaceName::new("eth1").unwrap();
        let watched = Watched { refused: [(name, refused)].into(), ..watched };
        node.interfaces = Box::new(move || watched.clone());
        assert_eq!(node.ready().is_ok(), is_ready);
        assert_eq!(node.status().unwrap().not_watched["eth1"], "no room");
    }
}

#[test]
fn remotes_that_proved_their_address_are_told_to_the_kernel_once_in_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let calm =
        |last| Evidence { p_value: 0.5, conditional_p_value: 0.5, surprise: 0.0, ..attacker(last) };
    let forged = Evidence { standing: Standing::Unproven, ..calm(2) };
    node.decide(window(1, vec![calm(1), forged]));
    node.decide(window(2, vec![calm(1), calm(3)]));
    assert_eq!(noted.notes().known, [peer(1), peer(3)]);
}

#[test]
fn the_metrics_have_one_prefix_and_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    node.decide(window(1, vec![attacker(1), attacker(200)]));
    let text = node.metrics();
    assert!(text.contains("weir_refusals_total{reason=\"own_address\"} 1\n"), "{text}");
    assert!(text.contains("weir_mode{mode=\"enforce\"} 1.0\n"), "{text}");
    // What `promtool check metrics` asks of names and declarations.
    let declared: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, kind) in &declared {
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for line in samples {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(declared.contains_key(name), "{line}");
        assert!(line.starts_with("weir_") && !line.contains("198.51.100"), "{line}");
    }
}

#[test]
fn what_is_allowed_passes_in_the_kernel_for_as_long_as_something_speaks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = node(folder.path());
    let (office, own) = ("203.0.113.0/24".parse::<IpNet>().unwrap(), IpNet::from(peer(200)));
    let request = AllowRequest { prefix: office.into(), for_s: None, note: None };
    noted.notes().fails = true;
    assert!(node.allow(&somebody(), &request).unwrap_err().text.contains("no room"));
    assert_eq!(node.inner().policy.protected().refusal(office), None, "all of it or nothing");
    noted.notes().fails = false;
    node.allow(&somebody(), &request).unwrap();
    std::fs::write(folder.path().join("allow.txt"), "203.0.113.0/24\n198.51.100.7\n").unwrap();
    node.reload(&somebody()).unwrap();
    assert_eq!(noted.notes().allowed, [own, office, peer(7).into()].into());
    node.disallow(&somebody(), &DisallowRequest { prefix: office.into() }).unwrap();
    assert!(noted.notes().allowed.contains(&office), "the file still speaks for it");
    std::fs::write(folder.path().join("allow.txt"), "").unwrap();
    node.reload(&somebody()).unwrap();
    assert_eq!(noted.notes().allowed, [own].into());
}

fn batch(load: Option<u64>, targets: &[&str], end: bool) -> ImportRequest {
    let targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    ImportRequest { load, end, targets, ..Default::default() }
}

#[test]
fn a_list_is_loaded_batch_after_batch_and_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::default();
    noted.notes().guards = true;
    let (node, _) = node_with(folder.path(), noted);
    let who = somebody();
    let first = node.import(&who, &batch(None, &["203.0.113.1", "198.51.100.200"], false)).unwrap();
    assert_eq!((first.new, first.refused.len(), first.for_s), (1, 1, 86_400));
    assert_eq!((first.refused[0].entry, &*first.refused[0].code), (1, "own_address"));
    let load = Some(first.load);
    let again = ["203.0.113.1", "203.0.113.2", "0.0.0.0/0"];
    let second = node.import(&who, &batch(load, &again, false)).unwrap();
    assert_eq!((second.new, second.repeated, second.load), (1, 1, first.load));
    assert_eq!(&*second.refused[0].code, "too_wide");
    let full = ["203.0.113.3", "203.0.113.4", "203.0.113.5"];
    let third = node.import(&who, &batch(load, &full, true)).unwrap();
    let stopped = third.stopped.unwrap();
    assert_eq!((third.new, stopped.entry), (1, 1), "there is room for three");
    assert!(stopped.text.contains("tables.blocks"), "{stopped:?}");
    let gone = node.import(&who, &batch(load, &[], false)).unwrap_err();
    assert_eq!(gone.kind, Kind::NotFound);
    let too_long = ImportRequest { for_s: Some(u64::MAX), ..batch(None, &[], false) };
    assert!(node.import(&who, &too_long).unwrap_err().text.contains("a year"));
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    assert_eq!(acts.len(), 1);
    let (what, arguments) = (&*acts[0].what, acts[0].arguments.to_string());
    assert_eq!(what, "import");
    assert!(arguments.contains("\"entries\":6") && arguments.contains("\"new\":3"), "{arguments}");
}

#[test]
fn a_load_that_nobody_goes_on_with_makes_room_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::default();
    noted.notes().guards = true;
    let (node, _) = node_with(folder.path(), noted);
    let begin = || node.import(&somebody(), &batch(None, &[], false));
    let loads: BTreeSet<u64> = (0..4).map(|_| begin().unwrap().load).collect();
    assert_eq!((loads.len(), begin().unwrap_err().kind), (4, Kind::Conflict));
    node.end_idle_loads();
    assert_eq!(begin().unwrap_err().kind, Kind::Conflict, "none is idle yet");
    for load in node.inner().loads.values_mut() {
        load.heard_ns = 0;
    }
    node.end_idle_loads();
    assert!(begin().is_ok());
}

mod learning;
mod mode;

#[test]
fn every_loss_of_a_window_is_in_the_status_and_the_metrics_by_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = node(folder.path());
    for number in 1..=2 {
        let mut lossy = window(number, Vec::new());
        let of = |counts: &[(&'static str, u64)]| {
            counts.iter().map(|&(cause, packets)| (cause.into(), packets)).collect()
        };
        lossy.summary.losses = of(&[("not_ip", 3), ("truncated_ipv4", 2)]);
        lossy.summary.not_ip = of(&[("arp", 2), ("other", 1)]);
        lossy.summary.evicted = [4, 9];
        lossy.summary.evicted_peers = 5;
        lossy.summary.imbalance = -1;
        node.decide(lossy);
    }
    let status = node.status().unwrap();
    let losses: Vec<(&str, u64)> =
        status.losses.iter().map(|(cause, &lost)| (cause.as_str(), lost)).collect();
    let expected = [
        ("evicted", 18),
        ("not_ip_arp", 4),
        ("not_ip_other", 2),
        ("truncated_ipv4", 4),
        ("unaccounted", 2),
    ];
    assert_eq!((losses.as_slice(), status.evicted_peers), (&expected[..], 10));
    let metrics = node.metrics();
    assert!(metrics.contains("weir_lost_packets_total{cause=\"not_ip_other\"} 2\n"), "{metrics}");
    assert!(metrics.contains("weir_evicted_peers_total{} 10\n"), "{metrics}");
}

#[test]
fn a_wall_clock_that_jumped_ahead_makes_no_record_old() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _) = node(folder.path());
    let now = journal::moment();
    // A run that began a year ago by what the clock says now, and a moment ago by the boot clock.
    node.journal.began(ledger::Moment { wall_ns: now.wall_ns - 365 * 86_400_000_000_000, ..now });
    node.journal.put(vec![
        ledger::Act {
            run: 1,
            at_ns: now.wall_ns - 364 * 86_400_000_000_000,
            who: ledger::Actor { uid: None, pid: None, name: "ada".into() },
            what: "block".into(),
            arguments: "{}".into(),
            outcome: "done".into(),
        }
        .into(),
    ]);
    node.journal.retain();
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    assert_eq!(reader.acts(&ActQuery::default()).unwrap().rows.len(), 1);
}
mod services;
