//! The edge: the loop that merges feeds, venue reports and commands, and publishes them in order.
//!
//! ```text
//!          +--- feeds, timer (ingress) ---+
//!  next <--+--- venue reports (gateway) --+--> envelope --> line: the core itself, or the ring to it
//!          +--- commands, statement -----+
//! ```
//!
//! Lockstep: an input due at time T is published only when no step still on its way can cause a report due by T.
//! Ties go to the report. So the order of steps depends on the input alone, whatever thread runs the core. A run begins
//! with what the venue holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use pawl_journal::log::JournalError;
use pawl_journal::record::{Command, EndReason, RunEnded, Sequence, Time};

use super::clock::{Clock, Instant};
use super::core::Core;
use super::counters::{EdgeCounters, GatewayCounters};
use super::error::RunError;
use super::gateway::Gateway;
use super::health::SupplyWatch;
use super::ingress::Ingress;
use super::latency::Latency;
use super::progress::Progress;
use super::ring::{Envelope, Publisher};
use super::run::{Answer, CommandRequest, End, relax};
use crate::Input;

/// After the last tick, reports that are due within this much event time are still taken, ns.
pub const DRAIN: i64 = 300 * Time::SECOND;

/// Commands that may wait for their step to be committed.
const ANSWERS_MAX: usize = 64;

/// Publishes between two looks at the feeds' progress and the journal's supply of segments.
const PROGRESS_EVERY: u64 = 1_024;

/// Waits between two looks at the supply.
const WAITS_PER_LOOK: u32 = 256;

/// How an envelope reaches the core.
pub(crate) enum Line {
    /// The core is here.
    Single(Box<Core>),
    /// The core is on its own thread, behind the ring.
    Fused {
        /// The ring's writing end.
        publisher: Publisher,
        /// Cleared when the pipeline thread ends.
        alive: Arc<AtomicBool>,
    },
}

impl Line {
    /// While the edge waits: lets the journal have what it asked of its writer, if that is on this thread.
    #[inline]
    fn tend(&mut self) -> Result<(), JournalError> {
        match self {
            Self::Single(core) => core.tend(),
            Self::Fused { .. } => Ok(()),
        }
    }
}

/// Event time tied to wall-clock time.
struct Pace {
    speed: f64,
    event: Time,
    wall: Instant,
}

/// The edge thread's state.
pub(crate) struct Edge {
    ingress: Ingress,
    gateway: Gateway,
    clock: Clock,
    published: Sequence,
    pace: Option<Pace>,
    commands: Receiver<CommandRequest>,
    requests: u64,
    /// The venue has not said in this run what it holds.
    is_reconciling: bool,
    answers: Vec<(Sequence, Sender<Answer>)>,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    supply: SupplyWatch,
    is_look_due: bool,
    ring_full: u64,
    idle: u32,
    counters: Option<EdgeCounters>,
}

impl Edge {
    /// An edge that goes on behind step `published`.
    #[expect(clippy::too_many_arguments, reason = "called once, by `run`, with all that the edge owns")]
    pub(crate) fn new(
        ingress: Ingress,
        mut gateway: Gateway,
        clock: Clock,
        published: Sequence,
        speed: Option<f64>,
        commands: Receiver<CommandRequest>,
        stop: Arc<AtomicBool>,
        progress: Arc<Progress>,
    ) -> Self {
        let begin = ingress.next_due().unwrap_or(ingress.now());
        let pace = speed.map(|speed| Pace { speed, event: begin, wall: clock.now() });
        progress.sequence.store(published.0, Ordering::Relaxed);
        progress.time.store(ingress.now().0.cast_unsigned(), Ordering::Relaxed);
        let counters = progress.counters().cloned();
        gateway.set_counters(counters.clone().map(GatewayCounters::new));
        Self {
            ingress,
            gateway,
            clock,
            published,
            pace,
            commands,
            requests: 0,
            is_reconciling: true,
            answers: Vec::with_capacity(ANSWERS_MAX),
            stop,
            progress,
            supply: SupplyWatch::new(),
            is_look_due: true,
            ring_full: 0,
            idle: 0,
            counters: counters.map(EdgeCounters::new),
        }
    }

    /// Publishes inputs until the feeds end, one fails, or the run is to stop; returns when all of it is committed.
    ///
    /// # Errors
    /// [`RunError`] when the journal fails.
    pub(crate) fn drive(&mut self, line: &mut Line) -> Result<End, RunError> {
        let mut drain_until = None;
        let reason = loop {
            if self.stop.load(Ordering::Relaxed) {
                break EndReason::STOPPED;
            }
            self.gateway.pump()?;
            if self.is_reconciling {
                self.reconcile(line)?;
            }
            self.take_commands(line)?;
            if self.is_look_due {
                self.look_at_supply(line)?;
            }
            let tick = self.ingress.next_due();
            let report = self.gateway.venue().next_due();
            let until = match tick {
                Some(_) => Time(i64::MAX),
                None => *drain_until.get_or_insert(Time(self.ingress.now().0.saturating_add(DRAIN))),
            };
            let next = match (tick, report.filter(|&due| due <= until)) {
                (Some(tick), Some(report)) => Some(tick.min(report)),
                (tick, report) => tick.or(report),
            };
            let Some(due) = next else {
                if self.gateway.seen() >= self.published {
                    break EndReason::FEED_ENDED;
                }
                self.wait(line)?;
                continue;
            };
            if !self.gateway.is_clear(self.published, due) {
                self.wait(line)?;
                continue;
            }
            if self.is_early(due) {
                self.doze(line)?;
                continue;
            }
            self.idle = 0;
            if report.is_some_and(|report| report <= due) {
                if let Some((time, report)) = self.gateway.venue().poll(due) {
                    let time = self.ingress.advance(time);
                    self.publish(line, time, Input::Report(report))?;
                }
            } else if let Some((time, input)) = self.ingress.take() {
                self.publish(line, time, input)?;
                if let Input::Tick(tick) = &input {
                    self.gateway.on_tick(tick, time);
                }
            }
        };
        self.settle(line)?;
        Ok(match self.ingress.take_failure() {
            Some(failure) if reason == EndReason::FEED_ENDED => {
                let reason =
                    if failure.environment { EndReason::ENVIRONMENT_FAILED } else { EndReason::FEED_FAILED };
                End { reason, message: failure.message }
            }
            _ => End { reason, message: String::new() },
        })
    }

    /// Time of the last input.
    pub(crate) const fn now(&self) -> Time {
        self.ingress.now()
    }

    /// Tick counts of this run.
    pub(crate) const fn counts(&self) -> &RunEnded {
        self.ingress.counts()
    }

    /// How often the ring was full.
    pub(crate) const fn ring_full(&self) -> u64 {
        self.ring_full
    }

    /// The ring has so many slots.
    pub(crate) fn set_ring(&mut self, slots: usize) {
        if let Some(counters) = &mut self.counters {
            counters.ring(slots);
        }
    }

    /// See [`Gateway::latencies`].
    pub(crate) const fn latencies(&self) -> (&Latency, &Latency) {
        self.gateway.latencies()
    }

    /// Answers every command that is in the journal up to `committed`.
    pub(crate) fn answer_all(&mut self, committed: Sequence) {
        let mode = self.progress.status().mode;
        self.answers.retain(|(sequence, answer)| {
            let waits = *sequence > committed;
            if !waits {
                // Whoever asked may be gone; the journal has the command all the same.
                let _ = answer.try_send(Answer { sequence: *sequence, mode });
            }
            waits
        });
    }

    #[inline]
    fn publish(&mut self, line: &mut Line, time: Time, input: Input) -> Result<(), RunError> {
        let received = self.clock.now();
        let sequence = Sequence(self.published.0 + 1);
        let mut envelope = Envelope { sequence, time, received, published: received, input };
        match line {
            Line::Single(core) => core.process(&envelope)?,
            Line::Fused { publisher, alive } => {
                envelope.published = self.clock.now();
                if !publisher.try_publish(&envelope) {
                    self.ring_full += 1;
                    while !publisher.try_publish(&envelope) {
                        if !alive.load(Ordering::Acquire) {
                            return Err(RunError::PipelineGone);
                        }
                        self.gateway.pump()?;
                        relax(&mut self.idle);
                    }
                }
            }
        }
        self.published = sequence;
        self.progress.sequence.store(sequence.0, Ordering::Relaxed);
        self.progress.time.store(time.0.cast_unsigned(), Ordering::Relaxed);
        self.progress.ticks.store(self.ingress.counts().ticks, Ordering::Relaxed);
        if sequence.0.is_multiple_of(PROGRESS_EVERY) {
            self.progress.share.store(self.ingress.progress().unwrap_or(0.0).to_bits(), Ordering::Relaxed);
            self.is_look_due = true;
        }
        Ok(())
    }

    /// Waits until the pipeline has committed everything that was published, and its orders have left.
    fn settle(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.idle = 0;
        while self.gateway.seen() < self.published {
            self.gateway.pump()?;
            self.wait(line)?;
        }
        self.answer_all(self.published);
        self.count_ingress();
        Ok(())
    }

    fn take_commands(&mut self, line: &mut Line) -> Result<(), RunError> {
        if !self.answers.is_empty() {
            self.answer_all(self.gateway.seen());
        }
        while self.answers.len() < ANSWERS_MAX
            && let Ok(request) = self.commands.try_recv()
        {
            self.requests += 1;
            self.publish_command(line, Command { request: self.requests, ..request.command })?;
            self.answers.push((self.published, request.answer));
        }
        Ok(())
    }

    fn count_ingress(&mut self) {
        if let Some(counters) = &mut self.counters {
            counters.ingress(self.ingress.counts(), self.ring_full);
        }
    }

    /// Adds no risk when the disk runs out of room for the journal, long before a step does not fit.
    #[cold]
    fn look_at_supply(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.is_look_due = false;
        self.count_ingress();
        match self.supply.look(self.gateway.health().supply()) {
            Some(command) => self.publish_command(line, command),
            None => Ok(()),
        }
    }

    /// Publishes what the venue holds, as soon as it says so.
    #[cold]
    fn reconcile(&mut self, line: &mut Line) -> Result<(), RunError> {
        let Some(statement) = self.gateway.venue().statement() else { return Ok(()) };
        self.is_reconciling = false;
        for item in statement {
            let now = self.event_now();
            let time = self.ingress.advance(now);
            self.publish(line, time, Input::Reconciled(item))?;
        }
        Ok(())
    }

    fn publish_command(&mut self, line: &mut Line, command: Command) -> Result<(), RunError> {
        let now = self.event_now();
        let time = self.ingress.advance(now);
        self.publish(line, time, Input::Command(command))
    }

    /// The event time it is: between the last input and the next one, where a pace says so.
    fn event_now(&mut self) -> Time {
        let now = self.ingress.now();
        let Some(pace) = &self.pace else { return now };
        let tick = self.ingress.next_due().unwrap_or(now);
        let next = self.gateway.venue().next_due().map_or(tick, |report| report.min(tick));
        pace.event_time(&self.clock).clamp(now, next.max(now))
    }

    fn is_early(&self, due: Time) -> bool {
        self.pace.as_ref().is_some_and(|pace| due > pace.event_time(&self.clock))
    }

    #[inline]
    fn wait(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.look_after(line)?;
        self.is_look_due |= self.idle.is_multiple_of(WAITS_PER_LOOK);
        relax(&mut self.idle);
        Ok(())
    }

    /// Waits for paced event time to come, with the gateway and commands looked after in between.
    #[expect(clippy::disallowed_methods, reason = "a paced run waits for the wall clock")]
    fn doze(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.look_after(line)?;
        self.is_look_due = true;
        std::thread::sleep(std::time::Duration::from_micros(200));
        Ok(())
    }

    /// Serves the journal's writer while this thread waits; an error if the writer is gone.
    #[inline]
    fn look_after(&mut self, line: &mut Line) -> Result<(), RunError> {
        line.tend()?;
        if let Line::Fused { alive, .. } = line
            && !alive.load(Ordering::Acquire)
        {
            // What it committed before it went may leave; why it went is told by its own error.
            self.gateway.pump()?;
            return Err(RunError::PipelineGone);
        }
        Ok(())
    }
}

impl Pace {
    fn event_time(&self, clock: &Clock) -> Time {
        let elapsed = clock.nanoseconds(self.wall, clock.now()) as f64 * self.speed;
        Time(self.event.0.saturating_add(elapsed as i64))
    }
}
