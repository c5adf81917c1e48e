//! Dense networks, run by tract.

mod proto;
mod shape;

use std::fmt;
use std::sync::Arc;

use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{
    Framework, InferenceModelExt, IntoRunnable, IntoTValue, RunnableModel, TypedFact, TypedModel,
    TypedOp, tvec,
};
use tract_onnx::tract_hir::internal::Tensor;

use crate::errors::OnnxError;
use crate::read::Constant;

/// A part of a graph that is to run as a network.
pub(crate) struct Plan<'a> {
    /// Each after those it depends on.
    pub(crate) nodes: &'a [&'a NodeProto],
    pub(crate) constants: &'a [(&'a str, &'a Constant)],
    /// Names of the input: a node that changes nothing may have given it a second one.
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) output: &'a str,
    /// Columns of the input.
    pub(crate) width: usize,
    /// Version of the default operator set.
    pub(crate) opset: i64,
}

type Runnable = RunnableModel<TypedFact, Box<dyn TypedOp>>;

/// A network prepared for blocks of [`BLOCK`] and of [`FEW`] rows.
///
/// The last rows of a call share a block with zeros: each row is computed on its own, so its
/// result does not depend on its neighbours or on the size of the block. That is tried out when
/// the network is prepared.
#[derive(Clone)]
pub(crate) struct Network {
    many: Arc<Runnable>,
    few: Arc<Runnable>,
    width: usize,
    n_outputs: usize,
    /// Operators in the order they run, for a person.
    ops: Vec<String>,
}

/// Rows of one run.
pub(crate) const BLOCK: usize = 1_024;

/// Rows of a run where there are few: alerts are explained one by one.
const FEW: usize = 16;

impl Network {
    pub(crate) fn prepare(plan: &Plan<'_>) -> Result<Self, OnnxError> {
        let n_outputs = shape::check(plan, BLOCK)?;
        let few_outputs = shape::check(plan, FEW)?;
        if few_outputs != n_outputs {
            return Err(refused("its output's width depends on the number of rows"));
        }
        let network = Self {
            many: runnable(plan, BLOCK)?,
            few: runnable(plan, FEW)?,
            width: plan.width,
            n_outputs,
            ops: plan.nodes.iter().map(|node| node.op_type.clone()).collect(),
        };
        network.try_out()?;
        Ok(network)
    }

    /// Numbers per row.
    pub(crate) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    pub(crate) fn ops(&self) -> &[String] {
        &self.ops
    }

    pub(crate) fn ends_in_softmax(&self) -> bool {
        self.last_op() == Some("Softmax")
    }

    /// Whether its outputs are in [0, 1].
    pub(crate) fn ends_in_probability(&self) -> bool {
        matches!(self.last_op(), Some("Sigmoid" | "Softmax"))
    }

    /// The last operator that computes.
    fn last_op(&self) -> Option<&str> {
        let ops = self.ops.iter().map(String::as_str);
        ops.rev().find(|op| !matches!(*op, "ZipMap" | "Identity" | "Cast"))
    }

    /// Runs rows of `width` values into `outputs`, `n_outputs` for each. NaN where the network
    /// overflows, or gives none.
    pub(crate) fn run(&self, rows: &[f32], outputs: &mut Vec<f32>) {
        outputs.clear();
        for rows in rows.chunks(BLOCK * self.width) {
            let n = rows.len() / self.width;
            let (runnable, block) = if n <= FEW { (&self.few, FEW) } else { (&self.many, BLOCK) };
            let wanted = outputs.len() + n * self.n_outputs;
            if let Ok(given) = run_block(runnable, block, rows, self.width) {
                outputs.extend_from_slice(&given[..(n * self.n_outputs).min(given.len())]);
            }
            outputs.resize(wanted, f32::NAN);
        }
    }

    /// Runs blocks that agree in their first row, and checks that the results do.
    fn try_out(&self) -> Result<(), OnnxError> {
        let first = || (0..self.width).map(|at| 0.25 - (at % 7) as f32 / 16.0);
        let mut seen: Option<Vec<u32>> = None;
        for (runnable, block, others) in
            [(&self.many, BLOCK, 0.0), (&self.many, BLOCK, 1.5), (&self.few, FEW, -0.5)]
        {
            let mut rows = vec![others; block * self.width];
            rows.iter_mut().zip(first()).for_each(|(value, first)| *value = first);
            let outputs = run_block(runnable, block, &rows, self.width).map_err(refused)?;
            if outputs.len() != block * self.n_outputs {
                return Err(refused("its output has another shape than its operators say"));
            }
            let bits: Vec<u32> = outputs[..self.n_outputs].iter().map(|x| x.to_bits()).collect();
            if seen.get_or_insert_with(|| bits.clone()) != &bits {
                return Err(refused("a row's result depends on the rows beside it"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("width", &self.width)
            .field("n_outputs", &self.n_outputs)
            .field("ops", &self.ops)
            .finish_non_exhaustive()
    }
}

fn runnable(plan: &Plan<'_>, block: usize) -> Result<Arc<Runnable>, OnnxError> {
    let proto = proto::model(plan, block);
    let model: TypedModel = tract_onnx::onnx()
        .model_for_proto_model(&proto)
        .and_then(InferenceModelExt::into_optimized)
        .map_err(refused)?;
    model.into_runnable().map_err(refused)
}

fn run_block(
    runnable: &Arc<Runnable>,
    block: usize,
    rows: &[f32],
    width: usize,
) -> Result<Vec<f32>, String> {
    let mut padded = rows.to_vec();
    padded.resize(block * width, 0.0);
    let input = Tensor::from_shape(&[block, width], &padded).map_err(|error| said(&error))?;
    let outputs = runnable.run(tvec!(input.into_tvalue())).map_err(|error| said(&error))?;
    let output = outputs.first().ok_or("it gives nothing")?;
    let view = output.to_plain_array_view::<f32>().map_err(|error| said(&error))?;
    Ok(view.iter().copied().collect())
}

/// The innermost cause, on one line: what tract says around it names its own types.
fn said(error: &tract_onnx::prelude::TractError) -> String {
    let root = error.root_cause().to_string();
    root.lines().next().unwrap_or_default().chars().take(160).collect()
}

fn refused(what: impl Said) -> OnnxError {
    OnnxError::Network { what: what.text() }
}

trait Said {
    fn text(self) -> String;
}

impl Said for &str {
    fn text(self) -> String {
        self.into()
    }
}

impl Said for String {
    fn text(self) -> String {
        self
    }
}

impl Said for tract_onnx::prelude::TractError {
    fn text(self) -> String {
        said(&self)
    }
}
