//! Elementwise operators over values that are known as far as their leaves.

use super::attributes::Operator;
use super::fold::stepped;
use super::limits;
use super::value::{Leafwise, Rows, Scores, Summed, Value};
use super::way_out::way_out;
use super::wire::at_most;
use crate::errors::OnnxError;
use crate::rows::{Map, Step};
use crate::trees::Tail;

/// Functions of one value.
#[derive(Clone, Copy)]
pub(super) enum Unary {
    Map(Map),
    Sigmoid,
    Tanh,
    Not,
}

impl Unary {
    pub(super) fn named(op: &str) -> Option<Self> {
        Some(match op {
            "Abs" => Self::Map(Map::Abs),
            "Exp" => Self::Map(Map::Exp),
            "Log" => Self::Map(Map::Log),
            "Neg" => Self::Map(Map::Negate),
            "Sqrt" => Self::Map(Map::Sqrt),
            "Sigmoid" => Self::Sigmoid,
            "Tanh" => Self::Tanh,
            "Not" => Self::Not,
            _ => return None,
        })
    }

    fn of(self, x: f32) -> f32 {
        match self {
            Self::Map(map) => map.of(x),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Not => truth(x == 0.0),
        }
    }

    fn tail(self) -> Option<Tail> {
        Some(match self {
            Self::Map(Map::Abs) => Tail::Abs,
            Self::Map(Map::Exp) => Tail::Exp,
            Self::Map(Map::Log) => Tail::Log,
            Self::Map(Map::Negate) => Tail::Negate,
            Self::Map(Map::Sqrt) => Tail::Sqrt,
            Self::Sigmoid => Tail::Logistic,
            Self::Tanh => Tail::Tanh,
            Self::Not => return None,
        })
    }
}

fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

pub(super) fn unary(
    op: Operator<'_>,
    function: Unary,
    value: &Value,
) -> Result<Option<Value>, OnnxError> {
    Ok(match (value, function) {
        (Value::Leafwise(leafwise), _) => Some(Value::Leafwise(leafwise.map(|x| function.of(x)))),
        (Value::Rows(rows), Unary::Map(map)) => Some(stepped(rows, Step::Map(map))?),
        (Value::Summed(_) | Value::Scores(_), _) => match function.tail() {
            Some(tail) => Some(scores(op, value)?.with(tail)),
            None => None,
        },
        _ => None,
    })
}

impl Scores {
    fn with(self, tail: Tail) -> Value {
        Value::Scores(Box::new(self.then(tail)))
    }
}

/// The ensemble behind a value.
pub(super) fn scores(op: Operator<'_>, value: &Value) -> Result<Scores, OnnxError> {
    const ROWS: &str = "all trees must read the same columns behind the same scaler";
    match value {
        Value::Leafwise(term) => Summed::of(term.clone()).into_scores(),
        Value::Summed(summed) => summed.clone().into_scores(),
        Value::Scores(scores) => Some((**scores).clone()),
        _ => None,
    }
    .ok_or_else(|| op.unsupported(ROWS))
}

/// The function that an operator of two inputs computes of two numbers.
#[expect(clippy::float_cmp, reason = "ONNX's Equal compares exactly")]
fn of_two(op: &str) -> Option<fn(f32, f32) -> f32> {
    Some(match op {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Max" => f32::max,
        "Min" => f32::min,
        "Equal" => |a, b| truth(a == b),
        "Greater" => |a, b| truth(a > b),
        "GreaterOrEqual" => |a, b| truth(a >= b),
        "Less" => |a, b| truth(a < b),
        "LessOrEqual" => |a, b| truth(a <= b),
        "And" => |a, b| truth(a != 0.0 && b != 0.0),
        "Or" => |a, b| truth(a != 0.0 || b != 0.0),
        _ => return None,
    })
}

/// An operator of two inputs; none where it is left to a network.
pub(super) fn binary(
    op: Operator<'_>,
    name: &str,
    a: &Value,
    b: &Value,
) -> Result<Option<Value>, OnnxError> {
    let Some(function) = of_two(name) else { return Ok(None) };
    Ok(match (a, b) {
        (Value::Leafwise(leaves), Value::Constant(c)) => {
            c.scalar().map(|c| Value::Leafwise(leaves.map(|x| function(x, c))))
        }
        (Value::Constant(c), Value::Leafwise(leaves)) => {
            c.scalar().map(|c| Value::Leafwise(leaves.map(|x| function(c, x))))
        }
        (Value::Leafwise(a), Value::Leafwise(b)) if a.same_tree(b) => {
            Some(Value::Leafwise(a.zip(b, function)))
        }
        (Value::Rows(rows), Value::Constant(c)) => match c.per_column(rows.width()) {
            Some(c) => step(name, rows, c, false)?,
            None => None,
        },
        (Value::Constant(c), Value::Rows(rows)) => match c.per_column(rows.width()) {
            Some(c) => step(name, rows, c, true)?,
            None => None,
        },
        (Value::Leafwise(_) | Value::Summed(_), Value::Leafwise(_) | Value::Summed(_)) => {
            sum(op, name, a, b)?
        }
        (Value::Summed(_) | Value::Scores(_), Value::Constant(c)) => match c.scalar() {
            Some(c) => Some(tail(op, name, a, f64::from(c), false)?),
            None => None,
        },
        (Value::Constant(c), Value::Summed(_) | Value::Scores(_)) => match c.scalar() {
            Some(c) => Some(tail(op, name, b, f64::from(c), true)?),
            None => None,
        },
        _ => None,
    })
}

/// Rows with a constant per column, which stands first where `constant_first`.
fn step(
    name: &str,
    rows: &Rows,
    c: Vec<f32>,
    constant_first: bool,
) -> Result<Option<Value>, OnnxError> {
    let step = match (name, constant_first) {
        ("Add", _) => Step::Add(c),
        ("Mul", _) => Step::Multiply(c),
        ("Sub", false) => Step::Subtract(c),
        ("Sub", true) => Step::SubtractFrom(c),
        ("Div", false) => Step::Divide(c),
        _ => return Ok(None),
    };
    Ok(Some(stepped(rows, step)?))
}

/// Sums and differences over trees.
fn sum(op: Operator<'_>, name: &str, a: &Value, b: &Value) -> Result<Option<Value>, OnnxError> {
    let sign = match name {
        "Add" => 1.0,
        "Sub" => -1.0,
        _ => return Err(op.unsupported(format!("between trees, {}", way_out(name)))),
    };
    let summed = |value: &Value| match value {
        Value::Summed(summed) => Some(summed.clone()),
        Value::Leafwise(term) => Some(Summed::of(term.clone())),
        _ => None,
    };
    let (Some(mut joined), Some(other)) = (summed(a), summed(b)) else { return Ok(None) };
    let signed = |term: &Leafwise| if sign < 0.0 { term.map(|x| -x) } else { term.clone() };
    at_most("trees", joined.terms.len() + other.terms.len(), limits::TREES)?;
    joined.terms.extend(other.terms.iter().map(signed));
    joined.constant += sign * other.constant;
    Ok(Some(Value::Summed(joined)))
}

/// An operator with a number, which stands first where `constant_first`.
fn tail(
    op: Operator<'_>,
    name: &str,
    value: &Value,
    c: f64,
    constant_first: bool,
) -> Result<Value, OnnxError> {
    if let (Value::Summed(summed), "Add") = (value, name) {
        let mut summed = summed.clone();
        summed.constant += c;
        return Ok(Value::Summed(summed));
    }
    let tail = match (name, constant_first) {
        ("Add", _) => Tail::Add(c),
        ("Sub", false) => Tail::Add(-c),
        ("Sub", true) => Tail::SubtractFrom(c),
        ("Mul", _) => Tail::Multiply(c),
        ("Div", false) => Tail::Divide(c),
        ("Div", true) => Tail::DivideInto(c),
        ("Pow", false) => Tail::Power(c),
        ("Pow", true) => Tail::PowerOf(c),
        ("Max", _) => Tail::AtLeast(c),
        ("Min", _) => Tail::AtMost(c),
        _ => return Err(op.unsupported(format!("behind trees, {}", way_out(name)))),
    };
    let scores = scores(op, value)?;
    at_most("operators behind the trees", scores.ensemble.tail.len() + 1, limits::TAIL)?;
    Ok(scores.with(tail))
}
