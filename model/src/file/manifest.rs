use std::collections::BTreeMap;

use features::SchemaId;
use forest::MAX_FEATURES;
use serde::{Deserialize, Serialize};

use super::Detectors;
use super::errors::ModelFormatError;
use crate::channel::Channel;
use crate::detector::{DetectorModel, Training, TrainingFacts};
use crate::inputs::Inputs;
use crate::scorer::{Scale, Scorer};

/// The format that this version writes, and the only one it reads.
pub const FORMAT: u32 = 5;

/// A model file's description of itself, for a person: `unzip -p model.weir manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of the file format.
    pub format: u32,
    /// The software that wrote it, with its version.
    pub software: String,
    /// When it was made, RFC 3339, as its maker said.
    pub created: String,
    /// The home sides of the captures that its rows are of: `private`, or prefixes with commas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home: Vec<String>,
    /// The detectors, by the rows that they measure: `peer-1s`.
    pub detectors: BTreeMap<String, DetectorManifest>,
}

/// A model file's description of a detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DetectorManifest {
    /// Name of the schema it was trained on.
    pub schema: String,
    /// Hash of that schema, hexadecimal.
    pub schema_hash: String,
    /// The schema's features, in order.
    pub features: Vec<String>,
    /// The features that the scorer reads, in its order.
    pub inputs: Vec<String>,
    /// Kind of scorer: `isolation forest`, `autoencoder`, ….
    pub kind: String,
    /// Of an isolation forest: how it was grown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forest: Option<ForestManifest>,
    /// Of a scorer kept as ONNX: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<OnnxManifest>,
    /// Rows it was trained on; those that its ranges describe.
    pub training_rows: u64,
    /// Rows that were held out.
    pub held_out_rows: u64,
    /// Held-out rows whose scores are its calibration: all, or a sample of very many.
    pub calibration_rows: u64,
    /// SHA-256 over the values of training and held-out rows, hexadecimal.
    pub training_digest: String,
    /// Facts about these rows, from the maker.
    #[serde(default)]
    pub training: TrainingFacts,
}

/// Parameters of a forest's training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ForestManifest {
    /// Number of trees.
    pub n_trees: usize,
    /// Rows each tree was grown from.
    pub max_samples: usize,
    /// Depth at which growing stopped.
    pub max_depth: usize,
    /// Features beyond the first that a split may lean along.
    pub extension_level: usize,
    /// Share of each tree's rows that were sent beyond the training rows.
    pub beyond: f64,
    /// The seed.
    pub seed: u64,
}

/// A scorer kept as ONNX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OnnxManifest {
    /// SHA-256 of the part, hexadecimal.
    pub sha256: String,
    /// Where raw scores are squashed into [0, 1]: the raw score of ½.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center: Option<f64>,
    /// Where raw scores are squashed into [0, 1]: how far above the center ¾ is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<f64>,
}

/// The one field that every format has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    pub(super) fn new(detectors: &Detectors, created: &str) -> Self {
        let described = |(channel, detector): (&Channel, &DetectorModel)| {
            (channel.to_string(), DetectorManifest::of(detector))
        };
        Self {
            format: FORMAT,
            software: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            created: created.to_owned(),
            home: Vec::new(),
            detectors: detectors.iter().map(described).collect(),
        }
    }

    /// Description of a detector.
    #[must_use]
    pub fn detector(&self, channel: Channel) -> Option<&DetectorManifest> {
        self.detectors.get(&channel.to_string())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON");
        json.push(b'\n');
        json
    }

    pub(super) fn decode(part: &str, json: &[u8]) -> Result<Self, ModelFormatError> {
        let malformed = |e: serde_json::Error| ModelFormatError::malformed(part, e.to_string());
        // First the format alone: another one may have fields that this version does not know.
        let FormatOnly { format } = serde_json::from_slice(json).map_err(malformed)?;
        let (found, supported) = (format, FORMAT);
        if format > FORMAT {
            return Err(ModelFormatError::NewerFormat { found, supported });
        }
        if format < FORMAT {
            return Err(ModelFormatError::OlderFormat { found, supported });
        }
        // Texts are printed: none may steer a terminal.
        if has_control(&serde_json::from_slice(json).map_err(malformed)?) {
            return Err(ModelFormatError::malformed(part, "a text has control characters"));
        }
        let mut manifest: Self = serde_json::from_slice(json).map_err(malformed)?;
        check_created(&manifest.created)?;
        for detector in manifest.detectors.values_mut() {
            detector.onnx.iter_mut().for_each(OnnxManifest::round);
        }
        Ok(manifest)
    }
}

impl DetectorManifest {
    pub(super) fn of(detector: &DetectorModel) -> Self {
        let (schema, training) = (detector.schema(), detector.training());
        let (forest, onnx) = match detector.scorer() {
            Scorer::Forest(forest) => {
                let forest = ForestManifest {
                    n_trees: forest.n_trees(),
                    max_samples: forest.max_samples(),
                    max_depth: forest.max_depth(),
                    extension_level: forest.extension_level(),
                    beyond: forest.beyond(),
                    seed: forest.seed(),
                };
                (Some(forest), None)
            }
            Scorer::Onnx(scorer) => {
                let (center, unit) = match scorer.scale() {
                    Scale::AsIs => (None, None),
                    Scale::Squashed { center, unit } => (Some(center.into()), Some(unit.into())),
                };
                (None, Some(OnnxManifest { sha256: scorer.digest(), center, unit }))
            }
        };
        Self {
            schema: schema.name.clone(),
            schema_hash: schema.hash.clone(),
            features: schema.features.clone(),
            inputs: detector.inputs().names().to_vec(),
            kind: detector.scorer().kind(),
            forest,
            onnx,
            training_rows: training.rows,
            held_out_rows: training.held_out,
            calibration_rows: detector.calibration().held_out() as u64,
            training_digest: training.digest.clone(),
            training: training.facts.clone(),
        }
    }

    /// The schema and the choice of its features.
    pub(super) fn inputs(&self, part: &str) -> Result<(SchemaId, Inputs), ModelFormatError> {
        let malformed = |what: String| ModelFormatError::malformed(part, what);
        let (features, inputs) = (self.features.len(), self.inputs.len());
        if features > MAX_FEATURES || inputs > MAX_FEATURES {
            let most = features.max(inputs);
            return Err(malformed(format!(
                "it has {most} features, at most {MAX_FEATURES} may be"
            )));
        }
        let schema = SchemaId {
            name: self.schema.clone(),
            hash: self.schema_hash.clone(),
            features: self.features.clone(),
        };
        Inputs::of(&schema, &self.features).map_err(|error| malformed(error.to_string()))?;
        let inputs =
            Inputs::of(&schema, &self.inputs).map_err(|error| malformed(error.to_string()))?;
        Ok((schema, inputs))
    }

    pub(super) fn training(&self) -> Training {
        Training {
            rows: self.training_rows,
            held_out: self.held_out_rows,
            digest: self.training_digest.clone(),
            facts: self.training.clone(),
        }
    }
}

impl OnnxManifest {
    /// To the nearest f32, which is what was written: a number that is read from JSON may be off
    /// by the last digit of an f64.
    #[expect(clippy::cast_possible_truncation, reason = "it was written from an f32")]
    fn round(&mut self) {
        for number in [&mut self.center, &mut self.unit] {
            *number = number.map(|exact| f64::from(exact as f32));
        }
    }

    pub(super) fn scale(&self, part: &str) -> Result<Scale, ModelFormatError> {
        #[expect(clippy::cast_possible_truncation, reason = "it was written from an f32")]
        let given = (self.center.map(|x| x as f32), self.unit.map(|x| x as f32));
        match given {
            (None, None) => Ok(Scale::AsIs),
            (Some(center), Some(unit)) if center.is_finite() && unit.is_finite() && unit > 0.0 => {
                Ok(Scale::Squashed { center, unit })
            }
            _ => Err(ModelFormatError::malformed(
                part,
                "the center of a scale must be finite and its unit above 0",
            )),
        }
    }
}

/// True if any text in it has a control character.
fn has_control(json: &serde_json::Value) -> bool {
    use serde_json::Value;
    match json {
        Value::String(text) => text.contains(char::is_control),
        Value::Array(items) => items.iter().any(has_control),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains(char::is_control) || has_control(value))
        }
        _ => false,
    }
}

/// Checks the form of RFC 3339, not the calendar: the time is for people.
pub(super) fn check_created(created: &str) -> Result<(), ModelFormatError> {
    // Date, time and optional fraction, then Z or an offset.
    let well_formed = || {
        let (seconds, rest) = created.split_at_checked(19)?;
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
                (zone.len() < fraction.len()).then_some(zone)?
            }
            None => rest,
        };
        let zone_fits = matches!(zone, "Z") || fits(zone, "+00:00") || fits(zone, "-00:00");
        (created.len() <= 64 && fits(seconds, "0000-00-00T00:00:00") && zone_fits).then_some(())
    };
    well_formed()
        .ok_or_else(|| ModelFormatError::Created { got: created.chars().take(64).collect() })
}

/// True if `text` has the shape of `form`, in which a zero stands for any digit.
fn fits(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_must_have_the_form_of_rfc_3339() {
        for good in
            ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00+02:00"]
        {
            assert_eq!(check_created(good), Ok(()), "{good}");
        }
        for bad in
            ["", "today", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z"]
        {
            assert!(check_created(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_later_format_is_refused_by_number_whatever_else_it_holds() {
        let error = Manifest::decode("manifest.json", br#"{"format": 7, "more": []}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has format 7, this version reads formats up to 5: upgrade weir"
        );
    }

    #[test]
    fn an_earlier_format_is_refused_with_the_way_out() {
        let error = Manifest::decode("manifest.json", br#"{"format": 4}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has format 4, this version reads format 5: train again with `weir learn` or `weir \
             train`, or use the version of weir that wrote it"
        );
    }

    #[test]
    fn a_text_that_would_steer_a_terminal_is_refused() {
        let json = br#"{"format": 5, "software": "\u001b[2J"}"#;
        let error = Manifest::decode("manifest.json", json).unwrap_err().to_string();
        assert!(error.contains("control characters"), "{error}");
    }
}
