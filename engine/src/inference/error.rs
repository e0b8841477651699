//! `InferenceError`: why the inference stage cannot be built. Every message names the agent, the model and the way out.

use crate::inference::manifest::Meaning;

/// Why the inference stage cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// An agent's settings contradict themselves or are out of range.
    #[error("agent {agent}: {key} = {value} {problem}")]
    Setting {
        /// Which agent.
        agent: String,
        /// Which key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it and what would be right.
        problem: &'static str,
    },
    /// A rule names a column that the feature vector does not have.
    #[error(
        "agent {agent}: its rule needs the column {column}, which is not among features.columns ({columns}); \
         add it there or name another one"
    )]
    Column {
        /// Which agent.
        agent: String,
        /// The column that is not there.
        column: String,
        /// The columns that are.
        columns: String,
    },
    /// A file of a model directory cannot be read.
    #[error(
        "agent {agent}: cannot read {path}: {source}; a model is a directory with model.onnx and manifest.json"
    )]
    Unreadable {
        /// Which agent.
        agent: String,
        /// Which file or directory.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No model with this name or hash is known.
    #[error("agent {agent}: no model {reference} in {searched}; {way_out}")]
    NotFound {
        /// Which agent.
        agent: String,
        /// What was asked for.
        reference: String,
        /// Where it was looked for.
        searched: String,
        /// What to do.
        way_out: &'static str,
    },
    /// The manifest is not one.
    #[error(
        "agent {agent}: {directory}/manifest.json: {problem}; train the model again or correct the manifest"
    )]
    Manifest {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What is wrong.
        problem: String,
    },
    /// The model is not the file that the manifest describes.
    #[error(
        "agent {agent}: {directory}/model.onnx has SHA-256 {found}, its manifest says {expected}; \
         one of the two files was replaced: put the pair back, or train the model again"
    )]
    Hash {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What the manifest says, in hexadecimal.
        expected: String,
        /// What the file has, in hexadecimal.
        found: String,
    },
    /// The model was trained on another feature vector.
    #[error("agent {0}")]
    Schema(Box<SchemaMismatch>),
    /// The model file is larger than the engine loads.
    #[error(
        "agent {agent}: {path} has {bytes} bytes, at most {bytes_max} are loaded; a model of this size is not \
         for the path of a tick: train a smaller one"
    )]
    Size {
        /// Which agent.
        agent: String,
        /// Which file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The model file is not a model, or not one the native backend can take, though it should.
    #[error("agent {agent}: {directory}/model.onnx: {problem}")]
    Model {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What is wrong and what to do.
        problem: ModelProblem,
    },
    /// ONNX Runtime is needed and is not there.
    #[error(
        "agent {agent}: {directory} needs ONNX Runtime ({reason}), and loading it from {path} failed: {problem}. \
         Install it with `python3 -m pip install onnxruntime` and set the environment variable ORT_DYLIB_PATH to \
         the library in that package (onnxruntime/capi/libonnxruntime.so.VERSION; on macOS \
         libonnxruntime.VERSION.dylib; on Windows onnxruntime.dll)"
    )]
    RuntimeMissing {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// Why the native backend does not do.
        reason: String,
        /// The path or library name tried.
        path: String,
        /// What the loader said.
        problem: String,
    },
    /// ONNX Runtime is there and refused the model.
    #[error("agent {agent}: ONNX Runtime refuses {directory}/model.onnx: {problem}; export the model again")]
    Runtime {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What ONNX Runtime said.
        problem: String,
    },
    /// The model's output is not what the manifest promises.
    #[error(
        "agent {agent}: {directory}: the manifest promises {} ({promised:?}), the model gives {found}; \
         correct `classes` in the manifest or export the model again", promised.len()
    )]
    Output {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What the manifest says.
        promised: Vec<Meaning>,
        /// What the model has.
        found: String,
    },
    /// The model takes another input than one row of the feature vector.
    #[error(
        "agent {agent}: {directory}: the model takes {found}, the engine gives one row of {columns} float columns; \
         export it with a single float input of shape [None, {columns}]"
    )]
    Input {
        /// Which agent.
        agent: String,
        /// Which model.
        directory: String,
        /// What the model takes.
        found: String,
        /// Columns of the feature vector.
        columns: usize,
    },
}

/// A model that was trained on another feature vector than the engine computes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{agent}: {directory} was trained on schema {model_hash:016x} (bars {model_bars}, {model_columns} columns), the \
     engine computes schema {engine_hash:016x} (bars {engine_bars}, {engine_columns} columns): {difference}; set \
     [features] to the model's bars and columns, or train the model on these"
)]
pub struct SchemaMismatch {
    /// Which agent.
    pub agent: String,
    /// Which model.
    pub directory: String,
    /// Hash of the model's schema.
    pub model_hash: u64,
    /// Bar interval of the model's schema.
    pub model_bars: String,
    /// Number of columns of the model's schema.
    pub model_columns: usize,
    /// Hash of the engine's schema.
    pub engine_hash: u64,
    /// Bar interval of the engine's schema.
    pub engine_bars: String,
    /// Number of columns of the engine's schema.
    pub engine_columns: usize,
    /// The columns that differ.
    pub difference: String,
}

/// What keeps a model file from the native backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelProblem {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model ({0}); export it again")]
    Malformed(String),
    /// A graph the native backend does not evaluate. ONNX Runtime may.
    #[error(
        "the native backend does not evaluate {0}; leave `backend` out or set it to \"onnxruntime\", or export a \
         tree ensemble or a linear model"
    )]
    Unsupported(String),
    /// The graph takes another input than one row of the feature vector.
    #[error("it takes {0}")]
    Input(String),
    /// The graph contradicts itself: no backend can evaluate it.
    #[error("the graph contradicts itself: {0}; export it again")]
    Invalid(String),
}
