//! The table after each change of the mode.

use super::*;

/// Windows in which ten peers behave, so that they are ordinary.
const CALM: u64 = 5;

/// A client in a network of its own, anomalous beyond doubt.
fn turned(number: u8) -> Evidence {
    Evidence { address: IpAddr::from([100, 64, number, 1]), ..attacker(number) }
}

fn calm(number: u8) -> Evidence {
    Evidence { p_value: 0.5, conditional_p_value: 0.5, surprise: 0.0, ..turned(number) }
}

/// A node that guards, with ten ordinary peers, a stranger that it drops and a person's block.
fn dropping(folder: &Path) -> (Node, Noted) {
    let noted = Noted::default();
    noted.notes().guards = true;
    let (node, noted) = node_with(folder, noted);
    for number in 1..=CALM {
        node.decide(window(number, (1..=10).map(calm).collect()));
    }
    node.decide(window(CALM + 1, vec![attacker(100)]));
    let by_hand = BlockRequest {
        target: peer(150).into(),
        action: Action::Drop,
        pps: None,
        for_s: None,
        reason: None,
        list: None,
        force: false,
    };
    node.block(&somebody(), &by_hand).unwrap();
    assert_eq!(entries(&noted), [Some(Action::Drop), Some(Action::Drop)]);
    (node, noted)
}

/// The entries of the stranger and of the person's block.
fn entries(noted: &Noted) -> [Option<Action>; 2] {
    [100, 150].map(|last| noted.in_table(peer(last)))
}

fn go_to(node: &Node, mode: Mode) {
    node.set_mode(&somebody(), &ModeRequest { mode, confirm_within_s: None }).unwrap();
}

const ONLY_PEOPLE: [Option<Action>; 2] = [Some(Action::Shadow), Some(Action::Drop)];
const BOTH: [Option<Action>; 2] = [Some(Action::Drop); 2];

#[test]
fn an_open_breaker_drops_nothing_of_the_models_whenever_it_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = dropping(folder.path());
    noted.notes().limit = Some(Action::RateLimit);
    let events = node.decide(window(CALM + 2, (1..=10).map(turned).collect()));
    assert!(node.status().unwrap().breaker.open);
    assert_eq!(entries(&noted), ONLY_PEOPLE);
    assert_eq!(noted.notes().limit, Some(Action::Shadow), "services are no longer limited");
    let table: Vec<Action> =
        noted.notes().table.values().filter_map(|one| Action::from_code(one.action)).collect();
    let drops = table.iter().filter(|&&action| action != Action::Shadow).count();
    assert_eq!(drops, 1, "the person's: {table:?}");
    let told = events.iter().filter(
        |event| matches!(event, Event::Anomaly(one) if one.outcome == ActionTaken::Shadowed),
    );
    assert_eq!(told.count(), 2, "what is told is what the table has: {events:?}");

    node.rearm(&somebody()).unwrap();
    node.decide(window(CALM + 3, vec![attacker(100)]));
    assert_eq!(entries(&noted), BOTH, "decided anew");
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let of_peer = ledger::BlockQuery { target: Some(peer(100).into()), ..Default::default() };
    let blocks = reader.blocks(&of_peer).unwrap().rows;
    let story: Vec<_> = blocks
        .iter()
        .map(|one| (one.block.action, one.ending.as_ref().map(|end| end.how)))
        .collect();
    let expect = [
        (Action::Drop, None),
        (Action::Shadow, Some(ledger::How::Replaced)),
        (Action::Drop, Some(ledger::How::FellBack)),
    ];
    assert_eq!(story, expect);
}

#[test]
fn each_mode_that_people_set_is_what_the_table_does() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = dropping(folder.path());
    for (number, lower) in (CALM + 2..).step_by(2).zip([Mode::Shadow, Mode::Observe]) {
        go_to(&node, lower);
        assert_eq!(entries(&noted), ONLY_PEOPLE, "{lower:?}");
        node.decide(window(number, vec![attacker(100)]));
        assert_eq!(entries(&noted), ONLY_PEOPLE, "{lower:?}");
        go_to(&node, Mode::Enforce);
        node.decide(window(number + 1, vec![attacker(100)]));
        assert_eq!(entries(&noted), BOTH, "decided anew after {lower:?}");
    }
}

#[test]
fn a_trial_that_is_over_leaves_nothing_that_drops_and_a_confirmed_one_all() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = dropping(folder.path());
    let trial = ModeRequest { mode: Mode::Enforce, confirm_within_s: Some(60) };
    node.set_mode(&somebody(), &trial).unwrap();
    node.confirm(&somebody()).unwrap();
    assert_eq!(entries(&noted), BOTH);
    node.set_mode(&somebody(), &trial).unwrap();
    let mut late = window(CALM + 2, Vec::new());
    late.assessed.facts.end_ns += 61 * SECOND;
    node.decide(late);
    assert_eq!(node.status().unwrap().mode, Mode::Shadow);
    assert_eq!(entries(&noted), ONLY_PEOPLE, "those from before the trial too");
}

#[test]
fn an_entry_that_cannot_be_turned_to_shadow_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (node, noted) = dropping(folder.path());
    noted.notes().fails = true;
    go_to(&node, Mode::Shadow);
    assert_eq!(entries(&noted), BOTH, "the kernel refuses");
    let events = node.decide(window(CALM + 2, Vec::new()));
    let failures = events.iter().filter(|event| matches!(event, Event::Failure(_)));
    assert_eq!(failures.count(), 2, "of the request and of the window: {events:?}");
    noted.notes().fails = false;
    node.decide(window(CALM + 3, Vec::new()));
    assert_eq!(entries(&noted), ONLY_PEOPLE);
}
