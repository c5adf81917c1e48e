//! Ongoing: learning that goes on while a node decides, and what a model that comes of it must hold to.
//!
//! ```text
//! rows of proven remotes ─► usual ──10 min──► settled ─► train ─► tried on remotes of late ─► in force
//!                             ▲ │                                  └─► refused, and why
//!        a person: was benign │ ▼ reported or blocked
//!                            odd
//! ```
//!
//! What is learnt fades with a half-life, and no network has more than a small share of it
//! ([`FadingRows`]). A row is learnt when nothing was said against its remote for [`Pace::settle`]:
//! what a remote did just before it was reported is forgotten with it. What stands out by the model
//! that was in force a half-life ago is learnt as often as several networks do it, and no more. What
//! anybody may have sent is not offered at all: that is the caller's to know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use events::{ModelChange, RangeMoved};
use forest::{Draws, IsolationForest, IsolationForestValidParams};
use linfa::ParamGuard as _;
use model::assess::{HorizonRows, UNUSUAL, assess};
use model::{Channel, DetectorModel, Horizons, Kind, ModelFile, schema};
use thiserror::Error;

use crate::BEYOND;
use crate::fading::FadingRows;
use crate::learner::{LearnError, fit_all};
use crate::sampled_rows::SampledRows;

/// Rows of peers over a window that are kept; two fifths of them calibrate.
const WINDOW_ROWS: usize = 1 << 15;
/// Rows of every other channel that are kept.
const OTHER_ROWS: usize = 1 << 12;
/// Rows of remotes that were reported that are kept, of each channel.
const ODD_ROWS: usize = 1 << 9;
/// Remotes that are known not to be learnt from, or vouched for, at most.
const REMOTES: usize = 1 << 14;
/// Features of which a change tells.
const MOVED: usize = 3;
/// Part of its benign range's width that a feature has moved by when it is told.
const MOVED_BY: f32 = 0.1;
/// One in so many remotes may be unusual by a new model and not by the one before.
const ONE_MORE_IN: u64 = 100;
/// Surprise beyond [`Pace::unusual`] by which a reported remote must have been unusual to count: what
/// hardly was may be usual by chance.
const CLEARLY: f64 = 1.0;
/// One in so many reported remotes may be usual by a new model and not by the one before.
const ONE_LOST_IN: u64 = 10;

/// How fast is learnt and forgotten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Time after which a row counts half.
    pub half_life: Duration,
    /// Time from one training to the next.
    pub every: Duration,
    /// Time for which nothing must have been said against a remote before its rows are learnt.
    pub settle: Duration,
    /// Surprise from which on a remote is unusual.
    pub unusual: f64,
}

impl Default for Pace {
    /// A day to count half, an hour from one training to the next.
    fn default() -> Self {
        Self {
            half_life: Duration::from_hours(24),
            every: Duration::from_hours(1),
            settle: Duration::from_mins(10),
            unusual: 3.0,
        }
    }
}

/// What is known of a remote by what was decided on it, or by what a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It was reported or blocked: not learnt from until then, in ns of the clock of windows.
    Reported {
        /// The end of it.
        until_ns: u64,
    },
    /// A person says that what it did was benign.
    WasBenign,
    /// A person says that it is an attacker: nothing of it is learnt, for a half-life.
    WasAttack,
}

/// A model that was learnt on the way, with what it changes.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The model.
    pub model: ModelFile,
    /// What it changes.
    pub change: ModelChange,
}

/// Reason for which no model that was learnt on the way is put in force.
#[derive(Debug, Error)]
pub enum NotLearnt {
    /// There are too few rows.
    #[error(transparent)]
    Fit(#[from] LearnError),
    /// It would report remotes that the model in force finds ordinary.
    #[error(
        "it finds {} of {} remotes of late unusual, the model in force {}: what is learnt from is not \
         what comes; if it goes on, learn anew with `weir learn`", .0.unusual, .0.remotes,
        .0.unusual_before
    )]
    Unusual(Box<ModelChange>),
    /// It would not see what the model in force sees.
    #[error(
        "of {} remotes that were reported it finds {} unusual: if what they did was benign, say so \
         with `weir unblock ADDRESS --was-benign`", .0.reported, .0.still_unusual
    )]
    Blind(Box<ModelChange>),
    /// It would support no rate as small as the model in force does, and as is asked for.
    #[error(
        "its {} held-out rows support no rate below {:.1e}, the model in force {:.1e}: more rows \
         come with time", .0.held_out, .0.smallest_rate, .0.smallest_rate_before
    )]
    Unsupported(Box<ModelChange>),
}

impl NotLearnt {
    /// What would have changed, where there was a model.
    #[must_use]
    pub fn change(&self) -> Option<&ModelChange> {
        match self {
            Self::Fit(_) => None,
            Self::Unusual(change) | Self::Blind(change) | Self::Unsupported(change) => Some(change),
        }
    }
}

/// What is learnt from; a copy of it is what is trained on, in a thread of its own.
#[derive(Clone)]
pub struct Ongoing {
    pace: Pace,
    window: Duration,
    paused: bool,
    params: IsolationForestValidParams,
    usual: BTreeMap<Channel, FadingRows>,
    odd: BTreeMap<Channel, FadingRows>,
    /// Remotes that are not learnt from until then.
    reported: HashMap<IpAddr, u64>,
    /// Remotes that a person vouched for, until then.
    vouched: HashMap<IpAddr, u64>,
    /// What stands out is told by this model, and not by the one in force: what moves each hour would
    /// let itself be led away a little each hour.
    anchor: Option<Arc<Anchor>>,
    /// No remote is learnt from until then: too many were reported to tell who was.
    crowded_until_ns: u64,
    /// Rows of the own side are not learnt from before then.
    own_side_from_ns: u64,
    now_ns: u64,
    due_ns: u64,
    windows: u64,
    rows: u64,
}

/// The model that was in force at the beginning of a half-life.
#[derive(Debug)]
struct Anchor {
    model: ModelFile,
    since_ns: u64,
}

impl std::fmt::Debug for Ongoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ongoing").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl Ongoing {
    /// Nothing is learnt yet of windows of this length; the forests are to have these parameters.
    #[must_use]
    pub fn new(window: Duration, pace: Pace, params: IsolationForestValidParams) -> Self {
        Self {
            pace,
            window,
            paused: false,
            params,
            usual: BTreeMap::new(),
            odd: BTreeMap::new(),
            reported: HashMap::new(),
            vouched: HashMap::new(),
            anchor: None,
            crowded_until_ns: 0,
            own_side_from_ns: 0,
            now_ns: 0,
            due_ns: 0,
            windows: 0,
            rows: 0,
        }
    }

    /// For a node: weir's own forests, trained by one thread, for windows come first.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the defaults hold")]
    pub fn beside_windows(window: Duration) -> Self {
        let params = IsolationForest::params().beyond(BEYOND).threads(NonZeroUsize::new(1));
        Self::new(window, Pace::default(), params.check().expect("the defaults hold"))
    }

    /// Takes the row of a remote, or of this host's own side (no remote), that came with a window.
    pub fn take(&mut self, channel: Channel, remote: Option<IpAddr>, at_ns: u64, row: &[f32]) {
        if self.paused {
            return;
        }
        let is_reported = |remote| self.reported.get(&remote).is_some_and(|&until| until > at_ns);
        let is_vouched = |remote| self.vouched.contains_key(&remote);
        match remote {
            Some(remote) if is_reported(remote) && !is_vouched(remote) => {
                rows_of(&mut self.odd, channel, ODD_ROWS, self.pace, self.params.seed()).take(
                    Some(remote),
                    at_ns,
                    row,
                );
            }
            Some(_) if at_ns < self.crowded_until_ns => {}
            None if at_ns < self.own_side_from_ns => {}
            remote => {
                let is_base = channel == self.peers();
                self.rows += u64::from(is_base);
                let capacity = if is_base { WINDOW_ROWS } else { OTHER_ROWS };
                rows_of(&mut self.usual, channel, capacity, self.pace, self.params.seed())
                    .take(remote, at_ns, row);
            }
        }
    }

    /// Ends a window whose rows were taken.
    pub fn end_window(&mut self, end_ns: u64) {
        if self.due_ns == 0 {
            self.due_ns = end_ns.saturating_add(nanos(self.pace.every));
        }
        self.windows += 1;
        self.now_ns = end_ns;
    }

    /// Learns nothing until told otherwise.
    pub const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Hears what was said of remotes since the last window.
    pub fn hear(&mut self, words: &[(IpAddr, Word)]) {
        let (mut reported, mut attackers) = (BTreeSet::new(), BTreeSet::new());
        let mut has_room = true;
        for &(remote, word) in words {
            match word {
                Word::Reported { until_ns } => {
                    has_room &= self.note_reported(remote, until_ns);
                    reported.insert(remote);
                }
                Word::WasBenign => {
                    reported.remove(&remote);
                    attackers.remove(&remote);
                    self.vouch(remote);
                }
                Word::WasAttack => {
                    self.vouched.remove(&remote);
                    let until_ns = self.now_ns.saturating_add(nanos(self.pace.half_life));
                    has_room &= self.note_reported(remote, until_ns);
                    attackers.insert(remote);
                }
            }
        }
        if !has_room {
            self.missed_words();
        }
        self.hand_over(&attackers, 0);
        reported.retain(|remote| !self.vouched.contains_key(remote));
        // What they did just before is not usual either.
        self.hand_over(&reported, self.settled_until());
    }

    /// What these remotes did since then is not usual.
    fn hand_over(&mut self, remotes: &BTreeSet<IpAddr>, since_ns: u64) {
        if remotes.is_empty() {
            return;
        }
        for (channel, usual) in &mut self.usual {
            let odd = rows_of(&mut self.odd, *channel, ODD_ROWS, self.pace, self.params.seed());
            usual.hand_over(remotes, since_ns, odd);
        }
    }

    /// More was said than could be heard: on whom nobody knows, and what any remote does is not learnt
    /// until that would have settled, nor what it did of late.
    pub fn missed_words(&mut self) {
        self.crowded_until_ns = self.settles_at();
        let since_ns = self.settled_until();
        for (_, rows) in self.usual.iter_mut().filter(|(channel, _)| channel.kind == Kind::Peer) {
            rows.forget_since(since_ns);
        }
    }

    /// False where there is no room for it.
    fn note_reported(&mut self, remote: IpAddr, until_ns: u64) -> bool {
        let least = until_ns.max(self.settles_at());
        if self.reported.len() >= REMOTES && !self.reported.contains_key(&remote) {
            return false;
        }
        let until = self.reported.entry(remote).or_default();
        *until = least.max(*until);
        true
    }

    /// A person has looked: what was seen of the remote is settled at once.
    fn vouch(&mut self, remote: IpAddr) {
        self.reported.remove(&remote);
        if self.vouched.len() < REMOTES {
            let until = self.now_ns.saturating_add(nanos(self.pace.half_life));
            self.vouched.insert(remote, until);
        }
        let at_ns = self.settled_until().saturating_sub(1);
        for (channel, odd) in &mut self.odd {
            if let Some(usual) = self.usual.get_mut(channel) {
                usual.take_over(odd, remote, at_ns);
            }
        }
        self.ask();
    }

    /// Another model is in force by a person's will: what stands out is told by it from here on.
    pub fn anchor_anew(&mut self) {
        self.anchor = None;
    }

    /// Forgets what came since then, and waits as long for the next training as at the start.
    pub fn forget_since(&mut self, since_ns: u64) {
        for rows in self.usual.values_mut().chain(self.odd.values_mut()) {
            rows.forget_since(since_ns);
        }
        self.due_ns = self.now_ns.saturating_add(nanos(self.pace.every));
    }

    /// Something is told of this host's own side, which no remote's row tells: what was seen of it of
    /// late is not learnt.
    pub fn own_side_stood_out(&mut self) {
        let since_ns = self.settled_until();
        self.own_side_from_ns = self.settles_at();
        for (_, rows) in self.usual.iter_mut().filter(|(channel, _)| channel.kind != Kind::Peer) {
            rows.forget_own(since_ns);
        }
    }

    /// Has the next training be due now, for traffic has drifted or a person has said something.
    pub fn ask(&mut self) {
        self.due_ns = self.due_ns.min(self.now_ns);
    }

    /// A copy to train on, where that is due, given the model in force.
    pub fn due(&mut self, in_force: &ModelFile) -> Option<Self> {
        if self.due_ns == 0 || self.now_ns < self.due_ns {
            return None;
        }
        let now_ns = self.now_ns;
        let half_life_ns = nanos(self.pace.half_life);
        let is_old = |anchor: &Arc<Anchor>| now_ns.saturating_sub(anchor.since_ns) >= half_life_ns;
        if self.anchor.as_ref().is_none_or(is_old) {
            self.anchor = Some(Arc::new(Anchor { model: in_force.clone(), since_ns: now_ns }));
        }
        self.due_ns = self.now_ns.saturating_add(nanos(self.pace.every));
        self.vouched.retain(|_, until| *until > self.now_ns);
        self.reported.retain(|_, until| *until > self.now_ns);
        for rows in self.usual.values_mut().chain(self.odd.values_mut()) {
            rows.thin(self.now_ns);
        }
        Some(self.clone())
    }

    /// Rows that are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.usual.values().chain(self.odd.values()).map(FadingRows::len).sum()
    }

    /// Trains on what has settled, and tries what comes of it on the remotes of late.
    ///
    /// `needed` are the held-out rows that the configured rates ask for.
    pub fn train(
        &self,
        before: &ModelFile,
        needed: u64,
        created: &str,
    ) -> Result<Candidate, NotLearnt> {
        let until_ns = self.settled_until();
        let anchor = self.anchor.as_ref().map_or(before, |anchor| &anchor.model);
        let per_window = self.rows as f64 / self.windows.max(1) as f64;
        let settled: BTreeMap<Channel, SampledRows> = self
            .usual
            .iter()
            .map(|(channel, rows)| {
                let per_window = if *channel == self.peers() { per_window } else { 1.0 };
                let odd =
                    |owners: &[_], rows: &[f32]| self.stand_out(anchor, *channel, owners, rows);
                (*channel, rows.settled(until_ns, self.now_ns, per_window, odd))
            })
            .collect();
        let model = fit_all(&settled, self.window, &self.params, created)?;
        let change = self.change(before, &model);
        let told = Box::new(change.clone());
        let (more, less) = self.differences(before, &model);
        // A remote that one of them finds unusual by chance is as often the other's: two standard
        // deviations of that, and one in a hundred.
        let by_luck = 2.0 * ((more + less) as f64).sqrt();
        if more as f64 - less as f64 > by_luck + (change.remotes / ONE_MORE_IN) as f64 {
            return Err(NotLearnt::Unusual(told));
        }
        if change.still_unusual + change.reported / ONE_LOST_IN < change.reported {
            return Err(NotLearnt::Blind(told));
        }
        let [rows, rows_before] =
            [&model, before].map(|one| one.peer().calibration().held_out() as u64);
        // After a restart there is not yet what a day has taught.
        let ample = rows_before.min(WINDOW_ROWS as u64 / 4) / 4;
        if rows < needed.min(rows_before).max(ample) {
            return Err(NotLearnt::Unsupported(told));
        }
        Ok(Candidate { model, change })
    }

    /// Which rows of remotes stand out by the anchor; nobody vouched for their owners.
    fn stand_out(
        &self,
        anchor: &ModelFile,
        channel: Channel,
        owners: &[Option<IpAddr>],
        rows: &[f32],
    ) -> Vec<bool> {
        if channel.kind != Kind::Peer {
            return vec![false; owners.len()];
        }
        let of = (0..owners.len()).collect();
        let rows = [HorizonRows { horizon: channel.horizon, rows: rows.to_vec(), of }];
        let assessment = assess(anchor.detectors(), channel.kind, &rows, owners.len());
        let vouched =
            |owner: &Option<IpAddr>| owner.is_some_and(|one| self.vouched.contains_key(&one));
        let each = owners.iter().zip(assessment.entities());
        each.map(|(owner, one)| one.surprise >= UNUSUAL && !vouched(owner)).collect()
    }

    fn change(&self, before: &ModelFile, model: &ModelFile) -> ModelChange {
        let of_late = self.of_late();
        let from = self.pace.unusual;
        let count = |model: &ModelFile, blocks: &Blocks| unusual(model, blocks, from).len();
        let odd = Self::blocks(&self.odd, 0);
        let reported = unusual(before, &odd, from + CLEARLY);
        let still = unusual(model, &odd, from);
        let (peer, training) = (model.peer(), model.peer().training());
        ModelChange {
            rows: training.rows,
            held_out: training.held_out,
            smallest_rate: peer.calibration().smallest_p(),
            smallest_rate_before: before.peer().calibration().smallest_p(),
            moved: moved(before.peer(), peer),
            remotes: of_late.remotes as u64,
            unusual: count(model, &of_late) as u64,
            unusual_before: count(before, &of_late) as u64,
            reported: reported.len() as u64,
            still_unusual: reported.intersection(&still).count() as u64,
        }
    }

    /// Remotes of late that only the new model finds unusual, and that only the one before does.
    fn differences(&self, before: &ModelFile, model: &ModelFile) -> (usize, usize) {
        let of_late = self.of_late();
        let [before, now] = [before, model].map(|one| unusual(one, &of_late, self.pace.unusual));
        (now.difference(&before).count(), before.difference(&now).count())
    }

    /// Rows that have not settled: nothing was learnt from them.
    fn of_late(&self) -> Blocks {
        Self::blocks(&self.usual, self.settled_until())
    }

    fn blocks(rows: &BTreeMap<Channel, FadingRows>, since_ns: u64) -> Blocks {
        let mut numbers = BTreeMap::new();
        let mut blocks = Vec::new();
        for (channel, rows) in rows.iter().filter(|(channel, _)| channel.kind == Kind::Peer) {
            for (owner, row) in rows.since(since_ns) {
                let next = numbers.len();
                let number = *numbers.entry(owner).or_insert(next);
                HorizonRows::add(&mut blocks, channel.horizon, row, number);
            }
        }
        Blocks { rows: blocks, remotes: numbers.len() }
    }

    fn peers(&self) -> Channel {
        Channel::new(Kind::Peer, Horizons::of(self.window).window())
    }

    const fn settled_until(&self) -> u64 {
        self.now_ns.saturating_sub(nanos(self.pace.settle))
    }

    const fn settles_at(&self) -> u64 {
        self.now_ns.saturating_add(nanos(self.pace.settle))
    }
}

/// Rows of remotes, by horizon and remote.
struct Blocks {
    rows: Vec<HorizonRows>,
    remotes: usize,
}

/// The remotes that a model finds as unusual, by number.
fn unusual(model: &ModelFile, blocks: &Blocks, from: f64) -> BTreeSet<usize> {
    let assessment = assess(model.detectors(), Kind::Peer, &blocks.rows, blocks.remotes);
    let found = assessment.entities().iter().enumerate();
    found.filter(|(_, one)| one.surprise >= from).map(|(number, _)| number).collect()
}

/// The features whose benign range moved most, by its width before.
fn moved(before: &DetectorModel, now: &DetectorModel) -> Vec<RangeMoved> {
    let mut moved: Vec<(f32, RangeMoved)> = before
        .inputs()
        .names()
        .iter()
        .zip(before.ranges())
        .filter_map(|(name, old)| {
            let at = now.inputs().names().iter().position(|one| one == name)?;
            let new = now.ranges()[at];
            let by = (new.p99 - old.p99).abs() / (old.p99 - old.p01).max(1.0);
            let told = RangeMoved { feature: name.clone(), before: old.p99, now: new.p99 };
            (by >= MOVED_BY).then_some((by, told))
        })
        .collect();
    moved.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    moved.truncate(MOVED);
    moved.into_iter().map(|(_, told)| told).collect()
}

fn rows_of(
    rows: &mut BTreeMap<Channel, FadingRows>,
    channel: Channel,
    capacity: usize,
    pace: Pace,
    seed: u64,
) -> &mut FadingRows {
    let stream = rows.len();
    rows.entry(channel).or_insert_with(|| {
        let width = schema::schema_id(channel.kind).features.len();
        FadingRows::new(width, capacity, nanos(pace.half_life), Draws::new(seed, stream))
    })
}

#[expect(clippy::cast_possible_truncation, reason = "half a millennium of nanoseconds")]
const fn nanos(length: Duration) -> u64 {
    length.as_nanos() as u64
}

mod kept;
#[cfg(test)]
mod tests;
