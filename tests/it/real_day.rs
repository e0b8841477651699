//! The real day: every tick a step, the same decisions in every mode and build.

use std::path::Path;

use crate::support::{
    EURUSD_TICKS, Finished, binary, btcusd, command, eurusd, output_hash, pawl, release_binary, run,
    run_with, scratch, text, verified,
};

fn run_day(journal: &Path, threading: &str) -> serde_json::Value {
    run(journal, &["--feed", &eurusd(), "--symbol", "EURUSD", "--threading", threading]).expect(0).json()
}

#[test]
fn the_real_day_is_the_same_and_replays_the_same_in_every_threading_mode_and_both_builds() {
    let scratch = scratch();
    let journals: Vec<_> =
        ["single", "again", "fused", "release", "staged"].map(|name| scratch.path().join(name)).to_vec();
    let summary = run_day(&journals[0], "single");
    run_day(&journals[1], "single");
    run_day(&journals[2], "fused");
    let arguments = ["--feed", &eurusd(), "--symbol", "EURUSD"];
    run_with(release_binary(), &journals[3], &arguments).expect(0);
    let staged = [&arguments[..], &["--threading", "staged"]].concat();
    run_with(release_binary(), &journals[4], &staged).expect(0);

    assert_eq!(summary["summary"]["records"]["tick"], EURUSD_TICKS);
    assert!(summary["summary"]["orders"].as_u64().expect("orders") > 0, "the defaults trade: {summary}");
    for journal in &journals {
        let verified = verified(journal);
        assert_eq!(verified["records"]["tick"], EURUSD_TICKS);
        assert_eq!(verified["sealed"], true);
        assert_eq!(output_hash(journal), output_hash(&journals[0]), "{}", journal.display());
    }
    // In another process each, and by the other build than the one that ran.
    for (journal, replayer) in
        [(&journals[0], release_binary()), (&journals[2], release_binary()), (&journals[3], binary())]
    {
        let replay: Finished =
            command(replayer, &["replay", text(journal), "--json"]).output().expect("pawl runs").into();
        let replayed = replay.expect(0).json();
        assert_eq!(replayed["output_hash"], output_hash(&journals[0]));
        assert!(replayed["divergence"].is_null());
    }
}

#[test]
fn both_real_symbols_run_in_one_engine_merged_by_time() {
    let scratch = scratch();
    let journal = scratch.path().join("both");
    let arguments = ["--feed", &btcusd(), "--symbol", "BTCUSD", "--feed", &eurusd(), "--symbol", "EURUSD"];
    let summary = run(&journal, &arguments).expect(0).json();
    assert_eq!(summary["summary"]["instruments"][0]["ticks"], 14_716);
    assert_eq!(summary["summary"]["instruments"][1]["ticks"], EURUSD_TICKS);
    let tail = pawl(&["tail", text(&journal), "--kind", "tick", "--format", "csv"]).expect(0);
    let times: Vec<&str> =
        tail.stdout.lines().skip(1).map(|line| line.split(',').nth(1).expect("time")).collect();
    assert_eq!(times.len() as u64, 14_716 + EURUSD_TICKS);
    assert!(times.is_sorted(), "ticks are merged by time");
    pawl(&["replay", text(&journal)]).expect(0);
}

#[test]
fn a_changed_byte_of_the_journal_is_found_by_verify_and_by_replay() {
    let scratch = scratch();
    let journal = scratch.path().join("damaged");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0);
    let segment = journal.join("00000000000000000001.pawl");
    let mut bytes = std::fs::read(&segment).expect("read");
    let middle = 1_000_000;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("write");
    let verified = pawl(&["verify", text(&journal)]).expect(1);
    assert!(verified.stdout.contains("00000000000000000001.pawl"), "{}", verified.stdout);
    pawl(&["replay", text(&journal)]).expect(2).says(&["00000000000000000001.pawl"]);
}
