//! A writer that is killed at any moment leaves whole files, and loses no row of a finished one.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dataset::{Dataset, DatasetWriter, Selection, TableKind, WriterOptions};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Traffic, files, small_groups};

/// Folder that the child writes to; only a child has it.
const ROOT: &str = "WEIR_TEST_DATASET";
/// Moments of death.
const KILLS: u64 = 60;
/// The longest that the test takes on a slow machine.
const LIMIT: Duration = Duration::from_mins(1);

/// Options of the child: a file a window, and an eternity of them.
fn options() -> WriterOptions {
    WriterOptions { rotate_every: Duration::from_secs(1), ..small_groups() }
}

#[test]
#[ignore = "the child of the test below, which runs it"]
fn a_child_writes_until_it_is_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let mut writer = DatasetWriter::create(Path::new(&root), options()).expect("a folder");
    for one in Traffic::new(1, 40) {
        writer.write(&one.window, one.time_ns, &one.observed).expect("room");
        // A file finished before this line must be there whatever comes.
        println!("finished {}", writer.written().files.len());
    }
}

/// Starts a child, kills it a moment after so many windows, and returns how many files it said to
/// have finished.
fn write_until_killed(root: &Path, windows: usize, after: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "a_child_writes_until_it_is_killed", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let count = |line: String| line.strip_prefix("finished ")?.parse::<usize>().ok();
    // Before the first window there is nothing to lose.
    let told = lines.by_ref().map_while(Result::ok).filter_map(count);
    let mut finished = told.take(windows).last().unwrap_or_default();
    thread::sleep(after);
    child.kill().expect("kill -9");
    finished = lines.map_while(Result::ok).filter_map(count).last().unwrap_or(finished);
    child.wait().expect("it is gone");
    finished
}

/// Rows of every finished file; each must be whole.
fn rows_of(root: &Path) -> BTreeMap<PathBuf, usize> {
    let finished =
        files(root).into_iter().filter(|path| path.extension() == Some("parquet".as_ref()));
    finished
        .map(|path| {
            let dataset = Dataset::open(&[&path]).expect("every file is whole");
            let rows = TableKind::ALL.iter().flat_map(|&table| {
                dataset
                    .blocks(table, &Selection::default())
                    .map(|block| block.expect("whole").len())
            });
            (path.clone(), rows.sum())
        })
        .collect()
}

#[test]
fn a_kill_at_any_moment_leaves_only_whole_files_and_loses_none() {
    let start = Instant::now();
    let mut random = StdRng::seed_from_u64(11);
    let (mut unfinished, mut finished_by_sweep, mut whole) = (0, 0, 0);
    for kill in 0..KILLS {
        let folder = tempfile::tempdir().expect("a folder");
        let after = Duration::from_micros(random.random_range(0..30_000));
        let told = write_until_killed(folder.path(), random.random_range(1..5), after);
        let left = rows_of(folder.path());
        assert!(left.len() >= told, "kill {kill}: {told} files were finished, {left:?}");
        assert!(left.values().all(|&rows| rows > 0), "kill {kill}: {left:?}");
        let windows = left.keys().filter(|path| path.starts_with(folder.path().join("window")));
        whole += windows.count();

        let hidden = files(folder.path()).len() - left.len();
        let writer = DatasetWriter::create(folder.path(), options()).expect("a folder");
        let swept = writer.swept().clone();
        assert_eq!(swept.finished.len() + swept.removed.len(), hidden, "kill {kill}: {swept:?}");
        unfinished += hidden;
        finished_by_sweep += swept.finished.len();
        let after_sweep = rows_of(folder.path());
        assert_eq!(after_sweep.len(), left.len() + swept.finished.len());
        assert!(left.iter().all(|(path, rows)| after_sweep.get(path) == Some(rows)));
        assert_eq!(files(folder.path()).len(), after_sweep.len(), "something hidden is left");
        // The tables of a name came together in the end.
        assert_eq!(after_sweep.len() % TableKind::ALL.len(), 0, "kill {kill}: {after_sweep:?}");
        if start.elapsed() > LIMIT {
            println!("stopped after {kill} kills, for the machine is slow");
            assert!(kill >= 10, "{kill} kills in {LIMIT:?} are too few to tell");
            break;
        }
    }
    println!("{whole} whole, {unfinished} unfinished, {finished_by_sweep} of them finished later");
    assert!(whole > 0 && unfinished > 0, "{whole} whole, {unfinished} unfinished");
}

#[test]
fn what_a_living_writer_has_begun_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 10, 2);
    let mut living = DatasetWriter::create(folder.path(), small_groups()).expect("a folder");
    let [one, two] = &windows[..] else { panic!("two windows") };
    living.write(&one.window, one.time_ns, &one.observed).expect("room");
    let other = DatasetWriter::create(folder.path(), small_groups()).expect("a folder");
    assert_eq!(other.swept(), &dataset::Sweep::default());
    living.write(&two.window, two.time_ns, &two.observed).expect("room");
    let written = living.finish().expect("room").rows;
    assert_eq!((written[0], written[TableKind::Window.index()]), (20, 2));
    let dataset = support::open(folder.path());
    assert_eq!(TableKind::ALL.map(|table| dataset.rows(table)), written);
}
