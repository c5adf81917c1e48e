//! Requirements of a test on the machine it runs on.
//!
//! A test that needs root, a program or a capture that is not there must neither fail nor pass in
//! silence. It asks here first, and returns when told so; the request has then been counted as a
//! skip, with its reason, and `cargo xtask test` lists it:
//!
//! ```no_run
//! # fn open(_: std::path::PathBuf) {}
//! fn a_scan_is_seen_by_the_loaded_program() {
//!     if !test_support::root() {
//!         return;
//!     }
//!     let Some(captures) = test_support::shared_data() else { return };
//!     open(captures.join("slips"));
//! }
//! ```
//!
//! Never here: a dependency, a change to the machine, or an opinion about what matters
//! enough to fail.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// The variable that names the file to which skips are appended, one line `name: why` for each.
/// Unset, as under a plain `cargo test`, skips are only printed.
pub const SKIP_LOG: &str = "WEIR_SKIP_LOG";

/// The variable that names the folder of captures, where it is not `../shared/data`.
pub const SHARED_DATA: &str = "WEIR_SHARED_DATA";

/// The capabilities that loading programs and making namespaces takes, with their numbers in
/// `linux/capability.h`.
const CAPABILITIES: [(&str, u32); 3] =
    [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21), ("CAP_BPF", 39)];

/// Counts the running test as skipped, because of `why`. The test itself must still return.
///
/// The test is named by its file and by its thread, which libtest names after the test.
///
/// # Panics
///
/// If the log cannot be written, because a skip that nobody counts is a test that passes in
/// silence.
#[track_caller]
pub fn skip(why: &str) {
    let file = Location::caller().file();
    let thread = std::thread::current();
    let line = format!("{file}::{}: {why}\n", thread.name().unwrap_or("unnamed"));
    eprint!("skipped: {line}");
    let Some(log) = std::env::var_os(SKIP_LOG) else { return };
    // A single call, so that the lines of tests that run at once do not mix.
    let written = OpenOptions::new()
        .append(true)
        .open(&log)
        .and_then(|mut log| log.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("the skip cannot be counted in {}: {error}", log.display());
    }
}

/// True where the test may load programs and make namespaces; otherwise it is counted as skipped.
#[must_use]
#[track_caller]
pub fn root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match rights(&status) {
        Ok(()) => true,
        Err(why) => {
            skip(&why);
            false
        }
    }
}

/// Path of a program; if it is not in `PATH`, the test is counted as skipped.
#[must_use]
#[track_caller]
pub fn program(name: &str) -> Option<PathBuf> {
    let found = find_program(name);
    if found.is_none() {
        skip(&format!("`{name}` is not installed"));
    }
    found
}

/// The folder of captures that the project does not ship: the one that [`SHARED_DATA`] names, or
/// `../shared/data` from the workspace; if there is none, the test is counted as skipped.
#[must_use]
#[track_caller]
pub fn shared_data() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os(SHARED_DATA)
        .map_or_else(|| workspace.join("../shared/data"), PathBuf::from);
    if let Ok(found) = folder.canonicalize() {
        return Some(found);
    }
    skip(&format!("no captures in {} ({SHARED_DATA} names another folder)", folder.display()));
    None
}

/// The first file of this name in `PATH` or in a folder of system programs. Counts nothing.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// True where the effective user is root. Counts nothing.
#[must_use]
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| effective_user(&status) == Some(0))
}

/// Reads `/proc/<pid>/status`. Root in a container may well lack what root stands for here.
fn rights(status: &str) -> Result<(), String> {
    let effective = field(status, "CapEff:")
        .and_then(|words| u64::from_str_radix(words.trim(), 16).ok())
        .unwrap_or(0);
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(_, number)| effective & (1 << number) == 0)
        .map(|(name, _)| *name)
        .collect();
    match (missing.is_empty(), effective_user(status)) {
        (true, _) => Ok(()),
        (false, Some(0)) => Err(format!("root without {}", missing.join(", "))),
        (false, _) => Err("not root".to_owned()),
    }
}

/// The second number of the line `Uid: real effective saved filesystem`.
fn effective_user(status: &str) -> Option<u32> {
    field(status, "Uid:")?.split_whitespace().nth(1)?.parse().ok()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_user_is_read_from_the_status_file() {
        let cases = [
            ("Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t1\t1\t1\t1\n", Some(0)),
            ("Uid:\t0\t1000\t0\t0\n", Some(1000)),
            ("Uid:\t0\n", None),
            ("Name:\tx\n", None),
        ];
        for (status, expected) in cases {
            assert_eq!(effective_user(status), expected, "{status}");
        }
    }

    #[test]
    fn rights_are_those_of_the_effective_capabilities() {
        let cases = [
            ("Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n", Ok(())),
            ("Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000008000201000\n", Ok(())),
            ("Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n", Err("not root")),
            // Docker's default set.
            (
                "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n",
                Err("root without CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_BPF"),
            ),
            ("Uid:\t0\t0\t0\t0\nCapEff:\t0000000000201000\n", Err("root without CAP_BPF")),
            ("", Err("not root")),
        ];
        for (status, expected) in cases {
            assert_eq!(rights(status), expected.map_err(str::to_owned), "{status}");
        }
    }

    #[test]
    fn a_program_is_found_by_its_name() {
        assert!(find_program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find_program("no-such-program-of-weir"), None);
    }
}
