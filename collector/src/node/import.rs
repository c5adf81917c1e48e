//! Lists of blocks, batch after batch, as [`control::wire::ImportRequest`] says.

use std::collections::BTreeMap;

use control::{
    Who,
    wire::{Action, ImportRequest, Imported, Refused},
};

use super::{
    Node,
    acts::{Done, LONGEST_S, internal},
};
use crate::{
    clock::boot_ns,
    enforcer::{BY_IMPORT, ListDefaults, ListLoad, list_reserve},
};

/// Lists that are loaded at once.
const LOADS_AT_ONCE: usize = 4;
/// Longest wait of a load for its next batch, in ns.
const IDLE_FOR_NS: u64 = 60_000_000_000;

/// The loads under way, by number.
pub(super) type Loads = BTreeMap<u64, Load>;

/// A load under way.
pub(super) struct Load {
    list: ListLoad,
    who: Who,
    pub(super) heard_ns: u64,
    /// The batches so far.
    sums: Sums,
}

/// Counts of a load, as recorded.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Sums {
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    entries: u64,
    new: u64,
    replaced: u64,
    kept: u64,
    repeated: u64,
    refused: u64,
    /// Its last batch came and was read back.
    complete: bool,
}

impl Node {
    /// Takes a batch. The lock is held for one batch at a time, so that a window waits for no more
    /// than its entries.
    pub(super) fn take_list(
        &self,
        who: &Who,
        request: &ImportRequest,
    ) -> Result<Imported, Refused> {
        self.guarded()?;
        let longest = request.entries.iter().map(|entry| entry.for_s).chain([request.for_s]).max();
        if let Some(longest) = longest.flatten().filter(|&longest| longest > LONGEST_S) {
            return Err(Refused::invalid(format!(
                "`for_s` must be at most {LONGEST_S} (a year), got {longest}"
            )));
        }
        let reason = self.reason_for(request.list.as_deref(), BY_IMPORT)?;
        let mut inner = self.inner();
        self.protect_heard(&mut inner);
        let max_blocks = inner.policy.config().max_blocks;
        let capacity = inner.config.as_ref().map_or(max_blocks, |config| config.tables.blocks);
        let reserve = list_reserve(max_blocks, capacity);
        let mut load = match request.load {
            Some(number) => inner.loads.remove(&number).ok_or_else(|| {
                Refused::not_found(format!(
                    "no load {number} is under way: nothing came for a minute; what was answered \
                     is in force, so import the list again"
                ))
            })?,
            None if inner.loads.len() >= LOADS_AT_ONCE => {
                return Err(Refused::conflict(format!(
                    "{LOADS_AT_ONCE} lists are being loaded already; wait until one is"
                )));
            }
            None => Load {
                list: inner.enforcer.load_list(boot_ns(), reason, reserve).map_err(internal)?,
                who: who.clone(),
                heard_ns: 0,
                sums: Sums { list: request.list.clone(), ..Sums::default() },
            },
        };
        let config = inner.policy.config();
        let defaults = ListDefaults {
            for_s: request.for_s.unwrap_or(config.max_ttl.as_secs()),
            action: request.action.unwrap_or(Action::Drop),
            packets_per_second: request.pps.unwrap_or(config.expert.rate_limit_pps),
        };
        let mut imported = load.list.take(request.all(), &defaults, inner.policy.protected());
        self.forget_listing();
        load.sums.add(&imported);
        load.heard_ns = boot_ns();
        if !request.end {
            inner.loads.insert(load.list.began_ns(), load);
            return Ok(imported);
        }
        // Reading a million entries takes a while, and nothing waits for it.
        drop(inner);
        let read_back = load.list.read_back();
        load.sums.complete = read_back.is_ok();
        self.record_load(&load)?;
        imported.read_back = read_back.map_err(internal)?;
        Ok(imported)
    }

    /// Ends loads whose client went away; what they loaded stays in force.
    pub(super) fn end_idle_loads(&self) {
        let now_ns = boot_ns();
        let mut inner = self.inner();
        let is_idle = |load: &Load| now_ns.saturating_sub(load.heard_ns) > IDLE_FOR_NS;
        let idle: Vec<u64> = inner
            .loads
            .iter()
            .filter_map(|(&number, load)| is_idle(load).then_some(number))
            .collect();
        let ended: Vec<Load> =
            idle.iter().filter_map(|number| inner.loads.remove(number)).collect();
        drop(inner);
        for load in ended {
            tracing::warn!(who = %load.who, sums = ?load.sums, "a list was loaded in part");
            if let Err(error) = self.record_load(&load) {
                tracing::warn!(%error, "a load is not recorded");
            }
        }
    }

    fn record_load(&self, load: &Load) -> Result<(), Refused> {
        let arguments = serde_json::to_value(&load.sums);
        let done = Done { what: "import", arguments, records: Vec::new() };
        self.record(self.inner(), &load.who, done)
    }
}

impl Sums {
    fn add(&mut self, imported: &Imported) {
        let Imported { new, replaced, kept, repeated, refused, .. } = imported;
        let refused = refused.len() as u64;
        self.entries += new + replaced + kept + repeated + refused;
        self.new += new;
        self.replaced += replaced;
        self.kept += kept;
        self.repeated += repeated;
        self.refused += refused;
    }
}
