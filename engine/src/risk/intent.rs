//! From a signal to a verdict: what is wanted, how much of it, and every reason against it.
//!
//! ```text
//!  signal --> intent ----> size ----------> reasons ------------------> verdict
//!             up, down     risk fraction    against the whole order     approved, perhaps cut
//!             from what    of the equity    against its adding part     refused, with every reason
//!             is held                       cuts (order, position)
//! ```
//!
//! What a signal wants: holding in its direction, or an order on the way there, wants nothing; an order on the way
//! in the other direction wants its cancel; anything else wants one order that closes what is held the other way
//! and opens the new side. A refusal that repeats the last one of the same source is not written again.

use pawl_journal::record::{
    ClientOrderId, LimitName, LinkState, Lots, OrderAction, OrderEvent, OrderState, OrderType, Outcome,
    Points, Reasons, Side, SignalFlags, Step, Time, TimeInForce, Verdict, VerdictSource,
};

use super::Risk;
use super::desk::{Desk, Refusal};
use super::money::lots_at_risk;
use crate::order::{OrderEntry, OrderStyle, state};

/// Reasons that forbid the adding part of an order and leave its closing part alone.
const AGAINST_ADDING: Reasons = Reasons(
    Reasons::HALTED.0
        | Reasons::REDUCE_ONLY.0
        | Reasons::MAX_DAILY_LOSS.0
        | Reasons::MAX_DRAWDOWN.0
        | Reasons::NO_CONVERSION.0
        | Reasons::MIN_VOLUME.0,
);

/// A volume, from what is wanted to what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// What closes the other side, and what the sizing adds.
    pub(super) wanted: i64,
    /// What remains after cuts.
    pub(super) allowed: i64,
    /// Why it is less.
    pub(super) cuts: Reasons,
}

impl Risk {
    /// Acts on the last signal of an instrument.
    pub(super) fn on_signal(&mut self, index: usize, step: &mut Step) {
        let now = step.time();
        let desk = &mut self.desks[index];
        let direction = desk.signal.direction.sign();
        if direction != desk.stopped {
            desk.stopped = 0;
        }
        if direction == 0 || direction == desk.stopped || self.closing & 1 << index != 0 {
            return;
        }
        let (id, net, side) = (desk.id, desk.position.net, Side::of_sign(direction));
        if self.book.of(id).any(|order| order.side != side && order.state != OrderState::UNKNOWN) {
            return self.turn_back(index, side, step);
        }
        let on_the_way =
            self.book.of(id).any(|order| order.side == side && order.state != OrderState::UNKNOWN);
        if on_the_way
            || net.signum() == direction
            || !self.desks[index].may_try(side, VerdictSource::SIGNAL, now)
        {
            return;
        }
        self.enter(index, side, step);
    }

    /// Cancels the orders that a signal sent the other way.
    fn turn_back(&mut self, index: usize, side: Side, step: &mut Step) {
        let id = self.desks[index].id;
        for at in 0..self.book.live().len() {
            let order = self.book.live()[at];
            if order.instrument == id && order.side != side && order.source == VerdictSource::SIGNAL {
                self.cancel(&order, VerdictSource::SIGNAL, step);
            }
        }
    }

    fn enter(&mut self, index: usize, side: Side, step: &mut Step) {
        let now = step.time();
        let desk = &self.desks[index];
        let price = self.price_of(desk, side);
        let size = self.size(index, side);
        let mut against = self.against_market(desk, now);
        against = against.with(self.against_signal(desk)).with(self.against_price(desk, side, price));
        against.set_if(Reasons::MAX_ORDER_RATE, self.is_rate_full(now));
        against.set_if(Reasons::MAX_OPEN_ORDERS, self.is_open_full());
        against.set_if(Reasons::UNKNOWN_ORDER, self.is_frozen(desk));
        let limit = self.terms.style == OrderStyle::Limit;
        let verdict = Verdict {
            wanted_lots: Lots(size.wanted),
            price,
            valid_for_ns: self.terms.valid_for_ns,
            source: VerdictSource::SIGNAL,
            order_type: if limit { OrderType::LIMIT } else { OrderType::MARKET },
            time_in_force: if limit { TimeInForce::GTC } else { TimeInForce::IOC },
            ..new_verdict(desk, side, OrderAction::NEW)
        };
        if against.is_empty() && size.allowed > 0 {
            self.answer(Verdict { approved_lots: Lots(size.allowed), reasons: size.cuts, ..verdict }, step);
            return;
        }
        // A cut that leaves something refuses nothing.
        let cuts = if size.allowed > 0 { Reasons(size.cuts.0 & AGAINST_ADDING.0) } else { size.cuts };
        self.answer(Verdict { reasons: against.with(cuts), ..verdict }, step);
    }

    /// How much to order: all that is held the other way, and what the risk fraction allows on top, cut to the
    /// limits. The sizing alone never wants more than the instrument's largest order.
    pub(super) fn size(&self, index: usize, side: Side) -> Size {
        let desk = &self.desks[index];
        let held = side.sign().saturating_mul(desk.position.net);
        let close = held.saturating_neg().max(0);
        let rate = self.rate_of(index);
        let sized = rate.map_or(0, |rate| {
            let (fraction, stop) = (self.sizing.fraction_ppm, desk.stop_points);
            lots_at_risk(self.account.equity(), fraction, stop, desk.point_value, rate).min(desk.volume_max)
        });
        let wanted = close.saturating_add(sized);
        let step = desk.instrument.volume_step;
        let order_max = self.limits.lots(LimitName::MAX_ORDER, step).0.min(desk.volume_max);
        let working = self.book.working(desk.id, side);
        let room = self
            .limits
            .lots(LimitName::MAX_POSITION, step)
            .0
            .saturating_sub(held.max(0).saturating_add(working));
        let closing = close.min(order_max);
        let mut cuts = self.latch.reasons();
        cuts.set_if(Reasons::NO_CONVERSION, rate.is_none());
        cuts.set_if(Reasons::MIN_VOLUME, rate.is_some() && sized < desk.volume_min);
        cuts.set_if(Reasons::MAX_ORDER, wanted > order_max);
        cuts.set_if(Reasons::MAX_POSITION, sized > room);
        let adding = sized.min(order_max - closing).min(room);
        let adding = if cuts.any(AGAINST_ADDING) || adding < desk.volume_min { 0 } else { adding };
        Size { wanted, allowed: closing + adding, cuts }
    }

    /// A limit order that is too far from where the quote would put it now is moved, while the signal still wants it.
    pub(super) fn reprice(&mut self, index: usize, step: &mut Step) {
        if self.terms.reprice_points == 0 || self.book.live().is_empty() || self.closing & 1 << index != 0 {
            return;
        }
        for at in 0..self.book.live().len() {
            let order = self.book.live()[at];
            let desk = &self.desks[index];
            let wanted = order.instrument == desk.id
                && order.order_type == OrderType::LIMIT
                && state::next(order.state, OrderEvent::REPLACE, false).is_ok()
                && desk.signal.direction.sign() == order.side.sign();
            if !wanted {
                continue;
            }
            let price = desk.market.resting(order.side, self.terms.limit_offset);
            if price.0.abs_diff(order.price.0) <= self.terms.reprice_points.unsigned_abs() {
                continue;
            }
            let now = step.time();
            let mut against =
                self.against_market(desk, now).with(self.against_price(desk, order.side, price));
            against = against.with(self.latch.reasons());
            against.set_if(Reasons::MAX_ORDER_RATE, self.is_rate_full(now));
            against.set_if(Reasons::UNKNOWN_ORDER, self.is_frozen(desk));
            let verdict = Verdict {
                target: order.id,
                wanted_lots: order.lots,
                approved_lots: if against.is_empty() { order.lots } else { Lots(0) },
                reasons: against,
                price,
                valid_for_ns: order.valid_for_ns,
                source: VerdictSource::SIGNAL,
                order_type: order.order_type,
                time_in_force: TimeInForce::GTC,
                ..new_verdict(desk, order.side, OrderAction::REPLACE)
            };
            self.answer(verdict, step);
        }
    }

    /// Asks for the cancel of an order, at most once per `retry_after`. The order rate does not stop a cancel.
    pub(super) fn cancel(&mut self, order: &OrderEntry, source: VerdictSource, step: &mut Step) {
        let now = step.time();
        let asked_lately = order.cancel_requested.0 != 0
            && now.0.saturating_sub(order.cancel_requested.0) < self.sizing.retry_after_ns;
        if asked_lately || !state::can_cancel(order.state) {
            return;
        }
        let mut against = Reasons::NONE;
        against.set_if(Reasons::VENUE_DOWN, self.venue != LinkState::UP);
        let wanted_lots = Lots(order.leaves().0.max(1));
        let verdict = Verdict {
            reasons: against,
            target: order.id,
            wanted_lots,
            approved_lots: if against.is_empty() { wanted_lots } else { Lots(0) },
            price: order.price,
            source,
            order_type: order.order_type,
            ..new_verdict(&self.desks[usize::from(order.instrument.0)], order.side, OrderAction::CANCEL)
        };
        self.answer(verdict, step);
    }

    /// Writes a verdict: an approved one counts from this moment, a refused one is written if it is news.
    pub(super) fn answer(&mut self, mut verdict: Verdict, step: &mut Step) {
        let now = step.time();
        let is_approved = verdict.approved_lots.0 > 0;
        verdict.outcome = if is_approved { Outcome::APPROVED } else { Outcome::REFUSED };
        let refusal = if is_approved {
            Refusal::default()
        } else {
            Refusal { side: verdict.side, action: verdict.action, reasons: verdict.reasons }
        };
        let desk = &mut self.desks[usize::from(verdict.instrument.0)];
        if !desk.note(verdict.source, refusal) {
            return;
        }
        step.push(&verdict);
        if !is_approved {
            return;
        }
        self.rate.push(now);
        let change = match verdict.action {
            OrderAction::NEW => {
                let id = ClientOrderId::of_step(step.sequence(), self.news);
                self.news += 1;
                self.book.submit(OrderEntry::new(id, &verdict, now))
            }
            OrderAction::REPLACE => self.book.replace(verdict.target, verdict.price, now),
            _ => self.book.cancel(verdict.target, now),
        };
        assert!(change.is_some(), "risk approves what its book can hold and the order's state allows");
    }

    /// Against an order, whatever it is: the quote, the feed and the venue.
    fn against_market(&self, desk: &Desk, now: Time) -> Reasons {
        let market = &desk.market;
        let mut against = Reasons::NONE;
        let too_old = market.age(now) > self.limits.get(LimitName::MAX_QUOTE_AGE);
        against.set_if(Reasons::STALE_TICK, !market.is_quoted() || too_old);
        against.set_if(Reasons::MARKED_TICK, !market.marks.is_empty());
        // A spread as wide as the stop would close the position with the quote that opened it.
        let spread = market.spread();
        let too_wide = spread > self.limits.spread(&desk.instrument) || spread >= desk.stop_points;
        against.set_if(Reasons::MAX_SPREAD, too_wide);
        against.set_if(Reasons::FEED_GAP, market.feed != LinkState::UP);
        against.set_if(Reasons::VENUE_DOWN, self.venue != LinkState::UP);
        against.set_if(Reasons::NOT_RECONCILED, self.reconciling);
        against
    }

    fn against_signal(&self, desk: &Desk) -> Reasons {
        let signal = &desk.signal;
        let too_old = signal.age_ns > self.limits.get(LimitName::MAX_PREDICTION_AGE);
        let mut against = Reasons::NONE;
        against.set_if(Reasons::STALE_PREDICTION, too_old || signal.flags.has(SignalFlags::STALE));
        against.set_if(Reasons::UNREADY_PREDICTION, signal.flags.has(SignalFlags::UNREADY));
        against
    }

    /// Against the price: a limit price, or the worst that a market order accepts, too far from the quote.
    fn against_price(&self, desk: &Desk, side: Side, price: Points) -> Reasons {
        let mut against = Reasons::NONE;
        let reference = i128::from(desk.market.taken(side));
        let distance = match self.terms.style {
            OrderStyle::Limit => (i128::from(price.0) - reference).abs(),
            OrderStyle::Market => i128::from(self.terms.deviation),
        };
        let band = i128::from(self.limits.get(LimitName::PRICE_BAND));
        let limit_without_price = self.terms.style == OrderStyle::Limit && price.0 <= 0;
        let too_far = distance * 1_000_000 > band * reference || limit_without_price;
        against.set_if(Reasons::PRICE_BAND, desk.market.is_quoted() && too_far);
        against
    }

    fn price_of(&self, desk: &Desk, side: Side) -> Points {
        match self.terms.style {
            OrderStyle::Limit => desk.market.resting(side, self.terms.limit_offset),
            OrderStyle::Market => Points(0),
        }
    }

    fn is_rate_full(&self, now: Time) -> bool {
        let limit = self.limits.get(LimitName::MAX_ORDER_RATE);
        self.rate.is_full(usize::try_from(limit).unwrap_or(usize::MAX), now)
    }

    fn is_open_full(&self) -> bool {
        self.book.is_full() || self.book.live().len() as i64 >= self.limits.get(LimitName::MAX_OPEN_ORDERS)
    }

    /// Whether an order of the instrument has an unknown outcome.
    pub(super) fn is_frozen(&self, desk: &Desk) -> bool {
        self.book.of(desk.id).any(|order| order.state == OrderState::UNKNOWN)
    }
}

/// A verdict with what every verdict of an instrument and side has.
pub(super) fn new_verdict(desk: &Desk, side: Side, action: OrderAction) -> Verdict {
    Verdict {
        reference: Points(desk.market.taken(side)),
        position_lots: Lots(desk.position.net),
        instrument: desk.id,
        side,
        action,
        ..Verdict::default()
    }
}
