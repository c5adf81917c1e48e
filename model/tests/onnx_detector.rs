//! Models made by other tools, as detectors: calibrated, explained, saved and loaded.

#[path = "support/exchange.rs"]
mod exchange;
mod support;

use exchange::{FEATURES, READ, onnx, packed, rows};
use features::SchemaId;
use support::{CREATED, forests};
use weir_model::{
    Attribution, Channel, DetectorModel, Inputs, ModelFile, Place, ProfileBuilder, Scale, Scorer,
};

const FIXTURES: [&str; 8] = [
    "robust_iforest.onnx",
    "iforest_score_samples.onnx",
    "standard_mlp_autoencoder.onnx",
    "torch_autoencoder.onnx",
    "random_forest.onnx",
    "xgb_classifier.onnx",
    "lgbm_regressor.onnx",
    "torch_sigmoid.onnx",
];

#[test]
fn scores_are_in_their_bounds_and_in_the_order_of_raw_scores() {
    for name in FIXTURES {
        let detector = packed(name, 3_000);
        let Scorer::Onnx(made) = detector.scorer() else { panic!("it stays ONNX") };
        let rows = rows(500, 3);
        let mut scores = vec![0.0; 500];
        detector.score_rows(&rows, &mut scores);
        let mut raw = vec![0.0; 500];
        made.model().score_rows(&detector.inputs().project(&rows), &mut raw);
        let mut order: Vec<usize> = (0..500).collect();
        order.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]));
        assert!(order.is_sorted_by(|&a, &b| scores[a] <= scores[b]), "{name}");
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{name}");
        let is_probability = ["xgb_classifier.onnx", "random_forest.onnx", "torch_sigmoid.onnx"];
        let as_is = name.contains("iforest") || is_probability.contains(&name);
        assert_eq!(made.scale() == Scale::AsIs, as_is, "{name}");
        if as_is {
            assert_eq!(scores, raw, "{name}");
        }
        for (row, score) in rows.chunks(7).zip(&scores) {
            assert!((detector.score_row(row) - score).abs() < 1e-6, "{name}");
        }
    }
}

#[test]
fn a_benign_row_is_as_seldom_below_a_p_value_as_it_says() {
    for name in FIXTURES {
        let detector = packed(name, 3_000);
        let mut scores = vec![0.0; 4_000];
        detector.score_rows(&rows(4_000, 4), &mut scores);
        for level in [0.05, 0.01] {
            let below = scores.iter().filter(|s| detector.p_value(**s).marginal <= level).count();
            let rate = below as f64 / 4_000.0;
            // Over both samples the deviation is below 0.006 at 5 %.
            assert!(rate <= level + 0.02, "{name}: {rate} at {level}");
        }
    }
}

#[test]
fn the_feature_that_is_far_out_leads_and_the_unit_is_said() {
    for (name, unit) in [
        ("robust_iforest.onnx", "levels off the path"),
        ("torch_autoencoder.onnx", "of the mean squared error"),
    ] {
        let detector = packed(name, 3_000);
        let mut row = rows(1, 5);
        row[1] = 60.0;
        let explanation = detector.explain(&row);
        assert_eq!(explanation.attribution.unit(), unit, "{name}");
        let leader = &explanation.contributions[0];
        assert_eq!((&*leader.name, leader.feature), ("f4", 1), "{name}: {explanation:?}");
        assert_eq!((leader.value, leader.place), (60.0, Place::AboveAll));
        let score = detector.score_row(&row);
        assert_eq!(explanation.score.to_bits(), score.to_bits(), "{name}");
        let sum: f64 = explanation.contributions.iter().map(|part| part.amount).sum();
        let (Attribution::PathShortening { total } | Attribution::SquaredError { total }) =
            explanation.attribution
        else {
            panic!("{name}: {explanation:?}")
        };
        assert!((sum - total).abs() < 1e-6 * total.abs().max(1.0), "{name}");
        assert_eq!(detector.tail_parts(&row)[0].feature, 1, "{name}");
    }
}

#[test]
fn any_row_has_a_score_and_an_explanation() {
    for name in FIXTURES {
        let detector = packed(name, 3_000);
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0] {
            let row = [value; 7];
            assert!((0.0..=1.0).contains(&detector.score_row(&row)), "{name} {value}");
            for part in detector.explain(&row).contributions {
                assert!(part.amount.is_finite() && (0.0..=1.0).contains(&part.share), "{name}");
            }
        }
    }
}

#[test]
fn a_packed_model_is_loaded_to_the_bit_and_says_what_it_came_from() {
    let probe = rows(50, 6);
    for name in FIXTURES {
        let host: Channel = "host-10s".parse().unwrap();
        let detectors = [
            (support::over_a_second(), packed(name, 3_000)),
            (host, forests().detector(host).unwrap().clone()),
        ];
        let saved = ModelFile::new(detectors, CREATED).unwrap();
        let bytes = saved.to_bytes().unwrap();
        assert!(bytes == saved.to_bytes().unwrap(), "{name}: the same bytes each time");
        let loaded = ModelFile::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.detectors(), saved.detectors(), "{name}");
        let manifest = loaded.manifest().detector(loaded.peers()).unwrap();
        assert_eq!(manifest.inputs, READ);
        assert_eq!(manifest.kind, saved.peer().scorer().kind());
        let source = manifest.training.source.as_ref().unwrap();
        assert_eq!(source.file, name);
        assert_eq!(Some(&source.sha256), manifest.onnx.as_ref().map(|onnx| &onnx.sha256));
        for row in probe.chunks(7) {
            let (before, after) = (saved.peer().score_row(row), loaded.peer().score_row(row));
            assert_eq!(before.to_bits(), after.to_bits(), "{name}");
        }
    }
}

#[test]
fn a_scorer_of_other_inputs_is_refused() {
    let features = FEATURES.map(String::from).to_vec();
    let schema = SchemaId { name: "weir.flow.v1".into(), hash: "00".into(), features };
    let inputs = Inputs::all(&schema);
    let mut profile = ProfileBuilder::new(&inputs, 1);
    profile.extend(&rows(10, 1));
    let scorer = Scorer::Onnx(onnx("random_forest.onnx"));
    let error = DetectorModel::assemble(schema, inputs, scorer, profile.finish().unwrap(), 1);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the scorer has 6 features where 7 are needed: assemble parts that were made for the same \
         inputs"
    );
}
