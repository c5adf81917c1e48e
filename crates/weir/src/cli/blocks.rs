//! `weir blocks`, `weir block`, `weir unblock`, `weir detach`. The running node makes and ends
//! blocks, and records who asked and why; where none runs, blocks on the pinned guard are listed
//! and ended, and none is made.

mod export;
mod row;
mod told;

use std::{path::Path, process::ExitCode, time::Duration};

use address_list::{LONGEST_LEASE, SHORTEST_LEASE, check_width};
use anyhow::{Context as _, ensure};
use clap::Args;
use control::ClientError;
use control::wire::{
    Action, BlockRequest, LIMIT_MAX, UnblockAllRequest, UnblockRequest, Verdict, VerdictRequest,
};
use ipnet::IpNet;

use export::ListFormat;
use row::{Printer, Row};

use super::{
    Layers,
    node::{NodeArgs, if_running, seconds},
};
use collector::{clock::boot_ns, config::Config, enforcer::SHARED_SLOT, lists::Lists};
use datapath::{Blocked, Blocklist, KernelError, Target, leftovers_here, stray_guards, unpin};

#[derive(Debug, Args)]
pub(super) struct BlocksArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    /// Print what is in force as a list that `weir import` reads.
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<ListFormat>,
    /// Only those of this list.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
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
    /// The list that it is to be of; `weir blocks --list NAME` and `weir unblock --list NAME` mean
    /// all of it.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
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
    #[arg(value_parser = address_list::parse_net, required_unless_present_any = ["expired", "list", "all"])]
    target: Option<IpNet>,
    /// All blocks of this list.
    #[arg(long, value_name = "NAME", conflicts_with = "target")]
    list: Option<String>,
    /// All blocks, whoever made them.
    #[arg(long, conflicts_with_all = ["target", "list"])]
    all: bool,
    /// Remove the entries whose lease has run out; a running weir does so itself.
    #[arg(long, conflicts_with_all = ["target", "list", "all"])]
    expired: bool,
    /// What the remote did was benign: the running node learns from it, blocked or not.
    #[arg(long, requires = "target")]
    was_benign: bool,
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
            let reason = self.list.as_deref().map(|name| reason_of(&config, name)).transpose()?;
            let blocked = sorted(&pinned(&config.guard.bpffs)?, reason)?;
            return export::write(&blocked, format, boot_ns()).map(|()| ExitCode::SUCCESS);
        }
        let mut printer = Printer::new(self.json);
        let client = self.node.client(layers)?;
        let list = self.list.as_deref();
        match if_running(told::each_page(&client, list, |rows| printer.print(rows)))? {
            Some(shown) => shown?,
            None => print_pinned(layers, list, &mut printer)?,
        }
        printer.end()?;
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
            list: self.list.clone(),
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
            let client = self.node.client(layers)?;
            if self.was_benign {
                let (remote, reason) = (target.into(), self.reason.clone());
                let verdict = VerdictRequest { remote, reason, verdict: Verdict::Benign };
                client.vouch(&verdict)?;
                println!("what {} did is learnt as benign", verdict.remote);
            }
            let ended = match client.unblock(&request) {
                // A verdict needs no block: it may have ended, or never been made.
                Err(ClientError::Refused(_)) if self.was_benign => return Ok(ExitCode::SUCCESS),
                ended => if_running(ended)?,
            };
            if let Some(ended) = ended {
                println!("{} is no longer blocked", ended.target);
                return Ok(ExitCode::SUCCESS);
            }
        }
        if self.all || self.list.is_some() {
            return self.end_many(layers, &config);
        }
        if self.expired {
            let running = if_running(self.node.client(layers)?.status())?;
            ensure!(running.is_none(), "a weir runs, and removes entries past their lease itself");
        }
        let blocklist = pinned(&config.guard.bpffs)?;
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

    /// Ends all blocks, or those of a list.
    fn end_many(&self, layers: &Layers, config: &Config) -> anyhow::Result<ExitCode> {
        let request = UnblockAllRequest { list: self.list.clone(), reason: self.reason.clone() };
        let told = if_running(self.node.client(layers)?.unblock_all(&request))?;
        let ended = if let Some(told) = told {
            told.ended
        } else {
            let reason = self.list.as_deref().map(|name| reason_of(config, name)).transpose()?;
            let blocklist = pinned(&config.guard.bpffs)?;
            let mut ended = 0;
            for one in sorted(&blocklist, reason)? {
                ended += u64::from(blocklist.remove(&one.target)?);
            }
            ended
        };
        println!("{ended} blocks ended");
        Ok(ExitCode::SUCCESS)
    }
}

impl DetachArgs {
    #[expect(clippy::unused_self, reason = "every command runs so")]
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.raw()?.check()?;
        let bpffs = &config.guard.bpffs;
        let blocks = match Blocklist::pinned(bpffs) {
            Ok(blocklist) => Some(blocklist.list()?.len()),
            // What cannot be counted, for it is of another version or in part, goes all the same.
            Err(KernelError::PinForeign { .. } | KernelError::PinLayout { .. }) => None,
            Err(KernelError::NoPinnedGuard { .. }) if !leftovers_here(bpffs)?.pins.is_empty() => {
                None
            }
            Err(error) => return Err(error.into()),
        };
        let is_of_another = leftovers_here(bpffs)?.pins.is_empty();
        let removed = unpin(bpffs)?;
        let off = if is_of_another {
            "the interfaces of another network namespace".to_owned()
        } else {
            interfaces(&removed.guarded_interfaces())
        };
        let blocks = blocks.map_or_else(|| "all".to_owned(), |blocks| blocks.to_string());
        println!(
            "removed {} pins under `{}`: the guard is off {off} and {blocks} blocks are gone",
            removed.pins.len(),
            bpffs.display(),
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the blocks in the pinned guard.
fn print_pinned(layers: &Layers, list: Option<&str>, printer: &mut Printer) -> anyhow::Result<()> {
    let config = layers.raw()?.check()?;
    let reason = list.map(|name| reason_of(&config, name)).transpose()?;
    let lists = Lists::beside(Some(&config.ledger.path))?;
    let blocklist = pinned(&config.guard.bpffs)?;
    let now_ns = boot_ns();
    for some in sorted(&blocklist, reason)?.chunks(LIMIT_MAX as usize) {
        let row = |one: &Blocked| {
            let own = one.entry.slot != SHARED_SLOT;
            let stats = own.then(|| blocklist.stats(one.entry.slot)).transpose()?;
            anyhow::Ok(Row::of(one, stats.as_ref(), &lists, now_ns))
        };
        printer.print(&some.iter().map(row).collect::<anyhow::Result<Vec<_>>>()?)?;
    }
    Ok(())
}

/// The pinned guard; a guard of weir's that is pinned elsewhere is told.
fn pinned(bpffs: &Path) -> anyhow::Result<Blocklist> {
    match Blocklist::pinned(bpffs) {
        Err(error @ KernelError::NoPinnedGuard { .. }) => {
            let stray = stray_guards(bpffs).unwrap_or_default();
            ensure!(
                stray.is_empty(),
                "`{}` drops, a guard that another mount of a BPF filesystem than `{}` holds; `weir \
                 run --mode enforce` takes it over, `weir panic` takes it off",
                stray.join("`, `"),
                bpffs.display()
            );
            Err(error.into())
        }
        found => Ok(found?),
    }
}

/// The entries of the pinned guard, or those of one reason, in the order of their targets.
fn sorted(blocklist: &Blocklist, reason: Option<u32>) -> anyhow::Result<Vec<Blocked>> {
    let mut blocked = blocklist.list()?;
    blocked.retain(|one| reason.is_none_or(|reason| one.entry.reason == reason));
    blocked.sort_unstable_by_key(|one| one.target);
    Ok(blocked)
}

/// The reason that entries of a list carry, by the names beside the ledger.
fn reason_of(config: &Config, list: &str) -> anyhow::Result<u32> {
    let lists = Lists::beside(Some(&config.ledger.path))?;
    lists.reason(list).with_context(|| format!("there is no list `{list}`"))
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
