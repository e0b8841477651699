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

use super::control::{Epoch, KIND_EPOCH, KIND_PAD, KIND_SEAL, SEAL_SPAN, Seal};
use super::error::Damage;
use super::frame::{FLAG_SKIPPABLE, FRAME_ALIGN, FRAME_BYTES_MAX, FrameHeader, KIND_STEP, span, split_word};
use super::header::HEADER_BYTES;
use super::segment::Segment;

/// A place in a segment and what must come there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Offset of the next frame.
    pub(super) offset: usize,
    /// Sequence of the next step.
    pub(super) next: u64,
    /// Time of the last step.
    pub(super) time: i64,
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
    /// The end of the segment.
    Seal(Seal),
}

impl Walk {
    /// The start of a segment.
    pub(super) fn start(segment: &Segment) -> Self {
        let fields = &segment.fields;
        Self { offset: HEADER_BYTES, next: fields.first_sequence, time: fields.base_time }
    }

    /// Moves past the next frame; `None` if there is none yet.
    ///
    /// # Errors
    /// What is wrong with the bytes at [`Self::offset`]; the walk stays there.
    #[inline]
    pub(super) fn advance(&mut self, segment: &Segment) -> Result<Option<Seen>, Damage> {
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
        let computed = segment.seed.checksum(self.offset, frame);
        if computed != stored {
            return Err(Damage::FrameChecksum { stored, computed });
        }
        let header = FrameHeader::get(frame);
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

    /// Whether a whole seal of this segment stands somewhere behind this place. A segment is synced before it is
    /// sealed, so what is wrong here is damage then, and not the torn end of a writer that died.
    pub(super) fn is_sealed_behind(&self, segment: &Segment) -> bool {
        let region = &segment.region;
        let last = region.len().saturating_sub(SEAL_SPAN);
        (self.offset + FRAME_ALIGN..=last).step_by(FRAME_ALIGN).any(|offset| {
            let (len, stored) = split_word(region.word(offset));
            let bytes = len as usize;
            if span(bytes) != SEAL_SPAN {
                return false;
            }
            let frame = region.committed(offset, bytes);
            segment.seed.checksum(offset, frame) == stored && FrameHeader::get(frame).kind == KIND_SEAL
        })
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
        match header.kind {
            KIND_SEAL => Seal::of_frame(frame, self.offset, self.next).map(Seen::Seal).ok_or(Damage::Control),
            KIND_EPOCH if !Epoch::is_consistent(frame, epoch, self.next) => Err(Damage::Control),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::log::directory::Directory;
    use crate::log::header::Fields;
    use crate::log::writer::SegmentWriter;
    use crate::record::{Sequence, Step, Tick, Time};

    const TIME: i64 = 1_000;

    /// A segment with these frames in it, each with its checksum.
    fn segment_of(frames: &[Vec<u8>]) -> (TempDir, Segment) {
        let home = TempDir::new().unwrap();
        let fields = Fields { base_time: TIME, ..Fields::new([1; 16], 2, 1 << 20) };
        let directory = Directory::new(home.path());
        let writer = SegmentWriter::create(&directory, fields, |writer| {
            frames.iter().try_for_each(|frame| writer.put(frame))
        })
        .unwrap();
        let segment = Segment::open(writer.segment().path.clone(), 1).unwrap().unwrap();
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
                Ok(Some(Seen::Control)) => seen.push('c'),
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
        let (_home, segment) = segment_of(&[step.bytes().to_vec()]);
        let mut bytes = std::fs::read(&segment.path).unwrap();
        let moved = HEADER_BYTES + 32;
        bytes.copy_within(HEADER_BYTES..HEADER_BYTES + 128, moved);
        std::fs::write(&segment.path, &bytes).unwrap();
        let segment = Segment::open(segment.path, 1).unwrap().unwrap();
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
