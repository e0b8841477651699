//! Watermarks: what the appender and its two threads tell the rest of their process about the journal.
//!
//! ```text
//!  flusher --- durable, failure ----+
//!  supplier --- spares -------------+--> Watermarks: one per appender, cheap to clone, safe to read anywhere
//!  anybody --- wanted --> flusher --+
//! ```
//!
//! Invariants: `durable` never goes down, and never moves again after a failure. Other processes read the durable
//! watermark from the sync frames in the journal itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use super::control::Digest;
use crate::record::Sequence;

/// How far the journal of an appender is, for everybody in its process.
#[derive(Debug, Clone, Default)]
pub struct Watermarks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// What the writer is asked to do; on a cache line that nobody else writes.
    asked: Asked,
    durable: AtomicU64,
    wanted: AtomicU64,
    supply: AtomicU8,
    failure: OnceLock<String>,
    flusher: OnceLock<Thread>,
    digests: Mutex<VecDeque<Digest>>,
    synced: Mutex<Synced>,
    pad_bytes: AtomicU64,
    rolls: AtomicU64,
    roll_waits: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Asked(AtomicU32);

/// Pad to the end of the page, so that what is written can be synced without touching the page being written.
pub(super) const ASKED_PAD: u32 = 1;
/// Tell the readers how far the journal is durable.
pub(super) const ASKED_SYNC: u32 = 2;
/// Write down the hashes of finished segments.
pub(super) const ASKED_DIGEST: u32 = 4;
/// Give up: something failed. Never taken back.
pub(super) const ASKED_END: u32 = 8;

/// A place up to which the journal is durable, as sync frames tell it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DurablePlace {
    pub(super) segment_first_sequence: u64,
    pub(super) bytes: u64,
}

/// What the flusher keeps.
#[derive(Debug, Default)]
struct Synced {
    place: DurablePlace,
    syncs: u64,
    sync_ns_max: u64,
    sync_ns_total: u64,
    lag_steps_max: u64,
    lag_ns_max: u64,
}

/// How many segments stand ready for the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Supply {
    /// Enough, or more are being made.
    Enough,
    /// One is left, and another could not be made: add no risk.
    Low,
    /// None is left, and none could be made: what is left of the segment being written is all there is.
    Out,
}

/// What keeping the journal durable has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct JournalStatistics {
    /// Syncs of journal bytes.
    pub syncs: u64,
    /// The longest of them, ns; of a roll with its renaming and its index.
    pub sync_ns_max: u64,
    /// All of them together, ns.
    pub sync_ns_total: u64,
    /// Most steps that were committed and not yet durable when a sync began.
    pub lag_steps_max: u64,
    /// Longest time that a step was committed and not durable, ns. Measured from the last look that did not see it, so
    /// it may be too long by a look, an eighth of the interval, but never too short.
    pub lag_ns_max: u64,
    /// Bytes of pad frames, written so that no sync touches the page being written.
    pub pad_bytes: u64,
    /// Times the writer went on in another segment.
    pub rolls: u64,
    /// Rolls for which no segment was ready, so that the writer had to wait.
    pub roll_waits: u64,
}

impl Watermarks {
    /// Every step up to this one is on disk.
    #[inline]
    #[must_use]
    pub fn durable(&self) -> Sequence {
        Sequence(self.0.durable.load(Ordering::Acquire))
    }

    /// Asks for this step to be made durable now rather than at the end of the interval. Waits for nothing.
    #[inline]
    pub fn request(&self, sequence: Sequence) {
        if self.0.wanted.fetch_max(sequence.0, Ordering::Relaxed) < sequence.0
            && let Some(flusher) = self.0.flusher.get()
        {
            flusher.unpark();
        }
    }

    /// How many segments stand ready.
    #[inline]
    #[must_use]
    pub fn supply(&self) -> Supply {
        match self.0.supply.load(Ordering::Relaxed) {
            0 => Supply::Enough,
            1 => Supply::Low,
            _ => Supply::Out,
        }
    }

    /// Why nothing will become durable any more, if that is so: a sync failed, which is final.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// What keeping the journal durable has cost so far.
    #[must_use]
    pub fn statistics(&self) -> JournalStatistics {
        let synced = lock(&self.0.synced);
        JournalStatistics {
            syncs: synced.syncs,
            sync_ns_max: synced.sync_ns_max,
            sync_ns_total: synced.sync_ns_total,
            lag_steps_max: synced.lag_steps_max,
            lag_ns_max: synced.lag_ns_max,
            pad_bytes: self.0.pad_bytes.load(Ordering::Relaxed),
            rolls: self.0.rolls.load(Ordering::Relaxed),
            roll_waits: self.0.roll_waits.load(Ordering::Relaxed),
        }
    }

    /// Watermarks of a journal that is durable up to this step.
    pub(super) fn new(durable: u64) -> Self {
        let watermarks = Self::default();
        watermarks.0.durable.store(durable, Ordering::Relaxed);
        watermarks
    }

    /// What the writer is asked to do.
    #[inline]
    pub(super) fn asked(&self) -> u32 {
        self.0.asked.0.load(Ordering::Relaxed)
    }

    /// Asks the writer to do something.
    pub(super) fn ask(&self, what: u32) {
        self.0.asked.0.fetch_or(what, Ordering::Release);
    }

    /// Takes back what was asked.
    pub(super) fn answered(&self, what: u32) {
        self.0.asked.0.fetch_and(!what, Ordering::AcqRel);
    }

    /// Whether somebody waits for a step that is not durable.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) > self.durable().0
    }

    /// Whom to wake when somebody waits.
    pub(super) fn set_flusher(&self, thread: Thread) {
        // There is one flusher; a second one has nobody to wake.
        let _ = self.0.flusher.set(thread);
    }

    /// Everything up to this step is on disk, and up to this place.
    pub(super) fn advance(&self, durable: u64, place: DurablePlace) {
        lock(&self.0.synced).place = place;
        self.0.durable.fetch_max(durable, Ordering::Release);
        self.ask(ASKED_SYNC);
    }

    /// Up to where.
    pub(super) fn durable_place(&self) -> DurablePlace {
        lock(&self.0.synced).place
    }

    /// Counts a sync, and how far behind the journal was when it began and when it ended.
    pub(super) fn count_sync(&self, sync_ns: u64, lag_steps: u64, lag_ns: u64) {
        let mut synced = lock(&self.0.synced);
        synced.syncs += 1;
        synced.sync_ns_total += sync_ns;
        synced.sync_ns_max = synced.sync_ns_max.max(sync_ns);
        synced.lag_steps_max = synced.lag_steps_max.max(lag_steps);
        synced.lag_ns_max = synced.lag_ns_max.max(lag_ns);
    }

    /// Counts the time of a sync with what came behind it, a roll's index, during which no other sync could begin.
    pub(super) fn count_busy(&self, busy_ns: u64) {
        let mut synced = lock(&self.0.synced);
        synced.sync_ns_max = synced.sync_ns_max.max(busy_ns);
    }

    /// Counts the bytes of a pad.
    pub(super) fn count_pad(&self, bytes: u64) {
        self.0.pad_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a roll.
    pub(super) fn count_roll(&self, has_waited: bool) {
        self.0.rolls.fetch_add(1, Ordering::Relaxed);
        self.0.roll_waits.fetch_add(u64::from(has_waited), Ordering::Relaxed);
    }

    /// Hands the hash of a finished segment to the writer.
    pub(super) fn push_digest(&self, digest: Digest) {
        lock(&self.0.digests).push_back(digest);
        self.ask(ASKED_DIGEST);
    }

    /// The next hash to write down.
    pub(super) fn pop_digest(&self) -> Option<Digest> {
        lock(&self.0.digests).pop_front()
    }

    /// Says how many segments stand ready.
    pub(super) fn set_supply(&self, supply: Supply) {
        self.0.supply.store(supply as u8, Ordering::Relaxed);
    }

    /// Nothing becomes durable any more. The first reason stays.
    pub(super) fn fail(&self, what: &str) {
        let _ = self.0.failure.set(what.to_owned());
        self.ask(ASKED_END);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
