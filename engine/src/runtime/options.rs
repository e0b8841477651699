//! Options: how a run is driven, which changes nothing of what the engine decides.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pawl_journal::log::JournalOptions;

use super::affinity::available_cores;
use super::threads::Place;
use super::wait::Wait;

/// Which threads there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Threading {
    /// Everything on one thread, without a ring: backtest and replay.
    Single,
    /// An edge thread for ingress and gateway, a pinned thread for the pipeline and the journal.
    Fused,
    /// An edge thread, and a pinned thread for each stage; the last one writes the journal.
    Staged,
}

impl Threading {
    /// How many threads do the work, so how many cores it wants.
    #[must_use]
    pub const fn threads(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Fused => 2,
            Self::Staged => 5,
        }
    }
}

/// What is done when the pipeline falls so far behind a live feed that the ring is full. It is counted and told either
/// way. With feeds of the past the edge waits, and that is all: they lose nothing by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RingFull {
    /// Halt: the engine decides on quotes that are too old. An operator resumes.
    #[default]
    Halt,
    /// Wait for room, and go on.
    Wait,
}

/// How a run is driven; none of it changes what the engine decides.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Which threads there are.
    pub threading: Threading,
    /// Cores to pin to: the edge's (or the only thread's), then the pipeline's or its stages'; fewer pin fewer.
    pub cores: Vec<usize>,
    /// How the threads wait, in the same order; the last one is for the rest, none is [`Wait::Yield`].
    pub waits: Vec<Wait>,
    /// Slots of the ring, a power of two.
    pub ring_slots: usize,
    /// What is done when it is full.
    pub on_ring_full: RingFull,
    /// Event time per wall-clock time; none is as fast as the machine goes.
    pub speed: Option<f64>,
    /// Whether steps carry stamps.
    pub stamps: bool,
    /// Size of journal segments, and when steps are made durable.
    pub journal: JournalOptions,
}

impl RunOptions {
    /// How a thread waits; the edge is thread 0.
    pub(super) fn wait(&self, thread: usize) -> Wait {
        self.waits.get(thread).or(self.waits.last()).copied().unwrap_or_default()
    }

    /// Where a thread on the ring runs.
    pub(super) fn place(&self, thread: usize, name: &'static str, broken: &Arc<AtomicBool>) -> Place {
        let core = self.cores.get(thread).copied();
        let (wait, is_crowded) = (self.wait(thread), self.is_crowded());
        Place { name, core, wait, is_crowded, broken: Arc::clone(broken) }
    }

    /// Whether more threads are to run than there are cores.
    pub(super) fn is_crowded(&self) -> bool {
        let threads = self.threading.threads();
        // Pinned threads have a core each, which the calling thread may have been kept off.
        self.cores.len() < threads && available_cores().len() < threads
    }
}
