//! Planted bugs: mistakes that the proof makes on purpose, to show that it would find them.
//!
//! ```text
//!  if planted(Bug::DroppedBarrier) { skip the sync }       a test plants one bug for its own thread
//! ```
//!
//! Invariants: outside of tests `planted` is the constant `false`, so nothing of a bug is compiled.

/// A mistake, and where it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The flusher moves the watermark without a sync of the pages before it.
    DroppedBarrier,
    /// A segment that is finished is not synced before the watermark moves past it.
    DroppedFinish,
    /// The watermark moves before the sync that it waits for.
    WatermarkBeforeSync,
    /// The names are not synced before something leans on them.
    DroppedNames,
    /// The header of the segment that a roll went on in is never synced.
    DroppedHeader,
    /// A sync that failed is tried again, as if the kernel had kept what it could not write.
    RetriedSync,
    /// A walk takes a frame without looking at its checksum.
    SkippedChecksum,
    /// Every segment has the same salt, and every turn the same epoch.
    ReusedSalt,
    /// The commit word is stored before the bytes that it commits.
    CommitFirst,
    /// The next writer goes on in the segment that a crash left, behind its last whole frame.
    AppendedIntoCrashed,
    /// Recovery does not sync the segments that it found whole.
    RecoveryNotSynced,
    /// Recovery takes what the system has in memory for what a sync writes, although an earlier one may have failed.
    RecoveryNotRewritten,
    /// What recovery cuts off is not copied to quarantine.
    QuarantineSkipped,
}

#[cfg(not(test))]
pub(super) use product::{appended_into_crashed, planted};
#[cfg(test)]
pub(super) use test::{appended_into_crashed, planted, with_bug};

#[cfg(not(test))]
mod product {
    use super::Bug;
    use crate::log::directory::Directory;
    use crate::log::error::JournalError;
    use crate::log::recovery::Turn;
    use crate::log::storage::Storage;
    use crate::log::writer::SegmentWriter;

    /// Whether this thread runs with this bug.
    #[inline(always)]
    pub(in crate::log) const fn planted(_bug: Bug) -> bool {
        false
    }

    /// The writer of [`Bug::AppendedIntoCrashed`]: none.
    #[inline(always)]
    pub(in crate::log) fn appended_into_crashed<S: Storage>(
        _directory: &Directory<S>,
        _turn: &mut Turn<S>,
    ) -> Result<Option<SegmentWriter<S>>, JournalError> {
        Ok(None)
    }
}

#[cfg(test)]
mod test {
    use std::cell::Cell;

    use super::Bug;
    use crate::log::control::{SEAL_SPAN, SEALED_RECOVERED};
    use crate::log::directory::{Directory, segment_name};
    use crate::log::error::JournalError;
    use crate::log::recovery::Turn;
    use crate::log::segment::Segment;
    use crate::log::storage::Storage;
    use crate::log::walk::Walk;
    use crate::log::writer::SegmentWriter;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this thread runs with this bug.
    pub(in crate::log) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Runs something with a bug.
    pub(in crate::log) fn with_bug<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
        struct Weed;
        impl Drop for Weed {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(Some(bug));
        let _weed = Weed;
        run()
    }

    /// A writer that goes on in the segment that a crash left, which is [`Bug::AppendedIntoCrashed`]; none without it.
    pub(in crate::log) fn appended_into_crashed<S: Storage>(
        directory: &Directory<S>,
        turn: &mut Turn<S>,
    ) -> Result<Option<SegmentWriter<S>>, JournalError> {
        let is_crashed = turn.predecessor_reason == SEALED_RECOVERED;
        if !planted(Bug::AppendedIntoCrashed) || !is_crashed || turn.predecessor.take().is_none() {
            return Ok(None);
        }
        let first_sequence = turn.predecessor_first_sequence;
        let Some(segment) = Segment::open(directory, first_sequence)? else { return Ok(None) };
        let bytes = directory.storage.reopen(&segment_name(first_sequence), segment.fields.segment_bytes)?;
        let offset = turn.predecessor_used_bytes as usize - SEAL_SPAN;
        let place = Walk { offset, next: turn.place.next, time: turn.place.time };
        Ok(Some(SegmentWriter::at(bytes, segment.fields, place)))
    }
}
