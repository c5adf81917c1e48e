//! Ground truth of peers, from files.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use dataset::{Active, Interval, Label, Rest, Truth};

use crate::cli::label::{Clock, RestChoice, read_truths};

/// Truths as one, if any was given.
pub(super) struct TruthFiles {
    truth: Option<Truth>,
    offset_ns: i64,
}

/// Ground truth of one window.
pub(super) struct Known<'a>(Option<(&'a Truth, Active<'a>)>);

impl TruthFiles {
    pub(super) fn read(
        files: &[PathBuf],
        rest: Option<RestChoice>,
        offset_ns: i64,
    ) -> anyhow::Result<Self> {
        let truth =
            if files.is_empty() { None } else { Some(read_truths(files, rest, Clock::Unix)?) };
        Ok(Self { truth, offset_ns })
    }

    pub(super) const fn is_given(&self) -> bool {
        self.truth.is_some()
    }

    /// Names of the attacks that it tells of.
    pub(super) fn attacks(&self) -> BTreeSet<&str> {
        let intervals = self.truth.iter().flat_map(|truth| &truth.intervals);
        intervals.filter(|interval| interval.is_attack()).map(Interval::title).collect()
    }

    /// Ground truth of a window, of unix time.
    pub(super) fn at(&self, start_ns: i64, end_ns: i64) -> Known<'_> {
        let active = |truth| (truth, Active::of(truth, start_ns, end_ns, self.offset_ns));
        Known(self.truth.as_ref().map(active))
    }
}

impl Known<'_> {
    /// Label of a peer, by its address.
    pub(super) fn of(&self, peer: IpAddr) -> Label {
        let Some((truth, active)) = &self.0 else { return Label::Unlabelled };
        match active.of_peer(peer).map(|place| &truth.intervals[place]) {
            Some(interval) => Label::of(Some(&interval.class), interval.name.as_deref()),
            None if truth.rest == Rest::Benign => Label::Benign,
            None => Label::Unlabelled,
        }
    }
}

/// Truths whose times are of the boot clock, where the lab wrote both.
pub(super) fn on_boot_clock(files: &[PathBuf], rest: Option<RestChoice>) -> anyhow::Result<Truth> {
    read_truths(files, rest, Clock::Boot)
}
