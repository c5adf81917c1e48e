//! Shapes of a dense network, worked out before tract sees it: what would mix rows, grow
//! without bound or is unknown is refused by name.

use std::collections::HashMap;

use super::Plan;
use crate::errors::OnnxError;
use crate::read::{Constant, Operator, at_most, limits};

type Shape = Vec<usize>;

/// Refuses what cannot run over `block` rows. Returns the numbers per row of the output.
pub(super) fn check(plan: &Plan<'_>, block: usize) -> Result<usize, OnnxError> {
    let mut shapes: HashMap<&str, Shape> = HashMap::new();
    for (name, constant) in plan.constants {
        shapes.insert(*name, constant.dims.clone());
    }
    for input in &plan.inputs {
        shapes.insert(*input, vec![block, plan.width]);
    }
    let constants: HashMap<&str, &Constant> = plan.constants.iter().copied().collect();
    let (mut values, mut products) = (0_usize, 0_usize);
    for node in plan.nodes {
        let op = Operator { proto: node };
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            let shape = shapes.get(&**name);
            if shape.is_none() && !name.is_empty() {
                return Err(op.invalid(format!("nothing makes its input `{name}`")));
            }
            inputs.push(
                shape.map(|shape| Operand { shape, constant: constants.get(&**name).copied() }),
            );
        }
        let (shape, work) = shape_of(op, &inputs, block)?;
        let volume = shape.iter().fold(1_usize, |volume, dim| volume.saturating_mul(*dim));
        at_most("values in one result of the network", volume / block, limits::ROW_VALUES)?;
        values = values.saturating_add(volume / block);
        at_most("values in all results of the network", values, limits::NETWORK_VALUES)?;
        products = products.saturating_add(work);
        at_most("products for a row of the network", products, limits::NETWORK_PRODUCTS)?;
        if let Some(output) = node.output.first() {
            shapes.insert(output, shape);
        }
    }
    let shape = shapes.get(plan.output).map_or(&[][..], |shape| shape);
    match *shape {
        [rows] | [rows, 1] if rows == block => Ok(1),
        [rows, width] if rows == block && width > 0 => Ok(width),
        _ => Err(OnnxError::UnsupportedGraph {
            what: format!("output `{}` has the shape {shape:?} for {block} rows", plan.output),
            way_out: "export an output of shape [None, width]",
        }),
    }
}

struct Operand<'a> {
    shape: &'a Shape,
    constant: Option<&'a Constant>,
}

/// The shape of a node's first output, and its products for one row.
fn shape_of(
    op: Operator<'_>,
    inputs: &[Option<Operand<'_>>],
    block: usize,
) -> Result<(Shape, usize), OnnxError> {
    let name = op.op().unwrap_or_default();
    let Some(Some(first)) = inputs.first() else {
        return Err(op.invalid("its first input is missing"));
    };
    let second = inputs.get(1).and_then(Option::as_ref);
    let same = || Ok((first.shape.clone(), 0));
    match name {
        "Relu" | "LeakyRelu" | "Elu" | "Selu" | "Sigmoid" | "HardSigmoid" | "Tanh" | "Softplus"
        | "Softsign" | "Gelu" | "Erf" | "Identity" | "Dropout" | "Cast" | "ZipMap" | "Neg"
        | "Abs" | "Exp" | "Log" | "Sqrt" | "Reciprocal" => same(),
        "Clip" if inputs.iter().skip(1).flatten().all(|bound| is_number(bound)) => same(),
        "Softmax" | "LogSoftmax" if is_last(op, op.int("axis", -1), first.shape) => same(),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" | "PRelu" => {
            let mut shape = first.shape.clone();
            for other in inputs.iter().skip(1).flatten() {
                shape = broadcast(op, &shape, other.shape)?;
            }
            Ok((shape, 0))
        }
        "MatMul" | "Gemm" => product(op, first, second, inputs.get(2).and_then(Option::as_ref)),
        "BatchNormalization" => {
            let per_column =
                |other: &Operand<'_>| other.shape.len() == 1 && other.shape[0] == first.shape[1];
            let fits =
                first.shape.len() == 2 && inputs.len() == 5 && op.int("training_mode", 0) == 0;
            if fits
                && inputs.iter().skip(1).flatten().filter(|other| per_column(other)).count() == 4
            {
                same()
            } else {
                Err(op.invalid("its scales do not fit its input"))
            }
        }
        "Concat" => concatenation(op, inputs),
        "Flatten" if op.int("axis", 1) == 1 && first.shape.len() == 2 => same(),
        "Reshape" => reshaped(op, first, second, block),
        "Transpose" if first.constant.is_some() && first.shape.len() == 2 => {
            match op.ints("perm") {
                [] | [1, 0] => Ok((vec![first.shape[1], first.shape[0]], 0)),
                _ => same(),
            }
        }
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL2" | "ReduceL1"
        | "ReduceSumSquare" => reduced(op, first, second),
        "Squeeze" if first.shape.len() == 2 && first.shape[1] == 1 => match axes(op, second) {
            Some([1 | -1]) => Ok((vec![first.shape[0]], 0)),
            _ => Err(op.unsupported("squeeze the second axis alone")),
        },
        "Unsqueeze" if first.shape.len() == 1 => match axes(op, second) {
            Some([1 | -1]) => Ok((vec![first.shape[0], 1], 0)),
            _ => Err(op.unsupported("unsqueeze the second axis alone")),
        },
        _ => Err(op.unsupported(
            "use dense layers (Gemm, MatMul), activations, and operators that keep rows apart",
        )),
    }
}

fn is_number(operand: &Operand<'_>) -> bool {
    operand.constant.and_then(Constant::scalar).is_some()
}

fn is_last(op: Operator<'_>, axis: i64, shape: &Shape) -> bool {
    // Before opset 13 the default is 1: the same for two dimensions.
    let axis = if op.attribute("axis").is_none() { -1 } else { axis };
    shape.len() == 2 && matches!(axis, 1 | -1)
}

fn broadcast(op: Operator<'_>, a: &Shape, b: &Shape) -> Result<Shape, OnnxError> {
    let rank = a.len().max(b.len());
    let dim =
        |shape: &Shape, at: usize| (at + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|at| match (dim(a, at), dim(b, at)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            (a, b) => Err(op.invalid(format!("its inputs differ, {a} and {b}"))),
        })
        .collect()
}

fn product(
    op: Operator<'_>,
    first: &Operand<'_>,
    second: Option<&Operand<'_>>,
    bias: Option<&Operand<'_>>,
) -> Result<(Shape, usize), OnnxError> {
    let gemm = op.proto.op_type == "Gemm";
    let weights = second.ok_or_else(|| op.invalid("its weights are missing"))?;
    let transposed = gemm && op.int("transB", 0) != 0;
    let ([rows, inner], [a, b]) = (&**first.shape, &**weights.shape) else {
        return Err(op.unsupported("use matrices of two dimensions"));
    };
    if gemm && op.int("transA", 0) != 0 {
        return Err(op.unsupported("do not transpose its first input"));
    }
    let (expected, outer) = if transposed { (b, a) } else { (a, b) };
    if inner != expected {
        return Err(op.invalid(format!("its input has {inner} columns, its weights {expected}")));
    }
    let shape = vec![*rows, *outer];
    if let Some(bias) = bias
        && broadcast(op, &shape, bias.shape)? != shape
    {
        return Err(op.invalid("its bias is wider than its output"));
    }
    let work = inner.saturating_mul(*outer);
    Ok((shape, work))
}

fn concatenation(
    op: Operator<'_>,
    inputs: &[Option<Operand<'_>>],
) -> Result<(Shape, usize), OnnxError> {
    let mut width = 0_usize;
    let mut rows = None;
    for input in inputs {
        let Some(Operand { shape, .. }) = input else {
            return Err(op.invalid("an input is missing"));
        };
        let [n, columns] = &***shape else {
            return Err(op.unsupported("concatenate matrices of two dimensions"));
        };
        if !matches!(op.int("axis", 0), 1 | -1) || *rows.get_or_insert(*n) != *n {
            return Err(op.unsupported("concatenate columns (axis 1)"));
        }
        width = width.saturating_add(*columns);
    }
    Ok((vec![rows.unwrap_or(0), width], 0))
}

fn reshaped(
    op: Operator<'_>,
    first: &Operand<'_>,
    shape: Option<&Operand<'_>>,
    block: usize,
) -> Result<(Shape, usize), OnnxError> {
    let volume: usize = first.shape.iter().product();
    let wanted = shape.and_then(|shape| shape.constant).and_then(Constant::whole);
    let width = volume / block;
    let last = i64::try_from(width).unwrap_or(i64::MAX);
    let is_row_wise = first.shape.first() == Some(&block);
    match wanted {
        Some([-1 | 0, n])
            if is_row_wise && (*n == last || (*n == -1 && wanted != Some(&[-1, -1]))) =>
        {
            Ok((vec![block, width], 0))
        }
        Some([-1]) if is_row_wise && width == 1 => Ok((vec![block], 0)),
        _ => Err(op.unsupported("reshape to [-1, width] alone")),
    }
}

/// The axes of a reduction or squeeze: an attribute before opset 13 or 18, an input from then on.
fn axes<'a>(op: Operator<'a>, second: Option<&Operand<'a>>) -> Option<&'a [i64]> {
    match second {
        Some(operand) => operand.constant.and_then(Constant::whole),
        None => op.attribute("axes").map(|attribute| &*attribute.ints),
    }
}

fn reduced(
    op: Operator<'_>,
    first: &Operand<'_>,
    second: Option<&Operand<'_>>,
) -> Result<(Shape, usize), OnnxError> {
    let (2, Some([1 | -1])) = (first.shape.len(), axes(op, second)) else {
        return Err(op.unsupported("reduce the columns (axis 1) alone"));
    };
    let rows = first.shape[0];
    Ok((if op.int("keepdims", 1) == 0 { vec![rows] } else { vec![rows, 1] }, 0))
}
