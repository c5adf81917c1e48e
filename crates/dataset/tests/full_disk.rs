//! A disk that runs full ends the writing with a clear error, and leaves nothing half.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dataset::{Dataset, DatasetError, DatasetWriter, TableKind, WriterOptions};
use support::{Traffic, files, small_groups};

/// The small disk; only the child has it.
const DISK: &str = "WEIR_TEST_SMALL_DISK";

#[test]
#[ignore = "the child of the test below, which runs it on a small disk of its own"]
fn a_child_writes_until_its_disk_is_full() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let root = Path::new(&disk);
    let options = WriterOptions { rotate_every: Duration::from_secs(1), ..small_groups() };
    let mut writer = DatasetWriter::create(root, options).expect("a folder");
    let error = Traffic::new(1, 400)
        .take(1_000)
        .find_map(|one| writer.write(&one.window, one.time_ns, &one.observed).err())
        .expect("the disk is small");
    let told = error.to_string();
    assert!(matches!(error, DatasetError::Io { .. }), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    assert!(told.ends_with("make room or choose another folder (finished files are whole)"));
    let finished = writer.written().files.clone();
    assert!(finished.len() >= 3, "{finished:?}");
    for file in &finished {
        let dataset = Dataset::open(&[&file.path]).expect("whole");
        assert_eq!(TableKind::ALL.map(|table| dataset.rows(table)).iter().sum::<u64>(), file.rows);
    }
    let left = files(root);
    assert!(left.iter().all(|path| path.extension() == Some("parquet".as_ref())), "{left:?}");
    println!("full and whole");
}

#[test]
fn a_full_disk_is_said_so_and_leaves_whole_files() {
    if !test_support::root() {
        return;
    }
    let (Some(unshare), Some(_)) =
        (test_support::program("unshare"), test_support::program("mount"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    // The mount is the child's own, and goes with it.
    let output = Command::new(unshare)
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=768k tmpfs \"$WEIR_TEST_SMALL_DISK\" && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "a_child_writes_until_its_disk_is_full", "--ignored", "--nocapture"])
        .env(DISK, folder.path())
        .output()
        .expect("unshare starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{failed}");
    assert!(told.contains("full and whole"), "{told}{failed}");
}
