//! How far a run is: a few numbers that the engine's threads write and anybody reads.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pawl_journal::log::{Recovered, Watermarks};
use pawl_journal::record::{Sequence, Time};

use super::counters::Counters;
use crate::risk::Mode;

/// How far a run is; written by the engine's threads, read by anybody.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) ticks: AtomicU64,
    pub(super) sequence: AtomicU64,
    pub(super) time: AtomicU64,
    pub(super) share: AtomicU64,
    pub(super) restored: AtomicU64,
    pub(super) ring_full: AtomicU64,
    pub(super) mode: AtomicU16,
    pub(super) watermarks: OnceLock<Watermarks>,
    pub(super) recovered: OnceLock<Recovered>,
    counters: Option<Arc<Counters>>,
}

/// A reading of [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Status {
    /// Ticks published in this run.
    pub ticks: u64,
    /// The last step that was published.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// How far the feeds are, 0 to 1.
    pub share: f64,
    /// Steps re-run to restore the state.
    pub restored: u64,
    /// How often the ring was full.
    pub ring_full: u64,
    /// What the engine may do.
    pub mode: Mode,
}

impl Progress {
    /// The progress of a run whose threads count what they do. [`Self::default`] is of one that counts nothing.
    #[must_use]
    pub fn counted() -> Self {
        Self { counters: Some(Arc::default()), ..Self::default() }
    }

    /// What the run's threads count, if they do.
    #[must_use]
    pub const fn counters(&self) -> Option<&Arc<Counters>> {
        self.counters.as_ref()
    }

    /// The last step that was published.
    pub(super) fn sequence(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Relaxed))
    }

    /// How far the journal is durable; nothing before the run has opened it.
    #[must_use]
    pub fn watermarks(&self) -> Option<&Watermarks> {
        self.watermarks.get()
    }

    /// What was found in the journal when it was taken; nothing before. It is there for a run that was refused, too.
    #[must_use]
    pub fn recovered(&self) -> Option<&Recovered> {
        self.recovered.get()
    }

    /// A reading.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            ticks: self.ticks.load(Ordering::Relaxed),
            sequence: Sequence(self.sequence.load(Ordering::Relaxed)),
            time: Time(self.time.load(Ordering::Relaxed).cast_signed()),
            share: f64::from_bits(self.share.load(Ordering::Relaxed)),
            restored: self.restored.load(Ordering::Relaxed),
            ring_full: self.ring_full.load(Ordering::Relaxed),
            mode: Mode::from_code(self.mode.load(Ordering::Relaxed)),
        }
    }
}
