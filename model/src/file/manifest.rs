use serde::{Deserialize, Serialize};

use super::errors::ModelFormatError;
use crate::detector::{DetectorModel, Training};
use crate::schema::SchemaId;

/// The format that this version writes, and the latest it reads.
pub const FORMAT: u32 = 1;

/// What a model file says of itself, readable by a person: `unzip -p model.weir manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of the file format.
    pub format: u32,
    /// The software that wrote it, with its version.
    pub software: String,
    /// When it was made, RFC 3339, as its maker said.
    pub created: String,
    /// The detector over flows.
    pub flow: DetectorManifest,
    /// The detector over peers.
    pub peer: DetectorManifest,
}

/// What a model file says of one of its detectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DetectorManifest {
    /// Name of the schema it was trained on.
    pub schema: String,
    /// Hash of that schema, hexadecimal.
    pub schema_hash: String,
    /// The features, in order.
    pub features: Vec<String>,
    /// Rows the forest was fitted on.
    pub training_rows: u64,
    /// Rows the calibration was made from.
    pub held_out_rows: u64,
    /// SHA-256 over the values of both, hexadecimal.
    pub training_digest: String,
    /// Number of trees.
    pub n_trees: usize,
    /// Rows each tree was grown from.
    pub max_samples: usize,
    /// Depth at which growing stopped.
    pub max_depth: usize,
    /// Features beyond the first that a split may lean along.
    pub extension_level: usize,
    /// The seed.
    pub seed: u64,
}

/// The one field that every format has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    pub(super) fn new(flow: &DetectorModel, peer: &DetectorModel, created: &str) -> Self {
        Self {
            format: FORMAT,
            software: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            created: created.to_owned(),
            flow: DetectorManifest::of(flow),
            peer: DetectorManifest::of(peer),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON");
        json.push(b'\n');
        json
    }

    pub(super) fn decode(part: &str, json: &[u8]) -> Result<Self, ModelFormatError> {
        let malformed = |e: serde_json::Error| ModelFormatError::malformed(part, e.to_string());
        // First the format alone: a later one may have fields that this version does not know.
        let FormatOnly { format } = serde_json::from_slice(json).map_err(malformed)?;
        if format > FORMAT {
            return Err(ModelFormatError::NewerFormat { found: format, supported: FORMAT });
        }
        if format < FORMAT {
            return Err(ModelFormatError::malformed(part, format!("there is no format {format}")));
        }
        let manifest: Self = serde_json::from_slice(json).map_err(malformed)?;
        check_created(&manifest.created)?;
        Ok(manifest)
    }
}

impl DetectorManifest {
    pub(super) fn of(detector: &DetectorModel) -> Self {
        let (schema, training) = (detector.schema(), detector.training());
        let forest = detector.forest().expect("a forest");
        Self {
            schema: schema.name.clone(),
            schema_hash: schema.hash.clone(),
            features: schema.features.clone(),
            training_rows: training.rows,
            held_out_rows: training.held_out,
            training_digest: training.digest.clone(),
            n_trees: forest.n_trees(),
            max_samples: forest.max_samples(),
            max_depth: forest.max_depth(),
            extension_level: forest.extension_level(),
            seed: forest.seed(),
        }
    }

    pub(super) fn schema_id(&self) -> SchemaId {
        SchemaId {
            name: self.schema.clone(),
            hash: self.schema_hash.clone(),
            features: self.features.clone(),
        }
    }

    pub(super) fn training(&self) -> Training {
        Training {
            rows: self.training_rows,
            held_out: self.held_out_rows,
            digest: self.training_digest.clone(),
            facts: crate::TrainingFacts::default(),
        }
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

/// Whether `text` has the shape of `form`, in which a zero stands for any digit.
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
            "it has format 7, this version reads formats up to 1: upgrade weir"
        );
    }
}
