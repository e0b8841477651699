//! Hostile journals: files whose checksums are right and whose numbers are not, and files of any bytes at all.
//!
//! ```text
//!  a good journal > blows: frames, headers, indexes with right checksums; patches, cuts, names > everybody looks at it
//! ```
//!
//! What must hold: nobody panics, nobody reads outside, nobody does more work than a few times the bytes that are
//! there (see `Memory::set_budget`), and steps come in order whoever wrote them.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::blow::{Blow, Number, Payload, Pick, blow, strike};
use super::driven::{Driven, scaled};
use super::memory::Memory;
use crate::log::control::{KIND_SEAL, KIND_SYNC};
use crate::log::directory::{Directory, index_name, segment_name, spare_name};
use crate::log::frame::KIND_STEP;
use crate::log::reader::Reader;
use crate::log::storage::Storage as _;
use crate::log::tailer::{From, Tailer};
use crate::log::verify::verify_in;
use crate::record::{Sequence, Step, Time};

/// Bytes that anybody may read beside those in proportion to the journal.
const SLACK_BYTES: u64 = 1 << 20;

/// A good journal of a few short segments; the last one sealed or not.
pub(super) fn good(sealed: bool) -> Memory {
    static GOOD: OnceLock<[Memory; 2]> = OnceLock::new();
    let made = GOOD.get_or_init(|| {
        [false, true].map(|sealed| {
            let memory = Memory::new();
            for turn in 0..3 {
                let mut driven = Driven::open(&memory).unwrap();
                driven.append_many(6);
                driven.flush();
                driven.append_many(3);
                driven.finish();
                if turn < 2 || sealed {
                    driven.seal();
                }
            }
            memory
        })
    });
    made[usize::from(sealed)].copy()
}

/// Lets somebody look at the journal who may read `times` as much as there is.
fn within<T>(memory: &Memory, times: u64, look: impl FnOnce() -> T) -> T {
    memory.set_budget(memory.total_bytes() * times + SLACK_BYTES);
    let result = look();
    memory.set_budget(u64::MAX);
    result
}

/// Steps as long as they come; each is the next one and not earlier.
fn drain(mut next: impl FnMut() -> Option<(u64, i64)>, memory: &Memory) -> Result<(), TestCaseError> {
    let most = memory.total_bytes() / 32;
    let mut last: Option<(u64, i64)> = None;
    for _ in 0..=most {
        let Some((sequence, time)) = next() else { return Ok(()) };
        if let Some((before, then)) = last {
            prop_assert!(
                sequence == before + 1 && time >= then,
                "{sequence} at {time} behind {before} at {then}"
            );
        }
        last = Some((sequence, time));
    }
    Err(TestCaseError::fail("more steps than there are bytes for"))
}

/// Everybody looks at the journal, then somebody goes on writing it, then everybody looks again.
fn survive(memory: &Memory) -> Result<(), TestCaseError> {
    look(memory)?;
    let opened = within(memory, 16, || Driven::open(memory));
    if let Ok(mut driven) = opened {
        let mut step = Step::new();
        for _ in 0..3 {
            step.begin(driven.appender.next_sequence(), driven.appender.last_time());
            driven.appender.append(&step).unwrap();
        }
        driven.flush();
        driven.seal();
        // Its own steps are there for whoever asks for them.
        let last = step.sequence();
        let mut reader = Reader::open_in(memory.clone()).unwrap();
        reader.seek(last).unwrap();
        prop_assert_eq!(reader.next().unwrap().map(|frame| frame.sequence()), Some(last));
    }
    look(memory)
}

fn look(memory: &Memory) -> Result<(), TestCaseError> {
    let _ = within(memory, 8, || verify_in(memory.clone(), &mut |_, _| {}));
    let Ok(mut reader) = Reader::open_in(memory.clone()) else { return Ok(()) };
    within(memory, 8, || {
        drain(
            || reader.next().ok().flatten().map(|frame| (frame.sequence().0, frame.step().time().0)),
            memory,
        )
    })?;
    let (_, last) = within(memory, 8, || (reader.first_sequence(), reader.last_sequence()));
    let last = last.map_or(20, |last| last.0);
    for sequence in [0, 1, 7, 10, 19, last, last.saturating_add(1), u64::MAX] {
        within(memory, 4, || {
            if reader.seek(Sequence(sequence)).is_ok()
                && let Ok(Some(frame)) = reader.next()
            {
                assert!(frame.sequence().0 >= sequence, "{} instead of {sequence}", frame.sequence());
            }
        });
    }
    for time in [i64::MIN, 0, 1_549_238_400_000_004_000, i64::MAX] {
        within(memory, 4, || {
            if reader.seek_time(Time(time)).is_ok()
                && let Ok(Some(frame)) = reader.next()
            {
                assert!(frame.step().time().0 >= time);
            }
        });
    }
    for from in [From::Start, From::Sequence(Sequence(9)), From::Time(Time(0)), From::Now] {
        for durable in [false, true] {
            let tailer = within(memory, 8, || Tailer::open_in(memory, from, durable));
            let Ok(mut tailer) = tailer else { continue };
            within(memory, 16, || {
                let poll =
                    || tailer.poll().ok().flatten().map(|frame| (frame.sequence().0, frame.step().time().0));
                drain(poll, memory)
            })?;
        }
    }
    Ok(())
}

/// A good journal that was struck, and what everybody makes of it.
fn struck(sealed: bool, blows: &[Blow]) -> Memory {
    let memory = good(sealed);
    blows.iter().for_each(|blow| strike(&memory, blow));
    survive(&memory).unwrap();
    memory
}

#[test]
fn a_header_that_says_that_its_own_steps_were_durable_before_they_were_written_is_damage() {
    for value in [Number::Is(u64::MAX), Number::Is(19)] {
        let memory = struck(false, &[Blow::Header { file: Pick(2), field: 7, value, renamed: false }]);
        assert!(Driven::open(&memory).is_err());
    }
}

#[test]
fn a_segment_that_sends_everybody_back_to_itself_is_entered_once() {
    let spare = Blow::Spare { file: Pick(0), ahead: 0, first_sequence: Number::Is(32), same_epoch: true };
    let payload = Payload::Numbers(vec![Number::Off(0); 4]);
    let (sequence, time) = (Number::Off(0), Number::Off(0));
    let rolled =
        Blow::Frame { file: Pick(3), place: Pick(0), kind: KIND_SEAL, flags: 0, sequence, time, payload };
    struck(true, &[spare.clone(), rolled.clone()]);
    // Also when the spare has the name that it claims.
    let named = good(true);
    strike(&named, &spare);
    strike(&named, &rolled);
    named.rename(&spare_name(4), &segment_name(32)).unwrap();
    survive(&named).unwrap();
}

#[test]
fn a_sync_frame_without_a_payload_tells_nothing_of_what_lies_before_it() {
    let (sequence, time) = (Number::Off(0), Number::Off(0));
    let frame = |place, kind, payload| Blow::Frame {
        file: Pick(2),
        place: Pick(place),
        kind,
        flags: 0,
        sequence,
        time,
        payload,
    };
    let damage = frame(0, KIND_STEP, Payload::Numbers(vec![Number::Off(0); 4]));
    struck(false, &[frame(3, KIND_SYNC, Payload::Bytes(Vec::new())), damage]);
}

#[test]
fn a_spare_that_claims_the_name_of_an_earlier_segment_does_not_take_its_place() {
    for first_sequence in [1, 10, 19] {
        let first_sequence = Number::Is(first_sequence);
        let memory =
            struck(false, &[Blow::Spare { file: Pick(0), ahead: 0, first_sequence, same_epoch: true }]);
        let mut reader = Reader::open_in(memory).unwrap();
        for sequence in 1..=27 {
            assert_eq!(reader.next().unwrap().unwrap().sequence(), Sequence(sequence));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::with_cases(scaled(1_000, 100_000) as u32) })]

    #[test]
    fn right_checksums_and_wrong_numbers_panic_nobody_and_cost_nobody_more_than_the_bytes_are_worth(
        blows in prop::collection::vec(blow(), 1..6),
        sealed in any::<bool>(),
    ) {
        let memory = good(sealed);
        blows.iter().for_each(|blow| strike(&memory, blow));
        survive(&memory)?;
    }

    #[test]
    fn files_of_any_bytes_panic_nobody(
        files in prop::collection::vec(
            (0_u64..4, 0_u8..4, any::<bool>(), prop::collection::vec(any::<u8>(), 0..9_000)), 1..5)
    ) {
        let memory = Memory::new();
        for (number, kind, magic, mut bytes) in files {
            let (name, start) = match kind {
                0 => (spare_name(number), b"PAWLJRNL"),
                1 => (index_name(number), b"PAWLINDX"),
                _ => (segment_name(number), b"PAWLJRNL"),
            };
            if magic && bytes.len() > 8 {
                bytes[..8].copy_from_slice(start);
            }
            memory.put_file(&name, &bytes);
        }
        survive(&memory)?;
    }
}

#[test]
fn a_good_journal_is_read_within_the_work_that_hostile_ones_are_allowed() {
    for sealed in [false, true] {
        let memory = good(sealed);
        assert_eq!(Directory::new(memory.clone()).segments().unwrap().len(), 3);
        survive(&memory).unwrap();
    }
}
