//! Selection of rows and columns, and counts of those left out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use features::Horizon;
use ipnet::IpNet;
use serde::Serialize;

use super::block::BLOCK_ROWS;
use crate::Label;

/// Columns to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Times and remotes ([`Block`](crate::Block)'s own vectors), the features and the labels.
    #[default]
    Features,
    /// Every column but the features: [`Block::rows`](crate::Block::rows) stays empty.
    Identity,
    /// Every column.
    All,
}

/// Rows wanted, by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LabelFilter {
    /// All of them.
    #[default]
    Any,
    /// Those labelled benign.
    Benign,
    /// Those that are not known to be of an attack: benign and unlabelled ones.
    NotAttack,
    /// Those with a label.
    Labelled,
    /// Those of attacks.
    Attacks,
    /// Those of some classes; `benign` is one.
    Classes(BTreeSet<String>),
}

impl LabelFilter {
    /// True where rows of this label are wanted.
    #[must_use]
    pub fn admits(&self, label: &Label) -> bool {
        match self {
            Self::Any => true,
            Self::Benign => *label == Label::Benign,
            Self::NotAttack => !label.is_attack(),
            Self::Labelled => *label != Label::Unlabelled,
            Self::Attacks => label.is_attack(),
            Self::Classes(classes) => label.class().is_some_and(|class| classes.contains(class)),
        }
    }
}

/// Rows and columns wanted. The default is every row, and [`Columns::Features`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Windows that begin at this unix time or later, in ns.
    pub from_ns: Option<i64>,
    /// Windows that begin before this unix time, in ns.
    pub to_ns: Option<i64>,
    /// Rows of this horizon alone; of flows and windows all are taken.
    pub horizon: Option<Horizon>,
    /// By label; a row of a file without labels is unlabelled.
    pub labels: LabelFilter,
    /// Remotes in these prefixes are left out; the window table has none.
    pub exclude_prefixes: Vec<IpNet>,
    /// Prefixes of the remotes that are taken, where this is not empty.
    pub only_prefixes: Vec<IpNet>,
    /// Rows of windows that lost something are left out, and of flows those that the file's sibling
    /// in the window table knows; see [`features::Window::is_lossy`].
    pub skip_lossy: bool,
    /// So many first windows of each capture are left out, in which everything is new; known as
    /// `skip_lossy` is.
    pub skip_first_windows: u64,
    /// The columns.
    pub columns: Columns,
    /// Rows of a block at most; at least 1.
    pub block_rows: usize,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            from_ns: None,
            to_ns: None,
            horizon: None,
            labels: LabelFilter::Any,
            exclude_prefixes: Vec::new(),
            only_prefixes: Vec::new(),
            skip_lossy: false,
            skip_first_windows: 0,
            columns: Columns::Features,
            block_rows: BLOCK_ROWS,
        }
    }
}

impl Selection {
    /// True where a window that begins then is wanted.
    #[must_use]
    pub fn admits_time(&self, time_ns: i64) -> bool {
        self.from_ns.is_none_or(|from| time_ns >= from) && self.to_ns.is_none_or(|to| time_ns < to)
    }

    /// True where any window between these times, both included, may be wanted.
    #[must_use]
    pub fn admits_any(&self, (first_ns, last_ns): (i64, i64)) -> bool {
        self.from_ns.is_none_or(|from| last_ns >= from) && self.to_ns.is_none_or(|to| first_ns < to)
    }

    /// True where rows of this remote are wanted.
    #[must_use]
    pub fn admits_remote(&self, remote: IpAddr) -> bool {
        let is_in = |prefixes: &[IpNet]| prefixes.iter().any(|prefix| prefix.contains(&remote));
        !is_in(&self.exclude_prefixes)
            && (self.only_prefixes.is_empty() || is_in(&self.only_prefixes))
    }

    pub(super) const fn asks_for_remotes(&self) -> bool {
        !self.exclude_prefixes.is_empty() || !self.only_prefixes.is_empty()
    }

    pub(super) const fn asks_for_windows(&self) -> bool {
        self.skip_lossy || self.skip_first_windows > 0
    }
}

/// Counts of the rows read, and of those left out by cause. A row is counted under the first cause
/// that holds, in the order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadCounts {
    /// Files that were opened.
    pub files: u64,
    /// Files that lie wholly outside of the wanted times.
    pub skipped_files: u64,
    /// Files whose sibling in the window table is missing, so that none of their rows could be
    /// left out for the window's sake.
    pub files_without_windows: u64,
    /// Row groups that were read.
    pub row_groups: u64,
    /// Row groups of opened files that lie wholly outside of the wanted times.
    pub skipped_row_groups: u64,
    /// Rows of skipped files and row groups, and rows outside of the wanted times.
    pub outside_time: u64,
    /// Rows of other horizons.
    pub other_horizon: u64,
    /// Rows of windows that lost something.
    pub lossy: u64,
    /// Rows of a capture's first windows.
    pub warm_up: u64,
    /// Rows of unwanted remotes.
    pub unwanted_remote: u64,
    /// Rows of unwanted labels.
    pub unwanted_label: u64,
    /// Rows that were handed out.
    pub selected: u64,
}

impl ReadCounts {
    /// What a selection left out, in words; none where that is nothing.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let parts: Vec<String> = [
            (self.outside_time, "rows outside of the time asked for"),
            (self.lossy, "rows from windows that lost flows"),
            (self.warm_up, "rows in the first windows of a capture"),
            (self.unwanted_remote, "rows of excluded remotes"),
            (self.files_without_windows, "files without a window table, taken as they are"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{count} {cause}"))
        .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}
