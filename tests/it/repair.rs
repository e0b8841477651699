//! A run's journal that was damaged: refused with a way out, repaired with consent, and gone on with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{BTCUSD_TICKS, btcusd, pawl, run, scratch, text, verified};

/// Runs the hours of BTCUSD in small segments.
fn run_hours(journal: &Path) -> crate::support::Finished {
    run(journal, &["--feed", &btcusd(), "--symbol", "BTCUSD", "--set", "journal.segment_bytes=1048576"])
}

fn segments(journal: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(journal).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "pawl")).collect();
    segments.sort();
    segments
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[offset] ^= 4;
    fs::write(path, bytes).expect("write");
}

/// Leaves nothing of a file that could be told from noise.
fn destroy(path: &Path) {
    let len = fs::metadata(path).expect("a file").len();
    let noise: Vec<u8> = (0..len).map(|at| ((at * 0x9E37_79B9) >> 11) as u8 | 1).collect();
    fs::write(path, noise).expect("write");
}

fn first_of(path: &Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()).expect("a name").parse().expect("a number")
}

/// Names and bytes of everything in the directory itself.
fn contents(journal: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(journal).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = paths.map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect();
    found.sort();
    found
}

#[test]
fn a_damaged_journal_is_refused_by_a_run_repaired_with_consent_and_gone_on_with() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run_hours(&journal).expect(0);
    let path = text(&journal);
    let files = segments(&journal);
    assert!(files.len() >= 3, "{files:?}");
    // A header in the middle, and all that could tell what it was: a run sees it at once.
    destroy(&files[2]);
    run_hours(&journal).expect(2).says(&["damaged", "`pawl repair`"]);
    let last = first_of(&files[2]) - 1;

    let before = contents(&journal);
    let refused = pawl(&["repair", path]).expect(1);
    assert!(
        refused.stdout.contains("--accept-loss") && refused.stdout.contains("can be kept"),
        "{refused:?}"
    );
    let dry = pawl(&["repair", path, "--dry-run"]).expect(1);
    assert!(dry.stdout.contains("would be lost") && dry.stdout.contains("nothing was changed"), "{dry:?}");
    let asked = pawl(&["repair", path, "--json"]).expect(1).json();
    assert_eq!((&asked["result"], &asked["kept"]["last"]), (&"loss_not_accepted".into(), &last.into()));
    assert!(contents(&journal) == before, "nothing is changed without consent");

    let repaired = pawl(&["repair", path, "--accept-loss", "--json"]).expect(0).json();
    assert_eq!((&repaired["result"], &repaired["clean"]), (&"repaired".into(), &true.into()));
    assert_eq!(repaired["lost"]["first"], last + 1);
    let record = repaired["record"].as_str().expect("a record");
    assert!(fs::read_to_string(record).expect("the record").contains("\"state\": \"done\""));
    assert_eq!(verified(&journal)["last"], last);
    let again = pawl(&["repair", path]).expect(0);
    assert!(again.stdout.contains("nothing to repair"), "{again:?}");
    pawl(&["repair", path, "--dry-run"]).expect(0);
    pawl(&["replay", path]).expect(0);

    // The journal ends in the middle of a run, as after a crash, and the feed is read again from there.
    run_hours(&journal).expect(0);
    assert_eq!(verified(&journal)["records"]["tick"], BTCUSD_TICKS);
    pawl(&["replay", path]).expect(0);
}

#[test]
fn a_damaged_step_in_the_middle_costs_what_follows_and_the_next_run_does_that_again() {
    let scratch = scratch();
    let (whole, journal) = (scratch.path().join("whole"), scratch.path().join("journal"));
    run_hours(&whole).expect(0);
    run_hours(&journal).expect(0);
    let path = text(&journal);
    flip(&segments(&journal)[1], 500_000);
    pawl(&["verify", path]).expect(1);
    pawl(&["replay", path]).expect(2).says(&["`pawl repair`"]);
    let repaired = pawl(&["repair", path, "--accept-loss"]).expect(0);
    assert!(repaired.stdout.contains("repaired") && repaired.stdout.contains("quarantine/"), "{repaired:?}");
    run_hours(&journal).expect(0);
    pawl(&["replay", path]).expect(0);
    for kind in ["tick", "timer", "features", "verdict", "order_request", "execution_report"] {
        assert_eq!(verified(&journal)["records"][kind], verified(&whole)["records"][kind], "{kind}");
    }
}

#[test]
fn what_costs_nothing_is_repaired_without_being_asked() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run_hours(&journal).expect(0);
    let hash = crate::support::output_hash(&journal);
    let index = segments(&journal)[0].with_extension("idx");
    fs::write(&index, "no index").expect("write");
    pawl(&["verify", text(&journal)]).expect(1);
    let repaired = pawl(&["repair", text(&journal)]).expect(0);
    assert!(repaired.stdout.contains("no step") && repaired.stdout.contains("repaired"), "{repaired:?}");
    assert_eq!(crate::support::output_hash(&journal), hash);
}

#[test]
fn a_header_is_rebuilt_without_being_asked_and_costs_no_step() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run_hours(&journal).expect(0);
    let (path, hash, steps) =
        (text(&journal), crate::support::output_hash(&journal), verified(&journal)["steps"].clone());
    let files = segments(&journal);
    // The first one of all, gone; one in the middle that has lost its index too; a bit of the last one's.
    for file in &files[..2] {
        let mut bytes = fs::read(file).expect("read");
        bytes[..4096].fill(0);
        fs::write(file, bytes).expect("write");
    }
    fs::remove_file(files[1].with_extension("idx")).expect("an index");
    flip(&files[files.len() - 1], 70);
    run_hours(&journal).expect(2).says(&["`pawl repair`"]);
    let before = contents(&journal);
    let dry = pawl(&["repair", path, "--dry-run"]).expect(1);
    assert!(dry.stdout.contains("header is written anew from") && dry.stdout.contains("no step"), "{dry:?}");
    assert!(contents(&journal) == before);
    let repaired = pawl(&["repair", path, "--json"]).expect(0).json();
    assert_eq!((&repaired["result"], &repaired["clean"]), (&"repaired".into(), &true.into()));
    assert_eq!((&repaired["needs_acceptance"], &repaired["lost"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!((verified(&journal)["steps"].clone(), crate::support::output_hash(&journal)), (steps, hash));
    pawl(&["repair", path, "--dry-run"]).expect(0);
    pawl(&["replay", path]).expect(0);
    run_hours(&journal).expect(0);
    assert_eq!(verified(&journal)["records"]["tick"], BTCUSD_TICKS);
}

#[test]
fn a_journal_that_lost_its_start_or_its_first_segment_whole_has_a_way_out_too() {
    let scratch = scratch();
    let journal = scratch.path().join("journal");
    run_hours(&journal).expect(0);
    let path = text(&journal);
    let files = segments(&journal);
    fs::remove_file(&files[0]).expect("a segment");
    fs::create_dir(journal.join("cursors")).expect("create");
    fs::write(journal.join("cursors/risk-desk.cursor"), "{").expect("write");
    pawl(&["verify", path]).expect(1);
    let refused = pawl(&["repair", path]).expect(1);
    assert!(
        refused.stdout.contains("begins with step") && refused.stdout.contains("--accept-loss"),
        "{refused:?}"
    );
    assert!(refused.stdout.contains("`risk-desk` is damaged"), "{refused:?}");
    let repaired = pawl(&["repair", path, "--accept-loss", "--json"]).expect(0).json();
    assert_eq!(repaired["begins_at"], first_of(&files[1]));
    assert_eq!(repaired["cursors_damaged"][0]["name"], "risk-desk");
    assert!(journal.join("pruned.json").exists() && journal.join("cursors/risk-desk.cursor").exists());
    pawl(&["cursor", "remove", path, "risk-desk"]).expect(0);
    assert_eq!(verified(&journal)["first"], first_of(&files[1]));

    destroy(&files[1]);
    let refused = pawl(&["repair", path]).expect(1);
    assert!(refused.stdout.contains("nothing: every step is lost"), "{refused:?}");
    pawl(&["repair", path, "--accept-loss"]).expect(0);
    assert_eq!(verified(&journal)["steps"], 0);
}

#[test]
fn what_cannot_be_repaired_is_refused_and_left_alone() {
    let scratch = scratch();
    let dir = scratch.path();
    let journal = dir.join("journal");
    run_hours(&journal).expect(0);
    let path = text(&journal);
    let file = segments(&journal)[0].clone();
    let good = fs::read(&file).expect("read");
    let refused = |path: &Path, words: &[&str]| {
        for arguments in [vec!["repair", text(path)], vec!["repair", text(path), "--accept-loss", "--json"]] {
            let finished = pawl(&arguments).expect(2).says(words);
            assert!(finished.stdout.is_empty(), "{finished:?}");
        }
    };
    refused(&dir.join("nothing"), &["no journal"]);
    fs::create_dir(dir.join("foreign")).expect("create");
    fs::write(dir.join("foreign/thesis.doc"), "years of work").expect("write");
    refused(&dir.join("foreign"), &["thesis.doc"]);
    refused(&file, &["not a journal"]);
    assert_eq!(fs::read_dir(dir.join("foreign")).expect("read").count(), 1);

    // Being written.
    flip(&segments(&journal)[1], 500_000);
    let before = contents(&journal);
    let lock = fs::OpenOptions::new().write(true).open(journal.join("LOCK")).expect("the lock file");
    lock.lock().expect("nobody else holds it");
    refused(&journal, &["another process"]);
    drop(lock);

    // A later format: the header is whole, and says so.
    let mut newer = good.clone();
    newer[8] = 9;
    let checksum = crc32c(&newer[..4092]);
    newer[4092..4096].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&file, &newer).expect("write");
    refused(&journal, &["journal format 9"]);
    fs::write(&file, &good).expect("write");

    assert!(contents(&journal) == before, "a refusal changes nothing");
    pawl(&["repair"]).expect(2);
    pawl(&["repair", path, "--dry-run", "--accept-loss"]).expect(2);
}

/// CRC-32C, bit by bit: the polynomial of RFC 3720, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}
