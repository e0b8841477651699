//! `Ledger`: every order with what became of it, every round trip with what it earned, and what trading cost.
//!
//! ```text
//! net lots   0 --+2--> 2 --+1--> 3 --3--> 0      one round trip: from flat to flat, however many orders
//!            0 --+2--> 2 --5---> -3              a fill that crosses zero closes one and opens the next
//! ```
//!
//! A round trip from flat to flat has the same profit whichever way its parts are matched, first in first out or at
//! average cost. Profit and commission are the engine's own (`PositionChanged`), split by lots where a fill crosses zero.
//! The cost of a fill is measured against the quote at which its order was decided: half the spread, and how much worse
//! than the quote the fill was.

use std::collections::BTreeMap;

use pawl_journal::record::{
    ClientOrderId, ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros, OrderChanged, OrderRequest,
    OrderState, OrderType, Points, PositionChanged, Reasons, RejectReason, Sequence, Side, Time, Verdict,
    VerdictSource,
};

use super::valuation::{Quote, Valuation, saturate};
use super::votes::Share;

/// An order, or what risk refused to make one of.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderLine {
    /// The order; 0 if risk refused it.
    pub order: ClientOrderId,
    /// The step that decided.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// Of what.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Side,
    /// Its volume; what was wanted if it was refused.
    pub lots: Lots,
    /// Market or limit.
    pub order_type: OrderType,
    /// Its limit price; 0 for a market order.
    pub price: Points,
    /// Who wanted it.
    pub source: VerdictSource,
    /// Where it is in its life; none for a refusal.
    pub state: OrderState,
    /// Why risk refused it; empty for an order.
    pub refused: Reasons,
    /// Why the venue rejected it.
    pub rejected: RejectReason,
    /// Fills that counted.
    pub fills: u32,
    /// Volume filled.
    pub filled_lots: Lots,
    /// Sum of price times lots of its fills, points x lots.
    pub filled_cost: i128,
    /// What its fills realised, less their commission; none without fills.
    pub profit: Option<Micros>,
    /// The round trip that it closed, or a part of it: a place in the list of trips.
    pub closed: Option<usize>,
    /// The round trip that it opened, or added to.
    pub opened: Option<usize>,
    /// When the venue first said something about it.
    pub answered: Option<Time>,
    /// Whose it is; nobody's if a limit or an operator wanted it.
    pub shares: Vec<Share>,
    /// The quote at the decision.
    quote: Option<Quote>,
}

/// From flat to flat.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// Of what.
    pub instrument: InstrumentId,
    /// Which way its first fill went.
    pub side: Side,
    /// Time of its first fill.
    pub opened: Time,
    /// Time of the fill that closed it; none while it is open.
    pub closed: Option<Time>,
    /// The order that opened it.
    pub opening_order: ClientOrderId,
    /// The order that closed it; the last that did a part of it.
    pub closing_order: Option<ClientOrderId>,
    /// Volume of all fills that opened or added.
    pub entry_lots: Lots,
    /// Their price times lots, points x lots.
    pub entry_cost: i128,
    /// Volume of all fills that closed.
    pub exit_lots: Lots,
    /// Their price times lots.
    pub exit_cost: i128,
    /// Realised, account currency, without commission.
    pub realised: Micros,
    /// Commission of its fills.
    pub commission: Micros,
    /// What closing it at the journal's end would realise; 0 once it is closed.
    pub unrealised: Micros,
    /// Whose the order was that opened it.
    pub shares: Vec<Share>,
    /// It was open where a pruned journal begins, or a statement of the venue moved it: what it earned is not known.
    pub carried: bool,
}

impl Trip {
    /// Realised and unrealised, less commission.
    #[must_use]
    pub fn profit(&self) -> Micros {
        self.realised + self.unrealised - self.commission
    }

    /// Whether it counts: closed, and known from its beginning.
    #[must_use]
    pub const fn counts(&self) -> bool {
        self.closed.is_some() && !self.carried
    }
}

/// What trading cost. A cost is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    /// What the venue charged.
    pub commission: Micros,
    /// Half the spread at the decision, for every lot filled.
    pub spread: Micros,
    /// How much worse than the quote at the decision the fills were; negative if better, as resting orders are.
    pub slippage: Micros,
    /// Fills of orders without a known quote, in neither spread nor slippage.
    pub unquoted_fills: u64,
}

impl Costs {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Micros {
        self.commission + self.spread + self.slippage
    }

    pub(super) fn add(&mut self, other: Self) {
        self.commission += other.commission;
        self.spread += other.spread;
        self.slippage += other.slippage;
        self.unquoted_fills += other.unquoted_fills;
    }
}

/// One instrument as the ledger follows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub(super) net: i64,
    pub(super) realised: Micros,
    pub(super) commission: Micros,
    pub(super) costs: Costs,
    pub(super) fills: u64,
    pub(super) traded_lots: i64,
    /// Price times lots times contract size of all fills, account currency.
    pub(super) turnover: i128,
    pub(super) held_ns: i64,
    since: Option<Time>,
    trip: Option<usize>,
    /// False in a pruned journal until the first position is told.
    known: bool,
}

/// What became of every order, and what it earned.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) orders: Vec<OrderLine>,
    pub(super) trips: Vec<Trip>,
    pub(super) accounts: Vec<Account>,
    places: BTreeMap<u64, usize>,
}

impl Ledger {
    pub(super) fn new(instruments: usize, whole: bool) -> Self {
        let account = Account { known: whole, ..Account::default() };
        Self {
            orders: Vec::new(),
            trips: Vec::new(),
            accounts: vec![account; instruments],
            places: BTreeMap::new(),
        }
    }

    /// Risk refused a new order.
    pub(super) fn on_refusal(&mut self, verdict: &Verdict, sequence: Sequence, time: Time) {
        self.orders.push(OrderLine {
            lots: verdict.wanted_lots,
            order_type: verdict.order_type,
            price: verdict.price,
            source: verdict.source,
            refused: verdict.reasons,
            ..line(ClientOrderId(0), verdict.instrument, verdict.side, sequence, time)
        });
    }

    /// A new order left.
    pub(super) fn on_request(
        &mut self,
        request: &OrderRequest,
        (sequence, time): (Sequence, Time),
        (source, shares): (VerdictSource, Vec<Share>),
        quote: Option<Quote>,
    ) {
        self.places.insert(request.client_order_id.0, self.orders.len());
        let is_limit = request.order_type == OrderType::LIMIT;
        self.orders.push(OrderLine {
            lots: request.lots,
            order_type: request.order_type,
            price: if is_limit { request.price } else { Points(0) },
            source,
            shares,
            quote,
            ..line(request.client_order_id, request.instrument, request.side, sequence, time)
        });
    }

    /// An order went on in its life.
    pub(super) fn on_change(&mut self, change: &OrderChanged) {
        let Some(order) = self.order(change.client_order_id) else { return };
        order.state = change.to;
        order.lots = change.lots;
        (order.filled_lots, order.filled_cost) = (change.filled_lots, i128::from(change.filled_cost));
        if change.price.0 != 0 && order.order_type == OrderType::LIMIT {
            order.price = change.price;
        }
    }

    /// The venue said something.
    pub(super) fn on_report(&mut self, report: &ExecutionReport, now: Time) {
        let Some(order) = self.order(report.client_order_id) else { return };
        order.answered = order.answered.or(Some(now));
        if report.kind == ExecutionKind::REJECTED {
            order.rejected = report.reason;
        }
    }

    fn order(&mut self, id: ClientOrderId) -> Option<&mut OrderLine> {
        self.places.get(&id.0).map(|place| &mut self.orders[*place])
    }

    /// A fill that counted: the engine told the position that came of it.
    pub(super) fn on_fill(
        &mut self,
        report: &ExecutionReport,
        position: &PositionChanged,
        now: Time,
        valuation: &Valuation,
    ) {
        let index = usize::from(report.instrument.0);
        if index >= self.accounts.len() || report.lots.0 <= 0 {
            return;
        }
        self.carry(index, report, position, now);
        let account = &mut self.accounts[index];
        let net = account.net;
        let realised = position.realised - account.realised;
        let commission = position.commission - account.commission;
        let closing = if net.signum() == -report.side.sign() { net.abs().min(report.lots.0) } else { 0 };
        let opening = report.lots.0 - closing;
        (account.net, account.realised, account.commission) =
            (position.net_lots.0, position.realised, position.commission);
        let at_exit = if opening == 0 { commission } else { part(commission, closing, report.lots.0) };

        let place = self.places.get(&report.client_order_id.0).copied();
        let closed = self.accounts[index].trip.filter(|_| closing > 0);
        if let Some(trip) = closed {
            self.close(trip, report, closing, (realised, at_exit), now);
        }
        let opened =
            (opening > 0).then(|| self.open(index, place, report, opening, commission - at_exit, now));
        self.count(index, place, report, commission, valuation);
        if let Some(order) = place.map(|place| &mut self.orders[place]) {
            order.fills += 1;
            order.profit = Some(order.profit.unwrap_or_default() + realised - commission);
            order.closed = closed.or(order.closed);
            order.opened = opened.or(order.opened);
        }
    }

    /// The first fill in a pruned journal tells what was held before it.
    fn carry(&mut self, index: usize, report: &ExecutionReport, position: &PositionChanged, now: Time) {
        let account = &mut self.accounts[index];
        if account.known {
            return;
        }
        account.known = true;
        account.net = position.net_lots.0 - report.side.sign() * report.lots.0;
        // What was realised before is not in the journal any more: counting begins here.
        account.realised = position.realised;
        account.commission = position.commission - report.commission;
        if account.net != 0 {
            account.trip = Some(self.trips.len());
            account.since = Some(now);
            let side = Side::of_sign(account.net);
            self.trips.push(Trip { carried: true, ..trip(ClientOrderId(0), report.instrument, side, now) });
        }
    }

    /// A statement of the venue moved a position: what was open is over without a fill, and what is held now came from
    /// elsewhere. Neither is a round trip that counts.
    pub(super) fn on_statement(&mut self, position: &PositionChanged, now: Time) {
        let Some(account) = self.accounts.get_mut(usize::from(position.instrument.0)) else { return };
        account.known = true;
        account.net = position.net_lots.0;
        (account.realised, account.commission) = (position.realised, position.commission);
        account.held_ns += account.since.take().map_or(0, |since| now.0 - since.0);
        if let Some(trip) = account.trip.take() {
            let trip = &mut self.trips[trip];
            (trip.closed, trip.carried) = (Some(now), true);
        }
        if account.net != 0 {
            account.trip = Some(self.trips.len());
            account.since = Some(now);
            let side = Side::of_sign(account.net);
            self.trips.push(Trip { carried: true, ..trip(ClientOrderId(0), position.instrument, side, now) });
        }
    }

    fn close(
        &mut self,
        trip: usize,
        report: &ExecutionReport,
        lots: i64,
        (realised, commission): (Micros, Micros),
        now: Time,
    ) {
        let account = &mut self.accounts[usize::from(report.instrument.0)];
        let trip = &mut self.trips[trip];
        trip.exit_lots += Lots(lots);
        trip.exit_cost += i128::from(lots) * i128::from(report.price.0);
        trip.realised += realised;
        trip.commission += commission;
        trip.closing_order = Some(report.client_order_id);
        if account.net == 0 || Side::of_sign(account.net) != trip.side {
            trip.closed = Some(now);
            account.trip = None;
            account.held_ns += account.since.take().map_or(0, |since| now.0 - since.0);
        }
    }

    fn open(
        &mut self,
        index: usize,
        place: Option<usize>,
        report: &ExecutionReport,
        lots: i64,
        commission: Micros,
        now: Time,
    ) -> usize {
        let account = &mut self.accounts[index];
        let at = *account.trip.get_or_insert(self.trips.len());
        if at == self.trips.len() {
            account.since = Some(now);
            let shares = place.map(|place| self.orders[place].shares.clone()).unwrap_or_default();
            self.trips
                .push(Trip { shares, ..trip(report.client_order_id, report.instrument, report.side, now) });
        }
        let trip = &mut self.trips[at];
        trip.entry_lots += Lots(lots);
        trip.entry_cost += i128::from(lots) * i128::from(report.price.0);
        trip.commission += commission;
        at
    }

    fn count(
        &mut self,
        index: usize,
        place: Option<usize>,
        report: &ExecutionReport,
        commission: Micros,
        valuation: &Valuation,
    ) {
        let money = |points_lots: i128| valuation.money(report.instrument, points_lots);
        let lots = i128::from(report.lots.0);
        let mut costs = Costs { commission, ..Costs::default() };
        let measured = place.and_then(|place| self.orders[place].quote).and_then(|quote| {
            let worse =
                i128::from(report.price.0 - quote.taken(report.side)) * i128::from(report.side.sign());
            Some((money(i128::from(quote.ask - quote.bid) * lots)?, money(worse * lots)?))
        });
        match measured {
            Some((spread, slippage)) => (costs.spread, costs.slippage) = (Micros(spread.0 / 2), slippage),
            None => costs.unquoted_fills = 1,
        }
        let turnover = money(i128::from(report.price.0) * lots).unwrap_or_default();
        let account = &mut self.accounts[index];
        account.costs.add(costs);
        account.fills += 1;
        account.traded_lots = account.traded_lots.saturating_add(report.lots.0);
        account.turnover += i128::from(turnover.0);
    }

    /// The journal ends: values what is open.
    pub(super) fn finish(&mut self, now: Time, valuation: &Valuation) {
        for account in &mut self.accounts {
            account.held_ns += account.since.take().map_or(0, |since| now.0 - since.0);
            if let Some(trip) = account.trip.filter(|trip| !self.trips[*trip].carried) {
                let trip = &mut self.trips[trip];
                trip.unrealised = valuation.unrealised(trip.instrument);
            }
        }
    }
}

fn line(
    order: ClientOrderId,
    instrument: InstrumentId,
    side: Side,
    sequence: Sequence,
    time: Time,
) -> OrderLine {
    OrderLine {
        order,
        sequence,
        time,
        instrument,
        side,
        lots: Lots(0),
        order_type: OrderType::MARKET,
        price: Points(0),
        source: VerdictSource::default(),
        state: OrderState::NONE,
        refused: Reasons::NONE,
        rejected: RejectReason::NONE,
        fills: 0,
        filled_lots: Lots(0),
        filled_cost: 0,
        profit: None,
        closed: None,
        opened: None,
        answered: None,
        shares: Vec::new(),
        quote: None,
    }
}

fn trip(opening_order: ClientOrderId, instrument: InstrumentId, side: Side, opened: Time) -> Trip {
    Trip {
        instrument,
        side,
        opened,
        closed: None,
        opening_order,
        closing_order: None,
        entry_lots: Lots(0),
        entry_cost: 0,
        exit_lots: Lots(0),
        exit_cost: 0,
        realised: Micros(0),
        commission: Micros(0),
        unrealised: Micros(0),
        shares: Vec::new(),
        carried: false,
    }
}

/// `amount x lots / all`, rounded toward zero.
fn part(amount: Micros, lots: i64, all: i64) -> Micros {
    Micros(saturate(i128::from(amount.0) * i128::from(lots) / i128::from(all)))
}
