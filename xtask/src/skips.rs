//! The log in which tests say that they could not run.
//!
//! A runner counts a test that returns early as passed. So each test that cannot do its work on
//! this machine asks the crate `test-support`, which appends a line `name: why` to the file that
//! [`test_support::SKIP_LOG`] names.

use std::path::{Path, PathBuf};

use crate::counts::Skip;

/// Log of a run, removed at its end.
#[derive(Debug)]
pub(crate) struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    /// Starts an empty log of this process under cargo's target folder.
    pub(crate) fn start(target: &Path) -> std::io::Result<Self> {
        let folder = target.join("xtask");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("skips-{}.log", std::process::id()));
        std::fs::write(&path, "")?;
        Ok(Self { path })
    }

    /// Path that the tests append to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Skips that the tests have written.
    pub(crate) fn read(&self) -> std::io::Result<Vec<Skip>> {
        Ok(parse(&String::from_utf8_lossy(&std::fs::read(&self.path)?)))
    }
}

impl Drop for SkipLog {
    fn drop(&mut self) {
        // A log that stays behind is overwritten by the next process of the same number.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A name ends at the first colon with a space behind it: `module::test: why`.
fn parse(log: &str) -> Vec<Skip> {
    log.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let line = line.strip_prefix("skipped: ").unwrap_or(line);
            let (name, why) = line.split_once(": ").unwrap_or((line, "no reason given"));
            Skip { name: name.trim().to_owned(), why: why.trim().to_owned() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_name_and_a_reason() {
        let cases = [
            ("e2e::scan: not root\n", "e2e::scan", "not root"),
            ("skipped: scan: not root: CAP_BPF missing", "scan", "not root: CAP_BPF missing"),
            ("  scan : why ", "scan", "why"),
            ("scan", "scan", "no reason given"),
        ];
        for (line, name, why) in cases {
            let expected = Skip { name: name.to_owned(), why: why.to_owned() };
            assert_eq!(parse(line), [expected], "{line}");
        }
        assert_eq!(parse("\n  \n"), []);
    }

    #[test]
    fn a_log_is_empty_at_its_start_and_gone_at_its_end() {
        let target = std::env::temp_dir().join(format!("weir-xtask-{}", std::process::id()));
        let log = SkipLog::start(&target).expect("a writable temporary folder");
        let path = log.path().to_path_buf();
        assert_eq!(log.read().expect("readable"), []);
        std::fs::write(&path, "a: b\n").expect("writable");
        assert_eq!(log.read().expect("readable").len(), 1);
        drop(log);
        assert!(!path.exists());
        std::fs::remove_dir_all(&target).expect("removable");
    }
}
