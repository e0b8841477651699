//! The core: the pipeline, its step and the journal it writes, on whichever thread drives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pawl_journal::log::{Appender, JournalError, SealReason, Watermarks};
use pawl_journal::record::{RunEnded, RunStarted, Sequence, Stamps, Step, Time};

use super::clock::{Clock, Instant};
use super::counters::{CoreCounters, ModelMeter};
use super::progress::Progress;
use super::ring::Envelope;
use crate::pipeline::{Passed, Pipeline};
use crate::risk::{Mode, RiskView};

/// Completes steps and commits them.
pub(crate) struct Core {
    pub(super) pipeline: Pipeline,
    pub(super) step: Step,
    pub(super) writer: Writer,
}

/// Commits complete steps, on the thread of the last stage.
pub(crate) struct Writer {
    pub(super) journal: Appender,
    pub(super) clock: Clock,
    stamps: bool,
    /// Receipt and commit of the step before.
    before: Option<(Instant, Instant)>,
    progress: Arc<Progress>,
    mode: Mode,
    counters: Option<CoreCounters>,
}

impl Core {
    /// A core over a pipeline in the state that the journal's last step left.
    pub(crate) fn new(
        mut pipeline: Pipeline,
        journal: Appender,
        clock: Clock,
        stamps: bool,
        progress: Arc<Progress>,
    ) -> Self {
        let mode = pipeline.risk.mode();
        progress.mode.store(mode.code(), Ordering::Relaxed);
        let counters = progress.counters().map(|counters| {
            pipeline.inference.set_meter(Box::new(ModelMeter::new(Arc::clone(counters), clock.clone())));
            CoreCounters::new(Arc::clone(counters), mode)
        });
        let writer = Writer { journal, clock, stamps, before: None, progress, mode, counters };
        Self { pipeline, step: Step::new(), writer }
    }

    /// Runs one input, taken from the edge at `taken`, through the stages and commits the step.
    ///
    /// # Errors
    /// [`JournalError`] if the step could not be committed; the engine must stop then.
    #[inline]
    pub(crate) fn process(
        &mut self,
        envelope: &Envelope,
        taken: impl FnOnce(&Clock) -> Instant,
    ) -> Result<(), JournalError> {
        let Self { pipeline, step, writer } = self;
        envelope.input.begin(step, envelope.sequence, envelope.time);
        let decided = if writer.stamps {
            let clock = &writer.clock;
            let received = envelope.received;
            let mut stamps = begun(clock, received, envelope.published, taken(clock));
            let decided =
                pipeline.complete(step, |it| set(&mut stamps, it, clock.stamp(received, clock.now())));
            writer.commit_stamped(step, pipeline.risk.mode(), received, &mut stamps)?;
            decided
        } else {
            let decided = pipeline.complete(step, |_| {});
            writer.commit(step, pipeline.risk.mode())?;
            decided
        };
        pipeline.chain(step, decided);
        Ok(())
    }

    /// Lets the threads behind the journal have what they asked of its writer.
    ///
    /// # Errors
    /// As [`Self::process`].
    #[inline]
    pub(crate) fn tend(&mut self) -> Result<(), JournalError> {
        self.writer.tend()
    }

    /// The part of the engine that panicked on this thread.
    pub(crate) const fn part(&self) -> &'static str {
        match self.pipeline.panicked() {
            Some(stage) => stage.part(),
            None => "engine",
        }
    }

    /// How far the journal is durable.
    pub(crate) fn watermarks(&self) -> Watermarks {
        self.writer.journal.watermarks()
    }

    /// Positions and account after the last step.
    pub(crate) fn risk(&self) -> RiskView {
        self.pipeline.risk.state()
    }

    /// Commits the first step of a run.
    ///
    /// # Errors
    /// As [`Self::process`].
    pub(crate) fn run_started(
        &mut self,
        time: Time,
        started: &RunStarted,
        settings: &str,
        environment: &str,
    ) -> Result<Sequence, JournalError> {
        let sequence = self.writer.journal.next_sequence();
        self.step.begin(sequence, time);
        started.push(&mut self.step, settings, environment);
        self.pipeline.pass_by(self.step.view());
        self.writer.append(&self.step)?;
        Ok(sequence)
    }

    /// Commits the last step of a run and seals the journal.
    ///
    /// # Errors
    /// As [`Self::process`].
    pub(crate) fn run_ended(
        &mut self,
        time: Time,
        ended: &RunEnded,
        message: &str,
    ) -> Result<Sequence, JournalError> {
        let sequence = self.begin_ended(time, ended, message);
        self.pipeline.end_run(&mut self.step);
        self.writer.append(&self.step)?;
        self.writer.journal.seal(SealReason::Ended)?;
        Ok(sequence)
    }

    /// Ends a run whose journal cannot take the next step: the last step says why if it still fits, and the journal
    /// is sealed as failed. Returns the last step.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot even be sealed.
    pub(crate) fn run_failed(&mut self, ended: &RunEnded, message: &str) -> Result<Sequence, JournalError> {
        // What was published and not committed is not in the journal, so its time does not count.
        let time = self.writer.journal.last_time();
        // Neither may fit; the seal always does. Without a checkpoint: the stages are a step ahead of the journal.
        for message in [message, ""] {
            self.begin_ended(time, ended, message);
            if self.writer.append(&self.step).is_ok() {
                break;
            }
        }
        self.writer.journal.seal(SealReason::Failed)?;
        Ok(Sequence(self.writer.journal.next_sequence().0 - 1))
    }

    fn begin_ended(&mut self, time: Time, ended: &RunEnded, message: &str) -> Sequence {
        let sequence = self.writer.journal.next_sequence();
        self.step.begin(sequence, time);
        self.step.push_with_tail(ended, message.as_bytes());
        sequence
    }
}

impl Writer {
    /// Whether steps carry stamps.
    pub(super) const fn stamps(&self) -> bool {
        self.stamps
    }

    /// Commits a complete step, with its stamps; in them it notes how long the step before took to be committed.
    ///
    /// # Errors
    /// As [`Core::process`].
    #[inline]
    pub(super) fn commit_stamped(
        &mut self,
        step: &mut Step,
        mode: Mode,
        received: Instant,
        stamps: &mut Stamps,
    ) -> Result<(), JournalError> {
        stamps.committed_before_ns =
            self.before.map_or(0, |(received, committed)| self.clock.stamp(received, committed));
        step.push(stamps);
        self.tell_mode(mode);
        self.journal.append(step)?;
        let committed = self.clock.now();
        self.before = Some((received, committed));
        if let Some(counters) = &mut self.counters {
            counters.step(step, Some((stamps, self.clock.stamp(received, committed))));
        }
        Ok(())
    }

    /// Commits a complete step.
    ///
    /// # Errors
    /// As [`Core::process`].
    #[inline]
    pub(super) fn commit(&mut self, step: &Step, mode: Mode) -> Result<(), JournalError> {
        self.tell_mode(mode);
        self.append(step)
    }

    /// Appends a step that has no times, and counts it.
    #[inline]
    fn append(&mut self, step: &Step) -> Result<(), JournalError> {
        self.journal.append(step)?;
        if let Some(counters) = &mut self.counters {
            counters.step(step, None);
        }
        Ok(())
    }

    /// Tells the outside what the engine may do, before the step that decided it is visible.
    #[inline]
    fn tell_mode(&mut self, mode: Mode) {
        if mode != self.mode {
            self.mode = mode;
            self.progress.mode.store(mode.code(), Ordering::Relaxed);
            if let Some(counters) = &mut self.counters {
                counters.mode(mode);
            }
        }
    }

    /// See [`Core::tend`].
    ///
    /// # Errors
    /// As [`Core::process`].
    #[inline]
    pub(super) fn tend(&mut self) -> Result<(), JournalError> {
        self.journal.tend()
    }
}

/// The stamps of a step in front of its first stage.
#[inline]
pub(super) fn begun(clock: &Clock, received: Instant, published: Instant, taken: Instant) -> Stamps {
    Stamps {
        received: clock.unix(received),
        published_ns: clock.stamp(received, published),
        taken_ns: clock.stamp(received, taken),
        ..Stamps::default()
    }
}

/// Notes when a step had passed a stage.
#[inline]
pub(super) const fn set(stamps: &mut Stamps, passed: Passed, stamp: u32) {
    match passed {
        Passed::Feature => stamps.feature_ns = stamp,
        Passed::Inference => stamps.inference_ns = stamp,
        Passed::Risk => stamps.risk_ns = stamp,
        Passed::Order => stamps.order_ns = stamp,
    }
}
