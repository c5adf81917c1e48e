use std::{net::Ipv4Addr, path::Path, sync::Arc};

use control::{
    Node as _, Who,
    metrics::Exposition,
    wire::{
        AlertQuery, AllowRequest, BlockQuery, BlockRequest, DisallowRequest, ImportRequest, Kind,
        Mode, ModeRequest, UnblockRequest,
    },
};
use flows_common::{Action, BlockEntry, BlockStats, Scope};
use ledger::{ActQuery, Ledger};
use policy::{Decision, Evidence, ProtectedHosts, ServiceLimit, Standing, WindowFacts};
use serde_json::json;

use super::*;
use crate::{
    clock::boot_ns,
    config::{RawConfig, RawLedger},
    enforcer::ListLoad,
    event::{ActionTaken, DecisionRecord, ExpiredEvent, window_event},
};
use datapath::{Attached, Block, BlockCount, Target};

const SECOND: u64 = 1_000_000_000;

/// An enforcer that notes what it is told, with a table in the place of the kernel's.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    acted: Vec<(IpAddr, u32)>,
    table: BTreeMap<Target, BlockEntry>,
    limit: Option<Action>,
    prolonged: Vec<(IpAddr, u64)>,
    known: Vec<IpAddr>,
    ends: Vec<ExpiredEvent>,
    blocked: Vec<Target>,
    allowed: BTreeSet<IpNet>,
    fails: bool,
    guards: bool,
}

impl Noted {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }

    /// What the table has of a peer.
    fn in_table(&self, peer: IpAddr) -> Option<Action> {
        Action::from_code(self.notes().table.get(&Target::address(peer))?.action)
    }
}

impl Enforcer for Noted {
    fn guards(&self) -> bool {
        self.notes().guards
    }

    fn block(&mut self, target: Target, block: &Block, _: u64) -> anyhow::Result<BlockEntry> {
        let mut notes = self.notes();
        notes.blocked.push(target);
        let action = block.action.action();
        let expires_ns = block.expires_ns;
        let entry = BlockEntry { action: action.code(), expires_ns, ..BlockEntry::default() };
        notes.table.insert(target, entry);
        Ok(entry)
    }

    fn unblock(
        &mut self,
        target: Target,
        _: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>> {
        Ok(self.notes().table.remove(&target).map(|entry| (entry, BlockStats::default())))
    }

    fn clear(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn load_list(&mut self, now_ns: u64, _: u32, _: u32) -> anyhow::Result<ListLoad> {
        let capacity = BlockCount { v4: 3, v6: 3, prefixes: 3 };
        Ok(ListLoad::dry_run(None, capacity, 0, now_ns)?)
    }

    fn allow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        anyhow::ensure!(!self.notes().fails, "no room");
        self.notes().allowed.insert(prefix);
        Ok(())
    }

    fn disallow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        self.notes().allowed.remove(&prefix);
        Ok(())
    }

    fn enforce(&mut self, decision: &Decision, number: u32, _: u64) -> anyhow::Result<ActionTaken> {
        let policy::Outcome::Block { action, scope, expires_ns, .. } = decision.outcome else {
            return Ok(ActionTaken::Refused);
        };
        let mut notes = self.notes();
        anyhow::ensure!(!notes.fails, "no room");
        let address = decision.evidence.address;
        notes.acted.push((address, number));
        let (action_code, scope) = (action.code(), scope.code());
        let entry = BlockEntry { action: action_code, scope, expires_ns, ..BlockEntry::default() };
        notes.table.insert(Target::address(address), entry);
        Ok(ActionTaken::of(action))
    }

    fn limit(&mut self, limit: &ServiceLimit, _: u64) -> anyhow::Result<ActionTaken> {
        self.notes().limit = Some(limit.action);
        Ok(ActionTaken::RateLimited)
    }

    fn exempt(&mut self, remotes: &[IpAddr], _: u64) -> anyhow::Result<()> {
        self.notes().known.extend(remotes);
        Ok(())
    }

    fn demote(&mut self, target: Target, _: u64) -> anyhow::Result<bool> {
        let mut notes = self.notes();
        anyhow::ensure!(!notes.fails, "no room");
        let Some(entry) = notes.table.get_mut(&target) else { return Ok(false) };
        let shadow = Action::Shadow.code();
        Ok(std::mem::replace(&mut entry.action, shadow) != shadow)
    }

    fn demote_limits(&mut self) -> anyhow::Result<()> {
        let mut notes = self.notes();
        notes.limit = notes.limit.map(|_| Action::Shadow);
        Ok(())
    }

    fn prolong(&mut self, peer: IpAddr, until_ns: u64, _: u64) -> anyhow::Result<bool> {
        self.notes().prolonged.push((peer, until_ns));
        Ok(true)
    }

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(std::mem::take(&mut self.notes().ends))
    }
}

fn peer(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, last))
}

fn attacker(last: u8) -> Evidence {
    Evidence {
        address: peer(last),
        p_value: 0.001,
        conditional_p_value: 0.001,
        peer_score: 0.8,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise: 9.0,
        packets: 100,
        bytes: 6_000,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: None,
    }
}

/// A window that ends now, with these peers.
fn window(number: u64, evidence: Vec<Evidence>) -> AssessedWindow {
    let end_ns = boot_ns();
    let start_ns = end_ns - SECOND;
    let counted = model::Window { start_ns, end_ns, ..model::Window::default() };
    AssessedWindow {
        summary: WindowEvent { peers: evidence.len(), ..window_event(number, &counted) },
        assessed: Assessed {
            number,
            facts: WindowFacts { start_ns, end_ns, ..WindowFacts::default() },
            evidence,
            ..Assessed::default()
        },
        model: None,
    }
}

fn raw(folder: &Path) -> RawConfig {
    let mut raw = RawConfig::default();
    raw.policy.mode = policy::Mode::Enforce;
    raw.policy.unsupported = policy::statistics::Unsupported::Act;
    raw.model.path = Some(folder.join("model.weir"));
    raw.ledger = RawLedger { path: folder.join("ledger.db"), ..RawLedger::default() };
    raw
}

/// A node with a ledger in this folder, and what it was told to do.
fn node(folder: &Path) -> (Node, Noted) {
    node_with(folder, Noted::default())
}

fn node_with(folder: &Path, noted: Noted) -> (Node, Noted) {
    let config = raw(folder).check().unwrap();
    let facts = RunFacts { config: "c".into(), model: "m".into(), mode: "enforce" };
    let (journal, _) = Journal::open(&config.ledger, &facts, 0).unwrap();
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own([peer(200)]));
    let again = folder.to_owned();
    let parts = NodeParts {
        journal,
        config: Some((config, Box::new(move || Ok(reread(&again).check()?)))),
        ..NodeParts::new(policy, Box::new(noted.clone()))
    };
    let node = Node::new(parts);
    node.take_over_people().unwrap();
    (node, noted)
}

/// The configuration that a reload finds: other limits, and an allow file.
fn reread(folder: &Path) -> RawConfig {
    let mut raw = raw(folder);
    raw.policy.max_blocks = 7;
    raw.tables.flows = 128;
    raw.policy.allow_files = vec![folder.join("allow.txt")];
    raw
}

fn somebody() -> Who {
    Who::Local { uid: 0, gid: 0, pid: Some(1), user: Some("root".into()) }
}

fn batch(load: Option<u64>, targets: &[&str], end: bool) -> ImportRequest {
    let targets = targets.iter().map(|text| text.parse().unwrap()).collect();
    ImportRequest { load, end, targets, ..Default::default() }
}

/// A scrape of the node's own metrics.
fn scrape(node: &Node) -> String {
    let mut exposition = Exposition::default();
    node.metrics(&mut exposition);
    exposition.into_text()
}

mod floods;
mod health;
mod learning;
mod lists;
mod mode;
mod people;
mod reconcile;
mod records;
mod services;
