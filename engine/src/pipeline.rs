//! The pipeline: the four stages in a row.
//!
//! ```text
//! step with its input --> feature --> inference --> risk --> order --> [checkpoint] --> complete step
//! ```
//!
//! The same object runs live, in a backtest and in a replay; only what feeds it differs. It knows no journal being
//! written, no clock and no thread.

use pawl_journal::record::{
    Checkpoint, CheckpointOf, Difference, Kind, OutputHash, Sequence, Step, StepRef, first_difference,
};

use crate::Stage;
use crate::feature::{Feature, FeatureError};
use crate::inference::{AgentSettings, Inference, InferenceError, Models};
use crate::order::{Order, OrderError};
use crate::risk::{Risk, RiskError};
use crate::settings::{Settings, SettingsError};
use crate::state::{self, State, StateError, Visitor};

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
    /// The stage that wrote records of this kind, by name; `ingress` for inputs. A checkpoint says itself of which stage
    /// it is.
    #[must_use]
    pub fn stage_of(kind: &str) -> &'static str {
        match kind {
            "bar_closed" | "features" => "feature",
            "prediction" | "signal" => "inference",
            "verdict" | "position_changed" | "equity_changed" => "risk",
            "order_request" | "order_changed" => "order",
            "alert" => "risk or order",
            "checkpoint" => "every stage",
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
    /// What everything up to the last step decided.
    output: OutputHash,
    /// Steps between two checkpoints; 0 is none at all.
    checkpoint_steps: u64,
    /// Where the next checkpoint is due, or where it was if that step passed no stage.
    checkpoint_next: Sequence,
}

impl State for Pipeline {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let Self { feature, inference, risk, order, output, checkpoint_steps: _, checkpoint_next: _ } = self;
        visitor.field("feature", feature);
        visitor.field("inference", inference);
        visitor.field("risk", risk);
        visitor.field("order", order);
        visitor.field("output", &mut output.0);
    }
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

    /// A pipeline that runs the models of the agents for which `runs` is true, and takes the predictions of the others
    /// from a journal.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn partly_recorded(
        settings: &Settings,
        models: &Models,
        runs: impl Fn(&AgentSettings) -> bool,
    ) -> Result<Self, PipelineError> {
        Self::build(settings, |settings, schema| Inference::partly_recorded(settings, schema, models, runs))
    }

    fn build(
        settings: &Settings,
        inference: impl FnOnce(&Settings, &crate::feature::Schema) -> Result<Inference, InferenceError>,
    ) -> Result<Self, PipelineError> {
        settings.validate()?;
        let feature = Feature::new(settings)?;
        let inference = inference(settings, feature.schema())?;
        Ok(Self {
            feature,
            inference,
            risk: Risk::new(settings)?,
            order: Order::new(settings)?,
            output: OutputHash::default(),
            checkpoint_steps: settings.checkpoint.every,
            checkpoint_next: Sequence(if settings.checkpoint.every == 0 { u64::MAX } else { 0 }),
        })
    }

    /// The output hash after the last step.
    #[must_use]
    pub const fn output(&self) -> OutputHash {
        self.output
    }

    /// Puts back the state that [`state::save`] wrote down of a pipeline with the same settings.
    ///
    /// # Errors
    /// [`StateError`] if it is no such state; the pipeline is not to be used then.
    pub fn restore(&mut self, words: &[u64]) -> Result<(), StateError> {
        // Where it goes on may be in front of where it was.
        if self.checkpoint_steps > 0 {
            self.checkpoint_next = Sequence(0);
        }
        state::load(self, words)
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
        if step.sequence() >= self.checkpoint_next {
            self.checkpoint_if_due(step);
        }
        self.output = self.output.after(step.view());
    }

    /// Takes note of a step that passes no stage: the first of a run, or the last of one that failed. Behind the first
    /// of a run, risk waits for the venue's statement.
    pub fn pass_by(&mut self, step: StepRef<'_>) {
        if step.record(Kind::RunStarted).is_some() {
            self.risk.begin_run();
            self.order.begin_run();
        }
        self.output = self.output.after(step);
    }

    /// Completes the last step of a run with a checkpoint: it passes no stage. Not for a run whose journal could not
    /// take a step: the stages hold more than the journal then.
    pub fn end_run(&mut self, step: &mut Step) {
        if self.checkpoint_steps > 0 {
            self.checkpoint(step);
        }
        self.output = self.output.after(step.view());
    }

    #[cold]
    fn checkpoint_if_due(&mut self, step: &mut Step) {
        let (sequence, every) = (step.sequence().0, self.checkpoint_steps);
        if sequence.is_multiple_of(every) {
            self.checkpoint(step);
        }
        self.checkpoint_next = Sequence((sequence / every + 1).saturating_mul(every));
    }

    /// Appends what every stage holds, as hashes.
    fn checkpoint(&mut self, step: &mut Step) {
        let hashes = [
            (CheckpointOf::FEATURE, state::hash(&mut self.feature).0),
            (CheckpointOf::INFERENCE, state::hash(&mut self.inference).0),
            (CheckpointOf::RISK, state::hash(&mut self.risk).0),
            (CheckpointOf::ORDER, state::hash(&mut self.order).0),
            (CheckpointOf::OUTPUT, self.output.0),
        ];
        for (of, hash) in hashes {
            step.push(&Checkpoint { hash, of, ..Checkpoint::default() });
        }
    }

    /// Runs a recorded step again in `scratch`, predictions of models as recorded, and says where the outcome differs.
    #[inline]
    pub fn rerun(&mut self, recorded: StepRef<'_>, scratch: &mut Step) -> Option<Difference> {
        self.again(recorded, scratch, Inference::supply);
        first_difference(recorded, scratch.view())
    }

    /// Runs the input of a recorded step again in `scratch`, whatever comes of it; predictions are as recorded where the
    /// model is not loaded. A step without an input stays empty.
    #[inline]
    pub fn run_again(&mut self, recorded: StepRef<'_>, scratch: &mut Step) {
        self.again(recorded, scratch, Inference::supply_recorded);
    }

    #[inline]
    fn again(
        &mut self,
        recorded: StepRef<'_>,
        scratch: &mut Step,
        supply: impl FnOnce(&mut Inference, StepRef<'_>),
    ) {
        scratch.begin(recorded.sequence(), recorded.time());
        let Some(input) = recorded.input() else { return };
        scratch.push_record(&input);
        match input.kind() {
            Some(Kind::RunEnded) if recorded.record(Kind::Checkpoint).is_some() => self.end_run(scratch),
            Some(Kind::RunStarted | Kind::RunEnded) => self.pass_by(scratch.view()),
            _ => {
                supply(&mut self.inference, recorded);
                self.run(scratch, |_| {});
            }
        }
    }
}
