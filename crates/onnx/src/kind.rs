use std::fmt;

/// Kind that an ONNX model was recognised as, and with it the meaning of its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnnxKind {
    /// Path lengths turned into 2^(−E\[h\] / c): scores are in (0, 1\], scikit-learn's
    /// `-score_samples`, whichever of `scores` and `score_samples` the graph gives.
    IsolationForest,
    /// A sum, mean, least or greatest of trees: the score is the graph's own number.
    TreeRegressor,
    /// Trees that vote for classes: the score is the last class's probability.
    TreeClassifier,
    /// A dense network as wide at its end as at its beginning: the score is the mean squared
    /// difference between its input, after the scaler where it has one, and its output.
    Autoencoder,
    /// Any other dense network: the score is its last output.
    Network,
}

impl fmt::Display for OnnxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IsolationForest => "isolation forest",
            Self::TreeRegressor => "tree regressor",
            Self::TreeClassifier => "tree classifier",
            Self::Autoencoder => "autoencoder",
            Self::Network => "network",
        })
    }
}
