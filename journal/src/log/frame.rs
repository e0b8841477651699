//! The frame: one committed unit of a segment, and the checksum that makes it whole.
//!
//! ```text
//!  0        4        8          16      24      26      28       30        32              len
//!  | len u32| crc u32| sequence | time  | kind  | flags | count | reserved | payload ....... | zero to 32 |
//!  |<- commit word ->|<---------------- the checksum covers 8..len ------------------------>|
//! ```
//!
//! Invariants: a frame starts at a multiple of 32; its commit word is stored last, in one store, so a frame is
//! there whole or not at all; a [`Frame`] exists only for bytes whose checksum and order were verified, or that this
//! process wrote.

use crate::record::{STEP_BYTES_MAX, STEP_HEADER_BYTES, Sequence, StepRef};

use super::layout::layout;
use super::planted::{Bug, planted};

/// Frames start at multiples of this.
pub(super) const FRAME_ALIGN: usize = 32;

/// Most bytes a frame may have.
pub(super) const FRAME_BYTES_MAX: usize = STEP_BYTES_MAX;

/// A step.
pub(super) const KIND_STEP: u16 = 1;

/// Flag: a reader that does not know the frame's kind may step over it.
pub(super) const FLAG_SKIPPABLE: u16 = 1;

layout! {
    /// The header of a frame.
    pub(super) struct FrameHeader: size 32 {
        /// Bytes of header and payload.
        0 len: u32,
        /// Checksum of bytes 8..len.
        4 crc: u32,
        /// Sequence of the step; in a control frame, of the next step.
        8 sequence: u64,
        /// Time of the step; in a control frame, of the last step. Nanoseconds since the UNIX epoch.
        16 time: i64,
        /// What the frame is.
        24 kind: u16,
        /// [`FLAG_SKIPPABLE`]; other bits belong to the kind.
        26 flags: u16,
        /// Records in the payload of a step.
        28 count: u16,
        /// Zero.
        30 reserved: u16,
    }
}

const _: () = assert!(FrameHeader::BYTES == STEP_HEADER_BYTES);
const _: () = assert!(FRAME_BYTES_MAX.is_multiple_of(FRAME_ALIGN));

/// Bytes that a frame of `len` bytes takes in its segment.
#[inline]
pub(super) const fn span(len: usize) -> usize {
    len.next_multiple_of(FRAME_ALIGN)
}

/// What every checksum of a segment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(u32);

/// So many zero bytes leave every CRC-32C as it was: the order of x modulo the polynomial, which is (x + 1) times a
/// primitive one of degree 31.
const ZEROS_PERIOD: usize = (1 << 31) - 1;

impl Seed {
    /// The seed of a segment with this salt, written in this epoch.
    pub(super) fn new(salt: u64, epoch: u64) -> Self {
        let (salt, epoch) = if planted(Bug::ReusedSalt) { (0, 0) } else { (salt, epoch) };
        Self(crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &epoch.to_le_bytes()))
    }

    /// The number itself.
    pub(super) const fn value(self) -> u32 {
        self.0
    }

    /// The checksum of a frame at `offset`: CRC-32C of everything behind its commit word.
    #[inline]
    pub(super) fn checksum(self, offset: usize, frame: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0 ^ offset as u32, &frame[8..])
    }

    /// The only seed with which a frame at `offset` has this checksum: a checksum can be run backwards. Whatever the
    /// bytes are there is one, so it takes a second frame to say that they are whole.
    pub(super) fn of_frame(offset: usize, frame: &[u8], stored: u32) -> Self {
        Self(start_of(stored, &frame[8..]) ^ offset as u32)
    }

    /// A salt that gives this seed in this epoch. Many do; which of them was drawn the seed does not say.
    pub(super) fn some_salt(self, epoch: u64) -> u64 {
        let mut behind = [0; 16];
        behind[8..].copy_from_slice(&epoch.to_le_bytes());
        // To continue from a value is as good as to begin with its four bytes.
        u64::from(start_of(self.0, &behind))
    }
}

/// What CRC-32C must be continued from to be `crc` behind these bytes.
fn start_of(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_combine(crc ^ crc32c::crc32c_append(0, bytes), 0, ZEROS_PERIOD - bytes.len())
}

/// The commit word of a frame: length below, checksum above. Never zero.
#[inline]
pub(super) const fn commit_word(len: usize, crc: u32) -> u64 {
    len as u64 | (crc as u64) << 32
}

/// The length and the checksum in a commit word.
#[inline]
pub(super) const fn split_word(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// A committed step whose checksum, sequence and time were verified, borrowed from its segment.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    step: StepRef<'a>,
    offset: usize,
}

impl<'a> Frame<'a> {
    /// A frame over bytes that [`super::walk::Walk`] has verified.
    #[inline]
    pub(super) fn of_verified(bytes: &'a [u8], offset: usize) -> Self {
        Self { step: StepRef::from_frame(bytes).expect("a verified frame has a header"), offset }
    }

    /// The step.
    #[inline]
    #[must_use]
    pub const fn step(&self) -> StepRef<'a> {
        self.step
    }

    /// The step's sequence.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.step.sequence()
    }

    /// Where in its segment file the frame starts, in bytes.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_found_from_a_frame_of_any_length_and_a_salt_from_a_seed() {
        let bytes: Vec<u8> = (0..FRAME_BYTES_MAX).map(|at| (at * 31 % 251) as u8).collect();
        for (salt, epoch) in [(0, 1), (1, 0), (u64::MAX, 7), (0x0123_4567_89AB_CDEF, u64::MAX >> 6)] {
            let seed = Seed::new(salt, epoch);
            for (offset, len) in
                [(4_096, 32), (4_128, 40), (1 << 20, 8_000), (u32::MAX as usize & !31, 65_536)]
            {
                let stored = seed.checksum(offset, &bytes[..len]);
                assert_eq!(Seed::of_frame(offset, &bytes[..len], stored), seed);
                assert_ne!(Seed::of_frame(offset, &bytes[..len], stored ^ 1), seed);
            }
            for epoch in [0, 1, epoch, 1 << 57] {
                assert_eq!(Seed::new(seed.some_salt(epoch), epoch), seed);
            }
        }
    }
}
