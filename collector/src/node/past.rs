//! Past: what the node knows of peers, flows and services, kept over a restart in a file beside the
//! ledger.
//!
//! Without it all would be new to the next run, and its first horizons short. It is written at the end
//! and every five minutes, whole or not at all, and taken up where it is of the same boot, window,
//! interfaces and layout and not too old. Where it is not, that is said, and nobody is blocked for a
//! minute. What learning gathered is kept by itself ([`super::gathered`]).

use std::{
    fs,
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, ensure};
use engine::Detector;
use policy::Memory;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{Node, journal::boot_id};
use crate::{
    clock::{boot_ns, nanos},
    config::Config,
    kept,
};

/// Time from one writing to the next, in ns.
pub(crate) const EVERY_NS: u64 = 300_000_000_000;
/// Age at which it is of no use, in ns: for that long a thing stays known.
const FRESH_NS: u64 = 3_600_000_000_000;
/// Time without blocks where it is not taken up.
const WAIT: std::time::Duration = std::time::Duration::from_mins(1);
/// Bytes of the largest one that is read: what full tables take, twice.
const LARGEST: u64 = 64 << 20;
/// Form of the file.
const FORM: u32 = 1;

/// The first line of the file, as JSON; the detector's memory is behind it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    weir_past: u32,
    /// Of the detector's memory: [`model::kept_layout`].
    layout: u64,
    boot: String,
    window_ms: u64,
    interfaces: Vec<String>,
    /// When it was written, in ns of the boot clock.
    at_ns: u64,
    memory: Memory,
    sha256: String,
}

/// The detector's memory that waits to be written.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Option<Vec<u8>>>);

impl Waiting {
    fn slot(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Takes what the detector remembers, to be written soon: scoring waits for no disk.
    pub(crate) fn keep_past(&self, detector: &Detector) {
        if self.past_file().is_some() {
            *self.waiting_past.slot() = Some(detector.keep());
        }
    }

    /// Writes what was handed over since the last time.
    pub(super) fn write_past(&self) {
        let Some(path) = self.past_file() else { return };
        let Some(kept) = self.waiting_past.slot().take() else { return };
        let head = {
            let inner = self.inner();
            let Some(config) = &inner.config else { return };
            Head { memory: inner.policy.memory(), ..Head::of(config, &kept) }
        };
        let write =
            || -> anyhow::Result<()> { kept::write_bytes(&path, &with_head(&head, &kept)?) };
        if let Err(error) = write() {
            tracing::warn!("what is known is not kept for the next start: {error:#}");
        }
    }

    /// Has detector and policy go on from what an earlier run kept; a line on how it went, none
    /// where there was none.
    pub fn take_up_past(&self, detector: &mut Detector) -> Option<String> {
        let path = self.past_file()?;
        let mut inner = self.inner();
        let config = inner.config.as_ref()?;
        match read(&path, config).and_then(|past| past.map(|past| past.into(detector)).transpose())
        {
            Ok(None) => None,
            Ok(Some((memory, age_s))) => {
                inner.policy.recall(memory);
                Some(format!("goes on from what was known {age_s} s ago (`{}`)", path.display()))
            }
            Err(error) => {
                let windows = WAIT.as_nanos().div_ceil(config.window.as_nanos().max(1));
                detector.wait(u64::try_from(windows).unwrap_or(u64::MAX));
                Some(format!(
                    "what an earlier run knew is not taken up: {error:#}; nobody is blocked for \
                     the first {} s",
                    WAIT.as_secs()
                ))
            }
        }
    }

    fn past_file(&self) -> Option<PathBuf> {
        self.journal.path().map(|path| path.with_file_name("past.weir"))
    }
}

impl Head {
    fn of(config: &Config, kept: &[u8]) -> Self {
        Self {
            weir_past: FORM,
            layout: model::kept_layout(),
            boot: boot_id(),
            window_ms: nanos(config.window) / 1_000_000,
            interfaces: config.interfaces.clone(),
            at_ns: boot_ns(),
            memory: Memory::default(),
            sha256: format!("{:x}", Sha256::digest(kept)),
        }
    }

    /// Checks that it is of a run like this one, not long ago.
    fn check(&self, now: &Self) -> anyhow::Result<()> {
        ensure!(self.weir_past == FORM && self.layout == now.layout, "another version wrote it");
        ensure!(self.boot == now.boot, "it is of before the machine started");
        ensure!(
            self.window_ms == now.window_ms,
            "it is of windows of {} ms, not of {}",
            self.window_ms,
            now.window_ms
        );
        ensure!(
            self.interfaces == now.interfaces,
            "it is of {}, not of {}",
            self.interfaces.join(", "),
            now.interfaces.join(", ")
        );
        let age_ns = now.at_ns.saturating_sub(self.at_ns);
        ensure!(age_ns <= FRESH_NS, "it is {} min old", age_ns / 60_000_000_000);
        ensure!(self.sha256 == now.sha256, "it is damaged");
        Ok(())
    }
}

/// What an earlier run knew.
struct Past {
    memory: Memory,
    age_s: u64,
    kept: Vec<u8>,
}

impl Past {
    fn into(self, detector: &mut Detector) -> anyhow::Result<(Memory, u64)> {
        ensure!(detector.take_up(&self.kept), "another version wrote it");
        Ok((self.memory, self.age_s))
    }
}

fn read(path: &Path, config: &Config) -> anyhow::Result<Option<Past>> {
    let take = || -> anyhow::Result<Option<Past>> {
        let Some((head, kept)) = read_head::<Head>(path, "past")? else { return Ok(None) };
        let now = Head::of(config, &kept);
        head.check(&now)?;
        let age_s = now.at_ns.saturating_sub(head.at_ns) / 1_000_000_000;
        Ok(Some(Past { memory: head.memory, age_s, kept }))
    };
    take().with_context(|| format!("`{}`", path.display()))
}

/// A file of a line of JSON and bytes behind it.
pub(super) fn with_head(head: &impl Serialize, rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(head)?;
    bytes.push(b'\n');
    bytes.extend(rest);
    Ok(bytes)
}

/// The head of such a file and the bytes behind it; none where there is no file.
pub(super) fn read_head<T: DeserializeOwned>(
    path: &Path,
    what: &str,
) -> anyhow::Result<Option<(T, Vec<u8>)>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let end = bytes.iter().position(|&byte| byte == b'\n').context("it is damaged")?;
    let rest = bytes.split_off(end + 1);
    let read = serde_json::from_slice(&bytes).ok();
    let head = read.with_context(|| format!("it is no {what} of weir's"))?;
    Ok(Some((head, rest)))
}
