//! Summary of a model file.

use std::{collections::BTreeMap, path::Path};

use ::model::{
    Calibration, Channel, DetectorManifest, DetectorModel, Feature, FeatureRange, FlowFeature,
    HostFeature, Kind, ModelFile, PeerFeature, Scorer, ServiceFeature, schema,
};
use serde::Serialize;

/// Error rates that are asked for most.
const RATES: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];

/// A model file.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) file: String,
    /// The name under which decisions are recorded.
    pub(super) sha256: String,
    pub(super) format: u32,
    pub(super) software: String,
    pub(super) created: String,
    /// Home sides of the captures that it was learnt from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) home: Vec<String>,
    /// By kind of rows and horizon.
    pub(super) detectors: BTreeMap<Channel, DetectorSummary>,
}

/// A detector of the file.
#[derive(Debug, Serialize)]
pub(super) struct DetectorSummary {
    #[serde(flatten)]
    pub(super) manifest: DetectorManifest,
    /// Steps of a scorer kept as ONNX, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<String>,
    /// True where its features are those that this build computes.
    pub(super) fits_this_build: bool,
    pub(super) calibration: CalibrationSummary,
    pub(super) ranges: Vec<RangeSummary>,
}

/// P-values and error rates that a calibration supports.
#[derive(Debug, Serialize)]
pub(super) struct CalibrationSummary {
    pub(super) median_score: f32,
    pub(super) score_99: f32,
    pub(super) median_tail_score: f32,
    /// On average over calibrations.
    pub(super) smallest_p_on_average: f64,
    /// For this very one, with a probability of 90 %.
    pub(super) smallest_p: f64,
    pub(super) rates: Vec<RateSummary>,
}

/// Support of an error rate.
#[derive(Debug, Serialize)]
pub(super) struct RateSummary {
    pub(super) rate: f64,
    pub(super) supported: bool,
    /// The score above which it holds.
    pub(super) threshold: Option<f32>,
}

/// Range of a feature in training, in its natural unit.
#[derive(Debug, Serialize)]
pub(super) struct RangeSummary {
    pub(super) feature: String,
    pub(super) unit: String,
    pub(super) min: f32,
    pub(super) p01: f32,
    pub(super) median: f32,
    pub(super) p99: f32,
    pub(super) max: f32,
}

impl Summary {
    pub(super) fn of(file: &Path, model: &ModelFile) -> Self {
        let manifest = model.manifest();
        let described = |(&channel, detector): (&Channel, &DetectorModel)| {
            Some((channel, DetectorSummary::of(channel, detector, manifest.detector(channel)?)))
        };
        Self {
            file: file.display().to_string(),
            sha256: model.digest().to_owned(),
            format: manifest.format,
            software: manifest.software.clone(),
            home: manifest.home.clone(),
            created: manifest.created.clone(),
            detectors: model.detectors().iter().filter_map(described).collect(),
        }
    }
}

impl DetectorSummary {
    fn of(channel: Channel, detector: &DetectorModel, manifest: &DetectorManifest) -> Self {
        let ranges = detector.inputs().names().iter().zip(detector.ranges());
        let range = match channel.kind {
            Kind::Flow => RangeSummary::of::<FlowFeature>,
            Kind::Peer => RangeSummary::of::<PeerFeature>,
            Kind::Host | Kind::Net => RangeSummary::of::<HostFeature>,
            Kind::Service => RangeSummary::of::<ServiceFeature>,
        };
        Self {
            manifest: manifest.clone(),
            steps: match detector.scorer() {
                Scorer::Onnx(scorer) => scorer.model().describe().steps,
                _ => Vec::new(),
            },
            fits_this_build: detector.check_schema(&schema::schema_id(channel.kind)).is_ok(),
            calibration: CalibrationSummary::of(
                detector.calibration(),
                detector.tail_calibration(),
            ),
            ranges: ranges.map(|(name, values)| range(name, values)).collect(),
        }
    }
}

impl CalibrationSummary {
    fn of(scores: &Calibration, tail_scores: &Calibration) -> Self {
        let rate = |rate| RateSummary {
            rate,
            supported: scores.supports(rate).is_ok(),
            threshold: scores.threshold(rate).ok(),
        };
        Self {
            median_score: scores.median(),
            score_99: scores.quantile(0.99),
            median_tail_score: tail_scores.median(),
            smallest_p_on_average: 1.0 / (scores.held_out() as f64 + 1.0),
            smallest_p: scores.smallest_p(),
            rates: RATES.map(rate).into(),
        }
    }
}

impl RangeSummary {
    /// In the feature's natural unit; as it is where this build has no such feature.
    fn of<F: Feature>(name: &str, range: &FeatureRange) -> Self {
        let feature = F::from_name(name);
        let natural = |value: f32| feature.map_or(value, |feature| feature.natural(value));
        Self {
            feature: name.to_owned(),
            unit: feature.map_or("", |feature| feature.natural_unit()).to_owned(),
            min: natural(range.min),
            p01: natural(range.p01),
            median: natural(range.median),
            p99: natural(range.p99),
            max: natural(range.max),
        }
    }
}
