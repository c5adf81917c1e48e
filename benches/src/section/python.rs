//! The Python package: `weir.IsolationForest` beside scikit-learn's, both called from Python.

use std::cell::RefCell;

use anyhow::Context as _;

use super::Effort;
use crate::{
    measurement::{Measurement, Unit},
    rows::Rows,
    scikit_learn::{PYTHON, Package, ScikitLearn},
    statistics::Turns,
};

const FEATURES: usize = 16;
const TREES: usize = 100;
const MAX_SAMPLES: usize = 256;
/// Rows in one call at batch.
const BATCH: usize = 65_536;
const SEED: u64 = 3;

const FIT_RATIO: &str = "fitting from Python, over scikit-learn's time";
const BATCH_RATIO: &str = "at batch from Python, over scikit-learn";
const SINGLE_RATIO: &str = "one row at a time from Python, over scikit-learn";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let skipped = |why: &str| {
        let row = |what| Measurement::skipped(what, why);
        Ok(vec![row(FIT_RATIO), row(BATCH_RATIO), row(SINGLE_RATIO)])
    };
    let Some(mut process) = ScikitLearn::start()? else {
        let why = format!("{PYTHON} names no interpreter; `cargo xtask bench` prepares one");
        return skipped(&why);
    };
    let version = process.version()?;
    if process.version_of(Package::Weir)?.is_none() {
        return skipped("the interpreter has no package `weir`; `cargo xtask bench` installs it");
    }

    // The ratio of fitting depends on how many rows there are to check.
    let training_rows = effort.of(1_000_000, 200_000);
    let rows = Rows::draw(training_rows, FEATURES, SEED);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let path = folder.path().join("rows.f32");
    rows.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    process.load(&path, &rows)?;

    let singles = effort.of(100, 10);
    let process = RefCell::new(process);
    let fit = |package| process.borrow_mut().fit(package, training_rows, TREES, MAX_SAMPLES, SEED);
    let batch = |package| Ok(process.borrow_mut().score(package, BATCH)? / BATCH as f64);
    let single = |package| Ok(process.borrow_mut().score_each(package, singles)? / singles as f64);

    let (ours, theirs) = (Package::Weir, Package::ScikitLearn);
    let fits = Turns::take(effort.of(5, 2), &mut [&mut || fit(ours), &mut || fit(theirs)])?;
    let scores = Turns::take(
        effort.of(9, 3),
        &mut [&mut || batch(ours), &mut || batch(theirs), &mut || single(ours), &mut || {
            single(theirs)
        }],
    )?;
    let beside = format!("scikit-learn {version}, the same rows, n_jobs=1, CPU time, taking turns");
    let size = format!("100 trees of 256 rows, drawn from {training_rows} rows of 16 features");
    let rate = |what: &str, contestant| {
        Measurement::of(what, Unit::RowsPerSecond, scores.map(contestant, f64::recip))
            .note(beside.clone())
    };
    Ok(vec![
        Measurement::of(FIT_RATIO, Unit::Ratio, fits.ratio(0, 1)).note(beside.clone()),
        Measurement::of("fitting from Python", Unit::Seconds, fits.spread(0)).note(size.clone()),
        Measurement::of("scikit-learn's fitting", Unit::Seconds, fits.spread(1)).note(size),
        Measurement::of(BATCH_RATIO, Unit::Ratio, scores.ratio(1, 0)).note(beside.clone()),
        rate("at batch from Python", 0),
        rate("scikit-learn at batch, from Python", 1),
        Measurement::of(SINGLE_RATIO, Unit::Ratio, scores.ratio(3, 2)).note(beside.clone()),
        rate("one row at a time from Python", 2),
        rate("scikit-learn one row at a time, from Python", 3),
    ])
}
