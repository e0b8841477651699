//! Re-running: the same pipeline, fed from the journal, and the first place where it decides differently.

use std::path::Path;

use pawl_engine::Stage as _;
use pawl_engine::inference::{Inference, Models};
use pawl_engine::pipeline::{Passed, Pipeline};
use pawl_engine::settings::{RecordedEnvironment, RecordedSettings, Settings};
use pawl_journal::log::{Reader, run_start};
use pawl_journal::record::{
    AgentId, Difference, Kind, OutputHash, OutputHasher, Prediction, RunStarted, Sequence, Step, StepRef,
    Time,
};
use serde::Serialize;

use super::error::ReplayError;

/// Largest difference between a recorded probability and a recomputed one that counts as equal.
pub const RECOMPUTE_TOLERANCE: f32 = 1e-6;

/// Which steps to compare. State is always built from the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// The first step to compare; the journal's first if none.
    pub from: Option<Sequence>,
    /// The last step to run; the journal's last if none.
    pub until: Option<Sequence>,
    /// Runs the models again and compares their predictions with the recorded ones.
    pub recompute: bool,
}

/// Where a recomputation finds its models.
#[derive(Debug, Clone)]
pub struct ModelSource {
    /// Built-in models, and the folder in which others are looked for by their hash.
    pub models: Models,
    /// Whether the places that the run itself recorded come first.
    pub as_recorded: bool,
}

/// The first place where what was computed differs from what was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Divergence {
    /// The step.
    pub sequence: u64,
    /// Its time, ns since the UNIX epoch.
    pub time: i64,
    /// The stage whose record differs.
    pub stage: &'static str,
    /// The record's place in the step, from 0 for the input.
    pub record: usize,
    /// Its kind.
    pub kind: &'static str,
    /// The field.
    pub field: String,
    /// What the journal holds.
    pub recorded: String,
    /// What was computed.
    pub computed: String,
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

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Steps run.
    pub steps: u64,
    /// Steps compared.
    pub compared: u64,
    /// The first step.
    pub first: u64,
    /// The last step run.
    pub last: u64,
    /// Hash of what was run, as `verify` prints it.
    #[serde(serialize_with = "as_text")]
    pub output_hash: OutputHash,
    /// The first difference, if there is one.
    pub divergence: Option<Divergence>,
    /// Per model agent, with `recompute`.
    pub models: Vec<ModelError>,
}

fn as_text<S: serde::Serializer>(hash: &OutputHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

impl Replayed {
    /// Whether everything compared was equal, recomputed predictions within [`RECOMPUTE_TOLERANCE`].
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.divergence.is_none() && self.models.iter().all(|model| model.error_max <= RECOMPUTE_TOLERANCE)
    }
}

/// A journal being run again, step by step.
#[derive(Debug)]
pub struct Rerun {
    reader: Reader,
    /// The pipeline, in the state after the last step that was run.
    pub pipeline: Pipeline,
    /// What decided in the journal's runs.
    pub settings: Settings,
    scratch: Step,
}

impl Rerun {
    /// Opens a journal at its beginning.
    ///
    /// # Errors
    /// [`ReplayError`] if it cannot be read, is empty, has lost its beginning, or was written with settings this build
    /// does not know.
    pub fn open(directory: &Path) -> Result<Self, ReplayError> {
        let sequence = Reader::open(directory)?.first_sequence()?;
        if sequence.0 > 1 {
            return Err(ReplayError::NoBeginning { sequence });
        }
        let settings = settings_of(directory)?.0.engine;
        let pipeline = Pipeline::recorded(&settings)?;
        Ok(Self { reader: Reader::open(directory)?, pipeline, settings, scratch: Step::new() })
    }

    /// Runs the next step; calls `look` with the recorded step and the difference, if there is one.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read any further.
    pub fn step<T>(
        &mut self,
        look: impl FnOnce(StepRef<'_>, Option<Difference>) -> T,
    ) -> Result<Option<T>, ReplayError> {
        let Some(frame) = self.reader.next()? else { return Ok(None) };
        let recorded = frame.step();
        let difference = self.pipeline.rerun(recorded, &mut self.scratch);
        Ok(Some(look(recorded, difference)))
    }
}

/// The settings of a journal, which are the same for all of its runs, and the environment of one of them: the first
/// that is there, or the last one that was pruned away.
///
/// # Errors
/// [`ReplayError`] if there is none, or this build cannot read it.
pub fn settings_of(directory: &Path) -> Result<(RecordedSettings, RecordedEnvironment), ReplayError> {
    let Some(step) = run_start(directory)? else {
        let sequence = Reader::open(directory)?.first_sequence()?;
        return Err(if sequence.0 == 0 { ReplayError::Empty } else { ReplayError::NoSettings { sequence } });
    };
    let sequence = step.sequence();
    let record = step.view().record(Kind::RunStarted).ok_or(ReplayError::NoSettings { sequence })?;
    let started = record.get::<RunStarted>().ok_or(ReplayError::NoSettings { sequence })?;
    let (settings, environment) = started.texts(&record);
    let wrong = |error: serde_json::Error| ReplayError::Settings { sequence, message: error.to_string() };
    Ok((serde_json::from_str(settings).map_err(wrong)?, serde_json::from_str(environment).map_err(wrong)?))
}

/// Runs a journal again and compares; `models` are where `recompute` finds them by their hash. `progress` is told the sequence of the step that was run, now and then.
///
/// # Errors
/// [`ReplayError`] when the journal cannot be replayed at all; a difference is a result, not an error.
pub fn replay(
    directory: &Path,
    scope: Scope,
    models: &ModelSource,
    mut progress: impl FnMut(Sequence),
) -> Result<Replayed, ReplayError> {
    check_scope(directory, scope)?;
    let mut rerun = Rerun::open(directory)?;
    let mut recompute =
        if scope.recompute { Some(Recompute::open(directory, &rerun, models)?) } else { None };
    let mut hasher = OutputHasher::new();
    let mut out = Replayed {
        steps: 0,
        compared: 0,
        first: 0,
        last: 0,
        output_hash: hasher.finish(),
        divergence: None,
        models: Vec::new(),
    };
    let until = scope.until.unwrap_or(Sequence(u64::MAX));
    while out.divergence.is_none() && out.last < until.0 {
        let ran = rerun.step(|recorded, difference| {
            hasher.step(recorded);
            if let Some(recompute) = &mut recompute {
                recompute.step(recorded);
            }
            (recorded.sequence(), recorded.time(), difference)
        })?;
        let Some((sequence, time, difference)) = ran else { break };
        if out.steps == 0 {
            out.first = sequence.0;
        }
        out.steps += 1;
        out.last = sequence.0;
        if scope.from.is_none_or(|from| sequence >= from) {
            out.compared += 1;
            out.divergence = difference.map(|difference| divergence(sequence, time, difference));
        }
        if out.steps.is_multiple_of(4_096) {
            progress(sequence);
        }
    }
    out.output_hash = hasher.finish();
    out.models = recompute.map(|it| it.models).unwrap_or_default();
    Ok(out)
}

fn check_scope(directory: &Path, scope: Scope) -> Result<(), ReplayError> {
    let reader = Reader::open(directory)?;
    let (first, last) = (reader.first_sequence()?.0, reader.last_sequence()?.0);
    if last == 0 {
        return Err(ReplayError::Empty);
    }
    if let (Some(from), Some(until)) = (scope.from, scope.until)
        && from > until
    {
        return Err(ReplayError::EmptyScope { from: from.0, until: until.0 });
    }
    for asked in [scope.from, scope.until].into_iter().flatten() {
        if asked.0 < first || asked.0 > last {
            return Err(ReplayError::OutOfRange { asked: asked.0, first, last });
        }
    }
    Ok(())
}

fn divergence(sequence: Sequence, time: Time, difference: Difference) -> Divergence {
    Divergence {
        sequence: sequence.0,
        time: time.0,
        stage: Passed::stage_of(difference.kind),
        record: difference.record,
        kind: difference.kind,
        field: difference.field,
        recorded: difference.left,
        computed: difference.right,
    }
}

/// The engine after a step.
#[derive(Debug)]
pub struct StateAt {
    /// The pipeline in that state, and the settings it runs under.
    pub rerun: Rerun,
    /// The step.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// The first step on the way that this build decides differently: the state is this build's then, and not the
    /// one that the journal tells of.
    pub divergence: Option<Divergence>,
}

/// The pipeline in the state after step `at`, and the settings it runs under.
///
/// # Errors
/// [`ReplayError`], also [`ReplayError::OutOfRange`] when the journal has no such step.
pub fn state_at(
    directory: &Path,
    at: Sequence,
    mut progress: impl FnMut(Sequence),
) -> Result<StateAt, ReplayError> {
    check_scope(directory, Scope { until: Some(at), ..Scope::default() })?;
    let mut rerun = Rerun::open(directory)?;
    let mut reached = (Sequence(0), Time(0));
    let mut diverged = None;
    while reached.0 < at {
        let look = |recorded: StepRef<'_>, difference: Option<Difference>| {
            let (sequence, time) = (recorded.sequence(), recorded.time());
            (sequence, time, difference.map(|it| divergence(sequence, time, it)))
        };
        let Some((sequence, time, difference)) = rerun.step(look)? else { break };
        reached = (sequence, time);
        diverged = diverged.or(difference);
        if reached.0.0.is_multiple_of(4_096) {
            progress(reached.0);
        }
    }
    Ok(StateAt { rerun, sequence: reached.0, time: reached.1, divergence: diverged })
}

/// Runs the models on the recorded vectors, beside the replay.
struct Recompute {
    inference: Inference,
    scratch: Step,
    models: Vec<ModelError>,
    /// For each agent its place in `models`.
    places: Vec<Option<usize>>,
}

impl Recompute {
    fn open(directory: &Path, rerun: &Rerun, source: &ModelSource) -> Result<Self, ReplayError> {
        let mut settings = rerun.settings.clone();
        if source.as_recorded {
            let (_, environment) = settings_of(directory)?;
            for agent in &mut settings.agents {
                if let Some(place) = agent.model.as_ref().and_then(|hash| environment.models.get(hash)) {
                    agent.model = Some(place.clone());
                }
            }
        }
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

    fn step(&mut self, recorded: StepRef<'_>) {
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
