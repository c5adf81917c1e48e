//! The command line's client against a node.

use control::{
    ClientError, Who,
    wire::{
        Action, AlertQuery, AllowQuery, AllowRequest, BlockQuery, BlockRequest, DisallowRequest,
        IMPORT_BATCH, ImportEntry, ImportRequest, Kind, Mode, ModeRequest, Origin,
        UnblockAllRequest, UnblockRequest,
    },
};

use events::ActionTaken;

use crate::support::Bench;

fn block(target: &str) -> BlockRequest {
    BlockRequest {
        target: target.parse().unwrap(),
        action: Action::Drop,
        pps: None,
        for_s: Some(90),
        reason: Some("probes the mail server".into()),
        list: None,
        force: false,
    }
}

#[test]
fn a_change_reaches_the_node_with_the_one_who_asked() {
    let bench = Bench::new();
    let client = bench.client();
    let made = client.block(&block("192.0.2.200")).unwrap();
    assert_eq!((made.target.to_string().as_str(), made.left_s), ("192.0.2.200", 90));
    assert_eq!((made.origin, made.action), (Origin::Person, Action::Drop));
    let request =
        UnblockRequest { target: "192.0.2.200".parse().unwrap(), reason: Some("a & b=c".into()) };
    assert_eq!(client.unblock(&request).unwrap().target, made.target);

    let acts = bench.node.acts();
    let texts: Vec<&str> = acts.iter().map(|(_, act)| act.as_str()).collect();
    assert_eq!(texts, ["block 192.0.2.200", "unblock 192.0.2.200"]);
    let me = nix::unistd::getuid();
    let Who::Local { uid, pid, user, .. } = &acts[0].0 else { panic!("{acts:?}") };
    assert_eq!(*uid, me.as_raw());
    assert_eq!(*pid, i32::try_from(std::process::id()).ok());
    let name = nix::unistd::User::from_uid(me).unwrap().map(|user| user.name);
    assert_eq!(*user, name);
}

#[test]
fn a_whole_batch_of_a_list_goes_through_and_what_is_refused_is_told_by_its_place() {
    let bench = Bench::new();
    let client = bench.client();
    let office = "203.0.113.0/24".parse().unwrap();
    client.allow(&AllowRequest { prefix: office, for_s: None, note: None }).unwrap();
    let entry = |number: usize| ImportEntry {
        target: format!("2001:db8:ffff:ffff:ffff:ffff:ffff:{number:x}").parse().unwrap(),
        action: Some(Action::RateLimit),
        pps: Some(u32::MAX),
        for_s: Some(86_400),
    };
    let mut entries: Vec<ImportEntry> = (0..IMPORT_BATCH).map(entry).collect();
    entries[7].target = "203.0.113.9".parse().unwrap();
    let imported = client.import(&ImportRequest { entries, ..Default::default() }).unwrap();
    assert_eq!(imported.new, IMPORT_BATCH as u64 - 1);
    let refused: Vec<_> = imported.refused.iter().map(|one| (one.entry, &*one.code)).collect();
    assert_eq!(refused, [(7, "allowed")]);
    let entries = vec![entry(0); IMPORT_BATCH + 1];
    let error = client.import(&ImportRequest { entries, ..Default::default() }).unwrap_err();
    assert!(error.to_string().contains("at most 16384, got 16385"), "{error}");
}

#[test]
fn what_a_node_refuses_comes_back_as_it_said_it() {
    let bench = Bench::new();
    let client = bench.client();
    let request = UnblockRequest { target: "192.0.2.1".parse().unwrap(), reason: None };
    let Err(ClientError::Refused(refused)) = client.unblock(&request) else { panic!() };
    assert_eq!(refused.kind, Kind::NotFound);
    assert!(refused.text.contains("`192.0.2.1` is not blocked"), "{refused}");
    let wrong = BlockRequest { pps: Some(5), ..block("192.0.2.1") };
    let Err(ClientError::Refused(refused)) = client.block(&wrong) else { panic!() };
    assert_eq!(refused.kind, Kind::Invalid);
    assert_eq!(bench.node.acts(), []);
}

#[test]
fn lists_come_in_pages_that_lose_nothing() {
    let bench = Bench::new();
    let client = bench.client();
    let mut query = BlockQuery { limit: Some(3), ..BlockQuery::default() };
    let mut targets = Vec::new();
    loop {
        let page = client.blocks(&query).unwrap();
        assert!(page.items.len() <= 3);
        targets.extend(page.items.iter().map(|block| block.target.to_string()));
        let Some(next) = page.next else { break };
        query.after = Some(next.parse().unwrap());
    }
    assert_eq!(targets, ["192.0.2.7", "198.51.100.0/24", "203.0.113.9", "2001:db8:7::1"]);
    let by_model = BlockQuery { origin: Some(Origin::Model), ..BlockQuery::default() };
    assert_eq!(client.blocks(&by_model).unwrap().items.len(), 2);
}

#[test]
fn a_list_is_told_and_ended_by_its_name() {
    let bench = Bench::new();
    let client = bench.client();
    let list = Some("feeds".to_owned());
    for target in ["192.0.2.101", "192.0.2.102"] {
        client.block(&BlockRequest { list: list.clone(), ..block(target) }).unwrap();
    }
    let query = BlockQuery { list: list.clone(), ..BlockQuery::default() };
    assert_eq!(client.blocks(&query).unwrap().items.len(), 2);
    let request = UnblockAllRequest { list, reason: None };
    assert_eq!(client.unblock_all(&request).unwrap().ended, 2);
    assert_eq!(client.blocks(&BlockQuery::default()).unwrap().items.len(), 4);
    assert_eq!(client.unblock_all(&UnblockAllRequest::default()).unwrap().ended, 4);
    let refused = client.blocks(&BlockQuery { list: Some("a b".into()), ..query }).unwrap_err();
    assert!(refused.to_string().contains("`list` must be 1 to 64"), "{refused}");
}

#[test]
fn alerts_are_the_newest_first_and_are_followed_from_the_oldest() {
    let bench = Bench::new();
    let client = bench.client();
    let ids = |query: AlertQuery| {
        let page = client.alerts(&query).unwrap();
        page.items.iter().map(control::wire::Alert::id).collect::<Vec<_>>()
    };
    assert_eq!(ids(AlertQuery::default()), [3, 2, 1]);
    assert_eq!(ids(AlertQuery { limit: Some(2), before: Some(3), ..Default::default() }), [2, 1]);
    bench.node.alert("192.0.2.44", ActionTaken::Blocked);
    assert_eq!(ids(AlertQuery { after: Some(2), ..Default::default() }), [3, 4]);
    let peer = Some("192.0.2.44".parse().unwrap());
    assert_eq!(ids(AlertQuery { peer, ..Default::default() }), [4]);
    let since = Some("2026-11-28T19:00:41Z".parse().unwrap());
    assert_eq!(ids(AlertQuery { since, ..Default::default() }), [0; 0]);
}

#[test]
fn the_node_is_steered() {
    let bench = Bench::new();
    let client = bench.client();
    assert_eq!(client.confirm().unwrap().confirm, None);
    let Err(ClientError::Refused(refused)) = client.confirm() else { panic!() };
    assert_eq!(refused.kind, Kind::Conflict);
    let request = ModeRequest { mode: Mode::Enforce, confirm_within_s: Some(300) };
    let state = client.set_mode(&request).unwrap();
    assert_eq!((state.mode, state.confirm.unwrap().left_s), (Mode::Enforce, 300));
    bench.node.trip("61 blocks in a minute");
    assert!(client.status().unwrap().breaker.open);
    assert!(!client.rearm().unwrap().breaker.open);

    let prefix = "198.51.100.0/25".parse().unwrap();
    client.allow(&AllowRequest { prefix, for_s: None, note: Some("the office".into()) }).unwrap();
    let Err(ClientError::Refused(refused)) = client.block(&block("198.51.100.9")) else { panic!() };
    assert!(refused.text.contains("allowlist"), "{refused}");
    assert_eq!(client.reload().unwrap().allowed, 1);
    let listed = client.allowed(&AllowQuery::default()).unwrap();
    assert_eq!(listed.items[0].note.as_deref(), Some("the office"));
    client.disallow(&DisallowRequest { prefix }).unwrap();
    assert_eq!(client.allowed(&AllowQuery::default()).unwrap().items, []);
}

#[test]
fn a_client_that_is_too_fast_waits_and_is_served() {
    let limits = control::Limits {
        rate: control::Rate { per_second: 20, burst: 2 },
        ..control::Limits::default()
    };
    let bench = Bench::with(limits);
    let client = bench.client();
    for _ in 0..4 {
        client.status().expect("served in the end");
    }
}
