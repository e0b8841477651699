//! The gateway: a tailer of the journal that takes order requests to the venue.
//!
//! ```text
//!  committed step:  without orders -> seen       with orders -> held -> released to the venue -> seen
//!                                                                |
//!                       gated: until the step is durable; else at once
//! ```
//!
//! It sees an order when the journal has committed it, like any other reader: "written before sent" is the shape of
//! it, not a rule. In gated mode it stays at a step with orders until that step is on disk.
//!
//! Invariants: orders leave in the order of the journal; nothing leaves behind a failed sync; while a step is held,
//! `seen` is before it, and the venue's reports are not asked for beyond what its orders can cause.

use std::path::{Path, PathBuf};

use pawl_journal::log::{Durability, JournalError, Tailer};
use pawl_journal::record::{OrderRequest, STEP_BYTES_MAX, Sequence, Stamps, Tick, Time};

use super::clock::{Clock, Instant};
use super::counters::GatewayCounters;
use super::health::Health;
use super::latency::Latency;
use crate::port::Venue;

/// A step with orders on its way to the venue; the orders are in the gateway's buffer.
#[derive(Debug, Clone, Copy)]
struct Held {
    sequence: Sequence,
    time: Time,
    /// When the gateway found the step; told in gated mode alone.
    found: Instant,
    /// Wall-clock time of receipt and nanoseconds from there to publishing, if the step has stamps.
    published: Option<(Time, u32)>,
}

/// Tails the journal, submits what it finds, and holds the venue.
pub(crate) struct Gateway {
    tailer: Tailer,
    venue: Box<dyn Venue>,
    clock: Clock,
    seen: Sequence,
    seen_time: Time,
    held: Option<Held>,
    orders: Vec<OrderRequest>,
    is_gated: bool,
    health: Box<dyn Health>,
    directory: PathBuf,
    latency: Latency,
    hold_latency: Latency,
    counters: GatewayCounters,
}

impl Gateway {
    /// A gateway that starts behind the last step that `venue` already knows.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be tailed.
    pub(crate) fn open(
        journal: &Path,
        durability: Durability,
        health: Box<dyn Health>,
        after: Sequence,
        time: Time,
        venue: Box<dyn Venue>,
        clock: Clock,
    ) -> Result<Self, JournalError> {
        let tailer = Tailer::beside_writer(journal, Sequence(after.0 + 1))?;
        Ok(Self {
            tailer,
            venue,
            clock,
            seen: after,
            seen_time: time,
            held: None,
            orders: Vec::with_capacity(STEP_BYTES_MAX / size_of::<OrderRequest>()),
            is_gated: durability == Durability::Gated,
            health,
            directory: journal.to_owned(),
            latency: Latency::new(),
            hold_latency: Latency::new(),
            counters: GatewayCounters::new(None),
        })
    }

    /// Has what leaves counted here.
    pub(crate) fn set_counters(&mut self, counters: GatewayCounters) {
        self.counters = counters;
    }

    /// Takes every committed step that it has not seen to the venue, of those that are published; in gated mode up to the
    /// first step with orders that is not durable.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read; [`JournalError::SyncFailed`] if there are orders and nothing
    /// will become durable any more.
    #[inline]
    pub(crate) fn pump(&mut self, published: Sequence) -> Result<(), JournalError> {
        if self.seen >= published {
            return Ok(());
        }
        let pumped = self.pump_steps(published);
        self.counters.seen(self.seen);
        pumped
    }

    #[inline]
    fn pump_steps(&mut self, published: Sequence) -> Result<(), JournalError> {
        if self.held.is_some() && !self.release()? {
            return Ok(());
        }
        while self.seen < published
            && let Some(frame) = self.tailer.poll()?
        {
            let step = frame.step();
            self.seen_time = step.time();
            if !step.has_orders() {
                self.seen = step.sequence();
                continue;
            }
            let mut published = None;
            for record in step.records() {
                if let Some(request) = record.get::<OrderRequest>() {
                    self.orders.push(*request);
                } else if let Some(stamps) = record.get::<Stamps>() {
                    published = Some((stamps.received, stamps.published_ns));
                }
            }
            let sequence = step.sequence();
            let found = if self.is_gated { self.clock.now() } else { Instant::default() };
            self.held = Some(Held { sequence, time: step.time(), found, published });
            if !self.release()? {
                self.health.request(sequence);
                break;
            }
        }
        Ok(())
    }

    /// Submits the orders of the step that is held, if they may leave; says whether they did.
    fn release(&mut self) -> Result<bool, JournalError> {
        let Some(held) = self.held else { return Ok(true) };
        if let Some(what) = self.health.failure() {
            return Err(JournalError::SyncFailed {
                dir: self.directory.clone(),
                durable: self.health.durable(),
                what: what.to_owned(),
            });
        }
        if self.is_gated && self.health.durable() < held.sequence {
            return Ok(false);
        }
        self.held = None;
        self.seen = held.sequence;
        for request in self.orders.drain(..) {
            self.venue.submit(&request, held.time);
        }
        let now = self.clock.now();
        if self.is_gated {
            let waited = self.clock.nanoseconds(held.found, now);
            self.hold_latency.record(waited);
            self.counters.held(waited);
        }
        if let Some((received, published_ns)) = held.published {
            let visible = self.clock.unix(now).0.saturating_sub(received.0);
            let took = visible.max(0).cast_unsigned().saturating_sub(u64::from(published_ns));
            self.latency.record(took);
            self.counters.executed(took);
        }
        Ok(true)
    }

    /// Whether nothing that is still on its way through the pipeline, or held, can cause a report that is due by
    /// `time`: its orders are not earlier than the last step found.
    #[inline]
    pub(crate) fn is_clear(&self, published: Sequence, time: Time) -> bool {
        self.seen >= published || time.0 < self.seen_time.0.saturating_add(self.venue.latency_min())
    }

    /// The last step whose orders have left, or that had none.
    #[inline]
    pub(crate) const fn seen(&self) -> Sequence {
        self.seen
    }

    /// How the journal is.
    pub(crate) fn health(&self) -> &dyn Health {
        &*self.health
    }

    /// Shows the venue a published tick.
    #[inline]
    pub(crate) fn on_tick(&mut self, tick: &Tick, time: Time) {
        self.venue.on_tick(tick, time);
    }

    /// The venue.
    #[inline]
    pub(crate) fn venue(&mut self) -> &mut dyn Venue {
        &mut *self.venue
    }

    /// Over the steps with orders: time from publishing the input to its orders leaving, and, in gated mode, the
    /// part of it that the orders waited here for the disk.
    pub(crate) const fn latencies(&self) -> (&Latency, &Latency) {
        (&self.latency, &self.hold_latency)
    }
}

#[cfg(test)]
mod tests;
