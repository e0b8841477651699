//! A pruned journal from the command line: what is left is shown as before, and what cannot be shown so is said.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pawl_journal::log::{Appender, JournalOptions, SealReason};
use pawl_journal::record::{Points, Step, Tick, Time};

use crate::support::{btcusd, pawl, run, scratch, text, verified};

/// The smallest segments.
const SEGMENT_BYTES: u64 = 1 << 20;

/// Ticks that the first of two runs gets.
const FIRST_TICKS: usize = 7_000;

/// A journal of two runs of the real hours, the second of which goes on where the first one's feed ended.
fn two_runs(directory: &Path) -> PathBuf {
    let journal = directory.join("journal");
    let file = std::fs::File::open(btcusd()).expect("the hours");
    let lines: Vec<String> =
        BufReader::new(MultiGzDecoder::new(file)).lines().map(|line| line.expect("text")).collect();
    let first = directory.join("first.csv");
    std::fs::write(&first, lines[..=FIRST_TICKS].join("\n") + "\n").expect("written");
    for feed in [text(&first), &btcusd()] {
        let segment_bytes = format!("journal.segment_bytes={SEGMENT_BYTES}");
        run(&journal, &["--feed", feed, "--symbol", "BTCUSD", "--set", &segment_bytes]).expect(0);
    }
    journal
}

/// A journal of ticks that no run wrote, sealed.
fn ticks_only(journal: &Path, count: u64) {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::default() };
    let mut appender = Appender::create_or_open(journal, &options).expect("a journal");
    let mut step = Step::new();
    for _ in 0..count {
        let sequence = appender.next_sequence();
        let time = Time(1_549_238_400_000_000_000 + sequence.0.cast_signed() * 1_000_000);
        step.begin(sequence, time);
        step.push(&Tick { source_time: time, bid: Points(114_543), ask: Points(114_545), ..Tick::default() });
        appender.append(&step).expect("appended");
    }
    appender.seal(SealReason::Ended).expect("sealed");
}

fn segments(journal: &Path) -> u64 {
    let names = std::fs::read_dir(journal).expect("readable").flatten().map(|entry| entry.file_name());
    names.filter(|name| name.len() == 25 && name.to_string_lossy().ends_with(".pawl")).count() as u64
}

fn copy_of(journal: &Path, name: &str) -> PathBuf {
    let copy = journal.with_file_name(name);
    std::fs::create_dir(&copy).expect("created");
    for entry in std::fs::read_dir(journal).expect("readable").flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    copy
}

/// Prunes a journal to this many segments; gives its first step.
fn prune_to(journal: &Path, kept: u64) -> u64 {
    let limit = format!("{}B", kept * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    let done =
        pawl(&["prune", text(journal), "--larger-than", &limit, "--without-snapshot", "--apply", "--json"]);
    done.expect(0).json()["first_after"].as_u64().expect("a step")
}

#[test]
fn a_pruned_journal_shows_every_step_that_is_left_as_it_did_before() {
    let scratch = scratch();
    let journal = two_runs(scratch.path());
    let runs = pawl(&["tail", text(&journal), "--kind", "run_started", "--json"]).expect(0).stdout;
    assert_eq!(runs.lines().count(), 2);
    let all = segments(&journal);
    assert!(all >= 5, "{all} segments");
    let mut starts = Vec::new();
    for kept in (2..all).rev() {
        let left = copy_of(&journal, &format!("left-{kept}"));
        let first = prune_to(&left, kept).to_string();
        starts.push(first.clone());
        let mut formats = vec![vec!["--json"], vec!["--format", "text"]];
        for kind in ["tick", "features", "verdict", "execution_report", "position_changed"] {
            formats.push(vec!["--format", "csv", "--kind", kind]);
        }
        for format in formats {
            let whole = [&["tail", text(&journal), "--from", &first][..], &format].concat();
            let pruned = pawl(&[&["tail", text(&left)][..], &format].concat()).expect(0);
            assert_eq!(pruned.stdout, pawl(&whole).expect(0).stdout, "{kept} left, {format:?}");
            assert_eq!(pruned.stderr, "");
        }
        let orders = pawl(&["tail", text(&left), "--kind", "order_request", "--json"]).expect(0).stdout;
        let last: serde_json::Value =
            serde_json::from_str(orders.lines().last().expect("an order is left")).expect("JSON");
        let order = last["records"][0]["client_order_id"].to_string();
        for format in [&[][..], &["--json"]] {
            let chain = |journal: &Path| {
                let finished =
                    pawl(&[&["chain", text(journal), &order, "--order"][..], format].concat()).expect(0);
                // What was held before the order may be in a step that is gone, which is said then.
                let mut told = finished.stdout.lines().filter(|line| !line.starts_with("position "));
                let text = told.by_ref().collect::<Vec<_>>().join("\n");
                let json = serde_json::from_str::<serde_json::Value>(&text).map(|mut json| {
                    json["outcome"]["position"].take();
                    json
                });
                (json.ok(), text, finished.stderr)
            };
            let (left, whole) = (chain(&left), chain(&journal));
            match (left.0, whole.0) {
                (Some(left), Some(whole)) => assert_eq!(left, whole),
                _ => assert_eq!((left.1, left.2), (whole.1, whole.2)),
            }
        }
        assert_eq!(verified(&left)["first"].to_string(), first);
    }
    // One of them begins with the second run, whose state is what the first one left.
    let second: serde_json::Value = serde_json::from_str(runs.lines().nth(1).expect("a run")).expect("JSON");
    assert!(starts.contains(&second["sequence"].to_string()), "{starts:?}");
    for kept in 2..all {
        let left = journal.with_file_name(format!("left-{kept}"));
        let words = ["begins at step", "pruned"];
        pawl(&["state", text(&left)]).expect(2).says(&words);
        pawl(&["replay", text(&left)]).expect(2).says(&words);
        run(&left, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(2).says(&words);
    }
}

#[test]
fn a_journal_that_lost_what_its_numbers_mean_says_so_and_shows_none_under_a_wrong_name() {
    let scratch = scratch();
    let journal = two_runs(scratch.path());
    prune_to(&journal, 2);
    let copy = journal.join("pruned.run_started");
    let whole = std::fs::read(&copy).expect("kept");
    let mut damaged = whole.clone();
    damaged[1_000] ^= 1;
    for (content, word) in [(None, "missing"), (Some(damaged), "damaged")] {
        match content {
            Some(bytes) => std::fs::write(&copy, bytes).expect("written"),
            None => std::fs::remove_file(&copy).expect("removed"),
        }
        let tail = |arguments: &[&str]| pawl(&[&["tail", text(&journal), "--kind"][..], arguments].concat());
        for format in ["text", "json", "csv"] {
            let told =
                tail(&["tick", "--format", format]).expect(0).says(&["bid_points", "pruned.run_started"]);
            assert_eq!(told.stderr.lines().count(), 1);
            let head = told.stdout.lines().next().expect("a line");
            assert!(
                head.contains("bid_points") && !head.contains("bid=") && !head.contains("\"bid\""),
                "{head}"
            );
        }
        tail(&["features", "--format", "csv"]).expect(2).says(&["--format json", "settings"]);
        let features = tail(&["features", "--json"]).expect(0).stdout;
        assert!(features.contains("\"column_0\":"), "columns are there, by number");
        let order: serde_json::Value = serde_json::from_str(
            tail(&["order_request", "--json"]).expect(0).stdout.lines().next().expect("an order"),
        )
        .expect("JSON");
        let record = &order["records"][0];
        assert!(record["lots_steps"].is_u64() && record.get("lots").is_none(), "{record}");
        let step = order["sequence"].to_string();
        let chain =
            pawl(&["chain", text(&journal), &step]).expect(0).says(&["bid_points", "pruned.run_started"]);
        assert!(chain.stdout.contains("lots_steps="));
        let found = pawl(&["verify", text(&journal), "--json"]).expect(1).json();
        let finding = found["findings"][0].as_str().expect("a finding");
        assert!(finding.contains("pruned.run_started") && finding.contains(word), "{finding}");
        assert_eq!(found["findings"].as_array().map(Vec::len), Some(1));
        // It is beside the journal, and nothing in the journal can bring it back.
        assert!(
            pawl(&["repair", text(&journal)])
                .expect(1)
                .stdout
                .contains("nothing that a repair can put right")
        );
    }
    std::fs::write(&copy, whole).expect("written");
    assert_eq!(pawl(&["tail", text(&journal), "--until", "0"]).expect(2).stdout, "");
    let tail = pawl(&["tail", text(&journal), "--kind", "tick"]).expect(0);
    assert!(tail.stderr.is_empty() && tail.stdout.contains(" bid=2"));
    verified(&journal);
}

#[test]
fn steps_before_the_start_and_behind_the_end_are_told_and_not_passed_over() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    ticks_only(&journal, 40_000);
    let tail = |arguments: &[&str]| pawl(&[&["tail", text(&journal), "--json"][..], arguments].concat());
    let first = prune_to(&journal, 2);
    let (before, begins) = ((first - 1).to_string(), format!("begins at step {first}"));
    for arguments in [
        &["--from", "1"][..],
        &["--from", &before],
        &["--until", &before],
        &["--from", "1", "--cursor", "new"],
        &["--from", "1", "--follow"],
    ] {
        let refused = tail(arguments).expect(2).says(&[&begins, "pruned"]);
        assert!(refused.stdout.is_empty());
    }
    assert!(pawl(&["cursor", "list", text(&journal)]).expect(0).stdout.contains("no cursors"));
    let from_first = tail(&["--from", &first.to_string()]).expect(0);
    assert_eq!(from_first.stdout.lines().count() as u64, 40_001 - first);
    assert!(!from_first.stderr.contains("begins at"), "{}", from_first.stderr);
    // A time before the start: there may have been steps between the two.
    let told = tail(&["--from", "2019-02-04T00:00:01Z"]).expect(0).says(&[&begins, "pruned"]);
    assert_eq!(told.stdout, from_first.stdout);
    // The step that comes next is not there yet; one behind it is asked for by mistake.
    assert_eq!(tail(&["--from", "40001"]).expect(0).says(&["nothing to print", "step 40000"]).stdout, "");
    assert_eq!(
        tail(&["--from", "40002"]).expect(2).says(&["no step 40002", "step 40000", "--follow"]).stdout,
        ""
    );
    tail(&["--from", "2030-01-01T00:00:00Z"]).expect(0).says(&["nothing to print", "step 40000"]);
    tail(&["--from", "30", "--until", "20"]).expect(2).says(&["--from 30", "--until 20"]);
    let marker = std::fs::read(journal.join("pruned.json")).expect("kept");
    std::fs::remove_file(journal.join("pruned.json")).expect("removed");
    tail(&["--from", "1"]).expect(2).says(&[&begins, "missing"]);
    std::fs::write(journal.join("pruned.json"), &marker[1..]).expect("written");
    let told = tail(&["--from", "40000"]).says(&["pruned.json"]);
    assert_eq!(told.stdout.lines().count(), 1, "a damaged marker hides no step");
}
