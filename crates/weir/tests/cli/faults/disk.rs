//! A full disk, a reader that does not read, a ledger that is damaged.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use ledger::{ActQuery, BlockQuery, Ledger};
use nix::{
    fcntl::{FcntlArg, fcntl},
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::{blocked, json, ready, wait_for, window};
use crate::support::{Bench, assert_one_line, told};

/// A small file system in a bench's folder.
struct Disk(PathBuf);

impl Disk {
    fn mount(bench: &Bench, size: &str) -> Self {
        let path = PathBuf::from(bench.path("disk"));
        fs::create_dir(&path).expect("a folder");
        let options = format!("size={size}");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(&*options)).expect("it");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("a path in UTF-8")
    }

    /// Writes until nothing more goes in.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).expect("a file");
        for piece in [1 << 16, 1 << 8, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(self.path("filler")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_holds_up_no_block_and_what_was_done_meanwhile_is_recorded_later() {
    let Some(bench) = Bench::new() else { return };
    let disk = Disk::mount(&bench, "4m");
    let mut weir = bench.enforcing(&[
        ("WEIR__LEDGER__PATH", &disk.path("ledger.db")),
        ("WEIR__EVENTS__PATH", &disk.path("events.jsonl")),
        ("WEIR__CAPTURE__WINDOW", "200ms"),
    ]);
    wait_for("readiness", || ready(&bench).0 == 200);
    told(&bench.output(&["block", "203.0.113.1", "--for", "10m"]));
    disk.fill();
    wait_for("a ledger that cannot be written", || {
        // What a log or a checkpoint set free meanwhile.
        disk.fill();
        json(&bench, &["status"])["ledger"]["health"] == "failed"
    });
    let (status, text) = ready(&bench);
    assert!(status == 503 && text.contains("the ledger cannot be written"), "{text}");

    let not_recorded = ["it is done, but its record is not durable", "the disk is full"];
    let acts: [(&[&str], &[&str]); 4] = [
        (&["block", "203.0.113.9", "--for", "10m"], &not_recorded),
        (&["unblock", "203.0.113.1"], &not_recorded),
        (&["allow", "add", "203.0.113.128/25"], &["a restart forgets it", "allowed.json"]),
        (&["block", "203.0.113.7", "--list", "new"], &["lists.json"]),
    ];
    for (words, says) in acts {
        let start = Instant::now();
        let output = bench.output(words);
        println!("{words:?}: {:?}", start.elapsed());
        assert_one_line(&output, says);
        assert!(start.elapsed() < Duration::from_secs(3), "{words:?}");
    }
    assert_eq!(blocked(&bench), ["203.0.113.9"]);
    assert!(told(&bench.output(&["allow", "list"])).contains("203.0.113.128/25"));
    let before = window(&bench);
    // The last block of the file still takes a few.
    wait_for("a lost event", || json(&bench, &["status"])["lost_events"].as_u64() > Some(0));
    assert!(window(&bench) > before + 3);

    disk.empty();
    wait_for("readiness", || ready(&bench).0 == 200);
    assert_eq!(json(&bench, &["status"])["ledger"]["lost"], 0);
    let events = || fs::read_to_string(disk.path("events.jsonl")).expect("a file").len();
    let before = events();
    wait_for("an event", || events() > before);
    assert_eq!(weir.terminate(), Some(0));
    let ledger = Ledger::read(disk.0.join("ledger.db").as_path()).expect("a ledger");
    let acts = ledger.acts(&ActQuery::default()).expect("acts").rows;
    let done: Vec<&str> = acts.iter().rev().map(|act| &*act.what).collect();
    assert_eq!(done, ["block", "block", "unblock", "allow"]);
    assert_eq!(ledger.blocks(&BlockQuery::default()).expect("blocks").rows.len(), 2);
}

#[test]
fn a_reader_of_events_that_does_not_read_holds_up_neither_decisions_nor_the_end() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.path("events");
    mkfifo(&*path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
    let reader = reader.expect("its reading end");
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4_096)).expect("a small pipe");
    let mut weir =
        bench.enforcing(&[("WEIR__EVENTS__PATH", &path), ("WEIR__CAPTURE__WINDOW", "100ms")]);
    // A window's event is some 400 bytes.
    wait_for("more windows than the pipe holds", || window(&bench) > 30);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    assert_eq!(weir.terminate(), Some(1), "events were lost");
    assert_eq!(blocked(&bench), ["203.0.113.9"], "the guard goes on");
    drop(reader);
}

#[test]
fn a_ledger_that_is_damaged_ends_no_enforcement_and_is_named_at_the_next_start() {
    let Some(bench) = Bench::new() else { return };
    let mut weir = bench.enforcing(&[("WEIR__CAPTURE__WINDOW", "200ms")]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    let before = window(&bench);
    wait_for("windows", || window(&bench) > before + 3);
    assert_eq!(weir.terminate(), Some(0));
    let mut weir = bench.enforcing(&[("WEIR__CAPTURE__WINDOW", "200ms")]);
    // Every page but the first, as a disk that goes bad leaves them.
    let file = OpenOptions::new().write(true).open(bench.path("ledger.db")).expect("a ledger");
    let length = file.metadata().expect("its length").len();
    file.write_all_at(&vec![0xa5; usize::try_from(length - 4_096).unwrap()], 4_096).expect("it");
    wait_for("a fault", || {
        let _ = bench.output(&["block", "203.0.113.10", "--for", "10m"]);
        json(&bench, &["status"])["ledger"]["health"] == "failed"
    });
    assert_eq!(ready(&bench).0, 503);
    assert_eq!(blocked(&bench), ["203.0.113.9", "203.0.113.10"]);
    weir.kill();

    let model = bench.model();
    let words = ["run", "-i", "eth0", "--model", &model, "--mode", "enforce", "--for", "300ms"];
    let output = bench.output(&words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("ledger.db` is damaged") && error.contains("move it away"), "{error}");
    assert_eq!(blocked(&bench), ["203.0.113.9", "203.0.113.10"], "the guard stays");
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::rename(
            bench.path(&format!("ledger.db{suffix}")),
            bench.path(&format!("old{suffix}")),
        );
    }
    told(&bench.output(&words));
    assert_eq!(blocked(&bench), ["203.0.113.9", "203.0.113.10"], "taken over as found");
}
