//! Blows: what is done to the files of a journal so that their checksums are right and their numbers are not.

use proptest::prelude::*;

use super::memory::Memory;
use crate::log::control::{KIND_DIGEST, KIND_EPOCH, KIND_PAD, KIND_SEAL, KIND_SYNC};
use crate::log::directory::{index_name, segment_name, spare_name};
use crate::log::frame::{FrameHeader, KIND_STEP, Seed, commit_word};
use crate::log::header::{Fields, HEADER_BYTES};
use crate::log::index::{IndexEntry, IndexHeader};
use crate::log::segment::Segment;
use crate::log::storage::{Region as _, Storage as _};
use crate::log::walk::Walk;

/// One of several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick(pub(super) usize);

impl Pick {
    fn index(self, len: usize) -> usize {
        self.0 % len
    }
}

/// What is done to a journal.
#[derive(Debug, Clone)]
pub(super) enum Blow {
    /// A frame with a right checksum where another one was, or behind the last.
    Frame { file: Pick, place: Pick, kind: u16, flags: u16, sequence: Number, time: Number, payload: Payload },
    /// A header with a right checksum and another number in it.
    Header { file: Pick, field: usize, value: Number, renamed: bool },
    /// A segment once more, as the spare that comes next.
    Spare { file: Pick, ahead: u64, first_sequence: Number, same_epoch: bool },
    /// An index with a right checksum.
    Index { file: Pick, entries: Vec<(Number, Number, Number)>, count: Option<u32> },
    /// Other bytes.
    Patch { file: Pick, at: Pick, bytes: Vec<u8> },
    /// A shorter file.
    Cut { file: Pick, at: Pick },
    /// No file.
    Remove { file: Pick },
    /// A file in place of another.
    Replace { file: Pick, with: Pick },
}

/// A number, or what is added to the one that belongs there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Is(u64),
    Off(i64),
}

impl Number {
    fn from(self, right: u64) -> u64 {
        match self {
            Self::Is(number) => number,
            Self::Off(by) => right.wrapping_add_signed(by),
        }
    }
}

/// What a frame holds.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Numbers(Vec<Number>),
    Bytes(Vec<u8>),
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        4 => Just(Number::Off(0)),
        2 => (-3_i64..4).prop_map(Number::Off),
        1 => (0_u64..70).prop_map(Number::Is),
        1 => (0_u64..4).prop_map(|off| Number::Is(u64::MAX - off)),
        1 => (0_u32..64, -1_i64..2).prop_map(|(bit, off)| Number::Is((1_u64 << bit).wrapping_add_signed(off))),
        1 => any::<u64>().prop_map(Number::Is),
    ]
}

/// Any of them.
pub(super) fn blow() -> impl Strategy<Value = Blow> {
    let pick = || (0_usize..1 << 20).prop_map(Pick);
    let payload = prop_oneof![
        3 => prop::collection::vec(number(), 4).prop_map(Payload::Numbers),
        1 => prop::collection::vec(number(), 7).prop_map(Payload::Numbers),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Payload::Bytes),
    ];
    let kind = prop_oneof![
        6 => prop::sample::select(vec![KIND_STEP, KIND_PAD, KIND_SEAL, KIND_SYNC, KIND_EPOCH, KIND_DIGEST]),
        1 => any::<u16>(),
    ];
    let flags = prop_oneof![Just(0_u16), Just(1), any::<u16>()];
    let entries = prop::collection::vec((number(), number(), number()), 0..20);
    prop_oneof![
        6 => (pick(), pick(), kind, flags, number(), number(), payload).prop_map(
            |(file, place, kind, flags, sequence, time, payload)| Blow::Frame {
                file, place, kind, flags, sequence, time, payload
            }),
        4 => (pick(), 0_usize..12, number(), any::<bool>())
            .prop_map(|(file, field, value, renamed)| Blow::Header { file, field, value, renamed }),
        2 => (pick(), 0_u64..3, number(), any::<bool>()).prop_map(
            |(file, ahead, first_sequence, same_epoch)| Blow::Spare { file, ahead, first_sequence, same_epoch }),
        2 => (pick(), entries, prop::option::weighted(0.2, any::<u32>()))
            .prop_map(|(file, entries, count)| Blow::Index { file, entries, count }),
        2 => (pick(), pick(), prop::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(file, at, bytes)| Blow::Patch { file, at, bytes }),
        1 => (pick(), pick()).prop_map(|(file, at)| Blow::Cut { file, at }),
        1 => pick().prop_map(|file| Blow::Remove { file }),
        1 => (pick(), pick()).prop_map(|(file, with)| Blow::Replace { file, with }),
    ]
}

/// Every frame of a segment as far as it is whole, and the place behind the last one.
fn places(memory: &Memory, name: &str) -> Option<(Fields, Vec<Walk>)> {
    let page = memory.bytes(name, 0, memory.len(name).min(HEADER_BYTES));
    let fields = Fields::of_page(&page).ok()?;
    let region = memory.open(name, fields.segment_bytes).ok()?;
    // What nobody opens.
    if region.len() <= HEADER_BYTES || !(1..1 << 58).contains(&fields.first_sequence) {
        return None;
    }
    let segment: Segment<Memory> = Segment::new(memory.path(name), region.len() as u64, fields, region);
    let mut walk = Walk::start(&segment);
    let mut places = vec![walk];
    while let Ok(Some(_)) = walk.advance(&segment)
        && walk.offset != places.last().unwrap().offset
    {
        places.push(walk);
    }
    Some((fields, places))
}

/// Does it, where there is something that it can be done to.
pub(super) fn strike(memory: &Memory, blow: &Blow) {
    let names = memory.file_names();
    let segments: Vec<String> =
        names.iter().filter(|name| name.ends_with(".pawl") && !name.contains('/')).cloned().collect();
    if segments.is_empty() {
        return;
    }
    let any = |pick: &Pick| names[pick.index(names.len())].as_str();
    let segment = |pick: &Pick| segments[pick.index(segments.len())].as_str();
    match blow {
        Blow::Frame { file, place, kind, flags, sequence, time, payload } => {
            let name = segment(file);
            let Some((fields, places)) = places(memory, name) else { return };
            let place = &places[place.index(places.len())];
            let frame = frame(&fields, place, (*kind, *flags), (*sequence, *time), payload);
            memory.patch(name, place.offset, &frame);
        }
        Blow::Header { file, field, value, renamed } => {
            let name = segment(file);
            let Some((fields, _)) = places(memory, name) else { return };
            let fields = change(fields, *field, *value);
            memory.patch(name, 0, &fields.page());
            if *renamed {
                drop(memory.rename(name, &segment_name(fields.first_sequence)));
            }
        }
        Blow::Spare { file, ahead, first_sequence, same_epoch } => {
            let (Some(last), Some(of)) = (last_fields(memory, &segments), places(memory, segment(file)))
            else {
                return;
            };
            let index = last.index.wrapping_add(1 + ahead);
            let name = spare_name(index);
            memory.put_file(&name, &memory.bytes(segment(file), 0, memory.len(segment(file))));
            let fields = Fields {
                index,
                first_sequence: first_sequence.from(last.first_sequence.wrapping_add(9)),
                predecessor_first_sequence: last.first_sequence,
                base_time: last.base_time,
                epoch: if *same_epoch { last.epoch } else { of.0.epoch },
                ..of.0
            };
            memory.patch(&name, 0, &fields.page());
        }
        Blow::Index { file, entries, count } => {
            let Some((fields, places)) = places(memory, segment(file)) else { return };
            memory.put_file(&index_name(fields.first_sequence), &index(&fields, &places, entries, *count));
        }
        Blow::Patch { file, at, bytes } => {
            let name = any(file);
            // Most of a segment are zeros; what is in use is at its start.
            let at = at.index(memory.len(name).clamp(1, 12_000));
            memory.patch(name, at, bytes);
        }
        Blow::Cut { file, at } => {
            let name = any(file);
            memory.cut(name, at.index(memory.len(name) + 1));
        }
        Blow::Remove { file } => memory.remove(any(file)).unwrap(),
        Blow::Replace { file, with } => {
            let with = any(with);
            memory.put_file(any(file), &memory.bytes(with, 0, memory.len(with)));
        }
    }
}

fn last_fields(memory: &Memory, segments: &[String]) -> Option<Fields> {
    let named = segments.iter().rfind(|name| !name.starts_with("spare-"))?;
    places(memory, named).map(|(fields, _)| fields)
}

fn frame(
    fields: &Fields,
    place: &Walk,
    shape: (u16, u16),
    at: (Number, Number),
    payload: &Payload,
) -> Vec<u8> {
    let numbers = |numbers: &[Number]| {
        // What would be right for one kind or another.
        let right = [place.next - 1, place.offset as u64 + 64, place.next, 1, 0, 0, 0];
        let numbers = numbers.iter().zip(right).map(|(number, right)| number.from(right).to_le_bytes());
        numbers.flatten().collect::<Vec<u8>>()
    };
    let payload = match payload {
        Payload::Numbers(some) => numbers(some),
        Payload::Bytes(bytes) => bytes[..bytes.len() / 8 * 8].to_vec(),
    };
    let mut frame = vec![0; FrameHeader::BYTES];
    let header = FrameHeader {
        len: 0,
        crc: 0,
        sequence: at.0.from(place.next),
        time: at.1.from(place.time.cast_unsigned()).cast_signed(),
        kind: shape.0,
        flags: shape.1,
        count: 1,
        reserved: 0,
    };
    header.put(&mut frame);
    frame.extend(payload);
    let crc = Seed::new(fields.salt, fields.epoch).checksum(place.offset, &frame);
    let len = frame.len();
    frame[..8].copy_from_slice(&commit_word(len, crc).to_le_bytes());
    frame
}

fn change(mut fields: Fields, field: usize, value: Number) -> Fields {
    let numbers = [
        &mut fields.index,
        &mut fields.first_sequence,
        &mut fields.segment_bytes,
        &mut fields.salt,
        &mut fields.epoch,
        &mut fields.predecessor_first_sequence,
        &mut fields.predecessor_used_bytes,
        &mut fields.durable_sequence,
        &mut fields.incompatible,
        &mut fields.compatible,
    ];
    match numbers.into_iter().nth(field) {
        Some(number) => *number = value.from(*number),
        None if field == 10 => {
            fields.base_time = value.from(fields.base_time.cast_unsigned()).cast_signed();
        }
        None => fields.header_bytes = value.from(fields.header_bytes.into()) as u32,
    }
    fields
}

fn index(
    fields: &Fields,
    places: &[Walk],
    entries: &[(Number, Number, Number)],
    count: Option<u32>,
) -> Vec<u8> {
    let mut file = vec![0; IndexHeader::BYTES + entries.len() * IndexEntry::BYTES];
    for (number, (offset, next, time)) in entries.iter().enumerate() {
        let place = places[number * places.len() / entries.len()];
        let entry = IndexEntry {
            offset: offset.from(place.offset as u64),
            next_sequence: next.from(place.next),
            time: time.from(place.time.cast_unsigned()).cast_signed(),
        };
        entry.put(&mut file[IndexHeader::BYTES + number * IndexEntry::BYTES..]);
    }
    let header = IndexHeader {
        magic: *b"PAWLINDX",
        version: 1,
        reserved: [0; 6],
        journal_id: fields.journal_id,
        first_sequence: fields.first_sequence,
        salt: fields.salt,
        used_bytes: 0,
        count: count.unwrap_or(entries.len() as u32),
        crc: 0,
    };
    header.put(&mut file);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&file[..60]), &file[IndexHeader::BYTES..]);
    IndexHeader { crc, ..header }.put(&mut file);
    file
}
