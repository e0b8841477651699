//! Recomputing: the models run again on the recorded vectors, beside a replay that takes the recorded predictions.
//!
//! Invariant: what is recomputed decides nothing; the replay goes on with what the journal holds.

use std::path::Path;

use pawl_engine::Stage as _;
use pawl_engine::inference::{Inference, Models};
use pawl_engine::settings::Settings;
use pawl_journal::record::{AgentId, Kind, Prediction, Step, StepRef};
use serde::Serialize;

use super::error::ReplayError;
use super::rerun::Rerun;
use super::settings::settings_of;

/// Where a recomputation finds its models.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// Built-in models, and the folder in which others are looked for by their hash.
    pub models: Models,
    /// Whether the places that the run itself recorded come first.
    pub as_recorded: bool,
}

impl ModelSource {
    /// These settings with the models where the journal's runs had them, if that is where they are looked for first.
    pub(crate) fn settings(&self, directory: &Path, settings: &Settings) -> Result<Settings, ReplayError> {
        let mut settings = settings.clone();
        if self.as_recorded {
            let (_, environment) = settings_of(directory)?;
            for agent in &mut settings.agents {
                if let Some(place) = agent.model.as_ref().and_then(|hash| environment.models.get(hash)) {
                    agent.model = Some(place.clone());
                }
            }
        }
        Ok(settings)
    }
}

/// How far a model's recomputed predictions are from the recorded ones.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelError {
    /// The agent.
    pub agent: String,
    /// Predictions compared.
    pub predictions: u64,
    /// Largest absolute difference of a probability or score.
    pub error_max: f32,
    /// The step with that difference.
    pub worst: u64,
}

/// Runs the models on the recorded vectors, beside the replay.
pub(crate) struct Recompute {
    inference: Inference,
    scratch: Step,
    pub(crate) models: Vec<ModelError>,
    /// For each agent its place in `models`.
    places: Vec<Option<usize>>,
}

impl Recompute {
    pub(crate) fn open(directory: &Path, rerun: &Rerun, source: &ModelSource) -> Result<Self, ReplayError> {
        let settings = source.settings(directory, &rerun.settings)?;
        let inference = Inference::load(&settings, rerun.pipeline.feature.schema(), &source.models)?;
        let mut models = Vec::new();
        let places = settings
            .agents
            .iter()
            .map(|agent| {
                agent.model.as_ref().map(|_| {
                    models.push(ModelError { agent: agent.name.clone(), ..ModelError::default() });
                    models.len() - 1
                })
            })
            .collect();
        Ok(Self { inference, scratch: Step::new(), models, places })
    }

    pub(crate) fn step(&mut self, recorded: StepRef<'_>) {
        self.scratch.begin(recorded.sequence(), recorded.time());
        let made_before_inference = |kind: Option<Kind>| {
            kind.is_some_and(|it| it.is_input() || matches!(it, Kind::BarClosed | Kind::Features))
        };
        for record in recorded.records().filter(|record| made_before_inference(record.kind())) {
            self.scratch.push_record(&record);
        }
        self.inference.on_step(&mut self.scratch);
        for prediction in recorded.all::<Prediction>() {
            let Some(place) = self.places.get(usize::from(prediction.agent.0)).copied().flatten() else {
                continue;
            };
            let model = &mut self.models[place];
            model.predictions += 1;
            let error = self.error(prediction.agent, prediction);
            let model = &mut self.models[place];
            if error > model.error_max {
                (model.error_max, model.worst) = (error, recorded.sequence().0);
            }
        }
    }

    fn error(&self, agent: AgentId, recorded: &Prediction) -> f32 {
        let again = self
            .scratch
            .view()
            .all::<Prediction>()
            .find(|it| it.agent == agent && it.instrument == recorded.instrument);
        let Some(again) = again else { return f32::INFINITY };
        again
            .probabilities
            .iter()
            .zip(&recorded.probabilities)
            .chain([(&again.score, &recorded.score)])
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    }
}
