//! The model file: what is saved is what is loaded, and nothing else is.

mod support;

use std::fs;
use std::time::Duration;

use features::{Kind, SchemaId};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use support::{CREATED, forests, over_a_second};
use weir_model::{ModelFile, ModelFileError, ModelFormatError};

fn model() -> ModelFile {
    forests()
}

/// Makes changed bytes pass the seal, so that the parts themselves are put to the test.
fn reseal(bytes: &mut [u8]) {
    let body = bytes.len() - 64;
    let digits = format!("{:x}", Sha256::digest(&bytes[..body]));
    bytes[body..].copy_from_slice(digits.as_bytes());
}

#[test]
fn what_is_saved_is_loaded_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("benign.weir");
    let saved = model();
    saved.save(&path).unwrap();
    let loaded = ModelFile::load(&path).unwrap();
    assert_eq!((loaded.detectors(), loaded.detectors().len()), (saved.detectors(), 2));
    assert_eq!(loaded.manifest(), saved.manifest());
    assert_eq!(loaded.digest(), saved.digest());
    assert_eq!(loaded.manifest().created, CREATED);
    let row = [1e3, 5.0, -4.0];
    assert_eq!(loaded.peer().score_row(&row).to_bits(), saved.peer().score_row(&row).to_bits());
    assert_eq!(loaded.peer().explain(&row), saved.peer().explain(&row));
    assert_eq!(loaded.peers(), over_a_second());
}

#[test]
fn the_same_detectors_make_the_same_bytes_and_the_digest_is_the_files() {
    let (one, other) = (model().to_bytes().unwrap(), model().to_bytes().unwrap());
    assert!(one == other);
    assert_eq!(model().digest(), format!("{:x}", Sha256::digest(&one)));
}

#[test]
fn the_file_replaces_an_older_one_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("benign.weir");
    fs::write(&path, "older").unwrap();
    model().save(&path).unwrap();
    assert!(ModelFile::load(&path).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("benign.weir");
    let error = ModelFile::load(&path).unwrap_err();
    assert!(matches!(error, ModelFileError::Read { .. }), "{error}");
    assert!(error.to_string().contains("missing/benign.weir"), "{error}");
    let error = model().save(&path).unwrap_err();
    assert!(matches!(error, ModelFileError::Write { .. }), "{error}");
    assert!(error.to_string().contains("missing/benign.weir"), "{error}");
}

#[test]
fn a_file_that_is_not_a_model_is_refused() {
    for bytes in [&b""[..], b"hello", &[0; 1_000]] {
        assert_eq!(ModelFile::from_bytes(bytes).unwrap_err(), ModelFormatError::NotAModel);
    }
}

#[test]
fn a_file_truncated_anywhere_is_refused() {
    let bytes = model().to_bytes().unwrap();
    for length in 4..bytes.len() {
        let error = ModelFile::from_bytes(&bytes[..length]).unwrap_err();
        assert_eq!(error, ModelFormatError::Truncated, "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn a_file_with_one_bit_flipped_anywhere_is_refused() {
    let mut bytes = model().to_bytes().unwrap();
    for at in (0..bytes.len()).step_by(3) {
        bytes[at] ^= 1 << (at % 8);
        assert!(ModelFile::from_bytes(&bytes).is_err(), "byte {at} of {}", bytes.len());
        bytes[at] ^= 1 << (at % 8);
    }
    assert!(ModelFile::from_bytes(&bytes).is_ok());
}

#[test]
fn a_time_that_is_none_is_refused() {
    let model = model();
    let error = ModelFile::new(model.detectors().clone(), "today").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`created` must be a time such as 2026-01-31T12:00:00Z, got \"today\""
    );
}

#[test]
fn a_build_with_other_features_is_refused_by_schema() {
    let model = model();
    let own = |kind: Kind| {
        let mut detectors = model.detectors().iter();
        detectors.find(|(channel, _)| channel.kind == kind).unwrap().1.schema().clone()
    };
    assert!(model.check_schemas(own).is_ok());
    let other = |kind| SchemaId { hash: "ffff".to_owned(), ..own(kind) };
    let error = model.check_schemas(other).unwrap_err().to_string();
    assert!(error.starts_with("model expects weir.peer.v1 hash 0123456789ab, "), "{error}");
}

#[test]
fn windows_of_another_length_are_refused_by_both() {
    let model = model();
    assert_eq!(model.check_window(Duration::from_secs(1)), Ok(()));
    let error = model.check_window(Duration::from_mins(1)).unwrap_err().to_string();
    assert!(
        error.starts_with("the model was trained on windows of 1s, these are of 60s"),
        "{error}"
    );
}

#[test]
fn a_model_without_a_detector_of_peers_is_none() {
    let model = model();
    let mut hosts = model.detectors().clone();
    hosts.retain(|channel, _| channel.kind == Kind::Host);
    assert_eq!(ModelFile::new(hosts, CREATED).unwrap_err(), ModelFormatError::NoPeers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_forged_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = model().to_bytes().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len() - 64);
            bytes[at] = byte;
        }
        reseal(&mut bytes);
        if let Ok(model) = ModelFile::from_bytes(&bytes) {
            let score = model.peer().score_row(&[1.0, 2.0, 3.0]);
            prop_assert!(score > 0.0 && score <= 1.0);
        }
    }
}
