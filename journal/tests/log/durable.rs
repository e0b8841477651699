//! Durability as writers and tailers see it.

use std::time::{Duration, Instant};

use pawl_journal::log::{Appender, Durability, From, JournalOptions, SealReason, Supply, Tailer};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, check, read_all};

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds, and says how long it took; looked at by a writer that tends its journal.
fn wait(appender: &mut Appender, mut holds: impl FnMut(&mut Appender) -> bool) {
    let began = Instant::now();
    while !holds(appender) {
        appender.tend().unwrap();
        assert!(began.elapsed() < PATIENCE, "it does not come to hold");
        std::thread::yield_now();
    }
}

fn options(durability: Durability) -> JournalOptions {
    JournalOptions { durability, ..SMALL }
}

#[test]
fn a_step_becomes_durable_within_the_interval_without_being_asked_for() {
    let home = TempDir::new().unwrap();
    let interval = Durability::Async(Duration::from_millis(5));
    let mut appender = Appender::create_or_open(home.path(), &options(interval)).unwrap();
    let watermarks = appender.watermarks();
    for round in 1..=5 {
        append(&mut appender, 100);
        wait(&mut appender, |_| watermarks.durable() == Sequence(round * 100));
    }
    let statistics = watermarks.statistics();
    assert!(statistics.syncs >= 5 && statistics.lag_steps_max >= 1 && statistics.lag_ns_max > 0);
    assert_eq!(watermarks.failure(), None);
    assert_eq!(watermarks.supply(), Supply::Enough);
    drop(appender);
    assert_eq!(read_all(home.path()), 500);
    assert_eq!(check(home.path()).findings, []);
}

#[test]
fn a_gated_step_becomes_durable_when_somebody_waits_for_it() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &options(Durability::Gated)).unwrap();
    let watermarks = appender.watermarks();
    let mut last = 0;
    // On a busy machine a writer may be too late to answer some of the flusher's requests.
    while last < 50 || watermarks.statistics().pad_bytes == 0 {
        append(&mut appender, 1);
        last += 1;
        assert!(last < 5_000, "a writer that tends is asked to begin a new page");
        watermarks.request(Sequence(last));
        wait(&mut appender, |_| watermarks.durable() >= Sequence(last));
    }
    appender.seal(SealReason::Ended).unwrap();
    assert_eq!(watermarks.durable(), Sequence(last));
    let verified = check(home.path());
    assert_eq!((verified.findings, verified.durable_sequence), (vec![], Sequence(last)));
}

#[test]
fn a_durable_tailer_gives_a_step_when_the_journal_says_that_it_is_on_disk() {
    for from in [From::Start, From::Sequence(Sequence(8)), From::Time(crate::support::time_of(8))] {
        let home = TempDir::new().unwrap();
        // Longer than this test: only what is asked for is synced.
        let mut appender = Appender::create_or_open(home.path(), &options(Durability::Gated)).unwrap();
        let watermarks = appender.watermarks();
        append(&mut appender, 10);
        let mut committed = Tailer::open(home.path(), from).unwrap();
        let mut durable = Tailer::durable(home.path(), from).unwrap();
        let mut seen = if from == From::Start { 0 } else { 7 };
        for sequence in seen + 1..=10 {
            assert_is(&committed.poll().unwrap().unwrap(), sequence);
        }
        watermarks.request(Sequence(10));
        wait(&mut appender, |_| {
            while let Some(frame) = durable.poll().unwrap() {
                seen += 1;
                assert_is(&frame, seen);
                assert!(frame.sequence() <= watermarks.durable());
            }
            seen == 10
        });
        append(&mut appender, 20_000);
        appender.seal(SealReason::Ended).unwrap();
        while let Some(frame) = durable.poll().unwrap() {
            seen += 1;
            assert_is(&frame, seen);
        }
        assert_eq!(seen, 20_010);
    }
}

#[test]
fn without_a_seal_or_a_sync_nothing_is_durable_to_a_tailer() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &SMALL).unwrap();
    append(&mut appender, 100);
    let mut durable = Tailer::durable(home.path(), From::Start).unwrap();
    assert!(durable.poll().unwrap().is_none());
    drop(appender);
    assert!(durable.poll().unwrap().is_none());
    // The next writer seals what is there, and a seal of its is durable.
    drop(Appender::create_or_open(home.path(), &SMALL).unwrap());
    for sequence in 1..=100 {
        assert_is(&durable.poll().unwrap().unwrap(), sequence);
    }
    assert!(durable.poll().unwrap().is_none());
}

#[test]
fn finished_segments_get_names_indexes_and_hashes() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &SMALL).unwrap();
    append(&mut appender, 60_000);
    let rolls = appender.watermarks().statistics().rolls;
    assert!(rolls >= 5);
    appender.seal(SealReason::Ended).unwrap();
    let verified = check(home.path());
    assert_eq!((verified.findings, verified.steps), (vec![], 60_000));
    assert_eq!((verified.segments, verified.hashed_segments), (rolls + 1, rolls));
    let files = |ending: &str| {
        let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(ending)).count() as u64
    };
    assert_eq!((files(".pawl"), files(".idx")), (rolls + 1, rolls + 1));
}
