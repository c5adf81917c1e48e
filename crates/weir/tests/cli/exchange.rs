//! Models out as ONNX, and back in as model files.

use std::{
    path::Path,
    process::{Command, Output},
};

use model::{Feature as _, Kind, ModelFile, PeerFeature, schema};

use crate::{support::model_of, traffic};

/// A folder with benign tables, a model and room for more.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let windows = traffic::Traffic::windows(3, 80, 60);
        traffic::write(&folder.path().join("benign"), traffic::small_groups(), &windows);
        let model = model_of(schema::schema_id(Kind::Peer));
        model.save(folder.path().join("base.weir")).unwrap();
        Self(folder)
    }

    /// Runs `weir model` in the folder.
    fn model(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("model").args(words).current_dir(self.0.path()).output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.model(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], said: &[&str]) {
        let output = self.model(words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        for said in said {
            assert!(told.contains(said), "{said}: {told}");
        }
        assert!(!self.0.path().join("out.weir").exists());
    }

    fn load(&self, name: &str) -> ModelFile {
        ModelFile::load(self.0.path().join(name)).unwrap()
    }
}

#[test]
fn a_forest_goes_out_as_onnx_and_comes_back_with_its_scores() {
    let desk = Desk::new();
    desk.done(&["export", "base.weir", "--out", "peer.onnx"]);
    let benign = ["--benign", "benign", "--base", "base.weir"];
    let told =
        desk.done(&[&["pack", "--onnx", "peer.onnx", "--out", "out.weir"], &benign[..]].concat());
    assert!(told.contains("wrote out.weir"), "{told}");
    let (base, packed) = (desk.load("base.weir"), desk.load("out.weir"));
    assert_eq!(packed.detectors().len(), base.detectors().len(), "the rows that the base has");
    assert_eq!(packed.peer().scorer().kind(), "isolation forest");
    assert_eq!(packed.peer().schema(), base.peer().schema());
    let source = packed.peer().training().facts.source.as_ref().unwrap();
    assert_eq!(source.file, "peer.onnx");
    let width = PeerFeature::scored().count();
    for row in 0..50_u16 {
        let row: Vec<f32> = (0..width).map(|at| (at * usize::from(row) % 97) as f32).collect();
        let (one, other) = (base.peer().score_row(&row), packed.peer().score_row(&row));
        assert!((one - other).abs() <= 1e-6, "{one} {other}");
    }
    let told = desk.done(&["inspect", "out.weir"]);
    for said in ["isolation forest, run from ONNX", "packed from", "peer.onnx, sha256"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&desk.done(&["inspect", "out.weir", "--json"])).unwrap();
    let told = &json["detectors"]["peer-1s"];
    assert_eq!(told["kind"], "isolation forest");
    assert_eq!(told["ranges"].as_array().unwrap().len(), width);
}

#[test]
fn without_a_base_forests_are_fitted_for_all_other_rows() {
    let desk = Desk::new();
    desk.done(&["export", "base.weir", "--out", "peer.onnx"]);
    let words = ["import", "--onnx", "peer.onnx", "--benign", "benign", "--out"];
    desk.done(&[&words[..], &["out.weir"]].concat());
    desk.done(&[&words[..], &["again.weir"]].concat());
    let (one, again) = (desk.load("out.weir"), desk.load("again.weir"));
    assert!(one.peer().forest().is_none(), "run from ONNX");
    let services = one.detector("service-1s".parse().unwrap()).expect("rows enough");
    assert!(services.forest().is_some(), "a native forest");
    assert_eq!(one.detectors(), again.detectors(), "the same each time");
}

#[test]
fn what_cannot_be_packed_is_named_and_nothing_is_written() {
    let desk = Desk::new();
    let path = desk.0.path();
    std::fs::write(path.join("text.onnx"), "no model").unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../onnx/tests/fixtures/standard_mlp_autoencoder.onnx");
    std::fs::copy(fixture, path.join("six.onnx")).unwrap();
    let rest = ["--benign", "benign", "--out", "out.weir"];
    let pack = |words: &[&'static str]| [&["pack"][..], words, &rest].concat();
    desk.refused(&pack(&["--onnx", "absent.onnx"]), &["absent.onnx", "No such file"]);
    desk.refused(&pack(&["--onnx", "text.onnx"]), &["text.onnx"]);
    desk.refused(&pack(&["--onnx", "six.onnx"]), &["six.onnx", "6 features", "--features"]);
    desk.refused(
        &pack(&["--onnx", "six.onnx", "--features", "packets"]),
        &["six.onnx", "reads 6 features, 1 are named"],
    );
    desk.refused(&pack(&["--onnx", "six.onnx", "--features", "a,b,c,d,e,f"]), &["no feature `a`"]);
    let words = ["pack", "--onnx", "six.onnx", "--benign", "absent", "--out", "out.weir"];
    desk.refused(&words, &["absent"]);
}
