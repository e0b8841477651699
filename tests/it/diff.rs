//! Comparing journals: what is the same, what differs first, and what cannot be compared.

use std::io::{Read as _, Write as _};
use std::path::Path;

use pawl_journal::log::{JournalOptions, Reader};
use pawl_journal::record::{OrderRequest, Sequence};
use serde_json::Value;

use crate::support::copied::copied;
use crate::support::{Finished, btcusd, lines, pawl, run, scratch, session, text};

fn diff(a: &Path, b: &Path, more: &[&str]) -> Finished {
    pawl(&[&["diff", text(a), text(b)], more].concat())
}

/// The steps of a journal that request orders.
fn orders(journal: &Path) -> Vec<u64> {
    let mut reader = Reader::open(journal).expect("a journal");
    let mut found = Vec::new();
    while let Some(frame) = reader.next().expect("readable") {
        found.extend(frame.step().all::<OrderRequest>().map(|it| it.client_order_id.sequence().0));
    }
    found
}

#[test]
fn one_session_is_the_same_in_every_mode_with_and_without_stamps_and_as_itself() {
    let scratch = scratch();
    let fused = session(scratch.path(), "fused", &["--threading", "fused"]);
    let single = session(scratch.path(), "single", &["--threading", "single"]);
    let bare =
        session(scratch.path(), "bare", &["--set", "runtime.stamps=false", "--set", "checkpoint.every=1000"]);
    for other in [&fused, &single] {
        let same = diff(&fused, other, &[]).expect(0);
        assert!(same.stdout.contains("the same decisions on the same inputs"), "{}", same.stdout);
    }
    let same = diff(&fused, &bare, &["--json"]).expect(0);
    let (found, result) = lines(&same);
    assert!(found.is_empty());
    assert_eq!((&result["equal"], &result["settings"][0]["key"]), (&true.into(), &"checkpoint.every".into()));
    assert_eq!(result["state_differs_from"], Value::Null);
    assert!(result["kinds"]["order_request"]["equal"].as_u64() > Some(0), "{result}");
}

#[test]
fn another_limit_is_found_where_risk_first_decides_otherwise() {
    let scratch = scratch();
    let a = session(scratch.path(), "a", &[]);
    let b = session(scratch.path(), "b", &["--set", "risk.max_position=0.05"]);
    let (found, result) = lines(&diff(&a, &b, &["--json"]).expect(1));
    let key = &result["settings"][0];
    assert_eq!((&key["key"], &key["b"]), (&"risk.max_position".into(), &0.05.into()), "{result}");
    let first = found.iter().find(|it| it["line"] == "first").expect("a first difference");
    assert_eq!((&first["stage"], &first["kind"]), (&"risk".into(), &"verdict".into()), "{first}");
    let step = &first["a"]["step"]["sequence"];
    assert_eq!(step.as_u64(), orders(&a).first().copied());
    assert_eq!(first["fields"], serde_json::json!(["reasons", "approved_lots"]));
    assert_eq!(first["b"]["record"]["reasons"], serde_json::json!(["max_position"]));
    assert_eq!(first["a"]["before"].as_array().map(Vec::len), Some(2));
    let changed = found.iter().filter(|it| it["kind"] == "order_request" && it["what"] == "changed");
    assert_eq!(changed.count(), orders(&a).len(), "every order is another one, and none is lost");
    assert_eq!(result["kinds"]["features"]["changed"], 0, "what is upstream of it is the same");
    assert_eq!(result["inputs_differ_from"], Value::Null);
    let words = diff(&a, &b, &[]).expect(1).stdout;
    for word in ["risk.max_position", "approved_lots", "net P&L", "deepest drawdown", "they differ"] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

#[test]
fn another_venue_shifts_numbers_and_ids_and_decisions_still_find_each_other() {
    let scratch = scratch();
    let limit = ["--set", "order.type=limit"];
    let a = session(scratch.path(), "a", &limit);
    let other = ["--set", "venue.paper.seed=3", "--set", "venue.paper.partial=50%"];
    let b = session(scratch.path(), "b", &[&limit[..], &other].concat());
    let (found, result) = lines(&diff(&a, &b, &["--json"]).expect(1));
    let first = found.iter().find(|it| it["line"] == "first").expect("a first difference");
    assert_eq!((&first["stage"], &first["kind"]), (&"venue".into(), &"execution_report".into()));
    let requests = &result["kinds"]["order_request"];
    assert!(requests["equal"].as_u64() > Some(50), "{requests}");
    assert_ne!(orders(&a), orders(&b), "the steps that made them have other numbers");
    for what in ["tick", "features", "signal"] {
        assert_eq!(result["kinds"][what]["changed"], 0, "{what}");
    }
    let few = diff(&a, &b, &["--limit", "3"]).expect(1).stdout;
    let rows = few.lines().filter(|line| line.contains("execution_report  2023")).count();
    assert!(rows == 3 && few.contains(" more: --limit "), "{few}");
}

#[test]
fn another_pulse_is_told_as_such_and_hides_no_decision() {
    let scratch = scratch();
    let a = session(scratch.path(), "a", &[]);
    let b = session(scratch.path(), "b", &["--set", "ingress.timer=5s"]);
    let words = diff(&a, &b, &[]).expect(1).stdout;
    assert!(words.contains("they differ in timer pulses, and decide the same"), "{words}");
    assert!(!words.contains("Decisions and inputs that differ"), "a pulse is no row: {words}");
    let c = session(scratch.path(), "c", &["--set", "ingress.timer=5s", "--set", "risk.max_position=0.05"]);
    let (found, result) = lines(&diff(&a, &c, &["--json"]).expect(1));
    let first = found.iter().find(|it| it["line"] == "first").expect("a first difference");
    assert_eq!((&first["stage"], &first["kind"]), (&"risk".into(), &"verdict".into()), "{first}");
    let pulses = found.iter().filter(|it| it["line"] == "inputs").map(|it| it["pulses"].as_u64());
    assert_eq!(pulses.sum::<Option<u64>>(), result["kinds"]["timer"]["only"]["a"].as_u64());
}

#[test]
fn an_agent_that_decides_on_other_bars_makes_orders_appear_and_vanish() {
    let scratch = scratch();
    let a = session(scratch.path(), "a", &[]);
    let b = session(scratch.path(), "b", &["--set", "features.bars=\"2m\""]);
    let (found, result) = lines(&diff(&a, &b, &["--json", "--kind", "order_request"]).expect(1));
    let first = found.iter().find(|it| it["line"] == "first").expect("a first difference");
    assert_eq!((&first["stage"], &first["kind"]), (&"feature".into(), &"bar_closed".into()));
    let of = |side: &str| found.iter().filter(|it| it["only"] == side).count() as u64;
    let requests = &result["kinds"]["order_request"];
    assert!(of("A") + of("B") > 0, "{result}");
    assert_eq!((&requests["only"]["a"], &requests["only"]["b"]), (&of("A").into(), &of("B").into()));
}

#[test]
fn a_journal_cut_short_is_the_same_up_to_there_and_lacks_the_inputs_behind() {
    let scratch = scratch();
    let whole = session(scratch.path(), "whole", &[]);
    let short = scratch.path().join("short");
    let last_order = orders(&whole).last().copied().expect("the hours have an order");
    copied(&whole, &short, &JournalOptions::default(), Sequence(last_order - 1), |_, _, _| false);
    let (found, result) = lines(&diff(&whole, &short, &["--json"]).expect(1));
    assert_eq!(result["kinds"]["tick"]["changed"], 0);
    assert_eq!((&result["steps"]["changed"], &result["steps"]["only"]["b"]), (&0.into(), &0.into()));
    let inputs = found.iter().find(|it| it["line"] == "inputs").expect("inputs of one side");
    assert_eq!((&inputs["only"], &inputs["first"]["sequence"]), (&"A".into(), &last_order.into()));
    let vanished = found.iter().find(|it| it["kind"] == "order_request").expect("the last order");
    assert_eq!((&vanished["only"], &vanished["inputs_differ"]), (&"A".into(), &true.into()));
    let words = diff(&whole, &short, &[]).expect(1).stdout;
    assert!(words.contains("the end of B on"), "{words}");
}

#[test]
fn a_feed_that_lacks_ticks_is_told_as_inputs_and_the_rest_is_found_again() {
    let scratch = scratch();
    let mut rows = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(btcusd()).expect("the ticks"))
        .read_to_string(&mut rows)
        .expect("text");
    let lost: Vec<&str> =
        rows.lines().enumerate().filter(|(at, _)| !(8_000..8_050).contains(at)).map(|(_, row)| row).collect();
    let path = scratch.path().join("lost.csv");
    let mut file = std::fs::File::create(&path).expect("writable");
    file.write_all(lost.join("\n").as_bytes()).expect("written");
    let whole = session(scratch.path(), "whole", &[]);
    let with_loss = scratch.path().join("lost");
    run(&with_loss, &["--feed", text(&path), "--symbol", "BTCUSD"]).expect(0);
    let (found, result) = lines(&diff(&whole, &with_loss, &["--json"]).expect(1));
    let first = found.iter().find(|it| it["line"] == "first").expect("a first difference");
    assert_eq!(
        (&first["stage"], &first["kind"], &first["b"]["step"]),
        (&"ingress".into(), &"tick".into(), &Value::Null)
    );
    let ticks = &result["kinds"]["tick"];
    assert_eq!((&ticks["only"]["a"], &ticks["only"]["b"]), (&50.into(), &0.into()), "{ticks}");
    assert_eq!(result["inputs_differ_from"]["a"]["sequence"], first["a"]["step"]["sequence"]);
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let scratch = scratch();
    let a = session(scratch.path(), "a", &[]);
    let config = scratch.path().join("pawl.toml");
    let instrument = "[[instrument]]\nsymbol = \"BTCUSD\"\nlike = \"BTCUSD\"\ncontract_size = 10\n";
    std::fs::write(&config, instrument).expect("written");
    let contract = session(scratch.path(), "contract", &["--config", text(&config)]);
    diff(&a, &contract, &[]).expect(2).says(&["BTCUSD has contract_size = 1.0 in A, 10.0 in B"]);
    let rows = [("00:00:01.000", "1.10000", "1.10002"), ("00:00:02.000", "1.10001", "1.10003")];
    let ticks = crate::support::ticks(scratch.path(), "eurusd.csv", &rows);
    let other = scratch.path().join("other");
    run(&other, &["--feed", text(&ticks), "--symbol", "EURUSD"]).expect(0);
    diff(&a, &other, &[]).expect(2).says(&["A has BTCUSD, B has EURUSD"]);
    diff(&a, &scratch.path().join("none"), &[]).expect(2).says(&["there is no journal in"]);
    diff(&a, &a, &["--kind", "thing"]).expect(2).says(&["`thing` is no kind of record", "order_request"]);
}
