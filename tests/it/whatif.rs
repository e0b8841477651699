//! What-if: nothing changes without a change, and a change comes to what a run with it would have come to.

use std::path::{Path, PathBuf};

use pawl_journal::log::JournalOptions;
use pawl_journal::record::{ExecutionReport, Sequence, Time};
use serde_json::Value;

use crate::support::copied::copied;
use crate::support::{Finished, lines, output_hash, pawl, root, scratch, session, text};

/// Orders that wait within the spread and follow the quote, at a venue that fills in parts and refuses now and then.
const LIVELY: [&str; 12] = [
    "--set",
    "order.type=limit",
    "--set",
    "order.limit_offset=-650",
    "--set",
    "order.reprice_points=20",
    "--set",
    "venue.paper.partial=50%",
    "--set",
    "venue.paper.reject=5%",
    "--set",
    "venue.paper.slippage_points=3",
];

fn whatif(journal: &Path, more: &[&str]) -> Finished {
    pawl(&[&["whatif", text(journal)], more].concat())
}

/// The same text with the sides called as `pawl whatif` calls them.
fn relabelled(diff: &Finished) -> String {
    let text = diff.stdout.replace("\"a\":", "\"record\":").replace("\"b\":", "\"whatif\":");
    text.replace("\"only\":\"A\"", "\"only\":\"record\"").replace("\"only\":\"B\"", "\"only\":\"whatif\"")
}

/// Asserts that a what-if tells, line by line, what comparing the record with a run that has the change tells.
#[track_caller]
fn assert_is_as_run(journal: &Path, other: &Path, change: &[&str]) -> (Vec<Value>, Value) {
    let out = other.with_extension("out");
    let told = whatif(journal, &[change, &["--json", "--out", text(&out)]].concat()).expect(1);
    assert_eq!(output_hash(&out), output_hash(other), "what is written is that run: {change:?}");
    pawl(&["replay", text(&out), "--recompute"]).expect(0);
    let compared = pawl(&["diff", text(journal), text(other), "--json"]).expect(1);
    let compared = Finished { stdout: relabelled(&compared), ..compared };
    let (mut found, mut result) = lines(&told);
    let (mut expected, mut expected_result) = lines(&compared);
    // Times of the machine are no decisions.
    for line in found.iter_mut().chain(&mut expected).chain([&mut result, &mut expected_result]) {
        forget_stamps(line);
    }
    for (ours, theirs) in found.iter().zip(&expected) {
        assert_eq!(ours, theirs, "{change:?}");
    }
    assert_eq!(found.len(), expected.len(), "{change:?}");
    for key in ["kinds", "results", "steps", "settings", "inputs_differ_from"] {
        assert_eq!(result[key], expected_result[key], "{key} {change:?}");
    }
    (found, result)
}

fn forget_stamps(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("stamps");
            fields.values_mut().for_each(forget_stamps);
        }
        Value::Array(items) => {
            items.retain(|it| it["kind"] != "stamps");
            items.iter_mut().for_each(forget_stamps);
        }
        _ => {}
    }
}

#[test]
fn unchanged_settings_change_nothing() {
    let scratch = scratch();
    let journal = session(scratch.path(), "j", &LIVELY);
    let same = [&LIVELY[..], &["--set", "risk.max_position=1", "--set", "agent.cross.weight=1"]].concat();
    for change in [&[][..], &same] {
        let (found, result) = lines(&whatif(&journal, &[change, &["--json"]].concat()).expect(0));
        assert_eq!((found.len(), &result["settings"]), (0, &serde_json::json!([])), "{result}");
        assert_eq!(result["hypothetical"], Value::Null, "every report is the record's");
        let kinds = &result["kinds"];
        for (kind, some) in [("order_request", 50), ("execution_report", 50), ("position_changed", 2)] {
            assert!(kinds[kind]["equal"].as_u64() > Some(some), "{kind}: {kinds}");
        }
        assert_eq!(result["results"]["record"], result["results"]["whatif"]);
    }
    let market = session(scratch.path(), "market", &["--set", "venue.paper.partial=50%"]);
    let (_, result) = lines(&whatif(&market, &["--json"]).expect(0));
    assert!(result["results"]["whatif"]["fills"].as_u64() > Some(2), "{result}");
    let words = whatif(&journal, &[]).expect(0).stdout;
    assert!(
        words.contains("the same decisions on the same inputs") && !words.contains("hypothetical"),
        "{words}"
    );
}

#[test]
fn a_change_comes_to_what_a_run_with_it_comes_to() {
    let scratch = scratch();
    let journal = session(scratch.path(), "j", &LIVELY);
    let changes = [
        "risk.max_position=0.05",
        "order.type=market",
        "venue.paper.latency=400ms",
        "features.bars=2m",
        "agent.cross.rule.slow=ema_20",
    ];
    for (index, change) in changes.into_iter().enumerate() {
        // A run has its agents from a file.
        let config = scratch.path().join(format!("{index}.toml"));
        let agent = "[[agent]]\nname = \"cross\"\nrule = { fast = \"sma_10\", slow = \"ema_20\" }\non = \"bar\"\n\
                     max_age = \"300s\"\n";
        let (text_of, set) =
            if change.starts_with("agent.") { (agent, vec![]) } else { ("", vec!["--set", change]) };
        std::fs::write(&config, text_of).expect("written");
        let with = [&LIVELY[..], &["--config", text(&config)], &set].concat();
        let other = session(scratch.path(), &index.to_string(), &with);
        let (_, result) = assert_is_as_run(&journal, &other, &["--set", change]);
        let because = if change.starts_with("venue.") { "venue" } else { "orders" };
        assert_eq!(result["hypothetical"]["because"], because, "{change}");
    }
}

#[test]
fn the_first_other_order_is_where_reports_become_hypothetical() {
    let scratch = scratch();
    let journal = session(scratch.path(), "j", &LIVELY);
    let change = ["--set", "risk.max_position=0.05"];
    let (found, result) = lines(&whatif(&journal, &[&change[..], &["--json"]].concat()).expect(1));
    let first = found.iter().find(|it| it["kind"] == "order_request").expect("an order differs");
    assert_eq!(first["record"]["sequence"], result["hypothetical"]["sequence"]);
    assert_eq!(result["settings"][0]["key"], "risk.max_position");
    let step = result["hypothetical"]["sequence"].to_string();
    let words = whatif(&journal, &change).expect(1).stdout;
    for said in
        [&format!("hypothetical from step {step} "), "its orders are not those of the record", "net P&L"]
    {
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[test]
fn a_venue_that_answers_all_of_it_again_keeps_the_order_of_the_record() {
    let scratch = scratch();
    let journal = session(scratch.path(), "j", &LIVELY);
    // One chance in a million more to be refused: no order of these meets it, and yet the venue answers them all.
    let finished = whatif(&journal, &["--set", "venue.paper.reject=5.0001%", "--json"]).expect(0);
    let (found, result) = lines(&finished);
    assert_eq!((found.len(), &result["hypothetical"]["because"]), (0, &"venue".into()));
    assert!(result["kinds"]["execution_report"]["equal"].as_u64() > Some(50), "{result}");
}

/// Copies the first steps of a journal, with every report changed by `edit`.
fn copy(from: &Path, to: &Path, last: Sequence, edit: impl Fn(&mut ExecutionReport)) {
    copied(from, to, &JournalOptions::default(), last, |_, record, step| {
        let Some(report) = record.get::<ExecutionReport>() else { return false };
        let mut report = *report;
        edit(&mut report);
        step.push(&report);
        true
    });
}

#[test]
fn a_run_that_was_resumed_with_an_order_on_its_way_is_answered_as_one_that_was_not() {
    let scratch = scratch();
    let whole = session(scratch.path(), "whole", &LIVELY);
    let (found, result) = lines(&whatif(&whole, &["--set", "order.reprice_points=40", "--json"]).expect(1));
    let order = found.iter().find(|it| it["kind"] == "order_request").expect("an order differs");
    let last = Sequence(order["record"]["sequence"].as_u64().expect("a step"));
    let resumed = scratch.path().join("resumed");
    copy(&whole, &resumed, last, |_| {});
    session(scratch.path(), "resumed", &LIVELY);
    whatif(&resumed, &[]).expect(0);
    let (_, again) = lines(&whatif(&resumed, &["--set", "venue.paper.reject=5.0001%", "--json"]).expect(0));
    assert_eq!(
        (&again["results"]["whatif"]["runs"], &again["hypothetical"]["because"]),
        (&2.into(), &"venue".into())
    );
    let (_, changed) = lines(&whatif(&resumed, &["--set", "order.reprice_points=40", "--json"]).expect(1));
    for key in ["orders", "fills", "net", "commission", "drawdown_max"] {
        assert_eq!(changed["results"]["whatif"][key], result["results"]["whatif"][key], "{key}");
    }
}

#[test]
fn a_venue_that_answered_otherwise_than_this_build_cannot_answer_other_orders() {
    let scratch = scratch();
    let whole = session(scratch.path(), "whole", &LIVELY);
    let other = scratch.path().join("other");
    copy(&whole, &other, Sequence(u64::MAX), |report| report.source_time = Time(report.source_time.0 + 1));
    whatif(&other, &[]).expect(0);
    let says = ["orders differ from step", "answers otherwise than the journal has it in step"];
    whatif(&other, &["--set", "order.reprice_points=40"]).expect(2).says(&says);
}

/// A run of the real hours with two models.
fn with_models(directory: &Path, name: &str, fast: &str) -> PathBuf {
    let config = directory.join(format!("{name}.toml"));
    let agents = format!(
        "[risk]\nmax_position = 0.5\n\
         [[agent]]\nname = \"fast\"\nmodel = \"{fast}\"\nthreshold = 0.01\nmax_age = \"5s\"\n\
         [[agent]]\nname = \"precise\"\nmodel = \"builtin:precise\"\non = \"bar\"\nweight = 2\nmax_age = \"120s\"\n"
    );
    std::fs::write(&config, agents).expect("written");
    session(directory, name, &["--config", text(&config)])
}

#[test]
fn another_model_comes_to_what_a_run_with_it_comes_to_and_the_same_model_changes_nothing() {
    let scratch = scratch();
    let journal = with_models(scratch.path(), "j", "builtin:fast");
    let threshold = ["--set", "agent.fast.threshold=0.01"];
    let same = format!("fast={}", root().join("tools/models/fast").display());
    whatif(&journal, &[&["--model", &same], &threshold[..]].concat()).expect(0);
    let other = with_models(scratch.path(), "other", "builtin:precise");
    let change = [&["--model", "fast=builtin:precise"], &threshold[..]].concat();
    let (_, result) = assert_is_as_run(&journal, &other, &change);
    let predictions = &result["kinds"]["prediction"];
    let some = |key: &str| predictions[key].as_u64() > Some(0);
    assert!(some("changed") && some("equal"), "one agent has another model, one has not: {predictions}");
    assert_eq!(result["settings"][0]["key"], "agents[0].model", "{result}");
    let (_, result) = lines(&whatif(&journal, &["--model", &same, "--json"]).expect(1));
    assert_eq!(result["settings"][0]["key"], "agents[0].threshold", "the manifest's: {result}");
    assert_eq!(result["kinds"]["features"]["changed"], 0);
}

#[test]
fn what_a_whatif_cannot_answer_is_refused_by_name() {
    let scratch = scratch();
    let journal = session(scratch.path(), "j", &[]);
    for (change, says) in [
        (["--set", "journal.dir=x"], &["journal.dir cannot be set", "risk.*"][..]),
        (["--set", "risk.max_positon=2"], &["risk.max_positon", "unknown field", "max_position"]),
        (["--set", "risk.max_position=many"], &["risk.max_position"]),
        (["--set", "risk.max_position"], &["not KEY=VALUE"]),
        (["--set", "agent.slow.weight=1"], &["no agent slow", "cross"]),
        (["--set", "agent.cross.model=x"], &["--model NAME=DIR"]),
        (["--set", "agent.cross.weight=-1"], &["agent cross", "weight = -1"]),
        (["--set", "venue.paper.latency=2h"], &["venue.paper.latency"]),
        (["--model", "slow=builtin:fast"], &["no agent slow"]),
        (["--model", "cross"], &["not NAME=DIR"]),
        (["--model", "cross=nowhere"], &["agent cross", "nowhere/manifest.json"]),
        (["--kind", "thing"], &["`thing` is no kind of record"]),
    ] {
        let refused = whatif(&journal, &change).expect(2).says(says);
        assert!(refused.stdout.is_empty(), "{change:?}: {refused:?}");
    }
    whatif(&scratch.path().join("none"), &[]).expect(2).says(&["there is no journal in"]);
    whatif(&journal, &["--out", text(&journal)]).expect(2).says(&["lies in the journal"]);
    let other = session(scratch.path(), "other", &["--set", "features.bars=2m"]);
    whatif(&other, &["--model", "cross=builtin:fast"]).expect(2).says(&[
        "builtin:fast was trained on schema c1d152bfed370e5b",
        "the engine computes schema",
        "2m",
    ]);
}
