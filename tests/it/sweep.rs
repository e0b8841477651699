//! Sweeps: a cell is a run like any other, windows follow each other, and threads change nothing.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Finished, binary, btcusd, command, eurusd, output_hash, pawl, run, scratch, text};

/// Bars so short that half an hour trades.
const QUICK: [&str; 4] = ["--set", "features.bars=10s", "--set", "risk.max_position=0.2"];

/// Sweeps the hours of BTCUSD.
fn sweep(arguments: &[&str]) -> Finished {
    pawl(&[&["sweep", "--feed", &btcusd(), "--symbol", "BTCUSD"], &QUICK[..], arguments].concat())
}

fn cells(sweep: &Value) -> Vec<Value> {
    sweep["cells"].as_array().expect("cells").clone()
}

/// A plain run of the hours with these settings.
fn plain(journal: &Path, arguments: &[&str]) {
    let feed = btcusd();
    let feed = ["--feed", feed.as_str(), "--symbol", "BTCUSD", "--threading", "single"];
    run(journal, &[&feed[..], &QUICK, arguments].concat()).expect(0);
}

#[test]
fn a_cell_is_the_run_and_the_report_with_the_same_settings() {
    let scratch = scratch();
    let out = scratch.path().join("out");
    let grid = ["--grid", "risk.risk_fraction=0.05%,0.1%", "--grid", "agent.cross.threshold=0..0.1/0.1"];
    let sweep = sweep(&[&grid[..], &["--out", text(&out), "--json"]].concat()).expect(0).json();
    let found = cells(&sweep);
    assert_eq!((found.len(), &sweep["points"]), (4, &4.into()));
    let cell = &found[2];
    assert_eq!((&cell["risk.risk_fraction"], &cell["agent.cross.threshold"]), (&"0.1%".into(), &"0".into()));
    let journal = scratch.path().join("plain");
    plain(&journal, &["--set", "risk.risk_fraction=0.1%", "--set", "agent.cross.threshold=0"]);
    let kept = cell["journal"].as_str().expect("kept");
    assert_eq!(output_hash(Path::new(kept)), output_hash(&journal));
    let report = pawl(&["report", text(&journal), "--json"]).expect(0).json();
    assert!(
        report["trips"]["count"].as_u64().expect("trips") > 10,
        "the hours are traded: {}",
        report["trips"]
    );
    for (own, path) in [
        ("profit", "/equity/profit"),
        ("sharpe", "/returns/sharpe"),
        ("sortino", "/returns/sortino"),
        ("calmar", "/returns/calmar"),
        ("cagr", "/returns/cagr"),
        ("max_drawdown", "/drawdown/fraction"),
        ("trips", "/trips/count"),
        ("win_rate", "/trips/win_rate"),
        ("profit_factor", "/trips/profit_factor"),
        ("costs", "/costs/total"),
    ] {
        assert!(!cell[own].is_null(), "{own}");
        assert_eq!(Some(&cell[own]), report.pointer(path), "{own}");
    }
    assert_eq!(sweep["every"], report["returns"]["every"]);
    pawl(&["replay", kept]).expect(0);
    pawl(&["diff", kept, text(&out.join("point-0001"))]).expect(1);
    let saved = std::fs::read_to_string(out.join("sweep.json")).expect("saved");
    assert_eq!(serde_json::from_str::<Value>(&saved).expect("JSON"), sweep);
    let csv = std::fs::read_to_string(out.join("sweep.csv")).expect("saved");
    assert_eq!(csv.lines().count(), 5);
    assert!(
        csv.starts_with("window,role,point,from,until,risk.risk_fraction,agent.cross.threshold,chosen,"),
        "{csv}"
    );
}

#[test]
fn a_test_is_run_with_the_best_of_its_train_and_whatever_the_number_of_jobs() {
    let scratch = scratch();
    let out = scratch.path().join("out");
    let arguments = [
        "--grid",
        "risk.risk_fraction=0.05%,0.1%",
        "--grid",
        "order.type=market,limit",
        "--windows",
        "train=40m,test=30m",
    ];
    let more = ["--metric", "profit", "--json"];
    let one = sweep(&[&arguments[..], &more, &["--jobs", "1"]].concat()).expect(0);
    let two = sweep(&[&arguments[..], &more, &["--jobs", "2"]].concat()).expect(0);
    assert_eq!(one.stdout, two.stdout);
    let kept =
        sweep(&[&arguments[..], &more, &["--jobs", "3", "--out", text(&out)]].concat()).expect(0).json();
    let sweep = one.json();
    let found = cells(&sweep);
    let of = |window: u64, role: &str| -> Vec<&Value> {
        found.iter().filter(|it| it["window"] == window && it["role"] == role).collect()
    };
    let profit = |cell: &Value| cell["profit"].as_f64().expect("a profit");
    assert_eq!(found.len(), 3 * (4 + 1));
    let mut sum = 0.0;
    for window in 1..=3 {
        let (trains, tests) = (of(window, "train"), of(window, "test"));
        let best = trains.iter().map(|it| profit(it)).fold(f64::NEG_INFINITY, f64::max);
        let first = trains.iter().find(|it| profit(it) >= best).expect("a best one");
        assert_eq!((tests.len(), &tests[0]["point"], &first["chosen"]), (1, &first["point"], &true.into()));
        assert_eq!(tests[0]["from"], trains[0]["until"], "a test follows its train");
        sum += profit(tests[0]);
    }
    assert!((profit(&sweep["out_of_sample"]) - sum).abs() < 1e-6, "{sweep}");
    assert_eq!(sweep["out_of_sample"]["windows"], 3);
    let span = |at: usize| {
        (found[at]["from"].as_str().expect("a time"), found[at]["until"].as_str().expect("a time"))
    };
    assert_eq!(span(0), ("2023-02-20T12:00:00.000000000Z", "2023-02-20T12:40:00.000000000Z"));
    assert_eq!(
        span(14),
        ("2023-02-20T13:40:00.000000000Z", "2023-02-20T14:00:00.000000000Z"),
        "to the end of the ticks"
    );

    // The second window's test is the plain run of that half hour.
    let test = of(2, "test")[0];
    let journal = scratch.path().join("plain");
    let fraction = format!("risk.risk_fraction={}", test["risk.risk_fraction"].as_str().expect("a value"));
    let order = format!("order.type={}", test["order.type"].as_str().expect("a value"));
    let (from, until) = (test["from"].as_str().expect("a time"), test["until"].as_str().expect("a time"));
    plain(&journal, &["--set", &fraction, "--set", &order, "--from", from, "--until", until]);
    let kept_test =
        cells(&kept).into_iter().find(|it| it["window"] == 2 && it["role"] == "test").expect("a test");
    assert_eq!(output_hash(Path::new(kept_test["journal"].as_str().expect("kept"))), output_hash(&journal));
}

#[test]
fn a_sweep_of_tables_says_what_is_best_and_leaves_nothing_behind() {
    let scratch = scratch();
    let feed = btcusd();
    let arguments = [
        "sweep",
        "--feed",
        &feed,
        "--symbol",
        "BTCUSD",
        "--grid",
        "risk.max_position=0.1,0.2",
        "--grid",
        "risk.max_order=0.1,1",
    ];
    let table = |more: &[&str]| -> Finished {
        let mut command = command(binary(), &[&arguments[..], more].concat());
        command.env("TMPDIR", scratch.path()).output().expect("pawl runs").into()
    };
    let shown = table(&["--limit", "3", "--metric", "max_drawdown"]).expect(0).stdout;
    assert!(
        shown.contains("4 points, the best max_drawdown first") && shown.contains("and 1 more"),
        "{shown}"
    );
    // One-minute bars need half an hour before they say anything, so nobody has a Sharpe.
    let shown = table(&["--windows", "train=20m,test=20m"]).expect(0).stdout;
    assert!(shown.contains("no point has a sharpe") && !shown.contains("not run"), "{shown}");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0);
}

#[test]
fn a_sweep_that_is_stopped_tells_what_is_done() {
    let scratch = scratch();
    let feed = eurusd();
    let arguments = [
        "sweep",
        "--feed",
        &feed,
        "--symbol",
        "EURUSD",
        "--grid",
        "risk.max_position=0.01..3/0.01",
        "--jobs",
        "2",
        "--json",
    ];
    let out = scratch.path().join("out");
    let mut command = command(binary(), &[&arguments[..], &["--out", text(&out)]].concat());
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("pawl runs");
    let third = out.join("point-0003");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !third.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("the child lives");
    let finished = Finished::from(child.wait_with_output().expect("it ends")).expect(1).says(&["stopped"]);
    let found = cells(&finished.json());
    assert_eq!(found.len(), 300);
    let states: Vec<&str> = found.iter().map(|it| it["state"].as_str().expect("a state")).collect();
    assert!(states.contains(&"done") && states.ends_with(&["not_run"; 100]), "{states:?}");
    for (cell, state) in found.iter().zip(states) {
        let journal = cell["journal"].as_str();
        assert_eq!(journal.is_some(), state == "done", "{cell}");
        assert!(journal.is_none_or(|journal| Path::new(journal).is_dir()), "{cell}");
    }
}

#[test]
fn a_cell_that_fails_says_so_in_its_row() {
    // No file may be as long as a segment, so that no journal can be begun.
    let feed = btcusd();
    let script = "trap '' XFSZ; ulimit -f 3000; exec \"$0\" \"$@\"";
    let arguments = ["-c", script, text(binary()), "sweep", "--feed", &feed, "--symbol", "BTCUSD"];
    let grid = ["--grid", "risk.max_position=1,2"];
    let failed = |more: &[&str]| -> Finished {
        let all = [&arguments[..], &grid, more].concat();
        command(Path::new("bash"), &all).output().expect("bash runs").into()
    };
    let found = cells(&failed(&["--json"]).expect(3).json());
    assert_eq!(found.len(), 2);
    for cell in found {
        assert_eq!((&cell["state"], &cell["profit"]), (&"failed".into(), &Value::Null));
        assert!(cell["message"].as_str().expect("why").contains("could not allocate"), "{cell}");
    }
    let shown = failed(&["--windows", "train=1h,test=30m"]).expect(3).stdout;
    assert!(shown.contains("2 points failed: could not allocate"), "{shown}");
}

#[test]
fn a_sweep_that_cannot_be_runs_nothing() {
    let scratch = scratch();
    let out = scratch.path().join("out");
    let refuse = |arguments: &[&str], words: &[&str]| {
        let refused = sweep(&[arguments, &["--out", text(&out)]].concat()).expect(2).says(words);
        assert!(refused.stdout.is_empty() && !out.exists(), "{arguments:?}");
    };
    refuse(&["--grid", "risk.max_position=1,-2"], &["point 2", "risk.max_position=-2", "nothing was"]);
    refuse(&["--grid", "risk.max_positon=1"], &["max_positon"]);
    refuse(&["--grid", "agent.cross.rule.fast=sma_10,sma_11"], &["point 2", "sma_11"]);
    refuse(&["--grid", "agent.fast.weight=1"], &["agent.fast.weight"]);
    refuse(&["--grid", "runtime.speed=1,2"], &["runtime.speed decides nothing"]);
    refuse(&["--grid", "venue.paper.latency=20ms,11s"], &["point 2", "order.reply_timeout"]);
    refuse(&["--grid", "risk.max_position=0.001..20/0.001"], &["20000 values", "at most 10000"]);
    refuse(
        &["--grid", "risk.max_order=0.01..50/0.01", "--windows", "train=30m,test=30m"],
        &["3 windows of 5000 points", "at most 10000"],
    );
    refuse(&["--windows", "train=5d,test=1d"], &["there is no window", "1 h 59 m"]);
    refuse(&["--windows", "train=5d"], &["train=5d,test=1d"]);
    refuse(&["--from", "2024-01-01"], &["no feed has a tick"]);
    std::fs::create_dir(&out).expect("created");
    std::fs::write(out.join("notes.txt"), "mine").expect("written");
    sweep(&["--out", text(&out)]).expect(2).says(&["something is there already"]);

    // A tick that cannot be read is known before anything is run, wherever it is.
    let mut rows = crate::feeds::rows(&btcusd());
    rows.last_mut().expect("rows").push_str("x\t9");
    let broken = scratch.path().join("broken.csv.gz");
    crate::feeds::write(&broken, &rows);
    pawl(&["sweep", "--feed", text(&broken), "--symbol", "BTCUSD"]).expect(2).says(&["broken.csv.gz:14717"]);
}
