//! What the paper venue does with each kind of request, tick and clock.

use proptest::prelude::*;

use pawl_engine::quantity::{Decimal, Ppm, Span};
use pawl_journal::record::{ClientOrderId, Points, StatementItem, TickMarks};

use super::*;

const MS: i64 = Time::MILLISECOND;
const LATENCY: i64 = 20 * MS;

type Told = (i64, u64, &'static str, &'static str, i64, i64, i64);

/// A venue without chance: 20 ms, no jitter, no slippage, no rejects, no commission.
fn plain() -> PaperSettings {
    PaperSettings {
        latency_jitter: Span(0),
        slippage_points: 0,
        commission_per_lot: Decimal(0),
        partial: Ppm(0),
        reject: Ppm(0),
        ..PaperSettings::default()
    }
}

fn instruments() -> Vec<Instrument> {
    ["EURUSD", "BTCUSD"].map(|symbol| Instrument::well_known(symbol).expect("well known")).to_vec()
}

fn paper(settings: &PaperSettings) -> Paper {
    Paper::new(settings, &instruments()).expect("valid")
}

fn quote(paper: &mut Paper, at_ms: i64, bid: i64, ask: i64) {
    quote_of(paper, 0, at_ms, bid, ask);
}

fn quote_of(paper: &mut Paper, instrument: u16, at_ms: i64, bid: i64, ask: i64) {
    paper.on_tick(&tick(instrument, bid, ask, TickMarks::NONE), Time(at_ms * MS));
}

fn tick(instrument: u16, bid: i64, ask: i64, marks: TickMarks) -> Tick {
    Tick {
        bid: Points(bid),
        ask: Points(ask),
        instrument: InstrumentId(instrument),
        marks,
        ..Tick::default()
    }
}

fn market(id: u64, side: Side, lots: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId(id),
        lots: Lots(lots),
        side,
        action: OrderAction::NEW,
        order_type: OrderType::MARKET,
        time_in_force: TimeInForce::GTC,
        ..OrderRequest::default()
    }
}

fn limit(id: u64, side: Side, lots: i64, price: i64) -> OrderRequest {
    OrderRequest { order_type: OrderType::LIMIT, price: Points(price), ..market(id, side, lots) }
}

fn cancel(id: u64) -> OrderRequest {
    OrderRequest { action: OrderAction::CANCEL, ..market(id, Side::BUY, 0) }
}

fn replace(id: u64, side: Side, lots: i64, price: i64) -> OrderRequest {
    OrderRequest { action: OrderAction::REPLACE, ..limit(id, side, lots, price) }
}

fn submit(paper: &mut Paper, at_ms: i64, request: &OrderRequest) {
    paper.submit(request, Time(at_ms * MS));
}

/// Takes what is due until then: when in ms, id, kind, reason, price, lots, leaves.
fn told(paper: &mut Paper, until_ms: i64) -> Vec<Told> {
    reports(paper, until_ms)
        .iter()
        .map(|(due, report)| {
            (
                due.0 / MS,
                report.client_order_id.0,
                report.kind.name().expect("a known kind"),
                report.reason.name().expect("a known reason"),
                report.price.0,
                report.lots.0,
                report.leaves_lots.0,
            )
        })
        .collect()
}

fn reports(paper: &mut Paper, until_ms: i64) -> Vec<(Time, ExecutionReport)> {
    std::iter::from_fn(|| paper.poll(Time(until_ms * MS))).collect()
}

#[test]
fn a_market_order_trades_at_the_quote_in_force_when_it_arrives() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &market(64, Side::BUY, 5));
    submit(&mut paper, 0, &market(65, Side::SELL, 5));
    assert_eq!(paper.next_due(), Some(Time(LATENCY)));
    quote(&mut paper, 19, 110, 113);
    assert_eq!(told(&mut paper, 19), []);
    quote(&mut paper, 20, 200, 203);
    assert_eq!(paper.next_due(), Some(Time(LATENCY)));
    assert_eq!(
        told(&mut paper, 20),
        [
            (20, 64, "accepted", "none", 0, 0, 5),
            (20, 64, "filled", "none", 113, 5, 0),
            (20, 65, "accepted", "none", 0, 0, 5),
            (20, 65, "filled", "none", 110, 5, 0),
        ],
        "a tick at the time of arrival comes after it"
    );
    assert_eq!((paper.next_due(), paper.state().live), (None, vec![]));
}

#[test]
fn reports_are_numbered_and_carry_the_venues_id() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 1, &market(64, Side::BUY, 5));
    submit(&mut paper, 2, &market(64, Side::BUY, 5));
    submit(&mut paper, 3, &market(128, Side::SELL, 5));
    let numbers: Vec<_> = reports(&mut paper, 100)
        .iter()
        .map(|(due, report)| {
            assert_eq!(*due, report.source_time);
            (report.execution_sequence, report.venue_order_id, report.side.sign())
        })
        .collect();
    assert_eq!(numbers, [(1, 1, 1), (2, 1, 1), (3, 0, 1), (4, 2, -1), (5, 2, -1)]);
}

#[test]
fn what_a_venue_cannot_take_is_rejected_with_its_reason() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    let wrong = |id: u64, change: &dyn Fn(&mut OrderRequest)| {
        let mut request = market(id, Side::BUY, 5);
        change(&mut request);
        request
    };
    let requests = [
        (wrong(64, &|it| it.lots = Lots(0)), "volume"),
        (wrong(65, &|it| it.lots = Lots(-5)), "volume"),
        (wrong(66, &|it| it.lots = Lots(10_001)), "volume"),
        (wrong(67, &|it| it.instrument = InstrumentId(1)), "no_quote"),
        (wrong(68, &|it| it.instrument = InstrumentId(7)), "no_quote"),
        (wrong(69, &|it| it.side = Side(9)), "venue"),
        (wrong(70, &|it| it.action = OrderAction(9)), "venue"),
        (wrong(71, &|it| it.order_type = OrderType(9)), "venue"),
        (wrong(72, &|it| it.time_in_force = TimeInForce(9)), "venue"),
        (wrong(73, &|it| it.order_type = OrderType::LIMIT), "venue"),
        (wrong(74, &|it| it.price = Points(-1)), "venue"),
        (wrong(75, &|it| it.price = Points(101)), "price_moved"),
        (wrong(64, &|_| ()), "duplicate_id"),
        (wrong(76, &|it| it.price = Points(102)), "none"),
        (wrong(76, &|_| ()), "duplicate_id"),
    ];
    for (request, reason) in requests {
        submit(&mut paper, 1, &request);
        let told = told(&mut paper, 21);
        let (_, id, kind, found, price, lots, leaves) = told[0];
        assert_eq!((id, found), (request.client_order_id.0, reason));
        if reason != "none" {
            assert_eq!((told.len(), kind, price, lots, leaves), (1, "rejected", 0, 0, 0), "{reason}");
        }
    }
    assert_eq!(paper.state().orders_accepted, 1);
}

#[test]
fn an_order_without_a_quote_is_rejected_until_a_usable_one_comes() {
    let mut paper = paper(&plain());
    for (id, marks, bid, ask) in [
        (64, TickMarks::CROSSED, 103, 102),
        (65, TickMarks::NONPOSITIVE, 0, 102),
        (66, TickMarks::JUMP, 100, 102),
        (67, TickMarks::NONE, 0, 102),
        (68, TickMarks::NONE, 103, 102),
    ] {
        paper.on_tick(&tick(0, bid, ask, marks), Time(0));
        submit(&mut paper, 0, &market(id, Side::BUY, 5));
        assert_eq!(told(&mut paper, 20), [(20, id, "rejected", "no_quote", 0, 0, 0)]);
    }
    paper.on_tick(&tick(0, 100, 100, TickMarks::GAP), Time(21 * MS));
    paper.on_tick(&tick(0, 900, 902, TickMarks::JUMP), Time(22 * MS));
    submit(&mut paper, 22, &market(69, Side::BUY, 5));
    assert_eq!(
        told(&mut paper, 42)[1],
        (42, 69, "filled", "none", 100, 5, 0),
        "a jump does not move the venue"
    );
}

#[test]
fn a_limit_order_waits_for_its_price() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 5, 99));
    submit(&mut paper, 0, &limit(65, Side::SELL, 5, 105));
    quote(&mut paper, 30, 99, 100);
    assert_eq!(
        told(&mut paper, 30),
        [(20, 64, "accepted", "none", 99, 0, 5), (20, 65, "accepted", "none", 105, 0, 5)]
    );
    assert_eq!(paper.next_due(), None);
    quote_of(&mut paper, 1, 35, 1, 2);
    assert_eq!(paper.state().live.len(), 2, "a tick of another instrument is none of theirs");
    quote(&mut paper, 40, 97, 98);
    assert_eq!(paper.next_due(), Some(Time(60 * MS)), "the news of a fill travels as long as an order");
    quote(&mut paper, 50, 106, 108);
    assert_eq!(
        told(&mut paper, 100),
        [(60, 64, "filled", "none", 99, 5, 0), (70, 65, "filled", "none", 105, 5, 0)],
        "at their limits, though the quotes went through them"
    );
    assert_eq!(reports(&mut paper, 1_000), []);
}

#[test]
fn a_limit_that_is_reached_on_arrival_trades_at_the_better_quote() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 5, 110));
    submit(&mut paper, 0, &limit(65, Side::SELL, 5, 90));
    assert_eq!(
        told(&mut paper, 20),
        [
            (20, 64, "accepted", "none", 110, 0, 5),
            (20, 64, "filled", "none", 102, 5, 0),
            (20, 65, "accepted", "none", 90, 0, 5),
            (20, 65, "filled", "none", 100, 5, 0),
        ]
    );
}

#[test]
fn orders_for_at_once_or_never_do_not_wait() {
    let with = |request: OrderRequest, time_in_force| OrderRequest { time_in_force, ..request };
    let mut whole = paper(&plain());
    quote(&mut whole, 0, 100, 102);
    for (id, time_in_force) in [(64, TimeInForce::IOC), (65, TimeInForce::FOK)] {
        submit(&mut whole, 0, &with(limit(id, Side::BUY, 5, 101), time_in_force));
        assert_eq!(told(&mut whole, 20), [(20, id, "rejected", "not_fillable", 0, 0, 0)]);
        submit(&mut whole, 0, &with(market(id + 64, Side::BUY, 5), time_in_force));
        assert_eq!(told(&mut whole, 20)[1], (20, id + 64, "filled", "none", 102, 5, 0));
    }
    let mut parts = paper(&PaperSettings { partial: Ppm(1_000_000), ..plain() });
    quote(&mut parts, 0, 100, 102);
    submit(&mut parts, 0, &with(market(64, Side::BUY, 50), TimeInForce::FOK));
    assert_eq!(told(&mut parts, 20), [(20, 64, "rejected", "not_fillable", 0, 0, 0)]);
    submit(&mut parts, 0, &with(market(65, Side::BUY, 50), TimeInForce::IOC));
    let told = told(&mut parts, 20);
    let (filled, leaves) = (told[1].5, told[1].6);
    assert!(filled > 0 && filled + leaves == 50, "{told:?}");
    assert_eq!(told[1], (20, 65, "partially_filled", "none", 102, filled, leaves));
    assert_eq!(told[2], (20, 65, "cancelled", "none", 0, 0, 0));
    assert_eq!(parts.state().live, []);
}

#[test]
fn the_rest_of_a_market_order_trades_at_the_next_tick() {
    let settings = PaperSettings { partial: Ppm(1_000_000), ..plain() };
    let mut paper = paper(&settings);
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &market(64, Side::BUY, 50));
    submit(&mut paper, 0, &OrderRequest { price: Points(103), ..market(65, Side::BUY, 50) });
    let told_first = told(&mut paper, 20);
    let (rest, other_rest) = (told_first[1].6, told_first[3].6);
    assert!(rest > 0 && other_rest > 0, "{told_first:?}");
    quote_of(&mut paper, 1, 25, 1, 2);
    paper.on_tick(&tick(0, 500, 502, TickMarks::JUMP), Time(26 * MS));
    quote(&mut paper, 30, 110, 112);
    assert_eq!(
        told(&mut paper, 50),
        [(50, 64, "filled", "none", 112, rest, 0), (50, 65, "cancelled", "none", 0, 0, 0)],
        "the second one does not accept this price"
    );
}

#[test]
fn a_limit_order_may_fill_in_two_parts() {
    let mut paper = paper(&PaperSettings { partial: Ppm(1_000_000), ..plain() });
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::SELL, 50, 105));
    quote(&mut paper, 30, 105, 106);
    quote(&mut paper, 31, 104, 106);
    quote(&mut paper, 32, 106, 107);
    let told = told(&mut paper, 100);
    let (part, rest) = (told[1].5, told[1].6);
    assert!(part > 0 && part + rest == 50);
    assert_eq!(
        told[1..],
        [(50, 64, "partially_filled", "none", 105, part, rest), (52, 64, "filled", "none", 105, rest, 0)]
    );
}

#[test]
fn an_order_is_dropped_just_after_its_validity() {
    let valid = |request: OrderRequest, ms: i64| OrderRequest { valid_until: Time(ms * MS), ..request };
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &valid(limit(64, Side::BUY, 5, 90), 50));
    submit(&mut paper, 0, &valid(limit(65, Side::BUY, 5, 91), 40));
    submit(&mut paper, 0, &valid(market(66, Side::BUY, 5), 19));
    submit(&mut paper, 0, &valid(market(67, Side::BUY, 5), 20));
    let kinds: Vec<_> = told(&mut paper, 20).iter().map(|it| (it.1, it.2)).collect();
    assert_eq!(
        kinds,
        [
            (64, "accepted"),
            (65, "accepted"),
            (66, "accepted"),
            (66, "expired"),
            (67, "accepted"),
            (67, "filled")
        ]
    );
    assert_eq!(paper.next_due(), Some(Time(40 * MS + 1)));
    quote(&mut paper, 40, 80, 91);
    assert_eq!(
        told(&mut paper, 60),
        [(60, 65, "filled", "none", 91, 5, 0), (60, 64, "expired", "none", 0, 0, 0)]
    );
    assert_eq!(paper.next_due(), None);
}

#[test]
fn a_cancel_meets_the_order_as_it_is_on_arrival() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 5, 99));
    submit(&mut paper, 5, &cancel(64));
    submit(&mut paper, 6, &cancel(64));
    submit(&mut paper, 7, &cancel(999));
    assert_eq!(
        told(&mut paper, 30),
        [
            (20, 64, "accepted", "none", 99, 0, 5),
            (25, 64, "cancelled", "none", 0, 0, 0),
            (26, 64, "cancel_rejected", "too_late", 0, 0, 0),
            (27, 999, "cancel_rejected", "unknown_order", 0, 0, 0),
        ]
    );
    submit(&mut paper, 30, &limit(128, Side::BUY, 5, 99));
    quote(&mut paper, 60, 97, 99);
    submit(&mut paper, 45, &cancel(128));
    assert_eq!(
        told(&mut paper, 100),
        [
            (50, 128, "accepted", "none", 99, 0, 5),
            (80, 128, "filled", "none", 99, 5, 0),
            (80, 128, "cancel_rejected", "too_late", 0, 0, 0),
        ],
        "the refusal does not overtake the fill that caused it"
    );
}

#[test]
fn a_replace_changes_price_and_volume_and_may_trade_at_once() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 5, 90));
    submit(&mut paper, 1, &replace(64, Side::BUY, 8, 95));
    submit(&mut paper, 2, &replace(64, Side::BUY, 0, 95));
    submit(&mut paper, 3, &replace(64, Side::BUY, 20_000, 95));
    submit(&mut paper, 4, &replace(64, Side::BUY, 8, 0));
    submit(&mut paper, 5, &replace(77, Side::BUY, 8, 95));
    submit(&mut paper, 6, &replace(64, Side::BUY, 9, 104));
    submit(&mut paper, 7, &replace(64, Side::BUY, 10, 104));
    assert_eq!(
        told(&mut paper, 30),
        [
            (20, 64, "accepted", "none", 90, 0, 5),
            (21, 64, "replaced", "none", 95, 0, 8),
            (22, 64, "replace_rejected", "too_late", 0, 0, 8),
            (23, 64, "replace_rejected", "volume", 0, 0, 8),
            (24, 64, "replace_rejected", "venue", 0, 0, 8),
            (25, 77, "replace_rejected", "unknown_order", 0, 0, 0),
            (26, 64, "replaced", "none", 104, 0, 9),
            (26, 64, "filled", "none", 102, 9, 0),
            (27, 64, "replace_rejected", "too_late", 0, 0, 0),
        ]
    );
    let until = |request: OrderRequest, ms: i64| OrderRequest { valid_until: Time(ms * MS), ..request };
    submit(&mut paper, 30, &until(limit(128, Side::BUY, 5, 90), 1_000));
    submit(&mut paper, 31, &until(replace(128, Side::BUY, 5, 91), 60));
    submit(&mut paper, 32, &limit(129, Side::BUY, 5, 90));
    submit(&mut paper, 33, &until(replace(129, Side::BUY, 5, 91), 52));
    let ends: Vec<_> =
        told(&mut paper, 2_000).iter().filter(|it| it.2 == "expired").map(|it| (it.0, it.1)).collect();
    assert_eq!(ends, [(53, 129), (60, 128)]);
}

#[test]
fn the_volume_of_a_replace_counts_what_is_filled() {
    let mut paper = paper(&PaperSettings { partial: Ppm(1_000_000), ..plain() });
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 50, 102));
    let filled = told(&mut paper, 20)[1].5;
    submit(&mut paper, 20, &replace(64, Side::BUY, filled, 101));
    submit(&mut paper, 21, &replace(64, Side::BUY, filled + 3, 101));
    assert_eq!(
        told(&mut paper, 41),
        [
            (40, 64, "replace_rejected", "too_late", 0, 0, 50 - filled),
            (41, 64, "replaced", "none", 101, 0, 3)
        ]
    );
}

#[test]
fn jitter_delays_requests_and_never_reorders_them() {
    let mut paper = paper(&PaperSettings { latency_jitter: Span::milliseconds(50), ..plain() });
    quote(&mut paper, 0, 100, 102);
    for index in 0..500 {
        submit(&mut paper, index, &market(64 + index as u64, Side::BUY, 1));
    }
    let due = reports(&mut paper, 10_000);
    assert_eq!(due.len(), 1_000);
    assert!(due.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let delays: Vec<i64> =
        due.iter().map(|(due, report)| due.0 - (report.client_order_id.0 as i64 - 64) * MS).collect();
    assert!(delays.iter().all(|delay| (LATENCY..=LATENCY + 50 * MS).contains(delay)));
    assert!(delays.iter().any(|delay| *delay > LATENCY + 45 * MS));
    assert_eq!(paper.latency_min(), LATENCY);
}

#[test]
fn chances_come_about_as_often_as_they_say() {
    let settings = PaperSettings {
        partial: Ppm(100_000),
        reject: Ppm(200_000),
        silence: Ppm(50_000),
        slippage_points: 3,
        ..plain()
    };
    let mut paper = paper(&settings);
    let (mut kinds, mut prices) = ([0_usize; 16], [0_usize; 4]);
    for index in 0..10_000 {
        let now = index * 100;
        quote(&mut paper, now, 100, 102);
        submit(&mut paper, now, &market(64 + index as u64, Side::BUY, 10));
        quote(&mut paper, now + 30, 100, 102);
        for (_, report) in reports(&mut paper, now + 99) {
            kinds[usize::from(report.kind.0)] += 1;
            if report.lots.0 > 0 {
                prices[(report.price.0 - 102) as usize] += 1;
            }
        }
    }
    let count = |kind: ExecutionKind| kinds[usize::from(kind.0)];
    assert!((1_850..2_150).contains(&count(ExecutionKind::REJECTED)), "{kinds:?}");
    assert!((7_300..7_700).contains(&count(ExecutionKind::ACCEPTED)), "{kinds:?}");
    assert!((650..850).contains(&count(ExecutionKind::PARTIALLY_FILLED)), "{kinds:?}");
    assert_eq!(count(ExecutionKind::FILLED), count(ExecutionKind::ACCEPTED));
    assert!(prices.iter().all(|count| (1_850..2_350).contains(count)), "{prices:?}");
    assert_eq!(paper.state().in_flight, []);
}

#[test]
fn commission_is_for_each_lot_of_each_side() {
    let mut paper = paper(&PaperSettings { commission_per_lot: Decimal(7 * Decimal::ONE / 2), ..plain() });
    quote(&mut paper, 0, 100, 102);
    for (index, (lots, micros)) in
        [(1, 35_000), (100, 3_500_000), (10_000, 350_000_000)].into_iter().enumerate()
    {
        let side = if index == 1 { Side::SELL } else { Side::BUY };
        submit(&mut paper, 0, &market(64 + index as u64, side, lots));
        let reports = reports(&mut paper, 20);
        assert_eq!((reports[0].1.commission, reports[1].1.commission), (Micros(0), Micros(micros)));
    }
}

#[test]
fn one_order_more_than_the_venue_holds_is_rejected() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    for index in 0..=LIVE_ORDERS_MAX as u64 {
        submit(&mut paper, 0, &limit(64 + index, Side::BUY, 5, 90));
    }
    let told_all = told(&mut paper, 20);
    assert!(told_all[..LIVE_ORDERS_MAX].iter().all(|it| it.2 == "accepted"));
    assert_eq!(told_all[LIVE_ORDERS_MAX].2, "rejected");
    submit(&mut paper, 20, &cancel(64));
    submit(&mut paper, 20, &limit(5_000, Side::BUY, 5, 90));
    let kinds: Vec<_> = told(&mut paper, 40).iter().map(|it| it.2).collect();
    assert_eq!(kinds, ["cancelled", "accepted"]);
}

#[test]
fn the_state_shows_what_lives_and_what_is_on_its_way() {
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &OrderRequest { valid_until: Time(9_000 * MS), ..limit(64, Side::BUY, 5, 90) });
    assert_eq!(told(&mut paper, 20).len(), 1);
    submit(&mut paper, 25, &cancel(64));
    let text = serde_json::to_string(&paper.state()).expect("plain values");
    assert_eq!(
        text,
        concat!(
            r#"{"requests":2,"orders_accepted":1,"reports":1,"reports_waiting":0,"#,
            r#""in_flight":[{"client_order_id":64,"action":"cancel","arrival":45000000}],"#,
            r#""live":[{"client_order_id":64,"venue_order_id":1,"instrument":0,"side":"buy","order_type":"limit","#,
            r#""price":90,"lots":5,"filled_lots":0,"valid_until":9000000000}]}"#
        )
    );
}

#[test]
fn a_statement_says_what_the_reports_that_were_taken_lead_to() {
    let items = |paper: &mut Paper| -> Vec<_> {
        let statement = paper.statement().expect("paper always knows");
        let end = statement.last().expect("the end");
        assert_eq!((end.item, end.instrument), (StatementItem::END, InstrumentId::NONE));
        let items = statement.iter().filter(|it| it.item != StatementItem::END);
        items.map(|it| (it.client_order_id.0, it.venue_order_id, it.lots.0, it.filled_lots.0)).collect()
    };
    let mut paper = paper(&PaperSettings { partial: Ppm(1_000_000), ..plain() });
    quote(&mut paper, 0, 100, 102);
    assert_eq!(items(&mut paper), []);
    submit(&mut paper, 0, &limit(64, Side::BUY, 10, 90));
    submit(&mut paper, 0, &market(128, Side::SELL, 4));
    assert_eq!(items(&mut paper), [(64, 0, 10, 0), (128, 0, 4, 0)], "on their way");
    paper.on_tick(&tick(0, 100, 102, TickMarks::NONE), Time(30 * MS));
    assert_eq!(items(&mut paper), [(64, 0, 10, 0), (128, 0, 4, 0)], "reports that wait are not counted");
    while paper.poll(Time(20 * MS)).is_some() {}
    let sold = paper.statement().expect("known")[1].filled_lots.0;
    assert_eq!(items(&mut paper), [(64, 1, 10, 0), (128, 2, 4, sold), (0, 0, -sold, 0)]);
    while paper.poll(Time(60 * MS)).is_some() {}
    assert_eq!(items(&mut paper), [(64, 1, 10, 0), (0, 0, -4, 0)], "what ended is no longer listed");
    submit(&mut paper, 70, &cancel(64));
    assert_eq!(items(&mut paper), [(64, 1, 10, 0), (0, 0, -4, 0)]);
    while paper.poll(Time(90 * MS)).is_some() {}
    assert_eq!(items(&mut paper), [(0, 0, -4, 0)]);
}

#[test]
fn a_query_is_answered_with_what_became_of_the_order() {
    let query = |id| OrderRequest { action: OrderAction::QUERY, ..cancel(id) };
    let mut paper = paper(&plain());
    quote(&mut paper, 0, 100, 102);
    submit(&mut paper, 0, &limit(64, Side::BUY, 5, 90));
    assert_eq!(told(&mut paper, 20).len(), 1);
    submit(&mut paper, 30, &query(64));
    let works = told(&mut paper, 50);
    assert_eq!(works, [(50, 64, "accepted", "none", 90, 0, 5)], "where it is now");
    submit(&mut paper, 60, &query(128));
    assert_eq!((told(&mut paper, 80)[0].2, paper.live.len()), ("rejected", 1), "it never arrived");
    submit(&mut paper, 90, &cancel(64));
    submit(&mut paper, 90, &query(64));
    let ended = told(&mut paper, 110);
    assert_eq!(ended.iter().map(|it| it.2).collect::<Vec<_>>(), ["cancelled"], "its end is told already");
}

/// One call of the journal's order: a tick or a request.
#[derive(Debug, Clone, Copy)]
enum Call {
    Tick(Tick),
    Submit(OrderRequest),
}

fn calls() -> impl Strategy<Value = Vec<(Time, Call)>> {
    let ticks = (0..2_u16, 95..105_i64, 0..3_i64).prop_map(|(instrument, bid, spread)| {
        Call::Tick(tick(instrument, bid, bid + spread, TickMarks::NONE))
    });
    let requests = (
        1..=3_u16,
        1..30_u64,
        0..12_i64,
        90..110_i64,
        0..60_i64,
        (0..2_u16, 1..=2_u16, 1..=2_u16, 1..=3_u16),
    )
        .prop_map(|(action, id, lots, price, valid, (instrument, side, order_type, time_in_force))| {
            Call::Submit(OrderRequest {
                client_order_id: ClientOrderId(id),
                lots: Lots(lots),
                price: Points(if order_type == 1 && price % 2 == 0 { 0 } else { price }),
                valid_until: Time(if valid % 3 == 0 { 0 } else { valid * 20 * MS }),
                instrument: InstrumentId(instrument),
                side: Side(side),
                action: OrderAction(action),
                order_type: OrderType(order_type),
                time_in_force: TimeInForce(time_in_force),
                ..OrderRequest::default()
            })
        });
    let call = (0..12_i64, prop_oneof![ticks, requests]);
    prop::collection::vec(call, 1..120).prop_map(|calls| {
        let mut now = 0;
        calls
            .into_iter()
            .map(|(wait, call)| {
                now += wait * MS;
                (Time(now), call)
            })
            .collect()
    })
}

fn rough(seed: u64) -> PaperSettings {
    PaperSettings {
        latency_jitter: Span::milliseconds(9),
        slippage_points: 2,
        partial: Ppm(400_000),
        reject: Ppm(100_000),
        silence: Ppm(50_000),
        seed,
        ..PaperSettings::default()
    }
}

fn feed(paper: &mut Paper, (time, call): &(Time, Call)) {
    match call {
        Call::Tick(tick) => paper.on_tick(tick, *time),
        Call::Submit(request) => paper.submit(request, *time),
    }
}

/// Feeds the calls as ingress does: before each, every report that is due by then is taken.
fn lockstep(paper: &mut Paper, calls: &[(Time, Call)]) -> Vec<(Time, ExecutionReport)> {
    let mut taken = Vec::new();
    for call in calls {
        while let Some(due) = paper.next_due().filter(|due| *due <= call.0) {
            let report = paper.poll(due).expect("what is announced is there");
            assert_eq!(report.0, due);
            taken.push(report);
        }
        feed(paper, call);
    }
    taken
}

fn drain(paper: &mut Paper) -> Vec<(Time, ExecutionReport)> {
    let mut taken = Vec::new();
    while let Some(due) = paper.next_due() {
        let report = paper.poll(due).expect("what is announced is there");
        assert_eq!(report.0, due);
        taken.push(report);
    }
    taken
}

proptest! {
    #[test]
    fn a_restart_that_feeds_everything_again_arrives_at_the_same_state(calls in calls(), cut in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let cut = cut.index(calls.len());
        let mut straight = paper(&rough(seed));
        let before = lockstep(&mut straight, &calls[..cut]);
        let mut restarted = paper(&rough(seed));
        let mut again = before.iter().peekable();
        for call in &calls[..cut] {
            while let Some((time, report)) = again.next_if(|(time, _)| *time <= call.0) {
                prop_assert_eq!(restarted.poll(*time), Some((*time, *report)));
            }
            feed(&mut restarted, call);
        }
        prop_assert_eq!(straight.statement(), restarted.statement());
        let mut after = lockstep(&mut straight, &calls[cut..]);
        let mut after_restart = lockstep(&mut restarted, &calls[cut..]);
        after.extend(drain(&mut straight));
        after_restart.extend(drain(&mut restarted));
        prop_assert_eq!(after, after_restart);
        prop_assert_eq!(straight.state(), restarted.state());
        prop_assert!(straight == restarted);
    }

    /// The twin keeps every request and every report, and works out from them what is open and held.
    #[test]
    fn a_statement_agrees_with_the_list_of_requests_and_reports(calls in calls(), seed in any::<u64>()) {
        let mut venue = paper(&PaperSettings { silence: Ppm(0), ..rough(seed) });
        let reports: Vec<_> = lockstep(&mut venue, &calls).into_iter().map(|(_, report)| report).collect();
        let statement = venue.statement().expect("paper always knows");
        for instrument in (0..2).map(InstrumentId) {
            let of = |it: &&ExecutionReport| it.instrument == instrument;
            let net: i64 = reports.iter().filter(of).map(|it| it.side.sign() * it.lots.0).sum();
            let is_it = |it: &&Reconciled| it.item == StatementItem::POSITION && it.instrument == instrument;
            prop_assert_eq!(statement.iter().find(is_it).map_or(0, |it| it.lots.0), net);
        }
        let requested: Vec<_> = calls.iter().filter_map(|(_, call)| match call {
            Call::Submit(it) if it.action == OrderAction::NEW => Some(it.client_order_id),
            _ => None,
        }).collect();
        for id in (1..30).map(ClientOrderId) {
            let ends = [ExecutionKind::REJECTED, ExecutionKind::FILLED, ExecutionKind::CANCELLED, ExecutionKind::EXPIRED];
            let ended = reports.iter().filter(|it| it.client_order_id == id && ends.contains(&it.kind)).count();
            let filled: i64 = reports.iter().filter(|it| it.client_order_id == id).map(|it| it.lots.0).sum();
            let listed: Vec<_> = statement.iter()
                .filter(|it| it.item == StatementItem::ORDER && it.client_order_id == id)
                .collect();
            let times = requested.iter().filter(|it| **it == id).count();
            prop_assert_eq!(listed.len(), times - ended);
            prop_assert!(listed.is_empty() || times > 1 || listed[0].filled_lots.0 == filled);
        }
    }

    #[test]
    fn when_reports_are_taken_changes_none_of_them(calls in calls(), seed in any::<u64>()) {
        let mut eager = paper(&rough(seed));
        let mut taken = lockstep(&mut eager, &calls);
        taken.extend(drain(&mut eager));
        let mut lazy = paper(&rough(seed));
        for call in &calls {
            feed(&mut lazy, call);
        }
        prop_assert_eq!(taken, drain(&mut lazy));
    }

    #[test]
    fn every_answer_keeps_the_venues_promises(calls in calls(), seed in any::<u64>()) {
        let mut venue = paper(&rough(seed));
        let mut reports = lockstep(&mut venue, &calls);
        reports.extend(drain(&mut venue));
        let requested = |id: ClientOrderId| calls.iter().find_map(|(time, call)| match call {
            Call::Submit(request) if request.client_order_id == id => Some(*time),
            _ => None,
        });
        for (index, (due, report)) in reports.iter().enumerate() {
            prop_assert_eq!(report.execution_sequence, index as u64 + 1);
            prop_assert!(index == 0 || reports[index - 1].0 <= *due);
            prop_assert!(report.source_time <= *due);
            let asked = requested(report.client_order_id).expect("only what was requested is answered");
            prop_assert!(due.0 >= asked.0 + LATENCY);
            prop_assert!(report.leaves_lots.0 >= 0);
        }
        for id in (1..30).map(ClientOrderId) {
            let of_order = || reports.iter().map(|(_, it)| it).filter(|it| it.client_order_id == id && it.venue_order_id != 0);
            let ends = [ExecutionKind::FILLED, ExecutionKind::CANCELLED, ExecutionKind::EXPIRED];
            prop_assert!(of_order().filter(|it| it.kind == ExecutionKind::ACCEPTED).count() <= 1);
            prop_assert!(of_order().filter(|it| ends.contains(&it.kind)).count() <= 1);
            if let Some(end) = of_order().position(|it| ends.contains(&it.kind)) {
                prop_assert_eq!(end, of_order().count() - 1, "nothing follows the end");
            }
        }
    }
}
