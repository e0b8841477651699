//! Snapshots: a restart from one is the restart without it, and one that cannot be relied on costs nothing but time.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{btcusd, copy_dir, output_hash, pawl, run, scratch, text, wait_for_steps};

const LIMIT: [&str; 6] =
    ["--set", "order.type=limit", "--set", "venue.paper.partial=50%", "--set", "checkpoint.every=1000"];

fn session(journal: &Path) -> crate::support::Finished {
    let feed = btcusd();
    run(journal, &[&["--feed", feed.as_str(), "--symbol", "BTCUSD"], &LIMIT[..]].concat()).expect(0)
}

/// A journal of the hours whose run was killed behind this many steps.
fn killed(journal: &Path, steps: u64) {
    let feed = btcusd();
    let mut arguments = vec!["run", "--journal", text(journal), "--feed", &feed, "--symbol", "BTCUSD"];
    arguments.extend(["--speed", "2000", "--set", "runtime.cores=none"]);
    arguments.extend(LIMIT);
    let mut child = crate::support::command(crate::support::binary(), &arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("pawl runs");
    wait_for_steps(journal, steps);
    kill_process(Pid::from_child(&child), Signal::KILL).expect("it lives");
    child.wait().expect("it ends");
}

fn snapshot_of(journal: &Path) -> PathBuf {
    let taken = pawl(&["snapshot", text(journal), "--json"]).expect(0).json();
    assert_eq!(taken["taken"], true, "{taken}");
    taken["path"].as_str().expect("a path").into()
}

#[test]
fn a_run_that_goes_on_from_a_snapshot_decides_as_one_that_runs_everything_again() {
    let scratch = scratch();
    let (with, without) = (scratch.path().join("with"), scratch.path().join("without"));
    killed(&with, 6_000);
    copy_dir(&with, &without);
    let path = snapshot_of(&with);
    assert!(path.with_extension("verified").exists());
    let listed = pawl(&["snapshot", text(&with), "--list", "--json"]).expect(0).json();
    assert_eq!(
        (listed.as_array().map(Vec::len), &listed[0]["verified"]),
        (Some(1), &true.into()),
        "{listed}"
    );
    let again = pawl(&["snapshot", text(&with), "--json"]).expect(0).json();
    assert_eq!(again["taken"], false, "there is one already");
    let (restored, rerun) = (session(&with).json(), session(&without).json());
    assert_eq!(restored["restored_from"], listed[0]["sequence"]);
    assert_eq!((&restored["resumed_after"], &rerun["restored_from"]), (&rerun["resumed_after"], &0.into()));
    assert_eq!(restored["account"], rerun["account"]);
    assert_eq!(output_hash(&with), output_hash(&without));
    pawl(&["replay", text(&with)]).expect(0);
    // On top of the first one.
    let later = pawl(&["snapshot", text(&with), "--json"]).expect(0).json();
    assert_eq!(later["based_on"], listed[0]["sequence"]);
}

#[test]
fn the_state_from_a_snapshot_is_the_state_from_the_beginning() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    session(&journal);
    let state = |at: &str| pawl(&["state", text(&journal), "--at", at, "--json"]).expect(0).stdout;
    let places = ["1", "4999", "5000", "5001", "9000"];
    let before = places.map(state);
    pawl(&["snapshot", text(&journal), "--at", "5000"]).expect(0);
    for (place, before) in places.iter().zip(&before) {
        assert_eq!(state(place), *before, "{place}");
    }
}

#[test]
fn a_snapshot_that_cannot_be_relied_on_is_passed_over() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    killed(&journal, 6_000);
    let path = snapshot_of(&journal);
    let whole = fs::read(&path).expect("read");
    let marker = path.with_extension("verified");
    let verified = fs::read(&marker).expect("read");
    let passed_over = |name: &str| {
        let copy = scratch.path().join(name);
        copy_dir(&journal, &copy);
        assert_eq!(session(&copy).json()["restored_from"], 0, "{name}");
        copy
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&path, &flipped).expect("written");
    passed_over("flipped");
    fs::write(&path, &whole[..whole.len() - 9]).expect("written");
    passed_over("cut");
    fs::write(&path, &whole).expect("written");
    fs::remove_file(&marker).expect("removed");
    let unverified = passed_over("unverified");
    pawl(&["replay", text(&unverified)]).expect(0);
    fs::write(&marker, "{\"blake3\":\"no\"}").expect("written");
    passed_over("another");
    fs::write(&marker, &verified).expect("written");
    let copy = scratch.path().join("sound");
    copy_dir(&journal, &copy);
    assert_ne!(session(&copy).json()["restored_from"], 0);
}

#[test]
fn a_pruned_journal_goes_on_from_its_snapshot() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = btcusd();
    let small = ["--set", "journal.segment_bytes=1048576"];
    let arguments = [&["--feed", feed.as_str(), "--symbol", "BTCUSD"], &small[..], &LIMIT[..]].concat();
    run(&journal, &arguments).expect(0);
    let whole = pawl(&["state", text(&journal), "--json"]).expect(0).stdout;
    snapshot_of(&journal);
    pawl(&["prune", text(&journal), "--to-snapshot", "--apply"]).expect(0);
    assert_ne!(crate::support::verified(&journal)["first"], 1, "it was pruned");
    assert_eq!(pawl(&["state", text(&journal), "--json"]).expect(0).stdout, whole);
    let resumed = run(&journal, &arguments).expect(0).json();
    assert_eq!(resumed["restored_from"], resumed["resumed_after"]);
}

#[test]
fn a_running_engine_has_a_shadow_that_takes_snapshots() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let feed = btcusd();
    let mut arguments = vec!["run", "--journal", text(&journal), "--feed", &feed, "--symbol", "BTCUSD"];
    arguments.extend([
        "--speed",
        "1000",
        "--set",
        "runtime.cores=none",
        "--set",
        "runtime.snapshot_every=3000",
    ]);
    arguments.extend(LIMIT);
    let mut child = crate::support::command(crate::support::binary(), &arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("pawl runs");
    let verified = || {
        let listed = pawl(&["snapshot", text(&journal), "--list", "--json"]);
        listed.code == 0
            && listed.json().as_array().is_some_and(|it| it.iter().any(|it| it["verified"] == true))
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !verified() {
        assert!(std::time::Instant::now() < deadline, "no snapshot was taken");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    kill_process(Pid::from_child(&child), Signal::KILL).expect("it lives");
    child.wait().expect("it ends");
    assert_ne!(session(&journal).json()["restored_from"], 0);
    pawl(&["replay", text(&journal)]).expect(0);
}

#[test]
fn what_is_no_journal_or_no_step_of_it_is_refused() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    pawl(&["snapshot", text(&journal)]).expect(2).says(&["no journal"]);
    session(&journal);
    pawl(&["snapshot", text(&journal), "--at", "99999999"]).expect(2).says(&["99999999", "holds steps 1 to"]);
    pawl(&["snapshot", text(&journal), "--at", "0"]).expect(2).says(&["holds steps 1 to"]);
    assert!(pawl(&["snapshot", text(&journal), "--list"]).expect(0).stdout.contains("no snapshot yet"));
}
