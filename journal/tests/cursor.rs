//! Cursors over a history that was cut: by the death of a machine, by a repair, by an older copy.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pawl_journal::log::repair::{Consent, plan};
use pawl_journal::log::{
    Appender, Claim, Cursor, CursorDamage, Damage, From, JournalError, Reader, Retention, SealReason, Tailer,
    verify,
};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

#[path = "log/support.rs"]
#[expect(dead_code, reason = "shared with the situations of tests/log.rs")]
mod support;

use support::{SMALL, append, assert_is, journal, segments};

/// The segment file that holds a step, and where in it the step is.
fn place_of(dir: &Path, sequence: u64) -> (PathBuf, u64) {
    let mut reader = Reader::open(dir).unwrap();
    reader.seek(Sequence(sequence)).unwrap();
    let frame = reader.next().unwrap().unwrap();
    assert_eq!(frame.sequence(), Sequence(sequence));
    let is_before = |path: &PathBuf| first_of(path) <= sequence;
    (segments(dir).into_iter().rfind(is_before).unwrap(), frame.offset())
}

fn first_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// What a machine leaves that dies before this step and those behind it were on disk.
fn lose_from(dir: &Path, sequence: u64) {
    let (file, offset) = place_of(dir, sequence);
    for later in segments(dir).into_iter().filter(|path| *path > file) {
        fs::remove_file(later).unwrap();
    }
    let len = fs::metadata(&file).unwrap().len();
    let zeros = vec![0; (len - offset) as usize];
    File::options().write(true).open(&file).unwrap().write_all_at(&zeros, offset).unwrap();
    // Without it: an index is written behind the sync of what it is of.
    let _ = fs::remove_file(file.with_extension("idx"));
}

/// A turn of so many steps, which a process that dies ends.
fn turn(dir: &Path, count: u64) {
    append(&mut Appender::create_or_open(dir, &SMALL).unwrap(), count);
}

/// A cursor that has passed everything before this step.
fn cursor_at(dir: &Path, name: &str, next: u64) {
    Cursor::open(dir, name).unwrap().save(Sequence(next)).unwrap();
}

/// Why a cursor is refused, and how that is told.
fn refused(dir: &Path, name: &str) -> (CursorDamage, String) {
    let error = Cursor::open(dir, name).unwrap_err();
    let text = error.to_string();
    match error {
        JournalError::CursorUnusable { file, what } => {
            assert_eq!(file, dir.join(format!("cursors/{name}.cursor")));
            let listed = Cursor::list(dir).unwrap();
            let listed = listed.iter().find(|entry| entry.name == name).unwrap();
            assert_eq!(listed.damage, Some(what));
            (what, text)
        }
        other => panic!("{other}"),
    }
}

fn opens_at(dir: &Path, name: &str, next: u64) {
    assert_eq!(Cursor::open(dir, name).unwrap().next_sequence(), Sequence(next));
    let listed = Cursor::list(dir).unwrap();
    assert_eq!(listed.iter().find(|entry| entry.name == name).unwrap().damage, None);
}

#[test]
fn a_cursor_beyond_a_cut_is_refused_when_other_steps_have_its_sequences() {
    let (_home, dir) = journal(300);
    for (name, next) in [("before", 200), ("at", 201), ("behind", 202), ("end", 301)] {
        cursor_at(&dir, name, next);
    }
    drop(Cursor::open_at(&dir, "now", From::Now).unwrap());
    lose_from(&dir, 201);
    turn(&dir, 500);
    for (name, next) in [("behind", 202), ("end", 301), ("now", 301)] {
        let (what, text) = refused(&dir, name);
        assert_eq!(what, CursorDamage::Replaced { at: 201, next }, "{name}");
        let way_out = format!("`pawl cursor remove {} {name}`", dir.display());
        assert!(text.contains(&way_out) && text.contains("--from 201"), "{text}");
    }
    // Those before the cut have seen nothing that is gone, and go on.
    opens_at(&dir, "before", 200);
    opens_at(&dir, "at", 201);
    // As the refusal says: begun anew where the history was cut, none of the new steps is left out.
    Cursor::remove(&dir, "end").unwrap();
    let cursor = Cursor::open_at(&dir, "end", From::Sequence(Sequence(201))).unwrap();
    let mut tailer = Tailer::open(&dir, From::Sequence(cursor.next_sequence())).unwrap();
    for sequence in 201..=700 {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
}

#[test]
fn a_cursor_beyond_a_cut_is_refused_before_anything_is_written_behind_the_cut() {
    let (_home, dir) = journal(300);
    cursor_at(&dir, "db", 301);
    lose_from(&dir, 201);
    let ahead = CursorDamage::Ahead { at: 301, last: 200 };
    let (what, text) = refused(&dir, "db");
    assert_eq!(what, ahead, "as the machine left it");
    assert!(text.contains("pawl cursor remove") && text.contains("--from 201"), "{text}");
    drop(Claim::take(&dir, &SMALL).unwrap());
    assert_eq!(refused(&dir, "db").0, ahead, "recovered");
    turn(&dir, 0);
    assert_eq!(refused(&dir, "db").0, CursorDamage::Replaced { at: 201, next: 301 }, "begun");
    turn(&dir, 50);
    assert_eq!(refused(&dir, "db").0, CursorDamage::Replaced { at: 201, next: 301 }, "not as far");
    turn(&dir, 50);
    assert_eq!(refused(&dir, "db").0, CursorDamage::Replaced { at: 201, next: 301 }, "just as far");
}

#[test]
fn the_cut_is_told_whatever_came_behind_it() {
    // Segments of the cut turn are gone, some stay, and several turns follow.
    for (written, lost) in [(20_000, 3_000), (20_000, 15_000), (300, 1)] {
        let (_home, dir) = journal(0);
        if lost > 1 {
            turn(&dir, 1_000);
        }
        turn(&dir, written);
        let end = Reader::open(&dir).unwrap().last_sequence().unwrap().0;
        cursor_at(&dir, "db", end + 1);
        lose_from(&dir, lost);
        for count in [40, 0, 12_000, 20_000] {
            turn(&dir, count);
            let at = lost;
            assert_eq!(refused(&dir, "db").0, CursorDamage::Replaced { at, next: end + 1 }, "from {lost}");
        }
    }
}

#[test]
fn a_repair_that_gave_up_steps_leaves_no_cursor_that_has_seen_them() {
    let (_home, dir) = journal(0);
    for _ in 0..3 {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        append(&mut appender, 6_000);
        appender.seal(SealReason::Ended).unwrap();
    }
    cursor_at(&dir, "db", 17_001);
    cursor_at(&dir, "slow", 9_000);
    // In the middle of the second turn: the third goes, and its epoch is used again.
    let (file, offset) = place_of(&dir, 9_001);
    File::options().write(true).open(&file).unwrap().write_all_at(&[0xFF; 8], offset + 40).unwrap();
    let plan = plan(&dir, &mut |_, _| {}).unwrap();
    assert_eq!(plan.kept_until, Sequence(9_000));
    assert_eq!(plan.cursors_ahead.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["db"]);
    plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
    assert_eq!(refused(&dir, "db").0, CursorDamage::Ahead { at: 17_001, last: 9_000 });
    turn(&dir, 12_000);
    assert_eq!(refused(&dir, "db").0, CursorDamage::Replaced { at: 9_001, next: 17_001 });
    opens_at(&dir, "slow", 9_000);
}

#[test]
fn a_cursor_of_durable_steps_is_never_beyond_a_cut() {
    let (_home, dir) = journal(0);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let mut cursor = Cursor::open(&dir, "durable").unwrap();
    let mut tailer = Tailer::durable(&dir, From::Start).unwrap();
    // Page cache: what is finished is durable, and what is being written is not.
    while cursor.next_sequence().0 < 5_000 {
        append(&mut appender, 100);
        while tailer.poll().unwrap().is_some() {}
        cursor.save(tailer.next_sequence()).unwrap();
    }
    append(&mut appender, 100);
    drop((appender, cursor));
    let durable = tailer.next_sequence().0;
    let end = Reader::open(&dir).unwrap().last_sequence().unwrap().0;
    assert!(durable <= end);
    cursor_at(&dir, "committed", end + 1);
    // All that the machine may lose.
    lose_from(&dir, durable);
    for count in [100, 30_000] {
        turn(&dir, count);
        opens_at(&dir, "durable", durable);
        let replaced = CursorDamage::Replaced { at: durable, next: end + 1 };
        assert_eq!(refused(&dir, "committed").0, replaced);
    }
}

#[test]
fn a_history_that_is_cut_under_a_reader_is_noticed_when_it_saves() {
    let (_home, dir) = journal(300);
    let mut cursor = Cursor::open(&dir, "db").unwrap();
    cursor.save(Sequence(251)).unwrap();
    lose_from(&dir, 201);
    turn(&dir, 500);
    let error = cursor.save(Sequence(260)).unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::CursorUnusable { what: CursorDamage::Replaced { at: 201, next: 251 }, .. }
        ),
        "{error}"
    );
}

#[test]
fn the_ways_a_journal_goes_on_by_itself_are_no_cuts() {
    let (_home, dir) = journal(0);
    let mut next = 1;
    for count in [300, 0, 0, 9_000, 1, 0, 15_000] {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        append(&mut appender, count);
        if count % 2 == 0 {
            appender.seal(SealReason::Ended).unwrap();
        }
        drop(appender);
        opens_at_or_new(&dir, next);
        next += count;
        Cursor::open(&dir, "db").unwrap().save(Sequence(next)).unwrap();
        opens_at_or_new(&dir, next);
    }
    // A segment that the writer has gone on in, before and behind its naming.
    let file = segments(&dir).pop().unwrap();
    let mut index = [0; 8];
    File::open(&file).unwrap().read_exact_at(&mut index, 48).unwrap();
    let spare = dir.join(format!("spare-{:020}.pawl", u64::from_le_bytes(index)));
    Cursor::remove(&dir, "db").unwrap();
    let mut cursor = Cursor::open_at(&dir, "db", From::Sequence(Sequence(first_of(&file) + 5))).unwrap();
    fs::rename(&file, &spare).unwrap();
    cursor.save(Sequence(next)).unwrap();
    drop(cursor);
    opens_at(&dir, "db", next);
    fs::rename(&spare, &file).unwrap();
    opens_at(&dir, "db", next);
}

fn opens_at_or_new(dir: &Path, next: u64) {
    assert_eq!(Cursor::open(dir, "db").unwrap().next_sequence(), Sequence(next));
}

#[test]
fn nothing_is_pruned_under_a_cursor_whose_history_was_replaced() {
    let everything = Retention { larger_than_bytes: Some(0), without_snapshot: true, ..Retention::default() };
    let (_home, dir) = journal(20_000);
    cursor_at(&dir, "db", 15_000);
    lose_from(&dir, 12_000);
    turn(&dir, 40_000);
    let refused = everything.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap_err();
    let replaced = CursorDamage::Replaced { at: 12_000, next: 15_000 };
    assert!(
        matches!(refused, JournalError::CursorUnusable { what, .. } if what == replaced),
        "or else the step before its place would be gone, and nothing could tell"
    );
    // At the start of what a pruning has left, a cursor goes on.
    Cursor::remove(&dir, "db").unwrap();
    let files = segments(&dir);
    let kept = first_of(&files[files.len() - 3]);
    cursor_at(&dir, "db", kept);
    everything.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap();
    assert_eq!(first_of(&segments(&dir)[0]), kept);
    opens_at(&dir, "db", kept);
}

/// Writes a cursor's file with these fields, and the checksum behind them.
fn write_cursor(dir: &Path, name: &str, fields: &str) {
    let checksum = crc32c::crc32c(format!("{{{fields}}}").as_bytes());
    let text = format!("{{{fields},\"crc32c\":\"{checksum:08x}\"}}\n");
    fs::write(dir.join(format!("cursors/{name}.cursor")), text).unwrap();
}

#[test]
fn a_file_from_before_the_segment_was_kept_is_read_and_gets_one_when_it_is_saved() {
    let (_home, dir) = journal(300);
    cursor_at(&dir, "new", 100);
    let text = fs::read_to_string(dir.join("cursors/new.cursor")).unwrap();
    let (fields, _) = text.trim_start_matches('{').split_once(",\"segment\":").unwrap();
    write_cursor(&dir, "old", fields);
    opens_at(&dir, "old", 100);
    cursor_at(&dir, "old", 251);
    lose_from(&dir, 201);
    turn(&dir, 500);
    assert_eq!(refused(&dir, "old").0, CursorDamage::Replaced { at: 201, next: 251 });
}

#[test]
fn a_damaged_cursor_hides_no_other_and_is_a_finding() {
    let (_home, dir) = journal(300);
    let (_other_home, other) = journal(10);
    for name in ["a", "b", "d"] {
        cursor_at(&dir, name, 100);
    }
    drop(Cursor::open(&other, "c").unwrap());
    let findings = || verify(&dir, &mut |_, _| {}).unwrap().findings;
    assert_eq!(findings(), []);
    fs::write(dir.join("cursors/b.cursor"), "{}").unwrap();
    fs::copy(other.join("cursors/c.cursor"), dir.join("cursors/c.cursor")).unwrap();
    fs::write(dir.join("cursors/Z.cursor"), "").unwrap();
    let listed = Cursor::list(&dir).unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.place.map(|it| it.next_sequence.0), it.damage))
        .collect();
    assert_eq!(
        told,
        [
            ("Z", None, Some(CursorDamage::Name)),
            ("a", Some(100), None),
            ("b", None, Some(CursorDamage::Bytes)),
            ("c", Some(1), Some(CursorDamage::Journal)),
            ("d", Some(100), None),
        ]
    );
    let found: Vec<_> = findings().into_iter().map(|finding| (finding.file, finding.what)).collect();
    let file = |name: &str| dir.join(format!("cursors/{name}.cursor"));
    assert_eq!(
        found,
        [
            (file("Z"), Damage::Cursor(CursorDamage::Name)),
            (file("b"), Damage::Cursor(CursorDamage::Bytes)),
            (file("c"), Damage::Cursor(CursorDamage::Journal)),
        ]
    );
    assert!(plan(&dir, &mut |_, _| {}).unwrap().is_empty(), "nothing that a repair of the journal would do");
}

#[test]
fn an_older_copy_of_the_journal_is_told_from_the_one_that_a_cursor_has_seen() {
    let (_home, dir) = journal(300);
    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in segments(&dir) {
        fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    turn(&dir, 200);
    cursor_at(&dir, "db", 401);
    fs::create_dir(copy.join("cursors")).unwrap();
    fs::copy(dir.join("cursors/db.cursor"), copy.join("cursors/db.cursor")).unwrap();
    assert_eq!(refused(&copy, "db").0, CursorDamage::Ahead { at: 401, last: 300 });
    // Both go on in the same turn, by its number.
    turn(&copy, 200);
    assert_eq!(refused(&copy, "db").0, CursorDamage::Replaced { at: 301, next: 401 });
}
