//! Graphs as protobuf: the few shapes of node that the writers need.

use prost::Message;

use super::Facts;
use crate::errors::WriteError;
use crate::pb::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionValue, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorType, TypeProto, TypeValue, ValueInfoProto,
};
use crate::read::FEATURE_NAMES;

/// IR version that goes with operator set 17.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const ML_OPSET: i64 = 3;

/// Domain of trees.
pub(super) const ML: &str = "ai.onnx.ml";

/// Name of the input of every written model.
pub(super) const INPUT: &str = "rows";

/// A graph under construction; each node reads the one before it.
pub(super) struct Chain {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    last: String,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), tensors: Vec::new(), last: INPUT.into() }
    }

    /// Adds a node whose inputs are the last node and `others`.
    pub(super) fn then(
        &mut self,
        domain: &str,
        op: &str,
        others: &[&str],
        attributes: Vec<AttributeProto>,
    ) {
        let inputs = [&*self.last].into_iter().chain(others.iter().copied());
        self.node(domain, op, inputs.map(str::to_owned).collect(), attributes);
    }

    /// Adds a node with a constant before the last node.
    pub(super) fn then_after(&mut self, op: &str, constant: &str) {
        let inputs = vec![constant.to_owned(), self.last.clone()];
        self.node("", op, inputs, Vec::new());
    }

    fn node(&mut self, domain: &str, op: &str, input: Vec<String>, attribute: Vec<AttributeProto>) {
        let name = format!("{}_{}", op.to_lowercase(), self.nodes.len());
        self.last = format!("{name}_output");
        self.nodes.push(NodeProto {
            input,
            output: vec![self.last.clone()],
            name,
            op_type: op.into(),
            domain: domain.into(),
            attribute,
        });
    }

    pub(super) fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.tensors.push(TensorProto {
            name: name.into(),
            dims: dims.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect(),
            data_type: DataType::Float as i32,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
    }

    /// The finished file: `[n, n_features]` in, `[n, n_outputs]` out, named `output`.
    pub(super) fn finish(
        mut self,
        output: &str,
        n_features: usize,
        n_outputs: usize,
        facts: &Facts<'_>,
    ) -> Result<Vec<u8>, WriteError> {
        if let Some(last) = self.nodes.last_mut() {
            last.output = vec![output.into()];
        }
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
        let model = ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![opset("", OPSET), opset(ML, ML_OPSET)],
            producer_name: facts.producer.into(),
            producer_version: facts.producer_version.into(),
            doc_string: facts.summary.into(),
            graph: Some(GraphProto {
                name: output.into(),
                node: self.nodes,
                initializer: self.tensors,
                input: vec![matrix(INPUT, n_features)],
                output: vec![matrix(output, n_outputs)],
            }),
            metadata_props: metadata(n_features, facts)?,
        };
        Ok(model.encode_to_vec())
    }
}

fn metadata(
    n_features: usize,
    facts: &Facts<'_>,
) -> Result<Vec<StringStringEntryProto>, WriteError> {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
    let mut entries = Vec::new();
    let names = facts.feature_names;
    if !names.is_empty() {
        if names.len() != n_features {
            let what = "feature names".into();
            return Err(WriteError::Shape { what, got: names.len(), expected: n_features });
        }
        if let Some(name) = names.iter().find(|name| name.contains(['\n', '\r'])) {
            return Err(WriteError::FeatureName { name: name.escape_debug().to_string() });
        }
        entries.push(entry(FEATURE_NAMES, names.join("\n")));
    }
    entries.extend(facts.metadata.iter().map(|(key, value)| entry(key, value.clone())));
    Ok(entries)
}

/// Any number of rows of floats.
fn matrix(name: &str, width: usize) -> ValueInfoProto {
    let dim = |value| Dimension { value: Some(value) };
    let width = DimensionValue::DimValue(i64::try_from(width).unwrap_or(i64::MAX));
    let shape = vec![dim(DimensionValue::DimParam("n".into())), dim(width)];
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto { dim: shape }),
            })),
        }),
    }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind as i32, ..AttributeProto::default() }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}

pub(super) fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto { s: text.into(), ..attribute(name, AttributeType::String) }
}

pub(super) fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}

pub(super) fn floats(name: &str, floats: Vec<f32>) -> AttributeProto {
    AttributeProto { floats, ..attribute(name, AttributeType::Floats) }
}

pub(super) fn texts(name: &str, texts: &[&str]) -> AttributeProto {
    let strings = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    AttributeProto { strings, ..attribute(name, AttributeType::Strings) }
}
