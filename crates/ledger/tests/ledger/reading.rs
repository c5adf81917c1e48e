use std::net::IpAddr;

use events::{Action, ActionTaken, Refusal, Standing};
use ledger::{
    ActQuery, AlertQuery, Block, BlockQuery, Decision, How, LedgerError, Offences, Origin,
    PreviousEnd, Record, Run, Span,
};

use crate::support::{
    Place, act, altered, at, batch, block, decision, decisive, difference, ending, peer, run, stop,
    time, wall, window,
};

#[test]
fn every_record_reads_as_it_was_written() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    let first = Run { previous: PreviousEnd::Rebooted, ..run(1) };
    let refused = altered(decision(1, 5), |record| record.evidence.standing = Standing::Unproven);
    let made = altered(decisive(2, 5), |record| {
        record.evidence.address = "2001:db8::7".parse().expect("an address");
    });
    let by_hand = Block {
        target: "2001:db8::/48".parse().expect("a prefix"),
        origin: Origin::Person,
        decision: None,
        who: Some("ada".into()),
        reason: Some("scans; \"again\"".into()),
        ..block(9, 6)
    };
    let (end, deed, found) =
        (ending(&by_hand, 7, How::Unblocked), act(7, "unblock"), difference(1, 0));
    let (last, end_of_run) = (window(5), stop(1, 8));
    let records: Vec<Record> = vec![
        first.clone().into(),
        found.clone().into(),
        last.clone().into(),
        refused.clone().into(),
        made.clone().into(),
        by_hand.clone().into(),
        end.clone().into(),
        deed.clone().into(),
        end_of_run.clone().into(),
    ];
    ledger.append(&records)?;
    let reader = ledger.reader();
    assert_eq!(reader.alerts(&AlertQuery::default())?.rows, [made.clone(), refused]);
    assert_eq!(reader.decision(2)?, Some(made));
    let blocks = reader.blocks(&BlockQuery::default())?.rows;
    assert_eq!(blocks.iter().map(|one| &one.block).collect::<Vec<_>>(), [&by_hand]);
    assert_eq!(blocks[0].ending, Some(end));
    assert_eq!(reader.acts(&ActQuery::default())?.rows, [deed]);
    assert_eq!(reader.differences(1)?, [found]);
    assert_eq!(reader.differences(2)?, []);
    let before = reader.last_run()?.expect("a run");
    assert_eq!((before.run.clone(), before.window.clone()), (first, Some(last)));
    assert_eq!(before.stop, Some(end_of_run));
    Ok(())
}

#[test]
fn how_a_run_ended_shows_in_its_stop_and_its_boot() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    assert_eq!(ledger.reader().last_run()?, None);
    assert_eq!(ledger.ids()?.run(), 1);
    ledger.append(&[run(1).into()])?;
    let last = ledger.reader().last_run()?.expect("a run");
    assert_eq!(last.ended("3f0c1d9e-boot"), PreviousEnd::Died);
    assert_eq!(last.ended("another"), PreviousEnd::Rebooted);
    ledger.append(&[stop(1, 4).into(), Run { id: 2, ..run(2) }.into()])?;
    assert_eq!(ledger.ids()?.run(), 3);
    assert_eq!(
        ledger.reader().last_run()?.expect("a run").ended("3f0c1d9e-boot"),
        PreviousEnd::Died
    );
    ledger.append(&[stop(2, 9).into()])?;
    assert_eq!(ledger.reader().last_run()?.expect("a run").ended("x"), PreviousEnd::Stopped);
    Ok(())
}

#[test]
fn alerts_are_found_by_address_time_outcome_and_refusal() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    for number in 1..=40 {
        ledger.append(&batch(number))?;
    }
    let mapped: IpAddr = "::ffff:203.0.113.44".parse().expect("an address");
    let odd = altered(decision(1, 41), |record| {
        record.evidence.address = mapped;
        record.refusal = Some(Refusal::Allowed);
    });
    ledger.append(&[odd.into()])?;
    let reader = ledger.reader();
    let all = reader.alerts(&AlertQuery {
        span: Span { limit: 1_000, ..Span::default() },
        ..Default::default()
    })?;
    let ask = |query: AlertQuery, holds: &dyn Fn(&Decision) -> bool| {
        let query = AlertQuery { span: Span { limit: 1_000, ..query.span }, ..query };
        let found = reader.alerts(&query).expect("read").rows;
        let expected: Vec<_> = all.rows.iter().filter(|row| holds(row)).cloned().collect();
        assert_eq!(found, expected, "{query:?}");
        assert!(!found.is_empty(), "{query:?}");
    };
    let address: IpAddr = "203.0.113.44".parse().expect("an address");
    ask(AlertQuery { address: Some(mapped), ..Default::default() }, &|one| {
        one.record.peer() == address
    });
    ask(AlertQuery { address: Some(peer(201)), ..Default::default() }, &|one| {
        one.record.peer() == peer(201)
    });
    let made = Some(ActionTaken::Blocked);
    ask(AlertQuery { outcome: made, ..Default::default() }, &|one| {
        one.record.outcome == ActionTaken::Blocked
    });
    let refused = Some(ActionTaken::Refused);
    ask(AlertQuery { outcome: refused, ..Default::default() }, &|one| {
        one.record.outcome == ActionTaken::Refused
    });
    let refusal = Some(Refusal::Allowed);
    ask(AlertQuery { refusal, ..Default::default() }, &|one| one.record.id == 1);
    let span = Span { since_ns: Some(wall(10)), until_ns: Some(wall(20)), ..Span::default() };
    ask(AlertQuery { span, outcome: made, ..Default::default() }, &|one| {
        (time(wall(10))..time(wall(20))).contains(&one.record.time)
            && one.record.outcome == ActionTaken::Blocked
    });
    Ok(())
}

#[test]
fn what_stands_has_no_ending_and_is_not_past_its_expiry() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    let blocks = [1, 2, 3].map(|id| block(id, id));
    ledger.append(&blocks.clone().map(Record::from))?;
    ledger.append(&[ending(&blocks[1], 50, How::ReleasedEarly).into()])?;
    let reader = ledger.reader();
    assert_eq!(reader.active(wall(60))?, [blocks[0].clone(), blocks[2].clone()]);
    // The first one's lease is over at 601, with nobody there to see it.
    assert_eq!(reader.active(wall(601))?, [blocks[2].clone()]);
    let listed = reader.blocks(&BlockQuery { active_ns: Some(wall(601)), ..Default::default() })?;
    assert_eq!(listed.rows.iter().map(|one| one.block.id).collect::<Vec<_>>(), [3]);
    let target = Some(peer(2).into());
    let found =
        reader.blocks(&BlockQuery { target, origin: Some(Origin::Model), ..Default::default() })?;
    assert_eq!(found.rows[0].ending.as_ref().map(|ending| ending.how), Some(How::ReleasedEarly));
    let found =
        reader.blocks(&BlockQuery { origin: Some(Origin::Import), ..Default::default() })?;
    assert!(found.rows.is_empty());
    Ok(())
}

#[test]
fn a_block_with_two_endings_is_listed_once_with_the_first() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    let one = block(1, 1);
    let (first, second) = (ending(&one, 20, How::Unblocked), ending(&one, 30, How::Vanished));
    ledger.append(&[one.into(), first.clone().into(), second.into()])?;
    let rows = ledger.reader().blocks(&BlockQuery::default())?.rows;
    assert_eq!(rows.into_iter().map(|row| row.ending).collect::<Vec<_>>(), [Some(first)]);
    Ok(())
}

#[test]
fn escalation_survives_a_restart() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    let of = |id, second| Block { target: peer(7).into(), ..block(id, second) };
    let by_hand = Block { origin: Origin::Person, ..of(4, 40) };
    let prefix = Block { target: "203.0.113.0/24".parse().expect("a prefix"), ..block(6, 60) };
    ledger.append(&[
        of(1, 10).into(),
        of(2, 20).into(),
        of(3, 30).into(),
        by_hand.into(),
        block(5, 50).into(),
        prefix.into(),
        ending(&of(2, 20), 25, How::Unblocked).into(),
        ending(&of(3, 30), 35, How::Replaced).into(),
    ])?;
    // What a lower mode turned to shadow, and was decided anew, is one offence.
    let demoted =
        |id, second, action| Block { target: peer(8).into(), action, ..block(id, second) };
    let (first, shadow) = (demoted(7, 1, Action::Drop), demoted(8, 2, Action::Shadow));
    ledger.append(&[
        first.clone().into(),
        ending(&first, 2, How::FellBack).into(),
        shadow.clone().into(),
        ending(&shadow, 3, How::Replaced).into(),
        demoted(9, 3, Action::Drop).into(),
    ])?;
    drop(ledger);
    let ledger = place.open();
    let reader = ledger.reader();
    let (made, expires) = (wall(30), wall(630));
    let three = Offences { blocks: 3, pardoned: 1, last_made_ns: made, last_expires_ns: expires };
    let all = reader.offenders(i64::MIN, 10)?;
    assert_eq!(
        all.iter().map(|(address, _)| *address).collect::<Vec<_>>(),
        [peer(5), peer(7), peer(8)]
    );
    assert_eq!(all[1].1, three);
    assert_eq!((all[2].1.blocks, all[2].1.pardoned), (3, 2));
    let lately = reader.offenders(wall(25), 10)?;
    assert_eq!(lately[1], (peer(7), Offences { blocks: 1, pardoned: 0, ..three }));
    assert_eq!(reader.offenders(i64::MIN, 1)?.len(), 1);
    Ok(())
}

#[test]
fn acts_are_found_by_what_and_by_whom() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open();
    ledger.append(&[act(1, "block").into(), act(2, "unblock").into(), act(3, "block").into()])?;
    let ask = |what: Option<&str>, name: Option<&str>| {
        let query = ActQuery {
            what: what.map(str::to_owned),
            name: name.map(str::to_owned),
            ..Default::default()
        };
        let rows = ledger.reader().acts(&query).expect("read").rows;
        rows.iter().map(|act| act.at_ns).collect::<Vec<_>>()
    };
    assert_eq!(ask(Some("block"), Some("ada")), [wall(3), wall(1)]);
    assert_eq!(ask(None, Some("grace")), [0; 0]);
    assert_eq!(ask(None, None), [wall(3), wall(2), wall(1)]);
    Ok(())
}

#[test]
fn the_clocks_of_a_run_convert_by_its_start() {
    let first = run(1);
    let block = block(1, 100);
    assert_eq!(first.start.wall_ns_at(block.expires.boot_ns), block.expires.wall_ns);
    // After a reboot, only the wall clock says how long is left.
    let reboot = ledger::Moment { boot_ns: 3_000_000_000, ..at(200) };
    assert_eq!(reboot.boot_ns_at(block.expires.wall_ns), 503_000_000_000);
}
