//! Cursors and pruning from the command line: what was printed comes again at most since the last save, and what goes
//! is what was shown.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use pawl_journal::log::{Appender, Cursor, JournalOptions, SealReason};
use pawl_journal::record::{Points, Sequence, Step, Tick, Time};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Finished, binary, command, pawl, scratch, text, verified};

/// The smallest segments: some eight thousand ticks each.
const SEGMENT_BYTES: u64 = 1 << 20;

fn append(appender: &mut Appender, count: u64) {
    let mut step = Step::new();
    for _ in 0..count {
        let sequence = appender.next_sequence();
        let time = Time(1_549_238_400_000_000_000 + sequence.0.cast_signed() * 1_000_000);
        step.begin(sequence, time);
        step.push(&Tick { source_time: time, bid: Points(114_543), ask: Points(114_545), ..Tick::default() });
        appender.append(&step).expect("appended");
    }
}

fn writer(journal: &Path) -> Appender {
    let options = JournalOptions { segment_bytes: SEGMENT_BYTES, ..JournalOptions::default() };
    Appender::create_or_open(journal, &options).expect("a journal")
}

fn sealed(journal: &Path, count: u64) {
    let mut appender = writer(journal);
    append(&mut appender, count);
    appender.seal(SealReason::Ended).expect("sealed");
}

fn segments(journal: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(journal).expect("readable").flatten().map(|entry| entry.path());
    let is_segment = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.len() == 25)
            && path.extension().is_some_and(|it| it == "pawl")
    };
    let mut files: Vec<_> = entries.filter(is_segment).collect();
    files.sort();
    files
}

/// Where a cursor stands on disk.
fn place(journal: &Path, name: &str) -> u64 {
    let places = Cursor::list(journal).expect("readable");
    let found = places.iter().find(|entry| entry.name == name).expect("registered");
    found.place.expect("a place").next_sequence.0
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `pawl tail --follow --cursor` in a process of its own.
struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follower {
    fn start(journal: &Path, name: &str) -> Self {
        let arguments = ["tail", text(journal), "--follow", "--json", "--cursor", name];
        let mut child = command(binary(), &arguments).stdout(Stdio::piped()).spawn().expect("pawl runs");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    /// The sequence of the next whole line; `None` at the end of the output.
    fn next(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("UTF-8");
        if !line.ends_with('\n') {
            return None;
        }
        let step: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        step["sequence"].as_u64()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// Everything that was printed and not read yet, then the exit code.
    fn rest(mut self) -> (Vec<u64>, Option<i32>) {
        let mut rest = Vec::new();
        while let Some(sequence) = self.next() {
            rest.push(sequence);
        }
        (rest, self.child.wait().expect("it ends").code())
    }
}

#[test]
fn a_follower_killed_again_and_again_leaves_nothing_out_and_repeats_only_what_it_had_not_saved() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut appender = writer(&journal);
    append(&mut appender, 1);
    let mut printed = 0;
    for life in 0..12_u64 {
        let begins = if life == 0 { 1 } else { place(&journal, "db") };
        let mut follower = Follower::start(&journal, "db");
        // Up to here everything is printed and saved while it lives.
        append(&mut appender, 700);
        let settled = appender.next_sequence().0 - 1;
        let mut expected = begins;
        let mut check = |sequence: u64| {
            assert_eq!(sequence, expected, "life {life}: no gap");
            expected += 1;
        };
        loop {
            let sequence = follower.next().expect("it lives");
            check(sequence);
            if sequence == settled {
                break;
            }
        }
        wait_for("a quiet follower saves its place", || place(&journal, "db") == settled + 1);
        // And of this it prints some.
        append(&mut appender, 2_000);
        for _ in 0..life * life * 13 {
            check(follower.next().expect("it lives"));
        }
        follower.signal(Signal::KILL);
        let (rest, code) = follower.rest();
        assert_eq!(code, None);
        rest.into_iter().for_each(check);
        let saved = place(&journal, "db");
        assert!(
            (settled + 1..=expected).contains(&saved),
            "life {life}: {saved} not in {} ..= {expected}",
            settled + 1
        );
        assert!(begins <= printed + 1, "life {life}: it goes on at or before what was printed");
        printed = expected - 1;
    }
    appender.seal(SealReason::Ended).expect("sealed");
    let last = appender.next_sequence().0 - 1;
    drop(appender);
    let (rest, code) = Follower::start(&journal, "db").rest();
    assert_eq!((rest.last(), code, place(&journal, "db")), (Some(&last), Some(0), last + 1));
    assert_eq!(Follower::start(&journal, "db").rest().0, [0; 0], "and then nothing is left");
}

#[test]
fn a_follower_that_is_asked_to_stop_saves_exactly_what_it_printed() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut appender = writer(&journal);
    append(&mut appender, 500);
    let mut next = 1;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut follower = Follower::start(&journal, "db");
        assert_eq!(follower.next(), Some(next));
        follower.signal(signal);
        let (rest, code) = follower.rest();
        assert_eq!(code, Some(0), "{signal:?}");
        next = rest.last().map_or(next, |last| *last) + 1;
        assert_eq!(place(&journal, "db"), next, "{signal:?}");
        append(&mut appender, 500);
    }
}

#[test]
fn a_reader_that_goes_away_is_not_taken_for_one_that_has_read() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    sealed(&journal, 60_000);
    let mut follower = Follower::start(&journal, "db");
    let mut seen = Vec::new();
    for _ in 0..10 {
        seen.push(follower.next().expect("it lives"));
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    // What its pipe and ours hold was taken; the rest of 60,000 lines cannot be.
    let Follower { mut child, mut lines } = follower;
    let mut taken = vec![0; 200_000];
    lines.read_exact(&mut taken).expect("read");
    drop(lines);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let saved = place(&journal, "db");
    assert!((1..30_000).contains(&saved), "{saved}");
    let next = pawl(&["tail", text(&journal), "--cursor", "db", "--json"]).expect(0).stdout;
    let first: serde_json::Value = serde_json::from_str(next.lines().next().expect("a line")).expect("JSON");
    assert_eq!((first["sequence"].as_u64(), next.lines().count() as u64), (Some(saved), 60_001 - saved));
}

#[test]
fn a_cursor_goes_on_behind_what_was_printed_and_can_be_listed_and_removed() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    sealed(&journal, 1_000);
    let path = text(&journal);
    let tail = |arguments: &[&str]| pawl(&[&["tail", path, "--json"][..], arguments].concat());
    let count = |finished: Finished| finished.expect(0).stdout.lines().count();
    assert!(pawl(&["cursor", "list", path]).expect(0).stdout.contains("no cursors"));
    assert_eq!(count(tail(&["--cursor", "db", "--from", "101", "--until", "400"])), 300);
    // Steps that --kind leaves out are passed too.
    assert_eq!(count(tail(&["--cursor", "db", "--until", "500", "--kind", "order_request"])), 0);
    tail(&["--cursor", "db", "--from", "1"]).expect(2).says(&["db", "501", "pawl cursor remove"]);
    let listed = pawl(&["cursor", "list", path, "--json"]).expect(0).json();
    assert_eq!(listed["last"], 1_000);
    assert_eq!(listed["cursors"][0]["name"], "db");
    assert_eq!((&listed["cursors"][0]["next"], &listed["cursors"][0]["behind"]), (&501.into(), &500.into()));
    assert!(listed["cursors"][0]["age_s"].as_f64().is_some_and(|age| (0.0..600.0).contains(&age)));
    assert_eq!(listed["cursors"][0]["in_use"], false);
    let told = pawl(&["cursor", "list", path]).expect(0).stdout;
    assert!(["db", "501", "500", " ago", "1000"].iter().all(|word| told.contains(word)), "{told}");
    assert_eq!(count(tail(&["--cursor", "db"])), 500);
    assert_eq!(count(tail(&["--cursor", "db", "--durable"])), 0);
    assert!(pawl(&["cursor", "remove", path, "db"]).expect(0).stdout.contains("step 1001"));
    assert_eq!(count(tail(&["--cursor", "db"])), 1_000, "its name begins anew");
    assert_eq!(count(tail(&["--durable"])), 1_000);
}

#[test]
fn a_pruning_is_shown_first_and_then_does_what_it_showed() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    sealed(&journal, 60_000);
    let before = segments(&journal);
    assert!(before.len() >= 5, "{before:?}");
    let path = text(&journal);
    let prune = |arguments: &[&str]| pawl(&[&["prune", path][..], arguments].concat());
    // Indexes count, and are small.
    let limit = format!("{}B", 4 * SEGMENT_BYTES + SEGMENT_BYTES / 2);

    // Without a snapshot it is shown and not done, and --apply does not pass for done either.
    let shown = prune(&["--larger-than", &limit]).expect(0).stdout;
    assert!(shown.contains("no verified snapshot") && shown.contains("nothing to delete"), "{shown}");
    prune(&["--larger-than", &limit, "--apply"]).expect(2).says(&["read, but not replayed", "pawl run"]);
    prune(&["--to-snapshot", "--apply"]).expect(2).says(&["no verified snapshot"]);
    assert_eq!(segments(&journal), before);

    let arguments = ["--larger-than", &limit, "--without-snapshot"];
    let shown = prune(&arguments).expect(0).stdout;
    assert!(shown.contains("would delete") && shown.contains("--apply"), "{shown}");
    let planned = prune(&[&arguments[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(planned["applied"], false);
    assert_eq!(segments(&journal), before, "nothing goes before --apply");
    let done = prune(&[&arguments[..], &["--yes", "--json"]].concat()).expect(0).json();
    assert_eq!((&done["applied"], &done["going"]), (&true.into(), &planned["going"]));
    assert_eq!(segments(&journal), before[before.len() - 4..]);
    let first = done["first_after"].as_u64().expect("a step");
    assert_eq!(verified(&journal)["first"], first, "what is left is whole");
    let tailed = pawl(&["tail", path, "--json"]).expect(0).stdout;
    assert!(tailed.starts_with(&format!("{{\"sequence\":{first},")), "{}", &tailed[..80]);

    // A cursor holds, and the table says who.
    let place = (first + 10).to_string();
    pawl(&["tail", path, "--cursor", "slow", "--from", &place, "--until", &place]).expect(0);
    let held = prune(&["--larger-than", "0B", "--without-snapshot", "--apply"]).expect(0).stdout;
    assert!(held.contains("cursor slow") && held.contains("held back"), "{held}");
    assert_eq!(segments(&journal), before[before.len() - 4..]);
    pawl(&["cursor", "remove", path, "slow"]).expect(0);
    let done = prune(&["--larger-than", "0B", "--without-snapshot", "--apply"]).expect(0).stdout;
    assert!(done.contains("deleted 2 of 4") && done.contains("two newest"), "{done}");
    let nothing = prune(&["--older-than", "30d", "--without-snapshot", "--apply"]).expect(0).stdout;
    assert!(nothing.contains("nothing to delete"), "{nothing}");
    assert_eq!(verified(&journal)["last"], 60_000);
}

#[test]
fn the_engines_journal_goes_on_while_it_is_pruned() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    let mut appender = writer(&journal);
    append(&mut appender, 40_000);
    let named = appender.watermarks().statistics().rolls + 1;
    while (segments(&journal).len() as u64) < named {
        std::thread::yield_now();
    }
    let done = pawl(&["prune", text(&journal), "--larger-than", "0B", "--without-snapshot", "--apply"]);
    assert!(done.expect(0).stdout.contains("deleted"));
    assert_eq!(segments(&journal).len(), 2);
    append(&mut appender, 40_000);
    appender.seal(SealReason::Ended).expect("sealed");
    drop(appender);
    assert_eq!(writer(&journal).next_sequence(), Sequence(80_001));
    assert_eq!(verified(&journal)["last"], 80_000);
}

#[test]
fn what_cannot_be_answered_says_why_and_ends_with_2() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = dir.join("journal");
    sealed(&journal, 30_000);
    let (nothing, foreign, file) = (dir.join("nothing"), dir.join("foreign"), dir.join("notes.txt"));
    std::fs::create_dir(&foreign).expect("created");
    std::fs::write(foreign.join("thesis.doc"), "years of work").expect("written");
    std::fs::write(&file, "mine").expect("written");
    let newer = dir.join("newer");
    std::fs::create_dir(&newer).expect("created");
    let segment = newer.join("00000000000000000001.pawl");
    std::fs::copy(&segments(&journal)[0], &segment).expect("copied");
    make_newer(&segment);
    let commands = |journal: &Path| -> Vec<Finished> {
        let path = text(journal);
        [
            &["tail", path, "--cursor", "db"][..],
            &["cursor", "list", path],
            &["cursor", "remove", path, "db"],
            &["prune", path, "--larger-than", "0B"],
            &["prune", path, "--larger-than", "0B", "--without-snapshot", "--apply"],
        ]
        .map(pawl)
        .into()
    };
    for (journal, words) in [
        (nothing.as_path(), ["nothing", "no journal"]),
        (foreign.as_path(), ["foreign", "thesis.doc"]),
        (file.as_path(), ["notes.txt", "a journal"]),
        (newer.as_path(), ["format 7.0", "version of pawl that wrote it"]),
        (Path::new("/proc/self"), ["/proc/self", "journal"]),
    ] {
        for finished in commands(journal) {
            let finished = finished.expect(2).says(&words);
            assert!(finished.stdout.is_empty() && finished.stderr.starts_with("pawl: "), "{finished:?}");
        }
    }
    assert_eq!(std::fs::read_dir(&foreign).expect("readable").count(), 1);
    assert!(!newer.join("cursors").exists());

    let path = text(&journal);
    pawl(&["cursor", "remove", path, "nobody"]).expect(2).says(&["nobody", "pawl cursor list"]);
    for name in ["", "Upper", "../up", "a/b"] {
        pawl(&["tail", path, "--cursor", name]).expect(2).says(&["1 to 64 of a-z"]);
        pawl(&["cursor", "remove", path, name]).expect(2).says(&["1 to 64 of a-z"]);
    }
    pawl(&["tail", path, "--cursor", "db", "--from", "99999999"]).expect(2).says(&["99999999", "30000"]);
    pawl(&["prune", path]).expect(2).says(&["--older-than"]);
    pawl(&["prune", path, "--older-than", "yesterday"]).expect(2).says(&["yesterday"]);
    pawl(&["prune", path, "--larger-than", "50"]).expect(2).says(&["50GB"]);
    pawl(&["prune", path, "--to-snapshot", "--without-snapshot"]).expect(2);

    let cursor = Cursor::open(&journal, "db").expect("registered");
    pawl(&["tail", path, "--cursor", "db"]).expect(2).says(&["db.cursor", "another process"]);
    pawl(&["cursor", "remove", path, "db"]).expect(2).says(&["db.cursor", "another process"]);
    drop(cursor);
    std::fs::write(journal.join("cursors/db.cursor"), "{}").expect("written");
    for arguments in [
        &["tail", path, "--cursor", "db"][..],
        &["prune", path, "--larger-than", "0B", "--without-snapshot", "--apply"],
    ] {
        pawl(arguments).expect(2).says(&["db.cursor", "damaged", "pawl cursor remove"]);
    }
    // It hides no other, and is a finding.
    drop(Cursor::open(&journal, "other").expect("registered"));
    let listed = pawl(&["cursor", "list", path]).expect(1);
    for word in ["other", "db.cursor", "is damaged", "pawl cursor remove"] {
        assert!(listed.stdout.contains(word), "{word}: {listed:?}");
    }
    let listed = pawl(&["cursor", "list", path, "--json"]).expect(1).json();
    let states: Vec<_> = (0..2).map(|at| &listed["cursors"][at]["state"]).collect();
    assert_eq!(states, ["damaged", "good"], "{listed}");
    assert!(listed["cursors"][0]["next"].is_null() && listed["cursors"][1]["next"] == 1, "{listed}");
    assert!(pawl(&["verify", path]).expect(1).stdout.contains("db.cursor: the cursor is damaged"));
    pawl(&["cursor", "remove", path, "db"]).expect(0);
    pawl(&["cursor", "remove", path, "other"]).expect(0);
    pawl(&["verify", path]).expect(0);
    let before = segments(&journal);
    assert!(before.len() > 2, "some could go");
    let damaged = std::fs::File::options().write(true).open(&before[0]).expect("opened");
    damaged.write_all_at(&[0xff], 40).expect("written");
    pawl(&["prune", path, "--larger-than", "0B", "--without-snapshot", "--apply"])
        .expect(2)
        .says(&["damaged", "pawl verify"]);
    assert_eq!(segments(&journal), before);
}

/// Makes a segment one of format 7.0, with a header that is whole.
fn make_newer(segment: &Path) {
    let file = std::fs::File::options().read(true).write(true).open(segment).expect("opened");
    let mut page = vec![0; 4096];
    file.read_exact_at(&mut page, 0).expect("read");
    page[8..12].copy_from_slice(&[7, 0, 0, 0]);
    let mut crc = !0_u32;
    for byte in &page[..4092] {
        // CRC-32C a bit at a time (RFC 3720), reflected polynomial 0x82F63B78.
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    page[4092..].copy_from_slice(&(!crc).to_le_bytes());
    file.write_all_at(&page, 0).expect("written");
}
