//! Ports: what the runtime asks of the outside. Adapters implement them.

use pawl_journal::record::{
    ExecutionReport, FeedId, InstrumentId, Lots, OrderRequest, Points, Reconciled, StepRef, Tick, TickFlags,
    TickMarks, Time,
};

use crate::state::StateError;
use crate::stateful;

/// Where ticks come from: a file, a simulator, a terminal.
pub trait Feed: Send {
    /// The next tick in the feed's own order, or `None` at its end. Called by the thread that orders the inputs: a live
    /// feed does not wait for one.
    ///
    /// # Errors
    /// [`FeedError`] when the content cannot be read any further; the feed is over then.
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError>;

    /// Skips every tick up to and including this place in the feed, to go on after a restart.
    ///
    /// # Errors
    /// As [`Self::next`]; also when the feed ends before that place.
    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError>;

    /// Whether its ticks happen now, and come when they come: `None` of [`Self::next`] says that there is none yet, unless
    /// [`Self::has_ended`], and a restart goes on with what comes then.
    fn is_live(&self) -> bool {
        false
    }

    /// Whether a feed whose last [`Self::next`] gave none has none any more.
    fn has_ended(&self) -> bool {
        true
    }

    /// What people call it, for errors and progress.
    fn name(&self) -> &str;

    /// How far it is, 0 to 1, if it knows.
    fn progress(&self) -> Option<f64> {
        None
    }
}

/// A tick as a feed gives it, before ingress orders and marks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedTick {
    /// The tick's own time.
    pub time: Time,
    /// Its place in the feed, from 1.
    pub source_sequence: u64,
    /// Best bid; 0 if none.
    pub bid: Points,
    /// Best ask; 0 if none.
    pub ask: Points,
    /// Last trade; 0 if none.
    pub last: Points,
    /// Volume of the last trade; 0 if none.
    pub volume: Lots,
    /// What it is a tick of.
    pub instrument: InstrumentId,
    /// What changed.
    pub flags: TickFlags,
}

stateful!(FeedTick { time, source_sequence, bid, ask, last, volume, instrument, flags });

impl FeedTick {
    /// The record that ingress publishes of it.
    #[inline]
    #[must_use]
    pub const fn record(&self, feed: FeedId, marks: TickMarks) -> Tick {
        Tick {
            source_time: self.time,
            source_sequence: self.source_sequence,
            bid: self.bid,
            ask: self.ask,
            last: self.last,
            volume: self.volume,
            instrument: self.instrument,
            feed,
            flags: self.flags,
            marks,
        }
    }

    /// The tick that a record was made of.
    #[must_use]
    pub const fn of_record(tick: &Tick) -> Self {
        Self {
            time: tick.source_time,
            source_sequence: tick.source_sequence,
            bid: tick.bid,
            ask: tick.ask,
            last: tick.last,
            volume: tick.volume,
            instrument: tick.instrument,
            flags: tick.flags,
        }
    }
}

/// Why a feed cannot be read any further. The message names file, line and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FeedError {
    /// What happened, where, and what to do.
    pub message: String,
    /// Whether the environment failed (unreadable disk) rather than the content.
    pub environment: bool,
}

/// Where orders go.
///
/// It answers every request: a new order, a cancel, a replace with what became of it, and a query with where the order
/// is now: working (`accepted`, with its price and what is left of it), refused as unknown if it never arrived, or with
/// the reports that were lost.
///
/// A venue that answers in event time (`next_due`) is asked in lockstep with a historical feed: every report that is
/// due before the next tick is taken first.
pub trait Venue: Send {
    /// Sends an order request that the journal holds, decided at `time`.
    fn submit(&mut self, request: &OrderRequest, time: Time);

    /// Shows the venue a tick that was published at `time`: the paper venue fills at the quotes that follow.
    fn on_tick(&mut self, tick: &Tick, time: Time);

    /// Shows the venue what a step of the journal holds for it: its tick, then its orders.
    fn show(&mut self, step: StepRef<'_>) {
        let time = step.time();
        if let Some(tick) = step.input_as::<Tick>() {
            self.on_tick(tick, time);
        }
        if step.has_orders() {
            for request in step.all::<OrderRequest>() {
                self.submit(request, time);
            }
        }
    }

    /// When the next report is due, if one is waiting.
    fn next_due(&mut self) -> Option<Time>;

    /// Takes the next report that is due at or before `now`, and its time.
    fn poll(&mut self, now: Time) -> Option<(Time, ExecutionReport)>;

    /// The shortest time between a request and its first report: how far ingress may run ahead of the gateway.
    fn latency_min(&self) -> i64 {
        0
    }

    /// What the account holds, as of the reports that were taken from here: every open order, those on their way
    /// included, every position, the balance if the venue keeps one, and the end, which is always there. None as long as
    /// it does not know; the engine adds no risk until it does.
    ///
    /// Every execution that the statement takes into account was reported before it, or is not reported any more.
    fn statement(&mut self) -> Option<Vec<Reconciled>>;

    /// The venue's own state, for a snapshot. Nothing for a venue that keeps its own books: it is asked what it holds.
    fn save(&mut self) -> Vec<u64> {
        Vec::new()
    }

    /// Puts back what [`Self::save`] gave of a venue with the same settings.
    ///
    /// # Errors
    /// [`StateError`] if it is not what such a venue gives.
    fn restore(&mut self, words: &[u64]) -> Result<(), StateError> {
        if words.is_empty() { Ok(()) } else { Err(StateError::Shape { words: words.len() }) }
    }
}
