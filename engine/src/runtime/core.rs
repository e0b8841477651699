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
    pipeline: Pipeline,
    step: Step,
    journal: Appender,
    clock: Clock,
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
        Self { pipeline, step: Step::new(), journal, clock, stamps, before: None, progress, mode, counters }
    }

    /// Runs one input through the stages and commits the step.
    ///
    /// # Errors
    /// [`JournalError`] if the step could not be committed; the engine must stop then.
    #[inline]
    pub(crate) fn process(&mut self, envelope: &Envelope) -> Result<(), JournalError> {
        envelope.input.begin(&mut self.step, envelope.sequence, envelope.time);
        if self.stamps {
            self.process_stamped(envelope)
        } else {
            self.pipeline.run(&mut self.step, |_| {});
            self.publish_mode();
            self.commit()
        }
    }

    /// Tells the outside what the engine may do, before the step that decided it is visible.
    #[inline]
    fn publish_mode(&mut self) {
        if self.pipeline.risk.mode() != self.mode {
            self.mode = self.pipeline.risk.mode();
            self.progress.mode.store(self.mode.code(), Ordering::Relaxed);
            if let Some(counters) = &mut self.counters {
                counters.mode(self.mode);
            }
        }
    }

    /// Commits a step without stamps, and counts it.
    #[inline]
    fn commit(&mut self) -> Result<(), JournalError> {
        self.journal.append(&self.step)?;
        if let Some(counters) = &mut self.counters {
            counters.step(self.step.view(), None);
        }
        Ok(())
    }

    #[inline]
    fn process_stamped(&mut self, envelope: &Envelope) -> Result<(), JournalError> {
        let clock = &self.clock;
        let received = envelope.received;
        let mut stamps = Stamps {
            received: clock.unix(received),
            published_ns: clock.stamp(received, envelope.published),
            taken_ns: clock.stamp(received, clock.now()),
            committed_before_ns: self
                .before
                .map_or(0, |(received, committed)| clock.stamp(received, committed)),
            ..Stamps::default()
        };
        self.pipeline.run(&mut self.step, |passed| {
            let stamp = clock.stamp(received, clock.now());
            match passed {
                Passed::Feature => stamps.feature_ns = stamp,
                Passed::Inference => stamps.inference_ns = stamp,
                Passed::Risk => stamps.risk_ns = stamp,
                Passed::Order => stamps.order_ns = stamp,
            }
        });
        self.step.push(&stamps);
        self.publish_mode();
        self.journal.append(&self.step)?;
        let committed = self.clock.now();
        self.before = Some((received, committed));
        if let Some(counters) = &mut self.counters {
            counters.step(self.step.view(), Some((&stamps, self.clock.stamp(received, committed))));
        }
        Ok(())
    }

    /// Lets the threads behind the journal have what they asked of its writer.
    ///
    /// # Errors
    /// As [`Self::process`].
    #[inline]
    pub(crate) fn tend(&mut self) -> Result<(), JournalError> {
        self.journal.tend()
    }

    /// How far the journal is durable.
    pub(crate) fn watermarks(&self) -> Watermarks {
        self.journal.watermarks()
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
        let sequence = self.journal.next_sequence();
        self.step.begin(sequence, time);
        started.push(&mut self.step, settings, environment);
        self.pipeline.pass_by(self.step.view());
        self.commit()?;
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
        self.commit()?;
        self.journal.seal(SealReason::Ended)?;
        Ok(sequence)
    }

    /// Ends a run whose journal cannot take the next step: the last step says why if it still fits, and the journal
    /// is sealed as failed. Returns the last step.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot even be sealed.
    pub(crate) fn run_failed(&mut self, ended: &RunEnded, message: &str) -> Result<Sequence, JournalError> {
        // What was published and not committed is not in the journal, so its time does not count.
        let time = self.journal.last_time();
        // Neither may fit; the seal always does. Without a checkpoint: the stages are a step ahead of the journal.
        for message in [message, ""] {
            self.begin_ended(time, ended, message);
            if self.commit().is_ok() {
                break;
            }
        }
        self.journal.seal(SealReason::Failed)?;
        Ok(Sequence(self.journal.next_sequence().0 - 1))
    }

    fn begin_ended(&mut self, time: Time, ended: &RunEnded, message: &str) -> Sequence {
        let sequence = self.journal.next_sequence();
        self.step.begin(sequence, time);
        self.step.push_with_tail(ended, message.as_bytes());
        sequence
    }
}
