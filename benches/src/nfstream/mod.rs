//! nfstream in a process of its own: flows with statistics from a capture.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::scikit_learn::PYTHON;

const WORKER: &str = include_str!("worker.py");

/// Result of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered {
    /// Its version.
    pub version: String,
    /// Flows that it told of.
    pub flows: u64,
    /// Packets in them.
    pub packets: u64,
    /// CPU seconds of all its processes together.
    pub seconds: f64,
}

/// Has it meter a capture, with statistics and without dissection, by one meter; `Ok(None)` where
/// [`PYTHON`] names no interpreter or one without nfstream.
///
/// It reads what libpcap reads, so nothing that is compressed.
///
/// # Errors
/// The interpreter does not start, or fails on the capture.
pub fn meter(capture: &Path) -> anyhow::Result<Option<Metered>> {
    let Some(python) = env::var_os(PYTHON) else { return Ok(None) };
    // A file, because it starts processes that import what it was started from.
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let worker = folder.path().join("worker.py");
    std::fs::write(&worker, WORKER).context("no temporary file")?;
    let output = Command::new(&python)
        .arg(&worker)
        .arg(capture)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}` ({PYTHON})", python.to_string_lossy()))?;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("nfstream failed on {}; what it said is above", capture.display());
    }
    if answer.trim() == "none" {
        return Ok(None);
    }
    parse(&answer).with_context(|| format!("nfstream answered `{}`", answer.trim())).map(Some)
}

fn parse(answer: &str) -> anyhow::Result<Metered> {
    let mut words = answer.split_whitespace();
    let mut word = || words.next().context("too few words");
    Ok(Metered {
        version: word()?.to_owned(),
        flows: word()?.parse()?,
        packets: word()?.parse()?,
        seconds: word()?.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_version_flows_packets_and_seconds() {
        let metered = parse("6.6.0 329 1969 0.37\n").unwrap();
        assert_eq!((metered.flows, metered.packets, metered.seconds), (329, 1969, 0.37));
        assert!(parse("6.6.0 329").is_err());
    }
}
