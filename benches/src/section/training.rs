//! Training: a forest of 100 trees from 1 M rows.

use std::{cell::RefCell, hint::black_box, num::NonZeroUsize};

use anyhow::Context as _;
use forest::{IsolationForest, IsolationForestValidParams};
use linfa::ParamGuard as _;

use super::Effort;
use crate::{
    cpu,
    measurement::{Measurement, Reach, Unit},
    rows::Rows,
    scikit_learn::{PYTHON, Package, ScikitLearn},
    statistics::{Spread, Turns, timed},
};

const FEATURES: usize = 16;
/// However little effort is to be made: the ratio depends on it.
const ROWS: usize = 1_000_000;
const TREES: usize = 100;
const MAX_SAMPLES: usize = 256;
const SEED: u64 = 2;
/// DESIGN: at most 1/20 of scikit-learn's time.
const REACH: Reach = Reach::AtMost(0.05);
const RATIO: &str = "CPU time on one thread, over scikit-learn's";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let rows = Rows::draw(ROWS, FEATURES, SEED);
    let params = |threads: Option<usize>| {
        IsolationForest::params()
            .n_trees(TREES)
            .max_samples(MAX_SAMPLES)
            .seed(SEED)
            .threads(threads.and_then(NonZeroUsize::new))
            .check()
    };
    let fit = |params: &IsolationForestValidParams| {
        params.fit_rows(rows.first(rows.len()), FEATURES).map(|forest| drop(black_box(forest)))
    };
    let (one, all) = (params(Some(1))?, params(None)?);
    // The thread that grows the trees is another than this one.
    let mut on_one = || {
        let start = cpu::process_seconds()?;
        fit(&one)?;
        Ok(cpu::process_seconds()? - start)
    };
    let mut on_all = || {
        let (seconds, result) = timed(|| fit(&all));
        result?;
        Ok(seconds)
    };
    let size = format!("100 trees of 256 rows, drawn from {} rows of 16 features", rows.len());
    let own = |turns: &Turns| {
        [("CPU time on one thread", 0), ("time on all threads", 1)].map(|(what, contestant)| {
            Measurement::of(what, Unit::Seconds, turns.spread(contestant)).note(size.clone())
        })
    };

    let Some(scikit_learn) = ScikitLearn::start()? else {
        let turns = Turns::take(effort.of(7, 3), &mut [&mut on_one, &mut on_all])?;
        let why = format!("{PYTHON} names no interpreter; `cargo xtask bench` prepares one");
        let mut rows = vec![Measurement::skipped(RATIO, why).reach(REACH)];
        rows.extend(own(&turns));
        return Ok(rows);
    };
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().join("rows.f32");
    rows.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let scikit_learn = RefCell::new(scikit_learn);
    let version = scikit_learn.borrow_mut().version()?;
    scikit_learn.borrow_mut().load(&path, &rows)?;
    let mut theirs = || {
        let mut process = scikit_learn.borrow_mut();
        process.fit(Package::ScikitLearn, rows.len(), TREES, MAX_SAMPLES, SEED)
    };
    let rounds = effort.of(5, 2);
    let turns = Turns::take(rounds, &mut [&mut on_one, &mut on_all, &mut theirs])?;
    let beside = format!("scikit-learn {version}, the same rows, n_jobs=1, taking turns");
    let ratio: Spread = turns.ratio(0, 2);
    let mut measured =
        vec![Measurement::of(RATIO, Unit::Ratio, ratio).reach(REACH).note(beside.clone())];
    measured.extend(own(&turns));
    measured.push(
        Measurement::of("scikit-learn's CPU time", Unit::Seconds, turns.spread(2)).note(beside),
    );
    Ok(measured)
}
