//! Cursors and retention as their users meet them: what a cursor promises, what may be pruned, and what is left of a
//! pruning that died.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use pawl_journal::log::{
    Appender, Cursor, CursorDamage, Damage, From, Hold, JournalError, PrunePlan, Reader, Retention,
    SealReason, Tailer, pruned, run_start,
};
use pawl_journal::record::{RunStarted, Sequence, Step};
use rustix::process::geteuid;
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

#[path = "log/support.rs"]
#[expect(dead_code, reason = "shared with the situations of tests/log.rs")]
mod support;

use support::{SMALL, append, assert_is, check, journal, segments, time_of};

/// Asks for everything, also without a snapshot.
const EVERYTHING: Retention =
    Retention { older_than: None, larger_than_bytes: Some(0), to_snapshot: false, without_snapshot: true };

fn plan(retention: Retention, dir: &Path) -> PrunePlan {
    retention.plan(dir, SystemTime::now()).unwrap()
}

fn prune(retention: Retention, dir: &Path) -> PrunePlan {
    retention.prune(dir, SystemTime::now(), &mut |_, _| {}).unwrap()
}

/// First sequences of the segments, as their names say.
fn starts(dir: &Path) -> Vec<u64> {
    segments(dir).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// Everything in the directory, with its content.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, content) in contents(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, content).unwrap();
    }
}

fn snapshot(dir: &Path, sequence: u64, verified: bool) {
    let folder = dir.join("snapshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{sequence:020}.snapshot")), "state").unwrap();
    if verified {
        fs::write(folder.join(format!("{sequence:020}.verified")), "").unwrap();
    }
}

/// Reads from the first step that is there to the end; every step is as it was built. Gives the first and the last.
fn read_rest(dir: &Path) -> (u64, u64) {
    let mut reader = Reader::open(dir).unwrap();
    let (mut first, mut next) = (0, 0);
    while let Some(frame) = reader.next().unwrap() {
        if first == 0 {
            (first, next) = (frame.sequence().0, frame.sequence().0);
        }
        assert_is(&frame, next);
        next += 1;
    }
    (first, next - 1)
}

/// A journal whose finished segments have no index, as they have when a writer is gone before it writes one.
fn without_indexes(count: u64) -> (TempDir, PathBuf) {
    let (home, dir) = journal(count);
    for file in segments(&dir) {
        // Some have one already.
        let _ = fs::remove_file(file.with_extension("idx"));
    }
    (home, dir)
}

#[test]
fn whole_segments_go_from_the_oldest_on_and_the_two_newest_stay() {
    let (_home, dir) = without_indexes(40_000);
    let before = starts(&dir);
    assert!(before.len() >= 5, "{before:?}");
    fs::write(segments(&dir)[0].with_extension("idx"), vec![0; 100]).unwrap();
    let planned = plan(EVERYTHING, &dir);
    assert_eq!(starts(&dir), before, "a plan changes nothing");
    assert!(!dir.join("pruned.json").exists() && !dir.join("cursors").exists());
    let mut steps = Vec::new();
    let gone =
        EVERYTHING.prune(&dir, SystemTime::now(), &mut |done, total| steps.push((done, total))).unwrap();
    assert_eq!(gone, planned);
    let kept = before[before.len() - 2];
    assert_eq!(starts(&dir), before[before.len() - 2..]);
    assert_eq!(
        steps,
        (1..=gone.going.len() as u64).map(|n| (n, gone.going.len() as u64)).collect::<Vec<_>>()
    );
    assert!(!dir.join(format!("{:020}.idx", before[0])).exists());
    assert_eq!(read_rest(&dir), (kept, 40_000));
    let told = pruned(&dir).unwrap().unwrap();
    assert_eq!((told.first_sequence, told.segment_index), (Sequence(kept), before.len() as u64 - 1));
    assert_eq!((told.removed_segments, told.removed_steps), (before.len() as u64 - 2, kept - 1));
    assert_eq!(told.removed_bytes, (before.len() as u64 - 2) * SMALL.segment_bytes + 100);
    assert_eq!(gone.going[0].bytes, SMALL.segment_bytes + 100);
    assert!(gone.held.iter().any(|held| held.by == Hold::Newest && held.segments == 2), "{gone:?}");
    // Nothing is left to do, and nothing is done.
    let everything = contents(&dir);
    assert_eq!(prune(EVERYTHING, &dir).going, []);
    assert_eq!(contents(&dir), everything);
}

#[test]
fn a_journal_that_begins_where_it_was_pruned_is_whole_and_one_that_lost_its_start_is_not() {
    let (_home, dir) = without_indexes(60_000);
    let before = starts(&dir);
    // Two at a time, so that the second pruning goes on from the first.
    let by_size =
        |kept: usize| Retention { larger_than_bytes: Some(kept as u64 * SMALL.segment_bytes), ..EVERYTHING };
    for kept in [before.len() - 2, before.len() - 4] {
        prune(by_size(kept), &dir);
        assert_eq!(starts(&dir), before[before.len() - kept..]);
        assert_eq!(check(&dir).findings, []);
    }
    assert_eq!(pruned(&dir).unwrap().unwrap().removed_steps, before[4] - 1);
    let marker = fs::read(dir.join("pruned.json")).unwrap();
    let whats = || check(&dir).findings.iter().map(|finding| finding.what).collect::<Vec<_>>();
    let first_sequence = before[4];
    fs::remove_file(dir.join("pruned.json")).unwrap();
    assert_eq!(whats(), [Damage::StartMissing { first_sequence }]);
    fs::write(dir.join("pruned.json"), &marker[1..]).unwrap();
    assert_eq!(whats(), [Damage::PrunedMarker { first_sequence }]);
    fs::write(dir.join("pruned.json"), &marker).unwrap();
    assert_eq!(whats(), []);
    fs::remove_file(&segments(&dir)[0]).unwrap();
    assert_eq!(whats(), [Damage::StartMissing { first_sequence: before[5] }]);
}

#[test]
fn a_pruning_that_died_anywhere_is_finished_by_the_next_one() {
    let (home, dir) = journal(40_000);
    let before = starts(&dir);
    let whole = home.path().join("whole");
    copy(&dir, &whole);
    let gone = prune(EVERYTHING, &dir).going;
    let (after, told) = (starts(&dir), pruned(&dir).unwrap());
    assert!(gone.len() >= 3);
    for deleted in 0..=gone.len() {
        // The marker is written, `deleted` segments are gone, and the index of the next one.
        let left = home.path().join(format!("left-{deleted}"));
        copy(&whole, &left);
        fs::copy(dir.join("pruned.json"), left.join("pruned.json")).unwrap();
        for segment in &gone[..deleted] {
            fs::remove_file(left.join(format!("{:020}.pawl", segment.first_sequence))).unwrap();
        }
        assert_eq!(check(&left).findings, [], "{deleted} deleted");
        assert_eq!(read_rest(&left), (before[deleted], 40_000));
        // A cursor begins where the journal will, not in what is about to go.
        assert_eq!(Cursor::open(&left, "late").unwrap().next_sequence(), told.unwrap().first_sequence);
        // Asked for nothing in particular, and without the leave to do without a snapshot.
        let rest = prune(Retention::default(), &left).going;
        assert_eq!(rest.len(), gone.len() - deleted);
        assert!(rest.iter().all(|segment| segment.is_leftover));
        assert_eq!(starts(&left), after);
        assert_eq!(pruned(&left).unwrap(), told, "what was given up before is not counted twice");
    }
}

#[test]
fn a_registered_cursor_keeps_every_step_it_has_still_to_see() {
    let (_home, dir) = journal(40_000);
    let before = starts(&dir);
    let mut slow = Cursor::open(&dir, "slow").unwrap();
    assert!(slow.is_new());
    let fast = Cursor::open_at(&dir, "fast", From::Now).unwrap();
    assert_eq!((slow.next_sequence(), fast.next_sequence()), (Sequence(1), Sequence(40_001)));
    let held = prune(EVERYTHING, &dir);
    assert_eq!((held.going.len(), starts(&dir).len()), (0, before.len()));
    assert!(held.held.iter().any(|held| {
        matches!(&held.by, Hold::Cursor { name, next_sequence } if name == "slow" && next_sequence.0 == 1)
            && held.segments == before.len() as u64
    }));
    // One step short of a segment's end keeps it, its end lets it go.
    slow.save(Sequence(before[2] - 1)).unwrap();
    prune(EVERYTHING, &dir);
    assert_eq!(starts(&dir), before[1..]);
    slow.save(Sequence(before[2])).unwrap();
    prune(EVERYTHING, &dir);
    assert_eq!(starts(&dir), before[2..]);
    drop(slow);
    assert_eq!(Cursor::remove(&dir, "slow").unwrap(), Some(Sequence(before[2])));
    prune(EVERYTHING, &dir);
    assert_eq!(starts(&dir), before[before.len() - 2..]);
    assert_eq!(fast.next_sequence(), Sequence(40_001));
}

#[test]
fn a_cursor_that_cannot_be_understood_keeps_everything() {
    let (home, dir) = journal(20_000);
    let (_other_home, other) = journal(10);
    drop(Cursor::open(&dir, "db").unwrap());
    drop(Cursor::open(&other, "db").unwrap());
    let file = dir.join("cursors/db.cursor");
    let refused = || {
        let refused = EVERYTHING.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap_err();
        assert!(refused.to_string().contains("db.cursor"), "{refused}");
        match refused {
            JournalError::CursorUnusable { file: named, what } if named == file => {
                assert_eq!(Cursor::list(&dir).unwrap()[0].damage, Some(what));
                what
            }
            other => panic!("{other}"),
        }
    };
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(refused(), CursorDamage::Bytes);
    assert!(matches!(
        Cursor::open(&dir, "db"),
        Err(JournalError::CursorUnusable { what: CursorDamage::Bytes, .. })
    ));
    fs::copy(other.join("cursors/db.cursor"), &file).unwrap();
    assert_eq!(refused(), CursorDamage::Journal);
    assert!(matches!(
        Cursor::open(&dir, "db"),
        Err(JournalError::CursorUnusable { what: CursorDamage::Journal, .. })
    ));
    fs::write(&file, "").unwrap();
    assert_eq!(Cursor::remove(&dir, "db").unwrap(), None);
    fs::write(dir.join("cursors/db (copy).cursor"), whole).unwrap();
    let refused = EVERYTHING.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, JournalError::CursorUnusable { what: CursorDamage::Name, .. }), "{refused}");
    drop(home);
}

#[test]
fn a_cursor_resumes_where_it_was_saved_and_never_goes_back() {
    let (_home, dir) = journal(9_000);
    let mut cursor = Cursor::open(&dir, "risk-desk_1").unwrap();
    let mut tailer = Tailer::open(&dir, From::Sequence(cursor.next_sequence())).unwrap();
    for sequence in 1..=5_000 {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    cursor.save(tailer.next_sequence()).unwrap();
    let back = cursor.save(Sequence(5_000)).unwrap_err();
    assert!(
        matches!(back, JournalError::CursorBack { at: Sequence(5_001), asked: Sequence(5_000), .. }),
        "{back}"
    );
    cursor.save(Sequence(5_001)).unwrap();
    drop(cursor);
    let cursor = Cursor::open_at(&dir, "risk-desk_1", From::Now).unwrap();
    assert!(!cursor.is_new(), "one that is there stays where it is");
    let mut tailer = Tailer::open(&dir, From::Sequence(cursor.next_sequence())).unwrap();
    assert_is(&tailer.poll().unwrap().unwrap(), 5_001);
    let listed = Cursor::list(&dir).unwrap();
    assert_eq!(listed.len(), 1);
    let place = listed[0].place.unwrap();
    assert_eq!((listed[0].name.as_str(), place.next_sequence), (cursor.name(), Sequence(5_001)));
    assert!(listed[0].is_in_use);
    drop(cursor);
    assert!(!Cursor::list(&dir).unwrap()[0].is_in_use);
}

#[test]
fn a_new_cursor_begins_where_it_is_told_to() {
    let (_home, dir) = journal(9_000);
    let begin = |name: &str, from| Cursor::open_at(&dir, name, from).map(|it| it.next_sequence().0);
    assert_eq!(begin("start", From::Start).unwrap(), 1);
    assert_eq!(begin("step", From::Sequence(Sequence(4_321))).unwrap(), 4_321);
    assert_eq!(begin("time", From::Time(time_of(4_000))).unwrap(), 4_000);
    assert_eq!(begin("now", From::Now).unwrap(), 9_001);
    assert_eq!(begin("next", From::Sequence(Sequence(9_001))).unwrap(), 9_001);
    let ahead = begin("ahead", From::Sequence(Sequence(9_002))).unwrap_err();
    assert!(
        matches!(ahead, JournalError::CursorBegin { asked: Sequence(9_002), last: Sequence(9_000), .. }),
        "{ahead}"
    );
    assert_eq!(Cursor::list(&dir).unwrap().len(), 5, "a refused one is not registered");
}

#[test]
fn a_cursor_whose_place_the_journal_does_not_hold_says_so() {
    let (home, dir) = journal(40_000);
    let old = home.path().join("old");
    let mut cursor = Cursor::open(&dir, "db").unwrap();
    cursor.save(Sequence(100)).unwrap();
    drop(cursor);
    copy(&dir.join("cursors"), &old);
    Cursor::remove(&dir, "db").unwrap();
    prune(EVERYTHING, &dir);
    let first = starts(&dir)[0];
    copy(&old, &dir.join("cursors"));
    let gone = Cursor::open(&dir, "db").unwrap_err();
    assert!(
        matches!(&gone, JournalError::CursorUnusable { what: CursorDamage::Pruned { at: 100, first: told }, .. } if *told == first),
        "{gone}"
    );
    // The other way round: an older copy of the journal under a newer cursor.
    Cursor::remove(&dir, "db").unwrap();
    let backup = home.path().join("backup");
    copy(&dir, &backup);
    append(&mut Appender::create_or_open(&dir, &SMALL).unwrap(), 10);
    drop(Cursor::open_at(&dir, "db", From::Now).unwrap());
    copy(&dir.join("cursors"), &backup.join("cursors"));
    let ahead = Cursor::open(&backup, "db").unwrap_err();
    assert!(
        matches!(
            ahead,
            JournalError::CursorUnusable { what: CursorDamage::Ahead { at: 40_011, last: 40_000 }, .. }
        ),
        "{ahead}"
    );
}

#[test]
fn a_cursor_has_one_process_at_a_time_and_dies_free() {
    let (_home, dir) = journal(100);
    let mut first = Cursor::open(&dir, "db").unwrap();
    assert!(matches!(Cursor::open(&dir, "db"), Err(JournalError::InUse { .. })));
    first.save(Sequence(50)).unwrap();
    assert!(matches!(Cursor::open(&dir, "db"), Err(JournalError::InUse { .. })), "a save does not let go");
    assert!(matches!(Cursor::remove(&dir, "db"), Err(JournalError::InUse { .. })));
    drop(first);
    // What a save that died left behind is nobody's place.
    fs::write(dir.join("cursors/db.cursor.unfinished"), "{\"journal_id\":").unwrap();
    let mut second = Cursor::open(&dir, "db").unwrap();
    assert_eq!(second.next_sequence(), Sequence(50));
    second.save(Sequence(60)).unwrap();
    assert_eq!(Cursor::list(&dir).unwrap().len(), 1);
}

#[test]
fn names_that_no_cursor_has_are_refused_before_anything_is_created() {
    let (_home, dir) = journal(1);
    for name in ["", "A", "../x", "a.b", "a b", "é", &"a".repeat(65)] {
        for refused in [Cursor::open(&dir, name).unwrap_err(), Cursor::remove(&dir, name).unwrap_err()] {
            assert!(matches!(&refused, JournalError::CursorName { name: told } if told == name), "{refused}");
        }
    }
    assert!(!dir.join("cursors").exists());
    drop(Cursor::open(&dir, &"a".repeat(64)).unwrap());
    assert!(matches!(Cursor::remove(&dir, "nobody"), Err(JournalError::NoCursor { .. })));
}

#[test]
fn nothing_is_pruned_behind_the_newest_verified_snapshot_or_without_one() {
    let (_home, dir) = journal(60_000);
    let before = starts(&dir);
    let all = Retention { without_snapshot: false, ..EVERYTHING };
    let to_snapshot = Retention { to_snapshot: true, ..Retention::default() };
    let is_held = |plan: &PrunePlan, by: &Hold| plan.held.iter().any(|held| held.by == *by);
    let held = prune(all, &dir);
    assert!(held.going.is_empty() && is_held(&held, &Hold::NoSnapshot), "{held:?}");
    assert_eq!(plan(to_snapshot, &dir).asked_segments, 0);
    // Not verified, behind the end, or no snapshot at all: of no use.
    snapshot(&dir, before[4], false);
    snapshot(&dir, 60_001, true);
    fs::write(dir.join(format!("snapshots/{:020}.verified", before[5])), "").unwrap();
    assert!(is_held(&prune(all, &dir), &Hold::NoSnapshot));
    // A snapshot of the step before a segment ends keeps it; of its last step lets it go.
    snapshot(&dir, before[1] - 2, true);
    assert!(prune(to_snapshot, &dir).going.is_empty());
    snapshot(&dir, before[3] - 1, true);
    let sequence = Sequence(before[3] - 1);
    let held = prune(EVERYTHING, &dir);
    assert!(is_held(&held, &Hold::Snapshot { sequence }), "{held:?}");
    assert_eq!((starts(&dir), held.snapshot), (before[3..].to_vec(), Some(sequence)));
    snapshot(&dir, 60_000, true);
    assert_eq!(prune(to_snapshot, &dir).first_sequence.0, before[before.len() - 2]);
    assert_eq!(starts(&dir), before[before.len() - 2..]);
    // One that the journal cannot go on from any more counts for nothing.
    for path in contents(&dir.join("snapshots")).into_iter().map(|(path, _)| path) {
        if !path.to_str().unwrap().contains(&format!("{:020}", before[3] - 1)) {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(is_held(&plan(all, &dir), &Hold::NoSnapshot));
}

#[test]
fn age_is_the_files_and_a_young_file_keeps_everything_behind_it() {
    let (_home, dir) = journal(60_000);
    let files = segments(&dir);
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let set = |index: usize, age: u32| {
        File::options().write(true).open(&files[index]).unwrap().set_modified(now - age * day).unwrap();
    };
    (0..files.len()).for_each(|index| set(index, 1));
    [(0, 40), (1, 30), (2, 40), (3, 29), (4, 50)].into_iter().for_each(|(index, age)| set(index, age));
    let going = |days: u32| {
        let retention = Retention { older_than: Some(days * day), larger_than_bytes: None, ..EVERYTHING };
        retention.plan(&dir, now).unwrap().going.len()
    };
    assert_eq!([going(41), going(40), going(39), going(30), going(29), going(28)], [0, 0, 1, 1, 3, 5]);
    let in_the_past = Retention { older_than: Some(Duration::ZERO), ..EVERYTHING };
    let in_the_past = Retention { larger_than_bytes: None, ..in_the_past };
    assert_eq!(in_the_past.plan(&dir, now - 100 * day).unwrap().asked_segments, 0);
}

#[test]
fn size_is_what_is_left() {
    let (_home, dir) = without_indexes(60_000);
    let files = segments(&dir);
    let all = files.len() as u64 * SMALL.segment_bytes;
    let going =
        |bytes: u64| plan(Retention { larger_than_bytes: Some(bytes), ..EVERYTHING }, &dir).going.len();
    assert_eq!((going(all), going(all - 1), going(all - SMALL.segment_bytes)), (0, 1, 1));
    assert_eq!((going(3 * SMALL.segment_bytes), going(0)), (files.len() - 3, files.len() - 2));
    fs::write(files[files.len() - 1].with_extension("idx"), vec![0; 10]).unwrap();
    assert_eq!(going(all), 1, "indexes count");
}

#[test]
fn a_reader_in_a_segment_that_goes_reads_on_to_the_end_while_the_writer_goes_on() {
    let (_home, dir) = journal(20_000);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let segments_before = starts(&dir).len();
    append(&mut appender, 20_000);
    // The flusher names the segments behind the writer's back.
    let rolls = appender.watermarks().statistics().rolls;
    while starts(&dir).len() < segments_before + usize::try_from(rolls).unwrap() {
        thread::sleep(Duration::from_millis(1));
    }
    let before = starts(&dir);
    let kept = before[before.len() - 2];
    // In the last segment that goes: what it still has to enter stays.
    let start = before[before.len() - 3] + 10;
    let mut tailer = Tailer::open(&dir, From::Sequence(Sequence(start))).unwrap();
    assert_is(&tailer.poll().unwrap().unwrap(), start);
    assert_eq!(prune(EVERYTHING, &dir).first_sequence.0, kept);
    append(&mut appender, 20_000);
    appender.seal(SealReason::Ended).unwrap();
    for sequence in start + 1..=60_000 {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    assert!(tailer.poll().unwrap().is_none());
    drop(appender);
    // And the next writer finds a journal in order.
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    assert!(appender.recovered().was_clean);
    append(&mut appender, 10);
    assert_eq!(read_rest(&dir), (kept, 60_010));
}

#[test]
fn a_reader_that_was_overtaken_is_told_what_happened() {
    let (_home, dir) = journal(40_000);
    let before = starts(&dir);
    let mut tailer = Tailer::open(&dir, From::Start).unwrap();
    prune(EVERYTHING, &dir);
    for sequence in 1..before[1] {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    let first = Sequence(before[before.len() - 2]);
    let overtaken = tailer.poll().unwrap_err();
    assert!(
        matches!(&overtaken, JournalError::Overtaken { next, first: told, .. } if next.0 == before[1] && *told == first),
        "{overtaken}"
    );
}

#[test]
fn what_a_dead_writer_left_is_recovered_after_a_pruning_as_before_it() {
    // Not sealed, and with a turn that wrote nothing behind it.
    let (_home, dir) = journal(20_000);
    drop(Appender::create_or_open(&dir, &SMALL).unwrap());
    let before = starts(&dir);
    assert_eq!(*before.last().unwrap(), 20_001);
    prune(EVERYTHING, &dir);
    assert_eq!(read_rest(&dir), (before[before.len() - 2], 20_000), "some steps always stay");
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    assert_eq!(appender.next_sequence(), Sequence(20_001));
    append(&mut appender, 10);
    assert_eq!(read_rest(&dir).1, 20_010);
}

#[test]
fn cursors_registered_while_others_prune_keep_their_first_step() {
    let (_home, dir) = journal(1);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    prune(EVERYTHING, &dir);
                }
            });
        }
        let registering = scope.spawn(|| {
            let mut starts_seen = BTreeSet::new();
            for round in 0..60 {
                let name = format!("c{round}");
                let cursor = Cursor::open(&dir, &name).unwrap();
                let place = cursor.next_sequence();
                starts_seen.insert(place.0);
                let mut tailer = Tailer::open(&dir, From::Sequence(place)).unwrap();
                assert_is(&tailer.poll().unwrap().unwrap(), place.0);
                drop(cursor);
                Cursor::remove(&dir, &name).unwrap();
            }
            starts_seen.len()
        });
        while !registering.is_finished() {
            append(&mut appender, 500);
        }
        ended.store(true, Ordering::Relaxed);
        assert!(registering.join().unwrap() > 3, "segments went while cursors came");
    });
}

#[test]
fn damage_in_the_headers_is_refused_and_nothing_goes() {
    let (home, dir) = journal(40_000);
    let refused = |name: &str, spoil: &dyn Fn(&Path)| {
        let spoiled = home.path().join(name);
        copy(&dir, &spoiled);
        spoil(&spoiled);
        let before = contents(&spoiled);
        let refused = EVERYTHING.prune(&spoiled, SystemTime::now(), &mut |_, _| {}).unwrap_err();
        assert_eq!(contents(&spoiled), before, "{name}");
        refused
    };
    let flipped = refused("flipped", &|dir| {
        File::options().write(true).open(&segments(dir)[2]).unwrap().write_all_at(&[0xff], 50).unwrap();
    });
    assert!(matches!(flipped, JournalError::Damaged { .. }), "{flipped}");
    let missing = refused("missing", &|dir| fs::remove_file(&segments(dir)[1]).unwrap());
    assert!(matches!(missing, JournalError::Damaged { .. }), "{missing}");
    let marker = refused("marker", &|dir| fs::write(dir.join("pruned.json"), "{}\n").unwrap());
    assert!(matches!(marker, JournalError::PrunedMarker { .. }), "{marker}");
    let newer = refused("newer", &|dir| {
        let file = File::options().read(true).write(true).open(&segments(dir)[0]).unwrap();
        let mut page = vec![0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        page[8..10].copy_from_slice(&2_u16.to_le_bytes());
        let checksum = crc32c::crc32c(&page[..4092]);
        page[4092..].copy_from_slice(&checksum.to_le_bytes());
        file.write_all_at(&page, 0).unwrap();
    });
    assert!(matches!(newer, JournalError::NewerFormat { .. }), "{newer}");
}

#[test]
fn whoever_may_not_write_may_look_and_changes_nothing() {
    let (_home, dir) = journal(40_000);
    drop(Cursor::open(&dir, "db").unwrap());
    for folder in [dir.parent().unwrap(), &dir, &dir.join("cursors")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    }
    let before = contents(&dir);
    thread::scope(|scope| {
        scope.spawn(|| {
            if geteuid().is_root() {
                // Root may write anything. On Linux a thread has its own user: this one becomes nobody.
                let nobody = rustix::fs::Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            assert_eq!(Cursor::list(&dir).unwrap().len(), 1);
            assert!(plan(EVERYTHING, &dir).asked_segments > 0);
            let mut cursor = Cursor::open(&dir, "db").unwrap();
            for refused in
                [cursor.save(Sequence(2)).unwrap_err(), Cursor::open(&dir, "new").map(drop).unwrap_err(), {
                    drop(cursor);
                    Cursor::remove(&dir, "db").unwrap_err()
                }]
            {
                assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
            }
        });
    });
    fs::set_permissions(dir.join("cursors"), fs::Permissions::from_mode(0o755)).unwrap();
    Cursor::remove(&dir, "db").unwrap();
    let after: Vec<_> = before.into_iter().filter(|(path, _)| !path.ends_with("db.cursor")).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            if geteuid().is_root() {
                let nobody = rustix::fs::Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let refused = EVERYTHING.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap_err();
            assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
        });
    });
    assert_eq!(contents(&dir), after);
    for folder in [dir.parent().unwrap(), &dir] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn what_is_no_journal_has_no_cursors_and_nothing_to_prune() {
    let home = tempfile::tempdir().unwrap();
    let refusals = |dir: &Path| {
        [
            Cursor::open(dir, "db").map(drop).unwrap_err(),
            Cursor::list(dir).map(drop).unwrap_err(),
            Cursor::remove(dir, "db").map(drop).unwrap_err(),
            EVERYTHING.plan(dir, SystemTime::now()).map(drop).unwrap_err(),
            EVERYTHING.prune(dir, SystemTime::now(), &mut |_, _| {}).map(drop).unwrap_err(),
            pruned(dir).map(drop).unwrap_err(),
        ]
    };
    for dir in [home.path().to_path_buf(), home.path().join("nowhere")] {
        for refused in refusals(&dir) {
            assert!(matches!(refused, JournalError::NoJournal { .. }), "{refused}");
        }
    }
    let file = home.path().join("notes.txt");
    fs::write(&file, "mine").unwrap();
    for refused in refusals(home.path()) {
        assert!(matches!(refused, JournalError::NotAJournal { .. }), "{refused}");
    }
    for refused in refusals(&file) {
        assert!(matches!(refused, JournalError::NotADirectory { .. }), "{refused}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

/// Appends the start of a run, and `count` steps.
fn append_run(appender: &mut Appender, run: u32, count: u64) {
    let mut step = Step::new();
    step.begin(appender.next_sequence(), time_of(appender.next_sequence().0));
    let settings = format!("settings of run {run}, {}", "instruments ".repeat(700));
    step.push_with_tail(
        &RunStarted { settings_len: settings.len() as u32, runs_before: run, ..RunStarted::default() },
        settings.as_bytes(),
    );
    appender.append(&step).unwrap();
    append(appender, count);
}

/// A journal of runs with this many steps behind the start of each; gives where each began.
fn runs(counts: &[u64]) -> (TempDir, PathBuf, Vec<u64>) {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let mut begun = Vec::new();
    for (run, count) in (0..).zip(counts) {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        begun.push(appender.next_sequence().0);
        append_run(&mut appender, run, *count);
        appender.seal(SealReason::Ended).unwrap();
    }
    (home, dir, begun)
}

/// Which run's start is found, by the step it was in; its settings are whole.
fn start_of(dir: &Path) -> Option<u64> {
    let step = run_start(dir).unwrap()?;
    let record = step.view().input().unwrap();
    let started = record.get::<RunStarted>().unwrap();
    let (settings, _) = started.texts(&record);
    assert!(settings.starts_with(&format!("settings of run {}, instruments", started.runs_before)));
    assert_eq!(settings.len(), started.settings_len as usize);
    Some(step.sequence().0)
}

/// Asks for all but this many segments.
fn but(dir: &Path, kept: usize) -> Retention {
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let files = segments(dir);
    let left =
        files[files.len() - kept..].iter().map(|it| bytes(it) + bytes(&it.with_extension("idx"))).sum();
    Retention { larger_than_bytes: Some(left), ..EVERYTHING }
}

const COPY: &str = "pruned.run_started";

#[test]
fn the_start_of_the_last_run_that_is_pruned_is_kept_until_a_later_one_is() {
    let (_home, dir, begun) = runs(&[20_000, 20_000, 30_000]);
    let before = starts(&dir);
    assert!(begun.iter().all(|first| before.contains(first)), "a turn begins with a segment");
    let copy = || fs::read(dir.join(COPY)).unwrap();
    let frame_of = |sequence: u64| {
        let mut reader = Reader::open(&dir).unwrap();
        reader.seek(Sequence(sequence)).unwrap();
        reader.next().unwrap().unwrap().step().bytes().to_vec()
    };
    let frames: Vec<_> = begun.iter().map(|sequence| frame_of(*sequence)).collect();
    let mut seen = BTreeSet::new();
    for (gone, kept) in (1..=before.len() - 2).map(|gone| (gone, before.len() - gone)) {
        prune(but(&dir, kept), &dir);
        assert_eq!(starts(&dir), before[gone..]);
        let run = begun.iter().rposition(|first| *first < before[gone]).unwrap();
        assert_eq!(copy()[64..], frames[run], "byte for byte");
        assert_eq!(pruned(&dir).unwrap().unwrap().run_started, Sequence(begun[run]));
        let first = if begun.contains(&before[gone]) { before[gone] } else { begun[run] };
        assert_eq!(start_of(&dir), Some(first));
        assert_eq!(check(&dir).findings, [], "{gone} gone");
        seen.insert(run);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_journal_that_no_run_wrote_is_pruned_without_a_copy() {
    let (_home, dir) = journal(40_000);
    prune(EVERYTHING, &dir);
    assert!(!dir.join(COPY).exists());
    assert_eq!(pruned(&dir).unwrap().unwrap().run_started, Sequence(0));
    assert_eq!((start_of(&dir), check(&dir).findings.len()), (None, 0));
}

#[test]
fn at_no_moment_of_a_pruning_the_start_of_its_runs_is_lost() {
    let (home, dir, begun) = runs(&[10_000, 20_000, 20_000]);
    // An earlier pruning has a copy and a marker of its own.
    prune(but(&dir, starts(&dir).len() - 1), &dir);
    let whole = home.path().join("whole");
    copy(&dir, &whole);
    let gone = prune(EVERYTHING, &dir).going;
    let after = (fs::read(dir.join(COPY)).unwrap(), pruned(&dir).unwrap());
    assert_eq!(start_of(&dir), Some(begun[2]));
    let half = after.0[..after.0.len() / 2].to_vec();
    // As many writes as `done` are over: part of the copy, the copy, the marker, each segment.
    for done in 0..=gone.len() + 3 {
        let left = home.path().join(format!("left-{done}"));
        copy(&whole, &left);
        if done >= 1 {
            fs::write(left.join(format!("{COPY}.unfinished")), &half).unwrap();
        }
        if done >= 2 {
            fs::remove_file(left.join(format!("{COPY}.unfinished"))).unwrap();
            fs::write(left.join(COPY), &after.0).unwrap();
        }
        if done >= 3 {
            fs::copy(dir.join("pruned.json"), left.join("pruned.json")).unwrap();
        }
        for segment in &gone[..done.saturating_sub(3)] {
            fs::remove_file(left.join(format!("{:020}.pawl", segment.first_sequence))).unwrap();
        }
        assert!(start_of(&left).is_some(), "after {done} writes");
        assert_eq!(check(&left).findings, [], "after {done} writes");
        prune(EVERYTHING, &left);
        assert_eq!(starts(&left), starts(&dir));
        let told = pruned(&left).unwrap().unwrap();
        assert_eq!((told.run_started, start_of(&left)), (Sequence(begun[2]), Some(begun[2])));
        assert_eq!(fs::read(left.join(COPY)).unwrap(), after.0);
    }
}

#[test]
fn the_copy_is_written_before_the_marker_and_the_marker_before_the_first_segment_goes() {
    let (_home, dir, _) = runs(&[40_000]);
    let before = starts(&dir);
    let is_there = || (dir.join(COPY).exists(), dir.join("pruned.json").exists());
    // A directory where a file is to be made stops the writing there.
    for (stopped_at, expected) in
        [(COPY, (false, false)), ("pruned.json", (true, false)), (".", (true, true))]
    {
        let obstacle = dir.join(format!("{stopped_at}.unfinished"));
        fs::create_dir_all(&obstacle).unwrap();
        let pruned = EVERYTHING.prune(&dir, SystemTime::now(), &mut |_, _| {});
        assert_eq!((pruned.is_ok(), is_there()), (expected.1, expected), "{stopped_at}");
        assert_eq!(starts(&dir) == before, !expected.1, "{stopped_at}");
        assert_eq!(start_of(&dir), Some(1));
        fs::remove_dir(&obstacle).unwrap();
    }
}

#[test]
fn a_copy_that_is_lost_or_damaged_is_found_and_never_used() {
    let (home, dir, begun) = runs(&[60_000]);
    let other = {
        let (_home, other, _) = runs(&[60_000]);
        prune(EVERYTHING, &other);
        fs::read(other.join(COPY)).unwrap()
    };
    prune(but(&dir, 6), &dir);
    let whole = fs::read(dir.join(COPY)).unwrap();
    let found = || check(&dir).findings.iter().map(|it| (it.what, it.file.clone())).collect::<Vec<_>>();
    let file = dir.join(COPY);
    let mut flipped = whole.clone();
    flipped[4_000] ^= 1;
    let later = {
        let mut later = whole.clone();
        later[8] = 2;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&later[..60]), &later[64..]);
        later[60..64].copy_from_slice(&crc.to_le_bytes());
        later
    };
    for (content, what) in [
        (&flipped[..], "is damaged"),
        (&whole[..whole.len() - 8], "is damaged"),
        (&[], "is damaged"),
        (&other, "belongs to another journal"),
        (&later, "is of a later version of pawl"),
    ] {
        fs::write(&file, content).unwrap();
        assert_eq!(found(), [(Damage::RunStart(what), file.clone())]);
        let refused = run_start(&dir).unwrap_err();
        assert!(
            matches!(&refused, JournalError::RunStart { file: named, what: told } if *named == file && *told == what),
            "{refused}"
        );
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(found(), [(Damage::RunStart("is missing"), file)]);
    assert_eq!(start_of(&dir), None);
    // A run that comes later says the same of all steps; the finding stays until its start is what is pruned.
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let again = appender.next_sequence().0;
    append_run(&mut appender, 1, 20_000);
    appender.seal(SealReason::Ended).unwrap();
    drop(appender);
    assert_eq!((start_of(&dir), found().len()), (Some(again), 1));
    prune(EVERYTHING, &dir);
    assert_eq!((start_of(&dir), found().len(), begun[0]), (Some(again), 0, 1));
    drop(home);
}

#[test]
fn a_pruning_that_would_lose_the_only_start_of_a_run_is_refused() {
    let (_home, dir, begun) = runs(&[20_000, 30_000]);
    let spoil = |sequence: u64| {
        let path = dir.join(format!("{sequence:020}.pawl"));
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 8_000).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 8_000).unwrap();
    };
    // The later one is damaged: the earlier one says the same.
    spoil(begun[1]);
    assert_eq!(plan(EVERYTHING, &dir).first_sequence.0, starts(&dir)[starts(&dir).len() - 2]);
    spoil(begun[0]);
    let before = contents(&dir);
    let refused = EVERYTHING.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(&refused, JournalError::Damaged { sequence, .. } if sequence.0 == begun[1]),
        "the last one is named: {refused}"
    );
    assert_eq!(contents(&dir), before, "nothing went");
    // With the first one whole again it is what is kept.
    spoil(begun[0]);
    prune(EVERYTHING, &dir);
    assert_eq!((start_of(&dir), pruned(&dir).unwrap().unwrap().run_started), (Some(1), Sequence(1)));
}

#[test]
fn a_journal_that_was_pruned_without_a_copy_gets_one_while_it_can() {
    // As an earlier version left it: a marker that names no run, and a pruning that was interrupted.
    let (home, dir, begun) = runs(&[10_000, 30_000]);
    let whole = home.path().join("whole");
    copy(&dir, &whole);
    prune(EVERYTHING, &dir);
    let marker = fs::read_to_string(dir.join("pruned.json")).unwrap();
    let object = marker.split(",\"run_started\"").next().unwrap().to_owned() + "}";
    let checksum = crc32c::crc32c(object.as_bytes());
    let old = format!("{},\"crc32c\":\"{checksum:08x}\"}}\n", &object[..object.len() - 1]);
    fs::write(whole.join("pruned.json"), &old).unwrap();
    fs::write(dir.join("pruned.json"), &old).unwrap();
    fs::remove_file(dir.join(COPY)).unwrap();
    assert_eq!((start_of(&dir), check(&dir).findings.len()), (None, 0), "nobody said that there is one");
    assert_eq!(start_of(&whole), Some(1));
    let first = starts(&whole)[0];
    prune(Retention::default(), &whole);
    assert!(starts(&whole)[0] > first);
    assert_eq!((start_of(&whole), check(&whole).findings.len()), (Some(begun[1]), 0));
    let told = pruned(&whole).unwrap().unwrap();
    assert_eq!(told.run_started, Sequence(begun[1]));
    assert_eq!(told.first_sequence, pruned(&dir).unwrap().unwrap().first_sequence);
}
