//! Where a list goes: to the running node, or into a dry run that only says what would come of it.

use std::time::Duration;

use control::{
    Client, ClientError,
    wire::{
        AllowQuery, AllowSource, ImportEntry, ImportRequest, Imported, LIMIT_MAX, ReadBack, Refused,
    },
};
use policy::ProtectedHosts;

use crate::{
    cli::blocks::ActionArgs,
    clock::boot_ns,
    config::Config,
    enforcer::{ListDefaults, ListLoad, kernel_action},
    kernel::{BlockCount, Blocklist, KernelError, PREFIX_CAPACITY},
    protected::{read_allow_files, read_hosts},
};

/// The one that takes the entries.
pub(super) enum Door {
    Node { client: Client, next: ImportRequest, lease: Duration },
    DryRun { list: ListLoad, defaults: ListDefaults, hosts: Box<ProtectedHosts> },
}

impl Door {
    /// Begins a load on the running node.
    pub(super) fn node(
        client: Client,
        action: &ActionArgs,
        for_s: Option<u64>,
    ) -> anyhow::Result<Self> {
        let (action, pps) = (action.action(), action.pps());
        let mut next = ImportRequest { action, pps, for_s, ..ImportRequest::default() };
        // With no entries: where no node runs, that is told before a list is read.
        let begun = client.import(&next)?;
        next.load = Some(begun.load);
        Ok(Self::Node { client, next, lease: Duration::from_secs(begun.for_s) })
    }

    /// Begins a dry run beside the node, or without one.
    pub(super) fn dry_run(
        config: &Config,
        client: &Client,
        action: &ActionArgs,
        for_s: Option<u64>,
    ) -> anyhow::Result<Self> {
        let standing = match Blocklist::pinned(&config.guard.bpffs) {
            Ok(blocklist) => Some(blocklist),
            Err(KernelError::NoPinnedGuard { .. } | KernelError::MissingCapability { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let hosts = match hosts_of(client) {
            Ok(hosts) => hosts,
            Err(ClientError::NoNode { .. } | ClientError::Denied { .. }) => {
                let allowed = standing.as_ref().map(Blocklist::allowed).transpose()?;
                read_hosts(&config.guard.admin_ports)
                    .allowing(config.allow())
                    .allowing(&read_allow_files(&config.policy.allow_files)?)
                    .allowing(&allowed.unwrap_or_default())
            }
            Err(error) => return Err(error.into()),
        };
        let blocks = config.tables.blocks as usize;
        let capacity = BlockCount { v4: blocks, v6: blocks, prefixes: PREFIX_CAPACITY as usize };
        let defaults = ListDefaults {
            for_s: for_s.unwrap_or(config.policy.max_ttl.as_secs()),
            action: kernel_action(action.action()),
            packets_per_second: action.pps().unwrap_or(config.policy.rate_limit_pps),
        };
        let list = ListLoad::dry_run(standing.as_ref(), capacity, boot_ns())?;
        Ok(Self::DryRun { list, defaults, hosts: Box::new(hosts) })
    }

    /// How long entries last that do not say.
    pub(super) const fn lease(&self) -> Duration {
        match self {
            Self::Node { lease, .. } => *lease,
            Self::DryRun { defaults, .. } => Duration::from_secs(defaults.for_s),
        }
    }

    pub(super) fn send(&mut self, entries: Vec<ImportEntry>) -> Result<Imported, ClientError> {
        match self {
            Self::Node { client, next, .. } => {
                next.entries = entries;
                client.import(next)
            }
            Self::DryRun { list, defaults, hosts } => Ok(list.take(&entries, defaults, hosts)),
        }
    }

    /// Ends the load; what was written is read back.
    pub(super) fn end(&mut self) -> Result<Option<ReadBack>, ClientError> {
        let Self::Node { client, next, .. } = self else { return Ok(None) };
        next.entries = Vec::new();
        next.end = true;
        client.import(next).map(|imported| imported.read_back)
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
