//! What an operator may choose about a journal.

use super::error::JournalError;

/// What an operator may choose about a journal. It may differ from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Bytes of each new segment file, all of them allocated when it is created: a multiple of 4096 from 1 MiB to
    /// 4 GiB. Default 64 MiB.
    pub segment_bytes: u64,
}

impl JournalOptions {
    /// Smallest segment: a header, a seal and many times the largest step.
    pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
    /// Largest segment: an offset in it is a 32-bit number.
    pub const SEGMENT_BYTES_MAX: u64 = 1 << 32;

    /// Refuses a size that the format excludes.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        let segment_bytes = self.segment_bytes;
        let fits = (Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if fits && segment_bytes.is_multiple_of(4096) {
            Ok(())
        } else {
            Err(JournalError::SegmentBytes { segment_bytes })
        }
    }
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}
