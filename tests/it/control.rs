//! Operators: a halt stops new orders at once, is in the journal, survives a restart, and only `resume` lifts it.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Finished, eurusd, pawl, run, scratch, start_day, text, verified};

/// Starts a run of the real day at a pace that takes about a minute.
fn start(journal: &Path, threading: &str) -> Child {
    start_day(journal, threading, "1440")
}

fn ctl(journal: &Path, words: &[&str]) -> Finished {
    pawl(&[&["ctl", text(journal)][..], words, &["--json"]].concat())
}

fn wait_until(journal: &Path, what: impl Fn(&serde_json::Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = ctl(journal, &["status"]);
        if status.code == 0 && what(&status.json()) {
            return;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn stop(mut engine: Child) {
    kill_process(Pid::from_child(&engine), Signal::INT).expect("the engine lives");
    assert_eq!(engine.wait().expect("it ends").code(), Some(0));
}

/// Orders in the steps behind `after` that were approved to add to what is held. A halted engine may still close.
fn adding_after(journal: &Path, after: u64) -> usize {
    let from = (after + 1).to_string();
    let tail = pawl(&["tail", text(journal), "--from", &from, "--kind", "verdict", "--json"]).expect(0);
    let adds = |verdict: &serde_json::Value| {
        let lots = |key: &str| verdict[key].as_f64().expect("a volume");
        let sign = if verdict["side"] == "buy" { 1.0 } else { -1.0 };
        let (held, ordered) = (lots("position_lots"), sign * lots("approved_lots"));
        verdict["action"] == "new" && (held + ordered).abs() > held.abs()
    };
    let steps = tail.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    steps
        .flat_map(|step: serde_json::Value| step["records"].as_array().expect("records").clone())
        .filter(adds)
        .count()
}

#[test]
fn a_halt_stops_new_orders_survives_a_restart_and_only_resume_lifts_it() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let engine = start(&journal, "fused");
    wait_until(&journal, |status| status["ticks"].as_u64().is_some_and(|ticks| ticks > 300));
    let halted = ctl(&journal, &["halt"]).expect(0).json();
    assert_eq!((&halted["result"], &halted["mode"]), (&"done".into(), &"halted".into()), "{halted}");
    let step = halted["sequence"].as_u64().expect("a step");
    wait_until(&journal, |status| {
        status["sequence"].as_u64().is_some_and(|sequence| sequence > step + 2_000)
    });
    assert_eq!(ctl(&journal, &["status"]).expect(0).json()["mode"], "halted");
    stop(engine);

    let command =
        pawl(&["tail", text(&journal), "--from", &step.to_string(), "--until", &step.to_string(), "--json"])
            .expect(0);
    assert!(
        command.stdout.contains(r#""kind":"command""#) && command.stdout.contains("halt"),
        "{}",
        command.stdout
    );
    assert_eq!(adding_after(&journal, step), 0, "nothing new after the halt");

    let engine = start(&journal, "single");
    wait_until(&journal, |status| status["ticks"].as_u64().is_some_and(|ticks| ticks > 500));
    assert_eq!(
        ctl(&journal, &["status"]).expect(0).json()["mode"],
        "halted",
        "the halt survived the restart"
    );
    let resumed = ctl(&journal, &["resume"]).expect(0).json();
    assert_eq!(resumed["mode"], "active");
    let resumed = resumed["sequence"].as_u64().expect("a step");
    stop(engine);
    assert_eq!(
        adding_after(&journal, step),
        adding_after(&journal, resumed),
        "nothing is added between halt and resume"
    );

    run(&journal, &["--feed", &eurusd(), "--symbol", "EURUSD"]).expect(0);
    assert!(adding_after(&journal, resumed) > 0, "it trades again");
    assert_eq!(verified(&journal)["records"]["tick"], crate::support::EURUSD_TICKS);
    pawl(&["replay", text(&journal)]).expect(0);
}

#[test]
fn limits_change_while_it_runs_and_nonsense_is_refused() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let engine = start(&journal, "fused");
    wait_until(&journal, |status| status["ticks"].as_u64().is_some_and(|ticks| ticks > 100));
    ctl(&journal, &["limit", "max_position", "0.5"]).expect(0);
    ctl(&journal, &["limit", "max_quote_age", "2s"]).expect(0);
    ctl(&journal, &["limit", "max_quote_age", "2"]).expect(2).says(&["max_quote_age"]);
    ctl(&journal, &["limit", "max_fun", "1"]).expect(2).says(&["max_fun", "max_position"]);
    ctl(&journal, &["limit", "max_position", "0"]).expect(2).says(&["max_position", "above 0"]);
    ctl(&journal, &["limit", "max_order_rate", "9999"]).expect(2).says(&["1 to 1024"]);
    ctl(&journal, &["reduce-only"]).expect(0);
    ctl(&journal, &["flatten"]).expect(0);
    stop(engine);
    let tail = pawl(&["tail", text(&journal), "--kind", "command", "--json"]).expect(0);
    assert_eq!(tail.stdout.lines().count(), 4, "{}", tail.stdout);
    pawl(&["replay", text(&journal)]).expect(0);
    ctl(&journal, &["status"]).expect(2).says(&["no engine is running"]);
}

#[test]
fn the_control_socket_is_for_its_owner_alone_and_survives_garbage() {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = scratch();
    // Longer than a socket address can be.
    let journal = scratch.path().join("j".repeat(120));
    let engine = start(&journal, "single");
    wait_until(&journal, |status| status["ticks"].as_u64().is_some_and(|ticks| ticks > 10));
    let mode = std::fs::metadata(journal.join("ctl.sock")).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    let near = std::fs::File::open(&journal).expect("open");
    let path = format!("/proc/self/fd/{}/ctl.sock", std::os::fd::AsRawFd::as_raw_fd(&near));
    for garbage in [&b"\n"[..], b"{}\n", b"\xff\xfe\n", &[b'x'; 10_000], b"{\"action\":\"detonate\"}\n"] {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connect");
        // The engine may hang up before it has read everything.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    ctl(&journal, &["status"]).expect(0);
    stop(engine);
    assert!(!journal.join("ctl.sock").exists(), "the socket went with the engine");
}
