//! Scoring: the forest DESIGN names, `f32` in and scores out, on one thread.

use std::{cell::RefCell, hint::black_box};

use anyhow::Context as _;
use forest::IsolationForest;
use linfa::ParamGuard as _;

use super::Effort;
use crate::{
    cpu,
    measurement::{Measurement, Reach, Unit},
    rows::Rows,
    scikit_learn::{PYTHON, Package, ScikitLearn},
    statistics::{Spread, Turns},
};

/// Features of a row.
const FEATURES: usize = 16;
/// Trees of the forest.
const TREES: usize = 100;
/// Rows a tree is grown from, which makes it 8 levels deep in both implementations.
const MAX_SAMPLES: usize = 256;
/// Rows both forests are grown from.
const TRAINING_ROWS: usize = 20_000;
/// Rows in one call at batch.
const BATCH: usize = 65_536;
const SEED: u64 = 1;

const BATCH_RATIO: &str = "at batch, over scikit-learn";
const SINGLE_RATIO: &str = "one row at a time, over scikit-learn";
const ONE_THREAD: &str =
    "100 trees, 8 levels, 16 features; CPU time of one thread; the batch is 65,536 rows";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let rows = Rows::draw(BATCH, FEATURES, SEED);
    let forest = IsolationForest::params()
        .n_trees(TREES)
        .max_samples(MAX_SAMPLES)
        .seed(SEED)
        .check()?
        .fit_rows(rows.first(TRAINING_ROWS), FEATURES)?;

    let mut scores = vec![0.0; BATCH];
    // Each turn gives seconds per row.
    let mut batch = || {
        let (seconds, ()) =
            cpu::timed(|| forest.score_rows(black_box(rows.first(BATCH)), &mut scores));
        black_box(&scores);
        Ok(seconds / BATCH as f64)
    };
    // Enough rows that reading the clock does not matter.
    let singles = effort.of(BATCH, 4_096);
    let mut single = || {
        let (seconds, sum) = cpu::timed(|| {
            rows.first(singles)
                .chunks_exact(FEATURES)
                .map(|row| forest.score_row(black_box(row)))
                .sum::<f32>()
        });
        black_box(sum);
        Ok(seconds / singles as f64)
    };
    let rounds = effort.of(9, 3);

    let Some(scikit_learn) = ScikitLearn::start()? else {
        let turns = Turns::take(rounds, &mut [&mut batch, &mut single])?;
        let why = format!("{PYTHON} names no interpreter; `cargo xtask bench` prepares one");
        return Ok(vec![
            Measurement::skipped(BATCH_RATIO, why.clone()).reach(Reach::AtLeast(15.0)),
            own_batch(turns.map(0, f64::recip)),
            own_single(turns.map(1, f64::recip)),
            Measurement::skipped(SINGLE_RATIO, why),
        ]);
    };

    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().join("rows.f32");
    rows.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let scikit_learn = RefCell::new(scikit_learn);
    let version = scikit_learn.borrow_mut().version()?;
    scikit_learn.borrow_mut().load(&path, &rows)?;
    scikit_learn.borrow_mut().fit(Package::ScikitLearn, TRAINING_ROWS, TREES, MAX_SAMPLES, SEED)?;
    // It takes milliseconds for each call, whatever is in it.
    let their_singles = effort.of(30, 10);
    let mut their_batch =
        || Ok(scikit_learn.borrow_mut().score(Package::ScikitLearn, BATCH)? / BATCH as f64);
    let mut their_single = || {
        Ok(scikit_learn.borrow_mut().score_each(Package::ScikitLearn, their_singles)?
            / their_singles as f64)
    };

    let turns =
        Turns::take(rounds, &mut [&mut batch, &mut their_batch, &mut single, &mut their_single])?;
    let theirs = format!("scikit-learn {version}, the same rows, one thread, taking turns");
    Ok(vec![
        Measurement::of(BATCH_RATIO, Unit::Ratio, turns.ratio(1, 0))
            .reach(Reach::AtLeast(15.0))
            .note(theirs.clone()),
        own_batch(turns.map(0, f64::recip)),
        Measurement::of("scikit-learn at batch", Unit::RowsPerSecond, turns.map(1, f64::recip))
            .note(theirs.clone()),
        Measurement::of(SINGLE_RATIO, Unit::Ratio, turns.ratio(3, 2)).note(theirs.clone()),
        own_single(turns.map(2, f64::recip)),
        Measurement::of(
            "scikit-learn one row at a time",
            Unit::RowsPerSecond,
            turns.map(3, f64::recip),
        )
        .note(theirs),
    ])
}

fn own_batch(spread: Spread) -> Measurement {
    let row = Measurement::of("at batch", Unit::RowsPerSecond, spread).note(ONE_THREAD);
    // DESIGN asks for this much of a CPU that has the instructions.
    if has_avx512() { row.reach(Reach::AtLeast(4e6)) } else { row }
}

fn own_single(spread: Spread) -> Measurement {
    Measurement::of("one row at a time", Unit::RowsPerSecond, spread)
        .reach(Reach::AtLeast(1e5))
        .note(ONE_THREAD)
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}
