//! Durability: what it costs is in the summary, what it promises is kept, and it decides nothing.

use pawl_journal::log::{Appender, JournalOptions, SealReason};
use pawl_journal::record::{Command, CommandAction, CommandReason, CommandSource, Sequence, Step};
use pawl_replay::{Rerun, summarise};

use crate::support::{btcusd, eurusd, output_hash, pawl, run, scratch, text, ticks, verified};

#[test]
fn every_mode_gives_the_same_steps_and_ends_with_all_of_them_on_disk() {
    let scratch = scratch();
    let feed = eurusd();
    let with = |name: &str, durability: &str, threading: &str| {
        let journal = scratch.path().join(name);
        let set = format!("journal.durability={durability}");
        let arguments = ["--feed", &feed, "--symbol", "EURUSD", "--threading", threading, "--set", &set];
        let json = run(&journal, &arguments).expect(0).json();
        let report = &json["durability"];
        assert_eq!(report["mode"], durability, "{json}");
        assert_eq!(report["durable_sequence"], json["summary"]["last"], "{json}");
        let orders = json["published_to_gateway"]["count"].as_u64().expect("a count");
        assert!(orders > 10, "{json}");
        let held = &report["committed_to_released"];
        if durability == "gated" {
            assert_eq!(held["count"], orders, "every step with orders waited for the disk: {json}");
            assert!(held["p50_ns"].as_u64() <= held["max_ns"].as_u64() && held["max_ns"] != 0, "{json}");
        } else {
            assert_eq!(held["count"], 0, "{json}");
        }
        if durability != "page-cache" {
            assert!(report["syncs"].as_u64() > Some(0) && report["sync_ns_max"].as_u64() > Some(0), "{json}");
        }
        pawl(&["replay", text(&journal)]).expect(0);
        output_hash(&journal)
    };
    let plain = with("plain", "page-cache", "fused");
    for (name, durability, threading) in [
        ("gated-single", "gated", "single"),
        ("gated-fused", "gated", "fused"),
        ("async-single", "async:5ms", "single"),
        ("async-fused", "async:5ms", "fused"),
        ("gated-staged", "gated", "staged"),
    ] {
        assert_eq!(with(name, durability, threading), plain, "{name}");
    }
}

#[test]
fn durability_may_change_from_run_to_run_and_the_journal_says_which_it_was() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = btcusd();
    for durability in ["journal.durability=gated", "journal.durability=auto"] {
        run(&journal, &["--feed", &feed, "--symbol", "BTCUSD", "--set", durability]).expect(0);
    }
    let tail = pawl(&["tail", text(&journal), "--kind", "run_started", "--json"]).expect(0).stdout;
    let said: Vec<bool> =
        tail.lines().map(|line| line.replace('\\', "").contains(r#""durability":"gated""#)).collect();
    assert_eq!(said, [true, false], "{tail}");
    assert!(tail.lines().nth(1).is_some_and(|line| line.contains("page-cache")), "{tail}");
    assert_eq!(verified(&journal)["records"]["tick"], crate::support::BTCUSD_TICKS);
    pawl(&["replay", text(&journal)]).expect(0);
}

#[test]
fn the_text_of_the_summary_is_one_line_unless_there_is_a_bound_to_keep() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &[("10:00:00.100", "1.10000", "1.10002")]);
    let lines = |durability: &str| {
        let journal = scratch.path().join(durability.replace(':', "-"));
        let set = format!("journal.durability={durability}");
        let arguments = ["--feed", text(&file), "--symbol", "EURUSD", "--set", &set];
        let all = [&["run", "--journal", text(&journal), "--set", "runtime.cores=none"], &arguments[..]];
        let stdout = pawl(&all.concat()).expect(0).stdout;
        let table: Vec<String> = stdout
            .lines()
            .skip_while(|line| *line != "Durability")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        assert!(table[0].contains(durability) && table[0].contains("on disk up to step"), "{stdout}");
        table.len()
    };
    assert_eq!(lines("page-cache"), 1);
    assert!(lines("async:50ms") > 3);
    assert!(lines("gated") > 3);
}

#[test]
fn a_durability_that_there_is_not_is_refused_with_key_and_line() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &[("10:00:00.100", "1.10000", "1.10002")]);
    let config = scratch.path().join("pawl.toml");
    let journal = scratch.path().join("journal");
    let feed = ["--feed", text(&file), "--symbol", "EURUSD"];
    for wrong in ["fsync", "async", "async:50", "async:0ms", "async:2h", ""] {
        std::fs::write(&config, format!("[journal]\n\ndurability = \"{wrong}\"\n")).expect("write");
        run(&journal, &[&["--config", text(&config)], &feed[..]].concat()).expect(2).says(&[
            "pawl.toml",
            "line 3",
            "durability",
            "async:50ms",
        ]);
        run(&journal, &[&["--set", &format!("journal.durability={wrong}")], &feed[..]].concat())
            .expect(2)
            .says(&["--set", "journal.durability", "gated"]);
    }
    assert!(!journal.exists(), "a run that did not start leaves no journal");
}

#[test]
fn the_configuration_shows_what_the_mode_chooses() {
    let shown = |arguments: &[&str]| {
        let json = pawl(&[&["run", "--print-config", "--json"], arguments].concat()).expect(0).json();
        let rows = json["config"].as_array().expect("rows").clone();
        let row = rows.into_iter().find(|row| row["key"] == "journal.durability").expect("the key");
        format!("{} {}", row["value"].as_str().expect("text"), row["origin"].as_str().expect("text"))
    };
    assert_eq!(shown(&[]), "\"page-cache\" default for mode paper");
    assert_eq!(shown(&["--mode", "live"]), "\"gated\" default for mode live");
    assert_eq!(
        shown(&["--mode", "live", "--set", "journal.durability=async:50ms"]),
        "\"async:50ms\" flag --set"
    );
}

#[test]
fn what_the_engine_asked_of_itself_is_told_with_its_reason_wherever_one_looks() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &[("10:00:00.100", "1.10000", "1.10002")]);
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", text(&file), "--symbol", "EURUSD"]).expect(0);
    // What the edge does when one segment is left: the same pipeline, one more input.
    let mut rerun = Rerun::open(&journal).expect("a journal");
    while rerun.step(|_, difference| assert_eq!(difference, None)).expect("readable").is_some() {}
    let mut appender = Appender::create_or_open(&journal, &JournalOptions::default()).expect("a journal");
    let mut step = Step::new();
    let sequence = appender.next_sequence();
    step.begin(sequence, appender.last_time());
    step.push(&Command {
        action: CommandAction::REDUCE_ONLY,
        source: CommandSource::ENGINE,
        reason: CommandReason::JOURNAL_LOW,
        ..Command::default()
    });
    rerun.pipeline.run(&mut step);
    appender.append(&step).expect("appended");
    appender.seal(SealReason::Ended).expect("sealed");

    pawl(&["replay", text(&journal)]).expect(0);
    let at = sequence.to_string();
    for arguments in [vec!["tail", text(&journal), "--from", &at], vec!["chain", text(&journal), &at]] {
        let said = pawl(&arguments).expect(0).stdout;
        for words in ["action=reduce-only", "source=engine", "reason=journal_low", "code=journal_low"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let risk = pawl(&["state", text(&journal), "--json"]).expect(0).json()["risk"].clone();
    assert_eq!((&risk["mode"], &risk["causes"][0]), (&"reduce-only".into(), &"journal_low".into()));
    let commands = summarise(&journal, Sequence(1), |_| {}).expect("a summary").commands;
    assert_eq!(commands.get("reduce-only by engine, because of journal_low"), Some(&1), "{commands:?}");
}
