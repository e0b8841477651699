//! Control frames: what the log says to its own readers between the steps.
//!
//! ```text
//!  pad     fill, so that the next frame starts on a page that no sync is busy with
//!  seal    the end of a segment: why, where, and which segment goes on
//!  sync    how far the journal was on disk
//!  epoch   the first frame of a segment that begins a writer's turn: which turn, and where the last one ended
//!  digest  the hash of an earlier segment
//! ```
//!
//! Invariants: a control frame carries the sequence of the next step and the time of the last one, and moves
//! neither; a seal is the last frame of its segment, and every segment keeps room for one.

use super::frame::{FLAG_SKIPPABLE, FrameHeader, span};
use super::layout::layout;

/// Fill.
pub(super) const KIND_PAD: u16 = 2;
/// The end of a segment.
pub(super) const KIND_SEAL: u16 = 3;
/// How far the journal is durable.
pub(super) const KIND_SYNC: u16 = 4;
/// The start of a writer's turn.
pub(super) const KIND_EPOCH: u16 = 5;
/// The hash of a segment that is finished.
pub(super) const KIND_DIGEST: u16 = 6;

/// Bytes of a seal, a sync and an epoch frame.
pub(super) const CONTROL_BYTES: usize = 64;

/// Most bytes of a pad.
pub(super) const PAD_BYTES_MAX: usize = 4096;

/// Bytes of a digest frame.
pub(super) const DIGEST_BYTES: usize = 88;

/// Bytes that every segment keeps free for its seal.
pub(super) const SEAL_SPAN: usize = span(CONTROL_BYTES);

/// Seal: the writer went on in the next segment, which exists.
pub(super) const SEALED_ROLLED: u16 = 1;
/// Seal: the writer ended its turn in order. The next turn, if any, goes on in a new segment.
pub(super) const SEALED_ENDED: u16 = 2;
/// Seal: the writer ended its turn because something failed, but could still say so.
pub(super) const SEALED_FAILED: u16 = 3;
/// Seal: the writer died; the next one wrote this.
pub(super) const SEALED_RECOVERED: u16 = 4;

layout! {
    /// The payload of a seal.
    pub(super) struct Seal: size 32 {
        /// Sequence of the last step before it; 0 if there is none.
        0 last_sequence: u64,
        /// Bytes used in the segment, this frame included.
        8 used_bytes: u64,
        /// First sequence (file name) of the segment that goes on.
        16 next_first_sequence: u64,
        /// One of the `SEALED_` numbers.
        24 reason: u16,
        /// Zero.
        26 reserved: [u8; 6],
    }
}

layout! {
    /// The payload of an epoch frame.
    pub(super) struct Epoch: size 32 {
        /// The epoch that begins; also in the segment's header.
        0 epoch: u64,
        /// Sequence of the last step of the epoch before; 0 if there is none.
        8 last_sequence: u64,
        /// Bytes that recovery moved to quarantine.
        16 quarantined_bytes: u64,
        /// Reason in the seal of the epoch before; 0 if there is none.
        24 predecessor_reason: u16,
        /// Zero.
        26 reserved: [u8; 6],
    }
}

layout! {
    /// The payload of a sync frame: what the writer knew to be on disk when it wrote this.
    pub(super) struct Sync: size 32 {
        /// Every step up to this sequence is durable.
        0 durable_sequence: u64,
        /// First sequence (file name) of the segment that this step is in, or ends before.
        8 segment_first_sequence: u64,
        /// Bytes of that segment that are durable.
        16 durable_bytes: u64,
        /// The durability mode: 1 page-cache, 2 async, 3 gated.
        24 mode: u16,
        /// Zero.
        26 reserved: [u8; 6],
    }
}

layout! {
    /// The payload of a digest frame.
    pub(super) struct Digest: size 56 {
        /// Index of the finished segment.
        0 index: u64,
        /// Its first sequence (file name).
        8 first_sequence: u64,
        /// Its used bytes, its seal included.
        16 used_bytes: u64,
        /// BLAKE3 of these bytes.
        24 hash: [u8; 32],
    }
}

const _: () = assert!(FrameHeader::BYTES + Seal::BYTES == CONTROL_BYTES);
const _: () = assert!(FrameHeader::BYTES + Sync::BYTES == CONTROL_BYTES);
const _: () = assert!(FrameHeader::BYTES + Digest::BYTES == DIGEST_BYTES);
const _: () = assert!(FrameHeader::BYTES + Epoch::BYTES == CONTROL_BYTES);

/// Where the log stands: what a control frame must say in its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Sequence of the next step.
    pub(super) next: u64,
    /// Time of the last step.
    pub(super) time: i64,
}

impl Standing {
    fn frame(self, kind: u16, flags: u16) -> [u8; CONTROL_BYTES] {
        let mut frame = [0; CONTROL_BYTES];
        let header = FrameHeader {
            len: 0,
            crc: 0,
            sequence: self.next,
            time: self.time,
            kind,
            flags,
            count: 0,
            reserved: 0,
        };
        header.put(&mut frame);
        frame
    }

    /// A seal for `offset` of a segment. The segment that goes on begins with the next step.
    pub(super) fn seal(self, offset: usize, reason: u16) -> [u8; CONTROL_BYTES] {
        let mut frame = self.frame(KIND_SEAL, 0);
        let seal = Seal {
            last_sequence: self.next - 1,
            used_bytes: (offset + SEAL_SPAN) as u64,
            next_first_sequence: self.next,
            reason,
            reserved: [0; 6],
        };
        seal.put(&mut frame[FrameHeader::BYTES..]);
        frame
    }

    /// A pad of `len` bytes, a multiple of 32 up to a page, put into `frame`.
    pub(super) fn pad(self, frame: &mut [u8; PAD_BYTES_MAX], len: usize) -> &[u8] {
        frame[..CONTROL_BYTES].copy_from_slice(&self.frame(KIND_PAD, FLAG_SKIPPABLE));
        &frame[..len]
    }

    /// A sync frame.
    pub(super) fn sync(self, sync: &Sync) -> [u8; CONTROL_BYTES] {
        let mut frame = self.frame(KIND_SYNC, FLAG_SKIPPABLE);
        sync.put(&mut frame[FrameHeader::BYTES..]);
        frame
    }

    /// A digest frame.
    pub(super) fn digest(self, digest: &Digest) -> [u8; DIGEST_BYTES] {
        let mut frame = [0; DIGEST_BYTES];
        frame[..CONTROL_BYTES].copy_from_slice(&self.frame(KIND_DIGEST, FLAG_SKIPPABLE));
        digest.put(&mut frame[FrameHeader::BYTES..]);
        frame
    }

    /// The first frame of an epoch.
    pub(super) fn epoch(self, epoch: u64, quarantined_bytes: u64, reason: u16) -> [u8; CONTROL_BYTES] {
        let mut frame = self.frame(KIND_EPOCH, FLAG_SKIPPABLE);
        let payload = Epoch {
            epoch,
            last_sequence: self.next - 1,
            quarantined_bytes,
            predecessor_reason: reason,
            reserved: [0; 6],
        };
        payload.put(&mut frame[FrameHeader::BYTES..]);
        frame
    }
}

impl Epoch {
    /// Whether a frame of this kind says what it must in a segment of this epoch, before this step.
    pub(super) fn is_consistent(frame: &[u8], epoch: u64, next: u64) -> bool {
        if frame.len() != CONTROL_BYTES {
            return false;
        }
        let payload = Self::get(&frame[FrameHeader::BYTES..]);
        payload.epoch == epoch && payload.last_sequence == next - 1
    }
}

impl Sync {
    /// Whether a frame of this kind says what it must before this step.
    pub(super) fn is_consistent(frame: &[u8], next: u64) -> bool {
        frame.len() == CONTROL_BYTES && Self::get(&frame[FrameHeader::BYTES..]).durable_sequence < next
    }
}

impl Seal {
    /// Whether everything before it was on disk when it was written. A roll waits for no disk.
    pub(super) fn is_durable(&self) -> bool {
        self.reason != SEALED_ROLLED
    }

    /// The seal in a frame of this kind, if it says what it must at this offset and sequence.
    pub(super) fn of_frame(frame: &[u8], offset: usize, next: u64) -> Option<Self> {
        if frame.len() != CONTROL_BYTES {
            return None;
        }
        let seal = Self::get(&frame[FrameHeader::BYTES..]);
        let consistent = seal.last_sequence == next - 1
            && seal.next_first_sequence == next
            && seal.used_bytes == (offset + SEAL_SPAN) as u64
            && (SEALED_ROLLED..=SEALED_RECOVERED).contains(&seal.reason);
        consistent.then_some(seal)
    }
}
