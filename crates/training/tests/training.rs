//! The whole way: what is dropped is counted, the same input and seed give the same detector,
//! blocks leave no trace, and bad input is named.

mod support;

use forest::IsolationForest;
use linfa::ParamGuard;
use support::{Attack, Stream, auroc, schema};
use training::{
    AutoencoderParams, Ecod, FeatureChoice, Hbos, Mark, Method, Plan, RowBlock, TimeSplit,
    TrainingError, train,
};

fn forest() -> Method {
    Method::Forest(IsolationForest::params().n_trees(50).check().unwrap())
}

fn methods() -> Vec<Method> {
    let extended = IsolationForest::params().n_trees(50).extension_level(1).check().unwrap();
    let autoencoder = AutoencoderParams { epochs: 8, ..AutoencoderParams::default() };
    vec![
        forest(),
        Method::Forest(extended),
        Method::Hbos(Hbos::default()),
        Method::Ecod(Ecod::default()),
        Method::Autoencoder(autoencoder),
    ]
}

#[test]
fn every_method_tells_attacks_from_benign_rows_and_the_same_seed_gives_the_same_detector() {
    let stream = Stream { windows: 120, ..Stream::default() };
    for method in methods() {
        let plan = Plan::new(method);
        let once = train(&stream, &schema(), &plan).unwrap();
        let again = train(&Stream { windows_a_block: 7, ..stream.clone() }, &schema(), &plan);
        let again = again.unwrap();
        assert_eq!(once.detector, again.detector, "{}", plan.method.name());
        assert_eq!(once.report, again.report);
        let found = auroc(&once.detector, 9);
        assert!(found > 0.97, "{}: {found}", plan.method.name());
    }
}

#[test]
fn every_row_is_trained_on_held_out_or_dropped_for_one_cause() {
    let stream = Stream {
        windows: 100,
        attack: Some(Attack { peers: 3, from: 20, labelled: true }),
        lossy_windows: vec![50, 51],
        ..Stream::default()
    };
    let mut plan = Plan::new(forest());
    plan.split = TimeSplit { gap_windows: 4, warm_up_windows: 5, ..TimeSplit::default() };
    let report = train(&stream, &schema(), &plan).unwrap().report;
    let dropped = report.dropped;
    assert_eq!(report.rows.read, stream.rows());
    // Its attackers' rows count as lossy, too: each row has one cause.
    assert_eq!(dropped.lossy, 2 * (stream.rows_of(50) + 3));
    assert_eq!(dropped.warm_up, 5 * stream.rows_of(0));
    // 4 windows on each side of the boundary, their attack rows counted as such.
    assert_eq!(dropped.gap, 8 * stream.rows_of(0));
    assert_eq!(dropped.attack, 78 * 3);
    let all = dropped.lossy + dropped.warm_up + dropped.gap + dropped.attack;
    assert_eq!(report.rows.trained + report.rows.held_out + all, report.rows.read);
    let text = report.to_string();
    for part in ["234 labelled as attacks", "in the gap", "one false alarm in", "in the warm-up"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    plan.keep_attacks = true;
    assert_eq!(train(&stream, &schema(), &plan).unwrap().report.dropped.attack, 0);
}

#[test]
fn features_are_chosen_by_name_and_constant_ones_only_where_asked() {
    let stream = Stream { windows: 60, ..Stream::default() };
    let mut plan = Plan::new(forest());
    let all = train(&stream, &schema(), &plan).unwrap();
    assert_eq!(all.report.constant, ["constant"]);
    assert_eq!(all.detector.inputs().len(), 5);

    plan.features.drop_constant = true;
    plan.features.without = vec!["size".to_owned()];
    let some = train(&stream, &schema(), &plan).unwrap();
    assert_eq!(some.detector.inputs().names(), ["rate", "ratio", "age"]);
    let why: Vec<(&str, &str)> =
        some.report.left_out.iter().map(|l| (l.feature.as_str(), l.why.as_str())).collect();
    assert_eq!(why, [("size", "not chosen"), ("constant", "constant in training")]);

    plan.features = FeatureChoice { only: vec!["constant".to_owned()], ..plan.features };
    let error = train(&stream, &schema(), &plan).unwrap_err().to_string();
    assert!(error.contains("none of the 1 features varies"), "{error}");
}

#[test]
fn a_bad_row_is_named_and_a_stream_with_nothing_left_says_what_became_of_its_rows() {
    let broken = Stream { windows: 30, nan_in_window: Some(17), ..Stream::default() };
    let error = train(&broken, &schema(), &Plan::new(forest())).unwrap_err().to_string();
    let row = broken.rows_of(0) * 17;
    assert!(error.starts_with(&format!("row {row} has NaN in feature `size`")), "{error}");

    let lossy = Stream { windows: 10, lossy_windows: (0..10).collect(), ..Stream::default() };
    let error = train(&lossy, &schema(), &Plan::new(forest())).unwrap_err().to_string();
    assert!(error.contains("400 from lossy windows"), "{error}");

    let short = Stream { windows: 1, ..Stream::default() };
    let error = train(&short, &schema(), &Plan::new(forest())).unwrap_err();
    assert!(matches!(error, TrainingError::NoHeldOutRows { got: 0, .. }), "{error}");

    let empty = Stream { windows: 0, ..Stream::default() };
    let error = train(&empty, &schema(), &Plan::new(forest())).unwrap_err();
    assert!(matches!(error, TrainingError::NoTrainingRows { read: 0, .. }), "{error}");
}

#[test]
fn blocks_whose_parts_do_not_fit_and_a_failing_source_are_refused() {
    let plan = Plan::new(forest());
    let source = training::Blocks(|| {
        Ok([Ok::<_, training::SourceError>(RowBlock {
            starts_ns: vec![0],
            ends_ns: vec![1],
            marks: vec![Mark::Unlabelled],
            rows: vec![1.0; 4],
            ..RowBlock::default()
        })]
        .into_iter())
    });
    let error = train(&source, &schema(), &plan).unwrap_err().to_string();
    assert!(error.contains("4 values where 5 are needed"), "{error}");

    let source = training::Blocks(|| {
        Ok([Err::<RowBlock, training::SourceError>("disk on fire".into())].into_iter())
    });
    assert_eq!(train(&source, &schema(), &plan).unwrap_err().to_string(), "disk on fire");
}
