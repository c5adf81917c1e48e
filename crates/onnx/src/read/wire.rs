//! A look at the file's wire format before it is decoded: how much memory it would take.
//!
//! Follows the messages of `onnx.proto3` that a scorer can consist of, and no deeper: subgraphs
//! (control flow) and functions are refused here, so that nothing recurses.

use std::mem::size_of;

use prost::encoding::{WireType, decode_key, decode_varint};

use super::limits;
use crate::errors::OnnxError;
use crate::pb;

/// Messages that are looked into.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// Any other: type, shape, metadata entry. Its fields are weighed as messages.
    Other,
}

/// Content of a field.
enum Field {
    Message(Message, usize),
    /// Text, bytes or packed numbers: bytes in memory for each byte in the file.
    Run(usize),
    Refused(&'static str, &'static str),
}

const FUNCTIONS: &str = "inline them with `onnx.inliner.inline_local_functions`";
const SUBGRAPHS: &str = "export the scoring path alone, without loops and branches";
const SPARSE: &str = "export it with dense tensors";

/// An entry of a repeated field of text, its allocation included.
const TEXT: usize = 40;

#[derive(Default)]
struct Weight {
    bytes: usize,
    graph_nodes: usize,
    tensors: usize,
}

/// Refuses files that are too large, too deep, or would take too much memory when decoded.
pub(super) fn check(file: &[u8]) -> Result<(), OnnxError> {
    at_most("bytes", file.len(), limits::FILE_BYTES)?;
    weigh(file, Message::Model, 0, &mut Weight::default())
}

pub(crate) fn at_most(what: &'static str, got: usize, max: usize) -> Result<(), OnnxError> {
    if got > max { Err(OnnxError::TooLarge { what, got, max }) } else { Ok(()) }
}

/// Levels of messages: model, graph, node, attribute, tensor; types go no deeper.
const DEPTH: usize = 12;

fn weigh(
    mut bytes: &[u8],
    message: Message,
    depth: usize,
    weight: &mut Weight,
) -> Result<(), OnnxError> {
    if depth > DEPTH {
        return Err(OnnxError::TooLarge {
            what: "levels of nested messages",
            got: depth,
            max: DEPTH,
        });
    }
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).map_err(malformed)?;
        match wire {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(malformed)?;
                weight.bytes += size_of::<u64>();
            }
            WireType::SixtyFourBit => weight.bytes += skip(&mut bytes, 8)?.len(),
            WireType::ThirtyTwoBit => weight.bytes += skip(&mut bytes, 4)?.len(),
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(malformed)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let inside = skip(&mut bytes, length)?;
                weigh_field(inside, message, tag, depth, weight)?;
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(OnnxError::Malformed { what: "it holds a protobuf group".into() });
            }
        }
        at_most("bytes once decoded", weight.bytes, limits::DECODED_BYTES)?;
    }
    Ok(())
}

fn weigh_field(
    inside: &[u8],
    message: Message,
    tag: u32,
    depth: usize,
    weight: &mut Weight,
) -> Result<(), OnnxError> {
    match field(message, tag) {
        Field::Refused(what, way_out) => {
            Err(OnnxError::UnsupportedGraph { what: format!("the model has {what}"), way_out })
        }
        Field::Run(factor) => {
            weight.bytes += TEXT + inside.len() * factor;
            Ok(())
        }
        Field::Message(kind, size) => {
            weight.bytes += size;
            match kind {
                Message::Node => weight.graph_nodes += 1,
                Message::Tensor => weight.tensors += 1,
                _ => {}
            }
            at_most("graph nodes", weight.graph_nodes, limits::GRAPH_NODES)?;
            at_most("constants", weight.tensors, limits::TENSORS)?;
            weigh(inside, kind, depth + 1, weight)
        }
    }
}

fn field(message: Message, tag: u32) -> Field {
    use Message::{Attribute, Graph, Model, Node, Other, Tensor};
    match (message, tag) {
        (Model, 7) => Field::Message(Graph, size_of::<pb::GraphProto>()),
        (Model, 8) => Field::Message(Other, size_of::<pb::OperatorSetIdProto>()),
        (Model, 20) => Field::Refused("training graphs", "export it for inference"),
        (Model, 25) => Field::Refused("local functions", FUNCTIONS),
        (Graph, 1) => Field::Message(Node, size_of::<pb::NodeProto>()),
        (Graph, 5) | (Attribute, 5 | 10) => Field::Message(Tensor, size_of::<pb::TensorProto>()),
        (Graph, 11..=13) => Field::Message(Other, size_of::<pb::ValueInfoProto>()),
        (Graph, 15) | (Attribute, 22 | 23) => Field::Refused("sparse tensors", SPARSE),
        (Node, 5) => Field::Message(Attribute, size_of::<pb::AttributeProto>()),
        (Attribute, 6 | 11) => Field::Refused("subgraphs", SUBGRAPHS),
        // Packed integers of one byte each become eight.
        (Attribute, 8) | (Tensor, 1 | 5 | 7 | 11) => Field::Run(size_of::<i64>()),
        (Attribute, 14 | 15) => Field::Message(Other, size_of::<pb::TypeProto>()),
        (Model, 14) | (Tensor, 3 | 13) => {
            Field::Message(Other, size_of::<pb::StringStringEntryProto>())
        }
        // A field of another message may be text or a message again; text that happens to
        // look like one cannot be told apart, so both are weighed by their size alone.
        (Other, _) => Field::Run(OTHER_FACTOR),
        _ => Field::Run(1),
    }
}

/// The dearest of the small messages is an empty dimension of a shape: two bytes in the file.
const OTHER_FACTOR: usize = size_of::<pb::Dimension>() / 2 + 1;

fn skip<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], OnnxError> {
    let cut = || OnnxError::Malformed {
        what: format!("it ends {} bytes early", length.saturating_sub(bytes.len())),
    };
    let (inside, rest) = bytes.split_at_checked(length).ok_or_else(cut)?;
    *bytes = rest;
    Ok(inside)
}

pub(super) fn malformed(error: impl std::fmt::Display) -> OnnxError {
    OnnxError::Malformed { what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delimited(tag: u8, inside: &[u8]) -> Vec<u8> {
        let mut out = vec![tag << 3 | 2];
        prost::encoding::encode_varint(inside.len() as u64, &mut out);
        out.extend_from_slice(inside);
        out
    }

    #[test]
    fn a_bomb_of_empty_nodes_is_refused_before_it_is_decoded() {
        let graph = [0x0a, 0x00].repeat(limits::GRAPH_NODES + 1);
        let error = check(&delimited(7, &graph)).unwrap_err();
        let max = limits::GRAPH_NODES;
        assert_eq!(error, OnnxError::TooLarge { what: "graph nodes", got: max + 1, max });
    }

    #[test]
    fn a_bomb_of_empty_inputs_is_refused_before_it_is_decoded() {
        let graph =
            [0x5a, 0x00].repeat(limits::DECODED_BYTES / size_of::<pb::ValueInfoProto>() + 1);
        let error = check(&delimited(7, &graph)).unwrap_err();
        assert!(matches!(error, OnnxError::TooLarge { what: "bytes once decoded", .. }), "{error}");
    }

    #[test]
    fn a_subgraph_is_refused_by_name() {
        let attribute = delimited(6, &[]);
        let node = delimited(5, &attribute);
        let file = delimited(7, &delimited(1, &node));
        let error = check(&file).unwrap_err().to_string();
        assert!(error.starts_with("the model has subgraphs: "), "{error}");
    }

    #[test]
    fn a_cut_file_says_how_much_is_missing() {
        let mut file = delimited(7, &delimited(1, &[0; 9]));
        file.truncate(file.len() - 4);
        let error = check(&file).unwrap_err().to_string();
        assert!(error.contains("it ends 4 bytes early"), "{error}");
    }
}
