//! Sites: rows of this host's own side, as alarms.
//!
//! What remotes do to the host is told by their own rows. These tell what no remote's can: an address
//! of the host that scans or floods others, and a service that is worn down by many who are each
//! ordinary. They decide nothing: an address of the host is never blocked.

use std::collections::BTreeMap;

use events::{Reason, Service, Site};
use model::{
    Channel, Feature, Horizon, HostFeature, Kind, ModelFile, ServiceFeature, SiteKey, SiteRecord,
    assess::{HorizonRows, assess},
};

use crate::detector::address;

/// Features of a row that are its reasons.
const LEADING: usize = 3;
/// Kinds of rows of the host's side, and horizons, among which a day's one false alarm is shared.
const CHANNELS: f64 = 12.0;
const MS_OF_A_DAY: f64 = 86_400_000.0;

/// A part of the host's side that was unusual.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteEvidence {
    /// The part.
    pub site: Site,
    /// −log10 of the chance of its most surprising row.
    pub surprise: f64,
    /// Horizon of that row.
    pub horizon: Horizon,
    /// Features that made it.
    pub reasons: Vec<Reason>,
}

/// The parts of the host's side that are far out with a window, in the order of their kinds.
///
/// One false alarm a day is what is let through: a row of a horizon, of which so many come a day, is
/// told beyond that chance.
pub(crate) fn unusual(model: &ModelFile, sites: &[SiteRecord]) -> Vec<SiteEvidence> {
    [Kind::Host, Kind::Service, Kind::Net]
        .into_iter()
        .flat_map(|kind| unusual_of(model, kind, sites))
        .collect()
}

fn unusual_of(model: &ModelFile, kind: Kind, sites: &[SiteRecord]) -> Vec<SiteEvidence> {
    // How much a host or a service does differs by orders between networks: made-up ones do not tell.
    let is_learnt_here = |horizon| {
        let detector = model.detectors().get(&Channel::new(kind, horizon));
        detector.is_some_and(|detector| detector.profile().rows() > 0)
    };
    let is_its =
        |row: &&SiteRecord| row.key.kind() == kind && !row.is_lossy && is_learnt_here(row.horizon);
    let its = || sites.iter().filter(is_its);
    let mut numbers: BTreeMap<SiteKey, usize> = BTreeMap::new();
    for row in its() {
        let next = numbers.len();
        numbers.entry(row.key).or_insert(next);
    }
    let mut blocks = Vec::new();
    for row in its() {
        HorizonRows::add(&mut blocks, row.horizon, &values(row), numbers[&row.key]);
    }
    let assessment = assess(model.detectors(), kind, &blocks, numbers.len());
    let count = numbers.len() as f64;
    let found = numbers.iter().filter_map(|(key, &number)| {
        let surprise = assessment.entities()[number].surprise;
        let horizon = assessment.horizon(number)?;
        let rows_a_day = MS_OF_A_DAY / f64::from(horizon.ms()).max(1.0) * count;
        if surprise < (rows_a_day * CHANNELS).log10() {
            return None;
        }
        let mut reasons = assessment.reasons(number);
        reasons.truncate(LEADING);
        let is_told = kind == Kind::Service || reasons.iter().any(tells_of_a_deed);
        is_told.then(|| SiteEvidence { site: site(key), surprise, horizon, reasons })
    });
    found.collect()
}

/// A row's scored features.
pub(crate) fn values(row: &SiteRecord) -> Vec<f32> {
    match row.key.kind() {
        Kind::Service => ServiceFeature::rows([row]),
        _ => HostFeature::rows([row]),
    }
}

/// True where a reason tells of something that the host itself did, and seldom does: under a flood
/// that comes in, its one own flow is among the leading features.
fn tells_of_a_deed(reason: &Reason) -> bool {
    let is_outbound = HostFeature::from_name(&reason.feature).is_some_and(HostFeature::is_outbound);
    is_outbound && !(reason.benign_low..=reason.benign_high).contains(&reason.value)
}

fn site(key: &SiteKey) -> Site {
    match key {
        SiteKey::Net => Site::Net,
        SiteKey::Host(bytes) => Site::Host(address(*bytes)),
        SiteKey::Service(one) => Site::Service(Service { protocol: one.protocol, port: one.port }),
    }
}
