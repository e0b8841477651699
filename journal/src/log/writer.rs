//! The writer of one segment: puts frames behind one another and commits each with one store.
//!
//! ```text
//!             offset           prefaulted
//!  | committed | <- next frame      | pages not touched yet ... | room for the seal |
//! ```
//!
//! Invariants: no system call but one per prefault window; a frame is committed only when all its bytes are there;
//! the room for the seal is never used by anything else.

use super::control::{SEAL_SPAN, Standing};
use super::directory::Directory;
use super::error::JournalError;
use super::frame::{commit_word, span};
use super::header::{Fields, HEADER_BYTES};
use super::region::Region;
use super::segment::Segment;

/// Bytes faulted in at once.
const PREFAULT_BYTES: usize = 256 * 1024;

/// Writes one segment.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    segment: Segment,
    offset: usize,
    prefaulted: usize,
}

impl SegmentWriter {
    /// Creates a segment, lets `first` write what every finder of it must see, and gives it its name.
    pub(super) fn create(
        directory: &Directory,
        fields: Fields,
        first: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<Self, JournalError> {
        let len = fields.segment_bytes;
        let spare = directory.create_spare(fields.index, len)?;
        let failed = |error| JournalError::io("map", &spare.path, error);
        let file = spare.file.try_clone().map_err(failed)?;
        let region = Region::writable(&file, len as usize).map_err(failed)?;
        let mut segment = Segment::new(spare.path.clone(), file, len, fields, region);
        segment.region.prefault(0, PREFAULT_BYTES).map_err(failed)?;
        segment.region.write(0, &fields.page());
        let mut writer = Self { segment, offset: HEADER_BYTES, prefaulted: PREFAULT_BYTES };
        first(&mut writer)?;
        writer.segment.path = spare.publish(fields.first_sequence)?;
        Ok(writer)
    }

    /// Goes on at `offset` of a segment that another writer left: to seal it, and for nothing else.
    pub(super) fn at(segment: Segment, offset: usize) -> Self {
        Self { segment, offset, prefaulted: offset }
    }

    /// The segment.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where the next frame will start.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether a frame of `len` bytes fits with a seal behind it.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.offset + span(len) + SEAL_SPAN <= self.segment.region.len()
    }

    /// Writes and commits a frame, whose first eight bytes are not looked at. The caller has made sure of the room.
    #[inline]
    pub(super) fn put(&mut self, frame: &[u8]) -> Result<(), JournalError> {
        let end = self.offset + span(frame.len());
        if end > self.prefaulted {
            self.prefault(end)?;
        }
        let crc = self.segment.seed.checksum(self.offset, frame);
        self.segment.region.write(self.offset + 8, &frame[8..]);
        self.segment.region.commit(self.offset, commit_word(frame.len(), crc));
        self.offset = end;
        Ok(())
    }

    /// Writes the seal.
    pub(super) fn seal(&mut self, standing: Standing, reason: u16) -> Result<(), JournalError> {
        let frame = standing.seal(self.offset, reason);
        self.put(&frame)
    }

    /// Waits until everything written is on disk.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let segment = &self.segment;
        segment.file.sync_data().map_err(|error| JournalError::io("sync", &segment.path, error))
    }

    #[cold]
    fn prefault(&mut self, end: usize) -> Result<(), JournalError> {
        let to = end.next_multiple_of(PREFAULT_BYTES);
        self.segment
            .region
            .prefault(self.prefaulted, to - self.prefaulted)
            .map_err(|error| JournalError::io("prefault", &self.segment.path, error))?;
        self.prefaulted = to;
        Ok(())
    }
}
