//! Each column is warm at exactly the tick its definition says, and reads 0 before.

use crate::driver::{Driver, Quote};

/// A column alone, on bars of two ticks: the tick (from 1) on which the vector is ready for the first time.
const FIRST_READY_TICK: &[(&str, usize)] = &[
    ("mid", 1),
    ("return_1", 2),
    ("return_20", 21),
    ("spread", 1),
    ("spread_mean_1", 1),
    ("spread_mean_100", 100),
    ("spread_z_2", 2),
    ("spread_z_100", 100),
    ("tick_rate_20", 21),
    ("volatility_100", 101),
    ("tick_sma_20", 20),
    ("tick_ema_20", 20),
    ("day_sin", 1),
    ("day_cos", 1),
    ("return_bar", 4),
    ("sma_1", 2),
    ("sma_30", 60),
    ("ema_20", 40),
    ("rsi_14", 30),
    ("macd_12_26_9", 68),
    ("macd_signal_12_26_9", 68),
    ("macd_histogram_12_26_9", 68),
    ("macd_3_10_1", 20),
    ("bollinger_b_20_2", 40),
    ("bollinger_width_20_2", 40),
    ("atr_1", 4),
    ("atr_14", 30),
    ("obv", 2),
];

/// A price that always moves, with a spread that always changes.
fn quote(number: usize) -> Quote {
    let n = number as i64;
    let bid = 100_000 + n * 7 % 31 + n;
    Quote {
        time: 1_549_260_000_000_000_000 + n * 700_000_000,
        bid,
        ask: bid + [2, 3, 7, 4, 11][number % 5],
        volume: 0,
    }
}

#[test]
fn a_column_is_ready_on_its_first_warm_tick_and_zero_before() {
    for (column, first) in FIRST_READY_TICK {
        let mut driver = Driver::new(&["EURUSD"], "2 ticks", &[column]);
        for number in 1..=first + 3 {
            let output = driver.tick(0, quote(number));
            let features = output.features.expect("a usable tick makes a vector");
            assert_eq!(features.ready, u16::from(number >= *first), "{column} on tick {number}");
            assert_eq!(
                output.values[0] != 0.0,
                number >= *first,
                "{column} on tick {number}: {}",
                output.values[0]
            );
            let state = driver.feature.state();
            assert_eq!(
                (state.instruments[0].ready, state.instruments[0].values[0].warm),
                (number >= *first, number >= *first)
            );
        }
    }
}

#[test]
fn a_vector_is_ready_when_its_last_column_is() {
    let columns = ["mid", "sma_3", "return_9"];
    let mut driver = Driver::new(&["EURUSD"], "2 ticks", &columns);
    for number in 1..=12 {
        let output = driver.tick(0, quote(number));
        assert_eq!(output.features.expect("a vector").ready, u16::from(number >= 10), "tick {number}");
        let warm: Vec<_> = output.values.iter().map(|value| *value != 0.0).collect();
        assert_eq!(warm, [true, number >= 6, number >= 10], "tick {number}");
    }
}

#[test]
fn each_instrument_warms_up_on_its_own_ticks() {
    let mut driver = Driver::new(&["EURUSD", "GBPUSD"], "1m", &["return_2"]);
    let ready = |driver: &mut Driver, instrument, number| {
        driver.tick(instrument, quote(number)).features.expect("a vector").ready
    };
    assert_eq!([ready(&mut driver, 0, 1), ready(&mut driver, 0, 2), ready(&mut driver, 0, 3)], [0, 0, 1]);
    assert_eq!([ready(&mut driver, 1, 4), ready(&mut driver, 1, 5), ready(&mut driver, 1, 6)], [0, 0, 1]);
}

#[test]
fn a_strategy_without_columns_is_always_ready() {
    let mut driver = Driver::new(&["EURUSD"], "1m", &[]);
    let output = driver.tick(0, quote(1));
    assert_eq!(output.features.map(|features| (features.columns, features.ready)), Some((0, 1)));
    assert!(output.values.is_empty());
}
