//! Input that is wrong: a clear message that names the thing and the way out, and nothing lost.

use std::path::Path;

use crate::support::{Finished, pawl, run, scratch, text, ticks, verified};

const GOOD: [(&str, &str, &str); 3] = [
    ("10:00:00.100", "1.10000", "1.10002"),
    ("10:00:01.200", "1.10001", "1.10003"),
    ("10:00:02.300", "1.10002", "1.10004"),
];

fn run_file(journal: &Path, file: &Path) -> Finished {
    run(journal, &["--feed", text(file), "--symbol", "EURUSD"])
}

/// Runs a file of raw bytes.
fn run_bytes(directory: &Path, name: &str, bytes: &[u8]) -> Finished {
    let file = directory.join(name);
    std::fs::write(&file, bytes).expect("write");
    run_file(&directory.join(format!("{name}.journal")), &file)
}

#[test]
fn a_file_that_is_no_tick_export_is_a_finding_that_names_it() {
    let scratch = scratch();
    let dir = scratch.path();
    run_bytes(dir, "empty.csv", b"").expect(1).says(&["empty.csv", "empty"]);
    run_bytes(dir, "column.csv", b"<DATE>\t<TIME>\t<BID>\n2024.01.02\t10:00:00.000\t1.1\n")
        .expect(1)
        .says(&["column.csv", "<ASK>"]);
    run_bytes(dir, "noise.csv", &[0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3]).expect(1).says(&["noise.csv"]);
    run_file(&dir.join("j"), &dir.join("missing.csv")).expect(2).says(&["missing.csv"]);
}

#[test]
fn an_unparsable_line_ends_the_run_and_what_came_before_is_sealed() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "broken.csv", &GOOD);
    let mut content = std::fs::read_to_string(&file).expect("read");
    content.push_str("2024.01.02\t10:00:03.400\tone\t1.10005\t\t\t6\r\n");
    std::fs::write(&file, content).expect("write");
    let journal = scratch.path().join("journal");
    run_file(&journal, &file).expect(1).says(&["broken.csv", "5", "one"]);
    let verified = verified(&journal);
    assert_eq!((&verified["records"]["tick"], &verified["sealed"]), (&3.into(), &true.into()));
    pawl(&["replay", text(&journal)]).expect(0);
}

#[test]
fn a_truncated_gzip_ends_the_run_and_what_came_before_is_sealed() {
    let scratch = scratch();
    let whole = std::fs::read(crate::support::btcusd()).expect("read");
    let file = scratch.path().join("cut.csv.gz");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("write");
    let journal = scratch.path().join("journal");
    run(&journal, &["--feed", text(&file), "--symbol", "BTCUSD"]).expect(1).says(&["cut.csv.gz"]);
    let verified = verified(&journal);
    assert!(verified["records"]["tick"].as_u64().expect("ticks") > 1_000, "{verified}");
    assert_eq!(verified["sealed"], true);
}

#[test]
fn odd_ticks_are_counted_marked_and_survived() {
    let scratch = scratch();
    let rows = [
        GOOD[0],
        GOOD[1],
        GOOD[1],                                 // duplicate: dropped
        ("10:00:00.500", "1.10001", "1.10003"),  // backwards
        ("10:00:03.000", "1.10005", "1.10003"),  // crossed
        ("10:00:04.000", "0", "1.10003"),        // zero
        ("10:00:05.000", "-1.10000", "1.10003"), // negative
        ("10:00:06.000", "2.20000", "2.20002"),  // jump up
        ("10:00:07.000", "1.10000", "1.10002"),  // jump back
        ("10:00:08.000", "1.10001", "1.10001"),  // zero spread: fine
        ("10:00:09.000", "1.10001", "1.10003"),
    ];
    let file = ticks(scratch.path(), "odd.csv", &rows);
    let journal = scratch.path().join("journal");
    let summary = run_file(&journal, &file).expect(0).json()["summary"].clone();
    assert_eq!(summary["records"]["tick"], rows.len() - 1);
    let marks = &summary["marks"];
    for (mark, count) in [("backwards", 1), ("crossed", 1), ("nonpositive", 2), ("jump", 2)] {
        assert_eq!(marks[mark], count, "{mark}: {summary}");
    }
    assert!(marks["duplicate"].is_null() && summary["ticks_dropped"] == 1, "{summary}");
    let dropped = scratch.path().join("dropped");
    let flag = "ingress.crossed=drop";
    let summary =
        run(&dropped, &["--feed", text(&file), "--symbol", "EURUSD", "--set", flag]).expect(0).json();
    assert!(summary["summary"]["marks"]["crossed"].is_null(), "{summary}");
}

#[test]
fn a_journal_directory_that_cannot_be_used_is_refused() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &GOOD);
    let foreign = scratch.path().join("foreign");
    std::fs::create_dir(&foreign).expect("create");
    std::fs::write(foreign.join("thesis.doc"), "years of work").expect("write");
    run_file(&foreign, &file).expect(2).says(&["foreign", "thesis.doc"]);
    assert_eq!(std::fs::read_dir(&foreign).expect("read").count(), 1, "nothing was written there");

    run_file(Path::new("/proc/journal"), &file).expect(2).says(&["/proc", "ext4"]);
    run_file(Path::new("/sys/fs/journal"), &file).expect(2).says(&["/sys", "ext4"]);
    let file_as_directory = file.join("journal");
    run_file(&file_as_directory, &file).says(&["journal"]);

    let journal = scratch.path().join("locked");
    run_file(&journal, &file).expect(0);
    let lock = std::fs::OpenOptions::new().write(true).open(journal.join("LOCK")).expect("the lock file");
    lock.lock().expect("nobody else holds it");
    run_file(&journal, &file).expect(2).says(&["another process"]);
}

#[test]
fn a_configuration_that_contradicts_itself_names_the_key_and_the_line() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &GOOD);
    let config = scratch.path().join("pawl.toml");
    let journal = scratch.path().join("journal");
    let with = |content: &str| {
        std::fs::write(&config, content).expect("write");
        run(&journal, &["--config", text(&config), "--feed", text(&file), "--symbol", "EURUSD"])
    };
    with("[risk]\nmax_drawdwn = \"5%\"\n").expect(2).says(&["pawl.toml", "line 2", "max_drawdwn"]);
    with("[risk]\nmax_quote_age = \"5 moons\"\n").expect(2).says(&["pawl.toml", "line 2"]);
    with("\n[risk]\nmax_order = -1\n").expect(2).says(&["risk.max_order", "pawl.toml:3"]);
    with("[risk]\nmax_position = nan\n").expect(2).says(&["line 2", "not a decimal number"]);
    with("[risk]\nmax_position = \"2\"\n").expect(2).says(&["line 2", "without quotes"]);
    with("[risk]\nmax_position = 1e30\n").expect(2).says(&["line 2", "too large"]);
    with("[risk]\nmax_quote_age = \"300000000000000d\"\n").expect(2).says(&["line 2", "292 years"]);
    with("[journal]\nsegment_bytes = 5\n").expect(2).says(&["journal.segment_bytes = 5", "pawl.toml:2"]);
    with("[journal]\nsegment_bytes = \"64MiB\"\n").expect(2).says(&["line 2", "a whole number"]);
    with("[runtime]\ncores = \"all\"\n").expect(2).says(&["line 2", "\"none\""]);
    with("journal = 5\n").expect(2).says(&["line 1", "a section"]);
    for (set, said) in [("1e400", "too large"), ("nan", "not a decimal number"), ("two", "without quotes")] {
        let set = format!("risk.max_position={set}");
        run(&journal, &["--set", &set, "--feed", text(&file), "--symbol", "EURUSD"]).expect(2).says(&[
            "--set",
            "`risk.max_position`",
            said,
        ]);
    }
    with("[features]\ncolumns = [\"sma_10\", \"sma_ten\"]\n").expect(2).says(&["sma_ten"]);
    with("[[agent]]\nname = \"x\"\nrule = { fast = \"sma_10\", slow = \"sma_31\" }\n")
        .expect(2)
        .says(&["sma_31"]);
    with("[[agent]]\nname = \"x\"\nmodel = \"no/such/model\"\n").expect(2).says(&["no/such/model"]);
    assert!(!journal.exists(), "a run that did not start leaves no journal");
}

#[test]
fn live_trading_needs_two_switches_and_a_live_venue() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &GOOD);
    let journal = scratch.path().join("journal");
    let arguments = [
        "run",
        "--journal",
        text(&journal),
        "--feed",
        text(&file),
        "--symbol",
        "EURUSD",
        "--set",
        "runtime.cores=none",
    ];
    let with = |mode: &str, armed: Option<&str>| -> Finished {
        let mut command =
            crate::support::command(crate::support::binary(), &[&arguments[..], &["--mode", mode]].concat());
        if let Some(armed) = armed {
            command.env("ENABLE_LIVE_TRADING", armed);
        }
        command.output().expect("pawl runs").into()
    };
    with("live", None).expect(2).says(&["ENABLE_LIVE_TRADING"]);
    with("live", Some("false")).expect(2).says(&["ENABLE_LIVE_TRADING"]);
    with("live", Some("true")).expect(2).says(&["paper venue"]);
    with("paper", Some("true")).expect(2).says(&["ENABLE_LIVE_TRADING"]);
    assert!(!journal.exists(), "a refused run leaves no journal");
    with("paper", None).expect(0);
}

#[test]
fn what_is_no_file_under_a_name_of_the_journal_is_named_and_not_waited_for() {
    let scratch = scratch();
    let file = ticks(scratch.path(), "ticks.csv", &GOOD);
    let journal = scratch.path().join("journal");
    run_file(&journal, &file).expect(0);
    let path = text(&journal);
    let (segment, index) = (journal.join("00000000000000000001.pawl"), "00000000000000000001.idx");
    let kept = scratch.path().join("kept");
    std::fs::rename(&segment, &kept).expect("moved");
    let make = |kind: &str, path: &Path| {
        let made = if kind == "fifo" { "mkfifo" } else { "mkdir" };
        assert!(std::process::Command::new(made).arg(path).status().expect("it runs").success());
    };
    let unmake = |kind: &str, path: &Path| {
        if kind == "fifo" { std::fs::remove_file(path) } else { std::fs::remove_dir(path) }.expect("removed");
    };
    for kind in ["fifo", "directory"] {
        make(kind, &segment);
        for command in ["verify", "tail", "repair", "replay", "state"] {
            let said = ["00000000000000000001.pawl is not a regular file", kind, "move it away"];
            pawl(&[command, path]).expect(2).says(&said);
        }
        run_file(&journal, &file).expect(2).says(&["is not a regular file", kind]);
        unmake(kind, &segment);
    }
    std::fs::rename(&kept, &segment).expect("moved");
    for kind in ["fifo", "directory"] {
        let index = journal.join(index);
        std::fs::remove_file(&index).expect("there is an index");
        make(kind, &index);
        let verified = pawl(&["verify", path]).expect(1);
        assert!(verified.stdout.contains("not a regular file"), "{verified:?}");
        pawl(&["tail", path, "--from", "2"]).expect(0);
        if kind == "fifo" {
            pawl(&["repair", path]).expect(0);
        } else {
            pawl(&["repair", path]).expect(2).says(&[".idx is not a regular file", kind]);
            unmake(kind, &index);
        }
    }
    for name in ["LOCK", "spare-00000000000000000002.pawl"] {
        let name = journal.join(name);
        let _ = std::fs::remove_file(&name);
        make("fifo", &name);
        run_file(&journal, &file).expect(2).says(&["is not a regular file", "fifo"]);
        unmake("fifo", &name);
    }
    let fifo = scratch.path().join("fifo");
    make("fifo", &fifo);
    for arguments in [vec!["verify", text(&fifo)], vec!["ctl", text(&fifo), "status"]] {
        pawl(&arguments).expect(2).says(&["fifo"]);
    }
    assert_eq!(verified(&journal)["sealed"], true);
}

#[test]
fn commands_on_what_is_no_journal_cannot_answer() {
    let scratch = scratch();
    let nothing = scratch.path().join("nothing");
    for arguments in [
        vec!["verify", text(&nothing)],
        vec!["replay", text(&nothing)],
        vec!["tail", text(&nothing)],
        vec!["state", text(&nothing)],
        vec!["chain", text(&nothing), "1"],
        vec!["ctl", text(&nothing), "status"],
        vec!["verify", text(scratch.path())],
    ] {
        let finished = pawl(&arguments).expect(2);
        assert!(
            finished.stderr.starts_with("pawl: ") && finished.stdout.is_empty(),
            "{arguments:?}: {finished:?}"
        );
    }
    let file = ticks(scratch.path(), "ticks.csv", &GOOD);
    let journal = scratch.path().join("journal");
    run_file(&journal, &file).expect(0);
    let path = text(&journal);
    pawl(&["state", path, "--at", "999999"]).expect(2).says(&["999999"]);
    pawl(&["replay", path, "--from", "999999"]).expect(2).says(&["999999"]);
    pawl(&["chain", path, "999999999"]).expect(2).says(&["999999999"]);
    pawl(&["state", path, "--at", "0"]).expect(2);
    pawl(&["run", "--feed", text(&file)]).expect(2).says(&["--symbol"]);
    pawl(&["run", "--journal", path]).expect(2).says(&["--feed"]);
    run(&journal, &["--feed", text(&file), "--symbol", "UNHEARD"])
        .expect(2)
        .says(&["UNHEARD", "[[instrument]]"]);
}
