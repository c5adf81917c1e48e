//! The engine of a build without one: it refuses every network by name.

use std::convert::Infallible;

use super::Plan;
use crate::errors::OnnxError;

#[derive(Clone, Debug)]
pub(super) struct Runnable(Infallible);

impl Runnable {
    pub(super) fn prepare(plan: &Plan<'_>, block: usize) -> Result<Self, OnnxError> {
        // The arguments that an engine would take.
        let _ = (plan.opset, block);
        Err(OnnxError::NoEngine)
    }

    pub(super) fn run(
        &self,
        _rows: usize,
        _width: usize,
        _values: &[f32],
    ) -> Result<Vec<f32>, String> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use crate::OnnxModel;
    use crate::errors::OnnxError;

    #[test]
    fn a_network_is_refused_by_name_and_a_forest_is_read() {
        let network = include_bytes!("../../tests/fixtures/written_autoencoder.onnx");
        assert_eq!(OnnxModel::from_bytes(network).err(), Some(OnnxError::NoEngine));
        let forest = include_bytes!("../../tests/fixtures/written_forest.onnx");
        assert!(OnnxModel::from_bytes(forest).is_ok());
    }
}
