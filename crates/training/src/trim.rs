//! Rows left out as possibly not benign.

use std::collections::HashSet;
use std::net::IpAddr;

use model::Scorer;

/// Rows left out of training.
#[derive(Debug)]
pub(crate) enum Trim {
    Nothing,
    Rows { scorer: Box<Scorer>, above: f32 },
    Peers(HashSet<IpAddr>),
}

impl Trim {
    /// Mask of the rows that stay; `None` where nothing is trimmed.
    pub(crate) fn among(
        &self,
        inputs: &[f32],
        peers: &[IpAddr],
        width: usize,
    ) -> Option<Vec<bool>> {
        match self {
            Self::Nothing => None,
            Self::Rows { scorer, above } => {
                debug_assert_eq!(scorer.n_features(), width);
                Some(score(scorer, inputs).into_iter().map(|score| score <= *above).collect())
            }
            Self::Peers(left_out) => {
                Some(peers.iter().map(|peer| !left_out.contains(peer)).collect())
            }
        }
    }
}

/// The scores of rows side by side.
pub(crate) fn score(scorer: &Scorer, inputs: &[f32]) -> Vec<f32> {
    let mut found = vec![0.0; inputs.len() / scorer.n_features()];
    scorer.score_rows(inputs, &mut found);
    found
}
