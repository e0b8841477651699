//! Replaying: a journal, or a range of it, run again and compared, up to the first step that differs.
//!
//! ```text
//!  newest snapshot before `from`, or the beginning --run--> from --run and compare--> until, or the first difference
//! ```

use std::ops::ControlFlow;
use std::path::Path;

use pawl_engine::pipeline::Passed;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    Checkpoint, CheckpointOf, Difference, KeptStep, Kind, OutputHash, Sequence, StepRef, Time,
};
use serde::Serialize;

use super::error::ReplayError;
use super::recompute::{ModelError, ModelSource, Recompute};
use super::rerun::Rerun;

/// Largest difference between a recorded probability and a recomputed one that counts as equal.
pub const RECOMPUTE_TOLERANCE: f32 = 1e-6;

/// Steps in front of a difference that are shown with it.
const STEPS_BEFORE: u64 = 3;

/// Which steps to compare.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope {
    /// The first step to compare; the first that can be run if none. State is built up to it, from the newest
    /// verified snapshot of this build before it, or from the beginning.
    pub from: Option<Sequence>,
    /// The last step to run; the journal's last if none.
    pub until: Option<Sequence>,
    /// Runs the models again and compares their predictions with the recorded ones.
    pub recompute: bool,
    /// What identifies this build, whose snapshots can be relied on.
    pub build_hash: u64,
}

/// The first place where what was computed differs from what was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Divergence {
    /// The step.
    pub sequence: u64,
    /// Its time, ns since the UNIX epoch.
    pub time: i64,
    /// The stage whose record differs; of a checkpoint, the stage whose state does.
    pub stage: &'static str,
    /// The record's place in the step, from 0 for the input, stamps not counted.
    pub record: usize,
    /// Its kind.
    pub kind: &'static str,
    /// The field.
    pub field: String,
    /// What the journal holds.
    pub recorded: String,
    /// What was computed.
    pub computed: String,
    /// Of a checkpoint: where the states came apart.
    pub state: Option<StateDivergence>,
}

/// States that differ although every record agreed.
#[derive(Debug, Clone, Serialize)]
pub struct StateDivergence {
    /// The stages whose state differs, in pipeline order.
    pub stages: Vec<&'static str>,
    /// The step of the last checkpoint that agreed, or where the replay began: the states came apart behind it.
    pub equal_after: u64,
}

/// The steps around a difference.
#[derive(Debug, Clone)]
pub struct Around {
    /// Up to three steps before it, as recorded.
    pub before: Vec<KeptStep>,
    /// The step that differs, as recorded.
    pub recorded: KeptStep,
    /// The same, as computed.
    pub computed: KeptStep,
}

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Steps run.
    pub steps: u64,
    /// Steps compared.
    pub compared: u64,
    /// The first step run.
    pub first: u64,
    /// The last step run.
    pub last: u64,
    /// The last step of the snapshot it began behind; 0 is the beginning of the journal.
    pub snapshot: u64,
    /// Whether it was told to end before its last step.
    pub stopped: bool,
    /// Hash of what was run, as `verify` prints it.
    #[serde(serialize_with = "as_text")]
    pub output_hash: OutputHash,
    /// The first difference, if there is one.
    pub divergence: Option<Divergence>,
    /// The steps around it.
    #[serde(skip)]
    pub around: Option<Around>,
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

/// Runs a journal again and compares. `models` are where `recompute` finds them by their hash. `look` is shown every
/// step as it was recorded, once it was run, and may end the replay.
///
/// # Errors
/// [`ReplayError`] when the journal cannot be replayed at all; a difference is a result, not an error.
pub fn replay(
    directory: &Path,
    scope: Scope,
    models: &ModelSource,
    mut look: impl FnMut(StepRef<'_>) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    let mut rerun = scope.open(directory)?;
    let mut recompute =
        if scope.recompute { Some(Recompute::open(directory, &rerun, models)?) } else { None };
    let begun_after = rerun.reached.0.0;
    let mut out = Replayed {
        steps: 0,
        compared: 0,
        first: begun_after + 1,
        last: begun_after,
        snapshot: begun_after,
        stopped: false,
        output_hash: OutputHash::default(),
        divergence: None,
        around: None,
        models: Vec::new(),
    };
    let (from, until) = (scope.from.map_or(0, |it| it.0), scope.until.map_or(u64::MAX, |it| it.0));
    let mut equal_after = begun_after;
    while out.divergence.is_none() && !out.stopped && out.last < until {
        let ran = rerun.step(|recorded, difference| {
            if let Some(recompute) = &mut recompute {
                recompute.step(recorded);
            }
            let stopped = look(recorded).is_break();
            let found = difference.map(|it| (it, KeptStep::of(recorded)));
            (recorded.sequence().0, has_checkpoint(recorded), stopped, found)
        })?;
        let Some((sequence, is_checkpoint, stopped, found)) = ran else { break };
        out.steps += 1;
        (out.last, out.stopped) = (sequence, stopped);
        if sequence >= from {
            out.compared += 1;
            if let Some((difference, recorded)) = found {
                let computed = KeptStep::of(rerun.computed());
                out.divergence = Some(Divergence::of(&recorded, &computed, difference, equal_after));
                out.around = Some(Around { before: before(directory, sequence)?, recorded, computed });
            }
        }
        if is_checkpoint && out.divergence.is_none() {
            equal_after = sequence;
        }
    }
    out.output_hash = rerun.pipeline.output();
    out.models = recompute.map(|it| it.models).unwrap_or_default();
    Ok(out)
}

impl Scope {
    /// Opens a journal where a replay of this scope has to begin.
    ///
    /// # Errors
    /// [`ReplayError`]; also for steps that the journal does not hold.
    pub(crate) fn open(&self, directory: &Path) -> Result<Rerun, ReplayError> {
        check_scope(directory, *self)?;
        match self.from {
            Some(from) => Rerun::open_before(directory, self.build_hash, Sequence(from.0.saturating_sub(1))),
            None => Rerun::open_first(directory, self.build_hash),
        }
    }
}

/// Whether a step holds a checkpoint. Most steps have too few records for one, and are not searched.
fn has_checkpoint(step: StepRef<'_>) -> bool {
    usize::from(step.record_count()) > CheckpointOf::ALL.len() && step.record(Kind::Checkpoint).is_some()
}

/// Refuses a scope whose steps the journal does not hold.
pub(crate) fn check_scope(directory: &Path, scope: Scope) -> Result<(), ReplayError> {
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

/// The steps in front of one, as far as the journal has them.
fn before(directory: &Path, sequence: u64) -> Result<Vec<KeptStep>, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let from = sequence.saturating_sub(STEPS_BEFORE).max(reader.first_sequence()?.0);
    reader.seek(Sequence(from))?;
    let mut steps = Vec::new();
    while let Some(frame) = reader.next()? {
        if frame.sequence().0 >= sequence {
            break;
        }
        steps.push(KeptStep::of(frame.step()));
    }
    Ok(steps)
}

impl Divergence {
    /// What differs, and which stage it is of; all states were the same after step `equal_after`.
    pub(crate) fn of(
        recorded: &KeptStep,
        computed: &KeptStep,
        difference: Difference,
        equal_after: u64,
    ) -> Self {
        let (recorded, computed) = (recorded.view(), computed.view());
        let is_checkpoint = difference.kind == Kind::Checkpoint.name();
        let state =
            is_checkpoint.then(|| StateDivergence { stages: stages_apart(recorded, computed), equal_after });
        let stage = state.as_ref().and_then(|it| it.stages.first().copied());
        Self {
            sequence: recorded.sequence().0,
            time: recorded.time().0,
            stage: stage.unwrap_or_else(|| Passed::stage_of(difference.kind)),
            record: difference.record,
            kind: difference.kind,
            field: difference.field,
            recorded: difference.left,
            computed: difference.right,
            state,
        }
    }

    /// Its time.
    #[must_use]
    pub const fn time(&self) -> Time {
        Time(self.time)
    }
}

/// The stages of which two steps hold different checkpoints.
fn stages_apart(recorded: StepRef<'_>, computed: StepRef<'_>) -> Vec<&'static str> {
    let differs = |it: &&Checkpoint| {
        computed.all::<Checkpoint>().find(|other| other.of == it.of).is_none_or(|other| other.hash != it.hash)
    };
    recorded.all::<Checkpoint>().filter(differs).map(|it| it.of.name().unwrap_or("unknown")).collect()
}
