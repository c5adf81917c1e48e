//! What is found at a budget of benign remotes, by each measure and each view.

use std::collections::BTreeMap;

use features::Kind;
use model::{
    Channel, ModelFile,
    assess::{HorizonRows, assess},
};
use policy::ALERT_SURPRISE;
use serde::Serialize;

use super::capture::{Attack, Capture, Rows, Whose};

/// Shares of the benign remotes that may ever be above, at which detection is told.
pub const BUDGETS: [f64; 2] = [0.01, 0.003];

/// By what rows are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Measure {
    /// The surprise that decisions go by: both measures.
    Both,
    /// The tails alone.
    Tails,
    /// The forest alone.
    Forest,
}

/// Which rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum View {
    /// Those of peers over a second.
    Second,
    /// Those of peers.
    Peers,
    /// Those of the host's side.
    Home,
    /// All: those of the host's side too, at one threshold.
    All,
}

impl Measure {
    /// Both first.
    pub const ALL: [Self; 3] = [Self::Both, Self::Tails, Self::Forest];

    /// Its name in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both, as decided by",
            Self::Tails => "tails",
            Self::Forest => "isolation forest",
        }
    }
}

impl View {
    /// From few rows to all.
    pub const ALL: [Self; 4] = [Self::Second, Self::Peers, Self::Home, Self::All];

    /// Its name in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "peers, 1 s",
            Self::Peers => "peers, all horizons",
            Self::Home => "the host's side",
            Self::All => "all views",
        }
    }

    /// Its place in [`Self::ALL`].
    const fn place(self) -> usize {
        self as usize
    }

    fn has(self, channel: Channel) -> bool {
        match self {
            Self::Second => channel.kind == Kind::Peer && channel.horizon.ms() == 1_000,
            Self::Peers => channel.kind == Kind::Peer,
            Self::Home => channel.kind != Kind::Peer,
            Self::All => true,
        }
    }
}

/// The highest surprise that something ever had, by measure and view.
pub type Peaks = [[f64; View::ALL.len()]; Measure::ALL.len()];

/// An attack as a model saw it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its class, in words.
    pub class: String,
    /// It comes from outside, and probes, floods or repeats.
    pub is_abuse: bool,
    /// Highest surprises; 0 where no row was of it.
    pub peaks: Peaks,
    /// The row of its highest surprise by both measures, in all views.
    pub strongest: Option<Strongest>,
}

/// A benign entity as a model saw it.
#[derive(Clone, Debug, Serialize)]
pub struct Calm {
    /// Its capture.
    pub capture: String,
    /// Who it is.
    pub whose: String,
    /// Highest surprises.
    pub peaks: Peaks,
    /// The row of its highest surprise by both measures, where that is one to report.
    pub strongest: Option<Strongest>,
}

/// A row that stands out most.
#[derive(Clone, Debug, Serialize)]
pub struct Strongest {
    /// Kind and horizon.
    pub channel: String,
    /// Features that made it.
    pub reasons: Vec<String>,
}

/// What a model saw of the captures that test it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Budgeted {
    /// Benign entities: each remote, and the host's side of each capture.
    pub benign: Vec<Calm>,
    /// Benign remotes.
    pub remotes: usize,
    /// The attacks.
    pub attacks: Vec<Seen>,
}

/// Rows with their surprises.
struct Scored<'a> {
    channel: Channel,
    rows: &'a Rows,
    surprises: Vec<[f64; Measure::ALL.len()]>,
}

impl Budgeted {
    /// Takes a capture that is tested.
    pub fn take(&mut self, model: &ModelFile, capture: &Capture) {
        let scored = scored(model, capture);
        if capture.attacks.is_empty() {
            let mut entities: BTreeMap<Whose, (Peaks, Most<'_>)> = BTreeMap::new();
            for one in &scored {
                for (row, whose) in one.rows.of.iter().enumerate() {
                    let (peaks, most) = entities.entry(*whose).or_default();
                    raise(peaks, one.channel, &one.surprises[row]);
                    most.look(one, row);
                }
            }
            self.remotes += capture.remotes();
            self.benign.extend(entities.into_iter().map(|(whose, (peaks, most))| Calm {
                capture: capture.name.clone(),
                whose: whose.to_string(),
                peaks,
                strongest: most.told(model).filter(|_| most.surprise >= ALERT_SURPRISE),
            }));
        }
        self.attacks.extend(capture.attacks.iter().map(|attack| seen(model, attack, &scored)));
    }

    /// Adds what another saw.
    pub fn join(&mut self, other: Self) {
        self.benign.extend(other.benign);
        self.remotes += other.remotes;
        self.attacks.extend(other.attacks);
    }

    /// The surprise above which a share of the benign remotes ever were, by measure and view: at most
    /// so many entities are above it.
    #[must_use]
    pub fn threshold(&self, budget: f64, measure: usize, view: usize) -> f64 {
        let mut falling: Vec<f64> =
            self.benign.iter().map(|one| one.peaks[measure][view]).collect();
        falling.sort_unstable_by(|a, b| b.total_cmp(a));
        falling.get(allowed(self.remotes, budget)).copied().unwrap_or(0.0).max(0.0)
    }

    /// Attacks that are found at a budget.
    pub fn found(
        &self,
        budget: f64,
        measure: usize,
        view: usize,
    ) -> impl Iterator<Item = &Seen> + use<'_> {
        let threshold = self.threshold(budget, measure, view);
        self.attacks.iter().filter(move |one| one.peaks[measure][view] > threshold)
    }
}

impl Budgeted {
    /// Attacks that peers or the host's side find where each has a budget of its own, as decisions and
    /// alarms have.
    #[must_use]
    pub fn found_by_either(&self, budget: f64, measure: usize) -> usize {
        let views = [View::Peers, View::Home].map(View::place);
        let thresholds = views.map(|view| self.threshold(budget, measure, view));
        let is = |one: &&Seen| {
            views.iter().zip(thresholds).any(|(view, least)| one.peaks[measure][*view] > least)
        };
        self.attacks.iter().filter(is).count()
    }
}

/// So many remotes: a share of them, rounded down, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is at most the count"
)]
fn allowed(remotes: usize, budget: f64) -> usize {
    ((remotes as f64 * budget) as usize).max(1)
}

/// Surprises of every row of a capture.
fn scored<'a>(model: &ModelFile, capture: &'a Capture) -> Vec<Scored<'a>> {
    let of = |(channel, rows): (&Channel, &'a Rows)| {
        let detector = model.detectors().get(channel)?;
        let block = HorizonRows {
            horizon: channel.horizon,
            rows: rows.values.clone(),
            of: (0..rows.of.len()).collect(),
        };
        let blocks = [block];
        let assessment = assess(model.detectors(), channel.kind, &blocks, rows.of.len());
        let surprise = |one: &model::assess::EntityAssessment| {
            [one.surprise, detector.tail_surprise(one.tail_score), detector.surprise(one.score)]
        };
        let surprises: Vec<_> = assessment.entities().iter().map(surprise).collect();
        Some(Scored { channel: *channel, rows, surprises })
    };
    capture.rows.iter().filter_map(of).collect()
}

fn raise(peaks: &mut Peaks, channel: Channel, surprises: &[f64]) {
    for (peaks, surprise) in peaks.iter_mut().zip(surprises) {
        for (peak, view) in peaks.iter_mut().zip(View::ALL) {
            if view.has(channel) {
                *peak = peak.max(*surprise);
            }
        }
    }
}

/// The row of the highest surprise by both measures, of those that were looked at.
#[derive(Clone, Copy, Default)]
struct Most<'a> {
    surprise: f64,
    row: Option<(&'a Scored<'a>, usize)>,
}

impl<'a> Most<'a> {
    fn look(&mut self, scored: &'a Scored<'a>, row: usize) {
        let surprise = scored.surprises[row][0];
        if self.row.is_none() || surprise > self.surprise {
            *self = Self { surprise, row: Some((scored, row)) };
        }
    }

    fn told(&self, model: &ModelFile) -> Option<Strongest> {
        let (one, row) = self.row?;
        let width = one.rows.width();
        let values = one.rows.values[row * width..][..width].to_vec();
        let blocks = [HorizonRows { horizon: one.channel.horizon, rows: values, of: vec![0] }];
        let reasons = assess(model.detectors(), one.channel.kind, &blocks, 1).reasons(0);
        let told = |one: &model::assess::Reason| format!("{} {:.3}", one.feature, one.value);
        let reasons = reasons.iter().take(3).map(told).collect();
        Some(Strongest { channel: one.channel.to_string(), reasons })
    }
}

fn seen(model: &ModelFile, attack: &Attack, scored: &[Scored<'_>]) -> Seen {
    let (mut peaks, mut most) = (Peaks::default(), Most::default());
    for one in scored {
        for (row, (whose, span)) in one.rows.of.iter().zip(&one.rows.spans).enumerate() {
            if attack.shows_in(*whose, *span) {
                raise(&mut peaks, one.channel, &one.surprises[row]);
                most.look(one, row);
            }
        }
    }
    let (name, class) = (attack.name.clone(), attack.class.clone());
    Seen { name, class, is_abuse: attack.is_abuse(), peaks, strongest: most.told(model) }
}
