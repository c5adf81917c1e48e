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
//!             └─► Upkeep              protected hosts, ended permissions, retention
//! ```

mod acts;
mod alerts;
mod blocks;
mod bypass;
mod decide;
mod effects;
mod gathered;
mod held;
mod import;
mod journal;
mod known;
mod learning;
mod listing;
mod metrics;
mod mode;
pub(crate) mod past;
mod people;
mod reconcile;
mod services;
mod status;
mod upkeep;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use control::{Feed, wire};
use ipnet::IpNet;
use policy::{Mode, Policy, PrefixSet, ProtectedHosts};

pub use journal::{Before, Journal, RunFacts};
pub(crate) use learning::Trainer;
pub use learning::{InForce, Next, Said};
pub use upkeep::Upkeep;

use crate::{
    config::Config,
    enforcer::{Enforcer, GuardView},
    event::{Event, WindowEvent},
    kept,
    lists::Lists,
    live::Watched,
    progress::Progress,
    versions::Versions,
};
use bypass::Bypass;
use engine::{Assessed, Incidents};
use held::Held;
use import::Loads;
use journal::{moment, wall_ns};
use known::{KnownBlocks, PersonAllowed, ProtectedBy};
use learning::LearningState;
use listing::Listing;
use services::Services;

/// Alerts kept in memory, the newest: those that `weir top` and `weir alerts --follow` read.
const ALERTS_KEPT: usize = 1_000;

/// A scored window on its way to the policy.
#[derive(Debug)]
pub struct AssessedWindow {
    /// Counts of the window.
    pub summary: WindowEvent,
    /// Evidence of the detector.
    pub assessed: Assessed,
    /// The model that it is by, where that is another than before.
    pub model: Option<Box<InForce>>,
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

/// Reader of the configuration, for a reload.
pub type Reread = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;
/// Source of the interfaces that are watched now, and of those that are not.
pub type Interfaces = Box<dyn Fn() -> Watched + Send + Sync>;

/// Parts of a node; [`NodeParts::new`] has those that a test or a demo needs.
pub struct NodeParts {
    /// The policy.
    pub policy: Policy,
    /// The one writer to the guard.
    pub enforcer: Box<dyn Enforcer>,
    /// The record of decisions and acts.
    pub journal: Journal,
    /// View of the kernel's tables; `None` in observe mode, where nothing is guarded.
    pub guard: Option<GuardView>,
    /// Prefixes of the files that `policy.allow_files` names.
    pub allow_files: Vec<IpNet>,
    /// The model that scores.
    pub model: ModelFacts,
    /// Its versions, where it is learnt on.
    pub versions: Option<Versions>,
    /// The configuration it started with, and its reader for a reload.
    pub config: Option<(Config, Reread)>,
    /// The interfaces that are watched.
    pub interfaces: Interfaces,
}

impl NodeParts {
    /// A node that decides and acts, without ledger, people or configuration.
    #[must_use]
    pub fn new(policy: Policy, enforcer: Box<dyn Enforcer>) -> Self {
        Self {
            policy,
            enforcer,
            journal: Journal::none(),
            guard: None,
            allow_files: Vec::new(),
            model: ModelFacts::default(),
            versions: None,
            config: None,
            interfaces: Box::new(Watched::default),
        }
    }
}

/// A running weir.
pub struct Node {
    inner: Mutex<Inner>,
    journal: Journal,
    guard: Option<GuardView>,
    /// True where there is a guard that people can change.
    guards: bool,
    learning: Mutex<Option<LearningState>>,
    reread: Option<Reread>,
    interfaces: Interfaces,
    started: Instant,
    /// Clients of the API heard of since the last window, and when, in ns of the boot clock.
    heard: Mutex<BTreeMap<IpAddr, u64>>,
    /// Names of lists of blocks.
    lists: Mutex<Lists>,
    /// What was read of the kernel's table last.
    listing: Listing,
    held: Held,
    progress: Arc<Progress>,
    waiting_past: past::Waiting,
    feed: Arc<Feed>,
}

/// State that changes while the node runs.
struct Inner {
    policy: Policy,
    /// The model in force.
    model: ModelFacts,
    enforcer: Box<dyn Enforcer>,
    config: Option<Config>,
    known: KnownBlocks,
    /// The mode that the kernel's entries are in line with.
    aligned: Mode,
    protected: ProtectedBy,
    /// Lists that are being loaded.
    loads: Loads,
    /// Changes of incidents, the newest last.
    alerts: VecDeque<wire::Alert>,
    incidents: Incidents,
    /// Services that something is the matter with.
    services: Services,
    /// Remotes that the kernel was told are proven, and when, in ns of the boot clock.
    proven: BTreeMap<IpAddr, u64>,
    window: Option<wire::WindowInfo>,
    /// Time of the last window's decisions.
    decided: Option<Instant>,
    drift: Option<control::wire::Drift>,
    /// Packets in no flow, by cause.
    losses: BTreeMap<events::Text, u64>,
    evicted_peers: u64,
    late: u64,
    /// Whether frames reach the host past the guard.
    bypass: Bypass,
    /// Blocks that could not be made.
    failed: u64,
    /// Blocks that people ended before their time.
    lifted: u64,
    /// Decisions that are not in the ledger, for there were too many in a window.
    unrecorded: u64,
    /// Events of people and of the start, to go out with the next window.
    outbox: Vec<Event>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("guards", &self.guards).finish_non_exhaustive()
    }
}

impl Node {
    /// A node with these parts; what stands in the kernel already is not looked at: see
    /// [`Node::reconcile`].
    #[must_use]
    pub fn new(parts: NodeParts) -> Self {
        let NodeParts { mut policy, enforcer, journal, guard, .. } = parts;
        let NodeParts { allow_files, model, versions, config, interfaces, .. } = parts;
        let (config, reread) = config.map_or((None, None), |(one, two)| (Some(one), Some(two)));
        let protected = ProtectedBy {
            reader: ProtectedHosts { allowed: PrefixSet::default(), ..policy.protected().clone() },
            files: allow_files,
            ..ProtectedBy::default()
        };
        policy.protect(protected.hosts());
        let guards = enforcer.guards();
        let inner = Inner {
            protected,
            loads: Loads::default(),
            policy,
            model,
            enforcer,
            config,
            known: KnownBlocks::new(),
            aligned: Mode::Enforce,
            alerts: VecDeque::new(),
            incidents: Incidents::default(),
            services: Services::new(),
            proven: BTreeMap::new(),
            window: None,
            decided: None,
            drift: None,
            losses: BTreeMap::new(),
            evicted_peers: 0,
            late: 0,
            bypass: Bypass::default(),
            failed: 0,
            lifted: 0,
            unrecorded: 0,
            outbox: Vec::new(),
        };
        Self {
            inner: Mutex::new(inner),
            journal,
            guard,
            guards,
            learning: Mutex::new(versions.map(LearningState::new)),
            reread,
            interfaces,
            started: Instant::now(),
            heard: Mutex::new(BTreeMap::new()),
            lists: Mutex::new(Lists::default()),
            listing: Listing::default(),
            held: Held::default(),
            progress: Arc::default(),
            waiting_past: past::Waiting::default(),
            feed: Arc::default(),
        }
    }

    /// Progress of the pipeline that feeds it.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Records that the node stops, and waits until what it knows and the ledger are written.
    pub fn stop(&self, why: &str) {
        self.write_past();
        self.journal.stop(why);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // What a panicking holder left is a policy between two windows; the pipeline ends with it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<IpAddr, u64>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Protects the clients of the API that were heard of.
    fn protect_heard(&self, inner: &mut Inner) {
        let heard = std::mem::take(&mut *self.heard());
        if !heard.is_empty() {
            inner.protected.clients.extend(heard);
            inner.protect_or_warn();
        }
    }

    /// The file beside the ledger that keeps what people allowed.
    fn allowed_file(&self) -> Option<PathBuf> {
        self.journal.path().map(|path| path.with_file_name("allowed.json"))
    }

    /// Takes over what people allowed in earlier runs and the names of their lists, and has the kernel pass what is allowed and
    /// the host's own addresses.
    ///
    /// # Errors
    /// The file cannot be read, or the kernel's allowlist not written.
    pub fn take_over_people(&self) -> anyhow::Result<()> {
        let people = self.allowed_file().map(|path| kept::read(&path)).transpose()?;
        let mut people: BTreeMap<_, PersonAllowed> = people.unwrap_or_default();
        let now = moment();
        for one in people.values_mut() {
            one.expires_ns = one.expires.map(|expires| now.boot_ns_at(wall_ns(expires)));
        }
        *self.lists() = Lists::beside(self.journal.path())?;
        let mut inner = self.inner();
        inner.protected.people = people;
        inner.protect()
    }
}

impl Inner {
    /// Updates the policy's protected hosts, and in the kernel the prefixes that pass although
    /// blocked: those allowed, and the host's own addresses.
    fn protect(&mut self) -> anyhow::Result<()> {
        self.policy.protect(self.protected.hosts());
        let ProtectedBy { reader, files, people, in_kernel, .. } = &mut self.protected;
        let own = reader.own.iter().map(|&address| IpNet::from(address));
        let allowed = self.policy.config().allow.iter().chain(&*files).chain(people.keys());
        let wanted: BTreeSet<IpNet> = own.chain(allowed.copied()).collect();
        for prefix in &wanted - &*in_kernel {
            self.enforcer.allow(prefix)?;
            in_kernel.insert(prefix);
        }
        for prefix in &*in_kernel - &wanted {
            self.enforcer.disallow(prefix)?;
            in_kernel.remove(&prefix);
        }
        Ok(())
    }

    fn protect_or_warn(&mut self) {
        if let Err(error) = self.protect() {
            tracing::warn!("the kernel's allowlist is not as it should be: {error:#}");
        }
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
