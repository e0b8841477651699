//! Reconciling: what a statement of the venue does to the orders.
//!
//! ```text
//!  begin > order, order, ... > end
//!          |                   `- a live order that was not listed: its outcome is unknown, the venue is asked
//!          |- as we know it: nothing      |- unknown: it rests where it is said to
//!          `- known otherwise: taken over, told    `- not ours, or ended: told, never taken over
//! ```
//!
//! The venue is right about what it holds. Invariants: a statement that says what is known changes nothing; nothing is
//! sent because of one but questions; a final order stays final.

use pawl_journal::record::{
    Alert, AlertCode, Lots, OrderEvent, OrderState, OrderType, Points, Reconciled, Severity, StatementItem,
    Step, Time,
};

use super::stage::{Order, push_change, unknown_alert};
use super::{Book, Change, OrderEntry, state};

/// What an order in a statement is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    /// As we know it.
    Same,
    /// Its outcome was unknown, and is told.
    Answered(Change),
    /// Known otherwise: taken over. Its filled volume as we knew it.
    Differs(Change, Lots),
    /// None that lives here.
    Foreign,
}

impl Book {
    /// A statement is to come; what an unfinished one before it listed no longer counts.
    pub(crate) fn begin_statement(&mut self) {
        self.live.iter_mut().for_each(|order| order.stated = false);
    }

    /// Takes in an open order of a statement.
    pub(crate) fn reconcile(&mut self, item: &Reconciled) -> Stated {
        let Some(order) = self
            .live
            .iter_mut()
            .find(|order| order.id == item.client_order_id && order.instrument == item.instrument)
        else {
            return Stated::Foreign;
        };
        order.stated = true;
        let (from, before) = (order.state, *order);
        order.take_over(item);
        let differs = (from != OrderState::UNKNOWN && *order != before) || order.filled != before.filled;
        if !differs && from != OrderState::UNKNOWN {
            return Stated::Same;
        }
        let event = OrderEvent::RECONCILED;
        if let Ok(next) = state::next(from, event, order.filled.0 > 0) {
            order.state = next.state;
        }
        let change = Change { order: *order, from, event, fill: Lots(0), is_visible: true };
        self.set_due();
        if differs { Stated::Differs(change, before.filled) } else { Stated::Answered(change) }
    }

    /// Ends a statement that takes reports up to `execution_sequence` into account: orders that it did not list have an
    /// unknown outcome from here on, and `tell` is told of each.
    pub(crate) fn end_statement(
        &mut self,
        execution_sequence: u64,
        now: Time,
        mut tell: impl FnMut(&Change),
    ) {
        self.seen.insert_to(execution_sequence);
        for index in 0..self.live.len() {
            let OrderEntry { id, state, stated, .. } = self.live[index];
            if !stated
                && state != OrderState::UNKNOWN
                && let Some(change) = self.request(id, OrderEvent::UNKNOWN, now)
            {
                tell(&change);
            }
        }
        self.begin_statement();
        self.set_due();
    }
}

impl OrderEntry {
    /// Takes over filled volume and terms. The terms of an order whose replace is under way may be the old or the new.
    fn take_over(&mut self, item: &Reconciled) {
        let more = item.filled_lots.0.saturating_sub(self.filled.0);
        let price = if item.price.0 != 0 { item.price } else { self.price };
        self.filled_cost = self.filled_cost.saturating_add(price.0.saturating_mul(more));
        self.filled = item.filled_lots;
        if self.state == OrderState::PENDING_REPLACE || self.order_type != OrderType::LIMIT {
            return;
        }
        (self.price, self.lots) = (price, item.lots);
        if self.state == OrderState::UNKNOWN {
            self.price_pending = Points(0);
        }
    }
}

impl Order {
    /// The first step of a run.
    pub fn begin_run(&mut self) {
        self.book.begin_statement();
    }

    /// Takes in an item of a statement of the venue.
    pub(super) fn on_reconciled(&mut self, item: &Reconciled, step: &mut Step) {
        let alert = Alert {
            client_order_id: item.client_order_id,
            instrument: item.instrument,
            severity: Severity::CRITICAL,
            ..Alert::default()
        };
        match item.item {
            StatementItem::ORDER => match self.book.reconcile(item) {
                Stated::Same => {}
                Stated::Answered(change) => push_change(step, &change),
                Stated::Differs(change, knew) => {
                    push_change(step, &change);
                    let (observed, limit) = (item.filled_lots.0, knew.0);
                    step.push(&Alert { code: AlertCode::ORDER_DIFFERS, observed, limit, ..alert });
                }
                Stated::Foreign => step.push(&Alert { code: AlertCode::UNKNOWN_ORDER, ..alert }),
            },
            StatementItem::END => {
                let now = step.time();
                self.book.end_statement(item.execution_sequence, now, |change| {
                    push_change(step, change);
                    step.push(&unknown_alert(&change.order, now));
                });
            }
            _ => {}
        }
    }
}
