//! `Order`: an order that lives at the paper venue, and the rules by which a quote fills it.

use pawl_engine::stateful;
use pawl_journal::record::{
    ClientOrderId, ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros, OrderRequest, OrderType,
    Points, RejectReason, Side, Time,
};

use crate::random::Random;

/// The best prices of an instrument. Zero is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Quote {
    pub(super) bid: Points,
    pub(super) ask: Points,
}

stateful!(Quote { bid, ask });

impl Quote {
    /// The price that an order of this side trades at.
    pub(super) const fn against(self, side: Side) -> Points {
        if side.0 == Side::BUY.0 { self.ask } else { self.bid }
    }

    /// Whether there is a price on both sides.
    pub(super) const fn is_there(self) -> bool {
        self.bid.0 > 0 && self.ask.0 >= self.bid.0
    }
}

/// The chances that decide a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FillRules {
    /// Most points a fill at the quote is worse.
    pub(super) slippage_points: i64,
    /// Chance of a fill in two parts, in millionths.
    pub(super) partial_ppm: i64,
}

/// An order that lives at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Order {
    pub(super) id: ClientOrderId,
    pub(super) venue_id: u64,
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) order_type: OrderType,
    /// Limit price; for a market order the worst acceptable one, 0 is any.
    pub(super) limit: Points,
    pub(super) lots: Lots,
    pub(super) filled: Lots,
    /// When it is dropped: just after its validity. `Time(i64::MAX)` is never.
    pub(super) expires: Time,
    /// Its fill was split already: the rest comes in one piece.
    pub(super) split: bool,
    pub(super) random: Random,
}

stateful!(Order { id, venue_id, instrument, side, order_type, limit, lots, filled, expires, split, random });

/// What a quote means for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// Trade so much at this price.
    Fill(Lots, Points),
    /// The limit is not reached.
    NotReached,
    /// The price is worse than a market order accepts.
    Worse,
}

impl Order {
    /// The order that a request asks for.
    pub(super) fn new(request: &OrderRequest, random: Random) -> Self {
        Self {
            id: request.client_order_id,
            venue_id: 0,
            instrument: request.instrument,
            side: request.side,
            order_type: request.order_type,
            limit: request.price,
            lots: request.lots,
            filled: Lots(0),
            expires: expiry(request.valid_until),
            split: false,
            random,
        }
    }

    /// Volume still working.
    pub(super) const fn leaves(&self) -> Lots {
        Lots(self.lots.0 - self.filled.0)
    }

    /// A report about this order as it is now.
    pub(super) fn report(&self, kind: ExecutionKind, time: Time) -> ExecutionReport {
        ExecutionReport {
            client_order_id: self.id,
            venue_order_id: self.venue_id,
            source_time: time,
            leaves_lots: self.leaves(),
            kind,
            instrument: self.instrument,
            side: self.side,
            ..ExecutionReport::default()
        }
    }

    /// A report that the order works, with its working price: none for a market order.
    pub(super) fn report_working(&self, kind: ExecutionKind, time: Time) -> ExecutionReport {
        let price = if self.order_type == OrderType::LIMIT { self.limit } else { Points(0) };
        ExecutionReport { price, ..self.report(kind, time) }
    }

    /// A report that the order ended unfilled or in part.
    pub(super) fn report_ended(
        &self,
        kind: ExecutionKind,
        reason: RejectReason,
        time: Time,
    ) -> ExecutionReport {
        ExecutionReport { leaves_lots: Lots(0), reason, ..self.report(kind, time) }
    }

    /// Takes a fill and reports it.
    pub(super) fn fill(
        &mut self,
        lots: Lots,
        price: Points,
        commission: Micros,
        time: Time,
    ) -> ExecutionReport {
        self.filled += lots;
        self.split |= self.leaves().0 > 0;
        let kind = if self.leaves().0 == 0 { ExecutionKind::FILLED } else { ExecutionKind::PARTIALLY_FILLED };
        ExecutionReport { price, lots, commission, ..self.report(kind, time) }
    }

    /// What the quote that it meets on arrival means for it: market orders and reached limits trade at the quote,
    /// with slippage, a limit order never beyond its limit.
    pub(super) fn meet(&mut self, quote: Quote, rules: FillRules) -> Match {
        let raw = quote.against(self.side);
        let slippage = self.random.below(rules.slippage_points as u64 + 1) as i64;
        let price = Points((raw.0 + self.side.sign() * slippage).max(1));
        if self.order_type == OrderType::LIMIT {
            if !self.accepts(raw) {
                return Match::NotReached;
            }
            let price = if self.accepts(price) { price } else { self.limit };
            return Match::Fill(self.portion(rules), price);
        }
        if self.limit.0 != 0 && !self.accepts(price) {
            return Match::Worse;
        }
        Match::Fill(self.portion(rules), price)
    }

    /// What a later quote means for it: a limit order that waited trades at its limit, the rest of a market order at
    /// the quote, with slippage.
    pub(super) fn meet_later(&mut self, quote: Quote, rules: FillRules) -> Match {
        if self.order_type != OrderType::LIMIT {
            return self.meet(quote, rules);
        }
        if self.accepts(quote.against(self.side)) {
            Match::Fill(self.portion(rules), self.limit)
        } else {
            Match::NotReached
        }
    }

    const fn accepts(&self, price: Points) -> bool {
        if self.side.0 == Side::BUY.0 { price.0 <= self.limit.0 } else { price.0 >= self.limit.0 }
    }

    /// How much of the rest is there to trade with: all of it, or by chance, once in an order's life, a part.
    fn portion(&mut self, rules: FillRules) -> Lots {
        let leaves = self.leaves();
        if self.split || leaves.0 < 2 || !self.random.chance(rules.partial_ppm) {
            return leaves;
        }
        Lots(1 + self.random.below(leaves.0 as u64 - 1) as i64)
    }
}

/// When an order that is valid up to and including this time is dropped; 0 is never.
pub(super) const fn expiry(valid_until: Time) -> Time {
    if valid_until.0 == 0 { Time(i64::MAX) } else { Time(valid_until.0.saturating_add(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pawl_journal::record::{OrderAction, TimeInForce};

    const QUOTE: Quote = Quote { bid: Points(100), ask: Points(102) };

    fn order(side: Side, order_type: OrderType, price: i64, lots: i64) -> Order {
        let request = OrderRequest {
            client_order_id: ClientOrderId(64),
            lots: Lots(lots),
            price: Points(price),
            side,
            action: OrderAction::NEW,
            order_type,
            time_in_force: TimeInForce::GTC,
            ..OrderRequest::default()
        };
        Order::new(&request, Random::new(5))
    }

    #[test]
    fn a_quote_meets_each_kind_of_order_in_its_way() {
        use Match::{Fill, NotReached, Worse};
        let rules = FillRules { slippage_points: 0, partial_ppm: 0 };
        let (market, limit) = (OrderType::MARKET, OrderType::LIMIT);
        for (side, order_type, price, at_arrival, later) in [
            (Side::BUY, market, 0, Fill(Lots(9), Points(102)), Fill(Lots(9), Points(102))),
            (Side::SELL, market, 0, Fill(Lots(9), Points(100)), Fill(Lots(9), Points(100))),
            (Side::BUY, market, 102, Fill(Lots(9), Points(102)), Fill(Lots(9), Points(102))),
            (Side::BUY, market, 101, Worse, Worse),
            (Side::SELL, market, 101, Worse, Worse),
            (Side::BUY, limit, 101, NotReached, NotReached),
            (Side::SELL, limit, 101, NotReached, NotReached),
            (Side::BUY, limit, 105, Fill(Lots(9), Points(102)), Fill(Lots(9), Points(105))),
            (Side::SELL, limit, 97, Fill(Lots(9), Points(100)), Fill(Lots(9), Points(97))),
        ] {
            assert_eq!(
                order(side, order_type, price, 9).meet(QUOTE, rules),
                at_arrival,
                "{side} {order_type} {price}"
            );
            assert_eq!(
                order(side, order_type, price, 9).meet_later(QUOTE, rules),
                later,
                "{side} {order_type} {price}"
            );
        }
    }

    #[test]
    fn slippage_is_against_us_and_stops_at_a_limit() {
        let rules = FillRules { slippage_points: 5, partial_ppm: 0 };
        let mut seen = [false; 6];
        for seed in 0..200 {
            let mut buy = order(Side::BUY, OrderType::MARKET, 0, 1);
            buy.random = Random::new(seed);
            let Match::Fill(_, price) = buy.meet(QUOTE, rules) else { panic!("a market order trades") };
            seen[(price.0 - 102) as usize] = true;
            let mut sell = order(Side::SELL, OrderType::LIMIT, 98, 1);
            sell.random = Random::new(seed);
            let Match::Fill(_, price) = sell.meet(QUOTE, rules) else { panic!("the limit is reached") };
            assert!((98..=100).contains(&price.0), "{price}");
        }
        assert_eq!(seen, [true; 6]);
        let penny = Quote { bid: Points(1), ask: Points(2) };
        let Match::Fill(_, price) = order(Side::SELL, OrderType::MARKET, 0, 1).meet(penny, rules) else {
            panic!("a market order trades")
        };
        assert_eq!(price, Points(1), "no one sells below one point");
    }

    #[test]
    fn an_order_is_split_once_at_most() {
        let rules = FillRules { slippage_points: 0, partial_ppm: 1_000_000 };
        let mut buy = order(Side::BUY, OrderType::MARKET, 0, 10);
        let Match::Fill(first, price) = buy.meet(QUOTE, rules) else { panic!("a market order trades") };
        assert!((1..10).contains(&first.0));
        let report = buy.fill(first, price, Micros(7), Time(1));
        assert_eq!((report.kind, report.leaves_lots.0), (ExecutionKind::PARTIALLY_FILLED, 10 - first.0));
        assert_eq!(buy.meet_later(QUOTE, rules), Match::Fill(Lots(10 - first.0), Points(102)));
        assert_eq!(
            order(Side::BUY, OrderType::MARKET, 0, 1).meet(QUOTE, rules),
            Match::Fill(Lots(1), Points(102))
        );
    }
}
