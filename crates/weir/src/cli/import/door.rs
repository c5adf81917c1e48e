//! Where a list goes: to the running node, or into a dry run that only says what would come of it.

use std::{
    io,
    sync::mpsc::{self, Receiver, SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use control::{
    Client, ClientError,
    wire::{
        AllowQuery, AllowSource, ImportEntry, ImportRequest, Imported, LIMIT_MAX, ReadBack, Refused,
    },
};
use policy::ProtectedHosts;

use crate::cli::blocks::ActionArgs;
use collector::{
    clock::boot_ns,
    config::Config,
    enforcer::{ListDefaults, ListLoad, list_reserve},
    protected::{read_allow_files, read_hosts},
};
use datapath::{BlockCount, Blocklist, KernelError};

/// Batches under way to the node: the next one is read while it takes this one.
const SENT_QUEUE: usize = 1;

/// The one that takes the entries, a batch at a time: [`Door::send`], then [`Door::answer`].
pub(super) enum Door {
    Node(Box<Courier>),
    DryRun {
        list: Box<ListLoad>,
        defaults: ListDefaults,
        hosts: Box<ProtectedHosts>,
        taken: Box<Imported>,
    },
}

/// Carries batches to the node, on a thread of its own.
pub(super) struct Courier {
    next: ImportRequest,
    lease: Duration,
    batches: SyncSender<ImportRequest>,
    answers: Receiver<Result<Imported, ClientError>>,
    thread: JoinHandle<()>,
}

impl Courier {
    fn start(client: Client, next: ImportRequest, lease: Duration) -> io::Result<Self> {
        let (batches, waiting) = mpsc::sync_channel(SENT_QUEUE);
        let (answer, answers) = mpsc::sync_channel(SENT_QUEUE);
        let thread = thread::Builder::new().name("weir-import".to_owned()).spawn(move || {
            for batch in waiting {
                if answer.send(client.import(&batch)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { next, lease, batches, answers, thread })
    }

    /// Nothing comes back for what cannot be sent.
    fn send(&self, batch: ImportRequest) {
        let _ = self.batches.send(batch);
    }

    fn answer(&self) -> Result<Imported, ClientError> {
        let lost = |_| Refused::internal("the thread that asks the node ended; this is a bug");
        self.answers.recv().map_err(lost)?
    }
}

impl Door {
    /// Begins a load on the running node.
    pub(super) fn node(
        client: Client,
        action: &ActionArgs,
        for_s: Option<u64>,
        list: Option<String>,
    ) -> anyhow::Result<Self> {
        let (action, pps) = (Some(action.action()), action.pps());
        let mut next = ImportRequest { action, pps, for_s, list, ..ImportRequest::default() };
        // With no entries: where no node runs, that is told before a list is read.
        let begun = client.import(&next)?;
        next.load = Some(begun.load);
        let lease = Duration::from_secs(begun.for_s);
        Ok(Self::Node(Box::new(Courier::start(client, next, lease)?)))
    }

    /// Begins a dry run beside the node, or without one.
    pub(super) fn dry_run(
        config: &Config,
        client: &Client,
        action: &ActionArgs,
        for_s: Option<u64>,
    ) -> anyhow::Result<Self> {
        let active = match Blocklist::pinned(&config.guard.bpffs) {
            Ok(blocklist) => Some(blocklist),
            Err(KernelError::NoPinnedGuard { .. } | KernelError::MissingCapability { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let hosts = match hosts_of(client) {
            Ok(hosts) => hosts,
            Err(ClientError::NoNode { .. } | ClientError::Denied { .. }) => {
                let allowed = active.as_ref().map(Blocklist::allowed).transpose()?;
                read_hosts()
                    .allowing(config.allow())
                    .allowing(&read_allow_files(&config.policy.allow_files)?)
                    .allowing(&allowed.unwrap_or_default())
            }
            Err(error) => return Err(error.into()),
        };
        let blocks = config.tables.blocks as usize;
        let capacity =
            BlockCount { v4: blocks, v6: blocks, prefixes: config.tables.prefixes as usize };
        let reserve = list_reserve(config.policy.max_blocks, config.tables.blocks);
        let defaults = ListDefaults {
            for_s: for_s.unwrap_or(config.policy.max_ttl.as_secs()),
            action: action.action(),
            packets_per_second: action.pps().unwrap_or(config.policy.expert.rate_limit_pps),
        };
        let list = ListLoad::dry_run(active.as_ref(), capacity, reserve, boot_ns())?;
        let (list, taken) = (Box::new(list), Box::default());
        Ok(Self::DryRun { list, defaults, hosts: Box::new(hosts), taken })
    }

    /// Lease of entries that name none.
    pub(super) const fn lease(&self) -> Duration {
        match self {
            Self::Node(courier) => courier.lease,
            Self::DryRun { defaults, .. } => Duration::from_secs(defaults.for_s),
        }
    }

    pub(super) fn send(&mut self, entries: Vec<ImportEntry>) {
        match self {
            Self::Node(courier) => {
                let mut batch = courier.next.clone();
                let plain = |one: &ImportEntry| *one == ImportEntry::from(one.target);
                if entries.iter().all(plain) {
                    batch.targets = entries.iter().map(|one| one.target).collect();
                } else {
                    batch.entries = entries;
                }
                courier.send(batch);
            }
            Self::DryRun { list, defaults, hosts, taken } => {
                **taken = list.take(entries, defaults, hosts);
            }
        }
    }

    /// Result of the batch that was sent last.
    pub(super) fn answer(&mut self) -> Result<Imported, ClientError> {
        match self {
            Self::Node(courier) => courier.answer(),
            Self::DryRun { taken, .. } => Ok(std::mem::take(&mut **taken)),
        }
    }

    /// Ends the load; what was written is read back.
    pub(super) fn end(self) -> anyhow::Result<Option<ReadBack>> {
        let Self::Node(courier) = self else { return Ok(None) };
        courier.send(ImportRequest { end: true, ..courier.next.clone() });
        let ended = courier.answer();
        let Courier { batches, thread, .. } = *courier;
        drop(batches);
        thread.join().map_err(|_| anyhow::anyhow!("asking the node panicked; this is a bug"))?;
        Ok(ended?.read_back)
    }
}

/// The hosts that a running node protects.
fn hosts_of(client: &Client) -> Result<ProtectedHosts, ClientError> {
    let mut query = AllowQuery { limit: Some(LIMIT_MAX), ..AllowQuery::default() };
    let (mut hosts, mut allowed) = (ProtectedHosts::default(), Vec::new());
    loop {
        let page = client.allowed(&query)?;
        for one in &page.items {
            let net = one.prefix.net();
            match one.source {
                AllowSource::Own => drop(hosts.own.insert(net.addr())),
                AllowSource::Gateway => drop(hosts.gateways.insert(net.addr())),
                AllowSource::Resolver => drop(hosts.resolvers.insert(net.addr())),
                AllowSource::Administrator => drop(hosts.administrators.insert(net.addr())),
                AllowSource::Config | AllowSource::File | AllowSource::Person => allowed.push(net),
            }
        }
        let Some(next) = page.next else { return Ok(hosts.allowing(&allowed)) };
        let next = next.parse().map_err(|error| {
            Refused::internal(format!("the node's cursor for the next page does not hold: {error}"))
        })?;
        query.after = Some(next);
    }
}
