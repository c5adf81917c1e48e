//! Constants of the graph: initializers and `Constant` nodes.

use super::limits;
use super::wire::at_most;
use crate::errors::OnnxError;
use crate::pb::{DataLocation, DataType, TensorProto};

/// A constant of numbers. Whole numbers are kept apart, an index must not be rounded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) numbers: Numbers,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Float(Vec<f32>),
    Whole(Vec<i64>),
}

impl Constant {
    /// Reads a tensor; none of text, booleans or other numbers than 32-bit floats and whole ones.
    pub(crate) fn read(proto: &TensorProto) -> Result<Option<Self>, OnnxError> {
        let dims = dims(proto)?;
        let count: usize = dims.iter().product();
        let numbers = match DataType::try_from(proto.data_type) {
            Ok(DataType::Float) => {
                Numbers::Float(elements(proto, count, &proto.float_data, f32::from_le_bytes)?)
            }
            Ok(DataType::Int64) => {
                Numbers::Whole(elements(proto, count, &proto.int64_data, i64::from_le_bytes)?)
            }
            Ok(DataType::Int32) => {
                let narrow = elements(proto, count, &proto.int32_data, i32::from_le_bytes)?;
                Numbers::Whole(narrow.into_iter().map(i64::from).collect())
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { dims, numbers }))
    }

    pub(crate) fn floats(&self) -> Option<&[f32]> {
        match &self.numbers {
            Numbers::Float(values) => Some(values),
            Numbers::Whole(_) => None,
        }
    }

    pub(crate) fn whole(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Whole(values) => Some(values),
            Numbers::Float(_) => None,
        }
    }

    /// The one number it holds, as an operand of floats.
    pub(crate) fn scalar(&self) -> Option<f32> {
        match &self.numbers {
            Numbers::Float(values) => <[f32; 1]>::try_from(&**values).ok().map(|[value]| value),
            Numbers::Whole(_) => None,
        }
    }

    /// The values that meet the columns of `[n, width]`: one for all, or one each.
    pub(crate) fn per_column(&self, width: usize) -> Option<Vec<f32>> {
        let values = self.floats()?;
        let flat = self.dims.iter().rev().skip(1).all(|dim| *dim == 1) && self.dims.len() <= 2;
        match values.len() {
            1 if flat => Some(vec![values[0]; width]),
            n if n == width && flat => Some(values.to_vec()),
            _ => None,
        }
    }
}

/// The dimensions, their product bounded.
fn dims(proto: &TensorProto) -> Result<Vec<usize>, OnnxError> {
    at_most("dimensions of a constant", proto.dims.len(), limits::TENSOR_RANK)?;
    let mut count = 1_usize;
    let mut dims = Vec::with_capacity(proto.dims.len());
    for dim in &proto.dims {
        let dim = usize::try_from(*dim)
            .map_err(|_| invalid(proto, format!("one of its dimensions is {dim}")))?;
        count = count.saturating_mul(dim);
        at_most("values in one constant", count, limits::TENSOR_ELEMENTS)?;
        at_most("values along one dimension", dim, limits::TENSOR_ELEMENTS)?;
        dims.push(dim);
    }
    Ok(dims)
}

fn elements<T: Copy, const N: usize>(
    proto: &TensorProto,
    count: usize,
    typed: &[T],
    from_bytes: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, OnnxError> {
    let external = proto.data_location == Some(DataLocation::External as i32);
    if external || !proto.external_data.is_empty() {
        return Err(invalid(proto, "its values are in another file".into()));
    }
    let (chunks, rest) = proto.raw_data.as_chunks::<N>();
    let raw = chunks.len() == count && rest.is_empty() && typed.is_empty();
    match (raw, typed.len() == count && proto.raw_data.is_empty()) {
        (true, _) => Ok(chunks.iter().map(|chunk| from_bytes(*chunk)).collect()),
        (_, true) => Ok(typed.to_vec()),
        _ => {
            let got = typed.len().max(chunks.len());
            Err(invalid(proto, format!("it holds {got} values, its dimensions say {count}")))
        }
    }
}

fn invalid(proto: &TensorProto, what: String) -> OnnxError {
    OnnxError::InvalidTensor { name: proto.name.clone(), what }
}
