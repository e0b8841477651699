//! The slowest steps and orders: found, ranked and taken apart, or refused where nothing was measured.

use std::path::{Path, PathBuf};

use pawl_journal::log::Reader;
use pawl_journal::record::Stamps;
use serde_json::Value;

use crate::support::{btcusd, pawl, run, scratch, text};

fn session(directory: &Path, more: &[&str]) -> PathBuf {
    let journal = directory.join("journal");
    let feed = btcusd();
    run(&journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"], more].concat()).expect(0);
    journal
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn the_slowest_steps_are_the_largest_stamps_of_the_journal() {
    let scratch = scratch();
    let journal = session(scratch.path(), &[]);
    let mut reader = Reader::open(&journal).expect("a journal");
    let mut took = Vec::new();
    while let Some(frame) = reader.next().expect("readable") {
        if let Some(it) = frame.step().get::<Stamps>() {
            took.push((u64::from(it.order_ns - it.published_ns), frame.step().sequence().0));
        }
    }
    took.sort_by_key(|(ns, sequence)| (std::cmp::Reverse(*ns), *sequence));
    let found = pawl(&["slowest", text(&journal), "-n", "7", "--json"]).expect(0).json();
    let rows = found["steps"].as_array().expect("steps");
    let ranked: Vec<_> = rows.iter().map(|it| (number(it, "total_ns"), number(it, "sequence"))).collect();
    assert_eq!(ranked, took[..7]);
    assert_eq!(number(&found, "measured"), took.len() as u64);
    for row in rows {
        let parts = ["ring_ns", "feature_ns", "inference_ns", "risk_ns", "order_ns"];
        let sum: u64 = parts.iter().map(|part| number(&row["spans"], part)).sum();
        assert_eq!(sum, number(row, "total_ns"), "{row}");
    }
    let words = pawl(&["slowest", text(&journal)]).expect(0).stdout;
    assert!(words.lines().count() == 13 && words.contains("f feature"), "{words}");
}

#[test]
fn the_slowest_orders_tell_how_long_the_venue_took_in_event_time() {
    let scratch = scratch();
    let journal = session(scratch.path(), &[]);
    let found = pawl(&["slowest", text(&journal), "--orders", "--json"]).expect(0).json();
    let rows = found["orders"].as_array().expect("orders");
    assert!(!rows.is_empty(), "the hours have an order");
    assert_eq!(rows.len() as u64, number(&found, "measured"), "fewer than ten");
    for row in rows {
        let order = row["order"].to_string();
        let chain = pawl(&["chain", text(&journal), &order, "--json"]).expect(0).json();
        assert_eq!(chain["outcome"]["venue"]["answered_ns"], row["venue"]["answered_ns"]);
        assert_eq!(chain["outcome"]["state"], row["venue"]["state"]);
        assert_eq!(chain["steps"][0]["spans"], row["spans"]);
        // The paper venue answers 20 ms after the request, with up to 5 ms more.
        let answered = number(&row["venue"], "answered_ns");
        assert!((20_000_000..=25_000_000).contains(&answered), "{row}");
    }
}

#[test]
fn a_journal_without_stamps_and_a_count_of_none_are_refused() {
    let scratch = scratch();
    let journal = session(scratch.path(), &["--set", "runtime.stamps=false"]);
    for more in [&[][..], &["--orders"]] {
        let refused = pawl(&[&["slowest", text(&journal)], more].concat()).expect(2);
        refused.says(&["has no stamps", "runtime.stamps"]);
    }
    pawl(&["slowest", text(&journal), "-n", "0"]).expect(2).says(&["--count", "0 is not in"]);
    let none = scratch.path().join("none");
    pawl(&["slowest", text(&none)]).expect(2).says(&["there is no journal in"]);
}
