//! `Book`: the orders that live, and those that ended lately. Risk and order keep one each, fed with the same events in
//! the same sequence (report, passing of time, approvals), so the two agree after every step without sharing.
//!
//! ```text
//!  live   [ oldest | ... | newest ]         at most ORDERS_MAX, in the order they were made
//!  recent [ ring of RECENT_MAX ]            final ones, so that late fills and late answers find their order
//! ```
//!
//! Invariants: an order is in one of the two, never in both; it leaves `live` the moment its state is final and never
//! returns; a numbered report is applied once. Nothing is allocated after construction.

use pawl_journal::record::{
    ClientOrderId, ExecutionKind, ExecutionReport, InstrumentId, Lots, OrderEvent, OrderState, OrderType,
    Points, RejectReason, Side, Time, Verdict, VerdictSource,
};

use super::OrderSettings;
use super::deadline::{Deadlines, NEVER, after};
use super::seen::Seen;
use super::state;
use crate::stateful;

/// Most orders that can live at once.
pub const ORDERS_MAX: usize = 128;

/// How many ended orders are remembered.
pub const RECENT_MAX: usize = 256;

/// An order and all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderEntry {
    /// Its name.
    pub id: ClientOrderId,
    /// Of what.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Who wanted it.
    pub source: VerdictSource,
    /// Where it is in its life.
    pub state: OrderState,
    /// Its volume (positive).
    pub lots: Lots,
    /// Filled so far; above `lots` if the venue overfilled it.
    pub filled: Lots,
    /// Sum of price times lots over its fills, points x lots.
    pub filled_cost: i64,
    /// Its limit price; 0 for a market order.
    pub price: Points,
    /// The price asked for by a replace that is not answered yet.
    pub price_pending: Points,
    /// When it was made.
    pub made: Time,
    /// When the last request about it was made.
    pub requested: Time,
    /// When its cancel was last requested; 0 if never.
    pub cancel_requested: Time,
    /// How long it may work before it is cancelled, ns; 0 is for ever.
    pub valid_for_ns: i64,
    /// When it is to be cancelled if it still works.
    pub expires: Time,
    /// The statement that the venue is giving lists it.
    pub(super) stated: bool,
}

stateful!(OrderEntry {
    id,
    instrument,
    side,
    order_type,
    source,
    state,
    lots,
    filled,
    filled_cost,
    price,
    price_pending,
    made,
    requested,
    cancel_requested,
    valid_for_ns,
    expires,
    stated,
});

impl OrderEntry {
    /// A new order, not yet submitted, from the verdict that approved it.
    pub(crate) const fn new(id: ClientOrderId, verdict: &Verdict, now: Time) -> Self {
        Self {
            id,
            instrument: verdict.instrument,
            side: verdict.side,
            order_type: verdict.order_type,
            source: verdict.source,
            state: OrderState::NONE,
            lots: verdict.approved_lots,
            filled: Lots(0),
            filled_cost: 0,
            price: verdict.price,
            price_pending: Points(0),
            made: now,
            requested: now,
            cancel_requested: Time(0),
            valid_for_ns: verdict.valid_for_ns,
            expires: if verdict.valid_for_ns > 0 { after(now, verdict.valid_for_ns) } else { NEVER },
            stated: false,
        }
    }

    /// Volume that may still be filled.
    #[must_use]
    pub fn leaves(&self) -> Lots {
        Lots((self.lots.0 - self.filled.0).max(0))
    }
}

/// An order that moved or was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The order after the change.
    pub(crate) order: OrderEntry,
    /// Its state before.
    pub(crate) from: OrderState,
    /// What moved it.
    pub(crate) event: OrderEvent,
    /// Volume of the fill, 0 if this was none.
    pub(crate) fill: Lots,
    /// Whether anything of the order is different now.
    pub(crate) is_visible: bool,
}

impl Change {
    /// A fill of an order that was cancelled or expired already.
    pub(crate) fn is_late_fill(&self) -> bool {
        self.fill.0 > 0 && self.from.is_final() && self.from != OrderState::FILLED
    }

    /// The venue filled more than was ordered.
    pub(crate) fn is_overfill(&self) -> bool {
        self.fill.0 > 0 && self.order.filled > self.order.lots
    }

    /// The venue says that the order is filled, and its fills do not add up to its volume.
    pub(crate) fn is_short(&self) -> bool {
        self.event == OrderEvent::FILLED && self.order.filled < self.order.lots
    }

    /// The order ended now, and nothing of it was filled.
    pub(crate) const fn ended_in_vain(&self) -> bool {
        self.order.state.is_final() && !self.from.is_final() && self.order.filled.0 == 0
    }
}

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It moved, filled or left an order as its state allows.
    Changed(Change),
    /// It was applied before.
    Duplicate,
    /// Its order is not known, or ended too long ago to be remembered.
    UnknownOrder,
    /// The order's state does not allow it.
    Impossible(OrderState),
}

/// The orders of an engine.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(super) live: Vec<OrderEntry>,
    recent: Vec<OrderEntry>,
    recent_next: usize,
    pub(super) seen: Seen,
    deadlines: Deadlines,
    /// The earliest deadline of a live order.
    due: Time,
}

stateful!(Book { live, recent, recent_next, seen, due } but { deadlines } where |book| book.recent_next < RECENT_MAX);

impl Book {
    /// A book without orders.
    pub(crate) fn new(settings: &OrderSettings) -> Self {
        Self {
            live: Vec::with_capacity(ORDERS_MAX),
            recent: Vec::with_capacity(RECENT_MAX),
            recent_next: 0,
            seen: Seen::new(),
            deadlines: Deadlines::new(settings),
            due: NEVER,
        }
    }

    /// The live orders, oldest first.
    #[inline]
    pub(crate) fn live(&self) -> &[OrderEntry] {
        &self.live
    }

    /// The live orders of an instrument, oldest first.
    pub(crate) fn of(&self, instrument: InstrumentId) -> impl Iterator<Item = &OrderEntry> {
        self.live.iter().filter(move |order| order.instrument == instrument)
    }

    /// Whether no further order fits.
    pub(crate) const fn is_full(&self) -> bool {
        self.live.len() >= ORDERS_MAX
    }

    /// Volume that the live orders of an instrument may still fill on one side, whole volume steps.
    pub(crate) fn working(&self, instrument: InstrumentId, side: Side) -> i64 {
        self.of(instrument)
            .filter(|order| order.side == side)
            .fold(0, |sum, it| it.leaves().0.saturating_add(sum))
    }

    /// Takes in a new order; `None` if the book is full.
    pub(crate) fn submit(&mut self, order: OrderEntry) -> Option<Change> {
        if self.is_full() {
            return None;
        }
        self.live.push(order);
        let change = self.request(order.id, OrderEvent::SUBMIT, order.made);
        self.set_due();
        change
    }

    /// Notes that the cancel of an order is requested; `None` if the order is not known or its state forbids it.
    pub(crate) fn cancel(&mut self, id: ClientOrderId, now: Time) -> Option<Change> {
        let change = self.request(id, OrderEvent::CANCEL, now);
        self.set_due();
        change
    }

    /// Notes that an order is to work at another price; `None` if it is not known or its state forbids it.
    pub(crate) fn replace(&mut self, id: ClientOrderId, price: Points, now: Time) -> Option<Change> {
        let change = self.request(id, OrderEvent::REPLACE, now);
        if change.is_some()
            && let Some(order) = self.live.iter_mut().find(|order| order.id == id)
        {
            order.price_pending = price;
        }
        self.set_due();
        change
    }

    /// Moves the next order whose deadline has come: to unknown, to a question about it, or to its cancel. `None` when
    /// there is no more.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Change> {
        if self.due > now {
            return None;
        }
        self.move_due(now)
    }

    fn move_due(&mut self, now: Time) -> Option<Change> {
        let deadlines = self.deadlines;
        let order = self
            .live
            .iter()
            .find(|order| deadlines.due(order.state, order.requested, order.expires) <= now)?;
        let change = self.request(order.id, Deadlines::event(order.state), now);
        self.set_due();
        change
    }

    pub(super) fn request(&mut self, id: ClientOrderId, event: OrderEvent, now: Time) -> Option<Change> {
        let order = self.live.iter_mut().find(|order| order.id == id)?;
        let from = order.state;
        order.state = state::next(from, event, order.filled.0 > 0).ok()?.state;
        if event != OrderEvent::UNKNOWN {
            order.requested = now;
        }
        if event == OrderEvent::CANCEL {
            order.cancel_requested = now;
            if order.expires <= now {
                // A cancel that the venue refuses is asked again after as long as the order was to live.
                order.expires = after(now, order.valid_for_ns);
            }
        }
        // A question moves nothing; its request tells of it.
        let is_visible = event != OrderEvent::QUERY;
        Some(Change { order: *order, from, event, fill: Lots(0), is_visible })
    }

    /// Applies a report of the venue.
    pub(crate) fn apply(&mut self, report: &ExecutionReport) -> Applied {
        if !self.seen.insert(report.execution_sequence) {
            return Applied::Duplicate;
        }
        let is_report = |order: &OrderEntry| order.id == report.client_order_id;
        if report.client_order_id.0 == 0 {
            return Applied::UnknownOrder;
        }
        if let Some(index) = self.live.iter().position(is_report) {
            let applied = self.live[index].apply(report);
            if self.live[index].state.is_final() {
                let order = self.live.remove(index);
                self.remember(order);
            }
            self.set_due();
            return applied;
        }
        match self.recent.iter_mut().find(|order| is_report(order)) {
            Some(order) => order.apply(report),
            None => Applied::UnknownOrder,
        }
    }

    fn remember(&mut self, order: OrderEntry) {
        if self.recent.len() < RECENT_MAX {
            self.recent.push(order);
        } else {
            self.recent[self.recent_next] = order;
            self.recent_next = (self.recent_next + 1) % RECENT_MAX;
        }
    }

    pub(super) fn set_due(&mut self) {
        let deadlines = self.deadlines;
        self.due = self
            .live
            .iter()
            .map(|order| deadlines.due(order.state, order.requested, order.expires))
            .min()
            .unwrap_or(NEVER);
    }
}

impl OrderEntry {
    fn apply(&mut self, report: &ExecutionReport) -> Applied {
        let from = self.state;
        let Some(event) = self.event(report) else { return Applied::Impossible(from) };
        let is_fill = is_fill(report.kind);
        if is_fill && report.lots.0 <= 0 {
            return Applied::Impossible(from);
        }
        let fill = if is_fill { report.lots } else { Lots(0) };
        let filled = Lots(self.filled.0.saturating_add(fill.0));
        let Ok(next) = state::next(from, event, filled.0 > 0) else { return Applied::Impossible(from) };
        let before = *self;
        self.state = next.state;
        self.filled = filled;
        self.filled_cost = self.filled_cost.saturating_add(report.price.0.saturating_mul(fill.0));
        self.take_terms(report);
        Applied::Changed(Change { order: *self, from, event, fill, is_visible: before != *self })
    }

    /// What a report means for this order.
    fn event(&self, report: &ExecutionReport) -> Option<OrderEvent> {
        // A venue that does not know an order which lives, or holds it for final, contradicts what it said before.
        let contradicts = matches!(report.reason, RejectReason::UNKNOWN_ORDER | RejectReason::TOO_LATE)
            && !self.state.is_final();
        Some(match report.kind {
            ExecutionKind::ACCEPTED => OrderEvent::ACCEPTED,
            ExecutionKind::REJECTED => OrderEvent::REJECTED,
            ExecutionKind::PARTIALLY_FILLED if self.filled.0.saturating_add(report.lots.0) >= self.lots.0 => {
                OrderEvent::FILLED
            }
            ExecutionKind::PARTIALLY_FILLED => OrderEvent::PARTIALLY_FILLED,
            ExecutionKind::FILLED => OrderEvent::FILLED,
            ExecutionKind::CANCELLED => OrderEvent::CANCELLED,
            ExecutionKind::EXPIRED => OrderEvent::EXPIRED,
            ExecutionKind::REPLACED => OrderEvent::REPLACED,
            ExecutionKind::CANCEL_REJECTED | ExecutionKind::REPLACE_REJECTED if contradicts => {
                OrderEvent::UNKNOWN
            }
            ExecutionKind::CANCEL_REJECTED => OrderEvent::CANCEL_REJECTED,
            ExecutionKind::REPLACE_REJECTED => OrderEvent::REPLACE_REJECTED,
            ExecutionKind::UNKNOWN => OrderEvent::UNKNOWN,
            _ => return None,
        })
    }

    /// Takes over the price and volume at which the venue says the order works.
    fn take_terms(&mut self, report: &ExecutionReport) {
        if self.state.is_final() || self.order_type != OrderType::LIMIT {
            return;
        }
        match report.kind {
            ExecutionKind::ACCEPTED if report.price.0 != 0 => self.price = report.price,
            ExecutionKind::REPLACED => {
                if report.price.0 != 0 {
                    self.price = report.price;
                } else if self.price_pending.0 != 0 {
                    self.price = self.price_pending;
                }
                if report.leaves_lots.0 > 0 {
                    self.lots = Lots(self.filled.0.saturating_add(report.leaves_lots.0));
                }
                self.price_pending = Points(0);
            }
            ExecutionKind::REPLACE_REJECTED => self.price_pending = Points(0),
            _ => {}
        }
    }
}

/// Whether a report of this kind brings volume.
pub(crate) const fn is_fill(kind: ExecutionKind) -> bool {
    matches!(kind, ExecutionKind::PARTIALLY_FILLED | ExecutionKind::FILLED)
}
