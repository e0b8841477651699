//! The inference stage: agents score feature vectors, and one signal comes of it.
//!
//! ```text
//! manifest.json, model.onnx -> store -> agent -> native (ensemble > forest, linear)   the default: same bits everywhere
//!                                             `-> ort (ONNX Runtime)                  what the native one cannot evaluate
//! Features -> stage -> Prediction (one per agent), Signal
//! ```
//!
//! Files, environment and shared libraries are touched while the stage is built, never by a step.

mod agent;
mod ensemble;
mod error;
mod forest;
mod layout;
mod linear;
mod manifest;
mod meter;
mod native;
mod onnx;
mod ort;
mod specimen;
mod stage;
mod store;
mod transform;
#[cfg(test)]
mod twin;

use serde::{Deserialize, Serialize};

use crate::quantity::Span;
use crate::settings::Settings;

pub use self::ort::{LIBRARY_VARIABLE, OrtModel, OrtProblem};
pub use agent::{Backend, ModelDescription};
pub use error::{InferenceError, ModelProblem, SchemaMismatch};
pub use manifest::{MANIFEST_BYTES_MAX, Manifest, Meaning, ModelSchema};
pub use meter::Meter;
pub use native::NativeModel;
pub use specimen::{SPECIMEN_COLUMNS, Specimen, rows as specimen_rows};
pub use stage::{AGENTS_MAX, AgentState, Inference, InferenceState, Seat};
pub use store::{BuiltinModel, MODEL_BYTES_MAX, ModelFiles, Models};

/// When an agent scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// On every feature vector.
    #[default]
    Tick,
    /// On the first vector after a bar of its instrument closed.
    Bar,
}

/// An agent: a model, or a rule over columns, with its threshold and weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// What people call it.
    pub name: String,
    /// Model directory (`model.onnx` and `manifest.json`), or `builtin:` and a name; in a journal `sha256:` and the
    /// hash of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A rule instead of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleSettings>,
    /// When it scores.
    #[serde(default)]
    pub on: Trigger,
    /// Weight of its score in the signal; 0 journals its predictions and leaves them out of the signal.
    #[serde(default = "one")]
    pub weight: f32,
    /// Smallest absolute score that is a vote, 0 to 1; none is what the model's manifest says, 0 for a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Its predictions count for so long.
    #[serde(default = "minute")]
    pub max_age: Span,
    /// What evaluates the model; none is what its manifest says, and without that the native backend if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
}

const fn one() -> f32 {
    1.0
}

const fn minute() -> Span {
    Span::seconds(60)
}

/// Fast column crosses slow column: up while fast is above slow, down while below, as before while they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// Column that reacts fast.
    pub fast: String,
    /// Column that reacts slowly.
    pub slow: String,
}

/// How the agents become one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignalSettings {
    /// Smallest absolute weighted score that is a direction, 0 to 1.
    pub threshold: f32,
}

impl Default for SignalSettings {
    fn default() -> Self {
        Self { threshold: 0.0 }
    }
}

impl AgentSettings {
    /// An agent of this name without model or rule, everything else at its default.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            model: None,
            rule: None,
            on: Trigger::default(),
            weight: one(),
            threshold: None,
            max_age: minute(),
            backend: None,
        }
    }
}

/// Checks what the settings say of agents and signal.
fn validate(settings: &Settings) -> Result<(), InferenceError> {
    if let Some(error) = stage::too_many(settings) {
        return Err(error);
    }
    let fraction = |value: f32| (0.0..=1.0).contains(&value);
    for (index, own) in settings.agents.iter().enumerate() {
        if own.name.is_empty() || settings.agents[..index].iter().any(|other| other.name == own.name) {
            return Err(agent::setting(own, "name", &own.name, "must be there and be of one agent only"));
        }
        if !(own.weight >= 0.0 && own.weight <= 1e6) {
            return Err(agent::setting(own, "weight", own.weight, "must be between 0 and 1000000"));
        }
        if let Some(threshold) = own.threshold.filter(|threshold| !fraction(*threshold)) {
            return Err(agent::setting(own, "threshold", threshold, "must be between 0 and 1"));
        }
        if own.max_age.0 <= 0 {
            return Err(agent::setting(own, "max_age", own.max_age, "must be longer than nothing"));
        }
    }
    if !fraction(settings.signal.threshold) {
        return Err(InferenceError::Setting {
            agent: "(signal)".to_owned(),
            key: "signal.threshold",
            value: settings.signal.threshold.to_string(),
            problem: "must be between 0 and 1",
        });
    }
    Ok(())
}
