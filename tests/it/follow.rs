//! Following: another process sees every step once while the engine runs at full speed.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{binary, command, eurusd, pawl, run, scratch, text, verified};

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
