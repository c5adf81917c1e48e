//! ONNX in and out, on plain slices: tree ensembles, scalers and dense networks.
