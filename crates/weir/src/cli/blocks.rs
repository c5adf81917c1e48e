//! `weir blocks`, `weir block`, `weir unblock`, `weir detach`. The running node makes and ends
//! blocks, and records who asked and why; where none runs, blocks on the pinned guard are listed
//! and ended, and none is made.

mod export;
mod row;
mod told;

use std::{process::ExitCode, time::Duration};

use address_list::{LONGEST_LEASE, SHORTEST_LEASE, check_width};
use anyhow::ensure;
use clap::Args;
use control::wire::{Action, BlockRequest, UnblockRequest};
use ipnet::IpNet;

use export::ListFormat;
use row::{Row, listing};

use super::{
    Layers,
    node::{NodeArgs, if_running, print, seconds},
};
use collector::{clock::boot_ns, enforcer::SHARED_SLOT};
use datapath::{Blocklist, KernelError, Target, leftovers, unpin_all};

#[derive(Debug, Args)]
pub(super) struct BlocksArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// Print what is in force as a list that `weir import` reads.
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<ListFormat>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
pub(super) struct BlockArgs {
    /// An address or a prefix.
    #[arg(value_parser = address_list::parse_net)]
    target: IpNet,
    /// Length of the block; `policy.ttl` without it.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    #[command(flatten)]
    action: ActionArgs,
    /// Block it though it be, or hold, what must stay reachable: this host's own addresses, a
    /// gateway, a name server, whoever administers it, the allowlist.
    #[arg(long)]
    force: bool,
    /// Why, in one line, for the running node's records.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Action of a block.
#[derive(Debug, Args)]
pub(super) struct ActionArgs {
    /// Action on its packets: drop all of them, drop what exceeds a rate, or count what would be
    /// dropped.
    #[arg(long, value_parser = super::actions(), default_value = Action::Drop.name())]
    action: Action,
    /// Packets a second that a rate limit leaves; `policy.expert.rate_limit_pps` without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pps: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct UnblockArgs {
    /// An address or a prefix, as `weir blocks` lists it.
    #[arg(value_parser = address_list::parse_net, required_unless_present = "expired")]
    target: Option<IpNet>,
    /// Remove the entries whose lease has run out; a running weir does so itself.
    #[arg(long, conflicts_with = "target")]
    expired: bool,
    /// Why, in one line, for the running node's records.
    #[arg(long, value_name = "TEXT", conflicts_with = "expired")]
    reason: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
pub(super) struct DetachArgs {}

impl BlocksArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        if let Some(format) = self.format {
            let config = layers.raw()?.check()?;
            let mut blocked = Blocklist::pinned(&config.guard.bpffs)?.list()?;
            blocked.sort_by_key(|one| one.target);
            return export::write(&blocked, format, boot_ns()).map(|()| ExitCode::SUCCESS);
        }
        let rows = match if_running(told::list(&self.node.client(layers)?))? {
            Some(rows) => rows,
            None => pinned_rows(layers)?,
        };
        print(&rows, self.json, |rows| listing(rows))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl BlockArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        check_width(self.target)?;
        let length = self.length.map(Into::into);
        length.map_or(Ok(()), check_lease)?;
        self.action.check()?;
        let made = self.node.client(layers)?.block(&self.request(length))?;
        println!("{}", told::describe(&made));
        if let Some(allowed) = made.allowed {
            println!("but {allowed} is on the allowlist, which wins");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Request to the running node.
    fn request(&self, length: Option<Duration>) -> BlockRequest {
        BlockRequest {
            target: self.target.into(),
            action: self.action.action(),
            pps: self.action.pps(),
            // Its own configuration says how long where nothing else does.
            for_s: length.map(seconds),
            reason: self.reason.clone(),
            force: self.force,
        }
    }
}

impl ActionArgs {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.pps.is_none() || self.action == Action::RateLimit,
            "--pps is for a rate limit; add --action {}",
            Action::RateLimit.name()
        );
        Ok(())
    }

    pub(super) const fn action(&self) -> Action {
        self.action
    }

    pub(super) const fn pps(&self) -> Option<u32> {
        self.pps
    }
}

/// A lease that a person asks for.
pub(super) fn check_lease(length: Duration) -> anyhow::Result<()> {
    ensure!(
        (SHORTEST_LEASE..=LONGEST_LEASE).contains(&length),
        "--for must be between 1s and {} days, got {}",
        LONGEST_LEASE.as_secs() / 86_400,
        humantime::format_duration(length)
    );
    Ok(())
}

impl UnblockArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.raw()?.check()?;
        if let Some(target) = self.target {
            let request = UnblockRequest { target: target.into(), reason: self.reason.clone() };
            if let Some(ended) = if_running(self.node.client(layers)?.unblock(&request))? {
                println!("{} is no longer blocked", ended.target);
                return Ok(ExitCode::SUCCESS);
            }
        }
        if self.expired {
            let running = if_running(self.node.client(layers)?.status())?;
            ensure!(running.is_none(), "a weir runs, and removes entries past their lease itself");
        }
        let blocklist = Blocklist::pinned(&config.guard.bpffs)?;
        let Some(target) = self.target.map(Target::from) else {
            let expired = blocklist.expire(boot_ns())?;
            println!("{} expired entries removed", expired.len());
            return Ok(ExitCode::SUCCESS);
        };
        ensure!(
            blocklist.remove(&target)?,
            "`{target}` is not blocked; `weir blocks` lists what is"
        );
        ensure!(
            blocklist.get(&target)?.is_none(),
            "`{target}` is blocked again already; a running weir decided so"
        );
        println!("{target} is no longer blocked");
        Ok(ExitCode::SUCCESS)
    }
}

impl DetachArgs {
    #[expect(clippy::unused_self, reason = "every command runs so")]
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.raw()?.check()?;
        let bpffs = &config.guard.bpffs;
        let left = leftovers(bpffs)?;
        let blocks = match Blocklist::pinned(bpffs) {
            Ok(blocklist) => Some(blocklist.list()?.len()),
            // What cannot be counted, for it is of another version or in part, goes all the same.
            Err(KernelError::PinForeign { .. } | KernelError::PinLayout { .. }) => None,
            Err(KernelError::NoPinnedGuard { .. }) if !left.pins.is_empty() => None,
            Err(error) => return Err(error.into()),
        };
        let guarded = left.guarded_interfaces();
        let removed = unpin_all(bpffs)?;
        let blocks = blocks.map_or_else(|| "all".to_owned(), |blocks| blocks.to_string());
        println!(
            "removed {} pins under `{}`: the guard is off {} and {blocks} blocks are gone",
            removed.len(),
            bpffs.display(),
            interfaces(&guarded),
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// The blocks in the pinned guard.
fn pinned_rows(layers: &Layers) -> anyhow::Result<Vec<Row>> {
    let config = layers.raw()?.check()?;
    let blocklist = Blocklist::pinned(&config.guard.bpffs)?;
    let now_ns = boot_ns();
    let mut blocked = blocklist.list()?;
    blocked.sort_by_key(|one| one.target);
    blocked
        .iter()
        .map(|one| {
            let own = one.entry.slot != SHARED_SLOT;
            let stats = own.then(|| blocklist.stats(one.entry.slot)).transpose()?;
            Ok(Row::of(one, stats.as_ref(), now_ns))
        })
        .collect()
}

/// Interfaces by name where this network namespace has them, else by index.
fn interfaces(indices: &[u32]) -> String {
    if indices.is_empty() {
        return "no interface".to_owned();
    }
    let name = |&index: &u32| {
        nix::net::if_::if_indextoname(index)
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_else(|| format!("interface {index}"))
    };
    indices.iter().map(name).collect::<Vec<_>>().join(", ")
}
