//! What learning gathered, kept over a restart in a file beside the versions of the model.
//!
//! It is written after each training and at the end, whole or not at all, and taken up where it is of
//! the same window, interfaces and schemas: the times in it are told anew, so that it outlives the
//! machine's restart too. A roll-back removes it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use engine::Detector;
use model::{Kind, schema};
use report::text::{count, counted};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use training::Ongoing;

use super::{
    Node,
    journal::moment,
    past::{read_head, with_head},
};
use crate::{clock::nanos, config::Config, kept};

/// Form of the file.
const FORM: u32 = 1;

/// The first line of the file, as JSON; what was gathered is behind it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    weir_gathered: u32,
    /// Hashes of the schemas, in the order of the kinds.
    schemas: Vec<String>,
    window_ms: u64,
    interfaces: Vec<String>,
    /// When it was written, in ns of the boot clock and since 1970.
    boot_ns: u64,
    wall_ns: i64,
    sha256: String,
}

impl Head {
    fn of(config: &Config, gathered: &[u8]) -> Self {
        let now = moment();
        Self {
            weir_gathered: FORM,
            schemas: Kind::ALL.map(|kind| schema::schema_id(kind).hash.clone()).to_vec(),
            window_ms: nanos(config.window) / 1_000_000,
            interfaces: config.interfaces.clone(),
            boot_ns: now.boot_ns,
            wall_ns: now.wall_ns,
            sha256: format!("{:x}", Sha256::digest(gathered)),
        }
    }

    /// Checks that it is of a run like this one.
    fn check(&self, now: &Self) -> anyhow::Result<()> {
        ensure!(
            self.weir_gathered == FORM && self.schemas == now.schemas,
            "another version wrote it"
        );
        ensure!(
            self.window_ms == now.window_ms,
            "it is of windows of {} ms, not of {}",
            self.window_ms,
            now.window_ms
        );
        ensure!(self.interfaces == now.interfaces, "it is of {}", self.interfaces.join(", "));
        ensure!(self.sha256 == now.sha256, "it is damaged");
        Ok(())
    }

    /// By how much its clock of windows is behind that of now, and its age in s.
    fn behind_ns(&self, now: &Self) -> (i64, i64) {
        let age_ns = now.wall_ns.saturating_sub(self.wall_ns).max(0);
        let written_ns = now.boot_ns.cast_signed().saturating_sub(age_ns);
        (written_ns.saturating_sub(self.boot_ns.cast_signed()), age_ns / 1_000_000_000)
    }
}

impl Node {
    /// Writes what was gathered; a failure is told, and costs a restart what came since the last time.
    pub(crate) fn keep_gathered(&self, ongoing: &Ongoing) {
        let Some(path) = self.gathered_file() else { return };
        let Some(config) = self.inner().config.clone() else { return };
        let gathered = ongoing.keep();
        let written = with_head(&Head::of(&config, &gathered), &gathered)
            .and_then(|bytes| kept::write_bytes(&path, &bytes));
        if let Err(error) = written {
            tracing::warn!(
                "what was gathered to learn from is not kept for the next start: {error:#}"
            );
        }
    }

    /// Has learning go on from what an earlier run gathered; a line on how it went, none where there
    /// was nothing.
    pub fn take_up_gathered(&self, detector: &mut Detector) -> Option<String> {
        let path = self.gathered_file()?;
        let config = self.inner().config.clone()?;
        let ongoing = detector.learning()?;
        match read(&path, &config, ongoing) {
            Ok(None) => None,
            Ok(Some(age_s)) => {
                let rows = counted(ongoing.kept() as u64, "row");
                Some(format!("learning goes on from {rows} gathered up to {} s ago", count(age_s)))
            }
            Err(error) => {
                Some(format!("what an earlier run gathered is not learnt from: {error:#}"))
            }
        }
    }

    fn gathered_file(&self) -> Option<PathBuf> {
        self.learning().as_ref()?.versions.gathered_file()
    }
}

/// Its age in s.
fn read(path: &Path, config: &Config, ongoing: &mut Ongoing) -> anyhow::Result<Option<u64>> {
    let mut take = || -> anyhow::Result<Option<u64>> {
        let Some((head, gathered)) = read_head::<Head>(path, "sample")? else { return Ok(None) };
        let now = Head::of(config, &gathered);
        head.check(&now)?;
        let (behind_ns, age_s) = head.behind_ns(&now);
        ensure!(ongoing.take_up(&gathered, behind_ns), "another version wrote it");
        Ok(Some(age_s.cast_unsigned()))
    };
    take().with_context(|| format!("`{}`", path.display()))
}
