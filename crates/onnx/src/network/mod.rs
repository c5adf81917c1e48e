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

/// A network prepared for blocks of [`BLOCK`] rows.
///
/// The last rows of a call share a block with zeros. Blocks of another size would be multiplied
/// in another order, and their results differ in the last bit: with one size, a dense layer's
/// result depends neither on a row's neighbours nor on how many there are. A reduction over
/// columns, Softmax included, may still differ in the last bit with the row's place in its block. That no more
/// than that depends on the neighbours is tried out when the network is prepared.
#[derive(Clone)]
pub(crate) struct Network {
    runnable: Arc<Runnable>,
    width: usize,
    n_outputs: usize,
    /// Operators in the order they run, for a person.
    ops: Vec<String>,
}

/// Rows of one run: few enough that a single row costs little.
pub(crate) const BLOCK: usize = 256;

/// By how much a row's results may differ with its place in a block, relative to them.
const SLACK: f32 = 1e-5;

impl Network {
    pub(crate) fn prepare(plan: &Plan<'_>) -> Result<Self, OnnxError> {
        let n_outputs = shape::check(plan, BLOCK)?;
        let network = Self {
            runnable: runnable(plan)?,
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
            let wanted = outputs.len() + n * self.n_outputs;
            if let Ok(given) = self.run_block(rows) {
                outputs.extend_from_slice(&given[..(n * self.n_outputs).min(given.len())]);
            }
            outputs.resize(wanted, f32::NAN);
        }
    }

    /// Runs blocks that hold the same row, at other places and beside other rows, and checks that
    /// the results agree.
    fn try_out(&self) -> Result<(), OnnxError> {
        let mut seen: Option<Vec<f32>> = None;
        for (at, others) in [(0, 0.0), (0, 1.5), (BLOCK - 1, -0.5), (BLOCK / 2 + 3, 0.0)] {
            let mut rows = vec![others; BLOCK * self.width];
            for (column, value) in rows[at * self.width..][..self.width].iter_mut().enumerate() {
                *value = 0.25 - (column % 7) as f32 / 16.0;
            }
            let outputs = self.run_block(&rows).map_err(refused)?;
            if outputs.len() != BLOCK * self.n_outputs {
                return Err(refused("its output has another shape than its operators say"));
            }
            let row = &outputs[at * self.n_outputs..][..self.n_outputs];
            let seen = seen.get_or_insert_with(|| row.to_vec());
            let alike = |(a, b): (&f32, &f32)| {
                (a - b).abs() <= SLACK * a.abs().max(1.0) || a.to_bits() == b.to_bits()
            };
            if !seen.iter().zip(row).all(alike) {
                return Err(refused("a row's result depends on the rows beside it"));
            }
        }
        Ok(())
    }

    /// Runs at most [`BLOCK`] rows, filled up with zeros.
    fn run_block(&self, rows: &[f32]) -> Result<Vec<f32>, String> {
        let mut padded = rows.to_vec();
        padded.resize(BLOCK * self.width, 0.0);
        let input =
            Tensor::from_shape(&[BLOCK, self.width], &padded).map_err(|error| said(&error))?;
        let outputs =
            self.runnable.run(tvec!(input.into_tvalue())).map_err(|error| said(&error))?;
        let output = outputs.first().ok_or("it gives nothing")?;
        let view = output.to_plain_array_view::<f32>().map_err(|error| said(&error))?;
        Ok(view.iter().copied().collect())
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

fn runnable(plan: &Plan<'_>) -> Result<Arc<Runnable>, OnnxError> {
    let proto = proto::model(plan, BLOCK);
    let model: TypedModel = tract_onnx::onnx()
        .model_for_proto_model(&proto)
        .and_then(InferenceModelExt::into_optimized)
        .map_err(refused)?;
    model.into_runnable().map_err(refused)
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
