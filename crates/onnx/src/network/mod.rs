//! Dense networks: checked here, run by tract where the crate is built with it.

#[cfg(not(feature = "networks"))]
mod absent;
#[cfg(feature = "networks")]
mod proto;
#[cfg(feature = "networks")]
mod runnable;
mod shape;

#[cfg(not(feature = "networks"))]
use absent::Runnable;
#[cfg(feature = "networks")]
use runnable::Runnable;

use crate::errors::OnnxError;
use crate::pb::NodeProto;
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

/// A network prepared for blocks of [`BLOCK`] rows.
///
/// The last rows of a call share a block with zeros. Blocks of another size would be multiplied
/// in another order, and their results differ in the last bit: with one size, a dense layer's
/// result depends neither on a row's neighbours nor on how many there are. A reduction over
/// columns, Softmax included, may still differ in the last bit with the row's place in its block. That no more
/// than that depends on the neighbours is tried out when the network is prepared.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    runnable: Runnable,
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
            runnable: Runnable::prepare(plan, BLOCK)?,
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

    /// True if its outputs are in [0, 1].
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
        self.runnable.run(BLOCK, self.width, &padded)
    }
}

fn refused(what: impl Into<String>) -> OnnxError {
    OnnxError::Network { what: what.into() }
}
