//! A full disk is said so, leaves the file whole, and is forgotten when there is room again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use ledger::{Ledger, LedgerError, News, Options, Writer, WriterOptions};

use crate::support::{batch, batches_in, raw, run, whole};

/// The small disk; only the child has it.
const DISK: &str = "WEIR_TEST_SMALL_LEDGER_DISK";

#[test]
#[ignore = "is run by the test below, on a small disk of its own"]
fn a_child_records_until_its_disk_is_full() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let disk = Path::new(&disk);
    let path = disk.join("ledger.db");
    let filler = disk.join("filler");
    fs::write(&filler, vec![0; 300 << 10]).expect("room");
    let mut ledger = Ledger::open(&path, &Options::default()).expect("a ledger");
    ledger.append(&[run(1).into()]).expect("room");
    let mut next = 1;
    let error = loop {
        match ledger.append(&batch(next)) {
            Ok(()) => next += 1,
            Err(error) => break error,
        }
        assert!(next < 10_000, "the disk is small");
    };
    let told = error.to_string();
    assert!(matches!(error, LedgerError::Full { .. }), "{told}");
    assert!(
        told.contains("ledger.db`: the disk is full; make room, or lower `max_bytes`"),
        "{told}"
    );
    assert_whole(&path, next);

    // There is room again: by itself for a writer that was waiting, and nothing is lost.
    let options =
        WriterOptions { longest_retry: Duration::from_mins(1), ..WriterOptions::default() };
    let (tell, told) = mpsc::channel();
    let writer = Writer::start(ledger, options, move |news| {
        if let News::Failing(error) = news {
            tell.send(error.to_string()).expect("the test listens");
        }
    })
    .expect("a thread");
    let handle = writer.handle();
    for number in next..next + 5 {
        handle.put(batch(number)).expect("room in the queue");
    }
    let failing = told.recv_timeout(Duration::from_secs(20)).expect("it tells");
    assert!(failing.contains("the disk is full"), "{failing}");
    let late = handle.flush(Duration::from_millis(300)).expect_err("full").to_string();
    assert!(late.contains("not recorded within 300ms: cannot append to"), "{late}");
    fs::remove_file(&filler).expect("room");
    handle.flush(Duration::from_secs(20)).expect("durable");
    let (ledger, health) = writer.stop();
    assert!(health.failures > 0 && health.dropped + health.abandoned == 0, "{health:?}");
    drop(ledger);
    assert_whole(&path, next + 5);
    println!("full and whole after {next} batches");
}

/// All batches before `next` are there, and no part of any other.
fn assert_whole(path: &Path, next: u64) {
    let found = batches_in(&raw(path));
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), (1..next).collect::<Vec<_>>());
    for (number, counts) in found {
        assert_eq!(counts, whole(number), "batch {number}");
    }
}

#[test]
fn a_full_disk_is_said_so_and_leaves_the_file_whole() {
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
        .arg("mount -t tmpfs -o size=1500k tmpfs \"$WEIR_TEST_SMALL_LEDGER_DISK\" && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "full_disk::a_child_records_until_its_disk_is_full", "--ignored"])
        .arg("--nocapture")
        .env(DISK, folder.path())
        .output()
        .expect("unshare starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{failed}");
    assert!(told.contains("full and whole"), "{told}{failed}");
}

#[test]
#[ignore = "is run by the test below, on a disk that may only be read"]
fn a_child_reads_from_a_disk_that_may_only_be_read() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let path = Path::new(&disk).join("ledger.db");
    let told = Ledger::open(&path, &Options::default()).expect_err("read-only").to_string();
    assert!(
        told.contains("it may only be read; give weir a folder that it may write to"),
        "{told}"
    );
    let reader = Ledger::read(&path).expect("to read it is enough");
    assert_eq!(reader.counts().expect("counts").of(ledger::Table::Windows).rows, 1);
    println!("read");
}

#[test]
fn a_ledger_on_a_disk_that_may_only_be_read_is_read_and_not_written() {
    if !test_support::root() {
        return;
    }
    let (Some(unshare), Some(_)) =
        (test_support::program("unshare"), test_support::program("mount"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut ledger = Ledger::open(&path, &Options::default()).expect("a ledger");
    ledger.append(&batch(1)).expect("recorded");
    drop(ledger);
    let output = Command::new(unshare)
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$D\" \"$D\" && mount -o remount,ro,bind \"$D\" && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().expect("this binary"))
        .args(["--exact", "full_disk::a_child_reads_from_a_disk_that_may_only_be_read"])
        .args(["--ignored", "--nocapture"])
        .env("D", folder.path())
        .env(DISK, folder.path())
        .output()
        .expect("unshare starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("read\n"), "{told}{failed}");
}
