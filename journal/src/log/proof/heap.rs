//! The log on the heap: the real appender and tailers in threads over memory, without a mapping, so that an
//! interpreter can look at every access:
//!
//! ```text
//!  cargo +nightly miri test -p pawl-journal --lib on_the_heap
//! ```
//!
//! What must hold: no data race and no undefined behaviour in `region.rs`, and the steps come as they were written.

use std::thread;

use super::driven::{Driven, assert_is, check, read_all};
use super::memory::Memory;
use crate::log::appender::{Appender, SealReason};
use crate::log::background::Background;
use crate::log::options::{Durability, JournalOptions};
use crate::log::reader::Reader;
use crate::log::tailer::{From, Tailer};
use crate::log::verify::verify_in;
use crate::record::{RunEnded, Sequence, Step, Time};

/// An interpreter takes a second for what takes a millisecond elsewhere.
const STEPS: u64 = if cfg!(miri) { 40 } else { 20_000 };

#[test]
fn tailers_read_on_the_heap_what_a_writer_commits_at_the_same_time() {
    let memory = Memory::new();
    let mut driven = Driven::open(&memory).unwrap();
    thread::scope(|scope| {
        for durable in [false, false, true] {
            let memory = &memory;
            scope.spawn(move || {
                let mut tailer = Tailer::open_in(memory, From::Start, durable).unwrap();
                let mut seen = 0;
                while seen < STEPS {
                    match tailer.poll().unwrap() {
                        Some(frame) => {
                            seen += 1;
                            assert_is(frame.step(), seen);
                        }
                        None => thread::yield_now(),
                    }
                }
            });
        }
        for _ in 0..STEPS / 10 {
            driven.append_many(10);
            driven.flush();
        }
    });
    driven.seal();
    let (steps, error) = read_all(&memory);
    assert!(steps == STEPS && error.is_none(), "{steps} steps, {error:?}");
}

#[test]
fn a_turn_that_was_broken_off_is_recovered_on_the_heap() {
    let memory = Memory::new();
    for turn in 0..3 {
        let mut driven = Driven::open(&memory).unwrap();
        driven.append_many(5);
        drop(driven);
        let name = memory.file_names().into_iter().rfind(|name| name.ends_with(".pawl")).unwrap();
        let mut reader = Reader::open_in(memory.clone()).unwrap();
        reader.seek(Sequence((turn + 1) * 5)).unwrap();
        let last = reader.next().unwrap().unwrap();
        let end = last.offset() as usize + last.step().bytes().len().next_multiple_of(32);
        // All of the next frame but its first word.
        memory.patch(&name, end + 8, &[0xA5; 40]);
        assert_eq!(read_all(&memory).0, (turn + 1) * 5);
    }
    Driven::open(&memory).unwrap().seal();
    assert_eq!((read_all(&memory).0, check(&memory).findings), (15, vec![]));
}

const OPTIONS: JournalOptions =
    JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, durability: Durability::Gated };

#[test]
fn a_journal_on_the_heap_is_one_like_any_other() {
    let memory = Memory::new();
    let mut step = Step::new();
    for (turn, is_sealed) in [true, false, false, true].into_iter().enumerate() {
        let mut appender = Appender::open_in(memory.clone(), &OPTIONS, Background::start).unwrap();
        assert_eq!(appender.recovered().last_sequence, Sequence(turn as u64 * 100));
        assert!(Appender::open_in(memory.clone(), &OPTIONS, Background::start).is_err(), "it has a writer");
        for _ in 0..100 {
            step.begin(appender.next_sequence(), Time(1));
            step.push_with_tail(&RunEnded::default(), &[7; 30_000]);
            appender.append(&step).unwrap();
        }
        if is_sealed {
            appender.seal(SealReason::Ended).unwrap();
        }
    }
    let mut reader = Reader::open_in(memory.clone()).unwrap();
    for sequence in 1..=400 {
        assert_eq!(reader.next().unwrap().unwrap().sequence(), Sequence(sequence));
    }
    assert!(reader.next().unwrap().is_none());
    let verified = verify_in(memory, &mut |_, _| {}).unwrap();
    assert_eq!((verified.findings, verified.steps, verified.sealed), (vec![], 400, true));
}
