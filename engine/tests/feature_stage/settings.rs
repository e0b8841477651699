//! What can be configured, what is refused, and that only what was chosen is computed.

use pawl_engine::feature::{COLUMNS_DEFAULT, Feature, FeatureError, FeatureSettings, catalogue};
use pawl_journal::record::FEATURE_COLUMNS_MAX;

use crate::driver::{Driver, Quote, refused, settings};

#[test]
fn the_default_is_the_whole_demo_list_on_bars_of_a_minute() {
    let defaults = FeatureSettings::default();
    assert_eq!((defaults.bars.as_str(), defaults.columns.len()), ("1m", 25));
    let mut settings = settings(&["EURUSD"], "1s", &[]);
    settings.features = defaults;
    let feature = Feature::new(&settings).expect("the defaults are right");
    assert_eq!(feature.schema().columns(), COLUMNS_DEFAULT);
    for (place, name) in COLUMNS_DEFAULT.iter().enumerate() {
        assert_eq!(feature.schema().index_of(name), Some(place));
    }
    assert_eq!(feature.schema().index_of("sma_11"), None);
}

#[test]
fn every_row_of_the_catalogue_can_be_chosen() {
    let examples: Vec<_> = catalogue().iter().map(|info| info.example).collect();
    let mut driver = Driver::new(&["EURUSD"], "1m", &examples);
    let output = driver.tick(0, Quote { time: 1, bid: 100_000, ask: 100_004, volume: 0 });
    assert_eq!(output.values.len(), examples.len());
    assert_eq!(output.values[driver.feature.schema().index_of("spread").expect("chosen")], 4.0);
}

#[test]
fn two_moving_averages_keep_one_window_and_two_sums() {
    let mut driver = Driver::new(&["EURUSD"], "2 ticks", &["sma_10", "sma_30"]);
    for number in 0..200 {
        driver.tick(0, Quote { time: number, bid: 100_000 + number, ask: 100_002 + number, volume: 0 });
    }
    let state = serde_json::to_value(driver.feature.state()).expect("plain data");
    let instrument = &state["instruments"][0];
    assert_eq!(instrument["indicators"], 2);
    let windows = instrument["windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 1);
    assert_eq!((&windows[0]["source"], &windows[0]["longest"]), (&"bar.close".into(), &30.into()));
    let kept: Vec<i64> = (70..100).map(|bar| 100_001 + 2 * bar).collect();
    assert_eq!(windows[0]["values"], serde_json::json!(kept));
}

#[test]
fn columns_on_one_source_share_a_window_as_long_as_the_longest() {
    let columns = [
        "tick_sma_30",
        "return_50",
        "macd_3_6_2",
        "macd_signal_3_6_2",
        "bollinger_b_5_2",
        "bollinger_width_5_2",
    ];
    let driver = Driver::new(&["EURUSD"], "1m", &columns);
    let state = driver.feature.state();
    let windows: Vec<_> = state.instruments[0].windows.iter().map(|w| (w.source, w.longest)).collect();
    assert_eq!(windows, [("tick.mid2", 50), ("bar.close", 5)]);
    assert_eq!(state.instruments[0].indicators, 4, "one sum, one lag, one MACD, one pair of bands");
}

#[test]
fn the_schema_hash_stands_for_names_order_and_interval() {
    let hash = |bars: &str, columns: &[&str]| {
        Feature::new(&settings(&["EURUSD"], bars, columns)).expect("right").schema().hash()
    };
    let base = hash("1m", &["sma_10", "sma_30"]);
    assert_eq!(base, hash("60s", &["sma_10", "sma_30"]), "the same interval in other words");
    assert_ne!(base, hash("1m", &["sma_30", "sma_10"]));
    assert_ne!(base, hash("5m", &["sma_10", "sma_30"]));
    assert_ne!(base, hash("60 ticks", &["sma_10", "sma_30"]));
    assert_ne!(base, hash("1m", &["sma_10"]));
    let mut driver = Driver::new(&["EURUSD"], "1m", &["sma_10", "sma_30"]);
    let output = driver.tick(0, Quote { time: 1, bid: 1, ask: 2, volume: 0 });
    assert_eq!(output.features.expect("a vector").schema_hash, base);
    assert_eq!(base, xxhash_rust::xxh3::xxh3_64(b"1m\nsma_10\nsma_30\n"), "as documented");
}

#[test]
fn wrong_columns_are_refused_with_name_and_way_out() {
    let text = refused("1m", &["mid", "smma_10"]).to_string();
    assert!(
        text.contains("`smma_10`")
            && text.contains("did you mean `sma_10`?")
            && text.contains("bollinger_b_N_K"),
        "{text}"
    );
    let text = refused("1m", &["sma_5000"]).to_string();
    assert!(text.contains("`sma_5000`") && text.contains("between 1 and 4096"), "{text}");
    assert_eq!(
        refused("1m", &["mid", "spread", "mid"]),
        FeatureError::DuplicateColumn { name: "mid".to_owned(), first: 1, second: 3 }
    );
    let text = refused("100", &["mid"]).to_string();
    assert!(text.contains("`100`") && text.contains("\"100 ticks\""), "{text}");
}

#[test]
fn a_vector_holds_so_many_columns_and_no_more() {
    let names: Vec<_> = (1..=FEATURE_COLUMNS_MAX + 1).map(|n| format!("sma_{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut driver = Driver::new(&["EURUSD"], "1m", &names[..FEATURE_COLUMNS_MAX]);
    let output = driver.tick(0, Quote { time: 1, bid: 1, ask: 2, volume: 0 });
    assert_eq!(output.values.len(), FEATURE_COLUMNS_MAX);
    let text = refused("1m", &names).to_string();
    assert!(text.contains("129") && text.contains("`sma_129`") && text.contains("remove 1"), "{text}");
}

#[test]
fn the_longest_period_works_on_ticks_and_bars() {
    let columns = ["return_4096", "tick_sma_4096", "spread_mean_4096", "volatility_4096", "sma_4096"];
    let mut driver = Driver::new(&["EURUSD"], "1 tick", &columns);
    let mut ready = Vec::new();
    for number in 0..4_200_i64 {
        let output =
            driver.tick(0, Quote { time: number, bid: 100_000 + number, ask: 100_002 + number, volume: 0 });
        ready.push(output.features.expect("a vector").ready);
    }
    assert_eq!(ready.iter().position(|ready| *ready == 1), Some(4_096));
    let state = driver.feature.state();
    let value = |place: usize| f64::from(state.instruments[0].values[place].value);
    let (now, then) = (100_001.0 + 4_199.0, 100_001.0 + 103.0);
    assert!((value(0) - (now - then) / then).abs() < 1e-8);
    assert!((value(1) - (now + then + 1.0) / 2.0 / 1e5).abs() < 1e-7);
    assert!((value(4) - (now + then - 1.0) / 2.0 / 1e5).abs() < 1e-7);
}
