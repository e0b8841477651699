//! The index of a finished segment: a small file beside it that says where some of its frames begin.
//!
//! ```text
//!  0         8   10    16           32               40     48           56      60    64
//!  | magic   | v | 0.. | journal id | first sequence | salt | used bytes | count | crc | entries ...
//!  entry: | offset u64 | next sequence u64 | time of the step before i64 |     one per 64 KiB
//! ```
//!
//! Invariants: derived, and never trusted: an entry only proposes a place, and the frame that is found there must be
//! whole and have the sequence that the entry says, or the segment is walked from its start.

use super::directory::{Directory, index_name};
use super::error::{Damage, JournalError};
use super::header::Fields;
use super::layout::layout;
use super::options::JournalOptions;
use super::segment::Segment;
use super::storage::Storage;
use super::walk::Walk;

/// Bytes of a segment between two entries.
pub(super) const INDEX_EVERY_BYTES: usize = 64 * 1024;

const MAGIC: [u8; 8] = *b"PAWLINDX";
const VERSION: u16 = 1;

layout! {
    /// The start of an index file.
    pub(super) struct IndexHeader: size 64 {
        /// [`MAGIC`].
        0 magic: [u8; 8],
        /// [`VERSION`].
        8 version: u16,
        /// Zero.
        10 reserved: [u8; 6],
        /// As in the segment's header.
        16 journal_id: [u8; 16],
        /// As in the segment's header.
        32 first_sequence: u64,
        /// As in the segment's header.
        40 salt: u64,
        /// Bytes used in the segment, its seal included.
        48 used_bytes: u64,
        /// Entries.
        56 count: u32,
        /// CRC-32C of the 60 bytes before it and all entries.
        60 crc: u32,
    }
}

layout! {
    /// A place in a segment.
    pub(super) struct IndexEntry: size 24 {
        /// Where a frame begins.
        0 offset: u64,
        /// Sequence of the next step there.
        8 next_sequence: u64,
        /// Time of the step before.
        16 time: i64,
    }
}

/// The places that are worth an entry: the first frame at or behind each multiple of [`INDEX_EVERY_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Samples {
    entries: Vec<IndexEntry>,
    next_offset: usize,
}

impl Samples {
    /// No entry yet, with room for all of a segment of this length.
    pub(super) fn for_segment(segment_bytes: u64) -> Self {
        let count = segment_bytes as usize / INDEX_EVERY_BYTES + 1;
        Self { entries: Vec::with_capacity(count), next_offset: INDEX_EVERY_BYTES }
    }

    /// Offset from which on the next frame is worth an entry.
    #[inline]
    pub(super) fn next_offset(&self) -> usize {
        self.next_offset
    }

    /// Notes the place where the next frame begins, if it is worth an entry.
    pub(super) fn note(&mut self, walk: &Walk) {
        if walk.offset >= self.next_offset {
            let (offset, next_sequence, time) = (walk.offset as u64, walk.next, walk.time);
            self.entries.push(IndexEntry { offset, next_sequence, time });
            self.next_offset = walk.offset / INDEX_EVERY_BYTES * INDEX_EVERY_BYTES + INDEX_EVERY_BYTES;
        }
    }

    /// The index file of the segment.
    pub(super) fn file(&self, fields: &Fields, used_bytes: u64) -> Vec<u8> {
        let mut file = vec![0; IndexHeader::BYTES + self.entries.len() * IndexEntry::BYTES];
        for (entry, to) in self.entries.iter().zip(file[IndexHeader::BYTES..].chunks_mut(IndexEntry::BYTES)) {
            entry.put(to);
        }
        let header = IndexHeader {
            magic: MAGIC,
            version: VERSION,
            reserved: [0; 6],
            journal_id: fields.journal_id,
            first_sequence: fields.first_sequence,
            salt: fields.salt,
            used_bytes,
            count: self.entries.len() as u32,
            crc: 0,
        };
        header.put(&mut file);
        let crc = checksum(&file);
        IndexHeader { crc, ..header }.put(&mut file);
        file
    }
}

/// Writes the index of a finished segment beside it.
pub(super) fn put_index<S: Storage>(
    directory: &Directory<S>,
    fields: &Fields,
    samples: &Samples,
    used_bytes: u64,
) -> Result<(), JournalError> {
    directory.storage.put_derived(&index_name(fields.first_sequence), &samples.file(fields, used_bytes))
}

fn checksum(file: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file[..IndexHeader::BYTES - 4]), &file[IndexHeader::BYTES..])
}

/// The header of an index file, if all of the file is what was written.
fn whole(file: &[u8], len: u64) -> Result<IndexHeader, &'static str> {
    if file.len() < IndexHeader::BYTES || file[..8] != MAGIC {
        return Err("is none");
    }
    let header = IndexHeader::get(file);
    if header.version != VERSION {
        return Err("has another version");
    }
    let bytes = IndexHeader::BYTES + header.count as usize * IndexEntry::BYTES;
    if file.len() != bytes || len != bytes as u64 {
        return Err("has the wrong length");
    }
    if header.crc != checksum(file) {
        return Err("does not have its checksum");
    }
    Ok(header)
}

/// What the index beside a segment says of it, if it is whole: all that is left where the segment's header is lost.
pub(super) fn index_header<S: Storage>(
    directory: &Directory<S>,
    first_sequence: u64,
) -> Result<Option<IndexHeader>, JournalError> {
    let most = IndexHeader::BYTES
        + (JournalOptions::SEGMENT_BYTES_MAX as usize / INDEX_EVERY_BYTES + 1) * IndexEntry::BYTES;
    let head = directory.storage.head(&index_name(first_sequence), 0)?;
    let Some((_, len)) = head.filter(|(_, len)| *len <= most as u64) else { return Ok(None) };
    let file = directory.storage.head(&index_name(first_sequence), len as usize)?;
    let header = file.and_then(|(file, len)| whole(&file, len).ok());
    Ok(header.filter(|header| header.first_sequence == first_sequence))
}

/// The index of a segment, if it has a whole one of its own.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<IndexEntry>,
    /// Bytes of the segment, its seal included: it was finished, and on disk, when the index was written.
    used_bytes: u64,
}

impl Index {
    /// Reads the index beside a segment. What is wrong with it, if it is there and not whole.
    ///
    /// # Errors
    /// Only where the system fails.
    pub(super) fn read<S: Storage>(
        directory: &Directory<S>,
        fields: &Fields,
    ) -> Result<Option<Result<Self, &'static str>>, JournalError> {
        let most =
            IndexHeader::BYTES + (fields.segment_bytes as usize / INDEX_EVERY_BYTES + 1) * IndexEntry::BYTES;
        match directory.storage.head(&index_name(fields.first_sequence), most) {
            Ok(head) => Ok(head.map(|(file, len)| Self::of_file(&file, len, fields))),
            Err(JournalError::WrongKind { .. }) => Ok(Some(Err("is not a regular file"))),
            Err(JournalError::NotReadable { .. }) => Ok(Some(Err("may not be read"))),
            Err(error) => Err(error),
        }
    }

    fn of_file(file: &[u8], len: u64, fields: &Fields) -> Result<Self, &'static str> {
        let header = whole(file, len)?;
        let is_of = header.journal_id == fields.journal_id
            && header.first_sequence == fields.first_sequence
            && header.salt == fields.salt;
        if !is_of {
            return Err("is of another segment");
        }
        Ok(Self {
            used_bytes: header.used_bytes,
            entries: file[IndexHeader::BYTES..].chunks(IndexEntry::BYTES).map(IndexEntry::get).collect(),
        })
    }

    /// What is wrong with a segment in which a walk found nothing, and no seal, at `offset`: the index is written when
    /// a segment is finished and on disk. `None` if it has none that is whole, or it says nothing of that place.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn end_lost<S: Storage>(
        directory: &Directory<S>,
        fields: &Fields,
        offset: usize,
    ) -> Result<Option<Damage>, JournalError> {
        let Some(Ok(Self { used_bytes, .. })) = Self::read(directory, fields)? else { return Ok(None) };
        let is_lost = used_bytes > offset as u64 && used_bytes <= fields.segment_bytes;
        Ok(is_lost.then_some(Damage::EndLost { used_bytes }))
    }

    /// Whether it has exactly these entries.
    pub(super) fn is(&self, samples: &Samples) -> bool {
        self.entries == samples.entries
    }

    /// The last place for which `is_before` holds, if a whole frame with the right sequence is there.
    pub(super) fn place<S: Storage>(
        &self,
        segment: &Segment<S>,
        is_before: impl Fn(&IndexEntry) -> bool,
    ) -> Option<Walk> {
        let count = self.entries.partition_point(is_before);
        let entry = self.entries[..count].last()?;
        let offset = usize::try_from(entry.offset).ok()?;
        let walk = Walk { offset, next: entry.next_sequence, time: entry.time };
        let is_place = walk.is_place(segment);
        is_place.then_some(walk)
    }
}
