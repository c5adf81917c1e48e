//! A node's attributes, by name and type.

use crate::errors::OnnxError;
use crate::pb::{AttributeProto, NodeProto, TensorProto};

/// A node and what to call it in an error.
#[derive(Clone, Copy)]
pub(crate) struct Operator<'a> {
    pub(crate) proto: &'a NodeProto,
}

impl<'a> Operator<'a> {
    /// The node's name, or its first output's where it has none.
    pub(crate) fn name(self) -> &'a str {
        let output = self.proto.output.first().map_or("", String::as_str);
        if self.proto.name.is_empty() { output } else { &self.proto.name }
    }

    pub(crate) fn is_ml(self) -> bool {
        self.proto.domain == "ai.onnx.ml"
    }

    /// The operator's name within the default domain or `ai.onnx.ml`; none of another domain's.
    pub(crate) fn op(self) -> Option<&'a str> {
        let known = matches!(&*self.proto.domain, "" | "ai.onnx" | "ai.onnx.ml");
        known.then_some(&*self.proto.op_type)
    }

    /// The operator with its domain, where that is not the default one.
    pub(crate) fn full_op(self) -> String {
        if matches!(&*self.proto.domain, "" | "ai.onnx") {
            self.proto.op_type.clone()
        } else {
            format!("{}.{}", self.proto.domain, self.proto.op_type)
        }
    }

    pub(crate) fn invalid(self, what: impl Into<String>) -> OnnxError {
        OnnxError::InvalidNode { node: self.name().into(), what: what.into() }
    }

    pub(crate) fn unsupported(self, way_out: impl Into<String>) -> OnnxError {
        OnnxError::UnsupportedOperator {
            op: self.full_op(),
            node: self.name().into(),
            way_out: way_out.into(),
        }
    }

    pub(crate) fn attribute(self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn ints(self, name: &str) -> &'a [i64] {
        self.attribute(name).map_or(&[], |attribute| &attribute.ints)
    }

    pub(crate) fn floats(self, name: &str) -> &'a [f32] {
        self.attribute(name).map_or(&[], |attribute| &attribute.floats)
    }

    pub(crate) fn strings(self, name: &str) -> &'a [Vec<u8>] {
        self.attribute(name).map_or(&[], |attribute| &attribute.strings)
    }

    pub(crate) fn tensor(self, name: &str) -> Option<&'a TensorProto> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref())
    }

    pub(crate) fn int(self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(crate) fn float(self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// Text of a fixed set of words; anything that is not UTF-8 is none of them.
    pub(crate) fn text(self, name: &str, default: &'static str) -> &'a str {
        self.attribute(name)
            .map_or(default, |attribute| std::str::from_utf8(&attribute.s).unwrap_or("(not text)"))
    }
}
