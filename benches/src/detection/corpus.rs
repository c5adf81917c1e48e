//! The captures of the study: what is learnt from, what is scored, and what is known of each.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use ipnet::IpNet;
use serde::Deserialize;

/// The list of captures, as written.
const LIST: &str = include_str!("captures.toml");

/// Labels and origins of the captures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Folders or files of benign captures.
    pub benign: Vec<BenignSource>,
    /// Captures of attacks.
    pub attack: Vec<AttackCapture>,
}

/// Benign captures of one origin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenignSource {
    /// Name of the origin in the report.
    pub group: String,
    /// When they are tested.
    #[serde(default)]
    pub fold: Fold,
    /// A folder or a file, from the folder of captures.
    pub path: PathBuf,
    /// It lies in the project's own `training-data/`.
    #[serde(default)]
    pub shipped: bool,
    /// Protected addresses; the busiest address of each capture where none is named.
    #[serde(default)]
    pub home: Vec<IpNet>,
    /// Only files whose paths contain one of these, where any is named.
    #[serde(default)]
    pub only: Vec<String>,
    /// Files whose paths contain one of these are left out.
    #[serde(default)]
    pub without: Vec<String>,
    /// Captures with fewer frames are left out: they have no window to speak of.
    #[serde(default)]
    pub least_frames: u64,
    /// Captures that last longer, in seconds, are left out: they were joined from several.
    #[serde(default = "forever")]
    pub longest_s: f64,
}

/// Folds: each tests a third of what is not always learnt from or always tested.
pub const FOLDS: usize = 3;

/// When captures are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// In the first fold.
    First,
    /// In the second.
    Second,
    /// In the third.
    Third,
    /// In the fold that each one's name draws.
    #[default]
    Drawn,
    /// Never.
    Learnt,
    /// In each.
    Tested,
}

/// Use of a benign capture in a fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The detectors are fitted to it.
    Train,
    /// It says what a score means.
    Calibrate,
    /// False alarms are counted on it.
    Test,
}

impl Fold {
    /// The use of the capture of a name in a fold: of three that are learnt from, one calibrates.
    #[must_use]
    pub fn usage(self, name: &str, fold: usize) -> Use {
        let tested = match self {
            Self::First => Some(0),
            Self::Second => Some(1),
            Self::Third => Some(2),
            Self::Drawn => Some(drawn(name)),
            Self::Learnt => None,
            Self::Tested => return Use::Test,
        };
        match tested {
            Some(tested) if tested == fold => Use::Test,
            Some(_) if drawn(&format!("{name}, held out")) == 0 => Use::Calibrate,
            None | Some(_) => Use::Train,
        }
    }
}

/// One of three by a name.
fn drawn(name: &str) -> usize {
    usize::try_from(hash(name) % FOLDS as u64).unwrap_or_default()
}

/// A number by a name: FNV-1a, its high bits folded in.
pub(super) fn hash(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    hash >> 32 ^ hash
}

/// A capture with an attack in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackCapture {
    /// The file, from the folder of captures.
    pub path: PathBuf,
    /// Attack in it, in words.
    pub class: String,
    /// Protected addresses.
    pub home: Vec<IpNet>,
    /// Part of `home` that is not protected: the attacker where it sits in the same network.
    #[serde(default)]
    pub except: Option<IpAddr>,
    /// The remotes that take part; all of them where none is named.
    #[serde(default)]
    pub attackers: Vec<IpNet>,
    /// Remotes that mean no harm where all others do.
    #[serde(default)]
    pub bystanders: Vec<IpNet>,
    /// The sources are not who they say.
    #[serde(default)]
    pub forged: bool,
    /// Side of the view, where a capture is looked at from more than one.
    #[serde(default)]
    pub view: String,
}

fn forever() -> f64 {
    f64::INFINITY
}

impl Corpus {
    /// The built-in list.
    ///
    /// # Errors
    /// The list is not valid, which its test excludes.
    pub fn builtin() -> anyhow::Result<Self> {
        toml::from_str(LIST).context("captures.toml")
    }
}

impl BenignSource {
    /// The captures of this origin under `root`, sorted by path.
    ///
    /// # Errors
    /// A folder cannot be read, or nothing is there.
    pub fn captures(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = BTreeSet::new();
        collect(&root.join(&self.path), &mut found)?;
        found.retain(|path| {
            let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
            let has_one_of =
                |parts: &[String]| parts.iter().any(|part| name.contains(part.as_str()));
            !has_one_of(&self.without) && (self.only.is_empty() || has_one_of(&self.only))
        });
        ensure!(!found.is_empty(), "no captures in {}", root.join(&self.path).display());
        Ok(found.into_iter().collect())
    }
}

impl AttackCapture {
    /// The home prefixes, less the exception.
    #[must_use]
    pub fn home_prefixes(&self) -> Vec<IpNet> {
        let Some(hole) = self.except else { return self.home.clone() };
        self.home.iter().flat_map(|net| without(*net, hole)).collect()
    }

    /// True for a remote that takes part in the attack.
    #[must_use]
    pub fn is_attacker(&self, address: IpAddr) -> bool {
        let held = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        !held(&self.bystanders) && (self.attackers.is_empty() || held(&self.attackers))
    }
}

/// A prefix less one address: the halves that do not hold it, from large to small.
fn without(net: IpNet, hole: IpAddr) -> Vec<IpNet> {
    let mut rest = Vec::new();
    let mut open = vec![net];
    while let Some(net) = open.pop() {
        if !net.contains(&hole) {
            rest.push(net);
        } else if let Ok(halves) = net.subnets(net.prefix_len() + 1) {
            open.extend(halves);
        }
    }
    rest
}

fn collect(path: &Path, found: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        found.insert(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_capture =
            path.extension().is_some_and(|extension| extension == "pcap" || extension == "pcapng");
        if path.is_dir() || is_capture {
            collect(&path, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_valid_and_no_two_groups_share_a_name() {
        let corpus = Corpus::builtin().unwrap();
        assert!(corpus.benign.iter().any(|source| source.fold == Fold::Learnt));
        let groups: BTreeSet<_> = corpus.benign.iter().map(|source| &source.group).collect();
        assert_eq!(groups.len(), corpus.benign.len());
    }

    #[test]
    fn each_capture_is_tested_in_one_fold_and_learnt_from_in_the_others() {
        let count = |usage: Use, fold: Fold| {
            let all = (0..300).flat_map(|one| (0..FOLDS).map(move |fold| (one, fold)));
            all.filter(|(one, at)| fold.usage(&format!("capture {one}"), *at) == usage).count()
        };
        assert_eq!(count(Use::Test, Fold::Drawn), 300);
        assert_eq!(count(Use::Test, Fold::Second), 300);
        assert_eq!(count(Use::Train, Fold::Learnt), 900);
        assert!((160..240).contains(&count(Use::Calibrate, Fold::Drawn)));
        let tested = |at| Fold::Drawn.usage("one", at) == Use::Test;
        assert_eq!((0..FOLDS).filter(|at| tested(*at)).count(), 1);
    }

    #[test]
    fn a_prefix_less_one_address_holds_all_others() {
        let rest = without("192.0.2.0/30".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let holds =
            |last: u8| rest.iter().any(|net| net.contains(&IpAddr::from([192, 0, 2, last])));
        assert_eq!([0, 1, 2, 3].map(holds), [true, true, false, true]);
    }
}
