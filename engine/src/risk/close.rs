//! Ways out: the stop of a position, the operator's flatten, and the cancel of what would add risk while halted.
//!
//! A close goes on until the instrument is flat: the signal's orders are cancelled first, the closing order goes out
//! when their ends are known, what it leaves is ordered again. Only a venue that is down, an order whose outcome is
//! unknown or a full book refuses it: no order limit stands between an operator and a flat book.

use pawl_journal::record::{
    LinkState, Lots, OrderAction, OrderState, OrderType, Reasons, Side, Step, TimeInForce, Verdict,
    VerdictSource,
};

use super::intent::new_verdict;
use super::{Bits, Risk};

impl Risk {
    /// Closes a position that lost `stop_points` per lot, from its average price to the side it closes at.
    pub(super) fn stop(&mut self, index: usize) {
        let desk = &mut self.desks[index];
        let net = desk.position.net;
        if net == 0 || self.closing & 1 << index != 0 {
            return;
        }
        let loss = -desk.position.profit_at(desk.market.closing(net));
        if loss >= i128::from(desk.stop_points) * i128::from(net).abs() {
            desk.stopped = net.signum();
            desk.closing = VerdictSource::LIMIT;
            self.closing |= 1 << index;
        }
    }

    /// While halted or reduce-only, cancels every order of the signal that could do more than close.
    pub(super) fn cancel_what_adds(&mut self, step: &mut Step) {
        let source = if self.latch.command || !self.latch.is_limit() {
            VerdictSource::COMMAND
        } else {
            VerdictSource::LIMIT
        };
        for at in 0..self.book.live().len() {
            let order = self.book.live()[at];
            if order.source != VerdictSource::SIGNAL {
                continue;
            }
            let net = self.desks[usize::from(order.instrument.0)].position.net;
            let closes = order.side.sign().saturating_mul(net).saturating_neg().max(0);
            let up_to_here = self.book.live()[..=at]
                .iter()
                .filter(|other| other.instrument == order.instrument && other.side == order.side);
            let leaves = up_to_here.fold(0_i64, |sum, other| sum.saturating_add(other.leaves().0));
            if leaves > closes {
                self.cancel(&order, source, step);
            }
        }
    }

    /// Goes on with every close that is under way.
    pub(super) fn work_closes(&mut self, step: &mut Step) {
        if self.latch.flatten {
            for index in 0..self.desks.len() {
                let desk = &mut self.desks[index];
                if desk.position.net != 0 || self.book.of(desk.id).next().is_some() {
                    desk.closing = VerdictSource::COMMAND;
                    self.closing |= 1 << index;
                }
            }
        }
        for index in Bits(self.closing) {
            self.close(index, step);
        }
    }

    fn close(&mut self, index: usize, step: &mut Step) {
        let (id, source) = (self.desks[index].id, self.desks[index].closing);
        for at in 0..self.book.live().len() {
            let order = self.book.live()[at];
            if order.instrument == id && order.source == VerdictSource::SIGNAL {
                self.cancel(&order, source, step);
            }
        }
        if self.book.of(id).any(|order| order.state != OrderState::UNKNOWN) {
            return;
        }
        let is_frozen = self.is_frozen(&self.desks[index]);
        let desk = &mut self.desks[index];
        let net = desk.position.net;
        if net == 0 {
            if !is_frozen {
                self.closing &= !(1 << index);
            }
            return;
        }
        let side = Side::of_sign(-net.signum());
        if !desk.may_try(side, source, step.time()) {
            return;
        }
        let mut against = Reasons::NONE;
        against.set_if(Reasons::VENUE_DOWN, self.venue != LinkState::UP);
        against.set_if(Reasons::NOT_RECONCILED, self.reconciling);
        against.set_if(Reasons::UNKNOWN_ORDER, is_frozen);
        against.set_if(Reasons::MAX_OPEN_ORDERS, self.book.is_full());
        let wanted = net.saturating_abs();
        let mut reasons = against;
        reasons.set_if(Reasons::MAX_ORDER, against.is_empty() && wanted > desk.volume_max);
        let verdict = Verdict {
            reasons,
            wanted_lots: Lots(wanted),
            approved_lots: Lots(if against.is_empty() { wanted.min(desk.volume_max) } else { 0 }),
            valid_for_ns: self.terms.valid_for_ns,
            source,
            order_type: OrderType::MARKET,
            time_in_force: TimeInForce::IOC,
            ..new_verdict(desk, side, OrderAction::NEW)
        };
        self.answer(verdict, step);
    }
}
