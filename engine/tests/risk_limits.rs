//! Every limit, fired and just not fired. Each test is a situation in which one limit decides.

mod risk_driver;

use pawl_engine::order::OrderStyle;
use pawl_engine::quantity::{Decimal, Ppm, Span};
use pawl_journal::record::{
    AlertCode, ExecutionKind, InstrumentId, LimitName, LinkKind, LinkState, Lots, OrderAction, OrderType,
    Points, Reasons, SignalFlags, TickMarks, TimeInForce, Verdict, VerdictSource, Vote,
};
use risk_driver::*;

const UP: Vote = Vote::UP;
const DOWN: Vote = Vote::DOWN;

#[test]
fn a_clean_signal_is_sized_by_the_risk_fraction_and_sent() {
    let mut driver = Driver::new(&settings());
    let said = driver.signal(UP);
    let verdict = said.verdict();
    assert_eq!((verdict.wanted_lots, verdict.approved_lots), (Lots(50), Lots(50)));
    assert_eq!((verdict.reasons, verdict.reference), (Reasons::NONE, Points(114_550)));
    assert_eq!((verdict.source, verdict.time_in_force), (VerdictSource::SIGNAL, TimeInForce::IOC));
    assert_eq!((said.request().lots, said.request().price), (Lots(50), Points(0)));
    assert!(driver.signal(UP).is_silent(), "an order on the way wants no second one");
    let sold = Driver::new(&settings()).signal(DOWN).verdict();
    assert_eq!((sold.reference, sold.approved_lots), (Points(114_540), Lots(50)));
}

#[test]
fn a_position_at_its_limit_takes_no_more_and_one_below_is_cut_to_it() {
    let mut settings = settings();
    settings.risk.max_position = Decimal(Decimal::ONE / 2);
    assert_eq!(Driver::new(&settings).signal(UP).verdict().reasons, Reasons::NONE);
    settings.risk.max_position = Decimal(Decimal::ONE / 100 * 49);
    let cut = Driver::new(&settings).signal(UP);
    assert_eq!((cut.approved(), cut.verdict().reasons), (49, Reasons::MAX_POSITION));
    assert_eq!(cut.verdict().wanted_lots, Lots(50));

    let mut driver = Driver::new(&settings);
    driver.limit(LimitName::MAX_POSITION, Decimal::ONE / 1_000);
    assert_eq!(driver.signal(UP).refused(), Reasons::MAX_POSITION);
}

#[test]
fn what_was_approved_counts_from_that_moment() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(UP).request().client_order_id;
    assert_eq!(driver.risk.live()[0].leaves(), Lots(50));
    driver.fill(id, 20, 114_550);
    driver.say(id, ExecutionKind::CANCELLED);
    // Held 20 of a signal for 50: in that direction already, so nothing is added.
    assert!(driver.signal(UP).is_silent());
    assert_eq!(driver.net(), 20);
}

#[test]
fn an_order_larger_than_allowed_is_cut_and_one_below_the_smallest_refused() {
    let mut settings = settings();
    settings.risk.max_order = Decimal(Decimal::ONE / 2);
    assert_eq!(Driver::new(&settings).signal(UP).verdict().reasons, Reasons::NONE);
    settings.risk.max_order = Decimal(Decimal::ONE / 4);
    let cut = Driver::new(&settings).signal(UP);
    assert_eq!((cut.approved(), cut.verdict().reasons), (25, Reasons::MAX_ORDER));
    let mut driver = Driver::new(&settings);
    driver.limit(LimitName::MAX_ORDER, Decimal::ONE / 200);
    assert_eq!(driver.signal(UP).refused(), Reasons::MAX_ORDER);
}

#[test]
fn an_account_too_small_for_the_smallest_order_is_refused() {
    let mut settings = settings();
    settings.account.balance = dollars(2_000);
    assert_eq!(Driver::new(&settings).signal(UP).approved(), 1);
    settings.account.balance = dollars(1_999);
    assert_eq!(Driver::new(&settings).signal(UP).refused(), Reasons::MIN_VOLUME);
}

#[test]
fn no_order_is_larger_than_the_instrument_allows() {
    let mut settings = settings();
    settings.instruments[0].volume_max = Decimal(Decimal::ONE / 10);
    let verdict = Driver::new(&settings).signal(UP).verdict();
    assert_eq!((verdict.wanted_lots, verdict.approved_lots), (Lots(10), Lots(10)));
}

#[test]
fn a_market_order_may_not_slip_beyond_the_price_band() {
    let mut settings = settings();
    // 1% of an ask of 114,550 points.
    settings.order.deviation = 1_145;
    let said = Driver::new(&settings).signal(UP);
    assert_eq!(said.request().price, Points(114_550 + 1_145));
    assert_eq!(Driver::new(&settings).signal(DOWN).request().price, Points(114_540 - 1_145));
    settings.order.deviation = 1_146;
    assert_eq!(Driver::new(&settings).signal(UP).refused(), Reasons::PRICE_BAND);
}

#[test]
fn a_limit_price_may_not_be_beyond_the_price_band() {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    settings.order.limit_offset = 1_135;
    let said = Driver::new(&settings).signal(UP);
    assert_eq!((said.request().price, said.request().order_type), (Points(113_405), OrderType::LIMIT));
    settings.order.limit_offset = 1_136;
    assert_eq!(Driver::new(&settings).signal(UP).refused(), Reasons::PRICE_BAND);
    settings.order.limit_offset = 114_540;
    settings.risk.price_band = Ppm(1_000_000);
    assert_eq!(Driver::new(&settings).signal(UP).refused(), Reasons::PRICE_BAND, "a limit price of zero");
}

#[test]
fn a_quote_older_than_allowed_is_not_traded_on() {
    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    driver.wait(5 * SECOND + 1);
    assert_eq!(driver.signal_on_timer(UP).refused(), Reasons::STALE_TICK);
    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    driver.wait(5 * SECOND);
    let said = driver.signal_on_timer(UP);
    assert_eq!((said.approved(), said.request().quote_age_ns), (50, 5 * SECOND));
}

#[test]
fn without_a_quote_nothing_is_traded() {
    assert_eq!(Driver::new(&settings()).signal_on_timer(UP).refused(), Reasons::STALE_TICK);
}

#[test]
fn a_marked_tick_is_not_traded_on_until_a_clean_one_comes() {
    for mark in TickMarks::ALL {
        let mut driver = Driver::new(&settings());
        driver.quote(114_540, 114_550);
        assert_eq!(driver.marked_signal(*mark).refused(), Reasons::MARKED_TICK);
        assert!(driver.signal_on_timer(UP).is_silent(), "the same refusal is written once");
        assert_eq!(driver.signal(UP).approved(), 50);
    }
}

#[test]
fn an_unusable_tick_leaves_quote_and_valuation_alone() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    let before = driver.risk.account();
    (driver.bid, driver.ask) = (50_000, 50_001);
    let tick = driver.tick_of(EURUSD, TickMarks::JUMP);
    assert!(driver.step(&tick, |_| {}).is_silent(), "no stop on a price that cannot be");
    assert_eq!(driver.risk.account(), before);
}

#[test]
fn a_prediction_older_than_allowed_is_not_traded_on() {
    let at = |age_ns| Driver::new(&settings()).raw_signal(signal_with(SignalFlags::NONE, age_ns));
    assert_eq!(at(120 * SECOND).approved(), 50);
    assert_eq!(at(120 * SECOND + 1).refused(), Reasons::STALE_PREDICTION);
    let flagged = Driver::new(&settings()).raw_signal(signal_with(SignalFlags::STALE, 0));
    assert_eq!(flagged.refused(), Reasons::STALE_PREDICTION);
}

#[test]
fn a_signal_of_agents_that_are_not_ready_is_not_traded_on() {
    let said = Driver::new(&settings()).raw_signal(signal_with(SignalFlags::UNREADY, 0));
    assert_eq!(said.refused(), Reasons::UNREADY_PREDICTION);
}

#[test]
fn a_spread_wider_than_allowed_is_not_traded_on() {
    let at = |limit: i64, spread: i64| {
        let mut settings = settings();
        settings.risk.max_spread = limit;
        let mut driver = Driver::new(&settings);
        driver.ask = driver.bid + spread;
        driver.signal(UP).verdict().reasons
    };
    assert_eq!((at(0, 50), at(0, 51)), (Reasons::NONE, Reasons::MAX_SPREAD), "the instrument's own");
    assert_eq!((at(10, 10), at(10, 11)), (Reasons::NONE, Reasons::MAX_SPREAD));
    assert_eq!(at(10, 0), Reasons::NONE, "a spread of zero is valid");
    assert_eq!((at(500, 199), at(500, 200)), (Reasons::NONE, Reasons::MAX_SPREAD), "as wide as the stop");
}

#[test]
fn more_order_messages_than_a_minute_may_have_are_refused() {
    let mut settings = settings();
    settings.risk.max_order_rate = 3;
    settings.risk.retry_after = Span(0);
    let mut driver = Driver::new(&settings);
    for _ in 0..3 {
        let id = driver.signal(UP).request().client_order_id;
        driver.say(id, ExecutionKind::REJECTED);
        driver.wait(SECOND);
    }
    assert_eq!(driver.signal(UP).refused(), Reasons::MAX_ORDER_RATE);
    driver.wait(57 * SECOND - 1);
    assert!(driver.signal(UP).is_silent(), "still refused, and written once");
    driver.wait(1);
    assert_eq!(driver.signal(UP).approved(), 50, "the first message is a minute old");
}

#[test]
fn cancels_count_as_messages_and_are_never_refused_for_their_number() {
    let mut settings = settings();
    settings.risk.max_order_rate = 1;
    settings.order.order_type = OrderStyle::Limit;
    let mut driver = Driver::new(&settings);
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    assert_eq!(cancelled(&driver.signal(DOWN)), [id]);
    driver.say(id, ExecutionKind::CANCELLED);
    assert_eq!(driver.risk.order_rate(pawl_journal::record::Time(driver.now)), 2);
    assert_eq!(driver.signal(DOWN).refused(), Reasons::MAX_ORDER_RATE);
}

#[test]
fn more_open_orders_than_allowed_are_refused() {
    let mut settings = settings_of(&["EURUSD", "GBPUSD", "AUDUSD"]);
    settings.risk.max_open_orders = 2;
    let mut driver = Driver::new(&settings);
    driver.signal_of(InstrumentId(0), UP);
    let second = driver.signal_of(InstrumentId(1), UP).request().client_order_id;
    assert_eq!(driver.signal_of(InstrumentId(2), UP).refused(), Reasons::MAX_OPEN_ORDERS);
    driver.say(second, ExecutionKind::REJECTED);
    assert_eq!(driver.signal_of(InstrumentId(2), UP).approved(), 50);
}

#[test]
fn a_feed_that_lost_ticks_is_not_traded_on_until_a_clean_tick_comes() {
    for state in [LinkState::GAP, LinkState::STALE] {
        let mut driver = Driver::new(&settings());
        driver.quote(114_540, 114_550);
        let said = driver.link(LinkKind::FEED, state);
        assert_eq!(said.codes(), [AlertCode::LINK]);
        assert_eq!(driver.signal_on_timer(UP).refused(), Reasons::FEED_GAP);
        assert_eq!(driver.signal(UP).approved(), 50);
    }
}

#[test]
fn a_feed_that_is_down_is_not_traded_on_until_it_is_up() {
    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    driver.link(LinkKind::FEED, LinkState::DOWN);
    assert_eq!(driver.signal(UP).refused(), Reasons::FEED_GAP);
    assert!(driver.link(LinkKind::FEED, LinkState::UP).alerts.is_empty());
    assert_eq!(driver.signal(UP).approved(), 50);
}

#[test]
fn nothing_is_sent_to_a_venue_that_is_down() {
    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    assert_eq!(driver.link(LinkKind::VENUE, LinkState::DOWN).codes(), [AlertCode::LINK]);
    assert_eq!(driver.signal(UP).refused(), Reasons::VENUE_DOWN);
    driver.link(LinkKind::VENUE, LinkState::UP);
    assert_eq!(driver.signal(UP).approved(), 50);
}

#[test]
fn an_order_of_unknown_outcome_freezes_its_instrument_and_no_other() {
    let mut driver = Driver::new(&settings_of(&["EURUSD", "GBPUSD"]));
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::UNKNOWN);
    assert_eq!(driver.signal(UP).refused(), Reasons::UNKNOWN_ORDER);
    assert_eq!(driver.signal(DOWN).refused(), Reasons::UNKNOWN_ORDER);
    assert_eq!(driver.signal_of(InstrumentId(1), UP).approved(), 50);
    driver.say(id, ExecutionKind::REJECTED);
    assert_eq!(driver.signal(DOWN).approved(), 50, "a later report resolves it");
}

#[test]
fn a_profit_that_cannot_be_converted_is_not_risked() {
    let mut settings = settings_of(&["USDJPY", "EURUSD", "EURGBP", "GBPUSD"]);
    settings.instruments[2].conversion = Some("GBPUSD".to_owned());
    settings.instruments[0].conversion = Some("USDJPY".to_owned());
    settings.instruments[0].conversion_inverse = true;
    let mut driver = Driver::new(&settings);
    (driver.bid, driver.ask) = (85_000, 85_010);
    assert_eq!(driver.signal_of(InstrumentId(2), UP).refused(), Reasons::NO_CONVERSION);
    driver.quote_of(InstrumentId(3), 124_995, 125_005);
    (driver.bid, driver.ask) = (85_000, 85_010);
    assert_eq!(driver.signal_of(InstrumentId(2), UP).approved(), 40, "100 dollars are 80 pounds");
    (driver.bid, driver.ask) = (149_995, 150_005);
    assert_eq!(driver.signal_of(InstrumentId(0), UP).approved(), 75, "its own price converts it");
}

#[test]
fn the_daily_loss_halts_and_says_so() {
    let mut settings = settings();
    settings.risk.max_daily_loss = dollars(60);
    let mut driver = Driver::new(&settings);
    driver.enter(UP);
    // 50 volume steps lose 0.50 dollars a point; the entry paid 10 points of spread.
    assert!(driver.quote(114_431, 114_441).is_silent(), "59.50 dollars lost");
    let said = driver.quote(114_430, 114_440);
    assert_eq!(said.codes(), [AlertCode::DAILY_LOSS]);
    assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (60_000_000, 60_000_000));
    assert_eq!(said.equity().daily.0, -60_000_000);
    assert!(driver.risk.is_halted());
    driver.quote(114_600, 114_610);
    let close = driver.signal(DOWN);
    assert_eq!((close.approved(), driver.risk.is_halted()), (50, true), "closing is allowed, the halt stays");
    assert!(close.verdict().reasons.has(Reasons::HALTED.with(Reasons::MAX_DAILY_LOSS)));
    driver.fill(close.request().client_order_id, 50, 114_600);
    assert_eq!(driver.signal(DOWN).refused(), Reasons::HALTED.with(Reasons::MAX_DAILY_LOSS));
}

#[test]
fn the_drawdown_halts_and_says_so() {
    let mut settings = settings();
    settings.risk.max_drawdown = Ppm(600);
    let mut driver = Driver::new(&settings);
    driver.enter(UP);
    assert!(driver.quote(114_431, 114_441).is_silent(), "595 millionths");
    let said = driver.quote(114_430, 114_440);
    assert_eq!(said.codes(), [AlertCode::DRAWDOWN]);
    assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (600, 600));
    let close = driver.signal(DOWN);
    driver.fill(close.request().client_order_id, 50, 114_430);
    assert_eq!(driver.signal(UP).refused(), Reasons::HALTED.with(Reasons::MAX_DRAWDOWN));
}

#[test]
fn a_verdict_names_every_reason_at_once() {
    let mut driver = Driver::new(&settings());
    driver.command(pawl_journal::record::CommandAction::HALT);
    driver.command(pawl_journal::record::CommandAction::REDUCE_ONLY);
    driver.link(LinkKind::VENUE, LinkState::DOWN);
    driver.link(LinkKind::FEED, LinkState::DOWN);
    driver.limit(LimitName::MAX_ORDER, 1);
    driver.ask = driver.bid + 400;
    let tick = driver.tick_of(EURUSD, TickMarks::GAP);
    let signal = signal_with(SignalFlags::STALE.with(SignalFlags::UNREADY), 0);
    let reasons = driver.step(&tick, |step| step.push(&signal)).refused();
    let names: Vec<_> = reasons.names().collect();
    assert_eq!(
        names,
        [
            "halted",
            "reduce_only",
            "max_order",
            "marked_tick",
            "stale_prediction",
            "unready_prediction",
            "max_spread",
            "feed_gap",
            "venue_down"
        ]
    );
}

#[test]
fn a_standing_refusal_is_written_once_and_again_when_it_changes() {
    let mut driver = Driver::new(&settings());
    driver.link(LinkKind::VENUE, LinkState::DOWN);
    assert_eq!(driver.signal(UP).refused(), Reasons::VENUE_DOWN);
    for _ in 0..10 {
        assert!(driver.signal(UP).is_silent());
    }
    assert_eq!(driver.signal(DOWN).refused(), Reasons::VENUE_DOWN, "another side");
    driver.ask = driver.bid + 60;
    assert_eq!(
        driver.signal(DOWN).refused(),
        Reasons::VENUE_DOWN.with(Reasons::MAX_SPREAD),
        "another reason"
    );
}

#[test]
fn a_limit_order_follows_the_quote_while_the_signal_stands() {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    settings.order.limit_offset = 2;
    settings.order.reprice_points = 5;
    let mut driver = Driver::new(&settings);
    let said = driver.signal(UP);
    let id = said.request().client_order_id;
    assert_eq!((said.request().price, said.request().time_in_force), (Points(114_538), TimeInForce::GTC));
    assert!(driver.quote(114_560, 114_570).is_silent(), "not yet accepted");
    driver.say(id, ExecutionKind::ACCEPTED);
    assert!(driver.quote(114_545, 114_555).is_silent(), "five points away");
    let moved = driver.quote(114_546, 114_556);
    let verdict: Verdict = moved.verdict();
    assert_eq!((verdict.action, verdict.target, verdict.price), (OrderAction::REPLACE, id, Points(114_544)));
    assert_eq!((moved.request().action, moved.request().lots), (OrderAction::REPLACE, Lots(50)));
    assert_eq!(moved.request().price, Points(114_544));
    assert!(driver.quote(114_600, 114_610).is_silent(), "the replace is not answered yet");
    driver.say(id, ExecutionKind::REPLACED);
    assert_eq!(driver.order.live()[0].price, Points(114_544));
    driver.signal(Vote::FLAT);
    assert!(driver.quote(114_700, 114_710).is_silent(), "nothing is chased that no signal wants");
}

#[test]
fn a_replace_is_refused_for_its_reasons_and_the_order_stays() {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    settings.order.reprice_points = 5;
    settings.risk.max_order_rate = 1;
    let mut driver = Driver::new(&settings);
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    let said = driver.quote(114_600, 114_610);
    assert_eq!((said.verdict().action, said.refused()), (OrderAction::REPLACE, Reasons::MAX_ORDER_RATE));
    assert!(driver.quote(114_601, 114_611).is_silent());
    assert_eq!(driver.order.live()[0].price, Points(114_540));
}
