//! Parts of a detector.

use forest::IsolationForest;

use onnx::OnnxError;

use super::archive::{Archive, MANIFEST, Names};
use super::binary;
use super::errors::ModelFormatError;
use super::manifest::DetectorManifest;
use crate::detector::DetectorModel;
use crate::scorer::{OnnxScorer, Scale, Scorer};
use tail::{CAP, PARTS, Tails};

/// The parts, in the order they are written in.
pub(super) fn encode(names: Names, detector: &DetectorModel) -> [(String, Vec<u8>); 5] {
    let scorer = match detector.scorer() {
        Scorer::Forest(forest) => (names.forest, forest.to_bytes()),
        Scorer::Onnx(scorer) => (names.onnx, scorer.bytes().to_vec()),
    };
    [
        scorer,
        (names.calibration, binary::encode_calibration(detector.calibration())),
        (names.tails, encode_tails(detector.tails())),
        (names.tail_scores, binary::encode_calibration(detector.tail_calibration())),
        (names.features, binary::encode_profile(detector.profile())),
    ]
}

/// Assembles a detector from its parts and checks that they agree with the manifest.
pub(super) fn decode(
    names: &Names,
    archive: &mut Archive<'_>,
    manifest: &DetectorManifest,
) -> Result<DetectorModel, ModelFormatError> {
    let (schema, inputs) = manifest.inputs(MANIFEST)?;
    let (part, made) = decode_scorer(names, archive, manifest)?;
    let (has, width) = (made.n_features(), inputs.len());
    if has != width {
        let what = format!("it reads {has} features, the manifest names {width}");
        return Err(ModelFormatError::malformed(part, what));
    }
    let training = manifest.training();
    if manifest.calibration_rows > training.held_out {
        let what = "it names more rows of calibration than were held out";
        return Err(ModelFormatError::malformed(MANIFEST, what));
    }
    let mut calibration = |name: &str, most: f32| {
        let calibration = binary::decode_calibration(&archive.part(name)?, most)
            .map_err(ModelFormatError::in_part(name))?;
        if calibration.held_out() as u64 == manifest.calibration_rows {
            return Ok(calibration);
        }
        let what = "it has another number of scores than the manifest says";
        Err(ModelFormatError::malformed(name, what))
    };
    let scores = calibration(&names.calibration, 1.0)?.on_scale(|score| made.spread(score));
    let tail_calibration = calibration(&names.tail_scores, CAP * PARTS as f32)?;
    let features = archive.part(&names.features)?;
    let tails = decode_tails(&names.tails, archive, width)?;
    let profile = binary::decode_profile(&features, tails, training.rows)
        .map_err(ModelFormatError::in_part(&names.features))?;
    let detector = DetectorModel {
        schema,
        inputs,
        scorer: made,
        calibration: scores,
        tail_calibration,
        profile,
        training,
    };
    if DetectorManifest::of(&detector) == *manifest {
        Ok(detector)
    } else {
        Err(ModelFormatError::malformed(part, "the manifest says otherwise"))
    }
}

fn encode_tails(tails: &Tails) -> Vec<u8> {
    serde_json::to_vec(tails).expect("finite numbers are JSON")
}

fn decode_tails(
    part: &str,
    archive: &mut Archive<'_>,
    width: usize,
) -> Result<Tails, ModelFormatError> {
    let malformed = |what: String| ModelFormatError::malformed(part, what);
    let tails: Tails = serde_json::from_slice(&archive.part(part)?)
        .map_err(|error| malformed(error.to_string()))?;
    match tails.n_features() {
        has if has == width => Ok(tails),
        has => {
            Err(malformed(format!("it has tails of {has} features, the manifest names {width}")))
        }
    }
}

fn refused(part: &str, error: &OnnxError) -> ModelFormatError {
    let what = error.to_string();
    match error {
        OnnxError::NoEngine => ModelFormatError::NotBuiltIn { part: part.to_owned(), what },
        _ => ModelFormatError::malformed(part, what),
    }
}

fn decode_scorer<'n>(
    names: &'n Names,
    archive: &mut Archive<'_>,
    manifest: &DetectorManifest,
) -> Result<(&'n str, Scorer), ModelFormatError> {
    let Some(onnx) = &manifest.onnx else {
        let trained = IsolationForest::from_bytes(&archive.part(&names.forest)?)
            .map_err(ModelFormatError::in_part(&names.forest))?;
        return Ok((&names.forest, Scorer::Forest(trained)));
    };
    let scale = onnx.scale(MANIFEST)?;
    let scorer = OnnxScorer::with_scale(&archive.part(&names.onnx)?, scale)
        .map_err(|error| refused(&names.onnx, &error))?;
    if scale == Scale::AsIs && !scorer.is_bounded() {
        let what = "its raw scores are not in [0, 1] by themselves, and it has no scale";
        return Err(ModelFormatError::malformed(&names.onnx, what));
    }
    Ok((&names.onnx, Scorer::Onnx(scorer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_its_engine_is_not_called_malformed() {
        let error = refused("peer.onnx", &OnnxError::NoEngine).to_string();
        assert!(error.starts_with("peer.onnx: the model is a dense network, and"), "{error}");
        assert!(error.contains("use the `weir` with everything"), "{error}");
    }
}
