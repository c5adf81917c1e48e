//! Training on rows that may hold unlabelled attacks: fit, leave out the most anomalous, fit again.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use forest::RowSample;
use model::Scorer;

use crate::error::TrainingError;
use crate::row_filter::RowFilter;
use crate::split::Part;
use crate::trim::{Trim, score};

/// Scores at most from which the trimming threshold is found; of more, a uniform sample.
const SCORES: usize = 1 << 20;
/// Peers at most that are told apart; those that first come later are never trimmed.
const PEERS: usize = 1 << 20;
/// Streams of draws of their own, apart from those of trees, profile and calibration.
const STREAM: usize = usize::MAX - 16;

/// Share of the rows that may not be benign, and its treatment.
///
/// The detector is fitted, the most anomalous `fraction` of the training rows is left out, and it
/// is fitted again, `rounds` times. The held-out rows are trimmed by the same fraction.
///
/// That has a price. Conformal p-values (Bates et al. 2023) want held-out rows that are
/// exchangeable with benign ones to come. Trimmed ones are not: what was left out may have been
/// benign. With a share `c` trimmed, a benign row has p ≤ α with a probability of up to
/// α (1 − c) + c instead of α. The report says so, and so does the model file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contamination {
    /// The share of rows left out at most, above 0 and at most 0.5.
    pub fraction: f64,
    /// Unit that is left out together.
    pub by: TrimBy,
    /// Times the detector is fitted again, 1 to 5.
    pub rounds: u32,
}

/// Unit that is left out together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrimBy {
    /// Single rows, by their score.
    Rows,
    /// All rows of a peer, by the mean of their scores: an attacker's rows are not all odd, and a
    /// benign peer has an odd row now and then.
    ///
    /// Measured on the peer rows of `training-data/mixed.pcap.zst` (29 % of attacks, trained on as
    /// if nobody knew, a quarter trimmed): the forest's AUROC is 0.66 untrimmed, 0.70 trimmed by
    /// rows and 0.90 by peers; 0.99 without the attacks. It does not help where attackers are so
    /// many and so alike that they score below benign rows.
    #[default]
    Peers,
}

impl TrimBy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Peers => "peers",
        }
    }
}

impl Contamination {
    /// Trims this fraction, in two rounds, by peers.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        Self { fraction, by: TrimBy::default(), rounds: 2 }
    }

    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        if !(self.fraction > 0.0 && self.fraction <= 0.5) {
            return Err(TrainingError::Parameter {
                name: "contamination",
                bounds: "above 0 and at most 0.5",
                got: self.fraction.to_string(),
            });
        }
        if !(1..=5).contains(&self.rounds) {
            return Err(TrainingError::Parameter {
                name: "rounds",
                bounds: "between 1 and 5",
                got: self.rounds.to_string(),
            });
        }
        Ok(())
    }

    /// Finds what of a part is to be left out, in one pass.
    pub(crate) fn find(
        &self,
        row_filter: &RowFilter<'_>,
        part: Part,
        scorer: &Scorer,
        seed: u64,
    ) -> Result<Trim, TrainingError> {
        match self.by {
            TrimBy::Rows => self.find_rows(row_filter, part, scorer, seed),
            TrimBy::Peers => self.find_peers(row_filter, part, scorer),
        }
    }

    fn find_rows(
        &self,
        row_filter: &RowFilter<'_>,
        part: Part,
        scorer: &Scorer,
        seed: u64,
    ) -> Result<Trim, TrainingError> {
        let mut sample = RowSample::new(SCORES, 1, seed, STREAM);
        row_filter.pass(part, &Trim::Nothing, &mut |kept| {
            sample.extend(&score(scorer, kept.inputs));
            Ok(())
        })?;
        let mut ascending = sample.into_rows();
        ascending.sort_unstable_by(f32::total_cmp);
        let left_out = self.share_of(ascending.len());
        let above = ascending.get(ascending.len().saturating_sub(left_out + 1)).copied();
        Ok(Trim::Rows { scorer: Box::new(scorer.clone()), above: above.unwrap_or(f32::MAX) })
    }

    fn find_peers(
        &self,
        row_filter: &RowFilter<'_>,
        part: Part,
        scorer: &Scorer,
    ) -> Result<Trim, TrainingError> {
        let mut sums: HashMap<IpAddr, (f64, usize)> = HashMap::new();
        let mut rows = 0;
        row_filter.pass(part, &Trim::Nothing, &mut |kept| {
            if kept.peers.is_empty() {
                return Err(TrainingError::NoPeers);
            }
            for (peer, score) in kept.peers.iter().zip(score(scorer, kept.inputs)) {
                rows += 1;
                if sums.len() < PEERS || sums.contains_key(peer) {
                    let (sum, count) = sums.entry(*peer).or_default();
                    *sum += f64::from(score);
                    *count += 1;
                }
            }
            Ok(())
        })?;
        let mut means: Vec<(f64, usize, IpAddr)> =
            sums.into_iter().map(|(peer, (sum, n))| (sum / n as f64, n, peer)).collect();
        means.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
        let mut budget = self.share_of(rows);
        let mut left_out = HashSet::new();
        for (_, count, peer) in means {
            // Not those after one that does not fit: it would stay, and they be taken for it.
            if count <= budget {
                budget -= count;
                left_out.insert(peer);
            } else {
                break;
            }
        }
        Ok(Trim::Peers(left_out))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count, at most half of it"
    )]
    fn share_of(&self, rows: usize) -> usize {
        (rows as f64 * self.fraction).floor() as usize
    }
}
