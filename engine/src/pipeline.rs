//! The pipeline: the four stages in a row.
//!
//! ```text
//! step with its input --> feature --> inference --> risk --> order --> complete step
//! ```
//!
//! The same object runs live, in a backtest and in a replay; only what feeds it differs. It knows no journal being
//! written, no clock and no thread.

use pawl_journal::record::{Difference, Kind, Step, StepRef, first_difference};

use crate::Stage;
use crate::feature::{Feature, FeatureError};
use crate::inference::{Inference, InferenceError, Models};
use crate::order::{Order, OrderError};
use crate::risk::{Risk, RiskError};
use crate::settings::{Settings, SettingsError};

/// A point between stages, in pipeline order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// After the feature stage.
    Feature,
    /// After the inference stage.
    Inference,
    /// After the risk stage.
    Risk,
    /// After the order stage.
    Order,
}

impl Passed {
    /// The stage that wrote records of this kind, by name; `ingress` for inputs.
    #[must_use]
    pub fn stage_of(kind: &str) -> &'static str {
        match kind {
            "bar_closed" | "features" => "feature",
            "prediction" | "signal" => "inference",
            "verdict" | "position_changed" | "equity_changed" => "risk",
            "order_request" | "order_changed" => "order",
            "alert" => "risk or order",
            _ => "ingress",
        }
    }
}

/// The four stages in a row.
#[derive(Debug)]
pub struct Pipeline {
    /// Windows, bars and vectors.
    pub feature: Feature,
    /// Agents and the signal.
    pub inference: Inference,
    /// Limits, exposure and the halt.
    pub risk: Risk,
    /// The life of every order.
    pub order: Order,
}

/// Why a pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Instruments or account.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Bars or columns.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// Agents or models.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// Limits.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// Order handling.
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl Pipeline {
    /// A pipeline that runs its models.
    ///
    /// # Errors
    /// [`PipelineError`] for settings that a stage refuses, or a model that cannot be loaded.
    pub fn new(settings: &Settings, models: &Models) -> Result<Self, PipelineError> {
        Self::build(settings, |settings, schema| Inference::load(settings, schema, models))
    }

    /// A pipeline that takes the predictions of models from the journal it re-runs.
    ///
    /// # Errors
    /// As [`Self::new`], models aside.
    pub fn recorded(settings: &Settings) -> Result<Self, PipelineError> {
        Self::build(settings, Inference::recorded)
    }

    fn build(
        settings: &Settings,
        inference: impl FnOnce(&Settings, &crate::feature::Schema) -> Result<Inference, InferenceError>,
    ) -> Result<Self, PipelineError> {
        settings.validate()?;
        let feature = Feature::new(settings)?;
        let inference = inference(settings, feature.schema())?;
        Ok(Self { feature, inference, risk: Risk::new(settings)?, order: Order::new(settings)? })
    }

    /// Completes a step that holds its input. `passed` is called after each stage.
    #[inline]
    pub fn run(&mut self, step: &mut Step, mut passed: impl FnMut(Passed)) {
        self.feature.on_step(step);
        passed(Passed::Feature);
        self.inference.on_step(step);
        passed(Passed::Inference);
        self.risk.on_step(step);
        passed(Passed::Risk);
        self.order.on_step(step);
        passed(Passed::Order);
    }

    /// Runs a recorded step again in `scratch` and says where the outcome differs from the record.
    #[inline]
    pub fn rerun(&mut self, recorded: StepRef<'_>, scratch: &mut Step) -> Option<Difference> {
        scratch.begin(recorded.sequence(), recorded.time());
        let Some(input) = recorded.input() else { return first_difference(recorded, scratch.view()) };
        scratch.push_record(&input);
        // The beginning and the end of a run decide nothing: they pass no stage.
        if !matches!(input.kind(), Some(Kind::RunStarted | Kind::RunEnded)) {
            self.inference.supply(recorded);
            self.run(scratch, |_| {});
        }
        first_difference(recorded, scratch.view())
    }
}
