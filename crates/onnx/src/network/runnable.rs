//! A network prepared in tract.

use std::fmt;
use std::sync::Arc;

use prost::Message;
use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, IntoTValue, RunnableModel, TractError, TypedFact,
    TypedModel, TypedOp, tvec,
};
use tract_onnx::tract_hir::internal::Tensor;

use super::{Plan, proto, refused};
use crate::errors::OnnxError;

#[derive(Clone)]
pub(super) struct Runnable(Arc<RunnableModel<TypedFact, Box<dyn TypedOp>>>);

impl Runnable {
    /// Optimises the plan for `block` rows.
    pub(super) fn prepare(plan: &Plan<'_>, block: usize) -> Result<Self, OnnxError> {
        let file = proto::model(plan, block).encode_to_vec();
        let model: TypedModel = tract_onnx::onnx()
            .model_for_read(&mut &*file)
            .and_then(InferenceModelExt::into_optimized)
            .map_err(|error| refused(said(&error)))?;
        Ok(Self(model.into_runnable().map_err(|error| refused(said(&error)))?))
    }

    /// Runs `rows` rows of `width` values, as many as it was prepared for.
    pub(super) fn run(
        &self,
        rows: usize,
        width: usize,
        values: &[f32],
    ) -> Result<Vec<f32>, String> {
        let input = Tensor::from_shape(&[rows, width], values).map_err(|error| said(&error))?;
        let outputs = self.0.run(tvec!(input.into_tvalue())).map_err(|error| said(&error))?;
        let output = outputs.first().ok_or("it gives nothing")?;
        let view = output.to_plain_array_view::<f32>().map_err(|error| said(&error))?;
        Ok(view.iter().copied().collect())
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runnable").finish_non_exhaustive()
    }
}

/// The innermost cause, on one line: what tract says around it names its own types.
fn said(error: &TractError) -> String {
    let root = error.root_cause().to_string();
    root.lines().next().unwrap_or_default().chars().take(160).collect()
}
