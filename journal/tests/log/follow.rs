//! Many followers at once: each sees history and what comes after it once and in order, whoever else is there, and
//! the writer waits for none of them.

use std::path::Path;
use std::thread;

use pawl_journal::log::{Appender, Durability, From, JournalOptions, SealReason, Tailer};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, check, read_all, time_of};

/// Steps before the first follower comes, and of all turns.
const HISTORY: u64 = 20_000;
const STEPS: u64 = 80_000;

/// Follows to the last step. Gives the first one that was seen.
fn follow(mut tailer: Tailer) -> u64 {
    let (mut first, mut last) = (0, 0);
    while last < STEPS {
        let Some(frame) = tailer.poll().unwrap() else {
            thread::yield_now();
            continue;
        };
        let sequence = frame.sequence().0;
        assert!(last == 0 || sequence == last + 1, "{sequence} behind {last}");
        assert_is(&frame, sequence);
        first = if first == 0 { sequence } else { first };
        last = sequence;
    }
    assert!(tailer.poll().unwrap().is_none());
    first
}

/// Appends the rest in turns that end in order, are broken off, or are broken off with one without a step between.
fn write_in_turns(dir: &Path, options: &JournalOptions, mut appender: Appender) {
    for turn in 1..=6 {
        let next = appender.next_sequence().0;
        append(&mut appender, HISTORY + (STEPS - HISTORY) * turn / 6 + 1 - next);
        if turn % 3 == 0 {
            appender.seal(SealReason::Ended).unwrap();
        }
        for _ in 0..1 + u64::from(turn % 3 == 2) {
            drop(appender);
            appender = Appender::create_or_open(dir, options).unwrap();
        }
    }
}

#[test]
fn followers_from_everywhere_see_history_and_all_that_comes_after_it_over_rolls_and_restarts() {
    for durability in [Durability::PageCache, Durability::Gated] {
        let home = TempDir::new().unwrap();
        let dir = home.path().join("journal");
        let options = JournalOptions { durability, ..SMALL };
        let mut appender = Appender::create_or_open(&dir, &options).unwrap();
        append(&mut appender, HISTORY);
        // One that has the journal open and never looks at it.
        let idle = Tailer::open(&dir, From::Start).unwrap();
        thread::scope(|scope| {
            let middle = HISTORY / 2;
            let to_come = STEPS - 10_000;
            // Two steps share a time.
            let starts = [
                (From::Start, 1),
                (From::Sequence(Sequence(middle)), middle),
                (From::Sequence(Sequence(to_come)), to_come),
                (From::Time(time_of(middle)), middle & !1),
                (From::Time(time_of(to_come)), to_come & !1),
                (From::Now, HISTORY + 1),
            ];
            for (from, first) in starts {
                let dir = &dir;
                let tailer = Tailer::open(dir, from).unwrap();
                scope.spawn(move || assert_eq!(follow(tailer), first, "{from:?}"));
                // And one that comes while the writer is at work, and one that waits for what is durable.
                if from != From::Now {
                    scope.spawn(move || {
                        assert_eq!(follow(Tailer::open(dir, from).unwrap()), first, "{from:?}");
                    });
                }
                let durable = Tailer::durable(dir, from).unwrap();
                scope.spawn(move || assert_eq!(follow(durable), first, "{from:?}"));
            }
            write_in_turns(&dir, &options, appender);
        });
        drop(idle);
        assert_eq!(read_all(&dir), STEPS);
        assert_eq!(check(&dir).findings, []);
    }
}

#[test]
fn a_writer_goes_on_while_a_follower_stands_still_and_the_follower_misses_nothing() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &SMALL).unwrap();
    append(&mut appender, 10);
    let mut tailer = Tailer::open(home.path(), From::Start).unwrap();
    for sequence in 1..=5 {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    // It stands in the first segment while the writer goes on through many.
    append(&mut appender, STEPS - 10);
    assert!(appender.watermarks().statistics().rolls > 5);
    for sequence in 6..=STEPS {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    assert!(tailer.poll().unwrap().is_none());
    append(&mut appender, 1);
    assert_is(&tailer.poll().unwrap().unwrap(), STEPS + 1);
}
