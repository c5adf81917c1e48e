//! Lists of blocks: batch after batch, each in force when it is answered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, Check, Prefix, Refused, check_list};

/// Entries of one batch at the most.
pub const IMPORT_BATCH: usize = 16_384;

/// A batch of a list of blocks.
///
/// The first batch begins a load and has no `load`; its answer names it. The last one has `end`:
/// the entries written are read back, and the load is recorded. A load without a batch for a minute
/// ends; the batches answered stay in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// The load that the batch goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u64>,
    /// Action on the packets of entries that name none; `drop` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<events::openapi::Action>)]
    pub action: Option<Action>,
    /// Packets a second that a rate limit leaves; `policy.rate_limit_pps` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pps: Option<u32>,
    /// The list that the entries are of, by name, in the batch that begins the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Lease of entries that name none, in seconds; `policy.max_ttl` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// At most 16384 addresses and prefixes, without settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub targets: Vec<Prefix>,
    /// Instead of these, at most 16384 entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<ImportEntry>,
    /// True in the last batch.
    #[serde(default)]
    pub end: bool,
}

/// An entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportEntry {
    /// The address or prefix.
    #[schema(value_type = String, example = "192.0.2.7")]
    pub target: Prefix,
    /// Action on its packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<events::openapi::Action>)]
    pub action: Option<Action>,
    /// Packets a second that a rate limit leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pps: Option<u32>,
    /// Its lease, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

/// Result of a batch. Each entry is one of new, replaced, kept, repeated or refused, up to the one
/// at which the load stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// The load, for the next batch.
    pub load: u64,
    /// Lease of entries that name none, in seconds.
    pub for_s: u64,
    /// Not blocked before, or past their lease.
    pub new: u64,
    /// Blocked before for a shorter time, or with less done about it.
    pub replaced: u64,
    /// Blocked before for as long, or with more done about it.
    pub kept: u64,
    /// In the list more than once; the longest lease is in force.
    pub repeated: u64,
    /// Those that are new, replaced or kept, by table.
    pub blocked: TableCount,
    /// Entries that must not be blocked.
    pub refused: Vec<ImportRefused>,
    /// The entry that could not be made; those behind it were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<ImportStopped>,
    /// The tables as read back at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBack>,
}

/// An entry that must not be blocked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportRefused {
    /// Its place in the batch, from 0.
    pub entry: usize,
    /// For a program: the same as in `refusals` of the status, or `too_wide`.
    pub code: String,
    /// For a person.
    pub text: String,
}

/// An entry that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportStopped {
    /// Its place in the batch, from 0.
    pub entry: usize,
    /// Why, with the remedy.
    pub text: String,
}

/// Entries by the table that holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableCount {
    /// IPv4 addresses.
    pub v4: usize,
    /// IPv6 addresses.
    pub v6: usize,
    /// Prefixes.
    pub prefixes: usize,
}

/// Contents of the kernel's tables after a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadBack {
    /// Entries of the load that were written, and that the tables hold.
    pub written: u64,
    /// Entries in all, those past their lease included.
    pub held: TableCount,
    /// Entries that there is room for.
    pub capacity: TableCount,
}

impl From<Prefix> for ImportEntry {
    fn from(target: Prefix) -> Self {
        Self { target, action: None, pps: None, for_s: None }
    }
}

impl ImportRequest {
    /// All entries, those that say nothing else too.
    pub fn all(&self) -> impl Iterator<Item = ImportEntry> {
        let targets = self.targets.iter().map(|&target| target.into());
        targets.chain(self.entries.iter().copied())
    }
}

impl Check for ImportRequest {
    fn check(&self) -> Result<(), Refused> {
        check_list(self.list.as_deref())?;
        if !self.targets.is_empty() && !self.entries.is_empty() {
            return Err(Refused::invalid("a batch has `targets` or `entries`, got both"));
        }
        for (field, count) in [("targets", self.targets.len()), ("entries", self.entries.len())] {
            if count > IMPORT_BATCH {
                let bound = format!("`{field}` must be at most {IMPORT_BATCH}, got {count}");
                return Err(Refused::invalid(bound));
            }
        }
        let all = self.entries.iter().map(|entry| (entry.for_s, entry.pps));
        for (for_s, pps) in all.chain([(self.for_s, self.pps)]) {
            if for_s == Some(0) {
                return Err(Refused::invalid("`for_s` must be at least 1, got 0"));
            }
            if pps == Some(0) {
                return Err(Refused::invalid("`pps` must be at least 1, got 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_out_of_bounds_is_told_the_bound() {
        let entry = ImportEntry::from("192.0.2.7".parse::<Prefix>().unwrap());
        let batch = |entries| ImportRequest { entries, ..ImportRequest::default() };
        assert_eq!(batch(vec![entry; IMPORT_BATCH]).check(), Ok(()));
        for (entries, expect) in [
            (vec![entry; IMPORT_BATCH + 1], "at most 16384, got 16385"),
            (vec![ImportEntry { for_s: Some(0), ..entry }], "`for_s` must be at least 1"),
            (vec![ImportEntry { pps: Some(0), ..entry }], "`pps` must be at least 1"),
        ] {
            let error = batch(entries).check().unwrap_err().text;
            assert!(error.contains(expect), "{error}");
        }
        let both = ImportRequest { targets: vec![entry.target], ..batch(vec![entry]) };
        assert!(both.check().unwrap_err().text.contains("got both"));
    }
}
