//! Confidence intervals of an area under the ROC curve.

use crate::{
    discrimination::Case,
    proportion::{Interval, Z},
};

/// The 95 % interval of the AUROC for cases in clusters, after Obuchowski 1997,
/// *Nonparametric analysis of clustered ROC curve data* (Biometrics 53, 567–578): the variance
/// of `DeLong`, `DeLong` and Clarke-Pearson 1988 with the placement values summed per cluster. With
/// each case a cluster of its own it is `DeLong`'s.
///
/// A peer's rows resemble each other; counting them as independent would narrow the interval
/// several times over. The interval is formed on the logit, so that it stays within (0, 1).
///
/// `None` with fewer than two clusters on a side, or where no pair of rows is ranked otherwise
/// than the rest (an area of 0 or 1 has no variance to estimate).
pub(crate) fn auroc_interval(cases: &[Case], area: f64) -> Option<Interval> {
    let standard_error = clustered_variance(cases, area)?.sqrt();
    if standard_error.is_nan() || standard_error <= 0.0 || area <= 0.0 || area >= 1.0 {
        return None;
    }
    let logit = (area / (1.0 - area)).ln();
    let half = Z * standard_error / (area * (1.0 - area));
    let back = |value: f64| 1.0 / (1.0 + (-value).exp());
    Some(Interval { low: back(logit - half), high: back(logit + half) })
}

/// Contribution of one cluster: its cases, and the sums of their placement values.
#[derive(Clone, Copy, Default)]
struct Cluster {
    attack: f64,
    attack_placement: f64,
    benign: f64,
    benign_placement: f64,
}

pub(crate) fn clustered_variance(cases: &[Case], area: f64) -> Option<f64> {
    let side = |attack: bool| -> Vec<f64> {
        let mut scores: Vec<f64> =
            cases.iter().filter(|case| case.attack == attack).map(|case| case.score).collect();
        scores.sort_unstable_by(f64::total_cmp);
        scores
    };
    let (attack, benign) = (side(true), side(false));
    let n_clusters = cases.iter().map(|case| case.cluster as usize + 1).max()?;
    let mut clusters = vec![Cluster::default(); n_clusters];
    for case in cases {
        let cluster = &mut clusters[case.cluster as usize];
        if case.attack {
            cluster.attack += 1.0;
            cluster.attack_placement += share_below(&benign, case.score);
        } else {
            cluster.benign += 1.0;
            cluster.benign_placement += 1.0 - share_below(&attack, case.score);
        }
    }
    let count =
        |has: fn(&Cluster) -> bool| clusters.iter().filter(|cluster| has(cluster)).count() as f64;
    let with_attack = count(|cluster| cluster.attack > 0.0);
    let with_benign = count(|cluster| cluster.benign > 0.0);
    let with_any = count(|cluster| cluster.attack + cluster.benign > 0.0);
    if with_attack < 2.0 || with_benign < 2.0 {
        return None;
    }
    let (mut of_attack, mut of_benign, mut of_both) = (0.0, 0.0, 0.0);
    for cluster in &clusters {
        let attack = cluster.attack_placement - cluster.attack * area;
        let benign = cluster.benign_placement - cluster.benign * area;
        of_attack += attack * attack;
        of_benign += benign * benign;
        of_both += attack * benign;
    }
    let (m, n) = (attack.len() as f64, benign.len() as f64);
    let variance = with_attack / (with_attack - 1.0) * of_attack / (m * m)
        + with_benign / (with_benign - 1.0) * of_benign / (n * n)
        + 2.0 * with_any / (with_any - 1.0) * of_both / (m * n);
    Some(variance.max(0.0))
}

/// The share of an ascending list that lies below a score, ties counting half.
fn share_below(ascending: &[f64], score: f64) -> f64 {
    let below = ascending.partition_point(|other| *other < score);
    let upto = ascending.partition_point(|other| *other <= score);
    (below + upto) as f64 / 2.0 / ascending.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(attack: &[f64], benign: &[f64], same_cluster: usize) -> Vec<Case> {
        let sides = attack.iter().map(|s| (*s, true)).chain(benign.iter().map(|s| (*s, false)));
        let mut cluster = 0;
        sides
            .enumerate()
            .map(|(index, (score, attack))| {
                if index % same_cluster == 0 {
                    cluster += 1;
                }
                Case { score, attack, cluster }
            })
            .collect()
    }

    #[test]
    fn rows_repeated_within_a_cluster_do_not_narrow_the_interval() {
        let attack = [0.4, 0.7, 0.9, 0.6, 0.8];
        let benign = [0.1, 0.5, 0.3, 0.65, 0.2, 0.45];
        let twice = |scores: &[f64]| -> Vec<f64> {
            scores.iter().flat_map(|score| [*score, *score]).collect()
        };
        let once = cases(&attack, &benign, 1);
        let doubled = cases(&twice(&attack), &twice(&benign), 2);
        let naive = cases(&twice(&attack), &twice(&benign), 1);
        let width = |cases: &[Case]| {
            let area = 27.0 / 30.0;
            auroc_interval(cases, area).map(|interval| interval.high - interval.low).unwrap()
        };
        assert!((width(&once) - width(&doubled)).abs() < 1e-12);
        assert!(width(&naive) < 0.8 * width(&doubled));
    }

    #[test]
    fn a_perfect_area_has_no_interval_to_show() {
        assert_eq!(auroc_interval(&cases(&[0.9, 0.8], &[0.1, 0.2], 1), 1.0), None);
        assert_eq!(auroc_interval(&cases(&[0.9], &[0.1, 0.95], 1), 0.5), None, "one cluster");
    }
}
