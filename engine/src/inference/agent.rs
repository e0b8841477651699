//! `Agent`: who scores a vector: a model, a rule over columns, or what a journal recorded of a model.

use pawl_journal::record::{CLASSES_MAX, Vote};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::error::{InferenceError, ModelProblem, SchemaMismatch};
use super::manifest::{Manifest, Meaning};
use super::native::NativeModel;
use super::ort::{OrtModel, OrtProblem};
use super::store::{HASH_PREFIX, ModelFiles, Models, sha256};
use super::{AgentSettings, RuleSettings, Trigger};
use crate::quantity::Span;

/// What evaluates a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The engine itself: tree ensembles and linear models, the same bits on every machine.
    Native,
    /// ONNX Runtime, loaded from a shared library.
    OnnxRuntime,
}

/// The engine's feature vector, as models are checked against it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vector<'a> {
    pub(super) columns: &'a [String],
    pub(super) hash: u64,
    pub(super) bars: &'a str,
}

/// Who scores a vector.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) trigger: Trigger,
    pub(super) weight: f32,
    pub(super) threshold: f32,
    pub(super) max_age: Span,
    pub(super) model_hash: u64,
    pub(super) scorer: Scorer,
    /// Of a loaded model.
    pub(super) model: Option<ModelDescription>,
}

/// What gives an agent its score.
#[derive(Debug)]
pub(super) enum Scorer {
    /// +1 while column `fast` is above column `slow`, -1 while it is below.
    Rule { fast: usize, slow: usize },
    /// A model evaluated here.
    Model(Box<Evaluator>, Classes),
    /// A model whose predictions a journal holds.
    Recorded,
}

/// A model evaluated here.
#[derive(Debug)]
pub(super) enum Evaluator {
    Native(NativeModel),
    OnnxRuntime(OrtModel),
}

/// Where in a model's answer the directions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Classes {
    Probabilities { count: u16, up: usize, down: usize },
    Score,
}

/// What one scoring says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answer {
    pub(super) probabilities: [f32; CLASSES_MAX],
    pub(super) classes: u16,
    pub(super) score: f32,
}

/// A loaded model, for people and for the description of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDescription {
    /// The agent that uses it.
    pub agent: String,
    /// Its directory, or `builtin:` and its name.
    pub directory: String,
    /// Its name, as the manifest has it.
    pub name: String,
    /// Its version, as the manifest has it.
    pub version: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// What evaluates it.
    pub backend: Backend,
    /// What its outputs mean, in order.
    pub classes: Vec<Meaning>,
}

impl Agent {
    /// An agent with its model loaded and checked, or with its rule.
    pub(super) fn load(
        settings: &AgentSettings,
        vector: Vector<'_>,
        models: &Models,
    ) -> Result<Self, InferenceError> {
        match (&settings.model, &settings.rule) {
            (Some(reference), None) => {
                let files = models.open(&settings.name, reference)?;
                Loader { agent: &settings.name, files: &files, vector }.load(settings)
            }
            (None, Some(rule)) => Self::with_rule(settings, rule, vector),
            _ => Err(not_one_source(settings)),
        }
    }

    /// An agent whose model's predictions come from a journal, or with its rule.
    pub(super) fn recorded(settings: &AgentSettings, vector: Vector<'_>) -> Result<Self, InferenceError> {
        match (&settings.model, &settings.rule) {
            (Some(reference), None) => {
                let prefix = reference.strip_prefix(HASH_PREFIX).and_then(|hash| hash.get(..16));
                let hash = prefix.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                let model_hash = hash.ok_or_else(|| {
                    setting(
                        settings,
                        "model",
                        reference,
                        "must be `sha256:` and a hash, as a journal writes it",
                    )
                })?;
                let threshold = settings.threshold.unwrap_or(0.0);
                Ok(Self::new(settings, threshold, model_hash, Scorer::Recorded, None))
            }
            (None, Some(rule)) => Self::with_rule(settings, rule, vector),
            _ => Err(not_one_source(settings)),
        }
    }

    fn with_rule(
        settings: &AgentSettings,
        rule: &RuleSettings,
        vector: Vector<'_>,
    ) -> Result<Self, InferenceError> {
        let place = |name: &String| {
            vector.columns.iter().position(|column| column == name).ok_or_else(|| InferenceError::Column {
                agent: settings.name.clone(),
                column: name.clone(),
                columns: vector.columns.join(", "),
            })
        };
        let scorer = Scorer::Rule { fast: place(&rule.fast)?, slow: place(&rule.slow)? };
        let hash = xxh3_64(format!("{} crosses {}", rule.fast, rule.slow).as_bytes());
        Ok(Self::new(settings, settings.threshold.unwrap_or(0.0), hash, scorer, None))
    }

    fn new(
        settings: &AgentSettings,
        threshold: f32,
        model_hash: u64,
        scorer: Scorer,
        model: Option<ModelDescription>,
    ) -> Self {
        Self {
            name: settings.name.clone(),
            trigger: settings.on,
            weight: settings.weight,
            threshold,
            max_age: settings.max_age,
            model_hash,
            scorer,
            model,
        }
    }

    /// Scores a vector; nothing if the model has no finite answer. `last` is the agent's score before this one.
    pub(super) fn score(&mut self, row: &[f32], last: f32) -> Option<Answer> {
        match &mut self.scorer {
            Scorer::Rule { fast, slow } => {
                let (fast, slow) = (*row.get(*fast)?, *row.get(*slow)?);
                let score = if fast > slow {
                    1.0
                } else if fast < slow {
                    -1.0
                } else {
                    last
                };
                Some(Answer { probabilities: [0.0; CLASSES_MAX], classes: 0, score })
            }
            Scorer::Model(evaluator, classes) => classes.answer(evaluator.score(row)?),
            Scorer::Recorded => None,
        }
    }

    /// The agent's own answer: the sign of a score that reaches its threshold.
    pub(super) fn vote(&self, score: f32) -> Vote {
        direction(score, self.threshold)
    }
}

/// An agent has a model or a rule: what is wrong when it has both or neither.
fn not_one_source(settings: &AgentSettings) -> InferenceError {
    match &settings.model {
        Some(reference) => {
            setting(settings, "model", reference, "stands beside `rule`: give the agent one of them")
        }
        None => setting(
            settings,
            "model",
            "nothing",
            "is not enough: give the agent a model directory or a `rule`",
        ),
    }
}

/// The sign of a score that reaches a threshold.
pub(super) fn direction(score: f32, threshold: f32) -> Vote {
    if score.abs() < threshold || score == 0.0 {
        Vote::FLAT
    } else if score > 0.0 {
        Vote::UP
    } else {
        Vote::DOWN
    }
}

impl Evaluator {
    const fn outputs(&self) -> usize {
        match self {
            Self::Native(model) => model.outputs(),
            Self::OnnxRuntime(model) => model.outputs(),
        }
    }

    fn score(&mut self, row: &[f32]) -> Option<[f32; CLASSES_MAX]> {
        match self {
            Self::Native(model) => (row.len() == model.columns()).then(|| model.score(row)),
            Self::OnnxRuntime(model) => model.score(row).ok(),
        }
    }
}

impl Classes {
    fn of(manifest: &Manifest) -> Self {
        let place = |meaning| manifest.classes.iter().position(|class| *class == meaning);
        match (place(Meaning::Up), place(Meaning::Down)) {
            (Some(up), Some(down)) => Self::Probabilities { count: manifest.classes.len() as u16, up, down },
            _ => Self::Score,
        }
    }

    fn answer(self, values: [f32; CLASSES_MAX]) -> Option<Answer> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        Some(match self {
            Self::Probabilities { count, up, down } => Answer {
                probabilities: values,
                classes: count,
                score: (values[up] - values[down]).clamp(-1.0, 1.0),
            },
            Self::Score => {
                Answer { probabilities: [0.0; CLASSES_MAX], classes: 0, score: values[0].clamp(-1.0, 1.0) }
            }
        })
    }
}

/// An agent's setting that is wrong.
pub(super) fn setting(
    settings: &AgentSettings,
    key: &'static str,
    value: impl std::fmt::Display,
    problem: &'static str,
) -> InferenceError {
    InferenceError::Setting { agent: settings.name.clone(), key, value: value.to_string(), problem }
}

/// Loads one model for one agent; what every message names.
struct Loader<'a> {
    agent: &'a str,
    files: &'a ModelFiles,
    vector: Vector<'a>,
}

impl Loader<'_> {
    fn load(&self, settings: &AgentSettings) -> Result<Agent, InferenceError> {
        let manifest =
            Manifest::from_bytes(&self.files.manifest).map_err(|problem| InferenceError::Manifest {
                agent: self.agent.to_owned(),
                directory: self.files.directory.clone(),
                problem,
            })?;
        let found = sha256(&self.files.model);
        if found != manifest.sha256 {
            return Err(InferenceError::Hash {
                agent: self.agent.to_owned(),
                directory: self.files.directory.clone(),
                expected: manifest.sha256,
                found,
            });
        }
        self.check_schema(&manifest)?;
        let (evaluator, backend) = self.evaluator(settings.backend.or(manifest.backend), &manifest)?;
        if evaluator.outputs() != manifest.classes.len() {
            return Err(self.output(&manifest, format!("{}", evaluator.outputs())));
        }
        let model_hash = u64::from_str_radix(&found[..16], 16).expect("a SHA-256 is written in hexadecimal");
        let threshold = settings.threshold.unwrap_or(manifest.threshold);
        let scorer = Scorer::Model(Box::new(evaluator), Classes::of(&manifest));
        let description = ModelDescription {
            agent: self.agent.to_owned(),
            directory: self.files.directory.clone(),
            name: manifest.name,
            version: manifest.version,
            sha256: found,
            backend,
            classes: manifest.classes,
        };
        Ok(Agent::new(settings, threshold, model_hash, scorer, Some(description)))
    }

    fn check_schema(&self, manifest: &Manifest) -> Result<(), InferenceError> {
        let model_hash = manifest.schema_hash().unwrap_or_default();
        let model = &manifest.schema;
        if model_hash == self.vector.hash && model.columns == self.vector.columns {
            return Ok(());
        }
        Err(InferenceError::Schema(Box::new(SchemaMismatch {
            agent: self.agent.to_owned(),
            directory: self.files.directory.clone(),
            model_hash,
            model_bars: model.bars.clone(),
            model_columns: model.columns.len(),
            engine_hash: self.vector.hash,
            engine_bars: self.vector.bars.to_owned(),
            engine_columns: self.vector.columns.len(),
            difference: difference(&model.columns, self.vector.columns),
        })))
    }

    /// The evaluator that was asked for; without a wish the native one, and ONNX Runtime for what that cannot do.
    fn evaluator(
        &self,
        wish: Option<Backend>,
        manifest: &Manifest,
    ) -> Result<(Evaluator, Backend), InferenceError> {
        let reason = match wish {
            Some(Backend::OnnxRuntime) => "its backend is set to onnxruntime".to_owned(),
            _ => match NativeModel::from_onnx(&self.files.model, self.vector.columns.len()) {
                Ok(model) => return Ok((Evaluator::Native(model), Backend::Native)),
                Err(ModelProblem::Unsupported(what)) if wish.is_none() => {
                    format!("the native backend does not evaluate {what}")
                }
                Err(ModelProblem::Input(found)) => return Err(self.input(found)),
                Err(problem) => {
                    let (agent, directory) = (self.agent.to_owned(), self.files.directory.clone());
                    return Err(InferenceError::Model { agent, directory, problem });
                }
            },
        };
        match OrtModel::from_onnx(&self.files.model, self.vector.columns.len()) {
            Ok(model) => Ok((Evaluator::OnnxRuntime(model), Backend::OnnxRuntime)),
            Err(OrtProblem::Output(found)) => Err(self.output(manifest, found)),
            Err(problem) => Err(self.runtime(problem, reason)),
        }
    }

    fn runtime(&self, problem: OrtProblem, reason: String) -> InferenceError {
        let (agent, directory) = (self.agent.to_owned(), self.files.directory.clone());
        match problem {
            OrtProblem::Missing { path, problem } => {
                InferenceError::RuntimeMissing { agent, directory, reason, path, problem }
            }
            OrtProblem::Input(found) => self.input(found),
            OrtProblem::Output(problem) | OrtProblem::Refused(problem) => {
                InferenceError::Runtime { agent, directory, problem }
            }
        }
    }

    fn input(&self, found: String) -> InferenceError {
        InferenceError::Input {
            agent: self.agent.to_owned(),
            directory: self.files.directory.clone(),
            found,
            columns: self.vector.columns.len(),
        }
    }

    fn output(&self, manifest: &Manifest, found: String) -> InferenceError {
        InferenceError::Output {
            agent: self.agent.to_owned(),
            directory: self.files.directory.clone(),
            promised: manifest.classes.clone(),
            found,
        }
    }
}

/// What differs between the columns of a model and those of the engine, for people.
fn difference(model: &[String], engine: &[String]) -> String {
    const NAMED_MAX: usize = 8;
    let only = |left: &[String], right: &[String]| {
        let mut names: Vec<&str> = left
            .iter()
            .filter(|name| !right.contains(name))
            .map(String::as_str)
            .take(NAMED_MAX + 1)
            .collect();
        if names.len() > NAMED_MAX {
            names[NAMED_MAX] = "...";
        }
        names.join(", ")
    };
    let (missing, extra) = (only(model, engine), only(engine, model));
    match (missing.is_empty(), extra.is_empty()) {
        (false, false) => format!("only the model has {missing}; only the engine has {extra}"),
        (false, true) => format!("only the model has {missing}"),
        (true, false) => format!("only the engine has {extra}"),
        (true, true) => match model.iter().zip(engine).position(|(left, right)| left != right) {
            Some(at) => {
                format!("the order differs from column {} on ({} / {})", at + 1, model[at], engine[at])
            }
            None => "the columns are the same; the bar interval or what a column means differs".to_owned(),
        },
    }
}
