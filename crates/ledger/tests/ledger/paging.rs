//! Pages: each row comes once, whatever is recorded in between.

use ledger::{ActQuery, AlertQuery, BlockQuery, Decision, Page, Record, Span};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::{Place, act, altered, block, decision, time, wall};

#[test]
fn each_row_comes_once_while_more_are_recorded() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let place = Place::new();
        let mut ledger = place.open();
        let rows = random.random_range(1..300_u64);
        // Many of one time, and now and then a clock that was set back.
        let mut second = 100;
        let records: Vec<Record> = (1..=rows)
            .map(|id| {
                second += random.random_range(0..3) / 2;
                let back = if random.random_bool(0.05) { 40 } else { 0 };
                altered(decision(id, 1), |record| record.time = time(wall(second - back))).into()
            })
            .collect();
        ledger.append(&records).expect("recorded");
        let mut seen = Vec::new();
        let mut span = Span { limit: random.random_range(1..40), ..Span::default() };
        let mut next = rows;
        loop {
            let query = AlertQuery { span, ..AlertQuery::default() };
            let page: Page<Decision> = ledger.reader().alerts(&query).expect("read");
            assert!(page.rows.len() <= span.limit);
            seen.extend(page.rows);
            next += 1;
            let late = altered(decision(next, 1), |record| record.time = time(wall(second + 1)));
            ledger.append(&[late.into()]).expect("recorded");
            span.after = page.next;
            if span.after.is_none() {
                break;
            }
        }
        assert!(
            seen.is_sorted_by(|a, b| (a.record.time, a.record.id) > (b.record.time, b.record.id)),
            "seed {seed}"
        );
        let mut ids: Vec<u64> = seen.iter().map(|row| row.record.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=rows).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn the_last_page_says_so_also_when_it_is_full() {
    let place = Place::new();
    let mut ledger = place.open();
    let records: Vec<Record> =
        (1..=10).flat_map(|id| [act(id, "block").into(), block(id, id).into()]).collect();
    ledger.append(&records).expect("recorded");
    let reader = ledger.reader();
    let half = Span { limit: 5, ..Span::default() };
    let first = reader.acts(&ActQuery { span: half, ..Default::default() }).expect("read");
    let span = Span { after: first.next, ..half };
    let second = reader.acts(&ActQuery { span, ..Default::default() }).expect("read");
    assert_eq!((first.rows.len(), second.rows.len(), second.next), (5, 5, None));

    let first = reader.blocks(&BlockQuery { span: half, ..Default::default() }).expect("read");
    let span = Span { after: first.next, ..half };
    let second = reader.blocks(&BlockQuery { span, ..Default::default() }).expect("read");
    let ids: Vec<u64> = first.rows.iter().chain(&second.rows).map(|row| row.block.id).collect();
    assert_eq!(ids, (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(second.next, None);
}
