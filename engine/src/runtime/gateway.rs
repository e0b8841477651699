//! The gateway: a tailer of the journal that takes order requests to the venue.
//!
//! It sees an order when the journal has committed it, like any other reader: "written before sent" is the shape of
//! it, not a rule.

use pawl_journal::log::{From, JournalError, Tailer};
use pawl_journal::record::{OrderRequest, Sequence, Stamps, Tick, Time};

use super::clock::Clock;
use super::latency::Latency;
use crate::port::Venue;

/// Tails the journal, submits what it finds, and holds the venue.
pub(crate) struct Gateway {
    tailer: Tailer,
    venue: Box<dyn Venue>,
    clock: Clock,
    seen: Sequence,
    seen_time: Time,
    latency: Latency,
}

impl Gateway {
    /// A gateway that starts behind the last step that `venue` already knows.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be tailed.
    pub(crate) fn open(
        journal: &std::path::Path,
        after: Sequence,
        time: Time,
        venue: Box<dyn Venue>,
        clock: Clock,
    ) -> Result<Self, JournalError> {
        let tailer = Tailer::open(journal, From::Sequence(Sequence(after.0 + 1)))?;
        Ok(Self { tailer, venue, clock, seen: after, seen_time: time, latency: Latency::new() })
    }

    /// Takes every committed step that it has not seen to the venue.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    #[inline]
    pub(crate) fn pump(&mut self) -> Result<(), JournalError> {
        while let Some(frame) = self.tailer.poll()? {
            let step = frame.step();
            self.seen = step.sequence();
            self.seen_time = step.time();
            if step.has_orders() {
                for request in step.all::<OrderRequest>() {
                    self.venue.submit(request, step.time());
                }
                if let Some(stamps) = step.get::<Stamps>() {
                    let visible = self.clock.unix(self.clock.now()).0 - stamps.received.0;
                    self.latency.record(
                        visible.max(0).cast_unsigned().saturating_sub(u64::from(stamps.published_ns)),
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether nothing that is still on its way through the pipeline can cause a report that is due by `time`.
    #[inline]
    pub(crate) fn is_clear(&self, published: Sequence, time: Time) -> bool {
        self.seen >= published || time.0 < self.seen_time.0.saturating_add(self.venue.latency_min())
    }

    /// The last step that it has seen.
    #[inline]
    pub(crate) const fn seen(&self) -> Sequence {
        self.seen
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

    /// Time from publishing an input to its order being visible here, over the steps with orders.
    pub(crate) fn into_latency(self) -> Latency {
        self.latency
    }
}
