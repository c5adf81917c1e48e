//! The measures against scikit-learn's, over rows that `fixtures/reference.py` made.

use serde::Deserialize;

use crate::{Ranking, discrimination::Case, interval::clustered_variance};

#[derive(Deserialize)]
struct Reference {
    name: String,
    attack: Vec<f64>,
    benign: Vec<f64>,
    attack_cluster: Vec<u32>,
    benign_cluster: Vec<u32>,
    roc_auc_score: f64,
    average_precision_score: f64,
    delong_variance: f64,
    obuchowski_variance: f64,
}

impl Reference {
    fn all() -> Vec<Self> {
        let json = include_str!("../fixtures/reference.json");
        serde_json::from_str(json).expect("the fixture is whole")
    }

    /// Its cases, each in the cluster that `cluster` makes of (its own, its place).
    fn cases(&self, cluster: fn(u32, u32) -> u32) -> Vec<Case> {
        let side = |scores: &[f64], clusters: &[u32], attack| -> Vec<(f64, u32, bool)> {
            scores.iter().zip(clusters).map(|(score, own)| (*score, *own, attack)).collect()
        };
        let mut all = side(&self.attack, &self.attack_cluster, true);
        all.extend(side(&self.benign, &self.benign_cluster, false));
        (0..)
            .zip(all)
            .map(|(place, (score, own, attack))| Case {
                score,
                attack,
                cluster: cluster(own, place),
            })
            .collect()
    }
}

#[test]
fn areas_are_scikit_learns_to_1e_12() {
    let references = Reference::all();
    assert_eq!(references.len(), 6);
    for reference in references {
        let ranking = Ranking::new(&reference.attack, &reference.benign);
        let close = |ours: Option<f64>, theirs: f64| (ours.unwrap() - theirs).abs() < 1e-12;
        assert!(close(ranking.auroc(), reference.roc_auc_score), "{}", reference.name);
        assert!(
            close(ranking.average_precision(), reference.average_precision_score),
            "{}",
            reference.name
        );
    }
}

#[test]
fn variances_are_those_written_out_over_all_pairs() {
    for reference in Reference::all() {
        let area = reference.roc_auc_score;
        let variance = |cases: &[Case]| clustered_variance(cases, area).unwrap();
        let apart = variance(&reference.cases(|_, place| place));
        let clustered = variance(&reference.cases(|own, _| own));
        assert!((apart - reference.delong_variance).abs() < 1e-12, "{}", reference.name);
        assert!((clustered - reference.obuchowski_variance).abs() < 1e-12, "{}", reference.name);
    }
}
