//! Lists of blocks, batch after batch.

use super::*;

#[test]
fn a_list_is_loaded_batch_after_batch_and_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::default();
    noted.notes().guards = true;
    let (node, _) = node_with(folder.path(), noted);
    let who = somebody();
    let first = node.import(&who, &batch(None, &["203.0.113.1", "198.51.100.200"], false)).unwrap();
    assert_eq!((first.new, first.refused.len(), first.for_s), (1, 1, 86_400));
    assert_eq!((first.refused[0].entry, &*first.refused[0].code), (1, "own_address"));
    let load = Some(first.load);
    let again = ["203.0.113.1", "203.0.113.2", "0.0.0.0/0"];
    let second = node.import(&who, &batch(load, &again, false)).unwrap();
    assert_eq!((second.new, second.repeated, second.load), (1, 1, first.load));
    assert_eq!(&*second.refused[0].code, "too_wide");
    let full = ["203.0.113.3", "203.0.113.4", "203.0.113.5"];
    let third = node.import(&who, &batch(load, &full, true)).unwrap();
    let stopped = third.stopped.unwrap();
    assert_eq!((third.new, stopped.entry), (1, 1), "there is room for three");
    assert!(stopped.text.contains("tables.blocks"), "{stopped:?}");
    let gone = node.import(&who, &batch(load, &[], false)).unwrap_err();
    assert_eq!(gone.kind, Kind::NotFound);
    let too_long = ImportRequest { for_s: Some(u64::MAX), ..batch(None, &[], false) };
    assert!(node.import(&who, &too_long).unwrap_err().text.contains("a year"));
    node.stop("test");
    let reader = Ledger::read(&folder.path().join("ledger.db")).unwrap();
    let acts = reader.acts(&ActQuery::default()).unwrap().rows;
    assert_eq!(acts.len(), 1);
    let (what, arguments) = (&*acts[0].what, acts[0].arguments.to_string());
    assert_eq!(what, "import");
    assert!(arguments.contains("\"entries\":6") && arguments.contains("\"new\":3"), "{arguments}");
}

#[test]
fn a_load_that_nobody_goes_on_with_makes_room_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let noted = Noted::default();
    noted.notes().guards = true;
    let (node, _) = node_with(folder.path(), noted);
    let begin = || node.import(&somebody(), &batch(None, &[], false));
    let loads: BTreeSet<u64> = (0..4).map(|_| begin().unwrap().load).collect();
    assert_eq!((loads.len(), begin().unwrap_err().kind), (4, Kind::Conflict));
    node.end_idle_loads();
    assert_eq!(begin().unwrap_err().kind, Kind::Conflict, "none is idle yet");
    for load in node.inner().loads.values_mut() {
        load.heard_ns = 0;
    }
    node.end_idle_loads();
    assert!(begin().is_ok());
}
