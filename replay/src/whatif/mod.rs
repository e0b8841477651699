//! What-if: a journal's inputs run through a pipeline with other settings or another model.
//!
//! ```text
//!  recorded tick, pulse, command, link --------------------> pipeline --> step --> compared with the record
//!  recorded report, while every order is as recorded ------>    ^           |
//!  venue's report, from the first other order on ---------------+-- venue <-+ orders
//! ```
//!
//! The venue is shown everything from the beginning, as a restart does, so that it can take over in the middle. From
//! there on its reports are merged with the recorded inputs as the edge does in lockstep: by time, a report first. What
//! it holds at the beginning of a run it says itself then, too.
//!
//! Invariants: inputs from outside are fed as recorded, in their order; up to the first other order the steps have the
//! numbers of the record, behind it their own; memory does not grow with the journal.

mod change;

use std::collections::VecDeque;
use std::path::Path;

use pawl_engine::Input;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::Venue;
use pawl_engine::runtime::DRAIN;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    EndReason, ExecutionReport, KeptStep, Kind, OrderRequest, Reconciled, RunEnded, RunStarted, Sequence,
    Step, StepRef, Time,
};

pub use self::change::{Change, ChangeError, Changed};
use crate::diff::Steps;
use crate::error::ReplayError;

/// Why a venue's reports are not those of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Another order was sent, or one more, or one less.
    Orders,
    /// The venue has other settings.
    Venue,
}

/// From where on the venue answers instead of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hypothetical {
    /// The step with the orders that it answers first; the same step in both.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// Why.
    pub because: Because,
}

/// What the runs of a what-if are told, for a journal of its own.
#[derive(Debug, Clone)]
pub struct Told {
    /// What decides: recorded settings.
    pub settings: String,
    /// Hash of that text.
    pub settings_hash: u64,
    /// Hash of the build that runs.
    pub build_hash: u64,
    /// The recorded environment.
    pub environment: String,
}

/// The steps of a journal as they would have been.
pub struct WhatIf {
    reader: Reader,
    run: HypotheticalRun,
    /// The next recorded input, while reports that are due before it are taken.
    next: KeptStep,
    is_waiting: bool,
}

/// The pipeline, the venue, and where they are.
struct HypotheticalRun {
    pipeline: Pipeline,
    venue: Box<dyn Venue>,
    is_venue_changed: bool,
    told: Option<Told>,
    /// The first recorded report that the venue did not give.
    venue_differs: Option<Sequence>,
    hypothetical: Option<Hypothetical>,
    step: Step,
    /// The last step.
    reached: (Sequence, Time),
    /// Time of the last input that was no report: how long reports are waited for counts from there.
    outside: Time,
    /// What the venue still has to say of what it holds.
    statement: VecDeque<Reconciled>,
}

impl WhatIf {
    /// Runs the journal in `directory` through `pipeline`; `venue` answers where the record cannot. Both are at their
    /// beginning. `is_venue_changed` says whether the venue has other settings than the one that was recorded.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read, is empty, or has lost its beginning.
    pub fn open(
        directory: &Path,
        pipeline: Pipeline,
        venue: Box<dyn Venue>,
        is_venue_changed: bool,
    ) -> Result<Self, ReplayError> {
        let reader = Reader::open(directory)?;
        let sequence = reader.first_sequence()?;
        if sequence.0 == 0 {
            return Err(ReplayError::Empty);
        }
        if sequence.0 > 1 {
            return Err(ReplayError::NoBeginning { sequence });
        }
        let step = Step::new();
        let next = KeptStep::of(step.view());
        let run = HypotheticalRun {
            pipeline,
            venue,
            is_venue_changed,
            told: None,
            venue_differs: None,
            hypothetical: None,
            step,
            reached: (Sequence(0), Time(0)),
            outside: Time(0),
            statement: VecDeque::new(),
        };
        Ok(Self { reader, run, next, is_waiting: false })
    }

    /// Says in every run's beginning what this one is told, instead of what the recorded one was: its settings, their
    /// hash, the hash of the build, and the environment.
    #[must_use]
    pub fn telling(mut self, told: Told) -> Self {
        self.run.told = Some(told);
        self
    }

    /// The last step.
    #[must_use]
    pub const fn step(&self) -> &Step {
        &self.run.step
    }

    /// From where on the venue answered instead of the record, as far as it was run.
    #[must_use]
    pub const fn hypothetical(&self) -> Option<Hypothetical> {
        self.run.hypothetical
    }
}

impl Steps for WhatIf {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        if self.run.state_next() {
            return Ok(Some(self.run.step.view()));
        }
        while !self.is_waiting {
            let Some(frame) = self.reader.next()? else { return Ok(None) };
            let recorded = frame.step();
            if self.run.hypothetical.is_none() {
                self.run.follow(recorded)?;
                return Ok(Some(self.run.step.view()));
            }
            if recorded.input_as::<ExecutionReport>().is_none() && recorded.input_as::<Reconciled>().is_none()
            {
                self.next.keep(recorded);
                self.is_waiting = true;
            }
        }
        let next = self.next.view();
        if !self.run.report_before(next) {
            self.run.take(next);
            self.is_waiting = false;
        }
        Ok(Some(self.run.step.view()))
    }
}

impl HypotheticalRun {
    /// Takes a recorded step, while every order so far is as recorded, and shows it to the venue.
    fn follow(&mut self, recorded: StepRef<'_>) -> Result<(), ReplayError> {
        if let Some(report) = recorded.input_as::<ExecutionReport>()
            && self.venue_differs.is_none()
            && self.venue.poll(recorded.time()).map(|(_, answer)| answer) != Some(*report)
        {
            self.venue_differs = Some(recorded.sequence());
        }
        self.take(recorded);
        let own = self.step.view();
        if !own.has_orders() && !recorded.has_orders() {
            return Ok(());
        }
        let same = own.all::<OrderRequest>().eq(recorded.all::<OrderRequest>());
        if same && !self.is_venue_changed {
            return Ok(());
        }
        let (sequence, time) = self.reached;
        if let Some(differs) = self.venue_differs {
            return Err(ReplayError::VenueCannotAnswer { sequence: differs, at: sequence });
        }
        let because = if same { Because::Venue } else { Because::Orders };
        self.hypothetical = Some(Hypothetical { sequence, time, because });
        Ok(())
    }

    /// Takes the next item of the venue's own statement; says whether there was one.
    fn state_next(&mut self) -> bool {
        let Some(item) = self.statement.pop_front() else { return false };
        self.begin(self.reached.1);
        let (sequence, time) = self.reached;
        Input::Reconciled(item).begin(&mut self.step, sequence, time);
        self.complete();
        true
    }

    /// Takes the venue's next report, if one is due before this recorded step; says whether there was one.
    fn report_before(&mut self, next: StepRef<'_>) -> bool {
        let until = match next.get::<RunEnded>() {
            None => next.time(),
            Some(ended) if ended.reason == EndReason::FEED_ENDED => {
                Time(self.outside.0.saturating_add(DRAIN))
            }
            // It ended at once.
            Some(_) => return false,
        };
        while let Some(due) = self.venue.next_due().filter(|due| *due <= until) {
            if let Some((time, report)) = self.venue.poll(due) {
                self.begin(time);
                let (sequence, time) = self.reached;
                Input::Report(report).begin(&mut self.step, sequence, time);
                self.complete();
                return true;
            }
        }
        false
    }

    /// Takes a recorded input, or the beginning or end of a run.
    fn take(&mut self, recorded: StepRef<'_>) {
        self.begin(recorded.time());
        self.step.begin(self.reached.0, self.reached.1);
        let Some(input) = recorded.input() else { return };
        match (input.get::<RunStarted>(), &self.told) {
            (Some(started), Some(told)) => {
                let own =
                    RunStarted { settings_hash: told.settings_hash, build_hash: told.build_hash, ..*started };
                own.push(&mut self.step, &told.settings, &told.environment);
            }
            _ => self.step.push_record(&input),
        }
        match input.kind() {
            Some(Kind::RunEnded) if recorded.record(Kind::Checkpoint).is_some() => {
                return self.pipeline.end_run(&mut self.step);
            }
            Some(Kind::RunStarted | Kind::RunEnded) => {
                self.pipeline.pass_by(self.step.view());
                if self.hypothetical.is_some() && recorded.record(Kind::RunStarted).is_some() {
                    self.statement = self.venue.statement().unwrap_or_default().into();
                }
                return;
            }
            Some(Kind::ExecutionReport) => {}
            _ => self.outside = self.reached.1,
        }
        self.pipeline.inference.supply_recorded(recorded);
        self.complete();
    }

    /// The number and the time of the next step.
    fn begin(&mut self, time: Time) {
        self.reached = (Sequence(self.reached.0.0 + 1), self.reached.1.max(time));
    }

    fn complete(&mut self) {
        self.pipeline.run(&mut self.step);
        self.venue.show(self.step.view());
    }
}
