//! Learning from the benign captures that are for it.

use std::{collections::BTreeMap, path::PathBuf};

use features::{Context, Feature as _, Horizon, Kind, PeerFeature, schema};
use forest::IsolationForest;
use linfa::ParamGuard as _;
use model::{Channel, DetectorModel, ModelFile};
use replay::HomeNet;
use serde::Serialize;
use training::{BEYOND, ENOUGH_HELD_OUT};

use super::{
    corpus::{Corpus, Role},
    replay::{Roots, home_of, windows},
};

/// Rows learnt from: training first, calibration second.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Learnt {
    /// Captures.
    pub captures: [usize; 2],
    /// Windows.
    pub windows: [usize; 2],
    /// Rows of peers, by horizon.
    pub peers: BTreeMap<String, [usize; 2]>,
}

/// Rows of training and of calibration, by horizon.
#[derive(Default)]
struct Rows(BTreeMap<Horizon, [Vec<f32>; 2]>);

/// A capture to learn from.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    /// The file.
    pub(super) path: PathBuf,
    /// What it protects.
    pub(super) home: HomeNet,
    /// It is one day of the project's own lab: its last four tenths calibrate, a split in time.
    pub(super) shipped: bool,
    /// What its rows are for: 0 training, 1 calibration.
    pub(super) place: usize,
}

/// Fits and calibrates a detector of peers over each horizon, the rotating groups' roles turned
/// `turns` times.
///
/// # Errors
/// A capture cannot be read, or there are too few rows to learn from.
pub fn learn(
    corpus: &Corpus,
    roots: &Roots,
    turns: usize,
    tell: impl FnMut(&str),
) -> anyhow::Result<(ModelFile, Learnt)> {
    fit(&lessons(corpus, roots, turns, tell)?)
}

/// The captures that are learnt from, training before calibration in each group.
pub(super) fn lessons(
    corpus: &Corpus,
    roots: &Roots,
    turns: usize,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<Vec<Lesson>> {
    let mut lessons = Vec::new();
    for source in &corpus.benign {
        let place = match source.role_after(turns) {
            Role::Train => 0,
            Role::Calibrate => 1,
            Role::Test => continue,
        };
        tell(&format!("learning from {}", source.group));
        for path in roots.captures(source)? {
            let Some(home) = home_of(source, &path)? else { continue };
            lessons.push(Lesson { path, home, shipped: source.shipped, place });
        }
    }
    Ok(lessons)
}

/// A detector over each horizon that these captures hold enough rows for.
pub(super) fn fit(lessons: &[Lesson]) -> anyhow::Result<(ModelFile, Learnt)> {
    let mut rows = Rows::default();
    let mut learnt = Learnt::default();
    for lesson in lessons {
        learnt.captures[lesson.place] += 1;
        rows.gather(lesson, &mut learnt)?;
    }
    let params = IsolationForest::params().beyond(BEYOND).check()?;
    let mut detectors = Vec::new();
    for (horizon, rows) in rows.0 {
        let (id, width) = (schema::schema_id(Kind::Peer), PeerFeature::scored().count());
        let [train, held_out] = rows.each_ref().map(|rows| rows.len() / width);
        let channel = Channel::new(Kind::Peer, horizon);
        learnt.peers.insert(channel.to_string(), [train, held_out]);
        if held_out as u64 >= ENOUGH_HELD_OUT {
            detectors.push((channel, DetectorModel::fit(id, &rows[0], &rows[1], &params)?));
        }
    }
    Ok((ModelFile::new(detectors, "1970-01-01T00:00:00Z")?, learnt))
}

impl Rows {
    /// Adds a capture's rows. Each capture is a network of its own, so it starts with an empty
    /// past, as scoring does.
    fn gather(&mut self, lesson: &Lesson, learnt: &mut Learnt) -> anyhow::Result<()> {
        let windows = windows(&lesson.path, &lesson.home)?;
        let boundary = if lesson.shipped { windows.len() * 6 / 10 } else { windows.len() };
        let mut context = Context::default();
        for (number, window) in windows.iter().enumerate() {
            let place = if number < boundary { lesson.place } else { 1 };
            let observed = context.observe(window);
            for row in &observed.peers {
                let rows = self.0.entry(row.horizon).or_default();
                rows[place].extend(PeerFeature::rows(std::iter::once(row)));
            }
            learnt.windows[place] += 1;
        }
        Ok(())
    }
}
