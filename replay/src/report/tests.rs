//! Tests of the ledger and the valuation on fills made by hand.

use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::Decimal;
use pawl_engine::settings::{AccountSettings, CheckpointSettings, Settings};
use pawl_journal::record::{
    AgentId, ClientOrderId, EquityChanged, ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros,
    OrderRequest, OrderType, Points, PositionChanged, Sequence, Side, Tick, Time, VerdictSource,
};

use super::figures::TripFigures;
use super::ledger::Ledger;
use super::valuation::Valuation;
use super::votes::Share;

const EURUSD: InstrumentId = InstrumentId(0);

/// An account of 100,000 dollars and one instrument.
pub(super) fn settings() -> Settings {
    Settings {
        account: AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").expect("known")],
        ingress: Default::default(),
        features: Default::default(),
        agents: Vec::new(),
        signal: Default::default(),
        risk: Default::default(),
        order: Default::default(),
        checkpoint: CheckpointSettings::default(),
    }
}

/// Feeds fills to a ledger as the engine would tell them: a position at average cost, a commission of 3 micros a fill.
struct Desk {
    ledger: Ledger,
    valuation: Valuation,
    position: PositionChanged,
    time: i64,
}

impl Desk {
    fn new(whole: bool) -> Self {
        let settings = settings();
        let valuation = Valuation::new(&settings, whole);
        Self { ledger: Ledger::new(1, whole), valuation, position: PositionChanged::default(), time: 0 }
    }

    fn tick(&mut self, bid: i64, ask: i64) {
        self.valuation.on_tick(&Tick { bid: Points(bid), ask: Points(ask), ..Tick::default() });
    }

    fn order(&mut self, id: u64, side: Side, shares: Vec<Share>) {
        let request = OrderRequest {
            client_order_id: ClientOrderId(id),
            side,
            order_type: OrderType::MARKET,
            ..OrderRequest::default()
        };
        let quote = self.valuation.quote(EURUSD);
        let decided = (Sequence(id), Time(self.time));
        self.ledger.on_request(&request, decided, (VerdictSource::SIGNAL, shares), quote);
    }

    fn fill(&mut self, id: u64, side: Side, lots: i64, price: i64) {
        self.time += 1;
        let report = ExecutionReport {
            client_order_id: ClientOrderId(id),
            kind: ExecutionKind::FILLED,
            side,
            lots: Lots(lots),
            price: Points(price),
            commission: Micros(3),
            ..ExecutionReport::default()
        };
        let net = self.position.net_lots.0;
        let closing = if net.signum() == -side.sign() { net.abs().min(lots) } else { 0 };
        let cost = if closing > 0 { self.position.entry_cost * closing / net.abs() } else { 0 };
        // One point of one lot of EURUSD is a cent: 10,000 micros.
        self.position.realised += Micros((net.signum() * closing * price - cost) * 10_000);
        self.position.entry_cost += side.sign() * (lots - closing) * price - cost;
        self.position.net_lots += Lots(side.sign() * lots);
        self.position.commission += Micros(3);
        self.ledger.on_fill(&report, &self.position, Time(self.time), &self.valuation);
        self.valuation.on_position(&self.position);
    }

    fn finish(&mut self) -> TripFigures {
        self.ledger.finish(Time(self.time + 1), &self.valuation);
        let mut figures = TripFigures::default();
        self.ledger.trips.iter().for_each(|trip| figures.add(trip, trip.profit()));
        figures
    }
}

#[test]
fn a_round_trip_goes_from_flat_to_flat_however_many_orders_it_takes() {
    let mut desk = Desk::new(true);
    desk.fill(64, Side::BUY, 2, 100);
    desk.fill(128, Side::BUY, 1, 103);
    desk.fill(192, Side::SELL, 2, 110);
    desk.fill(256, Side::SELL, 1, 90);
    let figures = desk.finish();
    let trip = &desk.ledger.trips[0];
    assert_eq!(desk.ledger.trips.len(), 1);
    assert_eq!(
        (trip.entry_lots, trip.entry_cost, trip.exit_lots, trip.exit_cost),
        (Lots(3), 303, Lots(3), 310)
    );
    assert_eq!((trip.realised, trip.commission, trip.profit()), (Micros(70_000), Micros(12), Micros(69_988)));
    assert_eq!((trip.opened, trip.closed), (Time(1), Some(Time(4))));
    assert_eq!((trip.opening_order.0, trip.closing_order.map(|it| it.0)), (64, Some(256)));
    assert_eq!((figures.count, figures.wins, figures.open, figures.held_ns), (1, 1, 0, 3));
    assert_eq!(desk.ledger.accounts[0].held_ns, 3);
}

#[test]
fn a_fill_that_crosses_zero_closes_one_round_trip_and_opens_the_next() {
    let mut desk = Desk::new(true);
    let mine = vec![Share { agent: AgentId(1), part: 1.0 }];
    desk.order(64, Side::BUY, Vec::new());
    desk.fill(64, Side::BUY, 2, 100);
    desk.order(128, Side::SELL, mine.clone());
    desk.fill(128, Side::SELL, 3, 90);
    desk.tick(80, 81);
    let figures = desk.finish();
    let [first, second] = &desk.ledger.trips[..] else { panic!("two: {:?}", desk.ledger.trips) };
    assert_eq!((first.realised, first.commission), (Micros(-200_000), Micros(3 + 2)), "two of three lots");
    assert_eq!((second.side, second.entry_lots, second.commission), (Side::SELL, Lots(1), Micros(1)));
    assert_eq!((second.shares.clone(), second.unrealised), (mine, Micros(90_000)));
    assert_eq!((figures.count, figures.losses, figures.open), (1, 1, 1));
    assert_eq!((figures.profit(), figures.open_profit), (Micros(-200_005), Micros(89_999)));
    let [buy, sell] = &desk.ledger.orders[..] else { panic!("two orders") };
    assert_eq!((buy.closed, buy.opened, sell.closed, sell.opened), (None, Some(0), Some(0), Some(1)));
    assert_eq!((buy.profit, sell.profit), (Some(Micros(-3)), Some(Micros(-200_003))));
}

#[test]
fn costs_are_measured_against_the_quote_of_the_decision() {
    let mut desk = Desk::new(true);
    desk.tick(100, 104);
    desk.order(64, Side::BUY, Vec::new());
    desk.tick(200, 204);
    desk.fill(64, Side::BUY, 10, 105);
    let costs = desk.ledger.accounts[0].costs;
    assert_eq!((costs.spread, costs.slippage), (Micros(2 * 10 * 10_000), Micros(10 * 10_000)));
    assert_eq!((costs.commission, costs.unquoted_fills), (Micros(3), 0));
    desk.fill(999, Side::SELL, 10, 105);
    let costs = desk.ledger.accounts[0].costs;
    assert_eq!(
        (costs.spread, costs.unquoted_fills),
        (Micros(200_000), 1),
        "an order that nobody decided here"
    );
    assert_eq!(desk.ledger.accounts[0].turnover, 2 * 10 * 105 * 10_000);
}

#[test]
fn a_position_from_before_a_pruned_journal_counts_for_nothing_but_its_end() {
    let mut desk = Desk::new(false);
    assert_eq!(desk.valuation.equity(), None);
    desk.tick(100, 100);
    // 5 lots were held; the engine tells an equity that knows of them.
    desk.position =
        PositionChanged { net_lots: Lots(5), entry_cost: 450, realised: Micros(77), ..desk.position };
    desk.valuation.on_equity(&EquityChanged {
        balance: Micros(1_000_000),
        equity: Micros(1_500_000),
        ..EquityChanged::default()
    });
    assert_eq!(desk.valuation.equity(), Some(Micros(1_500_000)));
    desk.fill(64, Side::SELL, 5, 100);
    desk.fill(128, Side::BUY, 1, 100);
    desk.fill(192, Side::SELL, 1, 130);
    let figures = desk.finish();
    let carried: Vec<_> = desk.ledger.trips.iter().map(|it| (it.carried, it.counts())).collect();
    assert_eq!(carried, [(true, false), (false, true)]);
    assert_eq!((figures.count, figures.profit()), (1, Micros(300_000 - 6)));
}

#[test]
fn a_position_that_a_statement_moved_counts_for_nothing_and_what_follows_counts() {
    let mut desk = Desk::new(true);
    desk.fill(64, Side::BUY, 2, 100);
    // The venue holds 5 short instead.
    desk.position = PositionChanged { net_lots: Lots(-5), entry_cost: -600, ..desk.position };
    desk.time += 1;
    desk.ledger.on_statement(&desk.position, Time(desk.time));
    desk.fill(128, Side::BUY, 5, 110);
    desk.fill(192, Side::BUY, 1, 100);
    desk.fill(256, Side::SELL, 1, 130);
    let figures = desk.finish();
    let trips: Vec<_> = desk.ledger.trips.iter().map(|it| (it.carried, it.closed, it.counts())).collect();
    assert_eq!(
        trips,
        [(true, Some(Time(2)), false), (true, Some(Time(3)), false), (false, Some(Time(5)), true)]
    );
    assert_eq!((figures.count, figures.profit()), (1, Micros(300_000 - 6)));
}

#[test]
fn equity_at_a_tick_is_what_closing_at_it_would_leave() {
    let mut settings = settings();
    let mut usdjpy = Instrument::well_known("USDJPY").expect("known");
    usdjpy.conversion = Some("USDJPY".to_owned());
    usdjpy.conversion_inverse = true;
    settings.instruments.push(usdjpy);
    settings.account.balance = Decimal(1_000 * Decimal::ONE);
    let mut valuation = Valuation::new(&settings, true);
    let jpy = InstrumentId(1);
    assert_eq!(valuation.money(jpy, 1), None, "no rate yet");
    let tick = |bid, ask| Tick { bid: Points(bid), ask: Points(ask), instrument: jpy, ..Tick::default() };
    valuation.on_tick(&tick(150_000, 150_000));
    let held = PositionChanged {
        net_lots: Lots(-10),
        entry_cost: -1_500_000,
        instrument: jpy,
        ..Default::default()
    };
    valuation.on_position(&held);
    assert_eq!(valuation.equity(), Some(Micros(1_000_000_000)));
    valuation.on_tick(&tick(149_990, 150_010));
    // Short 0.1 lots, 10 points against us: 100 yen, at 150 yen a dollar.
    assert_eq!(valuation.equity(), Some(Micros(1_000_000_000 - 666_666)));
    assert_eq!(valuation.gross(), Micros(10_000_000_000), "a tenth of 100,000 dollars");
    valuation.on_tick(&Tick { marks: pawl_journal::record::TickMarks::JUMP, ..tick(1, 2) });
    assert_eq!(valuation.equity(), Some(Micros(1_000_000_000 - 666_666)), "an unusable tick values nothing");
}
