//! The features behind a measure, as a person reads them.

pub use events::{Reason, Subject};
use features::{Feature, HostFeature, Kind, PeerFeature, ServiceFeature};

use super::measure::{By, Measure};
use crate::detector::{DetectorModel, TailPart};
use crate::profile::FeatureRange;

/// Features named at most for one entity.
pub const REASONS_LIMIT: usize = 4;

/// The features behind a measure of `row`, a whole one, in their natural units.
pub(super) fn reasons(
    kind: Kind,
    measure: Measure,
    detector: &DetectorModel,
    row: &[f32],
) -> Vec<Reason> {
    let subject = subject(kind);
    let reason = |feature: usize, value: f32, range: FeatureRange, share: f64| {
        let name = &detector.schema().features[feature];
        let natural = match subject {
            Subject::Peer | Subject::Flow => Natural::of::<PeerFeature>(name),
            Subject::Host | Subject::Net => Natural::of::<HostFeature>(name),
            Subject::Service => Natural::of::<ServiceFeature>(name),
        };
        Reason {
            subject,
            feature: name.clone(),
            unit: natural.unit.to_owned(),
            value: (natural.value)(value),
            benign_low: (natural.value)(range.p01),
            benign_high: (natural.value)(range.p99),
            share,
        }
    };
    match measure.by {
        By::Tails => {
            let parts = detector.tail_parts(row);
            let all: f32 = parts.iter().map(|part| part.surprise).sum();
            let share = |part: &TailPart| f64::from(part.surprise / all);
            parts
                .iter()
                .map(|part| reason(part.feature, part.value, part.range, share(part)))
                .collect()
        }
        By::Scorer => detector
            .explain(row)
            .leading(REASONS_LIMIT)
            .map(|part| reason(part.feature, part.value, part.range, part.share))
            .collect(),
    }
}

/// What rows of a kind are about; flows are not scored, and stand for their peer.
const fn subject(kind: Kind) -> Subject {
    match kind {
        Kind::Flow | Kind::Peer => Subject::Peer,
        Kind::Host => Subject::Host,
        Kind::Service => Subject::Service,
        Kind::Net => Subject::Net,
    }
}

/// Natural unit of a feature, and the conversion of its values.
struct Natural {
    unit: &'static str,
    value: Box<dyn Fn(f32) -> f32>,
}

impl Natural {
    /// From the feature; unchanged values without a unit where this build has no such feature.
    fn of<F: Feature + 'static>(name: &str) -> Self {
        match F::from_name(name) {
            Some(feature) => Self {
                unit: feature.natural_unit(),
                value: Box::new(move |value| feature.natural(value)),
            },
            None => Self { unit: "", value: Box::new(|value| value) },
        }
    }
}
