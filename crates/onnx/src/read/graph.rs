//! The graph's names: its one input, the output that is the score, and who makes what.

use std::collections::{HashMap, HashSet};

use super::attributes::Operator;
use super::limits;
use super::wire::at_most;
use crate::errors::OnnxError;
use crate::pb::{
    DataType, DimensionValue, GraphProto, NodeProto, TensorProto, TypeValue, ValueInfoProto,
};

pub(super) struct Graph<'a> {
    proto: &'a GraphProto,
    /// In the order of the file.
    pub(super) initializers: Vec<(&'a str, &'a TensorProto)>,
    producers: HashMap<&'a str, &'a NodeProto>,
    pub(super) input: &'a str,
    pub(super) n_features: usize,
}

/// The output that the score is made from.
pub(super) struct Output {
    pub(super) name: String,
    /// The graph gives labels too.
    pub(super) is_classifier: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn of(proto: &'a GraphProto) -> Result<Self, OnnxError> {
        let mut producers = HashMap::new();
        for node in &proto.node {
            for name in node.input.iter().chain(&node.output) {
                at_most("bytes in a name", name.len(), limits::NAME_BYTES)?;
            }
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if producers.insert(&**name, node).is_some() {
                    let op = Operator { proto: node };
                    return Err(op.invalid(format!("another node makes `{name}` as well")));
                }
            }
        }
        let initializers: Vec<(&str, &TensorProto)> =
            proto.initializer.iter().map(|tensor| (&*tensor.name, tensor)).collect();
        let constants: HashSet<&str> = initializers.iter().map(|(name, _)| *name).collect();
        let mut inputs = proto.input.iter().filter(|input| !constants.contains(&*input.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            let n = proto.input.iter().filter(|input| !constants.contains(&*input.name)).count();
            return Err(OnnxError::UnsupportedGraph {
                what: format!("the model has {n} inputs"),
                way_out: "export it with one float32 input of shape [None, n_features]",
            });
        };
        let n_features = width(input)?;
        Ok(Self { proto, initializers, producers, input: &input.name, n_features })
    }

    /// The node that makes a name which [`behind`](Self::behind) has followed.
    pub(super) fn producer(&self, name: &str) -> &'a NodeProto {
        self.producers[name]
    }

    /// Of the outputs that hold numbers, the one that is the score: `score_samples` before
    /// probabilities before any other.
    pub(super) fn output(&self) -> Result<Output, OnnxError> {
        let is_label = |output: &&ValueInfoProto| {
            let Some(TypeValue::TensorType(tensor)) =
                output.r#type.as_ref().and_then(|t| t.value.as_ref())
            else {
                return false;
            };
            let kind = DataType::try_from(tensor.elem_type);
            matches!(kind, Ok(DataType::Int64 | DataType::Int32 | DataType::String))
        };
        let rank = |output: &&ValueInfoProto| {
            let name = output.name.to_lowercase();
            if name.contains("score_samples") {
                0
            } else if name.contains("prob") {
                1
            } else {
                2
            }
        };
        let numbers = self.proto.output.iter().filter(|output| !is_label(output));
        let Some(output) = numbers.min_by_key(rank) else {
            return Err(OnnxError::UnsupportedGraph {
                what: "the model gives no numbers, only labels".into(),
                way_out: "export its scores or probabilities as well",
            });
        };
        let is_classifier = self.proto.output.iter().any(|output| is_label(&output));
        Ok(Output { name: output.name.clone(), is_classifier })
    }

    /// The nodes that `output` depends on, each after those it depends on itself.
    pub(super) fn behind(&self, output: &str) -> Result<Vec<&'a NodeProto>, OnnxError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Entered,
            Left,
        }
        let Some(last) = self.producers.get(output) else {
            return Err(OnnxError::UnsupportedGraph {
                what: format!("no node makes the output `{output}`"),
                way_out: "export the model together with its last step",
            });
        };
        let mut order = Vec::new();
        let mut seen: HashMap<*const NodeProto, Seen> = HashMap::new();
        let mut ahead: Vec<&'a NodeProto> = vec![last];
        while let Some(node) = ahead.last().copied() {
            match seen.get(&std::ptr::from_ref(node)) {
                None => {
                    seen.insert(node, Seen::Entered);
                    for name in &node.input {
                        let Some(before) = self.producers.get(&**name) else { continue };
                        match seen.get(&std::ptr::from_ref(*before)) {
                            None => ahead.push(before),
                            Some(Seen::Entered) => {
                                let op = Operator { proto: node };
                                return Err(op.invalid("it depends on its own output"));
                            }
                            Some(Seen::Left) => {}
                        }
                    }
                }
                Some(Seen::Entered) => {
                    seen.insert(node, Seen::Left);
                    order.push(node);
                    ahead.pop();
                }
                Some(Seen::Left) => {
                    ahead.pop();
                }
            }
        }
        Ok(order)
    }

    /// Error for an input `name` that `op` does not get.
    pub(super) fn missing(&self, op: Operator<'_>, name: &str) -> OnnxError {
        let what = if let Some((_, tensor)) = self.initializers.iter().find(|(n, _)| *n == name) {
            let kind = DataType::name(tensor.data_type).unwrap_or("?".into());
            format!("its constant `{name}` is {kind}, constants must be float32, int32 or int64")
        } else if let Some(node) = self.producers.get(name) {
            let maker = Operator { proto: node };
            let node = maker.name();
            format!(
                "it reads `{name}`, a second output of node `{node}`, where only the first is known"
            )
        } else {
            format!("nothing makes its input `{name}`")
        };
        op.invalid(what)
    }
}

/// The width of a `[n, width]` input of floats.
fn width(input: &ValueInfoProto) -> Result<usize, OnnxError> {
    let refuse = |what: String| OnnxError::UnsupportedGraph {
        what,
        way_out: "export it with one float32 input of shape [None, n_features]",
    };
    let name = &input.name;
    let Some(TypeValue::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(refuse(format!("input `{name}` is no tensor")));
    };
    if tensor.elem_type != DataType::Float as i32 {
        let kind = DataType::name(tensor.elem_type).unwrap_or("of unknown type".into());
        return Err(refuse(format!("input `{name}` is {kind}")));
    }
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let [_, last] = dims else {
        return Err(refuse(format!("input `{name}` has {} dimensions", dims.len())));
    };
    let Some(DimensionValue::DimValue(width)) = last.value else {
        return Err(refuse(format!("input `{name}` does not say how many features a row has")));
    };
    let width = usize::try_from(width).ok().filter(|width| *width > 0);
    let width = width.ok_or_else(|| refuse(format!("rows of input `{name}` hold nothing")))?;
    at_most("features", width, limits::FEATURES)?;
    Ok(width)
}
