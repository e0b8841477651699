//! `Bars`: the bar that is growing, per instrument, and when it closes.
//!
//! ```text
//! time bars   |--- interval ---|--- interval ---|        aligned to the UNIX epoch; a tick or a timer at or
//!             ^ open_time      ^ close_time (exclusive)  behind close_time closes the bar, the tick opens the next
//! tick bars   t1 t2 .. tN | t1 t2 .. tN |                the N-th tick closes its own bar
//! ```
//!
//! Prices are bids, as MT5 draws them. Volume is what was traded once the feed has shown a trade, else the ticks.
//! Invariant: a bar without ticks does not exist.

use pawl_journal::record::{BarClosed, InstrumentId, Points, Tick, TickFlags, Time};
use serde::Serialize;

use super::interval::BarInterval;
use crate::stateful;

/// Ticks that say a trade happened; other ticks repeat the volume of the trade before (MQL5 reference, MqlTick).
const TRADE: TickFlags =
    TickFlags(TickFlags::LAST.0 | TickFlags::VOLUME.0 | TickFlags::BUY.0 | TickFlags::SELL.0);

/// A bar that has not closed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenBar {
    /// Start of the bar's interval; for tick bars the time of its first tick.
    pub open_time: Time,
    /// End of the bar's interval (exclusive); for tick bars the largest time there is.
    pub end_time: Time,
    /// First bid.
    pub open: Points,
    /// Highest bid.
    pub high: Points,
    /// Lowest bid.
    pub low: Points,
    /// Last bid.
    pub close: Points,
    /// Volume traded in it so far.
    pub volume: u64,
    /// Ticks in it so far.
    pub ticks: u32,
    /// Bid plus ask of its last tick: the mid in half points.
    pub mid2: i64,
}

stateful!(OpenBar { open_time, end_time, open, high, low, close, volume, ticks, mid2 });

/// The bars of one instrument.
#[derive(Debug, Clone)]
pub(super) struct Bars {
    /// Nanoseconds of a time bar; 0 for tick bars.
    interval_ns: i64,
    /// Ticks of a tick bar; 0 for time bars.
    interval_ticks: u32,
    instrument: InstrumentId,
    /// The feed has shown a trade.
    traded: bool,
    closed: u64,
    /// Open if it has ticks.
    bar: OpenBar,
}

stateful!(Bars { traded, closed, bar } but { interval_ns, interval_ticks, instrument });

impl Bars {
    pub(super) const fn new(instrument: InstrumentId, interval: BarInterval) -> Self {
        let (interval_ns, interval_ticks) = match interval {
            BarInterval::Time(span) => (span.0, 0),
            BarInterval::Ticks(ticks) => (0, ticks),
        };
        let bar = OpenBar {
            open_time: Time(0),
            end_time: Time(i64::MAX),
            open: Points(0),
            high: Points(0),
            low: Points(0),
            close: Points(0),
            volume: 0,
            ticks: 0,
            mid2: 0,
        };
        Self { interval_ns, interval_ticks, instrument, traded: false, closed: 0, bar }
    }

    /// Whether a bar is open whose interval ended at or before `now`.
    #[inline]
    pub(super) const fn is_due(&self, now: Time) -> bool {
        now.0 >= self.bar.end_time.0 && self.bar.ticks > 0 && self.interval_ns > 0
    }

    /// Takes a usable tick into the bar, opening one if none is open. Returns whether the tick completes it.
    #[inline]
    pub(super) fn add(&mut self, tick: &Tick, time: Time) -> bool {
        if self.bar.ticks == 0 {
            self.open(tick, time);
        }
        let bar = &mut self.bar;
        bar.high = bar.high.max(tick.bid);
        bar.low = bar.low.min(tick.bid);
        bar.close = tick.bid;
        bar.mid2 = tick.mid2();
        bar.ticks = bar.ticks.saturating_add(1);
        if tick.volume.0 > 0 && tick.flags.any(TRADE) {
            self.traded = true;
            bar.volume = bar.volume.saturating_add(tick.volume.0.unsigned_abs());
        }
        bar.ticks == self.interval_ticks
    }

    fn open(&mut self, tick: &Tick, time: Time) {
        let (open_time, end_time) = if self.interval_ns > 0 {
            let start = time.0.saturating_sub(time.0.rem_euclid(self.interval_ns));
            (Time(start), Time(start.saturating_add(self.interval_ns)))
        } else {
            (time, Time(i64::MAX))
        };
        let bid = tick.bid;
        self.bar = OpenBar {
            open_time,
            end_time,
            open: bid,
            high: bid,
            low: bid,
            close: bid,
            volume: 0,
            ticks: 0,
            mid2: 0,
        };
    }

    /// Closes the open bar. `time` is the last tick's, and is the close time of a tick bar.
    pub(super) fn close(&mut self, time: Time) -> BarClosed {
        assert!(self.bar.ticks > 0, "a bar without ticks does not exist");
        self.closed += 1;
        let bar = self.bar;
        self.bar.ticks = 0;
        BarClosed {
            open_time: bar.open_time,
            close_time: if self.interval_ns > 0 { bar.end_time } else { time },
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: if self.traded { bar.volume } else { u64::from(bar.ticks) },
            ticks: bar.ticks,
            instrument: self.instrument,
            reserved: 0,
            number: self.closed,
        }
    }

    /// The mid in half points at the last tick taken in.
    pub(super) const fn mid2(&self) -> i64 {
        self.bar.mid2
    }

    /// Bars closed so far.
    pub(super) const fn closed(&self) -> u64 {
        self.closed
    }

    /// The bar that is growing, if one is open.
    pub(super) fn growing(&self) -> Option<OpenBar> {
        (self.bar.ticks > 0).then_some(self.bar)
    }
}
