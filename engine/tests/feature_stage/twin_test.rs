//! Every column against its naive twin on random ticks: two instruments, trades, gaps, timers, unusable ticks.

use pawl_journal::record::TickMarks;
use proptest::prelude::*;

use crate::driver::{Driver, Quote, marked, tick};
use crate::twin::{self, Interval};

/// Every kind of column, with short periods and with the shortest.
pub(crate) const COLUMNS: &[&str] = &[
    "mid",
    "return_1",
    "return_7",
    "return_16",
    "spread",
    "spread_mean_1",
    "spread_mean_9",
    "spread_z_2",
    "spread_z_16",
    "tick_rate_1",
    "tick_rate_10",
    "volatility_1",
    "volatility_12",
    "tick_sma_1",
    "tick_sma_8",
    "tick_sma_17",
    "tick_ema_1",
    "tick_ema_6",
    "day_sin",
    "day_cos",
    "return_bar",
    "sma_1",
    "sma_4",
    "sma_8",
    "ema_1",
    "ema_5",
    "rsi_1",
    "rsi_6",
    "macd_2_5_3",
    "macd_signal_2_5_3",
    "macd_histogram_2_5_3",
    "macd_histogram_1_2_1",
    "bollinger_b_2_1",
    "bollinger_b_7_2.5",
    "bollinger_width_7_2.5",
    "atr_1",
    "atr_5",
    "obv",
];

#[derive(Debug, Clone, Copy)]
enum Event {
    Tick { instrument: u16, step: i64, spread: i64, volume: i64 },
    Unusable { instrument: u16, mark: TickMarks },
    Timer,
}

fn event() -> impl Strategy<Value = Event> {
    let volume = prop_oneof![3 => Just(0_i64), 1 => 1..50_i64];
    let ticks = (0..2_u16, -40..=40_i64, 0..30_i64, volume)
        .prop_map(|(instrument, step, spread, volume)| Event::Tick { instrument, step, spread, volume });
    let still = (0..2_u16).prop_map(|instrument| Event::Tick { instrument, step: 0, spread: 3, volume: 0 });
    let marks = prop_oneof![Just(TickMarks::CROSSED), Just(TickMarks::JUMP), Just(TickMarks::BACKWARDS)];
    let unusable = (0..2_u16, marks).prop_map(|(instrument, mark)| Event::Unusable { instrument, mark });
    prop_oneof![12 => ticks, 4 => still, 1 => unusable, 2 => Just(Event::Timer)]
}

fn pause() -> impl Strategy<Value = i64> {
    let second = 1_000_000_000_i64;
    prop_oneof![1 => Just(0), 2 => 1..1_000_000_i64, 8 => 1_000_000..second, 3 => second..20 * second, 1 => Just(3_600 * second)]
}

fn hold_against_twin(bars: &str, interval: Interval, events: &[(i64, Event)]) {
    let mut driver = Driver::new(&["EURUSD", "USDJPY"], bars, COLUMNS);
    let mut histories = [Vec::<Quote>::new(), Vec::new()];
    let digits = [5, 3];
    let mut time = 1_549_238_400_000_000_000_i64;
    for (pause, event) in events {
        time += pause;
        match *event {
            Event::Tick { instrument, step, spread, volume } => {
                let history = &mut histories[usize::from(instrument)];
                let bid = history.last().map_or(110_000, |quote| quote.bid) + step;
                history.push(Quote { time, bid, ask: bid + spread, volume });
                let output = driver.tick(instrument, history[history.len() - 1]);
                twin::check(COLUMNS, &output.values, history, interval, digits[usize::from(instrument)]);
            }
            Event::Unusable { instrument, mark } => {
                let quote = Quote { time, bid: 1, ask: 900_000, volume: 7 };
                let output = driver.input(time, &marked(tick(instrument, quote), mark));
                assert!(output.bars.is_empty() && output.features.is_none());
            }
            Event::Timer => assert!(driver.timer(time).features.is_none()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_column_equals_its_twin_on_time_bars(events in prop::collection::vec((pause(), event()), 1..250)) {
        hold_against_twin("1s", Interval::Nanoseconds(1_000_000_000), &events);
    }

    #[test]
    fn every_column_equals_its_twin_on_tick_bars(events in prop::collection::vec((pause(), event()), 1..250)) {
        hold_against_twin("3 ticks", Interval::Ticks(3), &events);
    }
}
