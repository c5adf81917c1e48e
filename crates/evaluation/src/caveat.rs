//! Caveats: what the data itself says against trusting the numbers.

use serde::{Deserialize, Serialize};

use report::text::{count, percent, rate_text};

use crate::{
    Evaluation, Observations, calibration::Verdict, detection::Rule, drift::Reading, time::TimeSpan,
};

/// Rows or clusters below which a number is not to be leant on.
const FEW: u64 = 10;

/// Something that a reader must know of these numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Caveat {
    /// No benign rows.
    NoBenign,
    /// No attack rows.
    NoAttack,
    /// Too few benign rows for a false-positive rate.
    RateNotMeasurable {
        /// The rate.
        rate: f64,
        /// Benign rows it takes.
        needs: u64,
        /// Benign rows there are.
        benign: u64,
    },
    /// A rate that rests on a few false alarms.
    RateRestsOnFew {
        /// The rate.
        rate: f64,
        /// False alarms it allows.
        allowed: u64,
    },
    /// Attack rows of few peers.
    FewAttackPeers {
        /// Peers with attack rows.
        peers: u64,
        /// Attack rows.
        rows: u64,
    },
    /// Benign rows of few peers.
    FewBenignPeers {
        /// Peers with benign rows only.
        peers: u64,
    },
    /// Rows of one class only.
    OneClass {
        /// Its name.
        class: String,
    },
    /// Classes with very few rows.
    SmallClasses {
        /// Their names.
        classes: Vec<String>,
    },
    /// Rows without a label.
    Unlabelled {
        /// Number of rows.
        rows: u64,
        /// Their share of all.
        share: f64,
    },
    /// Attack rows are a share of all that no network has.
    ManyAttacks {
        /// Their share.
        share: f64,
    },
    /// Peers that are benign in some rows and attack in others.
    MixedPeers {
        /// Number of peers.
        peers: u64,
        /// Their false alarms at the first operating point of the detector's own, or else at the
        /// first.
        false_alarms: u64,
        /// Of how many there.
        of: u64,
        /// Operating point meant.
        rule: Option<Rule>,
    },
    /// Training rows were seen at the same time as evaluated ones.
    TrainingOverlap {
        /// Time of the training.
        trained: TimeSpan,
        /// Known to come from the same place.
        same_source: bool,
    },
    /// Claims that do not hold.
    BrokenClaims {
        /// The levels.
        alphas: Vec<f64>,
    },
    /// Features that left the training's distribution.
    Drifted {
        /// Number of features that moved.
        moved: u64,
        /// Of how many.
        of: u64,
    },
}

impl Caveat {
    /// The caveat in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NoBenign => "There are no benign rows, so nothing can be said of false alarms: \
                               add benign traffic of the same network."
                .to_owned(),
            Self::NoAttack => "There are no attack rows, so only false alarms and calibration can \
                               be judged."
                .to_owned(),
            Self::RateNotMeasurable { rate, needs, benign } => format!(
                "A false-positive rate of {} cannot be measured: it takes {} benign rows, there \
                 are {}.",
                rate_text(*rate),
                count(*needs),
                count(*benign)
            ),
            Self::RateRestsOnFew { rate, allowed } => format!(
                "The threshold at a false-positive rate of {} rests on {} false {}: another \
                 capture may well put it elsewhere.",
                rate_text(*rate),
                allowed,
                if *allowed == 1 { "alarm" } else { "alarms" }
            ),
            Self::FewAttackPeers { peers, rows } => format!(
                "All {} attack rows come from {peers} {}. Rows of one peer resemble each other, \
                 so this says little of other attackers.",
                count(*rows),
                if *peers == 1 { "peer" } else { "peers" }
            ),
            Self::FewBenignPeers { peers } => format!(
                "Only {peers} {} purely benign: false alarms of other hosts' habits are not in \
                 these numbers.",
                if *peers == 1 { "peer is" } else { "peers are" }
            ),
            Self::OneClass { class } => {
                format!("`{class}` is the only attack class: other attacks may look quite unlike.")
            }
            Self::SmallClasses { classes } => format!(
                "Fewer than {FEW} rows: {}. Their shares are anecdotes.",
                classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ")
            ),
            Self::Unlabelled { rows, share } => format!(
                "{} rows ({}) have no label and were left out; false alarms among them are not \
                 counted.",
                count(*rows),
                percent(*share)
            ),
            Self::ManyAttacks { share } => format!(
                "{} of the rows are attacks, far more than a network has: average precision and \
                 precision would be much lower where attacks are rare. The true-positive rates \
                 do not depend on it.",
                percent(*share)
            ),
            Self::MixedPeers { peers, false_alarms, of, rule } => {
                let theirs = rule.filter(|_| *of > 0).map_or_else(String::new, |rule| {
                    format!(
                        " {} of the {} false alarms at {} are theirs: mostly what they did just \
                         before or after the labelled time.",
                        count(*false_alarms),
                        count(*of),
                        rule.short()
                    )
                });
                format!(
                    "{peers} {} both benign and attack rows; per peer and per window they count \
                     as attackers.{theirs}",
                    if *peers == 1 { "peer has" } else { "peers have" }
                )
            }
            Self::TrainingOverlap { trained, same_source } => format!(
                "The detector was trained on rows seen from {} to {}, which overlaps with the \
                 evaluated ones. {}, it knows what it has seen before: evaluate on later data.",
                crate::time::clock_text(trained.from),
                crate::time::clock_text(trained.to),
                if *same_source {
                    "As they are of the same source"
                } else {
                    "If they are the same traffic"
                }
            ),
            Self::BrokenClaims { alphas } => format!(
                "P-values are smaller than they should be at {}: benign rows raise more alarms \
                 than claimed. Train or calibrate on traffic like this.",
                alphas.iter().map(|alpha| rate_text(*alpha)).collect::<Vec<_>>().join(", ")
            ),
            Self::Drifted { moved, of } => format!(
                "{moved} of {of} features no longer have the training's distribution on benign \
                 rows; thresholds and p-values were made for another one."
            ),
        }
    }
}

/// Everything that is to be said of an evaluation, the gravest first.
pub(crate) fn all(evaluation: &Evaluation, observations: &Observations) -> Vec<Caveat> {
    let mut caveats = Vec::new();
    let counts = &evaluation.counts;
    if counts.benign == 0 {
        caveats.push(Caveat::NoBenign);
    }
    if counts.attack == 0 {
        caveats.push(Caveat::NoAttack);
    }
    if let Some(trained) = evaluation.detector.trained
        && trained.overlaps(&counts.span)
    {
        let same_source = evaluation.detector.same_source;
        caveats.push(Caveat::TrainingOverlap { trained, same_source });
    }
    if let Some(check) = &evaluation.calibration {
        let broken = check.claims.iter().filter(|claim| claim.verdict == Verdict::TooMany);
        let alphas: Vec<f64> = broken.map(|claim| claim.alpha).collect();
        if !alphas.is_empty() {
            caveats.push(Caveat::BrokenClaims { alphas });
        }
    }
    let moved =
        evaluation.drift.iter().filter(|drift| drift.reading == Reading::Moved).count() as u64;
    if moved > 0 {
        caveats.push(Caveat::Drifted { moved, of: evaluation.drift.len() as u64 });
    }
    if counts.attack > 0 && counts.benign > 0 {
        caveats.extend(of_rates(evaluation));
    }
    caveats.extend(of_peers(evaluation, observations));
    if let [only] = &evaluation.classes[..] {
        caveats.push(Caveat::OneClass { class: only.class.clone() });
    }
    let small = evaluation.classes.iter().filter(|class| class.rows < FEW);
    let classes: Vec<String> = small.map(|class| class.class.clone()).collect();
    if !classes.is_empty() {
        caveats.push(Caveat::SmallClasses { classes });
    }
    if counts.unlabelled > 0 {
        let all = counts.unlabelled + counts.benign + counts.attack;
        let share = counts.unlabelled as f64 / all as f64;
        caveats.push(Caveat::Unlabelled { rows: counts.unlabelled, share });
    }
    let share = evaluation.rows.prevalence();
    if share > 0.05 && counts.benign > 0 {
        caveats.push(Caveat::ManyAttacks { share });
    }
    caveats
}

fn of_rates(evaluation: &Evaluation) -> impl Iterator<Item = Caveat> {
    let benign = evaluation.counts.benign;
    evaluation.rows.at_rates.iter().filter_map(move |at| {
        let allowed = benign / at.needs_benign;
        match at.measured {
            None => {
                Some(Caveat::RateNotMeasurable { rate: at.rate, needs: at.needs_benign, benign })
            }
            Some(_) if allowed < FEW => Some(Caveat::RateRestsOnFew { rate: at.rate, allowed }),
            Some(_) => None,
        }
    })
}

fn of_peers(evaluation: &Evaluation, observations: &Observations) -> Vec<Caveat> {
    let mut seen = vec![[false; 2]; observations.peers.values.len()];
    for row in &observations.rows {
        seen[row.peer as usize][usize::from(row.attack.is_some())] = true;
    }
    let among = |wanted: fn(&[bool; 2]) -> bool| -> u64 {
        seen.iter().filter(|seen| wanted(seen)).count() as u64
    };
    let (attack, mixed) = (among(|[_, attack]| *attack), among(|seen| *seen == [true; 2]));
    let purely_benign = among(|[benign, attack]| *benign && !attack);
    let rows = evaluation.counts.attack;
    let mut caveats = Vec::new();
    if (1..FEW).contains(&attack) {
        caveats.push(Caveat::FewAttackPeers { peers: attack, rows });
    }
    if evaluation.counts.benign > 0 && purely_benign < FEW {
        caveats.push(Caveat::FewBenignPeers { peers: purely_benign });
    }
    if mixed > 0 {
        let points = &evaluation.operating_points;
        let own = points.iter().find(|at| matches!(at.rule, Rule::PValue { .. }));
        let point = own.or_else(|| points.first());
        caveats.push(Caveat::MixedPeers {
            peers: mixed,
            false_alarms: point.map_or(0, |at| at.false_positives_of_attackers),
            of: point.map_or(0, |at| at.false_positives.count),
            rule: point.map(|at| at.rule),
        });
    }
    caveats
}
