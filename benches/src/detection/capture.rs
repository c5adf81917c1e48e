//! Captures as the study takes them: windows, the rows of every kind and horizon, and what is known.

use std::{collections::BTreeMap, net::IpAddr, path::Path, time::Duration};

use anyhow::Context as _;
use engine::detector::address;
use features::{
    Context, Feature as _, HostFeature, Kind, Observed, PeerFeature, ServiceFeature, SiteRecord,
    Span, Window,
};
use lab::{GroundTruth, Sources};
use model::Channel;
use replay::HomeNet;

use super::{
    Tell,
    corpus::{AttackCapture, Corpus, Fold},
    each,
    replay::{Roots, home_of, windows},
};

/// A capture, read once for all folds.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The file, from the folder of captures.
    pub name: String,
    /// The group of benign captures, or the class of the attack.
    pub group: String,
    /// When it is tested, if it is benign.
    pub fold: Fold,
    /// Its windows, of a second each.
    pub windows: Vec<Window>,
    /// Rows by what they are about.
    pub rows: BTreeMap<Channel, Rows>,
    /// Attacks in it.
    pub attacks: Vec<Attack>,
}

/// Rows of one kind and horizon, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Whole rows of the scored features, side by side.
    pub values: Vec<f32>,
    /// Whose each is.
    pub of: Vec<Whose>,
    /// The time that each covers.
    pub spans: Vec<Span>,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// A remote's.
    Remote(IpAddr),
    /// The host's side's: of an address, a service, or all of it.
    Home,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Remote(remote) => remote.fmt(f),
            Self::Home => f.write_str("the host's side"),
        }
    }
}

/// An attack in a capture.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Its name: of the capture, or in the ground truth.
    pub name: String,
    /// Its class, in words.
    pub class: String,
    /// The sources are not who they say.
    pub forged: bool,
    /// First and last moment, where they are known.
    pub during: Option<Span>,
    /// Nobody else attacks in the capture, so that rows of the host's side are its.
    alone: bool,
    sources: Members,
}

/// The remotes that take part in an attack.
#[derive(Clone, Debug)]
enum Members {
    Listed(AttackCapture),
    Known(Sources),
}

impl Capture {
    /// Every capture of the corpus, and the lab's with its attacks.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn all(corpus: &Corpus, roots: &Roots, tell: Tell<'_>) -> anyhow::Result<Vec<Self>> {
        let mut benign = Vec::new();
        for source in &corpus.benign {
            benign.extend(roots.captures(source)?.into_iter().map(|path| (source, path)));
        }
        tell(&format!("reading {} benign captures", benign.len()));
        let read = each(&benign, |(source, path)| {
            let Some(home) = home_of(source, path)? else { return Ok(None) };
            let named = (roots.shown(path), source.group.clone());
            Ok(Self::of(named, source.fold, windows(path, &home)?, Vec::new()))
        })?;
        let mut all: Vec<Self> = read.into_iter().flatten().collect();
        tell(&format!("reading {} captures of attacks", corpus.attack.len()));
        all.extend(each(&corpus.attack, |listed| Self::of_listed(listed, roots))?);
        all.extend(Self::of_lab(&roots.shipped, "mixed")?);
        Ok(all)
    }

    fn of_listed(listed: &AttackCapture, roots: &Roots) -> anyhow::Result<Self> {
        let path = roots.shared.join(&listed.path);
        let mut name = roots.shown(&path);
        if !listed.view.is_empty() {
            name = format!("{name} ({})", listed.view);
        }
        let windows = windows(&path, &HomeNet::new(listed.home_prefixes()))?;
        let attack = Attack {
            name: name.clone(),
            class: listed.class.clone(),
            forged: listed.forged,
            during: None,
            alone: true,
            sources: Members::Listed(listed.clone()),
        };
        // One without a row stays, as missed: a victim whose address is a group's has none.
        let rows = rows(&windows);
        let (group, attacks) = (listed.class.clone(), vec![attack]);
        Ok(Self { name, group, fold: Fold::Tested, windows, rows, attacks })
    }

    /// A capture of the lab with the attacks of its ground truth.
    ///
    /// # Errors
    /// It or its ground truth cannot be read.
    pub fn of_lab(shipped: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let truth = GroundTruth::read(&shipped.join(format!("{name}.truth.json")))
            .context("a capture of training-data/ has its ground truth beside it")?;
        let home = HomeNet::new(truth.host.iter().map(|&address| address.into()));
        let windows = windows(&shipped.join(format!("{name}.pcap.zst")), &home)?;
        let attacks = truth.attacks.iter().map(Attack::of_truth).collect();
        let named = (format!("{name}.pcap.zst"), "lab".to_owned());
        Ok(Self::of(named, Fold::Tested, windows, attacks))
    }

    /// The rows of windows that begin with an empty past; none without a row.
    #[must_use]
    pub fn of(
        (name, group): (String, String),
        fold: Fold,
        windows: Vec<Window>,
        attacks: Vec<Attack>,
    ) -> Option<Self> {
        let rows = rows(&windows);
        (!rows.is_empty()).then_some(Self { name, group, fold, windows, rows, attacks })
    }

    /// Number of remotes.
    #[must_use]
    pub fn remotes(&self) -> usize {
        let peers = self.rows.iter().filter(|(channel, _)| channel.kind == Kind::Peer);
        let mut remotes: Vec<Whose> = peers.flat_map(|(_, rows)| rows.of.iter().copied()).collect();
        remotes.sort_unstable();
        remotes.dedup();
        remotes.len()
    }
}

impl Attack {
    /// One of a ground truth.
    #[must_use]
    pub fn of_truth(truth: &lab::AttackTruth) -> Self {
        Self {
            name: truth.name.clone(),
            class: truth.class.name().replace('_', " "),
            forged: truth.sources.are_spoofed(),
            during: Some(Span { start_ns: truth.began.unix_ns, end_ns: truth.ended.unix_ns }),
            alone: false,
            sources: Members::Known(truth.sources.clone()),
        }
    }

    /// The same as the only one of its capture.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// True for a remote that takes part.
    #[must_use]
    pub fn has(&self, remote: IpAddr) -> bool {
        match &self.sources {
            Members::Listed(listed) => listed.is_attacker(remote),
            Members::Known(sources) => sources.contains(remote),
        }
    }

    /// True for a row of it: one of a remote that takes part, or of the host's side where nobody
    /// else attacks.
    #[must_use]
    pub fn shows_in(&self, whose: Whose, span: Span) -> bool {
        let is_then =
            self.during.is_none_or(|at| span.end_ns >= at.start_ns && span.start_ns <= at.end_ns);
        is_then
            && match whose {
                Whose::Remote(remote) => self.has(remote),
                Whose::Home => self.alone,
            }
    }

    /// True of what comes from outside and probes, floods or repeats: what is to be acted on.
    #[must_use]
    pub fn is_abuse(&self) -> bool {
        const WORDS: [&str; 6] = ["scan", "flood", "sweep", "brute force", "slow http", "guess"];
        const OUTBOUND: [&str; 2] = ["outbound", "of the infected"];
        let has = |words: &[&str]| {
            words.iter().any(|word| self.class.contains(word) || self.name.contains(word))
        };
        has(&WORDS) && !has(&OUTBOUND) && !self.forged && !self.class.contains("spoofed")
    }
}

/// The rows of windows that begin with an empty past.
#[must_use]
pub fn rows(windows: &[Window]) -> BTreeMap<Channel, Rows> {
    let mut context = Context::of_windows(Duration::from_secs(1));
    let mut observed = Observed::default();
    let mut rows = BTreeMap::new();
    for (number, window) in windows.iter().enumerate() {
        context.observe_into(window, &mut observed);
        if number + 1 == windows.len() {
            context.finish_into(&mut observed);
        }
        take(&mut rows, &observed);
    }
    rows
}

fn take(rows: &mut BTreeMap<Channel, Rows>, observed: &Observed) {
    let mut add = |channel, values: Vec<f32>, whose, span| {
        let rows: &mut Rows = rows.entry(channel).or_default();
        rows.values.extend(values);
        rows.of.push(whose);
        rows.spans.push(span);
    };
    for row in observed.peers.iter().filter(|row| !row.is_lossy) {
        let whose = Whose::Remote(address(row.key.address));
        add(Channel::new(Kind::Peer, row.horizon), PeerFeature::rows([row]), whose, row.span);
    }
    for row in observed.sites.iter().filter(|row| !row.is_lossy) {
        let kind = row.key.kind();
        add(Channel::new(kind, row.horizon), values(row), Whose::Home, row.span);
    }
}

fn values(row: &SiteRecord) -> Vec<f32> {
    match row.key.kind() {
        Kind::Service => ServiceFeature::rows([row]),
        _ => HostFeature::rows([row]),
    }
}

impl Rows {
    /// Features of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.values.len() / self.of.len().max(1)
    }
}
