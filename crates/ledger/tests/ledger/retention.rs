use std::fs;
use std::slice;
use std::time::Duration;

use ledger::{
    AlertQuery, Block, How, Ledger, LedgerError, Options, Record, Retained, Run, Span, Table,
};

use crate::support::{
    Place, act, at, batch, batches_in, block, decision, decisive, difference, ending, raw, run,
    stop, wall, window,
};

fn hourly() -> Options {
    Options { max_age: Duration::from_hours(1), ..Options::default() }
}

/// Takes steps until there is nothing left to remove, and adds them up.
fn retain_all(ledger: &mut Ledger, now_ns: i64) -> Retained {
    let mut all = Retained::default();
    loop {
        let step = ledger.retain(now_ns).expect("removed");
        for (table, rows) in step.removed {
            match all.removed.iter_mut().find(|(counted, _)| *counted == table) {
                Some((_, sum)) => *sum += rows,
                None => all.removed.push((table, rows)),
            }
        }
        all.over_bytes = step.over_bytes;
        if !step.more {
            return all;
        }
    }
}

#[test]
fn what_is_older_than_its_age_is_removed_and_counted() {
    let place = Place::new();
    let mut ledger = place.open_with(&hourly());
    let mut records: Vec<Record> = vec![run(1).into(), act(1, "block").into()];
    records.push(difference(1, 1).into());
    records.extend((1..=5_000).map(|number| window(number).into()));
    records.extend((1..=3_000).map(|id| decision(id, id).into()));
    ledger.append(&records).expect("recorded");
    let removed = retain_all(&mut ledger, wall(3_600 + 2_500)).removed;
    let expected = [
        (Table::Decisions, 2_499),
        (Table::Windows, 2_499),
        (Table::Acts, 1),
        (Table::Differences, 1),
    ];
    assert_eq!(removed, expected);
    let counts = ledger.reader().counts().expect("counts");
    for (table, rows) in expected {
        assert_eq!(counts.of(table).removed, rows);
    }
    assert_eq!(counts.of(Table::Windows).rows, 2_501);
    assert_eq!(counts.of(Table::Decisions).rows, 501);
    assert_eq!(ledger.retain(wall(3_600 + 2_500)).expect("nothing"), Retained::default());
    // The count is kept in the file.
    drop(ledger);
    let reader = Ledger::read(&place.path).expect("a reader");
    assert_eq!(reader.counts().expect("counts").of(Table::Windows).removed, 2_499);
}

#[test]
fn a_standing_block_keeps_its_decision_and_its_run_however_old() {
    let place = Place::new();
    let mut ledger = place.open_with(&hourly());
    let lasting = Block { expires: at(1_000_000), ..block(1, 10) };
    let expired = block(2, 10);
    let taken_back = Block { expires: at(1_000_000), ..block(3, 10) };
    let second = Run { id: 2, start: at(50), ..run(2) };
    let third = Run { id: 3, start: at(60), ..run(3) };
    let mut records: Vec<Record> = vec![run(1).into(), stop(1, 40).into()];
    records.extend([1, 2, 3].map(|id| decisive(id, 10).into()));
    records.extend([&lasting, &expired, &taken_back].map(|block| block.clone().into()));
    records.push(ending(&taken_back, 30, How::Unblocked).into());
    records.extend([second.into(), third.into()]);
    ledger.append(&records).expect("recorded");

    let late = wall(100_000);
    retain_all(&mut ledger, late);
    let reader = ledger.reader();
    assert_eq!(reader.active(late).expect("read"), slice::from_ref(&lasting));
    assert!(reader.decision(1).expect("read").is_some());
    assert_eq!(reader.decision(2).expect("read"), None);
    assert_eq!(reader.run(1).expect("read"), Some(run(1)));
    assert_eq!(reader.run(2).expect("read"), None, "nothing active is of this run");
    let counts = reader.counts().expect("counts");
    assert_eq!((counts.of(Table::Blocks).removed, counts.of(Table::Endings).removed), (2, 1));
    assert_eq!(counts.of(Table::Stops).rows, 1);

    // Once it has ended, and that is long ago too, all goes but the last run.
    ledger.append(&[ending(&lasting, 100_001, How::Unblocked).into()]).expect("recorded");
    retain_all(&mut ledger, wall(100_100));
    assert_eq!(ledger.reader().counts().expect("counts").of(Table::Blocks).rows, 1);
    retain_all(&mut ledger, wall(200_000));
    let counts = ledger.reader().counts().expect("counts");
    let rows: u64 = counts.tables.iter().map(|table| table.rows).sum();
    assert_eq!((rows, counts.of(Table::Runs).rows), (1, 1), "{counts:?}");
}

#[test]
fn a_block_that_was_taken_back_never_stands_again_when_its_ending_is_old() {
    let place = Place::new();
    let mut ledger = place.open_with(&hourly());
    let long = Block { expires: at(10_000_000), ..block(1, 10) };
    ledger
        .append(&[
            long.clone().into(),
            ending(&long, 20, How::Unblocked).into(),
            // Seen twice, once late.
            ending(&long, 9_000, How::Vanished).into(),
        ])
        .expect("recorded");
    for second in (3_000..30_000).step_by(500) {
        ledger.retain(wall(second)).expect("removed");
        assert_eq!(ledger.reader().active(wall(second)).expect("read"), []);
    }
    assert_eq!(ledger.reader().counts().expect("counts").of(Table::Endings).rows, 0);
}

#[test]
fn above_its_size_the_oldest_goes_until_it_fits_and_the_file_shrinks() {
    let place = Place::new();
    let options = Options { max_bytes: 1 << 20, ..Options::default() };
    let mut ledger = place.open_with(&options);
    let active = Block { expires: at(10_000_000), ..block(101, 1) };
    let mut records: Vec<Record> = vec![run(1).into(), act(1, "block").into()];
    records.extend(batch(1));
    records.push(active.clone().into());
    records.extend((2..=900).flat_map(batch));
    ledger.append(&records).expect("recorded");
    let counts = |ledger: &Ledger| ledger.reader().counts().expect("counts");
    let before = counts(&ledger);
    assert!(before.bytes > 2 << 20, "{before:?}");

    let step = retain_all(&mut ledger, wall(1_000));
    let after = counts(&ledger);
    assert!(after.bytes <= 1 << 20 && after.bytes > 1 << 18, "{} bytes", after.bytes);
    assert_eq!(step.over_bytes, 0);
    for table in [Table::Windows, Table::Decisions, Table::Blocks] {
        let (before, after) = (before.of(table), after.of(table));
        assert_eq!(before.rows, after.rows + after.removed);
        assert!(after.removed > 0 && after.rows > 0, "{after:?}");
    }
    // The newest are there, and what stands; what people did stays for its time.
    let reader = ledger.reader();
    let newest = reader.alerts(&AlertQuery::default()).expect("read").rows;
    assert_eq!(newest[0].record.window, 900);
    assert!(reader.active(wall(1_000)).expect("read").contains(&active));
    assert_eq!(after.of(Table::Acts).removed, 0);
    drop(ledger);
    let left = fs::metadata(&place.path).expect("a file").len();
    assert!(left < 3 << 19, "the file has still {left} bytes");
    batches_in(&raw(&place.path));
}

#[test]
fn what_stands_is_kept_even_above_the_size_and_that_is_said() {
    let place = Place::new();
    let mut ledger = place.open_with(&Options { max_bytes: 1 << 20, ..Options::default() });
    let blocks = (1..=12_000).map(|id| Block { expires: at(10_000_000), ..block(id, 1) }.into());
    let mut records: Vec<Record> = blocks.collect();
    records.push(window(1).into());
    ledger.append(&records).expect("recorded");
    let kept = retain_all(&mut ledger, wall(500));
    assert!(kept.over_bytes > 0, "{kept:?}");
    assert_eq!(ledger.reader().active(wall(500)).expect("read").len(), 12_000);
    // It does not go on for ever about it.
    assert!(!ledger.retain(wall(500)).expect("nothing").more);
}

#[test]
fn numbers_are_not_used_again_after_their_rows_are_gone() -> Result<(), LedgerError> {
    let place = Place::new();
    let mut ledger = place.open_with(&hourly());
    ledger.append(&[decision(7, 1).into(), Block { expires: at(2), ..block(7, 1) }.into()])?;
    retain_all(&mut ledger, wall(100_000));
    assert!(ledger.reader().alerts(&AlertQuery::default())?.rows.is_empty());
    assert!(
        ledger
            .reader()
            .alerts(&AlertQuery { span: Span::default(), ..Default::default() })?
            .next
            .is_none()
    );
    drop(ledger);
    let mut ids = place.open().ids()?;
    assert_eq!((ids.next_decision(), ids.next_block()), (8, 8));
    ids.skip_blocks_to(90);
    ids.skip_blocks_to(20);
    assert_eq!(ids.next_block(), 91);
    Ok(())
}
