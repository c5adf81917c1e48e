//! Appending: batches that are refused whole, and the thread that appends.

use std::sync::mpsc;
use std::time::Duration;

use ledger::{
    Dropped, Ledger, LedgerError, MAX_TEXT, News, NotDurable, Options, RETENTION_STEP, Table,
    Writer, WriterOptions,
};

use crate::support::{
    Place, act, altered, batch, batches_in, decision, run, stop, wall, whole, window,
};

const LONG: Duration = Duration::from_secs(20);

/// Gives up at once when another holds the file, so that a test can play a disk that refuses.
fn impatient() -> Options {
    Options { busy: Duration::ZERO, ..Options::default() }
}

fn windows(place: &Place) -> u64 {
    let reader = Ledger::read(&place.path).expect("a reader");
    reader.counts().expect("counts").of(Table::Windows).rows
}

#[test]
fn a_batch_with_a_record_that_is_refused_is_not_recorded_at_all() {
    let place = Place::new();
    let mut ledger = place.open();
    ledger.append(&batch(1)).expect("recorded");
    let long = altered(decision(7, 2), |record| {
        record.reasons[0].feature = "x".repeat(MAX_TEXT);
    });
    let none = altered(decision(8, 2), |record| record.evidence.p_value = f64::NAN);
    for (odd, why) in [
        (long.into(), "bytes, at most 65536 are kept: shorten it"),
        (none.into(), "decisions.record is not kept whole"),
        (decision(100, 2).into(), "append-only"),
        (stop(77, 3).into(), "FOREIGN KEY constraint failed"),
    ] {
        let told = ledger.append(&[window(2).into(), odd]).expect_err(why);
        assert!(matches!(told, LedgerError::Refused { .. } | LedgerError::Sql { .. }), "{told:?}");
        assert!(told.to_string().contains(why), "{told}");
        assert_eq!(windows(&place), 1);
    }
    ledger.append(&[]).expect("nothing is easily recorded");
    ledger.append(&batch(2)).expect("it goes on");
}

#[test]
fn what_was_flushed_is_there_for_everybody() {
    let place = Place::new();
    let writer = Writer::start(place.open(), WriterOptions::default(), |_| {}).expect("a thread");
    let handle = writer.handle();
    for number in 1..=30 {
        handle.put(batch(number)).expect("room");
        if number % 10 == 0 {
            handle.flush(LONG).expect("durable");
            assert_eq!(windows(&place), number);
        }
    }
    let ticket = handle.put(vec![act(31, "unblock").into()]).expect("room");
    handle.wait(ticket, LONG).expect("durable");
    let reader = Ledger::read(&place.path).expect("a reader");
    assert_eq!(reader.acts(&ledger::ActQuery::default()).expect("read").rows.len(), 1);
    handle.flush(Duration::ZERO).expect("nothing is waited for");
    let (_ledger, health) = writer.stop();
    let records: u64 = (1..=30).map(|number| whole(number).iter().sum::<u64>()).sum();
    assert_eq!((health.appended, health.queued, health.failing), (records + 1, 0, None));
}

#[test]
fn a_stop_writes_what_is_queued_and_gives_the_ledger_back() {
    let place = Place::new();
    let writer = Writer::start(place.open(), WriterOptions::default(), |_| {}).expect("a thread");
    let handle = writer.handle();
    for number in 1..=50 {
        handle.put(batch(number)).expect("room");
    }
    let (mut ledger, health) = writer.stop();
    assert_eq!((health.queued, health.abandoned, health.dropped), (0, 0, 0));
    assert_eq!(batches_in(&place.raw()).len(), 50);
    ledger.append(&[run(1).into(), stop(1, 60).into()]).expect("the last word");
    assert_eq!(handle.put(batch(51)), Err(Dropped::Stopped));
    assert_eq!(handle.health().dropped, batch(51).len() as u64);
}

#[test]
fn a_queue_that_is_full_drops_whole_batches_and_counts_them() {
    let place = Place::new();
    let ledger = place.open_with(&impatient());
    let (tell, told) = mpsc::channel();
    let options = WriterOptions { queue: 100, longest_retry: LONG, ..WriterOptions::default() };
    let writer = Writer::start(ledger, options, move |news| {
        let word = match news {
            News::Failing(error) => format!("failing: {error}"),
            News::Recovered { failures } => format!("recovered: {failures}"),
            other => format!("{other:?}"),
        };
        tell.send(word).expect("the test listens");
    })
    .expect("a thread");
    let handle = writer.handle();

    // Somebody holds the file for a long time.
    let other = place.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("free");
    handle.put(batch(10)).expect("room");
    let first = told.recv_timeout(LONG).expect("it tells");
    assert!(first.starts_with("failing: cannot append to `"), "{first}");
    let (mut kept, mut dropped) = (vec![10], 0);
    for number in 11..=60 {
        match handle.put(batch(number)) {
            Ok(_) => kept.push(number),
            Err(full) => {
                assert!(full.to_string().contains("of at most 100"), "{full}");
                dropped += batch(number).len() as u64;
            }
        }
    }
    let late = handle.flush(Duration::from_millis(20)).expect_err("it fails");
    assert!(matches!(late, NotDurable::Late { failing: Some(_), .. }), "{late:?}");
    let health = handle.health();
    assert_eq!(health.dropped, dropped);
    assert!(health.queued > 90 && health.queued <= 100 && health.failing.is_some(), "{health:?}");

    other.execute_batch("ROLLBACK").expect("it was held");
    handle.flush(LONG).expect("durable");
    let recovered = told.recv_timeout(LONG).expect("it tells");
    assert!(recovered.starts_with("recovered: "), "{recovered}");
    let (ledger, health) = writer.stop();
    assert_eq!((health.queued, health.failing, health.dropped), (0, None, dropped));
    drop(ledger);
    let found = batches_in(&place.raw());
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), kept);
    assert!(found.iter().all(|(&number, counts)| *counts == whole(number)), "{found:?}");
}

#[test]
fn a_disk_that_refuses_to_the_end_is_left_and_what_was_lost_is_counted() {
    let place = Place::new();
    let ledger = place.open_with(&impatient());
    let options = WriterOptions { longest_retry: LONG, ..WriterOptions::default() };
    let writer = Writer::start(ledger, options, |_| {}).expect("a thread");
    let handle = writer.handle();
    let other = place.raw();
    other.execute_batch("BEGIN IMMEDIATE").expect("free");
    let ticket = handle.put(batch(10)).expect("room");
    let (_ledger, health) = writer.stop();
    assert_eq!((health.abandoned, health.queued), (batch(10).len() as u64, 0));
    assert!(health.failures >= 2, "{health:?}");
    assert_eq!(handle.wait(ticket, LONG), Err(NotDurable::Stopped));
}

#[test]
fn a_record_that_is_refused_takes_nobody_with_it() {
    let place = Place::new();
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(place.open(), WriterOptions::default(), move |news| {
        if let News::Rejected(reason) = news {
            tell.send(reason.to_owned()).expect("the test listens");
        }
    })
    .expect("a thread");
    let handle = writer.handle();
    let before = handle.put(batch(1)).expect("room");
    let odd = altered(decision(200, 2), |record| record.evidence.p_value = f64::NAN);
    let with =
        handle.put(vec![window(2).into(), odd.into(), decision(201, 2).into()]).expect("room");
    let after = handle.put(batch(3)).expect("room");
    handle.wait(after, LONG).expect("durable");
    handle.wait(before, LONG).expect("durable");
    let refused = handle.wait(with, LONG).expect_err("one was refused").to_string();
    let reason = told.recv_timeout(LONG).expect("it tells");
    assert!(reason.starts_with("decisions.record is not kept whole"), "{reason}");
    assert_eq!(refused, format!("not recorded: {reason}"));
    let health = handle.health();
    let recorded = (batch(1).len() + batch(3).len() + 2) as u64;
    assert_eq!((health.rejected, health.appended), (1, recorded));
    assert_eq!(windows(&place), 3);
}

#[test]
fn retention_goes_on_between_batches_until_nothing_is_left_to_remove() {
    let place = Place::new();
    let options = Options { max_age: Duration::from_mins(1), ..Options::default() };
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(place.open_with(&options), WriterOptions::default(), move |news| {
        if let News::Retained(step) = news {
            tell.send(step.more).expect("the test listens");
        }
    })
    .expect("a thread");
    let handle = writer.handle();
    handle.put((1..=5_000).map(|number| window(number).into()).collect()).expect("room");
    handle.flush(LONG).expect("durable");
    handle.retain(wall(5_060));
    let mut steps = 1;
    while told.recv_timeout(LONG).expect("it tells") {
        steps += 1;
        handle.put(batch(6_000 + steps as u64)).expect("room");
    }
    assert_eq!(steps, 4_999_usize.div_ceil(RETENTION_STEP));
    let (ledger, health) = writer.stop();
    assert_eq!(health.removed, 4_999);
    assert_eq!(ledger.reader().counts().expect("counts").of(Table::Windows).removed, 4_999);
}

#[test]
fn a_callback_that_panics_leaves_nobody_waiting() {
    let place = Place::new();
    let writer = Writer::start(place.open(), WriterOptions::default(), |_| panic!("a bug"))
        .expect("a thread");
    let handle = writer.handle();
    let odd = altered(decision(200, 2), |record| record.evidence.p_value = f64::NAN);
    let ticket = handle.put(vec![odd.into()]).expect("room");
    assert_eq!(handle.wait(ticket, LONG), Err(NotDurable::Stopped));
    drop(writer);
}
