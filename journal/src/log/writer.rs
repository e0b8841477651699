//! The writer of one segment: puts frames behind one another and commits each with one store.
//!
//! ```text
//!             place             window that the supplier keeps faulted in
//!  | committed | <- next frame      | pages not touched yet ... | room for the seal |
//! ```
//!
//! Invariants: no system call; a frame is committed only when all its bytes are there; the room for the seal is
//! never used by anything else.

use std::sync::Arc;

use super::control::{SEAL_SPAN, Standing};
use super::frame::{Seed, commit_word, span};
use super::header::{Fields, HEADER_BYTES};
use super::index::Samples;
use super::planted::{Bug, planted};
use super::storage::{Region as _, Storage, WritableRegion as _};
use super::supplier::Position;
use super::walk::Walk;

/// Writes one segment.
#[derive(Debug)]
pub(super) struct SegmentWriter<S: Storage> {
    bytes: S::Writable,
    seed: Seed,
    place: Walk,
    samples: Samples,
    position: Arc<Position>,
    /// Its header.
    pub(super) fields: Fields,
}

impl<S: Storage> SegmentWriter<S> {
    /// Begins a segment in a file of zeros: writes its header.
    pub(super) fn begin(
        mut bytes: S::Writable,
        fields: Fields,
        samples: Samples,
        position: Arc<Position>,
    ) -> Self {
        bytes.write(0, &fields.page());
        let place = Walk::begin(&fields);
        position.set(fields.index, HEADER_BYTES);
        Self { seed: Seed::new(fields.salt, fields.epoch), bytes, place, samples, position, fields }
    }

    /// Goes on at a place of a segment that another writer left: to seal it, and for nothing else.
    pub(super) fn at(bytes: S::Writable, fields: Fields, place: Walk) -> Self {
        let seed = Seed::new(fields.salt, fields.epoch);
        let samples = Samples::for_segment(fields.segment_bytes);
        Self { bytes, seed, place, samples, position: Arc::default(), fields }
    }

    /// Where the next frame will start, and what it has to say.
    #[inline]
    pub(super) fn place(&self) -> Walk {
        self.place
    }

    /// What a control frame here has to say.
    pub(super) fn standing(&self) -> Standing {
        Standing { next: self.place.next, time: self.place.time }
    }

    /// The bytes, for others.
    pub(super) fn region(&self) -> &S::Region {
        self.bytes.region()
    }

    /// Places that are worth an entry of the index.
    pub(super) fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The parts of a segment that is sealed.
    pub(super) fn into_parts(self) -> (S::Region, Fields, Samples) {
        (self.bytes.region().clone(), self.fields, self.samples)
    }

    /// Whether a frame of `len` bytes fits with a seal behind it.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.place.offset + span(len) + SEAL_SPAN <= self.bytes.region().len()
    }

    /// Writes and commits a step. The caller has made sure of the room and of the order.
    #[inline]
    pub(super) fn put_step(&mut self, frame: &[u8], sequence: u64, time: i64) {
        self.put(frame);
        self.place.next = sequence + 1;
        self.place.time = time;
    }

    /// Writes and commits a frame, whose first eight bytes are not looked at. The caller has made sure of the room.
    #[inline]
    pub(super) fn put(&mut self, frame: &[u8]) {
        let offset = self.place.offset;
        if offset >= self.samples.next_offset() {
            self.note();
        }
        let crc = self.seed.checksum(offset, frame);
        if planted(Bug::CommitFirst) {
            self.bytes.commit(offset, commit_word(frame.len(), crc));
        }
        self.bytes.write(offset + 8, &frame[8..]);
        self.bytes.commit(offset, commit_word(frame.len(), crc));
        self.place.offset = offset + span(frame.len());
    }

    /// Writes the seal.
    pub(super) fn seal(&mut self, reason: u16) {
        let frame = self.standing().seal(self.place.offset, reason);
        self.put(&frame);
    }

    /// Puts zeros where recovery has copied everything away.
    pub(super) fn clear(&mut self, to: usize) {
        let zeros: &[u8] = &[0; 64 * 1024];
        let mut at = self.place.offset;
        while at < to {
            let len = (to - at).min(zeros.len());
            self.bytes.write(at, &zeros[..len]);
            at += len;
        }
    }

    /// Waits until everything from `from` to the next frame is on disk.
    pub(super) fn sync(&self, from: usize) -> std::io::Result<()> {
        self.bytes.region().sync(from, self.place.offset - from)
    }

    #[cold]
    fn note(&mut self) {
        self.samples.note(&self.place);
        self.position.set(self.fields.index, self.place.offset);
    }
}
