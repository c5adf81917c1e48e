//! Training on rows that hold unlabelled attacks.

mod support;

use forest::IsolationForest;
use linfa::ParamGuard;
use support::{Attack, Stream, auroc, schema};
use training::{Contamination, Method, Plan, TrimBy, train};

/// 4 of 44 rows in a window, 9 %, are of attackers.
fn contaminated(seed: u64) -> Stream {
    let attack = Some(Attack { peers: 4, from: 0, labelled: false });
    Stream { windows: 150, attack, seed, ..Stream::default() }
}

fn plan(contamination: Option<Contamination>) -> Plan {
    let params = IsolationForest::params().check().unwrap();
    Plan { contamination, ..Plan::new(Method::Forest(params)) }
}

fn found(stream: &Stream, contamination: Option<Contamination>) -> f64 {
    auroc(&train(stream, &schema(), &plan(contamination)).unwrap().detector, 5)
}

#[test]
fn trimming_recovers_what_contamination_cost_and_by_peers_more_than_by_rows() {
    for seed in 1..=3 {
        let clean = found(&Stream { attack: None, ..contaminated(seed) }, None);
        let contaminated = contaminated(seed);
        let untrimmed = found(&contaminated, None);
        let by = |by| Some(Contamination { by, ..Contamination::new(0.2) });
        let rows = found(&contaminated, by(TrimBy::Rows));
        let peers = found(&contaminated, by(TrimBy::Peers));
        println!("clean {clean:.4}, contaminated {untrimmed:.4}, rows {rows:.4}, peers {peers:.4}");
        assert!(untrimmed < clean - 0.02, "contamination costs something: {untrimmed} {clean}");
        assert!(peers > untrimmed && clean - peers < 0.01, "{peers}");
        assert!(peers >= rows, "{peers} {rows}");
    }
}

#[test]
fn what_was_trimmed_and_what_that_costs_is_told_in_report_and_model() {
    let stream = contaminated(1);
    let plan = plan(Some(Contamination::new(0.15)));
    let trained = train(&stream, &schema(), &plan).unwrap();
    let trimmed = trained.report.trimmed.clone().unwrap();
    assert!(trimmed.training_rows > 0 && trimmed.held_out_rows > 0, "{trimmed:?}");
    let rows = trained.report.rows;
    assert_eq!(rows.trained + rows.held_out + trained.report.dropped.trimmed, rows.read);
    assert!(trimmed.training_rows as f64 <= 0.15 * (rows.trained + trimmed.training_rows) as f64);
    assert!(trained.report.to_string().contains("not exchangeable"));
    let facts = &trained.detector.training().facts;
    assert_eq!(facts.trimmed, Some(0.15));
    assert!(facts.selection.iter().any(|fact| fact.contains("not exchangeable")));
}

#[test]
fn a_peer_with_more_rows_than_the_share_is_not_trimmed_and_the_report_says_so() {
    // A single peer of eleven has 9 % of the rows.
    let attack = Some(Attack { peers: 1, from: 0, labelled: false });
    let stream = Stream { peers: 10, attack, ..Stream::default() };
    let report = train(&stream, &schema(), &plan(Some(Contamination::new(0.02)))).unwrap().report;
    assert_eq!(report.trimmed.as_ref().unwrap().training_rows, 0);
    assert!(report.to_string().contains("allow a larger one"), "{report}");
}

#[test]
fn a_fraction_out_of_bounds_and_rows_without_peers_are_refused() {
    let refused = |contamination| {
        train(&contaminated(1), &schema(), &plan(Some(contamination))).unwrap_err().to_string()
    };
    assert!(refused(Contamination::new(0.6)).contains("above 0 and at most 0.5, got 0.6"));
    let rounds = Contamination { rounds: 0, ..Contamination::new(0.1) };
    assert!(refused(rounds).contains("between 1 and 5, got 0"));

    let mut rows = training::SampledRows::new(5);
    for window in 0..100 {
        rows.extend(window, &[1.0, 2.0, 3.0, 4.0, window as f32]);
    }
    let plan = plan(Some(Contamination::new(0.1)));
    let error = train(&rows, &schema(), &plan).unwrap_err().to_string();
    assert!(error.contains("no peers to trim by"), "{error}");
}
