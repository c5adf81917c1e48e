//! A part of a graph as a model of its own, for tract.

use super::Plan;
use crate::pb::{
    DataType, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorType, TypeProto, TypeValue, ValueInfoProto,
};
use crate::read::{Constant, Numbers};

/// The plan over `block` rows.
pub(super) fn model(plan: &Plan<'_>, block: usize) -> ModelProto {
    let dim =
        |size: usize| Dimension { value: i64::try_from(size).ok().map(DimensionValue::DimValue) };
    let input = ValueInfoProto {
        name: plan.inputs[0].into(),
        r#type: Some(TypeProto {
            value: Some(TypeValue::TensorType(TensorType {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto { dim: vec![dim(block), dim(plan.width)] }),
            })),
        }),
    };
    let output = ValueInfoProto { name: plan.output.into(), ..ValueInfoProto::default() };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: plan.opset }],
        graph: Some(GraphProto {
            node: plan.nodes.iter().map(|node| plain(node, &plan.inputs)).collect(),
            initializer: plan.constants.iter().map(|(name, value)| tensor(name, value)).collect(),
            input: vec![input],
            output: vec![output],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// The node with what it computes and nothing else. What only names or trains becomes an
/// identity, and outputs that nobody reads are left out.
fn plain(node: &NodeProto, inputs: &[&str]) -> NodeProto {
    let identity = matches!(&*node.op_type, "Dropout" | "Cast" | "Identity" | "ZipMap");
    let renamed = |name: &String| {
        if inputs.contains(&&**name) { inputs[0].into() } else { name.clone() }
    };
    let mut plain = NodeProto {
        input: node.input.iter().map(renamed).collect(),
        output: node.output.iter().take(1).cloned().collect(),
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        ..NodeProto::default()
    };
    if identity {
        plain.op_type = "Identity".into();
        plain.input.truncate(1);
    } else {
        plain.attribute.clone_from(&node.attribute);
    }
    plain
}

fn tensor(name: &str, constant: &Constant) -> TensorProto {
    let dims = constant.dims.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX));
    let mut tensor = TensorProto { name: name.into(), dims: dims.collect(), ..Default::default() };
    match &constant.numbers {
        Numbers::Float(values) => {
            tensor.data_type = DataType::Float as i32;
            tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        }
        Numbers::Whole(values) => {
            tensor.data_type = DataType::Int64 as i32;
            tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        }
    }
    tensor
}
