//! Round trips: rows, labels of files, cuts and selections are read as they were written.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use dataset::{Columns, Dataset, Selection, StoredWindow, TableKind, WriterOptions};
use features::{Feature as _, FlowFeature, Horizon, HostFeature, Kind, PeerFeature};
use support::{SECOND, Traffic, UNIX_START, blocks, files, open, small_groups, write};

#[test]
fn every_row_comes_back_with_its_features_times_and_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, 100, 5);
    let written = write(folder.path(), small_groups(), &windows);
    let dataset = open(folder.path());
    assert_eq!(written.rows[0], 500);
    assert_eq!(TableKind::ALL.map(|table| dataset.rows(table)), written.rows);

    let flows = blocks(&dataset, TableKind::Flow, &Selection::default());
    let expected: Vec<_> = windows.iter().flat_map(|one| &one.observed.flows).cloned().collect();
    assert!(flows.iter().all(|block| block.rows.is_empty()), "no column of flows is scored");
    let remotes = flows.iter().flat_map(|block| block.remote.clone());
    let addresses = expected.iter().map(|flow| dataset::schema::address(flow.key.remote));
    assert!(remotes.eq(addresses));
    let starts = flows.iter().flat_map(|block| block.window_start_ns.clone());
    assert!(starts.eq(expected.iter().map(|flow| flow.window.start_ns)));
    let offsets: BTreeSet<i128> = flows
        .iter()
        .flat_map(|block| block.time_ns.iter().zip(&block.window_start_ns))
        .map(|(&time, &start)| i128::from(time) - i128::from(start))
        .collect();
    assert_eq!(offsets, [i128::from(UNIX_START) - 100 * i128::from(SECOND)].into());

    let peers = blocks(&dataset, TableKind::Peer, &Selection::default());
    let expected: Vec<_> = windows.iter().flat_map(|one| &one.observed.peers).cloned().collect();
    let rows: Vec<f32> = peers.iter().flat_map(|block| block.rows.clone()).collect();
    assert_eq!(rows, PeerFeature::rows(&expected));
    assert!(peers.iter().all(|block| block.labels.is_none() && block.facts.is_empty()));

    let all = Selection { columns: Columns::All, ..Selection::default() };
    let facts = blocks(&dataset, TableKind::Peer, &all).into_iter().flat_map(|block| block.facts);
    assert!(facts.eq(expected.iter().map(|peer| peer.counts.facts)));
    let covers = peers.iter().flat_map(|block| block.covers.clone());
    assert!(covers.eq(expected.iter().map(|peer| peer.span)));
    for kind in [Kind::Host, Kind::Net] {
        let sites: Vec<_> = windows.iter().flat_map(|one| one.observed.sites_of(kind)).collect();
        let found = blocks(&dataset, kind.into(), &Selection::default());
        let rows: Vec<f32> = found.iter().flat_map(|block| block.rows.clone()).collect();
        assert_eq!(rows, HostFeature::rows(sites), "{kind}");
    }
    let stored = blocks(&dataset, TableKind::Window, &all).into_iter();
    let stored: Vec<_> = stored.flat_map(|block| block.windows).collect();
    let expected = windows.iter().zip(0..);
    let expected =
        expected.map(|(one, index)| StoredWindow { index, is_lossy: one.window.is_lossy() });
    assert!(stored.into_iter().eq(expected));
}

#[test]
fn a_footer_holds_what_its_windows_add_up_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(2, 30, 9);
    let written = write(folder.path(), small_groups(), &windows);
    let dataset = open(folder.path());
    for table in TableKind::ALL {
        let file = dataset.files(table).next().expect("one file");
        assert_eq!(file.sums, written.sums, "{table}");
    }
    assert_eq!((written.sums.windows, written.sums.lossy_windows), (9, 1));
    let packets: u64 = windows.iter().map(|one| one.window.packet_counters.segments_seen()).sum();
    assert_eq!(written.sums.packets().iter().sum::<u64>(), packets);
}

#[test]
fn a_file_never_spans_two_hours_and_lies_in_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(3, 20, 20));
    let dataset = open(folder.path());
    let paths: Vec<String> = dataset
        .files(TableKind::Window)
        .map(|file| {
            let root = folder.path().canonicalize().expect("a folder");
            file.path.strip_prefix(root).expect("inside").display().to_string()
        })
        .collect();
    assert_eq!(
        paths,
        [
            "window/date=2026-11-22/hour=21/20261122T215950.000000000Z-0.parquet",
            "window/date=2026-11-22/hour=22/20261122T220000.000000000Z-0.parquet",
        ]
    );
    let rows: Vec<u64> = dataset.files(TableKind::Window).map(|file| file.rows).collect();
    assert_eq!(rows, [10, 10]);
}

#[test]
fn files_are_cut_by_time_by_size_and_where_time_goes_back() {
    let cut = |options: WriterOptions, windows: &[support::Captured]| -> Vec<u64> {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), options, windows);
        open(folder.path()).files(TableKind::Window).map(|file| file.rows).collect()
    };
    let windows = Traffic::windows(4, 20, 9);
    let by_time =
        WriterOptions { rotate_every: Duration::from_secs(4), ..WriterOptions::default() };
    assert_eq!(cut(by_time, &windows), [4, 4, 1]);
    assert_eq!(cut(WriterOptions::default(), &windows), [9]);

    let wide = Traffic::windows(5, 2_000, 6);
    let by_size = WriterOptions { rotate_bytes: 64 << 10, ..WriterOptions::default() };
    assert_eq!(cut(by_size, &wide), [1; 6]);

    let mut set_back = windows;
    for one in &mut set_back[5..] {
        one.time_ns -= 3_000_000_000;
    }
    // In the order of their first windows: 0 s and 2 s.
    assert_eq!(cut(WriterOptions::default(), &set_back), [5, 4]);
}

#[test]
fn the_same_windows_make_the_same_bytes() {
    let [one, other] = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
    for folder in [&one, &other] {
        write(folder.path(), small_groups(), &Traffic::windows(6, 100, 12));
    }
    let contents = |folder: &tempfile::TempDir| -> Vec<_> {
        let read = |path: std::path::PathBuf| {
            let bytes = std::fs::read(&path).expect("a file");
            (path.strip_prefix(folder.path()).expect("inside").to_owned(), bytes)
        };
        files(folder.path()).into_iter().map(read).collect()
    };
    assert_eq!(contents(&one).len(), 12);
    assert!(contents(&one) == contents(&other));
}

#[test]
fn two_writers_that_begin_in_the_same_nanosecond_do_not_collide() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(7, 10, 3);
    let mut writers: Vec<_> = (0..3)
        .map(|_| dataset::DatasetWriter::create(folder.path(), small_groups()).expect("a folder"))
        .collect();
    for one in &windows {
        for writer in &mut writers {
            writer.write(&one.window, one.time_ns, &one.observed).expect("room");
        }
    }
    for writer in writers {
        writer.finish().expect("room");
    }
    write(folder.path(), small_groups(), &windows);
    let dataset = open(folder.path());
    assert_eq!(TableKind::ALL.map(|table| dataset.files(table).count()), [4; 6]);
    assert_eq!((dataset.rows(TableKind::Flow), dataset.rows(TableKind::Window)), (120, 12));
}

#[test]
fn a_time_range_reads_only_the_row_groups_it_touches() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(8, 64, 18));
    let dataset = open(folder.path());
    let at = |second: i64| Some(UNIX_START + second * 1_000_000_000);
    let selection = Selection { from_ns: at(3), to_ns: at(5), ..Selection::default() };
    let mut reading = dataset.blocks(TableKind::Flow, &selection);
    let rows: usize = reading.by_ref().map(|block| block.expect("whole").len()).sum();
    let read_counts = reading.read_counts();
    assert_eq!(rows, 128);
    assert_eq!((read_counts.files, read_counts.skipped_files), (1, 1));
    assert_eq!((read_counts.row_groups, read_counts.skipped_row_groups), (2, 8));
    assert_eq!((read_counts.selected, read_counts.outside_time), (128, 16 * 64));
}

#[test]
fn what_is_left_out_is_counted_by_its_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(9, 50, 9);
    write(folder.path(), small_groups(), &windows);
    let dataset = open(folder.path());
    let selection = Selection {
        exclude_prefixes: vec!["203.0.113.0/26".parse().expect("a prefix")],
        skip_lossy: true,
        skip_first_windows: 2,
        ..Selection::default()
    };
    for (table, rows) in [(TableKind::Flow, 450), (TableKind::Peer, dataset.rows(TableKind::Peer))]
    {
        let mut reading = dataset.blocks(table, &selection);
        let prefix = selection.exclude_prefixes[0];
        for block in reading.by_ref() {
            let block = block.expect("whole");
            assert!(block.remote.iter().all(|remote| !prefix.contains(remote)));
            let warm = windows[2].window.start_ns;
            assert!(block.window_start_ns.iter().all(|&start| start >= warm));
            assert!(!block.window_start_ns.contains(&windows[6].window.start_ns));
        }
        let read_counts = reading.read_counts();
        assert!(
            read_counts.lossy > 0 && read_counts.warm_up > 0 && read_counts.unwanted_remote > 0,
            "{read_counts:?}"
        );
        let all = read_counts.lossy
            + read_counts.warm_up
            + read_counts.unwanted_remote
            + read_counts.selected;
        assert_eq!((all, read_counts.files_without_windows), (rows, 0), "{table}");
    }
}

#[test]
fn only_the_columns_that_were_asked_for_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(10, 20, 2));
    let dataset = open(folder.path());
    let columns = |columns| {
        let selection = Selection { columns, ..Selection::default() };
        let of = |table| {
            let block = blocks(&dataset, table, &selection).remove(0);
            (block.batch.num_columns(), block.rows.len() / block.len())
        };
        [of(TableKind::Flow), of(TableKind::Peer)]
    };
    let (flow, all, scored) =
        (FlowFeature::ALL.len(), PeerFeature::ALL.len(), PeerFeature::scored().count());
    assert_eq!(columns(Columns::Features), [(4, 0), (8 + scored, scored)]);
    assert_eq!(columns(Columns::Identity), [(11, 0), (15, 0)]);
    assert_eq!(columns(Columns::All), [(11 + flow, 0), (15 + all, scored)]);
}

#[test]
fn rows_of_one_horizon_are_read_alone_and_the_others_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(12, 20, 14));
    let dataset = open(folder.path());
    let horizon = Horizon::from_ms(10_000);
    let selection = Selection { horizon: Some(horizon), ..Selection::default() };
    let mut reading = dataset.blocks(TableKind::Net, &selection);
    let rows: Vec<_> = reading.by_ref().map(|block| block.expect("whole")).collect();
    let [block] = &rows[..] else { panic!("one block") };
    assert_eq!((block.len(), block.horizon[0]), (1, horizon));
    assert_eq!(block.covers[0].duration_ns(), 10 * SECOND);
    let all = dataset.rows(TableKind::Net);
    assert_eq!(reading.read_counts().other_horizon, all - 1);
    // The seventh window was lossy, and so is what covers it.
    let selection = Selection { skip_lossy: true, ..selection };
    let mut reading = dataset.blocks(TableKind::Net, &selection);
    assert!(reading.next().is_none());
    assert_eq!(reading.read_counts().lossy, 1);
}

#[test]
fn a_file_named_twice_is_taken_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = write(folder.path(), small_groups(), &Traffic::windows(11, 20, 2));
    let file = &written.files[0].path;
    let dataset = Dataset::open(&[folder.path(), file, file]).expect("a data set");
    assert_eq!(dataset.rows(TableKind::Flow), 40);
    let alone = Dataset::open(&[file]).expect("a data set");
    assert!(alone.require(TableKind::Flow).is_ok() && alone.require(TableKind::Peer).is_err());
}
