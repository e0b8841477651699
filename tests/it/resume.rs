//! Stopping and dying: a drained journal, a recovered one, and every tick exactly once.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Child;
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{EURUSD_TICKS, eurusd, pawl, run, scratch, start_day, text, verified, wait_for_steps};

/// Starts a run of the real day at a pace that takes about ten seconds.
fn start(journal: &Path, threading: &str) -> Child {
    start_day(journal, threading, "8640")
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the child lives");
}

/// Timer pulses of a run of the day that nothing interrupts.
fn uninterrupted_timers() -> serde_json::Value {
    static TIMERS: OnceLock<serde_json::Value> = OnceLock::new();
    TIMERS
        .get_or_init(|| {
            let scratch = scratch();
            let journal = scratch.path().join("journal");
            run(&journal, &["--feed", &eurusd(), "--symbol", "EURUSD"]).expect(0);
            verified(&journal)["records"]["timer"].clone()
        })
        .clone()
}

fn finish(journal: &Path) {
    run(journal, &["--feed", &eurusd(), "--symbol", "EURUSD"]).expect(0);
    let verified = verified(journal);
    assert_eq!(verified["records"]["tick"], EURUSD_TICKS, "{verified}");
    assert_eq!(verified["records"]["run_started"], 2);
    assert_eq!(verified["records"]["timer"], uninterrupted_timers(), "no pulse is lost or doubled");
    pawl(&["replay", text(journal)]).expect(0);
}

#[test]
fn an_interrupted_run_is_drained_and_sealed_and_the_next_one_goes_on() {
    for threading in ["single", "fused", "staged"] {
        let scratch = scratch();
        let journal = scratch.path().join("journal");
        let mut child = start(&journal, threading);
        wait_for_steps(&journal, 20_000);
        signal(&child, Signal::INT);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        assert_eq!(verified(&journal)["sealed"], true);
        pawl(&["replay", text(&journal)]).expect(0);
        finish(&journal);
    }
}

#[test]
fn a_killed_run_is_recovered_at_the_next_sequence() {
    for (threading, steps) in [("single", 5_000), ("fused", 30_000)] {
        let scratch = scratch();
        let journal = scratch.path().join("journal");
        let mut child = start(&journal, threading);
        wait_for_steps(&journal, steps);
        signal(&child, Signal::KILL);
        child.wait().expect("it ends");
        pawl(&["verify", text(&journal)]).expect(0);
        pawl(&["replay", text(&journal)]).expect(0);
        finish(&journal);
    }
}

#[test]
fn a_resumed_journal_with_other_settings_is_refused_and_names_them() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = crate::support::btcusd();
    let arguments = ["--feed", feed.as_str(), "--symbol", "BTCUSD"];
    run(&journal, &arguments).expect(0);
    run(&journal, &[&arguments[..], &["--set", "risk.max_order=0.5"]].concat())
        .expect(2)
        .says(&["max_order", "0.5"]);
    assert_eq!(verified(&journal)["sealed"], true, "a refusal leaves the journal as it was");
    // The same settings go on: nothing is left to read, and nothing is read twice.
    run(&journal, &arguments).expect(0);
    assert_eq!(verified(&journal)["records"]["tick"], 14_716);
}

#[test]
fn a_journal_goes_on_only_with_the_feed_that_it_was_made_of() {
    let scratch = scratch();
    let rows: Vec<(String, String)> =
        (10..50).map(|second| (format!("10:00:{second}.000"), format!("1.100{second}"))).collect();
    let write = |name: &str, skip: usize| {
        let kept = rows.iter().enumerate().filter(|(index, _)| *index != skip).map(|(_, row)| row);
        let rows: Vec<(&str, &str, &str)> =
            kept.map(|(time, bid)| (time.as_str(), bid.as_str(), "1.10100")).collect();
        crate::support::ticks(scratch.path(), name, &rows)
    };
    let (file, other) = (write("ticks.csv", usize::MAX), write("other.csv", 3));
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", text(&file), "--symbol", "EURUSD"]).expect(0);
    run(&journal, &["--feed", text(&other), "--symbol", "EURUSD"]).expect(2).says(&["other.csv"]);
    run(&journal, &["--feed", text(&file), "--symbol", "EURUSD"]).expect(0);
    assert_eq!(verified(&journal)["records"]["tick"], 40);
}

#[test]
fn a_damaged_step_of_a_sealed_journal_is_refused_and_not_taken_for_a_torn_end() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = crate::support::btcusd();
    let arguments = ["--feed", feed.as_str(), "--symbol", "BTCUSD"];
    run(&journal, &arguments).expect(0);
    let segment = journal.join("00000000000000000001.pawl");
    let mut bytes = std::fs::read(&segment).expect("read");
    bytes[1_000_000] ^= 1;
    std::fs::write(&segment, &bytes).expect("write");
    run(&journal, &arguments).expect(2).says(&["damaged", "00000000000000000001.pawl"]);
    assert_eq!(std::fs::read(&segment).expect("read"), bytes, "nothing was cut off");
}

/// Every file of a journal, by name.
fn contents(journal: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(journal).expect("readable").map(|entry| entry.expect("readable"));
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|entry| {
            (entry.file_name().into_string().expect("a name"), std::fs::read(entry.path()).expect("readable"))
        })
        .collect()
}

#[test]
fn a_refused_run_leaves_the_journal_byte_for_byte_as_it_was() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let (feed, eurusd) = (crate::support::btcusd(), eurusd());
    let small = ["--set", "journal.segment_bytes=1048576"];
    let arguments = [&["--feed", feed.as_str(), "--symbol", "BTCUSD"][..], &small].concat();
    run(&journal, &arguments).expect(0);
    let refused = |extra: &[&str], words: &[&str]| {
        let before = contents(&journal);
        run(&journal, extra).expect(2).says(words);
        let after = contents(&journal);
        assert!(after.keys().eq(before.keys()), "{words:?}: {:?}", after.keys().collect::<Vec<_>>());
        assert!(after == before, "{words:?}");
    };
    let changed = [&arguments[..], &["--set", "risk.max_order=0.5"]].concat();
    refused(&changed, &["written with other settings", "max_order"]);
    let other = [&["--feed", eurusd.as_str(), "--symbol", "BTCUSD"][..], &small].concat();
    refused(&other, &["EURUSD"]);
    std::fs::create_dir(journal.join("ctl.sock")).expect("created");
    refused(&arguments, &["pawl ctl"]);
    std::fs::remove_dir(journal.join("ctl.sock")).expect("removed");

    let names: Vec<_> = contents(&journal).into_keys().filter(|name| name.ends_with(".pawl")).collect();
    assert!(names.len() > 3, "{names:?}");
    let flip = || {
        let file = std::fs::File::options().read(true).write(true).open(journal.join(&names[1]));
        let (file, mut byte) = (file.expect("opened"), [0]);
        file.read_exact_at(&mut byte, 100_000).expect("read");
        file.write_all_at(&[byte[0] ^ 1], 100_000).expect("written");
    };
    flip();
    refused(&arguments, &[&names[1], "damaged at offset"]);
    flip();
    // The same command goes on as if nothing had been asked in between.
    run(&journal, &arguments).expect(0);
    assert_eq!(verified(&journal)["records"]["run_started"], 2);

    let path = text(&journal);
    pawl(&["prune", path, "--larger-than", "2MB", "--without-snapshot", "--apply"]).expect(0);
    refused(&arguments, &["pruned"]);

    let new = scratch.path().join("new/journal");
    std::fs::create_dir_all(new.join("ctl.sock")).expect("created");
    run(&new, &arguments).expect(2);
    assert_eq!(std::fs::read_dir(&new).expect("readable").count(), 1, "nothing was begun");
}

#[test]
fn a_run_that_recovers_names_the_cursors_that_have_seen_steps_that_are_gone() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let rows: Vec<(String, String)> =
        (10..50).map(|second| (format!("10:00:{second}.000"), format!("1.100{second}"))).collect();
    let rows: Vec<(&str, &str, &str)> =
        rows.iter().map(|(time, bid)| (time.as_str(), bid.as_str(), "1.10100")).collect();
    let file = crate::support::ticks(scratch.path(), "ticks.csv", &rows);
    let arguments = ["--feed", text(&file), "--symbol", "EURUSD"];
    run(&journal, &arguments).expect(0);
    let path = text(&journal);
    let cursor = |name: &str, until: &str| {
        pawl(&["tail", path, "--cursor", name, "--until", until]).expect(0);
    };
    cursor("alerts", "35");
    cursor("database", "1000");
    cursor("slow", "20");
    // The machine dies before the steps from 31 on are on disk.
    let segment = journal.join("00000000000000000001.pawl");
    let mut reader = pawl_journal::log::Reader::open(&journal).expect("a journal");
    reader.seek(pawl_journal::record::Sequence(31)).expect("there");
    let offset = reader.next().expect("whole").expect("there").offset();
    let handle = std::fs::File::options().write(true).open(&segment).expect("opened");
    handle.write_all_at(&vec![0; 200_000], offset).expect("written");
    std::fs::remove_file(segment.with_extension("idx")).expect("removed");

    let listed = pawl(&["cursor", "list", path]).expect(1).stdout;
    assert!(listed.contains("ahead") && listed.contains("--from 31"), "{listed}");
    // A run that is refused has recovered all the same, so it is the one to say so.
    let told = "2 cursors have seen steps that are gone: alerts, database";
    run(&journal, &[&arguments[..], &["--set", "risk.max_order=0.5"]].concat()).expect(2).says(&[told]);
    run(&journal, &arguments).expect(0).says(&[told, "pawl cursor list"]);
    assert_eq!(verified(&journal)["records"]["tick"], 40);
    let way_out = format!("pawl cursor remove {path} database");
    pawl(&["tail", path, "--cursor", "database"]).expect(2).says(&["was cut", "31", &way_out, "--from 31"]);
    pawl(&["cursor", "remove", path, "database"]).expect(0);
    let again = pawl(&["tail", path, "--cursor", "database", "--from", "31", "--json"]).expect(0).stdout;
    assert!(again.starts_with("{\"sequence\":31,"), "{}", &again[..80]);
    let listed = pawl(&["cursor", "list", path, "--json"]).expect(1).json();
    let states: Vec<_> = (0..3).map(|at| listed["cursors"][at]["state"].as_str()).collect();
    assert_eq!(states, [Some("replaced"), Some("good"), Some("good")], "{listed}");
}
