//! `OrtModel`: any other model, through ONNX Runtime.
//!
//! The library is loaded when the first model needs it, from `ORT_DYLIB_PATH` or else by the system's name for it. One
//! environment serves the process, without telemetry; a session runs on the calling thread (one intra-op thread, graph
//! nodes in sequence). This is the only file that names the `ort` crate.
//!
//! ONNX Runtime does not promise the same bits on every processor, and a call allocates inside it: both are why the
//! native backend is the default and why predictions are journaled.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynMapValueType, Tensor, TensorElementType, ValueType};
use pawl_journal::record::CLASSES_MAX;

/// Environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Why ONNX Runtime does not run a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrtProblem {
    /// The library cannot be loaded.
    Missing {
        /// The path or library name tried.
        path: String,
        /// What the loader said.
        problem: String,
    },
    /// The model takes something else than one row.
    Input(String),
    /// The model gives something else than up to four numbers.
    Output(String),
    /// ONNX Runtime refused the model or a row.
    Refused(String),
}

/// A model that ONNX Runtime evaluates.
#[derive(Debug)]
pub struct OrtModel {
    session: Session,
    input: Tensor<f32>,
    output: usize,
    outputs: usize,
}

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

fn library() -> PathBuf {
    let system = || format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::env::var_os(LIBRARY_VARIABLE)
        .filter(|path| !path.is_empty())
        .map_or_else(|| system().into(), PathBuf::from)
}

fn environment() -> Result<Environment, OrtProblem> {
    let mut shared = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = shared.as_ref() {
        return Ok(environment.clone());
    }
    let path = library();
    let missing = |problem: String| OrtProblem::Missing { path: path.display().to_string(), problem };
    let builder = ort::init_from(&path).map_err(|error| missing(error.to_string()))?;
    let environment = builder
        .with_name("pawl")
        .with_telemetry(false)
        .build()
        .map_err(|error| missing(error.to_string()))?;
    Ok(shared.insert(environment).clone())
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn refused<R>(error: ort::Error<R>) -> OrtProblem {
    OrtProblem::Refused(error.to_string())
}

impl OrtModel {
    /// Loads a model over rows of `columns` columns from the bytes of an ONNX file, and runs it once.
    ///
    /// # Errors
    /// [`OrtProblem`]: the library is missing, the model is refused, or it takes or gives something else.
    pub fn from_onnx(bytes: &[u8], columns: usize) -> Result<Self, OrtProblem> {
        let environment = environment()?;
        let session = Session::builder(&environment)
            .map_err(refused)?
            .with_intra_threads(1)
            .map_err(refused)?
            .with_inter_threads(1)
            .map_err(refused)?
            .with_parallel_execution(false)
            .map_err(refused)?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(refused)?
            .commit_from_memory(bytes)
            .map_err(refused)?;
        let shape = input_shape(&session, columns)?;
        let input = Tensor::from_array((shape, vec![0.0_f32; columns])).map_err(refused)?;
        let output = answer(&session)?;
        let mut model = Self { session, input, output, outputs: CLASSES_MAX };
        (_, model.outputs) = model.run(&vec![0.0; columns])?;
        Ok(model)
    }

    /// How many numbers the answer has.
    #[must_use]
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// The answer for one row: class probabilities in the model's order, or the regression's value first.
    ///
    /// # Errors
    /// [`OrtProblem::Refused`] if ONNX Runtime fails, [`OrtProblem::Output`] if the answer changes its shape.
    pub fn score(&mut self, row: &[f32]) -> Result<[f32; CLASSES_MAX], OrtProblem> {
        let outputs = self.outputs;
        let (scores, found) = self.run(row)?;
        if found == outputs { Ok(scores) } else { Err(OrtProblem::Output(format!("{found} numbers"))) }
    }

    fn run(&mut self, row: &[f32]) -> Result<([f32; CLASSES_MAX], usize), OrtProblem> {
        self.input.extract_tensor_mut().1.copy_from_slice(row);
        let answers = self.session.run([(&self.input).into()]).map_err(refused)?;
        let answer = &answers[self.output];
        let mut scores = [0.0; CLASSES_MAX];
        let too_many =
            |count| OrtProblem::Output(format!("{count} numbers (1 to {CLASSES_MAX} are possible)"));
        if let ValueType::Sequence(_) = answer.dtype() {
            // ZipMap: one map from class to probability for the one row.
            let maps = answer.try_extract_sequence::<DynMapValueType>().map_err(refused)?;
            let map = maps.first().ok_or_else(|| OrtProblem::Output("an empty sequence".to_owned()))?;
            let mut pairs = map.try_extract_key_values::<i64, f32>().map_err(refused)?;
            pairs.sort_unstable_by_key(|(class, _)| *class);
            if pairs.is_empty() || pairs.len() > CLASSES_MAX {
                return Err(too_many(pairs.len()));
            }
            scores.iter_mut().zip(&pairs).for_each(|(score, (_, value))| *score = *value);
            return Ok((scores, pairs.len()));
        }
        let (_, values) = answer.try_extract_tensor::<f32>().map_err(refused)?;
        if values.is_empty() || values.len() > CLASSES_MAX {
            return Err(too_many(values.len()));
        }
        scores[..values.len()].copy_from_slice(values);
        Ok((scores, values.len()))
    }
}

/// The shape in which the model takes one row.
fn input_shape(session: &Session, columns: usize) -> Result<Vec<i64>, OrtProblem> {
    let [input] = session.inputs() else {
        return Err(OrtProblem::Input(format!("{} inputs", session.inputs().len())));
    };
    let found = || OrtProblem::Input(format!("{} as `{}`", input.dtype(), input.name()));
    let ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } = input.dtype() else {
        return Err(found());
    };
    let columns = columns as i64;
    // A shape that the model leaves out has no dimensions here.
    let Some((last, before)) = shape.split_last() else { return Ok(vec![1, columns]) };
    if ![-1, columns].contains(last) || before.iter().any(|dim| ![-1, 1].contains(dim)) {
        return Err(found());
    }
    Ok(before.iter().map(|_| 1).chain([columns]).collect())
}

/// Which output is the answer: the first tensor of floats, or the sequence of maps that `ZipMap` gives.
fn answer(session: &Session) -> Result<usize, OrtProblem> {
    let outputs = session.outputs();
    let is_answer = |kind: &ValueType| match kind {
        ValueType::Tensor { ty, .. } => *ty == TensorElementType::Float32,
        ValueType::Sequence(of) => matches!(
            **of,
            ValueType::Map { key: TensorElementType::Int64, value: TensorElementType::Float32 }
        ),
        _ => false,
    };
    outputs.iter().position(|output| is_answer(output.dtype())).ok_or_else(|| {
        let kinds: Vec<String> = outputs.iter().map(|output| output.dtype().to_string()).collect();
        OrtProblem::Output(format!("no probabilities ({})", kinds.join(", ")))
    })
}
