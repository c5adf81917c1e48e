//! Node: what a running weir knows and does, for the pipeline and for people alike.
//!
//! The pipeline's last stage hands each scored window to [`Node::decide`]; people come in by the
//! API, through [`control::Node`], which [`Node`] implements. Both work on the same policy, the
//! same blocklist and the same journal, one at a time: what people see is what decides.
//!
//! ```text
//! Node::start ─► reconcile (kernel, ledger, configuration)
//!             ├─► decide(window)      from the pipeline, once a window
//!             ├─► control::Node       from people
//!             └─► Upkeep              surroundings, ended permissions, retention
//! ```

mod alerts;
mod blocks;
mod decide;
mod journal;
mod known;
mod metrics;
mod people;
mod reconcile;
mod status;
mod upkeep;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Context as _;
use control::wire;
use policy::Policy;

pub use journal::{Before, Journal, RunFacts};
pub use upkeep::Upkeep;

use crate::{
    act::Act,
    config::Config,
    event::{Event, WindowEvent},
};
use datapath::{Attached, Blocked, Blocklist};
use engine::Assessed;
use known::{Allowlist, KnownBlocks};

/// Alerts kept in memory, the newest: what `weir top` and `weir alerts --follow` look at.
const ALERTS_KEPT: usize = 1_000;

/// A scored window on its way to the policy.
#[derive(Debug)]
pub struct AssessedWindow {
    /// What was counted.
    pub summary: WindowEvent,
    /// What the detector found.
    pub assessed: Assessed,
}

/// The model that scores, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The file.
    pub path: PathBuf,
    /// Its hash.
    pub hash: String,
    /// When it was made, as it says.
    pub created: String,
}

impl ModelFacts {
    /// Of a model that was read from this file.
    #[must_use]
    pub fn of(path: &Path, model: &::model::ModelFile) -> Self {
        Self {
            path: path.to_owned(),
            hash: model.digest().to_owned(),
            created: model.manifest().created.clone(),
        }
    }
}

/// What reads the configuration anew.
pub type Reread = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;
/// What tells the interfaces that are watched now.
pub type Interfaces = Box<dyn Fn() -> Vec<Attached> + Send + Sync>;

/// What a node is made of; [`NodeParts::new`] has what a test or a demo needs.
pub struct NodeParts {
    /// What decides.
    pub policy: Policy,
    /// What carries decisions out.
    pub act: Box<dyn Act>,
    /// What is recorded.
    pub journal: Journal,
    /// What people change by hand; `None` in observe mode, where nothing is guarded.
    pub blocklist: Option<Blocklist>,
    /// What scores.
    pub model: ModelFacts,
    /// The configuration it started with, and what reads it anew.
    pub config: Option<(Config, Reread)>,
    /// The interfaces that are watched.
    pub interfaces: Interfaces,
}

impl NodeParts {
    /// A node that decides and acts, without ledger, people or configuration.
    #[must_use]
    pub fn new(policy: Policy, act: Box<dyn Act>) -> Self {
        Self {
            policy,
            act,
            journal: Journal::none(""),
            blocklist: None,
            model: ModelFacts::default(),
            config: None,
            interfaces: Box::new(Vec::new),
        }
    }
}

/// A running weir.
pub struct Node {
    inner: Mutex<Inner>,
    journal: Journal,
    blocklist: Option<Blocklist>,
    model: ModelFacts,
    reread: Option<Reread>,
    interfaces: Interfaces,
    started: Instant,
    /// Clients of the API heard of since the last window, and when, in ns of the boot clock.
    heard: Mutex<BTreeMap<IpAddr, u64>>,
    /// The listing that was read last, for the pages that follow.
    listing: Mutex<Option<(Instant, Vec<Blocked>)>>,
}

/// What changes while it runs.
struct Inner {
    policy: Policy,
    act: Box<dyn Act>,
    config: Option<Config>,
    known: KnownBlocks,
    allow: Allowlist,
    alerts: VecDeque<wire::Alert>,
    /// Remotes that the kernel was told are proven, and when, in ns of the boot clock.
    proven: BTreeMap<IpAddr, u64>,
    window: Option<wire::WindowInfo>,
    drift: Option<control::wire::Drift>,
    losses: BTreeMap<events::Text, u64>,
    late: u64,
    /// Blocks that could not be made.
    failed: u64,
    /// Decisions that are not in the ledger, for there were too many in a window.
    unrecorded: u64,
    /// Events of people and of the start, to go out with the next window.
    outbox: Vec<Event>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Node {
    /// A node with these parts; what stands in the kernel already is not looked at: see
    /// [`Node::reconcile`].
    #[must_use]
    pub fn new(parts: NodeParts) -> Self {
        let NodeParts { policy, act, journal, blocklist, model, config, interfaces } = parts;
        let (config, reread) = config.map_or((None, None), |(one, two)| (Some(one), Some(two)));
        let surroundings = crate::surroundings::Surroundings {
            own: policy.protected().own.clone(),
            ..Default::default()
        };
        let inner = Inner {
            allow: Allowlist {
                surroundings,
                files: policy.protected().allowed.clone(),
                ..Allowlist::default()
            },
            policy,
            act,
            config,
            known: KnownBlocks::new(),
            alerts: VecDeque::new(),
            proven: BTreeMap::new(),
            window: None,
            drift: None,
            losses: BTreeMap::new(),
            late: 0,
            failed: 0,
            unrecorded: 0,
            outbox: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            journal,
            blocklist,
            model,
            reread,
            interfaces,
            started: Instant::now(),
            heard: Mutex::new(BTreeMap::new()),
            listing: Mutex::new(None),
        }
    }

    /// Records that the node stops, and waits until the ledger is written.
    pub fn stop(&self, why: &str) {
        self.journal.stop(why);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What a panicking holder left is a policy between two windows; the pipeline ends with it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<IpAddr, u64>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Protects the clients of the API that were heard of.
    fn protect_heard(&self, inner: &mut Inner) {
        let heard = std::mem::take(&mut *self.heard());
        if !heard.is_empty() {
            inner.allow.clients.extend(heard);
            inner.protect();
        }
    }

    /// The file beside the ledger that keeps what people allowed.
    fn allowed_file(&self) -> Option<PathBuf> {
        self.journal.path().map(|path| path.with_file_name("allowed.json"))
    }

    /// Takes over what people allowed in earlier runs.
    ///
    /// # Errors
    /// The file cannot be read, or the kernel's allowlist not written.
    pub fn take_over_allowed(&self) -> anyhow::Result<()> {
        let Some(path) = self.allowed_file() else { return Ok(()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let people = serde_json::from_str(&text).with_context(|| {
            format!("`{}` is not what weir wrote; move it away to start without", path.display())
        })?;
        let mut inner = self.inner();
        inner.allow.people = people;
        if let Some(blocklist) = &self.blocklist {
            for prefix in inner.allow.people.keys() {
                blocklist.allow(*prefix)?;
            }
        }
        inner.protect();
        Ok(())
    }
}

impl Inner {
    /// Tells the policy what is never blocked now.
    fn protect(&mut self) {
        self.policy.protect(self.allow.protected());
    }

    fn remember_alert(&mut self, alert: wire::Alert) {
        if self.alerts.len() == ALERTS_KEPT {
            self.alerts.pop_front();
        }
        self.alerts.push_back(alert);
    }
}

#[cfg(test)]
mod tests;
