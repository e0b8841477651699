//! Replaying: where it begins, what it shows of a difference, at the pace of the events, and by hand.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pawl_journal::log::Reader;
use pawl_journal::record::{Checkpoint, CheckpointOf, ExecutionKind, ExecutionReport, OrderRequest};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::copied::{changed, with_another_verdict};
use crate::support::{Finished, btcusd, command, output_hash, pawl, run, scratch, text, verified};

/// The hours, with a checkpoint every thousand steps.
fn journal_of(directory: &Path) -> PathBuf {
    let journal = directory.join("journal");
    run(&journal, &["--feed", &btcusd(), "--symbol", "BTCUSD", "--set", "checkpoint.every=1000"]).expect(0);
    journal
}

/// `pawl replay --step` with these lines as its input.
fn by_hand(journal: &Path, more: &[&str], lines: &str) -> Finished {
    let arguments = [&["replay", text(journal), "--step"][..], more].concat();
    let mut child = command(crate::support::binary(), &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pawl runs");
    // One that has quit does not read on.
    let _ = child.stdin.take().expect("piped").write_all(lines.as_bytes());
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn a_difference_is_shown_with_the_steps_before_it_and_in_both_versions() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let other = scratch.path().join("other");
    let at = with_another_verdict(&journal, &other);
    let found = pawl(&["replay", text(&other), "--json"]).expect(1).json();
    assert_eq!((&found["divergence"]["sequence"], &found["identical"]), (&at.into(), &false.into()));
    let around = &found["around"];
    let before: Vec<_> = (0..3).map(|place| around["before"][place]["sequence"].as_u64()).collect();
    assert_eq!(before, [3, 2, 1].map(|back| Some(at - back)));
    let wanted = |version: &str| {
        let records = around[version]["records"].as_array().expect("records");
        let verdict = records.iter().find(|it| it["kind"] == "verdict").expect("a verdict");
        verdict["wanted_lots"].as_f64().expect("lots")
    };
    assert_eq!(wanted("recorded"), 2.0 * wanted("computed"), "{around}");
    // In words, the same steps as `tail` prints them.
    let words = pawl(&["replay", text(&other)]).expect(1).stdout;
    let (from, until) = ((at - 3).to_string(), (at - 1).to_string());
    let tail = pawl(&["tail", text(&other), "--from", &from, "--until", &until]).expect(0).stdout;
    assert!(words.contains(&format!("the steps before it\n{tail}\nas recorded\n")), "{words}");
    let at = at.to_string();
    let tail = pawl(&["tail", text(&other), "--from", &at, "--until", &at]).expect(0).stdout;
    assert!(words.contains(&format!("as recorded\n{tail}\nas computed\n")), "{words}");
    // What lies behind the range, or before it, is not its business.
    pawl(&["replay", text(&other), "--until", &until]).expect(0);
}

#[test]
fn a_checkpoint_that_differs_while_records_agree_names_the_stage_and_where_it_came_apart() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let other = scratch.path().join("other");
    changed(&journal, &other, |sequence, record, step| match record.get::<Checkpoint>() {
        Some(it) if sequence == 3_000 && matches!(it.of, CheckpointOf::RISK | CheckpointOf::ORDER) => {
            step.push(&Checkpoint { hash: it.hash ^ 1, ..*it });
            true
        }
        _ => false,
    });
    let found = pawl(&["replay", text(&other), "--json"]).expect(1).json();
    let divergence = &found["divergence"];
    assert_eq!(
        (&divergence["sequence"], &divergence["stage"], &divergence["kind"], &divergence["field"]),
        (&3_000.into(), &"risk".into(), &"checkpoint".into(), &"hash".into())
    );
    let state = serde_json::json!({ "stages": ["risk", "order"], "equal_after": 2_000 });
    assert_eq!(divergence["state"], state);
    let words = pawl(&["replay", text(&other)]).expect(1).stdout;
    assert!(words.contains("stage risk") && words.contains("steps 2001 .. 3000"), "{words}");
    // Begun between two checkpoints, nothing before that is known to be equal.
    pawl(&["snapshot", text(&other), "--at", "2500"]).expect(0);
    let found = pawl(&["replay", text(&other), "--from", "2600", "--json"]).expect(1).json();
    assert_eq!(
        (&found["snapshot"], &found["divergence"]["state"]["equal_after"]),
        (&2_500.into(), &2_500.into())
    );
}

#[test]
fn a_range_begins_at_the_newest_snapshot_before_it_and_comes_to_the_same() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let last = verified(&journal)["last"].as_u64().expect("a step");
    for at in ["3000", "5000"] {
        pawl(&["snapshot", text(&journal), "--at", at]).expect(0);
    }
    for (from, snapshot) in [(1, 0), (3_000, 0), (3_001, 3_000), (6_000, 5_000)] {
        let replayed =
            pawl(&["replay", text(&journal), "--from", &from.to_string(), "--json"]).expect(0).json();
        let told = ["snapshot", "first", "last", "compared"].map(|name| replayed[name].as_u64());
        assert_eq!(told, [snapshot, snapshot + 1, last, last - from + 1].map(Some), "{replayed}");
        assert_eq!(replayed["output_hash"], output_hash(&journal));
    }
    let words = pawl(&["replay", text(&journal), "--from", "6000"]).expect(0).stdout;
    assert!(words.contains("snapshot after step 5000"), "{words}");
}

#[test]
fn a_pruned_journal_is_replayed_from_the_oldest_snapshot_that_what_is_left_follows() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let small = ["--set", "journal.segment_bytes=1048576"];
    run(&journal, &[&["--feed", &btcusd(), "--symbol", "BTCUSD"][..], &small].concat()).expect(0);
    let hash = output_hash(&journal);
    for at in ["2000", "15000", "17000"] {
        pawl(&["snapshot", text(&journal), "--at", at]).expect(0);
    }
    pawl(&["prune", text(&journal), "--to-snapshot", "--apply"]).expect(0);
    let first = Reader::open(&journal).expect("a journal").first_sequence().expect("a step").0;
    assert!((2_002..15_000).contains(&first), "begins at {first}");
    let replayed = pawl(&["replay", text(&journal), "--json"]).expect(0).json();
    assert_eq!((&replayed["snapshot"], &replayed["first"]), (&15_000.into(), &15_001.into()));
    assert_eq!(replayed["output_hash"], hash);
    let told = by_hand(&journal, &[], "b\ng 17500\ng 16000\n").expect(0).stdout;
    assert!(told.contains("this is the first step") && !told.contains("differs"), "{told}");
}

#[test]
fn steps_are_printed_at_the_pace_of_their_events_as_tail_prints_them() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let range = ["--from", "6000", "--until", "6500"];
    for format in [&[][..], &["--json"]] {
        let tail = pawl(&[&["tail", text(&journal)][..], &range, format].concat()).expect(0).stdout;
        let paced = pawl(&[&["replay", text(&journal), "--speed", "1000000x"][..], &range, format].concat());
        let paced = paced.expect(0).stdout;
        let result = paced.strip_prefix(&tail).unwrap_or_else(|| panic!("other steps: {paced}"));
        assert!(result.contains("identical") && result.contains("501"), "{result}");
    }
    // A second of events takes a tenth of a second.
    let mut reader = Reader::open(&journal).expect("a journal");
    let mut times = Vec::new();
    while let Some(frame) = reader.next().expect("readable") {
        times.push(frame.step().time().0);
    }
    let until = (6_000..times.len()).find(|at| times[*at] - times[5_999] >= 1_000_000_000).expect("a second");
    let began = std::time::Instant::now();
    let until = (until + 1).to_string();
    pawl(&["replay", text(&journal), "--speed", "10x", "--from", "6000", "--until", &until]).expect(0);
    assert!(began.elapsed() >= std::time::Duration::from_millis(100));
}

#[test]
fn a_paced_replay_that_is_interrupted_ends_in_order() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let out = scratch.path().join("out");
    let file = std::fs::File::create(&out).expect("created");
    let arguments = ["replay", text(&journal), "--speed", "1x"];
    let mut child = command(crate::support::binary(), &arguments).stdout(file).spawn().expect("pawl runs");
    let printed = || std::fs::read_to_string(&out).expect("readable");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !printed().contains("tick") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("it lives");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(printed().ends_with("stopped, identical so far\n"), "{}", printed());
}

#[test]
fn by_hand_it_goes_on_and_back_and_to_the_next_of_what_is_wanted() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let mut reader = Reader::open(&journal).expect("a journal");
    let (mut orders, mut fills) = (Vec::new(), Vec::new());
    while let Some(frame) = reader.next().expect("readable") {
        let (step, at) = (frame.step(), frame.sequence().0);
        if step.get::<OrderRequest>().is_some() {
            orders.push(at);
        }
        if step.get::<ExecutionReport>().is_some_and(|it| it.kind == ExecutionKind::FILLED) {
            fills.push(at);
        }
    }
    let finished = by_hand(&journal, &[], "o\nf\no\nb\nb 2\n\nn 5\ng 3\ng 999999\nr\nwhat\nq\nn\n").expect(0);
    let shown: Vec<u64> =
        finished.stdout.lines().filter_map(|line| line.get(..9)?.trim().parse().ok()).collect();
    let second = orders[1];
    let expected = [1, orders[0], fills[0], second, second - 1, second - 3, second - 2, second + 3, 3];
    assert_eq!(shown, expected, "{}", finished.stdout);
    for told in ["there is no step 999999", "no refusal behind step 3", "`what` is no command"] {
        assert!(finished.stdout.contains(told), "{told}: {}", finished.stdout);
    }
    let help = by_hand(&journal, &[], "?\n").expect(0).stdout;
    assert!(help.contains("the next refusal") && help.contains("quit"), "{help}");
}

#[test]
fn by_hand_the_state_after_going_back_is_the_state_there_was() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let last = verified(&journal)["last"].as_u64().expect("a step");
    pawl(&["snapshot", text(&journal), "--at", "7000"]).expect(0);
    let state = |at: u64| pawl(&["state", text(&journal), "--at", &at.to_string()]).expect(0).stdout;
    // Back over kept states, checkpoints and the snapshot that it began at, and on again.
    for (more, places) in [
        (vec![], vec![last, last - 1, 9_000, 8_192, 4_096, 5_000, 12, last]),
        (vec!["--from", "7500"], vec![7_500, 9_000, 8_999, last]),
    ] {
        let lines: String = places.iter().map(|at| format!("g {at}\ns\n")).collect();
        let finished = by_hand(&journal, &more, &lines).expect(0);
        assert!(!finished.stdout.contains("differs"), "{}", finished.stdout);
        let mut rest = finished.stdout.as_str();
        for at in places {
            let state = state(at);
            let found = rest.find(&state).unwrap_or_else(|| panic!("no such state {at}: {rest}"));
            rest = &rest[found + state.len()..];
        }
    }
}

#[test]
fn by_hand_a_step_that_this_build_decides_otherwise_is_shown_in_both_versions() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let other = scratch.path().join("other");
    let at = with_another_verdict(&journal, &other);
    let there = format!("g {at}\n");
    let told = by_hand(&other, &[], &there).expect(1).stdout;
    assert!(told.contains("differs in record") && told.contains("wanted_lots"), "{told}");
    by_hand(&other, &[], "n\nn\n").expect(0);
    let outside = by_hand(&other, &["--until", "100"], "g 101\nn 1000\nn\n").expect(0).stdout;
    assert!(outside.contains("no step 101 here: steps 1 .. 100"), "{outside}");
    assert!(outside.ends_with("this is the last step\n"), "{outside}");
}

#[test]
fn a_replay_of_nonsense_is_refused() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let refused = |more: &[&str]| pawl(&[&["replay", text(&journal)][..], more].concat()).expect(2);
    refused(&["--speed", "0"]).says(&["above 0"]);
    refused(&["--speed", "fast"]).says(&["10x"]);
    refused(&["--step", "--json"]).says(&["--json"]);
    refused(&["--step", "--speed", "1x"]).says(&["--speed"]);
    for mode in [&[][..], &["--step"], &["--speed", "1x"]] {
        let refused = |more: &[&str]| refused(&[mode, more].concat());
        refused(&["--from", "99999999"]).says(&["99999999", "not in the journal"]);
        refused(&["--until", "99999999"]).says(&["99999999", "not in the journal"]);
        refused(&["--from", "20", "--until", "10"]).says(&["--from 20", "--until 10"]);
        refused(&["--from", "0"]).says(&["step 0"]);
    }
    let missing = scratch.path().join("missing");
    pawl(&["replay", text(&missing), "--step"]).expect(2).says(&["missing"]);
}
