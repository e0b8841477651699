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
    /// The stage, as people call it.
    #[must_use]
    pub const fn part(self) -> &'static str {
        match self {
            Self::Feature => "feature stage",
            Self::Inference => "inference stage",
            Self::Risk => "risk stage",
            Self::Order => "order stage",
        }
    }

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
    /// What comes behind them.
    pub(crate) end: Closing,
    /// The stage that panicked, if one did.
    panicked: Option<Passed>,
}

/// The end of a step, behind the stages: its checkpoint, if one is due, and the output hash.
#[derive(Debug)]
pub(crate) struct Closing {
    /// What everything up to the last step decided.
    output: OutputHash,
    checkpoints: Checkpoints,
}

/// Which steps hold a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoints {
    /// Steps between two of them; 0 is none at all.
    every: u64,
    /// Where the next one is due, or where it was if that step passed no stage.
    next: Sequence,
}

/// How much of a closed step was decided: checkpoint and stamps are behind it.
#[derive(Debug, Clone, Copy)]
#[must_use = "a step that is not taken into the output hash breaks its chain"]
pub(crate) struct Decided {
    bytes: usize,
}

/// Hashes of what the stages hold after a step, in pipeline order.
pub(crate) type StageHashes = [u64; 4];

impl Checkpoints {
    const fn new(every: u64) -> Self {
        Self { every, next: Sequence(if every == 0 { u64::MAX } else { 0 }) }
    }

    /// Whether this step holds one. Asked once for each step, in order.
    #[inline]
    pub(crate) fn is_due(&mut self, sequence: Sequence) -> bool {
        sequence >= self.next && self.look(sequence.0)
    }

    #[cold]
    fn look(&mut self, sequence: u64) -> bool {
        self.next = Sequence((sequence / self.every + 1).saturating_mul(self.every));
        sequence.is_multiple_of(self.every)
    }
}

impl Closing {
    /// Which steps hold a checkpoint, for a stage that is asked by itself.
    pub(crate) const fn checkpoints(&self) -> Checkpoints {
        self.checkpoints
    }

    /// Closes a step that has passed every stage; a checkpoint is made of what they hold.
    #[inline]
    pub(crate) fn close(&self, step: &mut Step, held: Option<StageHashes>) -> Decided {
        let decided = Decided { bytes: step.bytes().len() };
        if let Some(held) = held {
            self.checkpoint(step, held);
        }
        decided
    }

    /// Takes a closed step into the output hash. Nothing in the step depends on it, so it can be committed before.
    #[inline]
    pub(crate) fn chain(&mut self, step: &Step, decided: Decided) {
        self.output = self.output.after_decided(step, decided.bytes);
    }

    #[cold]
    fn checkpoint(&self, step: &mut Step, held: StageHashes) {
        let of = [CheckpointOf::FEATURE, CheckpointOf::INFERENCE, CheckpointOf::RISK, CheckpointOf::ORDER];
        for (of, hash) in of.into_iter().zip(held).chain([(CheckpointOf::OUTPUT, self.output.0)]) {
            step.push(&Checkpoint { hash, of, ..Checkpoint::default() });
        }
    }
}

/// Runs a stage, and remembers which it was if it panics. Costs nothing otherwise.
#[inline]
fn witnessed(panicked: &mut Option<Passed>, at: Passed, stage: &mut impl Stage, step: &mut Step) {
    struct Witness<'a>(&'a mut Option<Passed>, Passed);
    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            *self.0 = Some(self.1);
        }
    }
    let witness = Witness(panicked, at);
    run(at, stage, step);
    std::mem::forget(witness);
}

/// Runs a stage.
#[inline]
pub(crate) fn run(at: Passed, stage: &mut impl Stage, step: &mut Step) {
    #[cfg(test)]
    planted::panic_if_told(at, step);
    let _ = at;
    stage.on_step(step);
}

/// Panics planted for tests: a tick with such a volume makes a stage panic.
#[cfg(test)]
pub(crate) mod planted {
    use pawl_journal::record::{Lots, Step, Tick};

    use super::Passed;

    /// The volume that makes this stage panic.
    pub(crate) const fn volume(at: Passed) -> Lots {
        Lots(0x7061_6e69_6300 + at as i64)
    }

    pub(super) fn panic_if_told(at: Passed, step: &Step) {
        let told = step.view().input_as::<Tick>().is_some_and(|tick| tick.volume == volume(at));
        assert!(!told, "planted");
    }
}

impl State for Pipeline {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let Self { feature, inference, risk, order, end, panicked: _ } = self;
        visitor.field("feature", feature);
        visitor.field("inference", inference);
        visitor.field("risk", risk);
        visitor.field("order", order);
        visitor.field("output", &mut end.output.0);
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
            end: Closing {
                output: OutputHash::default(),
                checkpoints: Checkpoints::new(settings.checkpoint.every),
            },
            panicked: None,
        })
    }

    /// The output hash after the last step.
    #[must_use]
    pub const fn output(&self) -> OutputHash {
        self.end.output
    }

    /// The stage in which a panic came, if one did; the pipeline is not to be used any more then.
    #[must_use]
    pub const fn panicked(&self) -> Option<Passed> {
        self.panicked
    }

    /// The stages, each for a thread of its own, and what comes behind them.
    pub(crate) fn into_parts(self) -> (Feature, Inference, Risk, Order, Closing) {
        (self.feature, self.inference, self.risk, self.order, self.end)
    }

    /// The pipeline of parts that have seen the same steps.
    pub(crate) const fn of_parts(
        feature: Feature,
        inference: Inference,
        risk: Risk,
        order: Order,
        end: Closing,
    ) -> Self {
        Self { feature, inference, risk, order, end, panicked: None }
    }

    /// Puts back the state that [`state::save`] wrote down of a pipeline with the same settings.
    ///
    /// # Errors
    /// [`StateError`] if it is no such state; the pipeline is not to be used then.
    pub fn restore(&mut self, words: &[u64]) -> Result<(), StateError> {
        // Where it goes on may be in front of where it was.
        self.end.checkpoints = Checkpoints::new(self.end.checkpoints.every);
        state::load(self, words)
    }

    /// Completes a step that holds its input.
    #[inline]
    pub fn run(&mut self, step: &mut Step) {
        let decided = self.complete(step, |_| {});
        self.chain(step, decided);
    }

    /// Completes a step that holds its input, and leaves the output hash to [`Self::chain`]. `passed` is called after each
    /// stage.
    #[inline]
    pub(crate) fn complete(&mut self, step: &mut Step, mut passed: impl FnMut(Passed)) -> Decided {
        witnessed(&mut self.panicked, Passed::Feature, &mut self.feature, step);
        passed(Passed::Feature);
        witnessed(&mut self.panicked, Passed::Inference, &mut self.inference, step);
        passed(Passed::Inference);
        witnessed(&mut self.panicked, Passed::Risk, &mut self.risk, step);
        passed(Passed::Risk);
        witnessed(&mut self.panicked, Passed::Order, &mut self.order, step);
        passed(Passed::Order);
        let held = self.end.checkpoints.is_due(step.sequence()).then(|| self.hashes());
        self.end.close(step, held)
    }

    /// Takes a completed step into the output hash.
    #[inline]
    pub(crate) fn chain(&mut self, step: &Step, decided: Decided) {
        self.end.chain(step, decided);
    }

    /// Takes note of a step that passes no stage: the first of a run, or the last of one that failed. Behind the first
    /// of a run, risk waits for the venue's statement.
    pub fn pass_by(&mut self, step: StepRef<'_>) {
        if step.record(Kind::RunStarted).is_some() {
            self.risk.begin_run();
            self.order.begin_run();
        }
        self.end.output = self.end.output.after(step);
    }

    /// Completes the last step of a run with a checkpoint: it passes no stage. Not for a run whose journal could not
    /// take a step: the stages hold more than the journal then.
    pub fn end_run(&mut self, step: &mut Step) {
        let output = self.end.output.after(step.view());
        if self.end.checkpoints.every > 0 {
            let held = self.hashes();
            self.end.checkpoint(step, held);
        }
        self.end.output = output;
    }

    /// What every stage holds.
    #[cold]
    fn hashes(&mut self) -> StageHashes {
        [
            state::hash(&mut self.feature).0,
            state::hash(&mut self.inference).0,
            state::hash(&mut self.risk).0,
            state::hash(&mut self.order).0,
        ]
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
                self.run(scratch);
            }
        }
    }
}
