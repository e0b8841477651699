//! The cursor: walks a journal across its segments. Readers and tailers are cursors with manners.
//!
//! Invariants: it gives every step once and in order; it leaves a segment only over its seal, and enters the next
//! one only if that one follows; after an error it stays where it is.

use std::fs::File;
use std::path::Path;

use crate::record::{Sequence, Time};

use super::control::{SEAL_SPAN, SEALED_ROLLED, Seal};
use super::directory::Directory;
use super::error::{Damage, HeaderDamage, JournalError};
use super::frame::Frame;
use super::header::Fields;
use super::recovery::follows;
use super::segment::{Segment, read_header};
use super::walk::{Seen, Walk};

/// A place in a journal.
#[derive(Debug)]
pub(super) struct Cursor {
    segment: Segment,
    walk: Walk,
    seal: Option<Seal>,
    directory: Directory,
    from_sequence: u64,
    from_time: i64,
}

/// Where a step is in the cursor's segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    offset: usize,
    len: usize,
}

impl Cursor {
    /// The start of the journal in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        let directory = Directory::new(dir);
        let first_sequence = directory.segments()?[0];
        Self::at_segment(directory, first_sequence)
    }

    fn at_segment(directory: Directory, first_sequence: u64) -> Result<Self, JournalError> {
        let path = directory.segment_path(first_sequence);
        let segment = Segment::open(path, first_sequence)?
            .ok_or_else(|| JournalError::NoJournal { dir: directory.path().to_path_buf() })?;
        let walk = Walk::start(&segment);
        Ok(Self { segment, walk, seal: None, directory, from_sequence: 0, from_time: i64::MIN })
    }

    /// The journal's directory.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The sequence that comes next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.walk.next
    }

    /// Goes to the first step whose sequence is not below this one.
    pub(super) fn seek(&mut self, sequence: Sequence) -> Result<(), JournalError> {
        let segments = self.directory.segments()?;
        let index = segments.partition_point(|first| *first <= sequence.0).saturating_sub(1);
        *self = Self::at_segment(self.directory.clone(), segments[index])?;
        self.from_sequence = sequence.0;
        Ok(())
    }

    /// Goes to the first step whose time is not before this one.
    pub(super) fn seek_time(&mut self, time: Time) -> Result<(), JournalError> {
        let segments = self.directory.segments()?;
        let (mut low, mut high) = (0, segments.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.base_time(segments[middle])? < time.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        *self = Self::at_segment(self.directory.clone(), segments[low])?;
        self.from_time = time.0;
        Ok(())
    }

    fn base_time(&self, first_sequence: u64) -> Result<i64, JournalError> {
        let path = self.directory.segment_path(first_sequence);
        let file = File::open(&path).map_err(|error| JournalError::io("open", &path, error))?;
        Ok(read_header(&file, &path, first_sequence)?.0.base_time)
    }

    /// Goes behind the last committed step.
    pub(super) fn seek_end(&mut self) -> Result<(), JournalError> {
        self.seek(Sequence(u64::MAX))?;
        while self.advance()?.is_some() {}
        self.from_sequence = 0;
        Ok(())
    }

    /// Moves to the next step; `None` if none is committed yet.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<Found>, JournalError> {
        loop {
            if self.seal.is_some() && !self.enter_next()? {
                return Ok(None);
            }
            match self.walk.advance(&self.segment) {
                Ok(None) => return Ok(None),
                Ok(Some(Seen::Step { offset, len })) => {
                    if self.walk.next > self.from_sequence && self.walk.time >= self.from_time {
                        return Ok(Some(Found { offset, len }));
                    }
                }
                Ok(Some(Seen::Control)) => {}
                Ok(Some(Seen::Seal(seal))) => self.seal = Some(seal),
                Err(damage) => return Err(self.segment.damaged(self.walk.offset, self.walk.next, damage)),
            }
        }
    }

    /// The step that the last [`Self::advance`] found.
    #[inline]
    pub(super) fn frame(&self, found: Found) -> Frame<'_> {
        Frame::of_verified(self.segment.region.committed(found.offset, found.len), found.offset)
    }

    /// Whether a later segment begins behind a step that is not here: then this one lost its end.
    pub(super) fn end_is_lost(&self) -> Result<bool, JournalError> {
        let last = *self.directory.segments()?.last().expect("a journal has a segment");
        Ok(last > self.walk.next)
    }

    /// The error for a segment that lost its end.
    pub(super) fn lost_end(&self) -> JournalError {
        self.segment.damaged(self.walk.offset, self.walk.next, Damage::NotSealed)
    }

    /// Enters the segment that the seal names; `false` if it is not there yet.
    #[cold]
    fn enter_next(&mut self) -> Result<bool, JournalError> {
        let Some(seal) = self.seal else { return Ok(true) };
        let path = self.directory.segment_path(seal.next_first_sequence);
        let old = &self.segment.fields;
        let Some(segment) = Segment::open(path, seal.next_first_sequence)? else {
            if seal.reason == SEALED_ROLLED {
                let what = Damage::SegmentMissing { first_sequence: seal.next_first_sequence };
                return Err(self.segment.damaged(self.walk.offset, self.walk.next, what));
            }
            return Ok(false);
        };
        let new = &segment.fields;
        if new.salt == old.salt && new.epoch == old.epoch {
            return Ok(false);
        }
        let stepless = self.walk.next == old.first_sequence;
        check_successor(&self.segment, new, &self.walk, stepless)
            .map_err(|what| segment.damaged(0, self.walk.next, what.into()))?;
        self.walk = Walk::start(&segment);
        self.segment = segment;
        self.seal = None;
        Ok(true)
    }
}

/// Whether a segment with these fields goes on where the walk of another one ended.
pub(super) fn check_successor(
    old: &Segment,
    new: &Fields,
    walk: &Walk,
    stepless: bool,
) -> Result<(), HeaderDamage> {
    follows(&old.fields, new, stepless)?;
    let replaced = stepless && new.first_sequence == old.fields.first_sequence;
    if !replaced && new.predecessor_used_bytes != (walk.offset + SEAL_SPAN) as u64 {
        return Err(HeaderDamage::Chain("not its length"));
    }
    if new.base_time != walk.time {
        return Err(HeaderDamage::Chain("not its last time"));
    }
    Ok(())
}
