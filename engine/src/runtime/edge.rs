//! The edge: the loop that merges feeds, venue reports and commands, and publishes them in order.
//!
//! ```text
//!          +--- feeds, timer (ingress) ---+
//!  next <--+--- venue reports (gateway) --+--> envelope --> line: the core itself, or the ring to it
//!          +--- commands, statement -----+
//! ```
//!
//! Lockstep, with feeds of the past: an input due at time T is published only when no step still on its way can cause a
//! report due by T. Ties go to the report. So the order of steps depends on the input alone, whatever thread runs the
//! core. With live feeds, inputs are published as they arrive, reports first, at the time that the wall clock shows; the
//! journal records the order. A run begins with what the venue holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use pawl_journal::record::{
    Command, CommandAction, CommandReason, CommandSource, EndReason, RunEnded, Sequence, Time,
};

use super::clock::{Clock, Instant};
use super::counters::{EdgeCounters, GatewayCounters};
use super::error::RunError;
use super::gateway::Gateway;
use super::health::SupplyWatch;
use super::ingress::Ingress;
use super::latency::Latency;
use super::line::Line;
use super::options::RingFull;
use super::progress::Progress;
use super::ring::Envelope;
use super::run::{Answer, CommandRequest, End};
use super::wait::Waiter;
use crate::Input;

/// After the last tick, reports that are due within this much event time are still taken, ns.
pub const DRAIN: i64 = 300 * Time::SECOND;

/// Commands that may wait for their step to be committed.
const ANSWERS_MAX: usize = 64;

/// Publishes between two looks at the feeds' progress and the journal's supply of segments.
const PROGRESS_EVERY: u64 = 1_024;

/// Waits between two looks at the supply.
const WAITS_PER_LOOK: u32 = 256;

/// What a look at the sources came to.
enum Turn {
    /// An input was published, or left out.
    Taken,
    /// Nothing could be published yet.
    Waited,
    /// Nothing is to come any more.
    Ended,
}

/// What has been made of a full ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overrun {
    /// The pipeline keeps up.
    None,
    /// The ring was full, and a command has to say so.
    Due,
    /// It was said, and the pipeline has not caught up since.
    Told,
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
    on_ring_full: RingFull,
    overrun: Overrun,
    ring_full: u64,
    /// Until when reports are taken once the feeds have ended.
    drain_until: Option<Time>,
    waiter: Waiter,
    pub(super) counters: EdgeCounters,
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
        waiter: Waiter,
        on_ring_full: RingFull,
        commands: Receiver<CommandRequest>,
        stop: Arc<AtomicBool>,
        progress: Arc<Progress>,
    ) -> Self {
        let begin = ingress.next_due().map_or(ingress.now(), |due| due.time);
        let pace = speed.map(|speed| Pace { speed, event: begin, wall: clock.now() });
        progress.sequence.store(published.0, Ordering::Relaxed);
        progress.time.store(ingress.now().0.cast_unsigned(), Ordering::Relaxed);
        let counters = EdgeCounters::new(progress.counters());
        gateway.set_counters(GatewayCounters::new(progress.counters()));
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
            on_ring_full,
            overrun: Overrun::None,
            ring_full: 0,
            drain_until: None,
            waiter,
            counters,
        }
    }

    /// Publishes inputs until the feeds end, one fails, or the run is to stop; returns when all of it is committed.
    ///
    /// # Errors
    /// [`RunError`] when the journal fails.
    pub(crate) fn drive(&mut self, line: &mut Line) -> Result<End, RunError> {
        let is_live = self.ingress.is_live();
        let reason = loop {
            if self.stop.load(Ordering::Relaxed) {
                break EndReason::STOPPED;
            }
            self.gateway.pump(self.published)?;
            if self.is_reconciling {
                self.reconcile(line)?;
            }
            self.take_commands(line)?;
            if self.is_look_due {
                self.look_around(line)?;
            }
            match if is_live { self.take_live(line)? } else { self.take_in_lockstep(line)? } {
                Turn::Taken => self.waiter.reset(),
                Turn::Waited => {}
                Turn::Ended => break EndReason::FEED_ENDED,
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

    /// Publishes what is due next, if no step on its way can cause a report that is due before it.
    #[inline]
    fn take_in_lockstep(&mut self, line: &mut Line) -> Result<Turn, RunError> {
        let input = self.ingress.next_due();
        let tick = input.map(|input| input.time);
        let report = self.gateway.venue().next_due();
        let until = match tick {
            Some(_) => Time(i64::MAX),
            None => self.drain_until(self.ingress.now()),
        };
        let next = match (tick, report.filter(|&due| due <= until)) {
            (Some(tick), Some(report)) => Some(tick.min(report)),
            (tick, report) => tick.or(report),
        };
        let Some(due) = next else {
            if self.gateway.seen() >= self.published {
                return Ok(Turn::Ended);
            }
            return self.wait(line);
        };
        if !self.gateway.is_clear(self.published, due) {
            return self.wait(line);
        }
        if let Some(left) = self.early_by(due) {
            return self.doze(line, left);
        }
        if report.is_some_and(|report| report <= due) {
            self.take_report(line, due)?;
        } else if let Some((time, input)) = input.and_then(|input| self.ingress.take(input)) {
            self.publish_input(line, time, input)?;
        }
        Ok(Turn::Taken)
    }

    /// Publishes what has arrived: a report before anything else.
    #[inline]
    fn take_live(&mut self, line: &mut Line) -> Result<Turn, RunError> {
        let now = self.clock.unix(self.clock.now());
        if self.take_report(line, now)? {
            return Ok(Turn::Taken);
        }
        if let Some((time, input)) = self.ingress.take_live(now) {
            self.publish_input(line, time, input)?;
            return Ok(Turn::Taken);
        }
        let is_caught_up = self.gateway.seen() >= self.published;
        if is_caught_up && self.overrun == Overrun::Told {
            self.overrun = Overrun::None;
        }
        if self.ingress.is_over() {
            let until = self.drain_until(now);
            let is_due = self.gateway.venue().next_due().is_some_and(|due| due <= until);
            if is_caught_up && !is_due {
                return Ok(Turn::Ended);
            }
        }
        self.wait(line)
    }

    /// Publishes the venue's next report, if one is due; says whether.
    #[inline]
    fn take_report(&mut self, line: &mut Line, due: Time) -> Result<bool, RunError> {
        let Some((time, report)) = self.gateway.venue().poll(due) else { return Ok(false) };
        let time = self.ingress.advance(time);
        self.publish(line, time, Input::Report(report))?;
        Ok(true)
    }

    /// Publishes what ingress has taken, and shows it to the venue.
    #[inline]
    fn publish_input(&mut self, line: &mut Line, time: Time, input: Input) -> Result<(), RunError> {
        self.publish(line, time, input)?;
        if let Input::Tick(tick) = &input {
            self.gateway.on_tick(tick, time);
        }
        Ok(())
    }

    /// Until when reports are taken, the feeds having ended at `now` or before.
    fn drain_until(&mut self, now: Time) -> Time {
        *self.drain_until.get_or_insert(Time(now.0.saturating_add(DRAIN)))
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
        if !line.send(&mut envelope, &self.clock)? {
            self.wait_for_room(line, &mut envelope)?;
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

    /// Waits until the ring has room for an envelope, and hands it over. With a live feed that is an overrun: the
    /// pipeline does not keep up with the market.
    #[cold]
    fn wait_for_room(&mut self, line: &mut Line, envelope: &mut Envelope) -> Result<(), RunError> {
        self.ring_full += 1;
        self.progress.ring_full.store(self.ring_full, Ordering::Relaxed);
        if self.ingress.is_live() && self.overrun == Overrun::None {
            self.overrun = Overrun::Due;
            self.is_look_due = true;
        }
        while !line.send(envelope, &self.clock)? {
            if line.is_broken() {
                return Err(RunError::PipelineGone);
            }
            self.gateway.pump(self.published)?;
            self.waiter.pause();
        }
        Ok(())
    }

    /// Waits until the pipeline has committed everything that was published, and its orders have left.
    fn settle(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.waiter.reset();
        while self.gateway.seen() < self.published {
            self.gateway.pump(self.published)?;
            self.wait(line)?;
        }
        self.answer_all(self.published);
        self.counters.ingress(self.ingress.counts(), self.ring_full);
        Ok(())
    }

    fn take_commands(&mut self, line: &mut Line) -> Result<(), RunError> {
        if !self.answers.is_empty() {
            self.answer_all(self.gateway.seen());
        }
        // An empty channel is told by two loads; to find out by taking from it costs a fence.
        while !self.commands.is_empty()
            && self.answers.len() < ANSWERS_MAX
            && let Ok(request) = self.commands.try_recv()
        {
            self.requests += 1;
            self.publish_command(line, Command { request: self.requests, ..request.command })?;
            self.answers.push((self.published, request.answer));
        }
        Ok(())
    }

    /// Adds no risk when the disk runs out of room for the journal, long before a step does not fit, nor, if so
    /// configured, when the pipeline does not keep up.
    #[cold]
    fn look_around(&mut self, line: &mut Line) -> Result<(), RunError> {
        self.is_look_due = false;
        self.counters.ingress(self.ingress.counts(), self.ring_full);
        if self.overrun == Overrun::Due {
            self.overrun = Overrun::Told;
            let action = match self.on_ring_full {
                RingFull::Halt => CommandAction::HALT,
                RingFull::Wait => CommandAction::NOTE,
            };
            let (reason, source) = (CommandReason::RING_FULL, CommandSource::ENGINE);
            self.publish_command(line, Command { action, reason, source, ..Command::default() })?;
        }
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
        if self.ingress.is_live() {
            return self.clock.unix(self.clock.now()).max(now);
        }
        let Some(pace) = &self.pace else { return now };
        let tick = self.ingress.next_due().map_or(now, |due| due.time);
        let next = self.gateway.venue().next_due().map_or(tick, |report| report.min(tick));
        pace.event_time(&self.clock).clamp(now, next.max(now))
    }

    /// How long it is until paced event time comes to `due`, if it has not.
    #[inline]
    fn early_by(&self, due: Time) -> Option<Duration> {
        let pace = self.pace.as_ref()?;
        let early_ns = due.0 - pace.event_time(&self.clock).0;
        (early_ns > 0).then(|| Duration::from_nanos((early_ns as f64 / pace.speed) as u64))
    }

    #[inline]
    fn wait(&mut self, line: &mut Line) -> Result<Turn, RunError> {
        self.look_after(line)?;
        self.is_look_due |= self.waiter.idle().is_multiple_of(WAITS_PER_LOOK);
        self.waiter.pause();
        Ok(Turn::Waited)
    }

    /// Waits for paced event time to come, with the gateway and commands looked after in between.
    fn doze(&mut self, line: &mut Line, left: Duration) -> Result<Turn, RunError> {
        self.look_after(line)?;
        self.is_look_due = true;
        self.waiter.doze(left);
        Ok(Turn::Waited)
    }

    /// Serves the journal's writer while this thread waits; an error if the writer is gone.
    #[inline]
    fn look_after(&mut self, line: &mut Line) -> Result<(), RunError> {
        line.tend()?;
        if line.is_broken() {
            // What it committed before it went may leave; why it went is told by its own error.
            self.gateway.pump(self.published)?;
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
