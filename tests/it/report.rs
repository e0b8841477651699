//! The report: it agrees with the engine to the micro, adds up, says what it cannot tell, and its page is safe and whole.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, JournalOptions, Reader, SealReason};
use pawl_journal::record::{EquityChanged, Micros, PositionChanged, Sequence};
use pawl_replay::{Report, ReportOptions, report, settings_of, summarise};

use crate::support::copied::copied;
use crate::support::{binary, btcusd, eurusd, pawl, run, scratch, text, ticks};

fn session(journal: &Path, more: &[&str]) {
    let feed = btcusd();
    run(journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"], more].concat()).expect(0);
}

/// The first lines of a feed, as a feed of their own.
fn beginning(feed: &str, lines: usize, directory: &Path) -> String {
    let mut all = String::new();
    let file = std::fs::File::open(feed).expect("the ticks");
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut all).expect("gzip");
    let part = directory.join("beginning.csv");
    let lines: Vec<&str> = all.lines().take(lines).collect();
    std::fs::write(&part, lines.join("\n") + "\n").expect("written");
    text(&part).to_owned()
}

fn report_of(journal: &Path) -> Report {
    report(journal, ReportOptions::default(), |_, _| {}).expect("a report")
}

/// The last account and the last position that a journal tells.
fn told(journal: &Path) -> (EquityChanged, PositionChanged) {
    let mut reader = Reader::open(journal).expect("a journal");
    let (mut equity, mut position) = (EquityChanged::default(), PositionChanged::default());
    while let Some(frame) = reader.next().expect("readable") {
        frame.step().all::<EquityChanged>().for_each(|it| equity = *it);
        frame.step().all::<PositionChanged>().for_each(|it| position = *it);
    }
    (equity, position)
}

/// Copies a journal into small segments, so that there is something to prune.
fn copy(from: &Path, to: &Path) {
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
    copied(from, to, &options, Sequence(u64::MAX), |_, _, _| false);
}

#[test]
fn a_report_agrees_with_the_engine_and_adds_up_to_the_micro() {
    let scratch = scratch();
    let market = scratch.path().join("market");
    session(&market, &["--set", "venue.paper.partial=50%"]);
    let limit = scratch.path().join("limit");
    let resting = ["--set", "order.type=limit", "--set", "venue.paper.partial=50%"];
    let feed = beginning(&eurusd(), 40_000, scratch.path());
    run(&limit, &[&["--feed", feed.as_str(), "--symbol", "EURUSD"], &resting[..]].concat()).expect(0);
    let demo = scratch.path().join("demo");
    pawl(&["demo", "--hours", "2", "--journal", text(&demo)]).expect(0);
    for journal in [&market, &limit, &demo] {
        let found = report_of(journal);
        let (equity, position) = told(journal);
        let earned = found.profit().expect("known");
        assert!(found.trips.count + found.trips.open >= 2 && earned.0 != 0, "{:?}", found.trips);
        assert_eq!(found.carried_max, Micros(0), "equity at every tick is the engine's wherever it tells");
        // The engine rounds its drawdown down to a millionth, and tells it at bars and fills.
        let drawdown = found.drawdown.expect("it fell").fraction;
        assert!((drawdown * 1e6) as i64 >= equity.drawdown_ppm_max, "{drawdown} {equity:?}");
        let sum = |parts: &mut dyn Iterator<Item = Micros>| parts.fold(Micros(0), |sum, it| sum + it);
        assert_eq!(sum(&mut found.symbols.iter().map(|it| it.profit)), earned);
        assert_eq!(sum(&mut found.agents.iter().map(|it| it.profit())), earned);
        assert_eq!(sum(&mut found.round_trips.iter().map(|it| it.profit())), earned);
        assert_eq!(found.trips.profit() + found.trips.open_profit, earned);
        if found.symbols.len() == 1 {
            assert_eq!(found.costs.commission, position.commission);
        }
        let summary = summarise(journal, Sequence(1), |_| {}).expect("a summary");
        let sent = found.orders.iter().filter(|it| it.order.0 != 0);
        assert_eq!(sent.count() as u64, summary.orders);
        assert_eq!(found.symbols.iter().map(|it| it.fills).sum::<u64>(), summary.fills);
        assert_eq!(found.summary.records, summary.records);
        let samples = &found.samples;
        assert_eq!(samples.first().map(|it| it.equity), found.opening);
        assert_eq!(samples.last().map(|it| it.equity), found.closing);
        assert!(found.exposure.time > 0.0 && found.exposure.time < 1.0, "{:?}", found.exposure);
    }
    let (resting, taking) = (report_of(&limit).costs, report_of(&market).costs);
    assert!(taking.slippage.0 >= 0 && taking.spread.0 > 0, "{taking:?}");
    assert!(resting.slippage.0 < 0, "an order that rests pays no spread: {resting:?}");
}

#[test]
fn several_runs_are_one_history() {
    let scratch = scratch();
    let whole = scratch.path().join("whole");
    session(&whole, &[]);
    let parted = scratch.path().join("parted");
    run(&parted, &["--feed", &beginning(&btcusd(), 10_000, scratch.path()), "--symbol", "BTCUSD"]).expect(0);
    let first = report_of(&parted);
    session(&parted, &[]);
    let (one, two) = (report_of(&whole), report_of(&parted));
    assert_eq!((one.runs, first.runs, two.runs, two.ended), (1, 1, 2, true));
    assert_ne!(first.profit(), two.profit());
    assert_eq!((one.profit(), one.trips, one.costs), (two.profit(), two.trips, two.costs));
    assert_eq!(one.samples, two.samples);
    let json = pawl(&["report", text(&parted), "--json"]).expect(0).json();
    assert_eq!(json["covers"]["runs"], 2);
    assert!(json["notes"].to_string().contains("2 runs as one history"), "{json}");
}

#[test]
fn the_samples_that_are_exported_are_what_the_ratios_are_of() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    session(&journal, &[]);
    let csv = scratch.path().join("returns.csv");
    let arguments = ["report", text(&journal), "--json", "--returns", text(&csv)];
    let json = pawl(&arguments).expect(0).json();
    let rows = std::fs::read_to_string(&csv).expect("written");
    let returns: Vec<f64> = rows
        .lines()
        .skip(2)
        .map(|row| row.rsplit(',').next().and_then(|it| it.parse().ok()).expect("a return"))
        .collect();
    assert!(rows.starts_with("time,equity,return\n2023-02-20T12:00:00"), "{rows}");
    assert_eq!(json["returns"]["count"], returns.len());
    let mean = returns.iter().sum::<f64>() / returns.len() as f64;
    let spread = returns.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (returns.len() - 1) as f64;
    let close = |key: &str, expected: f64| {
        let found = json["returns"][key].as_f64().expect("a number");
        assert!((found / expected - 1.0).abs() < 1e-9, "{key}: {found} is not {expected}");
    };
    close("sharpe", mean / spread.sqrt() * 525_600_f64.sqrt());
    close("growth", returns.iter().map(|it| it + 1.0).product::<f64>() - 1.0);
    let more = [&arguments[..], &["--every", "hour", "--periods-per-year", "6000"]].concat();
    let hourly = pawl(&more).expect(0).json();
    let asked = &hourly["returns"];
    assert_eq!((&asked["every"], &asked["periods_per_year"]), (&"hour".into(), &6000.0.into()));
    assert_eq!(std::fs::read_to_string(&csv).expect("written").lines().count(), 4);
}

/// A journal of an instrument and an agent whose names are what a page must not take at their word.
fn hostile(directory: &Path) -> PathBuf {
    let symbol = "<img/src=x>\"'&";
    let config = directory.join("pawl.toml");
    let settings = format!(
        "[[instrument]]\nsymbol = '''{symbol}'''\nlike = \"BTCUSD\"\n\
         [[feed]]\nfile = \"{}\"\nsymbol = '''{symbol}'''\n\
         [[agent]]\nname = \"<script>alert(1)</script>\"\n\
         rule = {{ fast = \"sma_10\", slow = \"sma_30\" }}\non = \"bar\"\nmax_age = \"5m\"\n",
        btcusd()
    );
    std::fs::write(&config, settings).expect("written");
    let journal = directory.join("<b>journal</b>");
    run(&journal, &["--config", text(&config)]).expect(0);
    journal
}

#[test]
fn the_page_is_one_file_that_fetches_and_runs_nothing() {
    let scratch = scratch();
    let journal = hostile(scratch.path());
    assert_eq!(settings_of(&journal).expect("settings").0.engine.instruments[0].symbol, "<img/src=x>\"'&");
    let page = scratch.path().join("report.html");
    let said = pawl(&["report", text(&journal), "--html", text(&page)]).expect(0).stdout;
    assert!(said.contains("wrote ") && said.contains("Sharpe"), "{said}");
    let html = std::fs::read_to_string(&page).expect("written");
    for banned in
        ["<script", "<img", "<b>", "http:", "https:", "href=", "@import", "url(", "<link", "javascript"]
    {
        let held = html.matches(banned).count();
        assert_eq!(held, 0, "{banned} at {:?}", html.find(banned).map(|at| &html[at..at + 80]));
    }
    for wanted in [
        "Content-Security-Policy",
        "prefers-color-scheme: dark",
        "@media print",
        "&#60;script&#62;alert(1)",
        "By symbol",
        "By agent",
        "received to committed",
        "max drawdown",
        "profit factor",
        "risk-free rate 0",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert_eq!(html.matches("<svg").count(), 2, "equity and drawdown");
    assert!(!html.contains("NaN") && !html.contains("inf "), "every coordinate is a number");
    let found = report_of(&journal);
    assert!(found.orders.len() >= 3);
    for order in &found.orders {
        assert!(html.contains(&format!(">{}</td>", order.order)), "order {}", order.order);
    }
}

#[test]
fn refused_orders_stand_in_the_list_with_their_reasons() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    session(&journal, &["--set", "risk.max_spread=1"]);
    let json = pawl(&["report", text(&journal), "--json"]).expect(0).json();
    let orders = json["orders"].as_array().expect("orders");
    assert!(!orders.is_empty());
    for order in orders {
        assert_eq!((&order["state"], &order["order"]), (&"refused".into(), &serde_json::Value::Null));
        assert!(order["refused"].to_string().contains("max_spread"), "{order}");
    }
    assert_eq!(json["symbols"][0]["refused"], orders.len());
    let page = scratch.path().join("report.html");
    pawl(&["report", text(&journal), "--html", text(&page)]).expect(0);
    assert!(std::fs::read_to_string(&page).expect("written").contains("refused: max_spread"));
}

#[test]
fn what_too_little_data_cannot_tell_is_said() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let one = ticks(scratch.path(), "one.csv", &[("10:00:00.000", "1.10000", "1.10010")]);
    run(&journal, &["--feed", text(&one), "--symbol", "EURUSD"]).expect(0);
    let page = scratch.path().join("report.html");
    let said = pawl(&["report", text(&journal), "--html", text(&page)]).expect(0).stdout;
    for name in ["Sharpe", "Sortino", "Calmar", "CAGR", "win rate", "profit factor"] {
        let line = said.lines().find(|line| line.trim_start().starts_with(name)).expect("a line");
        assert!(line.contains("not enough data"), "{line}");
    }
    let json = pawl(&["report", text(&journal), "--json"]).expect(0).json();
    for key in ["sharpe", "sortino", "calmar", "cagr", "volatility"] {
        assert!(json["returns"][key].is_null(), "{json}");
    }
    assert!(json["trips"]["win_rate"].is_null() && json["drawdown"].is_null(), "{json}");
    assert_eq!((&json["equity"]["profit"], &json["trips"]["count"]), (&0.0.into(), &0.into()));
    let html = std::fs::read_to_string(&page).expect("written");
    assert!(html.contains("There are none.") && !html.contains("NaN"), "{html}");
}

#[test]
fn a_pruned_journal_says_what_the_report_covers() {
    let scratch = scratch();
    let (one, whole) = (scratch.path().join("one"), scratch.path().join("whole"));
    let (startless, journal) = (scratch.path().join("startless"), scratch.path().join("journal"));
    run(&whole, &["--feed", &beginning(&btcusd(), 12_000, scratch.path()), "--symbol", "BTCUSD"]).expect(0);
    session(&whole, &[]);
    session(&one, &[]);
    copy(&one, &startless);
    copy(&whole, &journal);
    for journal in [&startless, &journal] {
        pawl(&["prune", text(journal), "--larger-than", "3MB", "--without-snapshot", "--yes"]).expect(0);
    }
    // The start of its only run is gone, and kept beside it with every name and scale.
    let kept = pawl(&["report", text(&startless)]).expect(0).stdout;
    assert!(kept.contains("The journal was pruned: this covers steps from"), "{kept}");
    let found = report_of(&journal);
    let first = found.pruned.expect("it was pruned").first_sequence;
    assert!(first.0 > 1 && found.summary.first == first);
    let json = pawl(&["report", text(&journal), "--json"]).expect(0).json();
    assert_eq!(json["covers"]["pruned"], true);
    assert!(json["notes"].to_string().contains(&format!("from {} on", first.0)), "{json}");
    assert_eq!(found.closing, report_of(&whole).closing, "equity is what the engine tells");
}

#[test]
fn what_cannot_be_reported_says_why_before_anything_is_written() {
    let scratch = scratch();
    let dir = scratch.path();
    let (nothing, foreign, empty) = (dir.join("nothing"), dir.join("foreign"), dir.join("empty"));
    std::fs::create_dir(&foreign).expect("created");
    std::fs::write(foreign.join("thesis.doc"), "years of work").expect("written");
    Appender::create_or_open(&empty, &JournalOptions::default())
        .expect("a journal")
        .seal(SealReason::Ended)
        .expect("sealed");
    let page = dir.join("report.html");
    for (journal, words) in [
        (&nothing, ["nothing", "no journal"]),
        (&foreign, ["foreign", "journal"]),
        (&empty, ["the journal is empty", "nothing"]),
    ] {
        let refused = pawl(&["report", text(journal), "--html", text(&page)]).expect(2).says(&words);
        assert!(refused.stdout.is_empty() && !page.exists(), "{refused:?}");
    }
    let journal = dir.join("journal");
    let one = ticks(dir, "one.csv", &[("10:00:00.000", "1.10000", "1.10010")]);
    run(&journal, &["--feed", text(&one), "--symbol", "EURUSD"]).expect(0);
    let path = text(&journal);
    let nowhere = dir.join("no/such/report.html");
    for flag in ["--html", "--returns"] {
        pawl(&["report", path, flag, text(&nowhere)]).expect(2).says(&[flag, "no directory", "no/such"]);
        pawl(&["report", path, flag, text(dir)]).expect(2).says(&[flag, "is a directory"]);
    }
    for wrong in ["0", "-1", "nan", "inf"] {
        let wrong = format!("--periods-per-year={wrong}");
        pawl(&["report", path, &wrong]).expect(2).says(&["--periods-per-year", "above 0"]);
    }
    pawl(&["report", path, "--every", "fortnight"]).expect(2).says(&["fortnight", "minute, hour, day"]);
    pawl(&["report"]).expect(2);
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_a_whole_report_and_only_if_it_is_one() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = dir.join("journal");
    session(&journal, &[]);
    let path = text(&journal);
    for (flag, name) in [("--html", "report.html"), ("--returns", "returns.csv")] {
        let file = dir.join(name);
        let arguments = ["report", path, flag, text(&file)];
        for mine in ["", "mine", "<!doctype html>\n<title>Diary</title>"] {
            std::fs::write(&file, mine).expect("written");
            pawl(&arguments).expect(2).says(&[flag, name, "pawl report", "name another file"]);
            assert_eq!(std::fs::read_to_string(&file).expect("kept"), mine);
        }
        std::fs::remove_file(&file).expect("removed");
        pawl(&arguments).expect(0);
        let before = std::fs::read(&file).expect("written");
        assert!(!before.is_empty());
        // A disk that takes no byte.
        let full = std::process::Command::new("sh")
            .args(["-c", "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\"", text(binary())])
            .args(arguments)
            .output();
        let full = crate::support::Finished::from(full.expect("sh runs"));
        full.expect(3).says(&["cannot write", name]);
        assert!(std::fs::read(&file).expect("kept") == before);
        pawl(&arguments).expect(0);
        assert!(std::fs::read(&file).expect("written") == before);
    }
    assert_eq!(std::fs::read_dir(dir).expect("listed").count(), 3, "nothing else is left");
    let both = dir.join("both");
    pawl(&["report", path, "--html", text(&both), "--returns", text(&both)])
        .expect(2)
        .says(&["the same file"]);
}
