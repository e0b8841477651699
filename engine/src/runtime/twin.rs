//! `Twin`: everything that a journal's steps lead to, rebuilt from them: pipeline, intake and venue.
//!
//! ```text
//!  recorded step --+--> pipeline    runs it again and compares
//!                  +--> intake      how far each feed was taken
//!                  `--> venue       is shown what it was shown; its answers are compared
//! ```
//!
//! A restart brings a twin to the end of the journal and goes on with its parts; a shadow keeps one beside a running
//! engine and writes it down. Invariant: what agrees with the journal is the state the engine had, and nothing else
//! passes.

use std::ops::ControlFlow;

use pawl_journal::log::{Origin, Reader};
use pawl_journal::record::{ExecutionReport, Kind, Reconciled, RunStarted, Sequence, Step, StepRef, Time};

use super::error::RunError;
use super::ingress::Intake;
use super::recovery::check_settings;
use crate::pipeline::Pipeline;
use crate::port::Venue;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::state::{self, StateError};

/// Everything that a journal's steps lead to.
pub struct Twin {
    /// The four stages.
    pub pipeline: Pipeline,
    pub(crate) intake: Intake,
    pub(crate) venue: Box<dyn Venue>,
    reached: Reached,
    /// What decides, as the first record of every run has it.
    settings: String,
    scratch: Step,
}

/// How far a journal was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// The last step; 0 is none.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// Runs that began.
    pub runs: u32,
}

impl Twin {
    /// A twin at the beginning of a journal whose runs were told `text`, which says the same as `settings`, and that
    /// `pipeline` and `venue` were built from.
    #[must_use]
    pub fn new(
        settings: &Settings,
        text: &str,
        feeds: usize,
        pipeline: Pipeline,
        venue: Box<dyn Venue>,
    ) -> Self {
        Self {
            pipeline,
            intake: Intake::new(&settings.ingress, feeds),
            venue,
            reached: Reached::default(),
            settings: text.to_owned(),
            scratch: Step::new(),
        }
    }

    /// How far it is.
    #[must_use]
    pub const fn reached(&self) -> Reached {
        self.reached
    }

    /// Follows a journal from the snapshot, or from where the reader is, to step `until` or the last that is committed.
    /// `look` is told every step that was reached, and may end it; whether it did not.
    ///
    /// # Errors
    /// Those of [`Self::restore`] and [`Self::follow`]; [`RunError::Journal`] if the journal cannot be read.
    pub fn follow_to(
        &mut self,
        reader: &mut Reader,
        snapshot: Option<&Snapshot>,
        until: Sequence,
        mut look: impl FnMut(Sequence) -> ControlFlow<()>,
    ) -> Result<bool, RunError> {
        if let Some(snapshot) = snapshot {
            self.restore(snapshot)?;
            reader.seek(Sequence(snapshot.sequence + 1))?;
        }
        while self.reached.sequence < until {
            let Some(frame) = reader.next()? else { break };
            self.follow(frame.step())?;
            if look(self.reached.sequence).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Follows the journal by one step.
    ///
    /// # Errors
    /// [`RunError::SettingsChanged`] if a run was told something else, [`RunError::NoStart`] if none began,
    /// [`RunError::Diverged`] or [`RunError::VenueDiffers`] if this build decides differently from what is recorded.
    #[inline]
    pub fn follow(&mut self, step: StepRef<'_>) -> Result<(), RunError> {
        let sequence = step.sequence();
        let started = step.input().filter(|input| input.kind() == Some(Kind::RunStarted));
        // A pruned journal may begin with a later run, which took over what the runs before it left.
        if self.reached.runs == 0 && (started.is_none() || sequence.0 > 1) {
            return Err(RunError::NoStart { sequence });
        }
        if let Some(record) = started {
            let recorded = record.get::<RunStarted>().map_or("", |started| started.texts(&record).0);
            check_settings(recorded, &self.settings)?;
            self.reached.runs += 1;
        }
        if let Some(difference) = self.pipeline.rerun(step, &mut self.scratch) {
            return Err(RunError::Diverged { sequence, difference: Box::new(difference) });
        }
        self.intake.replay(step);
        self.show_venue(step)?;
        (self.reached.sequence, self.reached.time) = (sequence, step.time());
        Ok(())
    }

    fn show_venue(&mut self, step: StepRef<'_>) -> Result<(), RunError> {
        if let Some(report) = step.input_as::<ExecutionReport>() {
            let answered = self.venue.poll(step.time());
            if answered.map(|(_, answer)| answer) != Some(*report) {
                return Err(RunError::VenueDiffers { sequence: step.sequence() });
            }
        }
        if let Some(item) = step.input_as::<Reconciled>()
            && !self.venue.statement().is_some_and(|statement| statement.contains(item))
        {
            return Err(RunError::VenueDiffers { sequence: step.sequence() });
        }
        self.venue.show(step);
        Ok(())
    }

    /// Writes down where it is. `origin` says where the last step was in the journal.
    #[must_use]
    pub fn save(&mut self, journal_id: [u8; 16], build_hash: u64, origin: Origin) -> Snapshot {
        Snapshot {
            journal_id,
            build_hash,
            origin: origin.words(),
            sequence: self.reached.sequence.0,
            time: self.reached.time.0,
            runs: self.reached.runs,
            settings: self.settings.clone(),
            pipeline: state::save(&mut self.pipeline),
            intake: state::save(&mut self.intake),
            venue: self.venue.save(),
        }
    }

    /// Goes to where a snapshot was taken.
    ///
    /// # Errors
    /// [`RunError::SettingsChanged`] if it was taken under other settings, [`RunError::Snapshot`] if it is no state of
    /// this twin, which is not to be used then.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), RunError> {
        check_settings(&snapshot.settings, &self.settings)?;
        let sequence = Sequence(snapshot.sequence);
        let refused = |source: StateError| RunError::Snapshot { sequence, source };
        self.pipeline.restore(&snapshot.pipeline).map_err(refused)?;
        state::load(&mut self.intake, &snapshot.intake).map_err(refused)?;
        self.venue.restore(&snapshot.venue).map_err(refused)?;
        self.reached = Reached { sequence, time: Time(snapshot.time), runs: snapshot.runs };
        Ok(())
    }
}
