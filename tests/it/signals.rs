//! Signals: what was ignored stays ignored, a terminal that closes ends a run in order, and a benchmark leaves nothing.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use pawl_journal::log::Reader;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{binary, command, eurusd, scratch, start_day, text, verified, wait_for_steps};

fn tell(child: &Child, signals: &[Signal]) {
    for signal in signals {
        kill_process(Pid::from_child(child), *signal).expect("not waited for");
    }
}

fn last_step(journal: &Path) -> u64 {
    Reader::open(journal).expect("a journal").last_sequence().expect("readable").0
}

#[test]
fn a_run_that_began_with_signals_ignored_goes_on_when_they_come() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let (program, feed) = (text(binary()), eurusd());
    // As `nohup` and a script's background jobs do it.
    let shell = ["-c", "trap '' HUP INT; exec \"$@\"", "sh", program, "run", "--journal", text(&journal)];
    let day = ["--feed", &feed, "--symbol", "EURUSD", "--speed", "1440", "--set", "runtime.cores=none"];
    let mut command = command(Path::new("sh"), &[&shell[..], &day].concat());
    let mut engine = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
    wait_for_steps(&journal, 200);
    tell(&engine, &[Signal::HUP, Signal::INT, Signal::HUP, Signal::INT]);
    wait_for_steps(&journal, last_step(&journal) + 1_000);
    assert!(engine.try_wait().expect("a child").is_none(), "it lives");
    tell(&engine, &[Signal::TERM]);
    assert_eq!(engine.wait().expect("it ends").code(), Some(0));
    assert_eq!(verified(&journal)["sealed"], true);
}

#[test]
fn a_terminal_that_closes_does_not_ask_twice() {
    for signals in [&[Signal::HUP, Signal::HUP, Signal::TERM][..], &[Signal::TERM, Signal::HUP, Signal::INT]]
    {
        let scratch = scratch();
        let journal = scratch.path().join("journal");
        let mut engine = start_day(&journal, "fused", "1440");
        wait_for_steps(&journal, 200);
        tell(&engine, signals);
        assert_eq!(engine.wait().expect("it ends").code(), Some(0), "{signals:?}");
        assert_eq!(verified(&journal)["sealed"], true, "{signals:?}");
    }
}

/// Starts a benchmark of a minute, tells it these as soon as it has begun, and gives its exit code and what it said.
fn bench(signals: &[Signal], between: Duration) -> (Option<i32>, String) {
    let scratch = scratch();
    let arguments = ["bench", "throughput", "--only", "features", "--dir", text(scratch.path())];
    let mut command = command(binary(), &arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pawl runs");
    let mut first = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("its conditions");
    for signal in signals {
        tell(&child, &[*signal]);
        std::thread::sleep(between);
    }
    let told = Instant::now();
    let finished = child.wait_with_output().expect("it ends");
    assert!(told.elapsed() < Duration::from_secs(30), "it does not go on to its end");
    let said = String::from_utf8(finished.stderr).expect("UTF-8");
    assert_eq!(std::fs::read_dir(scratch.path()).expect("readable").count(), 0, "{signals:?}: {said}");
    (finished.status.code(), said)
}

#[test]
fn a_benchmark_that_is_stopped_says_so_and_leaves_nothing() {
    for signals in [&[Signal::INT][..], &[Signal::HUP, Signal::HUP, Signal::TERM]] {
        let (code, said) = bench(signals, Duration::ZERO);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("stopping") && said.contains("interrupted"), "{said}");
    }
    // Whoever asks again may be too late.
    let (code, said) = bench(&[Signal::INT, Signal::INT], Duration::from_millis(150));
    assert!(matches!(code, Some(3 | 130)) && said.contains("stopping"), "{code:?} {said}");
}
