//! Learner: gathers benign windows and fits a model on them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use model::{
    Channel, Context, Feature, Horizon, Horizons, HostFeature, Hosts, IsolationForestValidParams,
    Kind, ModelFile, ModelFormatError, Observed, Outages, PeerFeature, ServiceFeature, WARM_UP,
    Window, schema,
};
use thiserror::Error;

use crate::bounds::{Bounds, Setters};
use crate::{Method, Plan, Prior, SampledRows, TrainingError, train, train_beside};

/// Reason for which no model came out of the windows.
#[derive(Debug, Error)]
pub enum LearnError {
    /// The detector of peers over a window could not be fitted or calibrated.
    #[error("{channel} model from {rows} row{}: {source}; learn for longer", if *rows == 1 { "" } else { "s" })]
    Fit {
        /// The rows.
        channel: Channel,
        /// Rows gathered.
        rows: usize,
        /// The reason.
        source: TrainingError,
    },
    /// All windows were those in which everything is new.
    #[error(
        "{windows} window{} {} too few: the first {WARM_UP} are left out, for everything is new in them, and \
         of the others the detectors are made; learn for some minutes",
        if *windows == 1 { "" } else { "s" }, if *windows == 1 { "is" } else { "are" }
    )]
    Short {
        /// Windows that came.
        windows: u64,
    },
    /// The detectors do not fit into one file.
    #[error(transparent)]
    File(#[from] ModelFormatError),
}

/// Gathers windows; see [`Learner::finish`].
pub struct Learner {
    context: Context,
    outages: Outages,
    hosts: Hosts,
    /// Kept between windows for its room only.
    observed: Observed,
    window: Duration,
    rows: BTreeMap<Channel, SampledRows>,
    bounds: BTreeMap<Horizon, Bounds>,
    excluded: Vec<Excluded>,
    windows: u64,
    lossy: u64,
}

/// Remotes that are not learnt from.
#[derive(Clone, Copy, Debug)]
struct Excluded {
    prefix: IpNet,
    /// One of them was there.
    met: bool,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner").field("learnt", &self.learnt()).finish_non_exhaustive()
    }
}

/// Rows that a learner has gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Learnt {
    /// Windows seen, the warm-up included.
    pub windows: u64,
    /// Windows left out because they had lost flows.
    pub lossy_windows: u64,
    /// Rows of peers gathered, of all horizons.
    pub peer_rows: u64,
    /// Rows of the host's side gathered: of its addresses, its services and all of it.
    pub site_rows: u64,
}

impl Default for Learner {
    /// A learner of windows of 1 s.
    fn default() -> Self {
        Self::of_windows(Duration::from_secs(1))
    }
}

impl Learner {
    /// A learner of windows of a configured length, which the model file will state.
    #[must_use]
    pub fn of_windows(length: Duration) -> Self {
        Self {
            context: Context::of_windows(length),
            outages: Outages::default(),
            hosts: Hosts::default(),
            observed: Observed::default(),
            window: length,
            rows: BTreeMap::new(),
            bounds: BTreeMap::new(),
            excluded: Vec::new(),
            windows: 0,
            lossy: 0,
        }
    }

    /// The same with remote hosts of IPv6 that take their addresses of networks of this length, and not
    /// of a /64.
    #[must_use]
    pub fn with_ipv6_hosts(mut self, length: u8) -> Self {
        self.hosts = Hosts::of_length(length);
        self
    }

    /// The same without what remotes in these prefixes do.
    #[must_use]
    pub fn excluding(mut self, prefixes: &[IpNet]) -> Self {
        self.excluded = prefixes.iter().map(|&prefix| Excluded { prefix, met: false }).collect();
        self
    }

    /// Excluded prefixes of which no remote was there.
    pub fn unmet(&self) -> impl Iterator<Item = IpNet> {
        self.excluded.iter().filter(|one| !one.met).map(|one| one.prefix)
    }

    /// The remotes that set bounds of what is ordinary, by the time that rows cover.
    #[must_use]
    pub fn setters(&self) -> Vec<(Horizon, Vec<Setters>)> {
        let names: Vec<String> = PeerFeature::scored().map(|one| one.name().to_owned()).collect();
        self.bounds.iter().map(|(&horizon, bounds)| (horizon, bounds.setters(&names))).collect()
    }

    /// Takes one window of benign traffic. What a service of this host did to its clients in it is not
    /// learnt: an attacker's probes would look like it.
    pub fn take(&mut self, window: &Window) {
        self.windows += 1;
        let window = without(window, &mut self.excluded);
        let (window, _) = self.outages.look(&window, &[]);
        let window = self.hosts.look(window);
        self.context.observe_into(&window, &mut self.observed);
        self.lossy += u64::from(window.is_lossy());
        if self.windows <= WARM_UP {
            return;
        }
        for row in self.observed.peers.iter().filter(|row| !row.is_lossy) {
            let channel = Channel::new(Kind::Peer, row.horizon);
            let values = extend::<PeerFeature>(&mut self.rows, channel, self.windows, row);
            self.bounds.entry(row.horizon).or_default().take(address(row.key.address), &values);
        }
        for row in self.observed.sites.iter().filter(|row| !row.is_lossy) {
            let channel = Channel::new(row.key.kind(), row.horizon);
            if channel.kind == Kind::Service {
                extend::<ServiceFeature>(&mut self.rows, channel, self.windows, row);
            } else {
                extend::<HostFeature>(&mut self.rows, channel, self.windows, row);
            }
        }
    }

    /// Rows gathered so far.
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        let rows = |of_peers: bool| {
            let own = self.rows.iter().filter(|(one, _)| (one.kind == Kind::Peer) == of_peers);
            own.map(|(_, rows)| rows.seen()).sum()
        };
        Learnt {
            windows: self.windows,
            lossy_windows: self.lossy,
            peer_rows: rows(true),
            site_rows: rows(false),
        }
    }

    /// The rows gathered.
    pub fn into_rows(self) -> impl Iterator<Item = (Channel, Vec<f32>)> {
        self.rows.into_iter().map(|(channel, rows)| (channel, rows.into_values()))
    }

    /// Fits a detector to each kind and horizon on the first windows and calibrates it on the later
    /// ones, as [`train`] does. `created` is the time the model file will state.
    ///
    /// Where there are few or none of a horizon, or of a kind of the host's side, rows of the shipped
    /// [`Prior`] stand in; over a horizon that it does not have there is no detector. The
    /// context comes back too: a detector that goes on with it does not take everything for new.
    ///
    /// # Errors
    /// Too few rows of peers over a window to fit or to calibrate; the error says how many there
    /// were.
    pub fn finish(
        self,
        params: &IsolationForestValidParams,
        created: &str,
    ) -> Result<(ModelFile, Context), LearnError> {
        if self.windows <= WARM_UP {
            return Err(LearnError::Short { windows: self.windows });
        }
        Ok((fit_all(&self.rows, self.window, params, created)?, self.context))
    }
}

/// As [`fit_channels`], with the prior that is shipped.
pub(crate) fn fit_all(
    rows: &BTreeMap<Channel, SampledRows>,
    window: Duration,
    params: &IsolationForestValidParams,
    created: &str,
) -> Result<ModelFile, LearnError> {
    fit_channels(rows, window, params, Prior::shipped(), created)
}

/// Fits a detector to each kind and horizon, by the same rules for all that learn; see
/// [`Learner::finish`].
///
/// # Errors
/// Too few rows of peers over a window to fit or to calibrate.
pub fn fit_channels(
    rows: &BTreeMap<Channel, SampledRows>,
    window: Duration,
    params: &IsolationForestValidParams,
    prior: &Prior,
    created: &str,
) -> Result<ModelFile, LearnError> {
    let horizons = Horizons::of(window);
    let base = Channel::new(Kind::Peer, horizons.window());
    let window_ns = u64::try_from(window.as_nanos()).ok();
    let plan = Plan { window_ns, ..Plan::new(Method::Forest(params.clone())) };
    let mut detectors = Vec::new();
    let of_prior = prior.channels().filter(|one| horizons.all().contains(&one.horizon));
    let known = rows.keys().copied().chain(of_prior);
    let others: BTreeSet<Channel> = known.filter(|channel| *channel != base).collect();
    for channel in std::iter::once(base).chain(others) {
        let schema = schema::schema_id(channel.kind);
        let nothing = SampledRows::new(schema.features.len());
        let rows = rows.get(&channel).unwrap_or(&nothing);
        let plan = Plan { prior: prior.rows(channel).cloned(), ..plan.clone() };
        let fit = if channel == base { train } else { train_beside };
        match fit(rows, &schema, &plan) {
            Ok(trained) => detectors.push((channel, trained.detector)),
            Err(error) if channel != base && error.is_of_too_few_rows() => {}
            Err(source) => return Err(LearnError::Fit { channel, rows: rows.len(), source }),
        }
    }
    Ok(ModelFile::new(detectors, created)?)
}

fn extend<F: Feature>(
    rows: &mut BTreeMap<Channel, SampledRows>,
    channel: Channel,
    window: u64,
    row: &F::Record,
) -> Vec<f32> {
    let width = F::scored().count();
    let rows = rows.entry(channel).or_insert_with(|| SampledRows::new(width));
    let values = F::rows(std::iter::once(row));
    rows.extend(window, &values);
    values
}

/// The window without what excluded remotes did in it, as whole as it was.
fn without<'w>(window: &'w Window, excluded: &mut [Excluded]) -> Cow<'w, Window> {
    if excluded.is_empty() {
        return Cow::Borrowed(window);
    }
    let mut left = window.clone();
    let mut is_excluded = |remote: [u8; 16]| {
        let of = excluded.iter_mut().find(|one| one.prefix.contains(&address(remote)));
        of.map(|one| one.met = true).is_some()
    };
    left.peers.retain(|(key, _)| !is_excluded(key.address));
    left.flows.retain(|(key, counters)| {
        let stays = !is_excluded(key.remote);
        if !stays {
            for (seen, way) in left.packet_counters.segments.iter_mut().zip(&counters.directions) {
                *seen = seen.saturating_sub(way.packets);
            }
        }
        stays
    });
    Cow::Owned(left)
}

fn address(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}
