//! `Model`: the part of an ONNX file that the native backend reads and specimens are written with, as protobuf messages.
//!
//! ```text
//! Model -> Graph -> Node (op_type, input names, output names, attributes)
//!                -> Tensor (constants, by name)
//!                -> Value (the graph's inputs and outputs)
//! ```
//!
//! Field numbers are those of `onnx.proto` (ONNX IR, <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>); fields
//! that are not listed are skipped. This is the only file that names the `prost` crate.

use prost::Message;

/// ONNX `TensorProto.DataType.FLOAT`.
pub(super) const FLOAT: i32 = 1;

/// ONNX `TensorProto.DataType.INT64`.
const INT64: i32 = 7;

/// The domain of ONNX-ML's operators.
const LEARNED: &str = "ai.onnx.ml";

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<Opset>,
}

/// `OperatorSetIdProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Opset {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<Value>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

/// `AttributeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, tag = "2")]
    pub(super) f: f32,
    #[prost(int64, tag = "3")]
    pub(super) i: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) s: Vec<u8>,
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub(super) floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) strings: Vec<Vec<u8>>,
    /// `AttributeProto.AttributeType`: 1 float, 2 int, 3 string, 6 floats, 7 ints, 8 strings.
    #[prost(int32, tag = "20")]
    pub(super) kind: i32,
}

/// `TensorProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(super) float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

/// `ValueInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) r#type: Option<Type>,
}

/// `TypeProto`; anything but a tensor reads as none.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorType>,
}

/// `TypeProto.Tensor`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorType {
    #[prost(int32, tag = "1")]
    pub(super) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`; a symbolic dimension reads as value 0.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Dimension {
    #[prost(int64, tag = "1")]
    pub(super) value: i64,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// What is wrong with the bytes, in the decoder's words.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Self::decode(bytes).map_err(|error| error.to_string())
    }

    /// A model of this graph, for operators as most exporters write them today.
    pub(super) fn of(graph: Graph) -> Self {
        let opset = |domain: &str, version| Opset { domain: domain.to_owned(), version };
        Self { ir_version: 8, graph: Some(graph), opset_import: vec![opset("", 17), opset(LEARNED, 3)] }
    }

    /// Its bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

impl Graph {
    /// A graph over a matrix called `features` (rows, columns; 0 is any). Of its outputs `label` is whole numbers, any other floats.
    pub(super) fn new(
        name: &str,
        node: Vec<Node>,
        (rows, columns): (usize, usize),
        outputs: &[&str],
    ) -> Self {
        let value = |name: &str, element, shape| Value {
            name: name.to_owned(),
            r#type: Some(Type { tensor: Some(TensorType { element, shape }) }),
        };
        let dim = [rows, columns].map(|value| Dimension { value: value as i64 }).to_vec();
        let element = |name: &str| if name == "label" { INT64 } else { FLOAT };
        Self {
            name: name.to_owned(),
            node,
            initializer: Vec::new(),
            input: vec![value("features", FLOAT, Some(Shape { dim }))],
            output: outputs.iter().map(|name| value(name, element(name), None)).collect(),
        }
    }
}

impl Attribute {
    /// An integer.
    #[cfg(test)]
    pub(super) fn int(name: &str, i: i64) -> Self {
        Self { name: name.to_owned(), i, kind: 2, ..Self::default() }
    }

    /// A list of floats.
    pub(super) fn floats(name: &str, floats: Vec<f32>) -> Self {
        Self { name: name.to_owned(), floats, kind: 6, ..Self::default() }
    }

    /// A list of integers.
    pub(super) fn ints(name: &str, ints: Vec<i64>) -> Self {
        Self { name: name.to_owned(), ints, kind: 7, ..Self::default() }
    }

    /// A list of texts.
    pub(super) fn texts(name: &str, strings: Vec<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), strings, kind: 8, ..Self::default() }
    }

    /// A text.
    pub(super) fn text(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), s: value.as_bytes().to_vec(), kind: 3, ..Self::default() }
    }
}

impl Node {
    /// An operator of ONNX-ML.
    pub(super) fn learned(operator: &str, input: &str, output: &[&str], attribute: Vec<Attribute>) -> Self {
        Self {
            input: vec![input.to_owned()],
            output: output.iter().map(|&name| name.to_owned()).collect(),
            op_type: operator.to_owned(),
            attribute,
            domain: LEARNED.to_owned(),
        }
    }

    /// An operator of ONNX itself, without attributes.
    pub(super) fn plain(operator: &str, input: &[&str], output: &str) -> Self {
        Self {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            op_type: operator.to_owned(),
            ..Self::default()
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer attribute, or its default.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// A text attribute, or its default; invalid UTF-8 reads as a replacement that no operator knows.
    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or_else(
            || default.to_owned(),
            |attribute| String::from_utf8_lossy(&attribute.s).into_owned(),
        )
    }

    /// A list of floats; empty if it is not there.
    pub(super) fn floats(&self, name: &str) -> &[f32] {
        self.attribute(name).map_or(&[], |attribute| &attribute.floats)
    }

    /// A list of integers; empty if it is not there.
    pub(super) fn ints(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |attribute| &attribute.ints)
    }

    /// A list of texts; empty if it is not there.
    pub(super) fn texts(&self, name: &str) -> &[Vec<u8>] {
        self.attribute(name).map_or(&[], |attribute| &attribute.strings)
    }
}

impl Tensor {
    /// A `FLOAT` tensor.
    pub(super) fn floats_of(name: &str, dims: &[usize], float_data: Vec<f32>) -> Self {
        let dims = dims.iter().map(|dim| *dim as i64).collect();
        Self { name: name.to_owned(), dims, data_type: FLOAT, float_data, raw_data: Vec::new() }
    }

    /// The values of a `FLOAT` tensor, however they are stored; `None` for another type or a wrong count.
    pub(super) fn floats(&self) -> Option<Vec<f32>> {
        let mut count = 1_usize;
        for dim in &self.dims {
            count = count.checked_mul(usize::try_from(*dim).ok()?)?;
        }
        let values = if self.raw_data.is_empty() {
            self.float_data.clone()
        } else {
            let chunks = self.raw_data.chunks_exact(4);
            if !chunks.remainder().is_empty() {
                return None;
            }
            chunks.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        };
        (self.data_type == FLOAT && values.len() == count).then_some(values)
    }
}
