//! Explaining: where a replay diverges, what an order came of, how the engine stood.

use std::path::Path;

use pawl_journal::log::Reader;
use pawl_journal::record::{OrderRequest, PositionChanged, Prediction};

use crate::support::copied::with_another_verdict;
use crate::support::{btcusd, pawl, run, scratch, text, verified};

fn journal_of(directory: &Path) -> std::path::PathBuf {
    let journal = directory.join("journal");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0);
    journal
}

#[test]
fn a_replay_names_the_first_step_stage_record_and_field_that_differ() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let other = scratch.path().join("other");
    let step = with_another_verdict(&journal, &other);
    assert!(step > 1);
    pawl(&["verify", text(&other)]).expect(0);
    let found = pawl(&["replay", text(&other), "--json"]).expect(1).json();
    let divergence = &found["divergence"];
    assert_eq!(divergence["sequence"], step, "{found}");
    for (key, value) in [("stage", "risk"), ("kind", "verdict"), ("field", "wanted_lots")] {
        assert_eq!(divergence[key], value, "{found}");
    }
    assert_ne!(divergence["recorded"], divergence["computed"]);
    let until = (step - 1).to_string();
    pawl(&["replay", text(&other), "--until", &until]).expect(0);
    // An engine does not trade on a past that it cannot reproduce.
    let refused = run(&other, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(2);
    refused.says(&[&step.to_string(), "wanted_lots"]);
}

#[test]
fn a_chain_leads_from_the_tick_to_the_last_report_by_step_and_by_order() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let mut reader = Reader::open(&journal).expect("a journal");
    let (mut step, mut order) = (0, 0);
    while let Some(frame) = reader.next().expect("readable") {
        if let Some(request) = frame.step().get::<OrderRequest>() {
            (step, order) = (frame.step().sequence().0, request.client_order_id.0);
            break;
        }
    }
    assert!(order > 0, "the hours have an order");
    let by_order = pawl(&["chain", text(&journal), &order.to_string(), "--json"]).expect(0).json();
    let by_step = pawl(&["chain", text(&journal), &step.to_string(), "--json"]).expect(0).json();
    assert_eq!(by_order, by_step);
    let report = by_order["steps"][1]["sequence"].to_string();
    let by_report = pawl(&["chain", text(&journal), &report, "--json"]).expect(0).json();
    assert_eq!(by_order, by_report, "a report leads to the decision");
    pawl(&["chain", text(&journal), &(order + 1).to_string(), "--order"]).expect(2).says(&["no order"]);
    assert_eq!((&by_order["order"], &by_order["final"]), (&order.into(), &true.into()));
    let kinds: Vec<&str> = by_order["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .flat_map(|step| step["records"].as_array().expect("records"))
        .map(|record| record["kind"].as_str().expect("a kind"))
        .collect();
    for kind in [
        "tick",
        "features",
        "prediction",
        "signal",
        "verdict",
        "order_request",
        "execution_report",
        "position_changed",
    ] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let words = pawl(&["chain", text(&journal), &order.to_string()]).expect(0).stdout;
    assert!(words.contains("time spent") && words.contains("final: "), "{words}");
    // Of the vector only what the rule compares, unless all is asked for.
    assert!(
        words.contains("ready sma_10=") && words.contains(" sma_30=") && !words.contains("rsi_14="),
        "{words}"
    );
    assert!(pawl(&["chain", text(&journal), &order.to_string(), "--features"]).stdout.contains("rsi_14="));
}

#[test]
fn a_chain_tells_where_the_time_went_and_what_the_fills_did() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let mut reader = Reader::open(&journal).expect("a journal");
    let mut positions = vec![PositionChanged::default()];
    let mut orders = Vec::new();
    while let Some(frame) = reader.next().expect("readable") {
        positions.extend(frame.step().get::<PositionChanged>());
        orders.extend(frame.step().all::<OrderRequest>().map(|it| it.client_order_id.0));
    }
    assert_eq!(positions.len(), orders.len() + 1, "each order of these hours is filled at once");
    for (order, change) in orders.iter().zip(positions.windows(2)) {
        let chain = pawl(&["chain", text(&journal), &order.to_string(), "--json"]).expect(0).json();
        let lots = |it: &PositionChanged| it.net_lots.0 as f64 / 100.0;
        let money = |it: pawl_journal::record::Micros| it.0 as f64 / 1e6;
        let position = &chain["outcome"]["position"];
        assert_eq!(
            (&position["net_before"], &position["net_after"]),
            (&lots(&change[0]).into(), &lots(&change[1]).into())
        );
        assert_eq!(position["realised"], money(change[1].realised - change[0].realised));
        assert_eq!(position["commission"], money(change[1].commission - change[0].commission));
        let steps = chain["steps"].as_array().expect("steps");
        let last = steps.last().expect("a step");
        assert_eq!(last["since_decision_ns"], chain["outcome"]["venue"]["last_report_ns"]);
        assert!(steps.iter().all(|it| it["spans"]["commit_ns"].is_u64()), "{chain}");
    }
}

#[test]
fn a_chain_shows_the_earlier_prediction_that_its_signal_still_counted() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let config = scratch.path().join("pawl.toml");
    let agents = r#"
        [[agent]]
        name = "bar"
        rule = { fast = "sma_10", slow = "sma_30" }
        on = "bar"
        max_age = "5m"
        [[agent]]
        name = "tick"
        rule = { fast = "tick_ema_20", slow = "tick_sma_20" }
        weight = 2.0
    "#;
    std::fs::write(&config, agents).expect("written");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD", "--config", text(&config)]).expect(0);
    let mut reader = Reader::open(&journal).expect("a journal");
    let (mut spoke, mut checked) = (0, 0);
    while let Some(frame) = reader.next().expect("readable") {
        let step = frame.step();
        let agents: Vec<u16> = step.all::<Prediction>().map(|it| it.agent.0).collect();
        if agents.contains(&0) {
            spoke = step.sequence().0;
        } else if agents == [1] && step.has_orders() && checked < 3 {
            checked += 1;
            let sequence = step.sequence().to_string();
            let chain = pawl(&["chain", text(&journal), &sequence, "--json"]).expect(0).json();
            let earlier = chain["earlier"].as_array().expect("earlier steps");
            assert_eq!((earlier.len(), &earlier[0]["sequence"]), (1, &spoke.into()), "{chain}");
            assert_eq!(earlier[0]["records"][0]["agent"], "bar");
        }
    }
    assert!(checked > 0, "an order comes of a tick between two bars");
}

#[test]
fn the_state_at_a_step_agrees_with_the_records_up_to_it() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let mut reader = Reader::open(&journal).expect("a journal");
    let (mut at, mut net) = (0, 0.0);
    while let Some(frame) = reader.next().expect("readable") {
        if let Some(position) = frame.step().get::<PositionChanged>() {
            (at, net) = (frame.step().sequence().0, position.net_lots.0 as f64 / 100.0);
        }
    }
    let state = pawl(&["state", text(&journal), "--at", &at.to_string(), "--json"]).expect(0).json();
    assert_eq!(
        (&state["sequence"], &state["risk"]["positions"][0]["net"]),
        (&at.into(), &net.into()),
        "{state}"
    );
    let last = verified(&journal)["last"].clone();
    assert_eq!(pawl(&["state", text(&journal), "--json"]).expect(0).json()["sequence"], last);
}

#[test]
fn output_into_a_reader_that_goes_away_is_no_panic() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    for arguments in [vec!["tail", text(&journal)], vec!["state", text(&journal)]] {
        let mut child = crate::support::command(crate::support::binary(), &arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("pawl runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0));
    }
}
