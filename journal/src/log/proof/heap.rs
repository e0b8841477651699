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
use crate::log::reader::Reader;
use crate::log::tailer::{From, Tailer};
use crate::record::Sequence;

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
