//! `weir blocks`, `weir block`, `weir unblock`, `weir detach`: by the running node, which records
//! who did what and why; and where none runs, by hand on the pinned guard.

mod export;
mod row;
mod told;

use std::{net::IpAddr, process::ExitCode, time::Duration};

use address_list::{LONGEST_LEASE, SHORTEST_LEASE, check_width, unmapped};
use anyhow::{bail, ensure};
use clap::Args;
use control::wire::{BlockRequest, UnblockRequest};
use flows_common::{Action, BlockEntry};
use ipnet::IpNet;

use export::ListFormat;
use row::{Row, length, listing, packets_per_second};

use super::{
    Layers, emit,
    node::{NodeArgs, if_running, seconds},
};
use collector::{
    act::{BY_HAND, SHARED_SLOT, source_rate},
    clock::{boot_ns, nanos},
    config::Config,
    live::own_addresses,
};
use datapath::{Block, BlockAction, Blocklist, KernelError, Target, leftovers, unpin_all};

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
    #[arg(value_parser = address_list::prefix)]
    target: IpNet,
    /// How long the block lasts; `policy.ttl` without it.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    #[command(flatten)]
    action: ActionArgs,
    /// Block this host's own addresses too.
    #[arg(long)]
    force: bool,
    /// Why, in one line, for the running node's records.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

/// What a block does.
#[derive(Debug, Args)]
pub(super) struct ActionArgs {
    /// What to do with its packets: drop all of them, drop what exceeds a rate, or count what
    /// would be dropped.
    #[arg(long, value_parser = super::actions(), default_value = Action::Drop.name())]
    action: Action,
    /// Packets a second that a rate limit leaves; `policy.expert.rate_limit_pps` without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pps: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct UnblockArgs {
    /// An address or a prefix, as `weir blocks` lists it.
    #[arg(value_parser = address_list::prefix, required_unless_present = "expired")]
    target: Option<IpNet>,
    /// Remove the entries whose lease has run out.
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
        if self.json {
            emit(&format!("{}\n", serde_json::to_string(&rows)?))?;
        } else {
            emit(&listing(&rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl BlockArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.raw()?.check()?;
        let net = unmapped(self.target);
        check_width(net)?;
        let length = self.length.map_or(config.policy.ttl, Into::into);
        check_lease(length)?;
        self.action.check()?;
        let request = self.request(net, length);
        if let Some(made) = if_running(self.node.client(layers)?.block(&request))? {
            println!("{}", told::describe(&made));
            return Ok(ExitCode::SUCCESS);
        }
        if !self.force {
            check_foreign(net, &own_addresses()?)?;
        }
        let blocklist = Blocklist::pinned(&config.guard.bpffs)?;
        let allowed = blocklist.allowed()?;
        let target = Target::from(net);
        let now_ns = boot_ns();
        let block = Block {
            action: BlockAction::of(
                self.action.action(),
                source_rate(self.action.pps().unwrap_or(config.policy.expert.rate_limit_pps)),
            ),
            expires_ns: now_ns.saturating_add(nanos(length)),
            reason: BY_HAND,
        };
        let entry = blocklist.insert(target, &block, now_ns)?;
        println!("{}", describe(&target, &entry, now_ns));
        for line in caveats(&config, net, &allowed)? {
            println!("{line}");
        }
        if self.reason.is_some() {
            println!("but the reason is recorded nowhere, for no weir runs");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl BlockArgs {
    /// What the running node is asked for.
    fn request(&self, target: IpNet, length: Duration) -> BlockRequest {
        BlockRequest {
            target: target.into(),
            action: self.action.action(),
            pps: self.action.pps(),
            // Its own configuration says how long where nothing else does.
            for_s: self.length.map(|_| seconds(length)),
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

fn check_foreign(target: IpNet, own: &[IpAddr]) -> anyhow::Result<()> {
    match own.iter().find(|&own| target.contains(own)) {
        Some(own) if target.prefix_len() == target.max_prefix_len() => {
            bail!("`{own}` is this host's own address; add --force to block it all the same")
        }
        Some(own) => bail!(
            "`{target}` holds this host's own address {own}; add --force to block it all the same"
        ),
        None => Ok(()),
    }
}

/// Why a block may not do what it says.
fn caveats(config: &Config, target: IpNet, allowed: &[IpNet]) -> anyhow::Result<Vec<String>> {
    let mut lines: Vec<String> = allowed
        .iter()
        .filter(|allowed| allowed.contains(&target) || target.contains(*allowed))
        .map(|allowed| format!("but {allowed} is on the allowlist, which wins"))
        .collect();
    if is_unguarded(config)? {
        lines.push(
            "but no interface is guarded now; `weir run --mode enforce` takes the block over"
                .to_owned(),
        );
    }
    Ok(lines)
}

/// Whether nothing holds packets against the pinned blocks.
pub(super) fn is_unguarded(config: &Config) -> anyhow::Result<bool> {
    let left = leftovers(&config.guard.bpffs)?;
    Ok(!left.held && left.guarded_interfaces().is_empty())
}

/// What the kernel holds, as it was read back.
fn describe(target: &Target, entry: &BlockEntry, now_ns: u64) -> String {
    let what = match Action::from_code(entry.action) {
        Some(Action::Drop) => "blocked".to_owned(),
        Some(Action::Shadow) => "shadowed (nothing is dropped)".to_owned(),
        Some(Action::RateLimit) => {
            format!("limited to {} packets a second", packets_per_second(entry).unwrap_or(0))
        }
        None => format!("under the unknown action {}", entry.action),
    };
    format!("{target} is {what} for {}", length(entry.expires_ns.saturating_sub(now_ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        address_list::prefix(text).unwrap()
    }

    #[test]
    fn a_prefix_as_wide_as_a_registry_is_refused() {
        for text in ["192.0.0.0/7", "0.0.0.0/0", "2001::/18", "::/0"] {
            let error = check_width(net(text)).unwrap_err().to_string();
            assert!(error.contains("too wide") && error.contains(text), "{error}");
        }
        // All of IPv4, however it is written.
        assert!(check_width(net("::ffff:0:0/96")).is_err());
        for text in ["::/64", "::fffe:0:0/95"] {
            let error = check_width(net(text)).unwrap_err().to_string();
            assert!(error.contains("all of IPv4"), "{error}");
        }
        for text in ["192.0.0.0/8", "2001:d00::/19", "192.0.2.1"] {
            assert!(check_width(net(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_own_address_is_refused_alone_and_in_a_prefix() {
        let own = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for text in ["192.0.2.1", "192.0.2.0/24", "2001:db8::/32"] {
            let error = check_foreign(net(text), &own).unwrap_err().to_string();
            assert!(error.contains("--force"), "{error}");
        }
        assert!(check_foreign(net("198.51.100.0/24"), &own).is_ok());
    }
}
