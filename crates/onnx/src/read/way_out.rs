//! Remedies for operators that are not read.

/// The nearest way to a model that is read, for a person who exports one.
pub(super) fn way_out(op: &str) -> &'static str {
    match op {
        "Normalizer" => "leave row-wise normalisation out of the pipeline, or scale each feature",
        "OneHotEncoder" | "CategoryMapper" | "LabelEncoder" | "DictVectorizer" => {
            "features are numbers here, export the model behind the encoder"
        }
        "SVMClassifier" | "SVMRegressor" => {
            "support vectors are not read, train an isolation forest or an autoencoder instead"
        }
        "LinearClassifier" | "LinearRegressor" => {
            "export it as a dense layer (Gemm), for instance from PyTorch"
        }
        "TreeEnsemble" => "export with target opset `ai.onnx.ml` 3",
        "Conv" | "LSTM" | "GRU" | "RNN" | "Attention" | "Scan" | "Loop" | "If" => {
            "a row is one peer or flow in one window, use a dense network or trees"
        }
        "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "Multinomial" | "Bernoulli" => {
            "scores must not depend on chance, export the mean of the latent distribution"
        }
        "Concat" | "FeatureVectorizer" => {
            "put one scaler over all features instead of several over some of them"
        }
        _ => "export the scoring path alone, from standard dense layers, scalers and trees",
    }
}
