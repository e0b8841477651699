//! Reconciling: what a statement of the venue does to risk.
//!
//! ```text
//!  a run begins > no new risk > statement: orders, positions, balance, end > new risk, or halted until `resume`
//!                                                 |
//!                                                 `- another position: taken over at the venue's price, told, halted
//! ```
//!
//! The venue is right about what it holds. What differs is taken over, so that nobody trades on a position that is not
//! there, and a person has to look at why: no fill is made up for it, no profit is booked.

use pawl_journal::record::{
    Alert, AlertCode, InstrumentId, Lots, Points, Reconciled, Severity, StatementItem, Step,
};

use super::Risk;
use crate::order::Stated;

impl Risk {
    /// The first step of a run: no new risk until the venue has said what it holds.
    pub fn begin_run(&mut self) {
        self.reconciling = true;
        self.stated = 0;
        self.book.begin_statement();
    }

    /// Whether the venue has not said in this run what it holds.
    #[must_use]
    pub const fn is_reconciling(&self) -> bool {
        self.reconciling
    }

    /// Takes in an item of a statement of the venue.
    pub(super) fn on_reconciled(&mut self, item: &Reconciled, step: &mut Step) {
        match item.item {
            StatementItem::ORDER => {
                self.latch.reconcile |=
                    matches!(self.book.reconcile(item), Stated::Differs(..) | Stated::Foreign);
            }
            StatementItem::POSITION => {
                let index = usize::from(item.instrument.0);
                if index < self.desks.len() {
                    self.stated |= 1 << index;
                    self.take_over(index, item.lots, item.price, step);
                } else {
                    self.position_differs(item.instrument, item.lots, Lots(0), step);
                }
            }
            StatementItem::BALANCE => {
                let ours = self.account.balance;
                if item.balance != ours {
                    step.push(&Alert {
                        observed: item.balance.0,
                        limit: ours.0,
                        instrument: InstrumentId::NONE,
                        code: AlertCode::BALANCE_DIFFERS,
                        severity: Severity::WARNING,
                        ..Alert::default()
                    });
                }
            }
            StatementItem::END => {
                for index in 0..self.desks.len() {
                    if self.stated & 1 << index == 0 {
                        self.take_over(index, Lots(0), Points(0), step);
                    }
                }
                self.stated = 0;
                self.reconciling = false;
                self.book.end_statement(item.execution_sequence, step.time(), |_| {});
            }
            _ => {}
        }
    }

    /// Takes over the position that the venue tells. Without its price, what is taken over is valued from the quote in
    /// force, or else from the average that was paid for what was known.
    fn take_over(&mut self, index: usize, lots: Lots, price: Points, step: &mut Step) {
        let desk = &mut self.desks[index];
        let ours = desk.position.net;
        if lots.0 == ours {
            return;
        }
        let instrument = desk.id;
        let price = if price.0 != 0 {
            i128::from(price.0)
        } else if desk.market.is_quoted() {
            i128::from(desk.market.closing(lots.0))
        } else {
            desk.position.cost.checked_div(i128::from(ours)).unwrap_or(0)
        };
        desk.position.net = lots.0;
        desk.position.cost = i128::from(lots.0) * price;
        self.revalue(index);
        self.account.follow();
        step.push(&self.position_changed(instrument));
        step.push(&self.account.tell());
        self.position_differs(instrument, lots, Lots(ours), step);
    }

    fn position_differs(&mut self, instrument: InstrumentId, observed: Lots, limit: Lots, step: &mut Step) {
        self.latch.reconcile = true;
        step.push(&Alert {
            observed: observed.0,
            limit: limit.0,
            instrument,
            code: AlertCode::POSITION_DIFFERS,
            severity: Severity::CRITICAL,
            ..Alert::default()
        });
    }
}
