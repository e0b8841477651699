//! Re-running: the same pipeline, fed from the journal, and the first place where it decides differently.

use std::path::Path;

use pawl_engine::pipeline::Pipeline;
use pawl_engine::runtime::RunError;
use pawl_engine::settings::Settings;
use pawl_engine::snapshot::{Snapshot, Snapshots};
use pawl_engine::state;
use pawl_journal::log::Reader;
use pawl_journal::record::{Difference, Sequence, Step, StepRef, Time};

use super::error::ReplayError;
use super::recompute::ModelSource;
use super::settings::settings_of;

/// A journal being run again, step by step.
#[derive(Debug)]
pub struct Rerun {
    reader: Reader,
    /// The pipeline, in the state after the last step that was run.
    pub pipeline: Pipeline,
    /// What decided in the journal's runs.
    pub settings: Settings,
    /// The last step that was run, or that the snapshot covers, and its time.
    pub reached: (Sequence, Time),
    scratch: Step,
}

/// The state after a step, in memory.
#[derive(Debug, Clone)]
pub(crate) struct KeptState {
    reached: (Sequence, Time),
    words: Vec<u64>,
}

impl KeptState {
    /// The step that it is the state after; 0 is the beginning.
    pub(crate) const fn sequence(&self) -> Sequence {
        self.reached.0
    }
}

impl Rerun {
    /// Opens a journal at its beginning.
    ///
    /// # Errors
    /// [`ReplayError`] if it cannot be read, is empty, has lost its beginning, or was written with settings this build
    /// does not know.
    pub fn open(directory: &Path) -> Result<Self, ReplayError> {
        Self::open_with(directory, None)
    }

    /// Opens a journal behind the newest verified snapshot of this build that covers no step behind `until`, or at its
    /// beginning if there is none.
    ///
    /// # Errors
    /// As [`Self::open`]; a journal that was pruned needs a snapshot.
    pub fn open_before(directory: &Path, build_hash: u64, until: Sequence) -> Result<Self, ReplayError> {
        let journal_id = Reader::open(directory)?.journal_id();
        let snapshot = Snapshots::of(directory).newest(journal_id, build_hash, until, |_, _| {})?;
        Self::open_with(directory, snapshot.as_ref())
    }

    /// Opens a journal at its beginning, or, where that was pruned, behind the oldest verified snapshot of this build
    /// that what is left follows.
    ///
    /// # Errors
    /// As [`Self::open`]; a journal that was pruned needs a snapshot.
    pub fn open_first(directory: &Path, build_hash: u64) -> Result<Self, ReplayError> {
        let reader = Reader::open(directory)?;
        let first = reader.first_sequence()?.0;
        if first <= 1 {
            return Self::open(directory);
        }
        let snapshots = Snapshots::of(directory);
        for file in snapshots.list()?.iter().filter(|file| file.sequence.0 + 1 >= first) {
            let at = file.sequence;
            let snapshot = snapshots.newest(reader.journal_id(), build_hash, at, |_, _| {})?;
            if let Some(snapshot) = snapshot.filter(|it| it.sequence == at.0) {
                return Self::open_with(directory, Some(&snapshot));
            }
        }
        Self::open(directory)
    }

    fn open_with(directory: &Path, snapshot: Option<&Snapshot>) -> Result<Self, ReplayError> {
        let mut reader = Reader::open(directory)?;
        let settings = settings_of(directory)?.0.engine;
        let mut pipeline = Pipeline::recorded(&settings)?;
        if let Some(snapshot) = snapshot {
            let sequence = Sequence(snapshot.sequence);
            let refused = |source| RunError::Snapshot { sequence, source };
            pipeline.restore(&snapshot.pipeline).map_err(refused)?;
            reader.seek(Sequence(sequence.0 + 1))?;
        } else {
            let sequence = reader.first_sequence()?;
            if sequence.0 > 1 {
                return Err(ReplayError::NoBeginning { sequence });
            }
        }
        let reached = snapshot.map_or((Sequence(0), Time(0)), |it| (Sequence(it.sequence), Time(it.time)));
        Ok(Self { reader, pipeline, settings, reached, scratch: Step::new() })
    }

    /// Runs the next step; calls `look` with the recorded step and the difference, if there is one.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read any further.
    #[inline]
    pub fn step<T>(
        &mut self,
        look: impl FnOnce(StepRef<'_>, Option<Difference>) -> T,
    ) -> Result<Option<T>, ReplayError> {
        let Some(frame) = self.reader.next()? else { return Ok(None) };
        let recorded = frame.step();
        let difference = self.pipeline.rerun(recorded, &mut self.scratch);
        self.reached = (recorded.sequence(), recorded.time());
        Ok(Some(look(recorded, difference)))
    }

    /// Loads the models, so that [`Self::advance`] runs them: what they say is not taken from the journal any more.
    ///
    /// # Errors
    /// [`ReplayError`] if a model is not found, or cannot be loaded.
    pub fn load_models(&mut self, directory: &Path, source: &ModelSource) -> Result<(), ReplayError> {
        let mut loaded = Pipeline::new(&source.settings(directory, &self.settings)?, &source.models)?;
        let sequence = self.reached.0;
        let refused = |source| RunError::Snapshot { sequence, source };
        loaded.restore(&state::save(&mut self.pipeline)).map_err(refused)?;
        self.pipeline = loaded;
        Ok(())
    }

    /// Runs the next step and compares nothing; false if there is none. Models that are not loaded say what they said.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn advance(&mut self) -> Result<bool, ReplayError> {
        let Some(frame) = self.reader.next()? else { return Ok(false) };
        let recorded = frame.step();
        self.pipeline.run_again(recorded, &mut self.scratch);
        self.reached = (recorded.sequence(), recorded.time());
        Ok(true)
    }

    /// The last step that the journal holds.
    ///
    /// # Errors
    /// [`ReplayError`] if it cannot be read.
    pub(crate) fn last_sequence(&self) -> Result<Sequence, ReplayError> {
        Ok(self.reader.last_sequence()?)
    }

    /// What this build made of the step that was run last.
    #[must_use]
    pub fn computed(&self) -> StepRef<'_> {
        self.scratch.view()
    }

    /// The state as it is.
    pub(crate) fn keep(&mut self) -> KeptState {
        KeptState { reached: self.reached, words: state::save(&mut self.pipeline) }
    }

    /// Goes back, or on, to a state that was kept of this journal.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read there.
    pub(crate) fn go_to(&mut self, kept: &KeptState) -> Result<(), ReplayError> {
        let sequence = kept.sequence();
        let refused = |source| RunError::Snapshot { sequence, source };
        self.pipeline.restore(&kept.words).map_err(refused)?;
        self.reader.seek(Sequence(sequence.0 + 1))?;
        self.reached = kept.reached;
        Ok(())
    }
}
