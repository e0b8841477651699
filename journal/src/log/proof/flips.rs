//! Flipped bits and missing ends: every one is found, or ends the journal exactly there; no wrong step is ever given.
//!
//! ```text
//!  header | frame | frame | frame ~ fill | seal | 0 0 0
//!     |       |                 |            |      |
//!     |       +- every bit: the walk stops at this very frame     +- verify finds it, the steps are not touched
//!     +- every bit: the segment does not open
//! ```
//!
//! A walk that comes to a frame has seen nothing but the frames before it, so what it does with a flipped frame does
//! not depend on how it came there: it is put before the frame and makes one move. That is what makes every bit of
//! three segments a matter of seconds. What only `verify` sees is tried with the whole of `verify`, on every bit of
//! a short journal and on some of the long one (on many more where `PAWL_SOAK=1`).

use std::ops::Range;
use std::thread;

use super::driven::{Driven, assert_is, check, path, read_all, scaled, time_of};
use super::memory::{Memory, MemoryRegion};
use crate::log::control::{KIND_DIGEST, KIND_EPOCH, KIND_PAD, KIND_SEAL, KIND_SYNC, Sync};
use crate::log::directory::{Directory, index_name, segment_name};
use crate::log::error::{Damage, JournalError};
use crate::log::frame::{FrameHeader, KIND_STEP, span};
use crate::log::header::HEADER_BYTES;
use crate::log::reader::Reader;
use crate::log::segment::{Segment, read_head};
use crate::log::storage::Region as _;
use crate::log::walk::{Seen, Walk};
use crate::record::Sequence;

/// Threads that flip bits, each in files of its own.
const THREADS: usize = 2;

/// A frame and the walk that has come to it.
#[derive(Debug, Clone, Copy)]
struct Place {
    walk: Walk,
    len: usize,
    kind: u16,
}

impl Place {
    fn covered(&self) -> Range<usize> {
        self.walk.offset..self.walk.offset + self.len
    }

    fn fill(&self) -> Range<usize> {
        self.covered().end..self.walk.offset + span(self.len)
    }
}

fn open(memory: &Memory, first_sequence: u64) -> Segment<Memory> {
    Segment::open(&Directory::new(memory.clone()), first_sequence).unwrap().unwrap()
}

/// Every frame of a segment, and where the walk stops behind the last one.
fn places(segment: &Segment<Memory>) -> (Vec<Place>, usize) {
    let mut walk = Walk::start(segment);
    let mut places = Vec::new();
    loop {
        let before = walk;
        match walk.advance(segment).unwrap() {
            None => return (places, walk.offset),
            Some(seen) => {
                let header = FrameHeader::get(segment.region.committed(before.offset, FrameHeader::BYTES));
                places.push(Place { walk: before, len: header.len as usize, kind: header.kind });
                if let Seen::Seal(seal) = seen {
                    return (places, seal.used_bytes as usize);
                }
            }
        }
    }
}

/// The names of the segments, by their first sequences.
pub(super) fn segments(memory: &Memory) -> Vec<u64> {
    Directory::new(memory.clone()).segments().unwrap()
}

/// Three segments mostly full, with frames of every kind, sealed or left as a crash leaves them.
pub(super) fn long(sealed: bool) -> Memory {
    let memory = Memory::new();
    let mut driven = Driven::open(&memory).unwrap();
    while driven.appender.bytes_written() < (3 << 20) - (96 << 10) {
        driven.append_many(229);
        driven.flush();
        driven.finish();
    }
    if sealed {
        driven.seal();
    }
    memory
}

/// Three short segments, each a turn of its own, with frames of every kind.
pub(super) fn short(sealed: bool) -> Memory {
    let memory = Memory::new();
    for turn in 0..3 {
        let mut driven = Driven::open(&memory).unwrap();
        driven.append_many(4);
        driven.flush();
        driven.append_many(5);
        driven.finish();
        if turn < 2 || sealed {
            driven.seal();
        }
    }
    memory
}

/// Runs `work` for each item, on some threads, each of which has files of its own.
pub(super) fn in_parallel<T: Copy + Send + std::marker::Sync>(
    memory: &Memory,
    items: &[T],
    work: impl Fn(&Memory, T) + std::marker::Sync,
) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (memory, work) = (memory.copy(), &work);
            scope.spawn(move || {
                for item in items.iter().skip(thread).step_by(THREADS) {
                    work(&memory, *item);
                }
            });
        }
    });
}

/// Flips a bit of a file for as long as `look` looks.
fn flipped(memory: &Memory, name: &str, at: usize, bit: u8, look: impl FnOnce()) {
    let byte = memory.bytes(name, at, 1)[0];
    memory.patch(name, at, &[byte ^ (1 << bit)]);
    look();
    memory.patch(name, at, &[byte]);
}

#[test]
fn a_walk_stops_at_the_very_frame_in_which_any_bit_of_three_segments_is_flipped() {
    for sealed in [true, false] {
        let memory = long(sealed);
        let firsts = segments(&memory);
        assert_eq!(firsts.len(), 3);
        for kind in [KIND_STEP, KIND_PAD, KIND_SEAL, KIND_SYNC, KIND_EPOCH, KIND_DIGEST] {
            let has = |first: &u64| places(&open(&memory, *first)).0.iter().any(|place| place.kind == kind);
            assert!(firsts.iter().any(has), "no frame of kind {kind}");
        }
        // An unsealed journal differs in its last segment alone.
        for first in if sealed { &firsts[..] } else { &firsts[2..] } {
            let (frames, end) = places(&open(&memory, *first));
            assert!(end > (1 << 20) - (128 << 10), "segment {first} is mostly full");
            in_parallel(&memory, &frames, |memory, place| flip_frame(memory, *first, place));
            let beyond: Vec<usize> = (end..1 << 20).collect();
            if !sealed {
                in_parallel(&memory, &beyond, |memory, at| flip_beyond(memory, *first, at, end, &frames));
            }
        }
        assert_eq!(check(&memory).findings, []);
    }
}

fn flip_frame(memory: &Memory, first: u64, place: Place) {
    let (name, segment) = (segment_name(first), open(memory, first));
    let before = memory.bytes(&name, place.walk.offset, span(place.len));
    for (at, byte) in (place.walk.offset..).zip(before) {
        for bit in 0..8 {
            memory.patch(&name, at, &[byte ^ (1 << bit)]);
            let mut walk = place.walk;
            let seen = walk.advance(&segment);
            if place.covered().contains(&at) {
                assert!(seen.is_err(), "bit {bit} of byte {at} of segment {first}: {seen:?}");
                assert_eq!(walk.offset, place.walk.offset);
            } else {
                // Between two frames: no step is touched, and `verify` has to find it.
                assert!(matches!(seen, Ok(Some(_))), "bit {bit} of byte {at} of segment {first}: {seen:?}");
            }
        }
        memory.patch(&name, at, &[byte]);
    }
}

/// Behind the last frame of a segment that has no seal.
fn flip_beyond(memory: &Memory, first: u64, at: usize, end: usize, frames: &[Place]) {
    let (name, segment) = (segment_name(first), open(memory, first));
    let last = frames.last().unwrap().walk;
    for bit in 0..8 {
        flipped(memory, &name, at, bit, || {
            let mut walk = last;
            walk.advance(&segment).unwrap().unwrap();
            assert_eq!(walk.offset, end);
            let seen = walk.advance(&segment);
            let is_found = if at < end + 8 { seen.is_err() } else { matches!(seen, Ok(None)) };
            assert!(is_found, "bit {bit} of byte {at} of segment {first}: {seen:?}");
            assert!(segment.end_of_bytes(end) > at, "recovery keeps what is there");
        });
    }
}

#[test]
fn a_segment_does_not_open_when_any_bit_of_its_header_is_flipped() {
    let memory = long(true);
    for first in segments(&memory) {
        let name = segment_name(first);
        for at in 0..HEADER_BYTES {
            for bit in 0..8 {
                flipped(&memory, &name, at, bit, || {
                    let error = read_head(&memory, &name, Some(first)).unwrap_err();
                    assert!(matches!(error, JournalError::Damaged { offset: 0, .. }), "{error}");
                });
            }
        }
    }
}

/// Whether `verify` finds a flipped bit, and a reader gives only right steps and is not silent about a missing one.
fn assert_found(memory: &Memory, steps: u64, first: u64, at: usize, bit: u8) {
    flipped(memory, &segment_name(first), at, bit, || {
        let verified = check(memory);
        assert!(!verified.findings.is_empty(), "bit {bit} of byte {at} of segment {first}");
        let (count, error) = read_all(memory);
        assert!(
            count == steps || error.is_some(),
            "bit {bit} of byte {at} of segment {first}: {count} steps"
        );
    });
}

#[test]
fn verify_finds_any_flipped_bit_of_a_journal_with_frames_of_every_kind() {
    for sealed in [true, false] {
        let memory = short(sealed);
        assert_eq!(check(&memory).findings, []);
        let (steps, _) = read_all(&memory);
        let mut bits: Vec<(u64, usize, u8)> = Vec::new();
        for first in segments(&memory) {
            let (_, end) = places(&open(&memory, first));
            let mut at = 0;
            while at < end + 96 {
                // One bit of each byte, in an order that comes to all of them; all bits in the long form.
                bits.extend((0..scaled(1, 8)).map(|bit| (first, at, ((at as u64 * 5 + bit) % 8) as u8)));
                let every = match at {
                    0..160 => 1,
                    160..4088 => scaled(211, 7),
                    _ => scaled(3, 1),
                };
                at += every as usize;
            }
        }
        in_parallel(&memory, &bits, |memory, (first, at, bit)| assert_found(memory, steps, first, at, bit));
    }
}

#[test]
fn verify_finds_flipped_bits_all_over_three_full_segments() {
    let memory = long(true);
    let (steps, _) = read_all(&memory);
    let mut bits: Vec<(u64, usize, u8)> = Vec::new();
    for first in segments(&memory) {
        let (frames, _) = places(&open(&memory, first));
        let fill: Vec<usize> = frames.iter().flat_map(Place::fill).collect();
        let some = |count: u64, from: usize, to: usize| {
            let step = ((to - from) / count as usize).max(1);
            (from..to).step_by(step)
        };
        bits.extend(some(scaled(40, 1_500), 0, 1 << 20).map(|at| (first, at, (at % 8) as u8)));
        bits.extend(some(scaled(40, 1_500), 0, fill.len()).map(|at| (first, fill[at], (at % 8) as u8)));
        // The fill behind control frames, of which there is little.
        let control = frames.iter().filter(|place| place.kind != KIND_STEP).flat_map(Place::fill);
        bits.extend(control.step_by(scaled(7, 1) as usize).map(|at| (first, at, (at % 8) as u8)));
    }
    in_parallel(&memory, &bits, |memory, (first, at, bit)| assert_found(memory, steps, first, at, bit));
}

#[test]
fn a_walk_stops_where_the_last_segment_is_cut_at_any_byte() {
    for sealed in [true, false] {
        let memory = long(sealed);
        let first = *segments(&memory).last().unwrap();
        let whole = open(&memory, first);
        let (frames, end) = places(&whole);
        let mut frames = frames.iter().peekable();
        let mut place = *frames.peek().unwrap();
        for len in HEADER_BYTES..1 << 20 {
            while let Some(next) = frames.next_if(|next| next.walk.offset <= len) {
                place = next;
            }
            let segment = cut(&whole, len);
            assert!(
                matches!(segment.truncated(), Some(Damage::Truncated { found, .. }) if found == len as u64)
            );
            let mut walk = place.walk;
            let seen = walk.advance(&segment);
            if len < place.fill().end {
                assert!(matches!(seen, Err(Damage::Truncated { .. })), "cut at {len}: {seen:?}");
                assert_eq!(walk.offset, place.walk.offset);
                continue;
            }
            assert!(seen.is_ok(), "cut at {len}: {seen:?}");
            if !sealed {
                let seen = walk.advance(&segment);
                let is_end = if len < end + FrameHeader::BYTES {
                    matches!(seen, Err(Damage::Truncated { .. }))
                } else {
                    matches!(seen, Ok(None))
                };
                assert!(is_end, "cut at {len}: {seen:?}");
            }
        }
    }
}

fn cut(whole: &Segment<Memory>, len: usize) -> Segment<Memory> {
    let region: MemoryRegion = whole.region.cut(len);
    Segment::new(whole.path.clone(), len as u64, whole.fields, region)
}

#[test]
fn a_cut_of_the_last_segment_is_found_by_verify_and_told_by_a_reader() {
    for sealed in [true, false] {
        let memory = long(sealed);
        let (steps, _) = read_all(&memory);
        let first = *segments(&memory).last().unwrap();
        let (frames, end) = places(&open(&memory, first));
        let each = scaled(701, 17) as usize;
        let near = frames.iter().step_by(each).flat_map(|place| {
            let at = place.walk.offset;
            [at - 1, at, at + 1, at + 8, at + place.len - 1, at + place.len]
        });
        let lens: Vec<usize> =
            [0, 1, 4095].into_iter().chain(near).chain([end, end + 31, (1 << 20) - 1]).collect();
        in_parallel(&memory, &lens, |memory, len| {
            memory.cut(&segment_name(first), len);
            let findings = check(memory).findings;
            let is_it = |what: Damage| matches!(what, Damage::Truncated { found, .. } if found == len as u64);
            assert!(findings.iter().any(|finding| is_it(finding.what)), "cut at {len}: {findings:?}");
            let (count, error) = read_all(memory);
            assert!(count == steps || error.is_some(), "cut at {len}: taken for the end");
            memory.cut(&segment_name(first), 1 << 20);
        });
    }
}

#[test]
fn recovery_refuses_a_flip_that_was_on_disk_and_cuts_the_journal_at_one_that_was_not() {
    let memory = Memory::new();
    let mut driven = Driven::open(&memory).unwrap();
    for _ in 0..4 {
        driven.append_many(60);
        driven.flush();
    }
    driven.append_many(90);
    drop(driven);
    let segment = open(&memory, 1);
    let (frames, _) = places(&segment);
    let durable_behind = |skipped: &Place| {
        let syncs =
            frames.iter().filter(|place| place.kind == KIND_SYNC && place.walk.offset != skipped.walk.offset);
        let durable = |place: &Place| {
            let frame = segment.region.committed(place.walk.offset, place.len);
            Sync::get(&frame[FrameHeader::BYTES..]).durable_sequence
        };
        syncs.map(durable).max().unwrap()
    };
    assert!(frames.iter().any(|place| durable_behind(place) == 240));
    let mut flips = Vec::new();
    for (number, place) in frames.iter().enumerate() {
        let bits = place.len as u64 * 8;
        let count = scaled(2, 200).min(bits);
        flips.extend((0..count).map(|flip| (*place, (number as u64 * 7_919 + flip * (bits / count)) % bits)));
    }
    let durable = |place: &Place| durable_behind(place);
    let items: Vec<(Place, u64, u64)> =
        flips.iter().map(|(place, bit)| (*place, *bit, durable(place))).collect();
    in_parallel(&memory, &items, |memory, (place, bit, durable)| {
        recover_flipped(&memory.copy(), place, bit, durable);
    });
}

/// Flips a bit of a frame and opens the journal for writing.
fn recover_flipped(memory: &Memory, place: Place, bit: u64, durable: u64) {
    let (name, at) = (segment_name(1), place.walk.offset + (bit / 8) as usize);
    let byte = memory.bytes(&name, at, 1)[0];
    memory.patch(&name, at, &[byte ^ (1 << (bit % 8))]);
    let next = place.walk.next;
    if next <= durable {
        let before = memory.contents();
        let error = Driven::open(memory).map(|_| ()).unwrap_err();
        let JournalError::Damaged { file, offset, sequence, .. } = &error else { panic!("{error}") };
        let told = (file.clone(), *offset as usize, *sequence);
        assert_eq!(told, (path(memory, &name), place.walk.offset, Sequence(next)));
        assert!(memory.contents() == before, "a journal that is refused is left alone");
        return;
    }
    let mut driven = Driven::open(memory).unwrap();
    let recovered = *driven.appender.recovered();
    assert_eq!(
        recovered.last_sequence,
        Sequence(next - 1),
        "bit {bit} of the frame at {}",
        place.walk.offset
    );
    assert!(recovered.quarantined_bytes > 0);
    driven.append();
    drop(driven);
    let (count, error) = read_all(memory);
    assert!(count == next && error.is_none(), "{count} steps, {error:?}");
    assert_eq!(check(memory).findings, []);
}

#[test]
fn a_flip_in_an_index_is_found_and_no_seek_goes_astray() {
    let memory = long(true);
    let (steps, _) = read_all(&memory);
    let bits: Vec<(u64, usize)> = segments(&memory)
        .into_iter()
        .flat_map(|first| (0..memory.len(&index_name(first)) * 8).map(move |bit| (first, bit)))
        .step_by(scaled(61, 1) as usize)
        .collect();
    in_parallel(&memory, &bits, |memory, (first, bit)| {
        flipped(memory, &index_name(first), bit / 8, (bit % 8) as u8, || {
            let found = check(memory).findings;
            let file = path(memory, &index_name(first));
            let is_it =
                found.len() == 1 && found[0].file == file && matches!(found[0].what, Damage::Index(_));
            assert!(is_it, "bit {bit} of the index of {first}: {found:?}");
            let mut reader = Reader::open_in(memory.clone()).unwrap();
            for sequence in [first, first + 1_500, first + 4_000] {
                let sequence = sequence.min(steps);
                reader.seek(Sequence(sequence)).unwrap();
                assert_is(reader.next().unwrap().unwrap().step(), sequence);
                reader.seek_time(time_of(sequence)).unwrap();
                // Two steps share a time.
                let earliest = (sequence & !1).max(1);
                assert_is(reader.next().unwrap().unwrap().step(), earliest);
            }
        });
    });
}
