//! A truth's labels on the rows it speaks of, and on no others.

mod support;

use std::path::Path;

use dataset::{
    Block, Columns, Dataset, Label, LabelFilter, LabelOptions, Labelled, Selection, TableKind,
    Truth,
};
use support::{Traffic, UNIX_START, blocks, files, open, small_groups, write};

const TABLES: [TableKind; 2] = [TableKind::Flow, TableKind::Peer];
const SITES: [TableKind; 3] = [TableKind::Host, TableKind::Service, TableKind::Net];

fn truth(lines: &str) -> Truth {
    let text = format!("from,to,remote,local_port,protocol,class,name\n{lines}");
    Truth::from_csv(Path::new("t.csv"), &text).expect("a truth")
}

/// Seconds of the first window, plus some.
fn at(second: i64) -> i64 {
    UNIX_START / 1_000_000_000 + second
}

fn label(root: &Path, truth: &Truth, options: &LabelOptions) -> Labelled {
    dataset::label(&open(root), truth, options).expect("room")
}

fn labelled_blocks(root: &Path, table: TableKind, columns: Columns) -> Vec<Block> {
    blocks(&open(root), table, &Selection { columns, ..Selection::default() })
}

fn count(done: &Labelled, table: TableKind, class: Option<&str>) -> u64 {
    let found = |one: &&dataset::ClassCount| one.table == table && one.class.as_deref() == class;
    done.classes.iter().find(found).map_or(0, |one| one.rows)
}

#[test]
fn rows_of_an_attack_get_its_class_and_name_and_the_rest_what_the_truth_says() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(1, 200, 6));
    let mut truth = truth(&format!(
        "{},{},203.0.113.0/27,,tcp,syn_scan,noon\n{},{},203.0.113.255,,,udp_flood,never\n",
        at(2),
        at(3) - 1,
        at(2),
        at(3),
    ));
    truth.intervals[0].to_ns += 999_999_999;
    truth.rest = dataset::Rest::Benign;
    let done = label(folder.path(), &truth, &LabelOptions::default());
    assert_eq!(done.matched[1], 0);
    assert_eq!(
        done.matched[0],
        TABLES
            .iter()
            .chain(&SITES)
            .map(|&table| count(&done, table, Some("syn_scan")))
            .sum::<u64>()
    );
    // The window, and the ten seconds that it is in.
    assert_eq!(count(&done, TableKind::Net, Some("syn_scan")), 2);

    let scan = Label::of(Some("syn_scan"), Some("noon"));
    let prefix: ipnet::IpNet = "203.0.113.0/27".parse().expect("a prefix");
    for table in TABLES {
        let mut scanned = 0;
        for block in labelled_blocks(folder.path(), table, Columns::All) {
            for row in 0..block.len() {
                let is_tcp = block.batch.column_by_name("protocol").is_none_or(|column| {
                    use arrow_array::cast::AsArray as _;
                    column.as_primitive::<arrow_array::types::UInt8Type>().value(row) == 6
                });
                let start_ns = UNIX_START.unsigned_abs();
                let offset_ns = start_ns - 100 * support::SECOND;
                // Of peers also rows that came later and cover that window.
                let covers = block.covers.get(row).map_or_else(
                    || block.window_start_ns[row]..block.window_end_ns[row],
                    |span| span.start_ns..span.end_ns,
                );
                let then_ns = (at(2) * 1_000_000_000).unsigned_abs() - offset_ns;
                let is_then = covers.contains(&then_ns);
                let is_scan = is_then && is_tcp && prefix.contains(&block.remote[row]);
                assert_eq!(block.label(row), if is_scan { &scan } else { &Label::Benign });
                scanned += u64::from(is_scan);
            }
        }
        assert!(scanned > 0);
        assert_eq!(count(&done, table, Some("syn_scan")), scanned, "{table}");
    }
}

#[test]
fn labelling_again_replaces_the_labels_and_keeps_all_else() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(2, 100, 3));
    let before = files(folder.path());
    let plain = labelled_blocks(folder.path(), TableKind::Flow, Columns::All);
    let sums = open(folder.path()).files(TableKind::Flow).next().expect("a file").sums.clone();
    let anybody = truth(",,0.0.0.0/0,,,x,\n");
    let nobody = Truth::default();
    label(folder.path(), &anybody, &LabelOptions::default());
    let done = label(folder.path(), &nobody, &LabelOptions::default());
    assert_eq!(count(&done, TableKind::Flow, None), 300);
    assert_eq!(files(folder.path()), before);
    let again = labelled_blocks(folder.path(), TableKind::Flow, Columns::All);
    for (block, old) in again.iter().zip(&plain) {
        assert!(block.labels.as_ref().expect("labels").iter().all(|one| *one == Label::Unlabelled));
        assert_eq!(block.batch.columns()[..old.batch.num_columns()], *old.batch.columns());
    }
    let after = open(folder.path()).files(TableKind::Flow).next().expect("a file").sums.clone();
    assert_eq!(after, sums);
}

#[test]
fn a_copy_has_all_tables_and_leaves_the_original_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    write(&from, small_groups(), &Traffic::windows(3, 50, 12));
    let options = LabelOptions { out: Some(to.clone()), ..LabelOptions::default() };
    let done = label(&from, &truth(",,203.0.113.0/24,,,x,\n"), &options);
    assert_eq!(done.files, 2 * 6);
    assert!(!open(&from).is_labelled(TableKind::Flow));
    assert!(open(&to).is_labelled(TableKind::Flow) && open(&to).is_labelled(TableKind::Peer));
    let names = |root: &Path| -> Vec<_> {
        files(root).iter().map(|path| path.strip_prefix(root).expect("inside").to_owned()).collect()
    };
    assert_eq!(names(&from), names(&to));
    let error = dataset::label(&open(&from), &Truth::default(), &options).expect_err("there");
    assert!(error.to_string().contains("exists"), "{error}");
}

#[test]
fn an_offset_moves_the_truth_to_the_datas_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(4, 50, 6));
    // The truth's clock is an hour behind.
    let point = truth(&format!("{0},{0},0.0.0.0/0,,,x,\n", at(2) - 3_600));
    let options = LabelOptions { offset_ns: 3_600_000_000_000, ..LabelOptions::default() };
    assert_eq!(count(&label(folder.path(), &point, &options), TableKind::Flow, Some("x")), 50);
    let none = label(folder.path(), &point, &LabelOptions::default());
    assert_eq!((count(&none, TableKind::Flow, Some("x")), none.matched), (0, vec![0]));
}

#[test]
fn an_attack_of_unknown_sources_labels_the_peers_of_its_flows() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), small_groups(), &Traffic::windows(5, 30, 4));
    let done = label(folder.path(), &truth(",,,80,,slow_http,\n"), &LabelOptions::default());
    let attackers = |table| -> std::collections::BTreeSet<(u64, std::net::IpAddr)> {
        let selection = Selection { labels: LabelFilter::Attacks, ..Selection::default() };
        blocks(&open(folder.path()), table, &selection)
            .iter()
            .flat_map(|block| {
                let covers = block.covers.iter().map(|span| span.start_ns).collect::<Vec<_>>();
                let starts = if covers.is_empty() { &block.window_start_ns } else { &covers };
                starts.iter().copied().zip(block.remote.clone()).collect::<Vec<_>>()
            })
            .collect()
    };
    assert_eq!(attackers(TableKind::Flow), attackers(TableKind::Peer));
    let peers = count(&done, TableKind::Peer, Some("slow_http"));
    // A row that came again, completed by late outcomes, has its first one's label.
    assert!(peers >= attackers(TableKind::Peer).len() as u64);
    assert!(peers > 0 && count(&done, TableKind::Peer, None) > 0);
}

#[test]
fn labelled_and_unlabelled_files_are_read_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    write(&one, small_groups(), &Traffic::windows(6, 40, 2));
    write(&two, small_groups(), &Traffic::windows(7, 40, 2));
    label(&one, &truth(",,203.0.113.0/25,,,x,\n,,0.0.0.0/0,,,benign,\n"), &LabelOptions::default());
    let both = Dataset::open(&[&one, &two]).expect("data sets");
    let rows = |labels| -> usize {
        let selection = Selection { labels, ..Selection::default() };
        blocks(&both, TableKind::Flow, &selection).iter().map(Block::len).sum()
    };
    let [attacks, benign] = [rows(LabelFilter::Attacks), rows(LabelFilter::Benign)];
    assert!(attacks > 0 && benign > 0);
    assert_eq!(attacks + benign, 80);
    assert_eq!(rows(LabelFilter::Labelled), 80);
    assert_eq!(rows(LabelFilter::NotAttack), benign + 80);
    assert_eq!(rows(LabelFilter::Any), 160);
    let x = LabelFilter::Classes(["x".to_owned()].into());
    assert_eq!(rows(x), attacks);
}
