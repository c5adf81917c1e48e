//! Where rows come from: a capture's are there once, and windows are of one length.

mod support;

use std::path::Path;
use std::time::Duration;

use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use dataset::{
    Columns, Dataset, DatasetError, DatasetWriter, LabelOptions, Origin, Provenance, Selection,
    TableKind, Truth, WriterOptions, Written,
};
use support::{Captured, Traffic, blocks, files, open, small_groups};

fn of(captures: &[(u8, &str)]) -> Provenance {
    let origin = |&(byte, name): &(u8, &str)| Origin { digest: [byte; 32], name: name.to_owned() };
    Provenance {
        origins: captures.iter().map(origin).collect(),
        window_ns: Some(1_000_000_000),
        home: Some("192.0.2.0/24".to_owned()),
    }
}

fn writer(root: &Path, provenance: Provenance) -> Result<DatasetWriter, DatasetError> {
    // Small files, so that a run has several.
    let options = WriterOptions { rotate_every: Duration::from_secs(2), ..small_groups() };
    DatasetWriter::create_from(root, options, provenance)
}

fn fill(mut writer: DatasetWriter, windows: &[Captured]) -> Written {
    for one in windows {
        writer.write(&one.window, one.time_ns, &one.observed).expect("room");
    }
    writer.finish().expect("room")
}

#[test]
fn a_second_run_of_a_capture_replaces_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 40, 5);
    let run = |captures: &[(u8, &str)]| {
        fill(writer(folder.path(), of(captures)).expect("a folder"), &windows)
    };
    let first = run(&[(1, "a.pcap")]);
    let counts = (first.replaced.len(), first.rows[0], first.rows[TableKind::Window.index()]);
    assert_eq!(counts, (0, 200, 5));
    let rows = open(folder.path()).rows(TableKind::Flow);
    let second = run(&[(1, "renamed.pcap.zst")]);
    assert_eq!(second.replaced.len(), first.files.len());
    assert_eq!(open(folder.path()).rows(TableKind::Flow), rows, "not doubled");
    // Other frames are other rows.
    run(&[(2, "b.pcap")]);
    let dataset = open(folder.path());
    assert_eq!(dataset.rows(TableKind::Flow), 2 * rows);
    let file = dataset.files(TableKind::Flow).next().expect("a file");
    assert_eq!(file.provenance.home.as_deref(), Some("192.0.2.0/24"));
    let everything = Selection { columns: Columns::All, ..Selection::default() };
    let mut sources: Vec<String> = blocks(&dataset, TableKind::Peer, &everything)
        .iter()
        .flat_map(|block| {
            let sources = block.batch.column_by_name("source").expect("a column").clone();
            let text = sources.as_string::<i32>().clone();
            (0..text.len()).map(move |row| text.value(row).to_owned()).collect::<Vec<_>>()
        })
        .collect();
    sources.sort();
    sources.dedup();
    assert_eq!(sources, ["b.pcap", "renamed.pcap.zst"]);
}

#[test]
fn what_a_killed_run_finished_is_replaced_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 40, 5);
    let mut killed = writer(folder.path(), of(&[(1, "a.pcap")])).expect("a folder");
    for one in &windows[..3] {
        killed.write(&one.window, one.time_ns, &one.observed).expect("room");
    }
    // Its first file is finished, and it never gets to the end.
    drop(killed);
    assert!(open(folder.path()).rows(TableKind::Window) > 0);
    let written = fill(writer(folder.path(), of(&[(1, "a.pcap")])).expect("a folder"), &windows);
    assert!(!written.replaced.is_empty());
    assert_eq!(open(folder.path()).rows(TableKind::Window), 5);
}

#[test]
fn two_writers_of_equal_captures_do_not_race() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = writer(folder.path(), of(&[(1, "a.pcap")])).expect("a folder");
    let error = writer(folder.path(), of(&[(1, "copy.pcap")])).expect_err("it is being written");
    assert!(matches!(error, DatasetError::Claimed { .. }), "{error}");
    assert!(error.to_string().starts_with("rows of `copy.pcap`, or of a capture of the same"));
    writer(folder.path(), of(&[(2, "b.pcap")])).expect("another capture");
    drop(first);
    writer(folder.path(), of(&[(1, "copy.pcap")])).expect("nobody writes it any more");
}

#[test]
fn a_capture_that_was_replayed_with_others_is_not_replaced_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 40, 2);
    fill(writer(folder.path(), of(&[(1, "a"), (2, "b")])).expect("a folder"), &windows);
    let error = writer(folder.path(), of(&[(1, "a")])).expect_err("b's rows would go");
    assert!(matches!(error, DatasetError::Together { .. }), "{error}");
    // In another order they are the same captures.
    fill(writer(folder.path(), of(&[(2, "b"), (1, "a")])).expect("the same"), &windows);
    assert_eq!(open(folder.path()).rows(TableKind::Window), 2);
}

#[test]
fn rows_of_a_capture_from_two_folders_are_refused() {
    let [one, other, labelled] = [0; 3].map(|_| tempfile::tempdir().expect("a folder"));
    let windows = Traffic::windows(1, 40, 3);
    for folder in [&one, &other] {
        fill(writer(folder.path(), of(&[(1, "a.pcap")])).expect("a folder"), &windows);
    }
    let error = Dataset::open(&[one.path(), other.path()]).expect_err("doubled").to_string();
    assert!(error.contains("both hold rows of the capture `a.pcap`"), "{error}");
    // A labelled copy keeps where its rows come from.
    let out = labelled.path().join("out");
    let options = LabelOptions { out: Some(out.clone()), ..LabelOptions::default() };
    dataset::label(&open(one.path()), &Truth::default(), &options).expect("room");
    let error = Dataset::open(&[one.path(), &out]).expect_err("doubled").to_string();
    assert!(error.contains("`a.pcap`"), "{error}");
}

#[test]
fn windows_of_two_lengths_are_refused_by_name() {
    let [one, other, untold] = [0; 3].map(|_| tempfile::tempdir().expect("a folder"));
    let windows = Traffic::windows(1, 40, 3);
    fill(writer(one.path(), of(&[(1, "a.pcap")])).expect("a folder"), &windows);
    let minutes = Provenance { window_ns: Some(60_000_000_000), ..of(&[(2, "b.pcap")]) };
    fill(writer(other.path(), minutes).expect("a folder"), &windows);
    // Without a word in the footer the rows tell.
    fill(writer(untold.path(), Provenance::default()).expect("a folder"), &windows);
    assert_eq!(open(untold.path()).window_ns().expect("one"), Some(1_000_000_000));
    Dataset::open(&[one.path(), untold.path()]).expect("both of a second");
    for second in [&one, &untold] {
        let error = Dataset::open(&[second.path(), other.path()]).expect_err("mixed").to_string();
        assert!(error.starts_with("windows of ") && error.contains("60s in"), "{error}");
        assert!(error.contains("1s in") && error.contains("--window"), "{error}");
    }
}

#[test]
fn whole_flows_stand_beside_the_windows_and_are_no_table_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 40, 5);
    let written = fill(writer(folder.path(), of(&[(1, "a.pcap")])).expect("a folder"), &windows);
    let connection = folder.path().join("connection");
    let found = files(&connection);
    assert_eq!(found.len(), 1);
    assert!(written.files.iter().any(|file| file.path == found[0]));
    let file = std::fs::File::open(&found[0]).expect("there");
    let rows: i64 = parquet::file::reader::SerializedFileReader::new(file)
        .map(|file| parquet::file::reader::FileReader::metadata(&file).file_metadata().num_rows())
        .expect("Parquet");
    let flows: std::collections::BTreeSet<_> =
        windows.iter().flat_map(|one| one.window.flows.iter().map(|(key, _)| *key)).collect();
    assert_eq!(usize::try_from(rows).expect("positive"), flows.len());
    let packets: u64 = windows
        .iter()
        .flat_map(|one| &one.window.flows)
        .map(|(_, counters)| counters.packets())
        .sum();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
        std::fs::File::open(&found[0]).expect("there"),
    );
    let told: u64 = reader
        .expect("Parquet")
        .build()
        .expect("rows")
        .flat_map(|batch| {
            let batch = batch.expect("whole");
            ["ingress_packets", "egress_packets"].map(|name| {
                let column = batch.column_by_name(name).expect(name);
                column.as_primitive::<arrow_array::types::UInt64Type>().values().iter().sum::<u64>()
            })
        })
        .sum();
    assert_eq!(told, packets, "raw totals");
    // The folder opens as before.
    assert_eq!(open(folder.path()).rows(TableKind::Window), 5);
}
