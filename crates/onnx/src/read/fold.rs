//! Works out the graph node by node: scalers into steps, what follows a tree into the values
//! of its leaves, what follows a sum of trees into a tail; the rest is left to a network.

use std::rc::Rc;

use super::arithmetic::{Unary, binary, unary};
use super::attributes::Operator;
use super::constant::{Constant, Numbers};
use super::ensemble;
use super::limits;
use super::value::{Leafwise, Planted, Rows, Scores, Value};
use super::way_out::way_out;
use super::wire::at_most;
use crate::errors::OnnxError;
use crate::rows::{MAX_STEPS, Step};
use crate::trees::Post;

/// `to` of `Cast`.
const FLOAT: i64 = 1;
const INT32: i64 = 6;
const INT64: i64 = 7;
const BOOL: i64 = 9;

/// The value of a node's first output.
pub(super) fn fold(op: Operator<'_>, inputs: &[Option<Value>]) -> Result<Value, OnnxError> {
    let Some(name) = op.op() else {
        return Err(op.unsupported("export it with operators of the default domain"));
    };
    if op.is_ml() {
        return ml(op, name, inputs);
    }
    let folded = match name {
        "Constant" => Some(constant(op)?),
        "Identity" | "Dropout" => Some(first(op, inputs)?.clone()),
        "Cast" => cast(op, first(op, inputs)?),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => reshape(op, name, inputs)?,
        "Gather" => gather(op, inputs, op.int("axis", 0))?,
        "Clip" => clip(op, inputs)?,
        "Sum" | "Max" | "Min" => variadic(op, name, inputs)?,
        _ => match (Unary::named(name), inputs) {
            (Some(function), [Some(value)]) => unary(op, function, value)?,
            (None, [Some(a), Some(b)]) => binary(op, name, a, b)?,
            _ => None,
        },
    };
    match folded {
        Some(value) => Ok(value),
        None => network(op, inputs),
    }
}

/// Leaves a node to the network, which cannot hold trees.
fn network(op: Operator<'_>, inputs: &[Option<Value>]) -> Result<Value, OnnxError> {
    let from_trees =
        |value: &Value| matches!(value, Value::Leafwise(_) | Value::Summed(_) | Value::Scores(_));
    if inputs.iter().flatten().any(from_trees) {
        return Err(op.unsupported(format!("behind trees, {}", way_out(&op.proto.op_type))));
    }
    Ok(Value::Network)
}

fn first<'a>(op: Operator<'_>, inputs: &'a [Option<Value>]) -> Result<&'a Value, OnnxError> {
    inputs.first().and_then(Option::as_ref).ok_or_else(|| op.invalid("its first input is missing"))
}

fn constant(op: Operator<'_>) -> Result<Value, OnnxError> {
    let constant = if let Some(tensor) = op.tensor("value") {
        Constant::read(tensor)?
    } else if op.attribute("value_float").is_some() {
        let numbers = Numbers::Float(vec![op.float("value_float", 0.0)]);
        Some(Constant { dims: Vec::new(), numbers })
    } else if op.attribute("value_int").is_some() {
        Some(Constant { dims: Vec::new(), numbers: Numbers::Whole(vec![op.int("value_int", 0)]) })
    } else if op.attribute("value_floats").is_some() {
        let values = op.floats("value_floats").to_vec();
        Some(Constant { dims: vec![values.len()], numbers: Numbers::Float(values) })
    } else if op.attribute("value_ints").is_some() {
        let values = op.ints("value_ints").to_vec();
        Some(Constant { dims: vec![values.len()], numbers: Numbers::Whole(values) })
    } else {
        None
    };
    constant
        .map(|constant| Value::Constant(Rc::new(constant)))
        .ok_or_else(|| op.unsupported("constants must be float32, int32 or int64"))
}

fn cast(op: Operator<'_>, value: &Value) -> Option<Value> {
    let to = op.int("to", 0);
    match value {
        Value::Leafwise(leafwise) => match to {
            FLOAT => Some(value.clone()),
            INT32 | INT64 => Some(Value::Leafwise(leafwise.map(f32::trunc))),
            BOOL => Some(Value::Leafwise(leafwise.map(|x| f32::from(u8::from(x != 0.0))))),
            _ => None,
        },
        _ if to == FLOAT => Some(value.clone()),
        _ => None,
    }
}

/// Changes of shape that leave one number, or one row, per row.
fn reshape(
    op: Operator<'_>,
    name: &str,
    inputs: &[Option<Value>],
) -> Result<Option<Value>, OnnxError> {
    let value = first(op, inputs)?;
    let keeps_row = |width: usize| match (name, inputs.get(1)) {
        ("Flatten", _) => op.int("axis", 1) == 1,
        ("Reshape", Some(Some(Value::Constant(shape)))) => {
            let width = i64::try_from(width).unwrap_or(i64::MAX);
            matches!(shape.whole(), Some([-1 | 0, last]) if *last == width)
        }
        _ => false,
    };
    Ok(match value {
        Value::Leafwise(_) | Value::Summed(_) => Some(value.clone()),
        Value::Scores(scores) if scores.ensemble.width == 1 => Some(value.clone()),
        Value::Scores(scores) if keeps_row(scores.ensemble.width) => Some(value.clone()),
        Value::Rows(rows) if keeps_row(rows.width()) => Some(value.clone()),
        _ => None,
    })
}

/// Constant columns of rows, or of a classifier's probabilities.
fn gather(
    op: Operator<'_>,
    inputs: &[Option<Value>],
    axis: i64,
) -> Result<Option<Value>, OnnxError> {
    let [Some(value), Some(Value::Constant(indices))] = inputs else { return Ok(None) };
    let (Some(indices), 1 | -1) = (indices.whole(), axis) else { return Ok(None) };
    let columns = |width: usize| {
        at_most("selected columns", indices.len(), limits::FEATURES)?;
        let column = |index: &i64| {
            let from_end = if *index < 0 { i64::try_from(width).unwrap_or(0) } else { 0 };
            u16::try_from(index + from_end)
                .ok()
                .filter(|column| usize::from(*column) < width)
                .ok_or_else(|| op.invalid(format!("column {index} of {width} is selected")))
        };
        indices.iter().map(column).collect::<Result<Vec<u16>, _>>()
    };
    match value {
        Value::Rows(rows) if !indices.is_empty() => {
            Ok(Some(Value::Rows(rows.select(&columns(rows.width())?))))
        }
        Value::Scores(scores) if scores.ensemble.width > 1 => {
            let [column] = *columns(scores.ensemble.width)? else { return Ok(None) };
            let mut scores = scores.clone();
            scores.ensemble.column = usize::from(column);
            Ok(Some(Value::Scores(scores)))
        }
        _ => Ok(None),
    }
}

fn clip(op: Operator<'_>, inputs: &[Option<Value>]) -> Result<Option<Value>, OnnxError> {
    // The bounds are attributes before opset 11, inputs from then on.
    let bound = |at: usize, name: &str, open: f32| match inputs.get(at) {
        Some(Some(Value::Constant(bound))) => bound.scalar(),
        Some(Some(_)) => None,
        _ => Some(op.float(name, open)),
    };
    let low = bound(1, "min", f32::NEG_INFINITY);
    let high = bound(2, "max", f32::INFINITY);
    let (Some(low), Some(high)) = (low, high) else { return Ok(None) };
    let between = |x: f32| {
        if x < low {
            low
        } else if x > high {
            high
        } else {
            x
        }
    };
    Ok(match first(op, inputs)? {
        Value::Rows(rows) => Some(stepped(rows, Step::Clip { low, high })?),
        Value::Leafwise(leafwise) => Some(Value::Leafwise(leafwise.map(between))),
        Value::Scores(scores) => {
            use crate::trees::Tail;
            let scores = (**scores).clone().then(Tail::AtLeast(f64::from(low)));
            Some(Value::Scores(Box::new(scores.then(Tail::AtMost(f64::from(high))))))
        }
        _ => None,
    })
}

/// `Sum`, `Max`, `Min`: of two or more, one after the other.
fn variadic(
    op: Operator<'_>,
    name: &str,
    inputs: &[Option<Value>],
) -> Result<Option<Value>, OnnxError> {
    let name = if name == "Sum" { "Add" } else { name };
    let mut all = inputs.iter().flatten();
    let Some(mut joined) = all.next().cloned() else {
        return Err(op.invalid("it has no inputs"));
    };
    for value in all {
        match binary(op, name, &joined, value)? {
            Some(value) => joined = value,
            None => return Ok(None),
        }
    }
    Ok(Some(joined))
}

pub(super) fn stepped(rows: &Rows, step: Step) -> Result<Value, OnnxError> {
    at_most("steps before the model", rows.steps.list.len() + 1, MAX_STEPS)?;
    Ok(Value::Rows(rows.then(step)))
}

/// Operators of `ai.onnx.ml`.
fn ml(op: Operator<'_>, name: &str, inputs: &[Option<Value>]) -> Result<Value, OnnxError> {
    let value = first(op, inputs)?;
    match (name, value) {
        ("Scaler", Value::Rows(rows)) => {
            let per_column = |name: &str, default: f32| match op.floats(name) {
                [] => Ok(vec![default; rows.width()]),
                [one] => Ok(vec![*one; rows.width()]),
                many if many.len() == rows.width() => Ok(many.to_vec()),
                many => Err(op.invalid(format!("{} values in `{name}`", many.len()))),
            };
            let (offset, scale) = (per_column("offset", 0.0)?, per_column("scale", 1.0)?);
            stepped(rows, Step::Scale { offset, scale })
        }
        ("Imputer", Value::Rows(rows)) => {
            let with = match op.floats("imputed_value_floats") {
                [one] => vec![*one; rows.width()],
                many if many.len() == rows.width() => many.to_vec(),
                many => return Err(op.invalid(format!("{} imputed values", many.len()))),
            };
            stepped(rows, Step::Impute { missing: op.float("replaced_value_float", 0.0), with })
        }
        ("ArrayFeatureExtractor", _) => {
            gather(op, inputs, 1)?.ok_or_else(|| op.unsupported(way_out(name)))
        }
        ("TreeEnsembleRegressor" | "TreeEnsembleClassifier", Value::Rows(rows)) => {
            ensemble_of(op, rows)
        }
        ("LabelEncoder", Value::Leafwise(leafwise)) => label(op, leafwise),
        // Names the columns; the numbers stay.
        ("ZipMap", Value::Scores(_) | Value::Summed(_) | Value::Leafwise(_) | Value::Network) => {
            Ok(value.clone())
        }
        _ => Err(op.unsupported(way_out(name))),
    }
}

fn ensemble_of(op: Operator<'_>, rows: &Rows) -> Result<Value, OnnxError> {
    let read = ensemble::read(op, rows.width())?;
    let mut ensemble = read.ensemble;
    if let Some(columns) = &rows.columns {
        ensemble.trees.select(columns);
    }
    let steps = Rc::clone(&rows.steps);
    let lone = ensemble.trees.n_trees() == 1 && ensemble.width == 1;
    if lone && ensemble.post == Post::None && !read.is_classifier && read.hits.is_none() {
        let base = ensemble.base[0];
        let value = |value: &f32| crate::trees::narrow(f64::from(*value) + base);
        let values = ensemble.values.iter().map(value).collect();
        let tree = Rc::new(Planted { steps, trees: ensemble.trees });
        return Ok(Value::Leafwise(Leafwise { tree, values }));
    }
    let (hits, is_classifier) = (read.hits, read.is_classifier);
    Ok(Value::Scores(Box::new(Scores { steps, ensemble, hits, is_classifier })))
}

/// Looks each leaf's number up in a table.
fn label(op: Operator<'_>, leafwise: &Leafwise) -> Result<Value, OnnxError> {
    let whole = |name: &str| op.ints(name).iter().map(|key| *key as f32).collect::<Vec<f32>>();
    let keys = [whole("keys_int64s"), op.floats("keys_floats").to_vec()].concat();
    let values = [whole("values_int64s"), op.floats("values_floats").to_vec()].concat();
    if keys.len() != values.len() || keys.is_empty() {
        return Err(op.unsupported(way_out("LabelEncoder")));
    }
    let default = if op.ints("values_int64s").is_empty() {
        op.float("default_float", -0.0)
    } else {
        op.int("default_int64", -1) as f32
    };
    let table: std::collections::HashMap<u32, f32> =
        keys.iter().map(|key| key.to_bits()).zip(values).collect();
    let look_up = |key: f32| table.get(&(key + 0.0).to_bits()).copied().unwrap_or(default);
    Ok(Value::Leafwise(leafwise.map(look_up)))
}
