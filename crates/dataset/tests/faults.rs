//! Faults: a table that is damaged, foreign, full or gone is named, and nothing half is left.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use dataset::{
    Columns, Dataset, DatasetError, DatasetWriter, Selection, Sums, TableKind, TableWriter,
    WriterOptions,
};
use features::schema::{HASH_KEY, SCHEMA_KEY};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{Captured, Traffic, files, small_groups, write};

/// Reads all of a file; whatever it holds, this returns.
fn read(path: &Path) -> Result<usize, DatasetError> {
    let dataset = Dataset::open(&[path])?;
    let selection = Selection { columns: Columns::All, ..Selection::default() };
    let mut rows = 0;
    for table in TableKind::ALL {
        for block in dataset.blocks(table, &selection) {
            rows += block?.len();
        }
    }
    Ok(rows)
}

fn flow_file(root: &Path) -> PathBuf {
    let windows = Traffic::windows(1, 40, 3);
    write(root, small_groups(), &windows).files.remove(0).path
}

#[test]
fn what_is_no_parquet_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", b"a,b\n1,2\n".repeat(99)),
        ("magic", b"PAR1PAR1".to_vec()),
        ("long", [&b"PAR1"[..], &[0xff; 4], b"PAR1"].concat()),
    ] {
        let path = folder.path().join(format!("{name}.parquet"));
        fs::write(&path, content).expect("room");
        let error = read(&path).expect_err(name).to_string();
        assert!(error.contains(&format!("{name}.parquet` is not a whole Parquet file")), "{error}");
        assert!(error.ends_with("remove it, or capture or replay it again"), "{error}");
    }
}

#[test]
fn a_folder_without_tables_says_what_to_give() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Dataset::open(&[folder.path()]).expect_err("nothing there").to_string();
    assert!(error.starts_with("no Parquet file in `") && error.contains("`weir capture`"));
    let gone = Dataset::open(&[folder.path().join("gone")]).expect_err("nothing there");
    assert!(gone.to_string().starts_with("cannot read `"), "{gone}");
}

const REMEDY: &str =
    "make it anew with `weir replay CAPTURE --out FOLDER` or `weir capture --out FOLDER`";

#[test]
fn a_foreign_table_and_another_builds_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("foreign.parquet");
    let column: arrow_array::ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("a", column)]).expect("a batch");
    let mut writer =
        TableWriter::create(&path, batch.schema_ref(), &WriterOptions::default()).expect("room");
    writer.write(&batch).expect("room");
    writer.finish(&Sums::default()).expect("room");
    let error = read(&path).expect_err("foreign").to_string();
    assert!(error.contains("foreign.parquet`: the table's schema is ``, expected one of `weir."));

    let path = folder.path().join("older.parquet");
    let schema = dataset::schema::stored_schema(TableKind::Peer);
    let mut metadata = schema.metadata().clone();
    metadata.insert(HASH_KEY.to_owned(), "0123456789abcdef".to_owned());
    let older = Arc::new(schema.as_ref().clone().with_metadata(metadata));
    let writer = TableWriter::create(&path, &older, &WriterOptions::default()).expect("room");
    writer.finish(&Sums::default()).expect("room");
    let error = read(&path).expect_err("another build's").to_string();
    assert!(error.contains("has the hash `0123456789abcdef`, this build's is `"), "{error}");
    assert!(error.ends_with(REMEDY), "{error}");

    let path = folder.path().join("first.parquet");
    let mut metadata = schema.metadata().clone();
    metadata.insert(SCHEMA_KEY.to_owned(), "weir.peer.v1".to_owned());
    let first = Arc::new(schema.as_ref().clone().with_metadata(metadata));
    let writer = TableWriter::create(&path, &first, &WriterOptions::default()).expect("room");
    writer.finish(&Sums::default()).expect("room");
    let error = read(&path).expect_err("of the first version").to_string();
    let told = "the table's schema is `weir.peer.v1`, this build reads `weir.peer.v4`: ";
    assert!(error.contains(told) && error.ends_with(REMEDY), "{error}");
}

#[test]
fn a_truncated_file_is_an_error_at_every_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = flow_file(folder.path());
    let whole = fs::read(&file).expect("a file");
    assert_eq!(read(&file).expect("whole"), 120);
    let cut = folder.path().join("cut.parquet");
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        fs::write(&cut, &whole[..length]).expect("room");
        let error = read(&cut).expect_err("truncated");
        assert!(matches!(error, DatasetError::Corrupt { .. }), "{length}: {error}");
    }
}

/// Damage may go unnoticed (a feature's bit), but nothing panics, hangs or swells.
#[test]
fn a_damaged_file_is_an_error_or_other_values_and_never_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = flow_file(folder.path());
    let whole = fs::read(&file).expect("a file");
    let damaged = folder.path().join("damaged.parquet");
    let mut random = StdRng::seed_from_u64(7);
    // The decoder's own panics are caught and told; their backtraces would fill the log.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut refused, mut read_anyway) = (0, 0);
    for round in 0..1_500 {
        let mut bytes = whole.clone();
        // Half of them in the footer, where the claims are.
        let from = if round % 2 == 0 { 0 } else { whole.len() - whole.len() / 4 };
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(from..whole.len());
            bytes[at] = match random.random_range(0..3) {
                0 => bytes[at] ^ (1 << random.random_range(0..8)),
                1 => 0xff,
                _ => random.random(),
            };
        }
        fs::write(&damaged, &bytes).expect("room");
        match read(&damaged) {
            Ok(rows) => {
                assert!(rows <= 4 << 20);
                read_anyway += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("damaged.parquet"), "{error}");
                refused += 1;
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(refused > 300 && read_anyway > 100, "{refused} refused, {read_anyway} read");
}

fn one(windows: &mut Traffic) -> Captured {
    windows.next().expect("endless")
}

#[test]
fn a_folder_that_vanishes_is_said_so_and_nothing_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("data");
    let mut traffic = Traffic::new(1, 10);
    let mut writer = DatasetWriter::create(&root, small_groups()).expect("a folder");
    let Captured { window, time_ns, observed } = one(&mut traffic);
    writer.write(&window, time_ns, &observed).expect("room");
    fs::remove_dir_all(&root).expect("gone");
    let error = writer.rotate().expect_err("no folder").to_string();
    assert!(error.starts_with("cannot rename `") && error.contains("No such file"), "{error}");
    let error = writer.write(&window, time_ns, &observed).expect_err("failed before").to_string();
    assert!(error.contains("failed before; start a new one"), "{error}");
    assert!(!root.exists());
}

#[test]
fn a_place_that_is_no_folder_is_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("file");
    fs::write(&root, "").expect("room");
    let error = DatasetWriter::create(&root, small_groups()).expect_err("a file").to_string();
    assert!(error.starts_with("cannot make the folder `"), "{error}");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut traffic = Traffic::new(1, 10);
    let mut writer = DatasetWriter::create(folder.path(), small_groups()).expect("a folder");
    let Captured { window, time_ns, observed } = one(&mut traffic);
    writer.write(&window, time_ns, &observed).expect("room");
    assert_eq!(files(folder.path()).len(), TableKind::ALL.len());
    drop(writer);
    assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn options_out_of_bounds_are_refused_with_the_bound() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |options| {
        DatasetWriter::create(folder.path(), options).expect_err("out of bounds").to_string()
    };
    let options = WriterOptions { rotate_bytes: 1, ..WriterOptions::default() };
    assert_eq!(refused(options), "`rotate_bytes` must be at least 65536, got 1");
    let options = WriterOptions { row_group_rows: 0, ..WriterOptions::default() };
    assert_eq!(refused(options), "`row_group_rows` must be 1 to 1048576, got 0");
}
