//! The flusher: makes what the writer has committed durable, finishes segments and hashes them, on a thread of its own.
//!
//! ```text
//!  flush:   ask the writer for a pad > walk to it > sync the pages before it > durable watermark > sync frame
//!  finish:  name of the next segment > sync this one, the next one's header, the names > watermark > index file
//!  digest:  BLAKE3 of a finished segment, piece by piece > digest frame
//! ```
//!
//! Invariants: the watermark moves only behind a sync that succeeded of everything before it; after a sync that
//! failed nothing is synced any more, for the kernel may have dropped what it could not write; the page that is
//! being written is left alone as long as the writer answers.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::control::{Digest, KIND_SEAL};
use super::directory::{Directory, segment_name, spare_name};
use super::error::JournalError;
use super::frame::{FrameHeader, KIND_STEP, span, split_word};
use super::header::{Fields, HEADER_BYTES};
use super::index::{Samples, put_index};
use super::options::Durability;
use super::pace::Pace;
use super::planted::{Bug, planted};
use super::storage::{Region as _, Storage};
use super::walk::Walk;
use super::watermark::{ASKED_PAD, DurablePlace, Watermarks};

/// Bytes hashed between two looks at what else is to be done.
const DIGEST_STEP_BYTES: usize = 256 << 10;

/// A segment that the writer has sealed and left, and the one that it went on in.
#[derive(Debug)]
pub(super) struct Rolled<S: Storage> {
    /// The finished one.
    pub(super) fields: Fields,
    /// Its bytes.
    pub(super) region: S::Region,
    /// What its index holds.
    pub(super) samples: Samples,
    /// Its used bytes, the seal included.
    pub(super) used_bytes: u64,
    /// The next one.
    pub(super) next: (Fields, S::Region),
}

/// The segment being written, as far as the flusher has looked at it.
#[derive(Debug)]
struct Open<S: Storage> {
    fields: Fields,
    region: S::Region,
    walk: Walk,
    synced: usize,
    /// Whether the writer has sealed it and gone on in another one.
    is_left: bool,
}

/// A finished segment that is being hashed.
#[derive(Debug)]
pub(super) struct Finished<S: Storage> {
    /// Its header.
    pub(super) fields: Fields,
    /// Its bytes.
    pub(super) region: S::Region,
    /// How many of them are used.
    pub(super) used_bytes: u64,
    hasher: Box<blake3::Hasher>,
    hashed: usize,
}

impl<S: Storage> Finished<S> {
    /// A finished segment of which nothing is hashed yet.
    pub(super) fn new(fields: Fields, region: S::Region, used_bytes: u64) -> Self {
        Self { fields, region, used_bytes, hasher: Box::default(), hashed: 0 }
    }
}

/// Makes the journal durable.
#[derive(Debug)]
pub(super) struct Flusher<S: Storage> {
    directory: Directory<S>,
    watermarks: Watermarks,
    rolled: Receiver<Rolled<S>>,
    open: Open<S>,
    finished: VecDeque<Finished<S>>,
    pace: Pace,
}

impl<S: Storage> Flusher<S> {
    /// A flusher for the segment that a writer begins its turn with, and that is durable so far. Hashes the segment
    /// before it too.
    pub(super) fn new(
        directory: Directory<S>,
        watermarks: Watermarks,
        rolled: Receiver<Rolled<S>>,
        open: (Fields, S::Region),
        before: Option<Finished<S>>,
        durability: Durability,
    ) -> Self {
        let open = Open::new(open.0, open.1);
        let (finished, pace) = (before.into_iter().collect(), Pace::new(durability, Instant::now()));
        Self { directory, watermarks, rolled, open, finished, pace }
    }

    /// Looks at what is committed and not durable.
    pub(super) fn look(&mut self) -> &Pace {
        let now = Instant::now();
        self.open.catch_up();
        let is_behind = self.open.walk.next - 1 > self.watermarks.durable().0;
        self.pace.look(now, is_behind, !self.open.is_left);
        &self.pace
    }

    /// When a sync is due.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Asks the writer to begin a new page, so that the flush that follows does not touch the one being written.
    pub(super) fn ask_for_pad(&self) {
        self.watermarks.ask(ASKED_PAD);
    }

    /// Makes every step durable that is committed in the segment being written.
    pub(super) fn flush(&mut self) {
        if self.watermarks.failure().is_some() {
            return;
        }
        let open = &mut self.open;
        let walked = Instant::now();
        open.catch_up();
        let last = open.walk.next - 1;
        let lag_steps = last.saturating_sub(self.watermarks.durable().0);
        let (from, to) = (open.synced, open.walk.offset);
        let began = Instant::now();
        if planted(Bug::WatermarkBeforeSync) {
            self.watermarks.advance(last, open.place());
        }
        let synced = if planted(Bug::DroppedBarrier) { Ok(()) } else { open.region.sync(from, to - from) };
        match synced {
            Ok(()) => {
                open.synced = to;
                let (place, walked) = (open.place(), (!open.is_left).then_some(walked));
                self.told(last, place, began, lag_steps, walked);
            }
            Err(_) if planted(Bug::RetriedSync) => {}
            Err(error) => self.watermarks.fail(&format!("sync: {error}")),
        }
    }

    /// Finishes the oldest segment that the writer has left; false if there is none.
    pub(super) fn finish(&mut self) -> bool {
        if self.watermarks.failure().is_some() {
            return false;
        }
        let Ok(rolled) = self.rolled.try_recv() else { return false };
        if let Err(error) = self.finish_segment(rolled) {
            self.watermarks.fail(&error.to_string());
        }
        true
    }

    /// Gives every segment that the writer has gone on in its name, as far as that can be done.
    pub(super) fn name_all(&mut self) {
        // What failed may have been a name, and nothing behind it may have one then.
        if self.watermarks.failure().is_some() {
            return;
        }
        while let Ok(Rolled { next: (next, _), .. }) = self.rolled.try_recv() {
            // What has no name is found under its spare's name, as long as nothing behind it has one.
            let storage = &self.directory.storage;
            if storage.rename(&spare_name(next.index), &segment_name(next.first_sequence)).is_err() {
                return;
            }
        }
    }

    fn finish_segment(&mut self, rolled: Rolled<S>) -> Result<(), JournalError> {
        let Rolled { fields, region, samples, used_bytes, next: (next, next_region) } = rolled;
        let storage = &self.directory.storage;
        let name = segment_name(fields.first_sequence);
        let next_name = segment_name(next.first_sequence);
        let began = Instant::now();
        storage.rename(&spare_name(next.index), &next_name)?;
        let from = self.open.synced;
        let failed = |name: &str| {
            let path = storage.path(name);
            move |error| JournalError::io("sync", &path, error)
        };
        if !planted(Bug::DroppedFinish) {
            region.sync(from, used_bytes as usize - from).map_err(failed(&name))?;
        }
        if !planted(Bug::DroppedHeader) {
            next_region.sync(0, HEADER_BYTES).map_err(failed(&next_name))?;
        }
        if !planted(Bug::DroppedNames) {
            storage.sync_names()?;
        }
        let last = next.first_sequence - 1;
        let lag_steps = last - self.watermarks.durable().0.min(last);
        self.open = Open::new(next, next_region);
        self.told(last, self.open.place(), began, lag_steps, None);
        // A pruning may have taken the segment already. An index that cannot be written is worth no stop.
        if self.directory.storage.head(&name, 0)?.is_some() {
            drop(put_index(&self.directory, &fields, &samples, used_bytes));
        }
        self.watermarks.count_busy(ns(began.elapsed()));
        self.finished.push_back(Finished::new(fields, region, used_bytes));
        Ok(())
    }

    /// Tells that a sync has succeeded, which took along every step committed before `walked`, or those of a segment.
    fn told(
        &mut self,
        last: u64,
        place: DurablePlace,
        began: Instant,
        lag_steps: u64,
        walked: Option<Instant>,
    ) {
        let now = Instant::now();
        let lag = self.pace.synced(walked, now);
        self.watermarks.count_sync(ns(now - began), lag_steps, ns(lag));
        self.watermarks.advance(last, place);
    }

    /// Hashes a piece of the oldest finished segment; false if there is none.
    pub(super) fn digest(&mut self) -> bool {
        let Some(front) = self.finished.front_mut() else { return false };
        let used = front.used_bytes as usize;
        let to = (front.hashed + DIGEST_STEP_BYTES).min(used);
        front.hasher.update(front.region.committed(front.hashed, to - front.hashed));
        front.hashed = to;
        if to == used {
            let digest = Digest {
                index: front.fields.index,
                first_sequence: front.fields.first_sequence,
                used_bytes: front.used_bytes,
                hash: *front.hasher.finalize().as_bytes(),
            };
            self.watermarks.push_digest(digest);
            self.finished.pop_front();
        }
        true
    }

    /// Finishes and hashes every segment that the writer has left. The one of an earlier turn that it has not come
    /// to hash is left to another turn.
    pub(super) fn drain(&mut self) {
        let epoch = self.open.fields.epoch;
        self.finished.retain(|finished| finished.fields.epoch == epoch);
        while self.finish() {}
        while self.digest() {}
    }

    /// Bytes of the segment being written that are durable.
    pub(super) fn synced(&self) -> usize {
        self.open.synced
    }
}

impl<S: Storage> Open<S> {
    fn new(fields: Fields, region: S::Region) -> Self {
        let walk = Walk::begin(&fields);
        Self { fields, region, walk, synced: HEADER_BYTES, is_left: false }
    }

    fn place(&self) -> DurablePlace {
        DurablePlace { segment_first_sequence: self.fields.first_sequence, bytes: self.synced as u64 }
    }

    /// Moves past every frame that is committed. They are this process's own, so their checksums are not looked at.
    fn catch_up(&mut self) {
        while self.walk.offset + FrameHeader::BYTES <= self.region.len() {
            let (len, _) = split_word(self.region.word(self.walk.offset));
            if len == 0 {
                return;
            }
            let header = FrameHeader::get(self.region.committed(self.walk.offset, FrameHeader::BYTES));
            self.walk.next += u64::from(header.kind == KIND_STEP);
            self.is_left |= header.kind == KIND_SEAL;
            self.walk.offset += span(len as usize);
        }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
