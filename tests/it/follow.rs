//! Following: another process sees every step once while the engine runs at full speed.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pawl_journal::log::{Appender, JournalOptions, SealReason};
use pawl_journal::record::{Step, Timer};

use crate::support::{
    Finished, binary, command, eurusd, pawl, run, scratch, start_day, text, ticks, verified,
};

#[test]
fn a_follower_sees_every_step_once_and_every_line_is_json() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = eurusd();
    let arguments = [
        "run",
        "--journal",
        text(&journal),
        "--feed",
        &feed,
        "--symbol",
        "EURUSD",
        "--set",
        "runtime.cores=none",
    ];
    let mut engine =
        command(binary(), &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !journal.join("00000000000000000001.pawl").exists() {
        assert!(Instant::now() < deadline, "the engine did not begin a journal");
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut follower = command(binary(), &["tail", text(&journal), "--follow", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("pawl runs");
    let mut next = 1;
    let mut ticks = 0;
    for line in BufReader::new(follower.stdout.take().expect("piped")).lines() {
        let line = line.expect("UTF-8");
        let step: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(step["sequence"], next, "every step once, in order");
        ticks += u64::from(step["records"][0]["kind"] == "tick");
        next += 1;
    }
    assert_eq!(follower.wait().expect("it ends").code(), Some(0));
    assert_eq!(engine.wait().expect("it ends").code(), Some(0));
    assert_eq!(ticks, crate::support::EURUSD_TICKS);
    assert_eq!(verified(&journal)["last"], next - 1);
}

/// Appends steps to a journal as a writer of its own.
fn append(appender: &mut Appender, count: u64) {
    let mut step = Step::new();
    for _ in 0..count {
        step.begin(appender.next_sequence(), appender.last_time());
        step.push(&Timer::default());
        appender.append(&step).expect("appended");
    }
}

#[test]
fn a_writer_that_died_is_told_from_one_that_ended_and_is_a_finding() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut writer = Appender::create_or_open(&journal, &JournalOptions::default()).expect("a journal");
    append(&mut writer, 7);
    let path = text(&journal);
    let table = pawl(&["verify", path]).expect(0).stdout;
    assert!(table.contains("no: it is being written"), "{table}");
    assert_eq!(verified(&journal)["writer"], "alive");
    // Dropped without a seal: what a killed process leaves.
    drop(writer);
    assert_eq!(verified(&journal)["writer"], "gone");
    let table = pawl(&["verify", path]).expect(0).stdout;
    assert!(table.contains("no: its writer is gone") && table.contains("`pawl run`"), "{table}");
    let tail = |arguments: &[&str]| pawl(&[&["tail", path, "--json"][..], arguments].concat());
    tail(&[]).expect(0);
    let died = tail(&["--follow"]).expect(1).says(&["gone without closing", "last step is 7", "pawl verify"]);
    assert_eq!(died.stdout.lines().count(), 7);
    tail(&["--follow", "--durable"])
        .expect(1)
        .says(&["last step is 7", "durable up to step 0 of 7 committed"]);
    tail(&["--follow", "--until", "3"]).expect(0);

    let mut next = Appender::create_or_open(&journal, &JournalOptions::default()).expect("recovered");
    append(&mut next, 1);
    next.seal(SealReason::Ended).expect("sealed");
    drop(next);
    let ended = tail(&["--follow", "--durable"]).expect(0).says(&["durable up to step 8 of 8 committed"]);
    assert_eq!(ended.stdout.lines().count(), 8);
    assert!(!ended.stderr.contains("gone"), "{ended:?}");
    let verified = verified(&journal);
    let said = (&verified["writer"], &verified["durable_sequence"], &verified["durable_by"]);
    assert_eq!(said, (&"ended".into(), &8.into(), &"seal".into()));
}

#[test]
fn a_follower_of_what_is_durable_is_told_at_once_that_a_page_cache_run_does_not_say_it() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut engine = start_day(&journal, "fused", "100");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !pawl(&["tail", text(&journal), "--until", "10"]).stdout.contains("tick") {
        assert!(Instant::now() < deadline, "the engine did not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut follower = command(binary(), &["tail", text(&journal), "--follow", "--durable", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pawl runs");
    // It has looked at the living engine when it says the first thing.
    let mut told = String::new();
    let mut stderr = BufReader::new(follower.stderr.take().expect("piped"));
    while !told.contains("journal.durability = page-cache") {
        assert!(stderr.read_line(&mut told).expect("readable") > 0, "it ended and said only {told:?}");
    }
    // Not followed: the same is said, and there is nothing to show.
    let now = pawl(&["tail", text(&journal), "--durable", "--json"]).expect(0).says(&[
        "journal.durability = page-cache",
        "async:50ms",
        "durable up to step 0 of ",
    ]);
    assert_eq!(now.stdout, "");
    engine.kill().expect("killed");
    engine.wait().expect("it ends");
    stderr.read_to_string(&mut told).expect("readable");
    let followed: Finished = follower.wait_with_output().expect("it ends").into();
    assert_eq!(followed.expect(1).stdout, "");
    assert!(told.contains("gone without closing"), "{told}");
    assert_eq!(told.matches("page-cache").count(), 1, "{told}");
}

#[test]
fn csv_names_its_columns_once_for_a_cursor_and_again_where_that_is_asked() {
    let scratch = scratch();
    let rows = [("10:00:00.100", "1.10000", "1.10002"), ("10:00:00.200", "1.10001", "1.10003")];
    let file = ticks(scratch.path(), "ticks.csv", &rows);
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", text(&file), "--symbol", "EURUSD"]).expect(0);
    let tail = |arguments: &[&str]| {
        let all = ["tail", text(&journal), "--kind", "tick", "--format", "csv"];
        pawl(&[&all[..], arguments].concat()).expect(0).stdout
    };
    let whole = tail(&[]);
    assert!(whole.starts_with("sequence,time,") && whole.lines().count() == 3, "{whole}");
    let resumed = [tail(&["--cursor", "db", "--until", "2"]), tail(&["--cursor", "db"])].concat();
    assert_eq!(resumed, whole, "what a cursor gives in pieces is what is given at once");
    assert_eq!(tail(&["--cursor", "db"]), "");
    assert_eq!(Some(tail(&["--cursor", "db", "--header"]).trim_end()), whole.lines().next());
    assert_eq!(tail(&["--cursor", "late", "--from", "now"]).lines().count(), 1, "it is there without a row");
    pawl(&["tail", text(&journal), "--header"]).expect(2).says(&["--format csv"]);
}

#[test]
fn a_cursor_behind_a_pipe_that_was_closed_early_leaves_no_step_out() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", &crate::support::btcusd(), "--symbol", "BTCUSD"]).expect(0);
    let arguments = ["tail", text(&journal), "--json", "--cursor", "db"];
    let mut tail = command(binary(), &arguments).stdout(Stdio::piped()).spawn().expect("pawl runs");
    let mut seen = 0;
    let mut lines = BufReader::new(tail.stdout.take().expect("piped")).lines();
    for line in lines.by_ref().take(3) {
        let step: serde_json::Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        seen = step["sequence"].as_u64().expect("a number");
    }
    drop(lines);
    assert_eq!(tail.wait().expect("it ends").code(), Some(0));
    let next =
        pawl(&["cursor", "list", text(&journal), "--json"]).expect(0).json()["cursors"][0]["next"].clone();
    // The pipe and its reader's buffer have taken more than was read from it, and less than 256 KiB.
    let steps_max = 256 * 1024 / 200;
    assert!((1..=seen + steps_max).contains(&next.as_u64().expect("a number")), "{seen} seen, at {next}");
    let rest = pawl(&arguments).expect(0).stdout;
    let first: serde_json::Value = serde_json::from_str(rest.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["sequence"], next, "it goes on where the cursor says");
}

#[test]
fn kinds_formats_and_beginnings_select_what_is_printed() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", &crate::support::btcusd(), "--symbol", "BTCUSD"]).expect(0);
    let path = text(&journal);
    let tail = |arguments: &[&str]| pawl(&[&["tail", path][..], arguments].concat()).expect(0).stdout;

    assert_eq!(tail(&["--from", "100", "--until", "109", "--json"]).lines().count(), 10);
    let features = tail(&["--kind", "features", "--format", "csv"]);
    assert!(features.starts_with("sequence,time,symbol,ready,"), "{}", &features[..80]);
    assert!(features.lines().count() > 10_000);
    let late = tail(&["--from", "2023-02-20T13:59:59Z", "--kind", "tick", "--json"]);
    for line in late.lines() {
        let step: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(step["time"].as_str().expect("time") >= "2023-02-20T13:59:59");
    }
    assert_eq!(tail(&["--from", "now"]), "");
    pawl(&["tail", path, "--kind", "gossip"]).expect(2).says(&["gossip", "order_request"]);
    pawl(&["tail", path, "--format", "csv"]).expect(2).says(&["--kind"]);
    pawl(&["tail", path, "--from", "yesterday"]).expect(2).says(&["yesterday"]);
}
