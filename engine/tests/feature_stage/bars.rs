//! When bars open and close, and what is in them.

use pawl_journal::record::{BarClosed, Command, InstrumentId, Points, TickFlags, TickMarks, Time};

use crate::driver::{Driver, Quote, marked, tick};

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2019-02-04 00:00 UTC.
const DAY: i64 = 1_549_238_400 * SECOND;

fn quote(time: i64, bid: i64) -> Quote {
    Quote { time, bid, ask: bid + 2, volume: 0 }
}

#[test]
fn a_bar_is_aligned_to_the_epoch_and_closed_by_the_tick_behind_it() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &["mid"]);
    for (second, bid) in [(17, 100), (40, 120), (41, 90), (59, 110)] {
        assert!(driver.tick(0, quote(DAY + second * SECOND, bid)).bars.is_empty());
    }
    let closed = driver.tick(0, quote(DAY + MINUTE, 500)).bars;
    let expected = BarClosed {
        open_time: Time(DAY),
        close_time: Time(DAY + MINUTE),
        open: Points(100),
        high: Points(120),
        low: Points(90),
        close: Points(110),
        volume: 4,
        ticks: 4,
        instrument: InstrumentId(0),
        reserved: 0,
        number: 1,
    };
    assert_eq!(closed, [expected]);
    let second = driver.tick(0, quote(DAY + 2 * MINUTE, 0)).bars[0];
    assert_eq!(
        (second.number, second.open, second.ticks, second.open_time),
        (2, Points(500), 1, Time(DAY + MINUTE))
    );
}

#[test]
fn a_tick_one_nanosecond_before_the_end_belongs_to_the_bar() {
    let mut driver = Driver::new(&["EURUSD"], "5s", &[]);
    assert!(driver.tick(0, quote(DAY, 100)).bars.is_empty());
    assert!(driver.tick(0, quote(DAY + 5 * SECOND - 1, 101)).bars.is_empty());
    assert_eq!(driver.tick(0, quote(DAY + 5 * SECOND, 102)).bars[0].ticks, 2);
}

#[test]
fn a_gap_makes_no_empty_bars() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &[]);
    driver.tick(0, quote(DAY + 10 * SECOND, 100));
    let closed = driver.tick(0, quote(DAY + 60 * MINUTE, 200)).bars;
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].close_time, closed[0].number), (Time(DAY + MINUTE), 1));
    let closed = driver.tick(0, quote(DAY + 61 * MINUTE, 300)).bars;
    assert_eq!((closed[0].open_time, closed[0].number), (Time(DAY + 60 * MINUTE), 2));
}

#[test]
fn a_timer_closes_the_due_bars_of_every_instrument_once() {
    let mut driver = Driver::new(&["EURUSD", "GBPUSD", "USDJPY"], "1m", &["mid"]);
    driver.tick(0, quote(DAY + 10 * SECOND, 100));
    driver.tick(2, quote(DAY + 20 * SECOND, 300));
    assert!(driver.timer(DAY + MINUTE - 1).bars.is_empty());
    let closed = driver.timer(DAY + MINUTE);
    assert!(closed.features.is_none());
    let instruments: Vec<_> = closed.bars.iter().map(|bar| bar.instrument.0).collect();
    assert_eq!(instruments, [0, 2], "an instrument without ticks has no bar");
    assert!(driver.timer(DAY + 2 * MINUTE).bars.is_empty(), "what is closed is not closed again");
    let output = driver.tick(0, quote(DAY + 3 * MINUTE, 101));
    assert!(output.bars.is_empty() && output.features.is_some());
}

#[test]
fn a_timer_refreshes_the_columns_that_the_next_vector_shows() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &["sma_1"]);
    driver.tick(0, quote(DAY, 114_543));
    driver.timer(DAY + MINUTE);
    let output = driver.tick(0, quote(DAY + MINUTE + 1, 114_600));
    assert_eq!((output.values[0], output.features.expect("a vector").ready), (1.145_43, 1));
}

#[test]
fn a_bar_of_ticks_is_closed_by_its_last_tick() {
    let mut driver = Driver::new(&["EURUSD"], "3 ticks", &["sma_1"]);
    assert!(driver.tick(0, quote(DAY + 1, 100_000)).bars.is_empty());
    assert!(driver.tick(0, quote(DAY + MINUTE, 100_003)).bars.is_empty());
    assert!(driver.timer(DAY + 5 * MINUTE).bars.is_empty(), "time does not close a bar of ticks");
    let output = driver.tick(0, quote(DAY + 9 * MINUTE, 100_001));
    let bar = output.bars[0];
    assert_eq!((bar.open_time, bar.close_time), (Time(DAY + 1), Time(DAY + 9 * MINUTE)));
    assert_eq!(
        (bar.open, bar.high, bar.low, bar.close),
        (Points(100_000), Points(100_003), Points(100_000), Points(100_001))
    );
    assert_eq!((bar.ticks, bar.volume, bar.number), (3, 3, 1));
    assert_eq!(output.values[0], 1.000_01, "the vector of the closing tick sees the bar");
    assert!(driver.tick(0, quote(DAY + 9 * MINUTE, 100_009)).bars.is_empty());
}

#[test]
fn every_tick_is_a_bar_when_a_bar_is_one_tick() {
    let mut driver = Driver::new(&["EURUSD"], "1 tick", &[]);
    for number in 1..=5 {
        let bars = driver.tick(0, quote(DAY, 100 + number)).bars;
        assert_eq!(
            (bars.len(), bars[0].number, bars[0].open, bars[0].close),
            (1, number as u64, Points(100 + number), Points(100 + number))
        );
    }
}

#[test]
fn volume_is_what_was_traded_once_the_feed_shows_trades() {
    let mut driver = Driver::new(&["EURUSD"], "2 ticks", &[]);
    let mut bar_of = |volumes: [i64; 2]| {
        driver.tick(0, Quote { volume: volumes[0], ..quote(DAY, 100) });
        driver.tick(0, Quote { volume: volumes[1], ..quote(DAY, 100) }).bars[0].volume
    };
    assert_eq!(bar_of([0, 0]), 2, "quotes only: ticks");
    assert_eq!(bar_of([0, 30]), 30);
    assert_eq!(bar_of([5, 7]), 12);
    assert_eq!(bar_of([0, 0]), 0, "nothing was traded in this bar");
}

#[test]
fn a_quote_that_repeats_the_last_volume_is_no_trade() {
    let mut driver = Driver::new(&["EURUSD"], "2 ticks", &[]);
    driver.tick(0, Quote { volume: 30, ..quote(DAY, 100) });
    let mut repeat = tick(0, Quote { volume: 30, ..quote(DAY, 101) });
    repeat.flags = TickFlags::BID;
    assert_eq!(driver.input(DAY, &repeat).bars[0].volume, 30);
}

#[test]
fn an_unusable_tick_changes_nothing_and_closes_nothing() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &["mid", "spread_mean_2"]);
    driver.tick(0, quote(DAY, 100));
    let before = driver.feature.state();
    for mark in TickMarks::ALL.iter().filter(|mark| **mark != TickMarks::GAP) {
        let bad = marked(tick(0, quote(DAY + 2 * MINUTE, 999)), *mark);
        let output = driver.input(DAY + 2 * MINUTE, &bad);
        assert!(output.bars.is_empty() && output.features.is_none(), "{mark:?}");
    }
    assert_eq!(driver.feature.state(), before);
    let after_gap = marked(tick(0, quote(DAY + 2 * MINUTE, 101)), TickMarks::GAP);
    let output = driver.input(DAY + 2 * MINUTE, &after_gap);
    assert!(output.bars.len() == 1 && output.features.is_some(), "a tick after a gap is a tick");
}

#[test]
fn other_inputs_and_unknown_instruments_change_nothing() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &["mid"]);
    driver.tick(0, quote(DAY, 100));
    let before = driver.feature.state();
    let started = pawl_journal::record::RunStarted::default();
    for output in [
        driver.input(DAY + MINUTE, &started),
        driver.input(DAY + MINUTE, &Command::default()),
        driver.tick(1, quote(DAY + MINUTE, 5)),
        driver.tick(u16::MAX, quote(DAY + MINUTE, 5)),
    ] {
        assert!(output.bars.is_empty() && output.features.is_none());
    }
    assert_eq!(driver.feature.state(), before);
}
