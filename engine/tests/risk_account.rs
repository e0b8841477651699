//! Positions, profit, sizing and the account, in dollars and in converted currencies, against naive twins.

mod risk_driver;

use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::Decimal;
use pawl_engine::risk::{Mode, Risk, RiskError};
use pawl_engine::settings::Settings;
use pawl_journal::record::{
    ClientOrderId, ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros, Points, Side, Vote,
};
use proptest::prelude::*;
use risk_driver::*;

#[test]
fn a_fill_tells_position_and_equity_in_one_step() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(Vote::UP).request().client_order_id;
    let said = driver.fill_for(id, 20, 114_550, 1_400_000);
    let position = said.positions[0];
    assert_eq!((position.net_lots, position.entry_cost), (Lots(20), 20 * 114_550));
    assert_eq!((position.realised, position.unrealised), (Micros(0), Micros(-2_000_000)));
    assert_eq!((position.commission, position.working_buy_lots), (Micros(1_400_000), 30));
    let equity = said.equity();
    assert_eq!(equity.balance, Micros(99_998_600_000));
    assert_eq!(equity.equity, Micros(99_996_600_000));
    assert_eq!(equity.daily, Micros(-3_400_000));
    assert_eq!((equity.peak, equity.drawdown_ppm), (Micros(100_000_000_000), 34));
}

#[test]
fn an_opposite_signal_closes_and_reverses_in_one_order() {
    let mut driver = Driver::new(&settings());
    driver.enter(Vote::UP);
    let said = driver.signal(Vote::DOWN);
    assert_eq!(
        (said.verdict().wanted_lots, said.approved()),
        (Lots(99), 99),
        "equity paid the spread: 49 now"
    );
    let filled = driver.fill(said.request().client_order_id, 99, 114_540);
    assert_eq!((filled.positions[0].net_lots, filled.positions[0].entry_cost), (Lots(-49), -49 * 114_540));
    assert_eq!(filled.positions[0].realised, Micros(-5_000_000));
}

#[test]
fn an_unknown_order_that_fills_is_ours_all_the_same() {
    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    let report = ExecutionReport {
        client_order_id: ClientOrderId(0),
        execution_sequence: 1,
        kind: ExecutionKind::FILLED,
        lots: Lots(5),
        price: Points(114_550),
        side: Side::SELL,
        ..ExecutionReport::default()
    };
    assert_eq!(driver.tell(&report).positions[0].net_lots, Lots(-5));
    assert!(driver.tell(&report).positions.is_empty(), "and counts once");
    let elsewhere = ExecutionReport { execution_sequence: 2, instrument: InstrumentId(9), ..report };
    assert!(driver.tell(&elsewhere).positions.is_empty(), "an instrument that is not configured");
}

#[test]
fn equity_is_told_at_a_closed_bar_when_held_or_moved() {
    let mut driver = Driver::new(&settings());
    assert!(driver.bar().equities.is_empty(), "flat and nothing moved");
    driver.enter(Vote::UP);
    assert!(driver.quote(114_560, 114_570).equities.is_empty(), "not on every tick");
    assert_eq!(driver.bar().equity().equity, Micros(100_005_000_000));
    assert_eq!(driver.bar().equities.len(), 1, "held");
    let id = driver.signal(Vote::DOWN).request().client_order_id;
    driver.fill(id, 50, 114_560);
    driver.say(id, ExecutionKind::CANCELLED);
    assert!(driver.bar().equities.is_empty(), "flat again and told already");
}

#[test]
fn a_bitcoin_and_a_yen_point_are_worth_what_the_contract_says() {
    let mut settings = settings_of(&["BTCUSD", "USDJPY"]);
    settings.instruments[1].conversion = Some("USDJPY".to_owned());
    settings.instruments[1].conversion_inverse = true;
    settings.risk.stop_points = 1_000;
    let (bitcoin, yen) = (InstrumentId(0), InstrumentId(1));
    let mut driver = Driver::new(&settings);
    (driver.bid, driver.ask) = (248_000, 248_100);
    // A hundredth of a bitcoin earns 0.001 dollars a point of 0.1: 100 dollars are 100 lots, cut to one lot.
    assert_eq!(driver.enter_of(bitcoin, Vote::UP), 100);
    driver.quote_of(bitcoin, 248_600, 248_700);
    assert_eq!(driver.risk.account().equity, Micros(100_050_000_000), "one bitcoin, 50 dollars up");
    (driver.bid, driver.ask) = (150_000, 150_000);
    // A hundredth lot earns one yen a point; 1,000 points are 1,000 yen, 6.67 dollars.
    assert_eq!(driver.enter_of(yen, Vote::DOWN), 15);
    driver.quote_of(yen, 149_000, 149_000);
    // 15 x 1,000 points x 1 yen, divided by 149.
    let state = driver.risk.state();
    assert_eq!(state.positions[1].unrealised.to_string(), "100.67114");
    assert_eq!(state.positions[1].average_price.map(|price| price.to_string()), Some("150".to_owned()));
}

#[test]
fn the_value_of_a_holding_moves_with_the_quote_that_converts_it() {
    let mut settings = settings_of(&["EURGBP", "GBPUSD"]);
    settings.instruments[0].conversion = Some("GBPUSD".to_owned());
    let mut driver = Driver::new(&settings);
    driver.quote_of(InstrumentId(1), 125_000, 125_000);
    (driver.bid, driver.ask) = (85_000, 85_000);
    let lots = driver.enter_of(InstrumentId(0), Vote::UP);
    driver.quote_of(InstrumentId(0), 85_100, 85_100);
    assert_eq!((lots, driver.risk.account().equity), (40, Micros(100_050_000_000)), "40 pounds at 1.25");
    driver.quote_of(InstrumentId(1), 130_000, 130_000);
    assert_eq!(driver.risk.account().equity, Micros(100_052_000_000), "40 pounds at 1.30");
}

#[test]
fn what_was_realised_before_there_was_a_rate_is_converted_by_the_first() {
    let mut settings = settings_of(&["EURGBP", "GBPUSD"]);
    settings.instruments[0].conversion = Some("GBPUSD".to_owned());
    let mut driver = Driver::new(&settings);
    for (side, price) in [(Side::BUY, 85_000), (Side::SELL, 85_100)] {
        let report = ExecutionReport {
            lots: Lots(40),
            price: Points(price),
            side,
            ..driver.report(ClientOrderId(64), ExecutionKind::FILLED)
        };
        driver.tell(&report);
    }
    assert_eq!(driver.risk.account().balance, Micros(100_000_000_000));
    driver.quote_of(InstrumentId(1), 125_000, 125_000);
    assert_eq!(driver.risk.account().balance, Micros(100_050_000_000));
}

#[test]
fn the_daily_loss_starts_over_at_midnight_utc_and_a_halt_does_not_end() {
    let mut settings = settings();
    settings.risk.max_daily_loss = dollars(60);
    let mut driver = Driver::new(&settings);
    driver.enter(Vote::UP);
    driver.quote(114_440, 114_450);
    assert_eq!(driver.risk.account().daily, Micros(-55_000_000));
    driver.wait(12 * 3_600 * SECOND);
    driver.timer();
    assert_eq!(driver.risk.account().daily, Micros(0));
    driver.quote(114_400, 114_410);
    assert_eq!((driver.risk.account().daily, driver.risk.mode()), (Micros(-20_000_000), Mode::Active));
    driver.quote(114_320, 114_330);
    assert_eq!(driver.risk.mode(), Mode::Halted);
    driver.wait(24 * 3_600 * SECOND);
    driver.timer();
    assert_eq!((driver.risk.account().daily, driver.risk.mode()), (Micros(0), Mode::Halted));
}

fn wrong(change: impl FnOnce(&mut Settings)) -> String {
    let mut settings = settings_of(&["EURUSD", "USDJPY"]);
    settings.instruments[1].conversion = Some("USDJPY".to_owned());
    settings.instruments[1].conversion_inverse = true;
    Risk::new(&settings).expect("valid");
    change(&mut settings);
    Risk::new(&settings).expect_err("contradictory").to_string()
}

#[test]
fn contradictory_limits_name_their_key_and_the_way_out() {
    use pawl_engine::quantity::{Ppm, Span};
    type Change = fn(&mut Settings);
    let table: [(&str, Change); 18] = [
        ("risk.max_position = 0: write lots, above 0", |it| it.risk.max_position = Decimal(0)),
        ("risk.max_order = -1: write lots, above 0", |it| it.risk.max_order = dollars(-1)),
        (
            "risk.max_order = 0.005 is below the smallest order of EURUSD (0.01): raise it, or take EURUSD out of the instruments",
            |it| it.risk.max_order = Decimal(Decimal::ONE / 200),
        ),
        ("risk.price_band = 0%: ", |it| it.risk.price_band = Ppm(0)),
        ("risk.price_band = 100.0001%: ", |it| it.risk.price_band = Ppm(1_000_001)),
        ("risk.max_quote_age = 0s: ", |it| it.risk.max_quote_age = Span(0)),
        ("risk.max_prediction_age = 0s: ", |it| it.risk.max_prediction_age = Span(0)),
        ("risk.max_spread = -1: ", |it| it.risk.max_spread = -1),
        ("risk.max_order_rate = 0: write a number of messages from 1 to 1024", |it| {
            it.risk.max_order_rate = 0;
        }),
        ("risk.max_order_rate = 1025: ", |it| it.risk.max_order_rate = 1_025),
        ("risk.max_open_orders = 65: write a number of orders from 1 to 64", |it| {
            it.risk.max_open_orders = 65;
        }),
        ("risk.max_daily_loss = 0: ", |it| it.risk.max_daily_loss = Decimal(0)),
        ("risk.max_drawdown = 0%: ", |it| it.risk.max_drawdown = Ppm(0)),
        ("risk.risk_fraction = 0%: ", |it| it.risk.risk_fraction = Ppm(0)),
        ("risk.stop_points = -1: ", |it| it.risk.stop_points = -1),
        ("risk.retry_after = -1ns: ", |it| it.risk.retry_after = Span(-1)),
        ("account.balance = 0: write the opening balance in USD, above 0", |it| {
            it.account.balance = Decimal(0);
        }),
        ("instruments: 0 configured: configure between 1 and 64", |it| it.instruments.clear()),
    ];
    for (begins, change) in table {
        let message = wrong(change);
        assert!(message.starts_with(begins), "{message}");
    }
}

#[test]
fn a_conversion_that_is_missing_unknown_or_needless_is_named() {
    assert!(wrong(|it| it.instruments[1].conversion = None).starts_with(
        "instrument USDJPY: its profit arises in JPY and the account is in USD: set `conversion`"
    ));
    assert!(
        wrong(|it| it.instruments[1].conversion = Some("JPYUSD".to_owned()))
            .starts_with("instrument USDJPY: conversion = \"JPYUSD\" is no configured instrument")
    );
    assert!(wrong(|it| it.instruments[0].conversion = Some("USDJPY".to_owned())).ends_with("remove the key"));
    assert!(wrong(|it| it.instruments[0].digits = 9).starts_with("instrument EURUSD: digits = 9"));
    let mut many = settings();
    many.instruments = vec![many.instruments[0].clone(); 65];
    assert_eq!(Risk::new(&many).map(|_| ()), Err(RiskError::Instruments { count: 65 }));
}

/// One fill of the twin.
#[derive(Debug, Clone, Copy)]
struct Fill {
    buy: bool,
    lots: i64,
    price: i64,
    commission: i64,
    rate2: i64,
}

/// What the account must be worth: recomputed from the list of fills, at average cost, money rounded as documented.
struct Twin {
    net: i128,
    cost: i128,
    realised: i128,
    commission: i128,
}

fn converted(points_lots: i128, point_value: i64, rate: (i128, i128)) -> i128 {
    points_lots * i128::from(point_value) / 1_000_000 * rate.0 / rate.1
}

fn twin(fills: &[Fill], point_value: i64, rate: impl Fn(i64) -> (i128, i128)) -> Twin {
    let mut twin = Twin { net: 0, cost: 0, realised: 0, commission: 0 };
    for fill in fills {
        let mut left = i128::from(fill.lots);
        let sign = if fill.buy { 1 } else { -1 };
        let price = i128::from(fill.price);
        if twin.net * sign < 0 {
            let closed = left.min(twin.net.abs());
            let share = twin.cost * closed / twin.net.abs();
            let profit = -sign * closed * price - share;
            twin.realised += converted(profit, point_value, rate(fill.rate2));
            twin.cost -= share;
            twin.net += sign * closed;
            left -= closed;
        }
        twin.net += sign * left;
        twin.cost += sign * left * price;
        twin.commission += i128::from(fill.commission);
    }
    twin
}

fn fills() -> impl Strategy<Value = Vec<Fill>> {
    let fill = (any::<bool>(), 1_i64..200, 100_000_i64..400_000, -500_i64..5_000_000, 100_000_i64..400_000);
    let fill =
        fill.prop_map(|(buy, lots, price, commission, rate2)| Fill { buy, lots, price, commission, rate2 });
    prop::collection::vec(fill, 1..40)
}

/// Runs fills of the first instrument through the stage, the second converting it, and compares after each.
fn follow_twin(settings: &Settings, fills: &[Fill], rate: impl Fn(i64) -> (i128, i128)) {
    let mut driver = Driver::new(settings);
    let point_value = settings.instruments[0].point_value();
    for (index, fill) in fills.iter().enumerate() {
        if settings.instruments.len() > 1 {
            driver.quote_of(InstrumentId(1), fill.rate2 - 7, fill.rate2 + 8);
        }
        driver.quote_of(InstrumentId(0), fill.price - 3, fill.price + 4);
        let report = ExecutionReport {
            lots: Lots(fill.lots),
            price: Points(fill.price),
            commission: Micros(fill.commission),
            side: if fill.buy { Side::BUY } else { Side::SELL },
            ..driver.report(ClientOrderId(1 << 30), ExecutionKind::PARTIALLY_FILLED)
        };
        let said = driver.tell(&report);
        let twin = twin(&fills[..=index], point_value, &rate);
        let position = said.positions[0];
        assert_eq!(i128::from(position.net_lots.0), twin.net);
        assert_eq!(i128::from(position.entry_cost), twin.cost);
        assert_eq!(i128::from(position.realised.0), twin.realised);
        assert_eq!(i128::from(position.commission.0), twin.commission);
        let close = i128::from(if twin.net > 0 { fill.price - 3 } else { fill.price + 4 });
        let unrealised = converted(twin.net * close - twin.cost, point_value, rate(fill.rate2));
        assert_eq!(i128::from(position.unrealised.0), unrealised);
        let equity = said.equity();
        assert_eq!(i128::from(equity.balance.0), 100_000_000_000 + twin.realised - twin.commission);
        assert_eq!(equity.equity, equity.balance + position.unrealised);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn dollars_agree_with_the_list_of_fills(fills in fills()) {
        follow_twin(&settings(), &fills, |_| (1, 1));
        follow_twin(&settings_of(&["BTCUSD"]), &fills, |_| (1, 1));
    }

    #[test]
    fn pounds_times_the_dollar_agree_with_the_list_of_fills(fills in fills()) {
        let mut settings = settings_of(&["EURGBP", "GBPUSD"]);
        settings.instruments[0].conversion = Some("GBPUSD".to_owned());
        follow_twin(&settings, &fills, |rate| (i128::from(2 * rate + 1), 200_000));
    }

    #[test]
    fn yen_divided_by_the_dollar_agree_with_the_list_of_fills(fills in fills()) {
        let mut settings = settings_of(&["EURJPY", "USDJPY"]);
        for instrument in &mut settings.instruments {
            instrument.conversion = Some("USDJPY".to_owned());
            instrument.conversion_inverse = true;
        }
        follow_twin(&settings, &fills, |rate| (2_000, i128::from(2 * rate + 1)));
    }
}

#[test]
fn the_state_reads_like_the_account() {
    let mut driver = Driver::new(&settings());
    driver.enter(Vote::UP);
    driver.signal(Vote::DOWN);
    let json = serde_json::to_value(driver.risk.state()).expect("plain data");
    assert_eq!(json["mode"], "active");
    assert_eq!(json["positions"][0]["symbol"], "EURUSD");
    assert_eq!(json["positions"][0]["net"], 0.5);
    assert_eq!(json["positions"][0]["average_price"], 1.1455);
    assert_eq!(json["positions"][0]["bid"], "1.14540");
    assert_eq!(json["equity"], 99_995.0);
    assert_eq!(json["orders"][0]["state"], "pending_new");
    assert_eq!(json["limits"]["max_order"], "1");
    assert_eq!(json["limits"]["max_drawdown"], "50%");
    assert_eq!(json["limits"]["max_daily_loss"], "2000");
    let orders = serde_json::to_value(driver.order.state()).expect("plain data");
    assert_eq!(orders["live"][0]["side"], "sell");
    assert_eq!(Instrument::well_known("EURUSD").map(|it| it.symbol), Some("EURUSD".to_owned()));
}
