//! Writing, reading back, seeking, following: nothing goes wrong here.

use std::thread;

use pawl_journal::log::{Appender, From, Reader, SealReason, Tailer};
use pawl_journal::record::{Kind, Sequence, Time};
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, check, journal, read_all, segments, time_of};

#[test]
fn many_rolls_come_back_step_by_step() {
    let (_home, dir) = journal(50_000);
    assert!(segments(&dir).len() > 5, "{} segments", segments(&dir).len());
    assert_eq!(read_all(&dir), 50_000);
    let verified = check(&dir);
    assert_eq!(verified.findings, []);
    assert_eq!(
        (verified.steps, verified.first_sequence, verified.last_sequence),
        (50_000, Sequence(1), Sequence(50_000))
    );
    assert_eq!((verified.first_time, verified.last_time), (time_of(1), time_of(50_000)));
    assert_eq!(verified.record_counts[&Kind::RunEnded], 50_000 / 7);
    assert_eq!(verified.record_counts[&Kind::Tick], 50_000 - 50_000 / 7);
    assert!(!verified.sealed);
}

#[test]
fn seeking_lands_on_the_first_step_that_is_not_before() {
    let (_home, dir) = journal(20_000);
    let mut reader = Reader::open(&dir).unwrap();
    for sequence in [1, 2, 7, 5_431, 19_999, 20_000, 3, 12_000] {
        reader.seek(Sequence(sequence)).unwrap();
        assert_is(&reader.next().unwrap().unwrap(), sequence);
        reader.seek_time(time_of(sequence)).unwrap();
        let first_of_its_time = (sequence / 2 * 2).max(1);
        assert_is(&reader.next().unwrap().unwrap(), first_of_its_time);
    }
    reader.seek(Sequence(0)).unwrap();
    assert_is(&reader.next().unwrap().unwrap(), 1);
    reader.seek(Sequence(20_001)).unwrap();
    assert!(reader.next().unwrap().is_none());
    reader.seek_time(Time(i64::MAX)).unwrap();
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.first_sequence().unwrap(), Sequence(1));
    assert_eq!(reader.last_sequence().unwrap(), Sequence(20_000));
}

#[test]
fn a_tailer_sees_every_step_once_while_the_writer_runs() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let tailer = Tailer::open(&dir, From::Start).unwrap();
    let count = 200_000;
    thread::scope(|scope| {
        let follower = scope.spawn(move || follow(tailer, count));
        append(&mut appender, count);
        assert_eq!(follower.join().unwrap(), count);
    });
    assert!(appender.watermarks().statistics().rolls > 20);
}

/// Polls until `last` was seen; every step must be the one after the one before.
fn follow(mut tailer: Tailer, last: u64) -> u64 {
    let mut seen = 0;
    while seen < last {
        match tailer.poll().unwrap() {
            Some(frame) => {
                seen += 1;
                assert_is(&frame, seen);
            }
            None => thread::yield_now(),
        }
    }
    assert!(tailer.poll().unwrap().is_none());
    seen
}

#[test]
fn a_tailer_starts_where_it_is_told() {
    let (_home, dir) = journal(9_000);
    let mut now = Tailer::open(&dir, From::Now).unwrap();
    let mut later = Tailer::open(&dir, From::Sequence(Sequence(9_005))).unwrap();
    let mut timed = Tailer::open(&dir, From::Time(time_of(8_000))).unwrap();
    assert!(now.poll().unwrap().is_none() && later.poll().unwrap().is_none());
    assert_is(&timed.poll().unwrap().unwrap(), 8_000);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, 10);
    assert_is(&now.poll().unwrap().unwrap(), 9_001);
    assert_is(&later.poll().unwrap().unwrap(), 9_005);
}

#[test]
fn a_sealed_journal_says_so_and_goes_on_in_a_new_segment() {
    let (_home, dir) = journal(0);
    for turn in 1..=5 {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        assert_eq!(appender.next_sequence(), Sequence((turn - 1) * 100 + 1));
        assert_eq!(appender.recovered().was_clean, turn > 1);
        assert_eq!(appender.recovered().quarantined_bytes, 0);
        append(&mut appender, 100);
        appender.seal(SealReason::Ended).unwrap();
        appender.seal(SealReason::Ended).unwrap();
        drop(appender);
        let verified = check(&dir);
        assert_eq!((verified.findings, verified.sealed, verified.steps), (vec![], true, turn * 100));
        assert_eq!(read_all(&dir), turn * 100);
        assert_eq!(segments(&dir).len() as u64, turn);
    }
}

#[test]
fn turns_without_a_step_leave_one_segment_and_a_tailer_follows_through_them() {
    let (_home, dir) = journal(0);
    let mut tailer = Tailer::open(&dir, From::Start).unwrap();
    for turn in 0..6 {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        assert!(tailer.poll().unwrap().is_none());
        if turn % 2 == 0 {
            appender.seal(SealReason::Failed).unwrap();
            assert!(tailer.poll().unwrap().is_none());
        }
        assert_eq!(segments(&dir).len(), 1);
    }
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, 2);
    assert_is(&tailer.poll().unwrap().unwrap(), 1);
    assert_is(&tailer.poll().unwrap().unwrap(), 2);
    assert_eq!(check(&dir).findings, []);
}

#[test]
fn the_output_hash_is_that_of_the_steps_and_not_of_the_files() {
    let (_one, one) = journal(10_000);
    let (_two, two) = journal(4_000);
    append(&mut Appender::create_or_open(&two, &SMALL).unwrap(), 6_000);
    assert_eq!(check(&one).output_hash, check(&two).output_hash);
    append(&mut Appender::create_or_open(&two, &SMALL).unwrap(), 1);
    assert_ne!(check(&one).output_hash, check(&two).output_hash);
}
