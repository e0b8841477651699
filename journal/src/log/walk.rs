//! The walk: the only code that decides whether the next frame of a segment is sane, whole and next in order.
//!
//! ```text
//!  word == 0        nothing here yet
//!  length           32..=64 KiB, multiple of 8, inside the segment with room left for a seal
//!  checksum         of bytes 8..len, from this segment's seed and this offset
//!  sequence, time   the next one; not going back
//! ```
//!
//! Invariants: nothing outside the region is read, whatever its bytes are; the walk moves only past a frame that
//! passed every check; it never moves past a seal.

use super::control::{
    CONTROL_BYTES, Digest, Epoch, KIND_DIGEST, KIND_EPOCH, KIND_PAD, KIND_SEAL, KIND_SYNC, SEAL_SPAN, Seal,
    Sync,
};
use super::error::Damage;
use super::frame::{FLAG_SKIPPABLE, FRAME_ALIGN, FRAME_BYTES_MAX, FrameHeader, KIND_STEP, span, split_word};
use super::header::{Fields, HEADER_BYTES};
use super::planted::{Bug, planted};
use super::segment::Segment;
use super::storage::{Region as _, Storage};

/// A place in a segment and what must come there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Walk {
    /// Offset of the next frame.
    pub(super) offset: usize,
    /// Sequence of the next step.
    pub(super) next: u64,
    /// Time of the last step.
    pub(super) time: i64,
}

/// What whole frames behind a place say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Evidence {
    /// Every step up to this one was on disk.
    pub(super) durable: u64,
    /// The highest step that is there whole; 0 if there is none.
    pub(super) last_step: u64,
    /// Its time.
    pub(super) last_time: i64,
    /// Whether a seal is there that ended a writer's turn.
    pub(super) is_ended: bool,
}

impl Evidence {
    /// What the whole frames of a segment say, wherever they stand in it.
    pub(super) fn of_all<S: Storage>(segment: &Segment<S>) -> Self {
        Walk { offset: HEADER_BYTES - FRAME_ALIGN, ..Walk::start(segment) }.evidence_behind(segment)
    }

    /// What both say.
    pub(super) fn and(self, other: Self) -> Self {
        let later = if other.last_step > self.last_step { other } else { self };
        Self { durable: self.durable.max(other.durable), is_ended: self.is_ended || other.is_ended, ..later }
    }
}

/// What the walk has just moved past.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// A step.
    Step {
        /// Where it starts.
        offset: usize,
        /// Its bytes.
        len: usize,
    },
    /// A control frame that is of no concern.
    Control,
    /// What was durable.
    Sync(Sync),
    /// The hash of an earlier segment.
    Digest(Digest),
    /// The end of the segment.
    Seal(Seal),
}

impl Walk {
    /// The start of a segment.
    pub(super) fn start<S: Storage>(segment: &Segment<S>) -> Self {
        Self::begin(&segment.fields)
    }

    /// The start of a segment with this header.
    pub(super) fn begin(fields: &Fields) -> Self {
        Self { offset: HEADER_BYTES, next: fields.first_sequence, time: fields.base_time }
    }

    /// Moves past the next frame; `None` if there is none yet.
    ///
    /// # Errors
    /// What is wrong with the bytes at [`Self::offset`]; the walk stays there.
    #[inline]
    pub(super) fn advance<S: Storage>(&mut self, segment: &Segment<S>) -> Result<Option<Seen>, Damage> {
        self.advance_trusting(segment, |_| false)
    }

    /// As [`Self::advance`], but the checksum of a frame that is trusted is not looked at.
    ///
    /// # Errors
    /// As [`Self::advance`].
    #[inline]
    pub(super) fn advance_trusting<S: Storage>(
        &mut self,
        segment: &Segment<S>,
        is_trusted: impl Fn(&FrameHeader) -> bool,
    ) -> Result<Option<Seen>, Damage> {
        let region = &segment.region;
        let room = segment.fields.segment_bytes as usize;
        if region.len() < self.offset + FrameHeader::BYTES {
            return Err(Damage::Truncated { expected: room as u64, found: region.len() as u64 });
        }
        let word = region.word(self.offset);
        if word == 0 {
            return Ok(None);
        }
        let (len, stored) = split_word(word);
        let bytes = len as usize;
        let end = self.offset + span(bytes);
        if !(FrameHeader::BYTES..=FRAME_BYTES_MAX).contains(&bytes) || !bytes.is_multiple_of(8) || end > room
        {
            return Err(Damage::FrameLength { len });
        }
        if end > region.len() {
            return Err(Damage::Truncated { expected: room as u64, found: region.len() as u64 });
        }
        let frame = region.committed(self.offset, bytes);
        let header = FrameHeader::get(frame);
        if !is_trusted(&header) {
            let computed = segment.seed.checksum(self.offset, frame);
            if computed != stored && !planted(Bug::SkippedChecksum) {
                return Err(Damage::FrameChecksum { stored, computed });
            }
        }
        if header.sequence != self.next {
            return Err(Damage::Sequence { expected: self.next, found: header.sequence });
        }
        if header.time < self.time {
            return Err(Damage::TimeBack { last: self.time, found: header.time });
        }
        if header.kind != KIND_SEAL && end + SEAL_SPAN > room {
            return Err(Damage::FrameLength { len });
        }
        if header.kind == KIND_STEP {
            let offset = self.offset;
            *self = Self { offset: end, next: self.next + 1, time: header.time };
            return Ok(Some(Seen::Step { offset, len: bytes }));
        }
        self.control(&header, frame, end, segment.fields.epoch).map(Some)
    }

    /// Whether a whole frame that fits is here, wherever this place comes from.
    pub(super) fn is_place<S: Storage>(mut self, segment: &Segment<S>) -> bool {
        self.offset >= HEADER_BYTES
            && self.offset.is_multiple_of(FRAME_ALIGN)
            && self.offset < segment.region.len()
            && matches!(self.advance(segment), Ok(Some(_)))
    }

    /// What whole frames say that stand in this segment behind this place, which has none.
    ///
    /// Looks at every place where a frame could start, for what is lost here may be of any length. Frames of any
    /// length are checksummed only until the work would be several times the length of the segment.
    pub(super) fn evidence_behind<S: Storage>(&self, segment: &Segment<S>) -> Evidence {
        let region = &segment.region;
        let mut evidence = Evidence::default();
        let mut budget_bytes = region.len() * 4;
        let mut offset = self.offset + FRAME_ALIGN;
        while offset + FrameHeader::BYTES <= region.len() {
            let found = frame_at(segment, offset, &mut budget_bytes);
            let Some((header, frame)) = found else {
                offset += FRAME_ALIGN;
                continue;
            };
            match header.kind {
                KIND_STEP if header.sequence > evidence.last_step => {
                    (evidence.last_step, evidence.last_time) = (header.sequence, header.time);
                }
                KIND_SYNC if Sync::is_consistent(frame, header.sequence) => {
                    let sync = Sync::get(&frame[FrameHeader::BYTES..]);
                    evidence.durable = evidence.durable.max(sync.durable_sequence);
                }
                KIND_SEAL => {
                    let seal = Seal::of_frame(frame, offset, header.sequence);
                    if let Some(seal) = seal.filter(Seal::is_durable) {
                        evidence.durable = evidence.durable.max(seal.last_sequence);
                        evidence.is_ended = true;
                    }
                }
                _ => {}
            }
            offset += span(frame.len());
        }
        evidence
    }

    #[cold]
    fn control(
        &mut self,
        header: &FrameHeader,
        frame: &[u8],
        end: usize,
        epoch: u64,
    ) -> Result<Seen, Damage> {
        if header.time != self.time {
            return Err(Damage::Control);
        }
        let payload = &frame[FrameHeader::BYTES..];
        match header.kind {
            KIND_SEAL => Seal::of_frame(frame, self.offset, self.next).map(Seen::Seal).ok_or(Damage::Control),
            KIND_EPOCH if !Epoch::is_consistent(frame, epoch, self.next) => Err(Damage::Control),
            KIND_SYNC if !Sync::is_consistent(frame, self.next) => Err(Damage::Control),
            KIND_SYNC => {
                self.offset = end;
                Ok(Seen::Sync(Sync::get(payload)))
            }
            KIND_DIGEST if payload.len() != Digest::BYTES => Err(Damage::Control),
            KIND_DIGEST => {
                self.offset = end;
                Ok(Seen::Digest(Digest::get(payload)))
            }
            KIND_PAD | KIND_EPOCH => {
                self.offset = end;
                Ok(Seen::Control)
            }
            _ if header.flags & FLAG_SKIPPABLE != 0 => {
                self.offset = end;
                Ok(Seen::Control)
            }
            kind => Err(Damage::FrameKind { kind }),
        }
    }
}

/// A whole frame of a known shape at a place that the walk did not come to.
fn frame_at<'a, S: Storage>(
    segment: &'a Segment<S>,
    offset: usize,
    budget_bytes: &mut usize,
) -> Option<(FrameHeader, &'a [u8])> {
    let region = &segment.region;
    let (len, stored) = split_word(region.word(offset));
    let bytes = len as usize;
    let sane = (FrameHeader::BYTES..=FRAME_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(8);
    if !sane || region.len() - offset < bytes {
        return None;
    }
    // Control frames are few bytes and always looked at.
    if bytes != CONTROL_BYTES {
        *budget_bytes = budget_bytes.checked_sub(bytes)?;
    }
    let frame = region.committed(offset, bytes);
    let header = FrameHeader::get(frame);
    let is_ours = header.sequence >= segment.fields.first_sequence && header.kind <= KIND_DIGEST;
    (is_ours && segment.seed.checksum(offset, frame) == stored).then_some((header, frame))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::log::directory::{Directory, segment_name};
    use crate::log::header::Fields;
    use crate::log::index::Samples;
    use crate::log::storage::Disk;
    use crate::log::writer::SegmentWriter;
    use crate::record::{Sequence, Step, Tick, Time};

    const TIME: i64 = 1_000;

    /// A segment with these frames in it, each with its checksum.
    fn segment_of(frames: &[Vec<u8>]) -> (TempDir, Segment<Disk>) {
        let home = TempDir::new().unwrap();
        let fields = Fields { base_time: TIME, ..Fields::new([1; 16], 2, 1 << 20) };
        let storage = Disk::new(home.path());
        let name = segment_name(1);
        let bytes = storage.create(&name, fields.segment_bytes).unwrap();
        let samples = Samples::for_segment(fields.segment_bytes);
        let mut writer = SegmentWriter::<Disk>::begin(bytes, fields, samples, Arc::default());
        frames.iter().for_each(|frame| writer.put(frame));
        let segment = Segment::open(&Directory::new(storage), 1).unwrap().unwrap();
        (home, segment)
    }

    fn frame(kind: u16, flags: u16, sequence: u64, time: i64, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; FrameHeader::BYTES + payload];
        FrameHeader { len: 0, crc: 0, sequence, time, kind, flags, count: 0, reserved: 0 }.put(&mut bytes);
        bytes
    }

    /// What the walk finds from the start on: `s` step, `c` control frame, `|` seal; then the damage that ended it.
    fn walked(frames: &[Vec<u8>]) -> (String, Option<Damage>) {
        let (_home, segment) = segment_of(frames);
        let mut walk = Walk::start(&segment);
        let mut seen = String::new();
        loop {
            match walk.advance(&segment) {
                Ok(Some(Seen::Step { .. })) => seen.push('s'),
                Ok(Some(Seen::Control | Seen::Sync(_) | Seen::Digest(_))) => seen.push('c'),
                Ok(Some(Seen::Seal(_))) => return (seen + "|", None),
                Ok(None) => return (seen, None),
                Err(damage) => return (seen, Some(damage)),
            }
        }
    }

    #[test]
    fn pads_and_unknown_kinds_that_may_be_skipped_are_stepped_over() {
        let step = frame(KIND_STEP, 0, 1, TIME, 40);
        let pad = frame(KIND_PAD, 0, 2, TIME, 4096 - 32);
        let later = frame(77, FLAG_SKIPPABLE, 2, TIME, 8);
        let seen = walked(&[step, pad, later, frame(KIND_STEP, 0, 2, TIME + 5, 0)]);
        assert_eq!(seen, ("sccs".to_owned(), None));
    }

    #[test]
    fn whole_frames_that_are_out_of_order_are_not_passed() {
        let step = || frame(KIND_STEP, 0, 1, TIME, 40);
        let then = |next: Vec<u8>| walked(&[step(), next]);
        let ended = |damage| ("s".to_owned(), Some(damage));
        assert_eq!(then(step()), ended(Damage::Sequence { expected: 2, found: 1 }));
        let gap = frame(KIND_STEP, 0, 3, TIME, 0);
        assert_eq!(then(gap), ended(Damage::Sequence { expected: 2, found: 3 }));
        let back = frame(KIND_STEP, 0, 2, TIME - 1, 0);
        assert_eq!(then(back), ended(Damage::TimeBack { last: TIME, found: TIME - 1 }));
        assert_eq!(then(frame(KIND_PAD, 0, 2, TIME + 1, 0)), ended(Damage::Control));
        assert_eq!(then(frame(KIND_SEAL, 0, 2, TIME, 32)), ended(Damage::Control));
        assert_eq!(then(frame(KIND_SEAL, 0, 2, TIME, 8)), ended(Damage::Control));
        assert_eq!(then(frame(KIND_EPOCH, 0, 2, TIME, 32)), ended(Damage::Control));
        assert_eq!(then(frame(78, 0, 2, TIME, 8)), ended(Damage::FrameKind { kind: 78 }));
    }

    #[test]
    fn a_frame_counts_only_where_it_was_written() {
        let mut step = Step::new();
        step.begin(Sequence(1), Time(TIME));
        step.push(&Tick::default());
        let (home, segment) = segment_of(&[step.bytes().to_vec()]);
        let mut bytes = std::fs::read(&segment.path).unwrap();
        let moved = HEADER_BYTES + 32;
        bytes.copy_within(HEADER_BYTES..HEADER_BYTES + 128, moved);
        std::fs::write(&segment.path, &bytes).unwrap();
        let segment = Segment::open(&Directory::new(Disk::new(home.path())), 1).unwrap().unwrap();
        let mut walk = Walk { offset: moved, ..Walk::start(&segment) };
        assert!(matches!(walk.advance(&segment), Err(Damage::FrameChecksum { .. })));
    }

    proptest! {
        #[test]
        fn frames_of_any_content_with_a_right_checksum_never_panic(
            frames in prop::collection::vec(
                (0_u16..8, 0_u16..4, 0_u64..4, -1_i64..3, prop::collection::vec(any::<u8>(), 0..80)), 0..12)
        ) {
            let frames: Vec<_> = frames
                .iter()
                .map(|(kind, flags, sequence, later, payload)| {
                    let mut bytes = frame(*kind, *flags, *sequence, TIME + later, payload.len() / 8 * 8);
                    let len = bytes.len();
                    bytes[FrameHeader::BYTES..].copy_from_slice(&payload[..len - FrameHeader::BYTES]);
                    bytes
                })
                .collect();
            let (seen, _) = walked(&frames);
            prop_assert!(seen.len() <= frames.len() + 1);
        }
    }
}
