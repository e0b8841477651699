//! Runs killed with -9 at random moments, again and again, with orders working, in flight and half filled: what is left
//! in the end is what an uninterrupted run leaves.

use std::path::Path;
use std::process::{Child, Stdio};

use pawl_journal::log::Reader;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{binary, btcusd, command, copy_dir, pawl, run, scratch, text, wait_for_steps};

/// Limit orders that follow the quote, turn with the signal, are filled in parts and travel for ten seconds: some order
/// is open at most moments.
const BUSY: &str = r#"
[order]
type = "limit"
limit_offset = -630
reprice_points = 40
reply_timeout = "3m"
valid_for = "1m"
[risk]
max_prediction_age = "10m"
retry_after = "1s"
max_order_rate = 600
[venue.paper]
latency = "10s"
partial = "50%"
reject = "5%"
[[agent]]
name = "cross"
rule = { fast = "tick_sma_20", slow = "tick_ema_20" }
"#;

/// What every run here is told.
fn arguments(directory: &Path) -> Vec<String> {
    let config = directory.join("busy.toml");
    std::fs::write(&config, BUSY).expect("written");
    ["--feed", &btcusd(), "--symbol", "BTCUSD", "--config", text(&config)].map(str::to_owned).to_vec()
}

/// Random moments, the same ones for the same seed (Knuth's MMIX generator).
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Starts a run that takes a second or two.
fn start(journal: &Path, arguments: &[&str], threading: &str) -> Child {
    let mut all = vec!["run", "--journal", text(journal), "--set", "runtime.cores=none", "--speed", "4800"];
    all.extend(["--threading", threading]);
    all.extend(arguments);
    command(binary(), &all).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pawl runs")
}

fn kill(mut child: Child) {
    // It may have ended by itself.
    if child.try_wait().expect("it can be asked").is_none() {
        kill_process(Pid::from_child(&child), Signal::KILL).expect("the child lives");
        child.wait().expect("it ends");
    }
}

fn last_step(journal: &Path) -> u64 {
    Reader::open(journal).expect("a journal").last_sequence().expect("read").0
}

/// Restarts of a journal whose venue listed open orders.
fn restarts_with_open_orders(journal: &Path) -> usize {
    let tail = pawl(&["tail", text(journal), "--kind", "run_started,reconciled", "--json"]).expect(0);
    let mut listed = vec![false];
    for line in tail.stdout.lines() {
        if line.contains("run_started") {
            listed.push(false);
        } else if line.contains(r#""item":"order""#) {
            *listed.last_mut().expect("one") = true;
        }
    }
    listed.into_iter().filter(|it| *it).count()
}

#[test]
fn a_run_killed_again_and_again_with_orders_open_ends_as_one_that_nothing_interrupts() {
    let is_soak = std::env::var_os("PAWL_SOAK").is_some_and(|value| value == "1");
    let journals = if is_soak { 48 } else { 2 };
    let seed = std::env::var("PAWL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_230_220);
    println!("PAWL_SEED={seed}");
    let mut moments = Moments(seed);
    let scratch = scratch();
    let (whole, killed) = (scratch.path().join("whole"), scratch.path().join("killed"));
    let arguments = arguments(scratch.path());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let uninterrupted = run(&whole, &arguments).expect(0).json();
    let steps = last_step(&whole);
    let (mut kills, mut open) = (0, 0);
    for journal in 0..journals {
        let mut reached = 0;
        while reached + 2_000 < steps {
            let threading = ["single", "fused", "staged"][(kills + journal) % 3];
            let child = start(&killed, &arguments, threading);
            reached += 1 + moments.below(2_000);
            wait_for_steps(&killed, reached);
            kill(child);
            kills += 1;
            reached = reached.max(last_step(&killed));
        }
        let resumed = run(&killed, &arguments).expect(0).json();
        assert_eq!(resumed["account"], uninterrupted["account"]);
        pawl(&["diff", text(&whole), text(&killed)]).expect(0);
        pawl(&["replay", text(&killed)]).expect(0);
        open += restarts_with_open_orders(&killed);
        std::fs::remove_dir_all(&killed).expect("removed");
    }
    println!("{kills} kills, {open} restarts with orders open");
    assert!(kills >= 5 * journals && open * 3 >= kills, "{kills} kills, {open} with orders open");
}

/// The same restarts from snapshots, in which open orders have to be too.
#[test]
fn a_run_killed_with_orders_open_goes_on_from_a_snapshot_as_from_the_beginning() {
    let scratch = scratch();
    let (whole, killed) = (scratch.path().join("whole"), scratch.path().join("killed"));
    let arguments = arguments(scratch.path());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(&whole, &arguments).expect(0);
    let child = start(&killed, &arguments, "single");
    wait_for_steps(&killed, 9_000);
    kill(child);
    let copy = scratch.path().join("copy");
    copy_dir(&killed, &copy);
    pawl(&["snapshot", text(&killed), "--at", "8000"]).expect(0);
    let from_snapshot = run(&killed, &arguments).expect(0).json();
    let from_beginning = run(&copy, &arguments).expect(0).json();
    assert_eq!(
        (&from_snapshot["restored_from"], &from_beginning["restored_from"]),
        (&8_000.into(), &0.into())
    );
    assert_eq!(from_snapshot["account"], from_beginning["account"]);
    assert_eq!(crate::support::output_hash(&killed), crate::support::output_hash(&copy));
    pawl(&["diff", text(&whole), text(&killed)]).expect(0);
}

/// exchange-core #118: after a replay the engine could not be started again on its own journal.
#[test]
fn exchange_core_118_a_journal_that_was_replayed_goes_on_without_being_told_where() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let arguments = arguments(scratch.path());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let child = start(&journal, &arguments, "fused");
    wait_for_steps(&journal, 5_000);
    kill(child);
    for _ in 0..2 {
        pawl(&["replay", text(&journal)]).expect(0);
        pawl(&["snapshot", text(&journal)]).expect(0);
        let child = start(&journal, &arguments, "single");
        let last = last_step(&journal);
        wait_for_steps(&journal, last + 2_000);
        kill(child);
    }
    let ended = run(&journal, &arguments).expect(0).json();
    assert!(ended["restored_from"].as_u64().is_some_and(|from| from > 5_000), "the newest snapshot: {ended}");
    pawl(&["replay", text(&journal)]).expect(0);
}
