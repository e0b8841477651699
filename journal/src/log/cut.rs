//! The cut: ends a journal at a place and keeps everything behind it in quarantine. Recovery and repair share it.
//!
//! ```text
//!  | steps that stay | p ... tail |   | later segment |   | later segment |
//!                      |                |                   +-> quarantine/SEGMENT-1.pawl      moved, the last first
//!                      |                +---------------------> quarantine/SEGMENT-1.pawl
//!                      +--------------------------------------> quarantine/SEGMENT-epoch-E-offset-P.tail    copied
//!  | steps that stay | seal |
//! ```
//!
//! Invariants: the caller holds the lock; every step is either not done or done, and doing it again changes nothing;
//! nothing that is not zero is cleared before its copy is on disk; no file is deleted but indexes, which are derived.

use serde::Serialize;

use super::control::{CONTROL_BYTES, SEAL_SPAN, SEALED_RECOVERED, Seal, Standing};
use super::directory::{Directory, index_name, segment_name, spare_name};
use super::error::JournalError;
use super::frame::commit_word;
use super::header::{Fields, HEADER_BYTES};
use super::index::{Samples, put_index};
use super::planted::{Bug, planted};
use super::region::PAGE_BYTES;
use super::segment::Segment;
use super::storage::{Region as _, Storage, WritableRegion as _};
use super::walk::Walk;
use super::writer::SegmentWriter;

/// Bytes of the journal that are in quarantine now, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The file they were in, by its name in the journal's directory.
    pub from: String,
    /// Where in it they began; 0 for a whole file.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
    /// The file they are in now, by its name in the journal's directory.
    pub name: String,
}

/// How many bytes are in quarantine.
pub(super) fn bytes_of(quarantined: &[Quarantined]) -> u64 {
    quarantined.iter().map(|it| it.bytes).sum()
}

/// Bytes of a segment to be copied to quarantine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail<'a, S: Storage> {
    /// The segment.
    pub(super) segment: &'a Segment<S>,
    /// Where they begin.
    pub(super) from: usize,
    /// Where they end.
    pub(super) to: usize,
}

impl<'a, S: Storage> Tail<'a, S> {
    /// Everything behind a place.
    fn behind(segment: &'a Segment<S>, walk: &Walk) -> Self {
        Self { segment, from: walk.offset, to: segment.end_of_bytes(walk.offset) }
    }

    fn bytes(&self) -> &[u8] {
        // A file may end before the place.
        if self.to == self.from { &[] } else { self.segment.region.committed(self.from, self.to - self.from) }
    }

    /// The name of its copy, and whether it is there: an earlier cut was interrupted, and what is left of the tail is
    /// in the copy, or is zero, or is part of what was to be written in its place. `None` if there is nothing to copy.
    fn copy(
        &self,
        directory: &Directory<S>,
        written: &[u8],
    ) -> Result<Option<(Quarantined, bool)>, JournalError> {
        let (fields, storage) = (&self.segment.fields, &directory.storage);
        let from = segment_name(fields.first_sequence);
        let stem = format!("{:020}-epoch-{}-offset-{}", fields.first_sequence, fields.epoch, self.from);
        let is_rest_of = |kept: &[u8]| {
            let is_kept = |(at, byte): (usize, &u8)| {
                *byte == 0 || kept.get(at) == Some(byte) || written.get(at) == Some(byte)
            };
            self.bytes().iter().enumerate().all(is_kept)
        };
        for number in 1_u32.. {
            let name = match number {
                1 => format!("quarantine/{stem}.tail"),
                _ => format!("quarantine/{stem}-{number}.tail"),
            };
            let (bytes, is_there) = match storage.head(&name, 0)? {
                None if is_rest_of(&[]) => return Ok(None),
                None => (self.bytes().len() as u64, false),
                Some((_, 0)) => continue,
                Some((_, len)) => {
                    let kept = storage.open(&name, len)?;
                    if !is_rest_of(kept.committed(0, kept.len())) {
                        continue;
                    }
                    (len, true)
                }
            };
            let offset = self.from as u64;
            return Ok(Some((Quarantined { from, offset, bytes, name }, is_there)));
        }
        unreachable!("a directory holds fewer files than numbers")
    }

    /// What copying would keep.
    pub(super) fn to_keep(
        &self,
        directory: &Directory<S>,
        written: &[u8],
    ) -> Result<Option<Quarantined>, JournalError> {
        Ok(self.copy(directory, written)?.map(|(copy, _)| copy))
    }

    /// Copies the bytes to quarantine, if that was not done. `written` is what will be written in their place.
    pub(super) fn keep(
        &self,
        directory: &Directory<S>,
        written: &[u8],
    ) -> Result<Option<Quarantined>, JournalError> {
        let Some((copy, is_there)) = self.copy(directory, written)? else { return Ok(None) };
        if !is_there && !planted(Bug::QuarantineSkipped) {
            directory.storage.put(&copy.name, self.bytes())?;
        }
        // An earlier cut may have cleared some of it, and failed to bring that to disk.
        let name = segment_name(self.segment.fields.first_sequence);
        directory.storage.rewrite(&name, self.from, self.from + copy.bytes as usize)?;
        Ok(Some(copy))
    }
}

/// Ends the journal within a segment, at a place where its frames end or are to end, and moves the segments `behind` it
/// away. Everything up to the place is durable then. `samples` are those of its frames up to the place.
pub(super) fn end_within<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    walk: Walk,
    samples: &Samples,
    behind: &[u64],
) -> Result<(Seal, Vec<Quarantined>), JournalError> {
    settle_turn(directory, segment)?;
    end_settled(directory, segment, walk, samples, behind)
}

/// As [`end_within`], where everything before the place was settled.
pub(super) fn end_settled<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    walk: Walk,
    samples: &Samples,
    behind: &[u64],
) -> Result<(Seal, Vec<Quarantined>), JournalError> {
    let mut kept = Vec::new();
    kept.extend(keep_behind(directory, segment, &walk, SEALED_RECOVERED)?);
    kept.extend(move_segments(directory, behind)?);
    // An earlier cut may have been interrupted behind a name and before that name was on disk.
    directory.storage.sync_names()?;
    let seal = seal_at(directory, segment, walk, SEALED_RECOVERED, samples)?;
    Ok((seal, kept))
}

/// Ends the journal behind the seal of a segment, and moves the segments `behind` it away. `is_rolled` says that the
/// seal promises another segment.
pub(super) fn end_behind<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    is_rolled: bool,
    behind: &[u64],
) -> Result<Vec<Quarantined>, JournalError> {
    let spare = spare_name(segment.fields.index + 1);
    // A spare says, should this be interrupted, that the next segment was never begun.
    if is_rolled && directory.storage.head(&spare, 0)?.is_none() {
        directory.storage.create(&spare, HEADER_BYTES as u64)?;
        directory.storage.sync_names()?;
    }
    move_segments(directory, behind)
}

/// Copies everything behind a place to quarantine, where a seal is to be.
pub(super) fn keep_behind<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    walk: &Walk,
    reason: u16,
) -> Result<Option<Quarantined>, JournalError> {
    Tail::behind(segment, walk).keep(directory, &seal_of(segment, walk, reason))
}

/// What that would keep.
pub(super) fn to_keep_behind<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    walk: &Walk,
    reason: u16,
) -> Result<Option<Quarantined>, JournalError> {
    Tail::behind(segment, walk).to_keep(directory, &seal_of(segment, walk, reason))
}

/// The seal that is to be at a place.
fn seal_of<S: Storage>(segment: &Segment<S>, walk: &Walk, reason: u16) -> [u8; CONTROL_BYTES] {
    let mut seal = Standing { next: walk.next, time: walk.time }.seal(walk.offset, reason);
    let word = commit_word(seal.len(), segment.seed.checksum(walk.offset, &seal));
    seal[..8].copy_from_slice(&word.to_le_bytes());
    seal
}

/// Copies a spare that is about to be deleted, if more was written in it than a turn begins with: the writer had gone
/// on in it, and its header never reached the disk. The copy is named by its content, so that it is made once.
pub(super) fn copy_spare<S: Storage>(directory: &Directory<S>, index: u64) -> Result<u64, JournalError> {
    let (storage, name) = (&directory.storage, spare_name(index));
    let len = storage.head(&name, 0)?.map_or(0, |(_, len)| len as usize / 8 * 8);
    let begun = HEADER_BYTES + CONTROL_BYTES;
    if len <= begun {
        return Ok(0);
    }
    let region = storage.open(&name, len as u64)?;
    let Some(end) = region.last_nonzero(begun, len) else { return Ok(0) };
    let bytes = region.committed(0, end);
    let copy = format!("quarantine/spare-{index:020}-{:08x}.tail", crc32c::crc32c(bytes));
    if storage.head(&copy, 0)?.is_none() {
        storage.put(&copy, bytes)?;
    }
    Ok(end as u64)
}

/// Moves segments to quarantine, the last one first. Gives them in their order.
fn move_segments<S: Storage>(
    directory: &Directory<S>,
    segments: &[u64],
) -> Result<Vec<Quarantined>, JournalError> {
    let mut moved = Vec::new();
    for first_sequence in segments.iter().rev() {
        remove_index(directory, *first_sequence)?;
        moved.push(move_file(directory, &segment_name(*first_sequence))?);
    }
    moved.reverse();
    Ok(moved)
}

/// Moves a file to quarantine.
pub(super) fn move_file<S: Storage>(
    directory: &Directory<S>,
    name: &str,
) -> Result<Quarantined, JournalError> {
    let moved = to_move(directory, name, name)?;
    directory.storage.rename(name, &moved.name)?;
    directory.storage.sync_names()?;
    Ok(moved)
}

/// What moving the file `name` would keep, which is called `from` then: under a name in quarantine that no file has
/// yet, for the same sequence may be lost more than once.
pub(super) fn to_move<S: Storage>(
    directory: &Directory<S>,
    name: &str,
    from: &str,
) -> Result<Quarantined, JournalError> {
    let storage = &directory.storage;
    let bytes = storage.head(name, 0)?.map_or(0, |(_, len)| len);
    let stem = from.strip_suffix(".pawl").unwrap_or(from);
    for number in 1_u32.. {
        let name = format!("quarantine/{stem}-{number}.pawl");
        if storage.head(&name, 0)?.is_none() {
            return Ok(Quarantined { from: from.to_owned(), offset: 0, bytes, name });
        }
    }
    unreachable!("a directory holds fewer files than numbers")
}

/// Clears what is behind a place, and seals the segment there. Everything in it is durable then.
pub(super) fn seal_at<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    walk: Walk,
    reason: u16,
    samples: &Samples,
) -> Result<Seal, JournalError> {
    let fields = segment.fields;
    let used_bytes = (walk.offset + SEAL_SPAN) as u64;
    let seal = Seal {
        last_sequence: walk.next - 1,
        used_bytes,
        next_first_sequence: walk.next,
        reason,
        reserved: [0; 6],
    };
    if planted(Bug::AppendedIntoCrashed) && walk.next > fields.first_sequence {
        return Ok(seal);
    }
    // It may hold places that are cleared here.
    remove_index(directory, fields.first_sequence)?;
    let bytes = directory.storage.reopen(&segment_name(fields.first_sequence), fields.segment_bytes)?;
    let len = bytes.region().len();
    let mut writer = SegmentWriter::<S>::at(bytes, fields, walk);
    writer.clear(segment.end_of_bytes(walk.offset).next_multiple_of(8).min(len));
    let sync = |writer: &SegmentWriter<S>| {
        let synced = writer.region().sync(0, len);
        synced.map_err(|error| JournalError::io("sync", &segment.path, error))
    };
    sync(&writer)?;
    writer.seal(reason);
    sync(&writer)?;
    // An index may be missing; a seek then takes longer.
    drop(put_index(directory, &fields, samples, used_bytes));
    Ok(seal)
}

/// Makes a segment durable of which that is known of so many bytes, whatever the system believes to be on disk.
pub(super) fn settle<S: Storage>(
    directory: &Directory<S>,
    segment: &Segment<S>,
    durable_bytes: usize,
) -> Result<(), JournalError> {
    let region = &segment.region;
    rewrite(directory, &segment.fields, durable_bytes, segment.end_of_bytes(HEADER_BYTES))?;
    region.sync(0, region.len()).map_err(|error| JournalError::io("sync", &segment.path, error))
}

/// Makes the next sync write the pages of a segment's range.
pub(super) fn rewrite<S: Storage>(
    directory: &Directory<S>,
    fields: &Fields,
    from: usize,
    to: usize,
) -> Result<(), JournalError> {
    if planted(Bug::RecoveryNotRewritten) {
        return Ok(());
    }
    let from = from / PAGE_BYTES * PAGE_BYTES;
    directory.storage.rewrite(&segment_name(fields.first_sequence), from, to)
}

/// Settles what a turn has written up to this segment, as far as nothing says that it is durable: the seal that ends the
/// journal says so.
fn settle_turn<S: Storage>(directory: &Directory<S>, last: &Segment<S>) -> Result<(), JournalError> {
    let (mut first_sequence, mut durable) = (last.fields.first_sequence, 0);
    loop {
        // What was pruned had been durable for long.
        let Some(segment) = Segment::open(directory, first_sequence)? else { return Ok(()) };
        let Fields { epoch, durable_sequence, predecessor_first_sequence, .. } = segment.fields;
        if epoch != last.fields.epoch {
            return Ok(());
        }
        settle(directory, &segment, 0)?;
        durable = durable_sequence.max(durable);
        // A header that was written to mislead may name itself, or a later one, as what came before it.
        if first_sequence <= durable || !(1..first_sequence).contains(&predecessor_first_sequence) {
            return Ok(());
        }
        first_sequence = predecessor_first_sequence;
    }
}

/// Deletes the index beside a segment, if there is one.
fn remove_index<S: Storage>(directory: &Directory<S>, first_sequence: u64) -> Result<(), JournalError> {
    let name = index_name(first_sequence);
    if directory.storage.head(&name, 0)?.is_some() {
        directory.storage.remove(&name)?;
    }
    Ok(())
}
