//! `Market`: what risk knows of one instrument's quote and of the feed it comes from.

use crate::stateful;
use pawl_journal::record::{LinkState, Points, Side, Tick, TickMarks, Time};

/// The last quote of an instrument, and whether it may be traded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Market {
    /// Best bid of the last usable tick; 0 before the first.
    pub(super) bid: i64,
    /// Best ask of the last usable tick; 0 before the first.
    pub(super) ask: i64,
    /// Step time of the last usable tick.
    pub(super) time: Time,
    /// Marks of the latest tick, usable or not.
    pub(super) marks: TickMarks,
    /// What the feed is.
    pub(super) feed: LinkState,
}

stateful!(Market { bid, ask, time, marks, feed });

impl Market {
    /// No quote yet, the feed taken for sound.
    pub(super) const fn new() -> Self {
        Self { bid: 0, ask: 0, time: Time(0), marks: TickMarks::NONE, feed: LinkState::UP }
    }

    /// Takes in a tick; true if its prices count.
    #[inline]
    pub(super) fn on_tick(&mut self, tick: &Tick, now: Time) -> bool {
        self.marks = tick.marks;
        if !tick.is_usable() || tick.bid.0 <= 0 || tick.ask.0 <= 0 {
            return false;
        }
        (self.bid, self.ask, self.time) = (tick.bid.0, tick.ask.0, now);
        // A clean tick is proof that the feed delivers again what it had lost or withheld.
        if tick.marks.is_empty() && matches!(self.feed, LinkState::GAP | LinkState::STALE) {
            self.feed = LinkState::UP;
        }
        true
    }

    /// Whether there was a usable tick.
    pub(super) const fn is_quoted(&self) -> bool {
        self.bid > 0
    }

    /// The price at which an order of this side would trade: ask to buy, bid to sell.
    pub(super) const fn taken(&self, side: Side) -> i64 {
        if side.sign() > 0 { self.ask } else { self.bid }
    }

    /// The price at which a holding of this sign would be closed: bid for long, ask for short.
    pub(super) const fn closing(&self, net: i64) -> i64 {
        if net > 0 { self.bid } else { self.ask }
    }

    /// Where a limit order of this side is placed, `offset` points behind its own side of the quote.
    pub(super) const fn resting(&self, side: Side, offset: i64) -> Points {
        Points(if side.sign() > 0 {
            self.bid.saturating_sub(offset)
        } else {
            self.ask.saturating_add(offset)
        })
    }

    /// Ask less bid, in points.
    pub(super) const fn spread(&self) -> i64 {
        self.ask - self.bid
    }

    /// How old the quote is, ns.
    pub(super) const fn age(&self, now: Time) -> i64 {
        now.0.saturating_sub(self.time.0)
    }
}
