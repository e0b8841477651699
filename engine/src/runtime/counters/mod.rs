//! Counters: what the engine's threads count while they run, for everybody who wants to look.
//!
//! ```text
//!  commit thread ----+
//!  edge, gateway ----+--> words of this process --copied ten times a second--> JOURNAL/counters --> `pawl top`, others
//!  inference stage --+         `------------------------------------------------------------------> Prometheus text
//! ```
//!
//! The threads count in memory of their own and not in the mapped file: the kernel writes a file's pages back and takes
//! them away for that, and the next store would wait for it. So the file is at most [`PUBLISH`] old, also after a crash.
//!
//! Invariants: a word has one writer, who loads, adds and stores without a locked instruction; two threads never write
//! the same cache line; a finished step is counted after its commit, so an order does not wait for it; nothing here
//! allocates, locks or makes a system call on the hot path.

pub mod buckets;
pub mod catalogue;
mod file;
mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pawl_journal::record::{
    Alert, Command, ExecutionKind, ExecutionReport, Kind, OrderAction, OrderRequest, Outcome, Prediction,
    Record, RunEnded, Sequence, Signal, Stamps, Step, Tick, TickMarks, Verdict,
};

use self::buckets::{HISTOGRAM_WORDS, bucket_of};
use self::catalogue::{self as at, Family, WORDS};
pub use self::file::{CountersError, CountersFile, Reading, Values};
pub use self::publisher::{PUBLISH, Publisher};
use super::clock::{Clock, Instant};
use crate::inference::Meter;
use crate::risk::Mode;

/// The words of every counter. Anybody may read them, at any time.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters([AtomicU64; WORDS]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }
}

impl Counters {
    /// The word with this id.
    ///
    /// # Panics
    /// If there is none.
    #[inline]
    #[must_use]
    pub fn get(&self, id: usize) -> u64 {
        self.0[id].load(Ordering::Relaxed)
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn values(&self) -> Values {
        Values::of(self)
    }

    #[inline]
    fn set(&self, family: Family, value: u64) {
        self.0[family.id].store(value, Ordering::Relaxed);
    }

    /// Adds to a word. Its one writer is the caller, so nothing is lost between the load and the store.
    #[inline]
    fn add(&self, id: usize, value: u64) {
        self.0[id].store(self.0[id].load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
    }

    /// Counts one of the family's value at this place; one that has no place counts as the last.
    #[inline]
    fn count(&self, family: Family, index: usize) {
        self.add(family.id + index.min(family.len - 1), 1);
    }

    /// Counts a time in the histogram at this place.
    #[inline]
    fn time(&self, family: Family, index: usize, nanoseconds: u32) {
        self.add(family.id + index * HISTOGRAM_WORDS + bucket_of(nanoseconds), 1);
    }
}

/// Outputs that are counted one by one, and that most steps do not have.
const RARE: [Kind; 4] = [Kind::BarClosed, Kind::Verdict, Kind::OrderRequest, Kind::Alert];

/// Counts finished steps. There is one, on the thread that commits.
#[derive(Debug)]
pub(crate) struct CoreCounters(Arc<Counters>);

impl CoreCounters {
    /// Counters of an engine that is in this mode.
    pub(crate) fn new(counters: Arc<Counters>, mode: Mode) -> Self {
        counters.set(at::MODE, u64::from(mode.code()));
        Self(counters)
    }

    /// Counts a step that was committed, with its times if it has any: its stamps, and nanoseconds from its receipt to its
    /// commit.
    #[inline]
    pub(crate) fn step(&mut self, step: &Step, times: Option<(&Stamps, u32)>) {
        let counters = &*self.0;
        counters.set(at::COMMITTED, step.sequence().0);
        counters.set(at::EVENT_TIME, step.time().0.cast_unsigned());
        counters.add(at::STEPS.id, 1);
        match step.input_as::<Tick>() {
            Some(tick) => self.tick(tick),
            None => step.view().input().into_iter().for_each(|input| self.rare(&input)),
        }
        counters.add(at::VECTORS.id, u64::from(step.holds(Kind::Features)));
        if step.holds(Kind::Prediction) {
            self.spoken(step);
        }
        if RARE.iter().any(|kind| step.holds(*kind)) {
            step.view().records().skip(1).for_each(|record| self.rare(&record));
        }
        if let Some((stamps, committed_ns)) = times {
            self.times(stamps, committed_ns);
        }
    }

    #[inline]
    fn times(&self, stamps: &Stamps, committed_ns: u32) {
        let time = |stage: usize, from: u32, to: u32| {
            self.0.time(at::STAGE_LATENCY, stage, to.saturating_sub(from));
        };
        time(0, stamps.published_ns, stamps.taken_ns);
        time(1, stamps.taken_ns, stamps.feature_ns);
        time(2, stamps.feature_ns, stamps.inference_ns);
        time(3, stamps.inference_ns, stamps.risk_ns);
        time(4, stamps.risk_ns, stamps.order_ns);
        time(5, stamps.order_ns, committed_ns);
        time(6, stamps.published_ns, committed_ns);
    }

    #[inline]
    fn tick(&self, tick: &Tick) {
        self.0.add(at::INPUTS.id + usize::from(Kind::Tick.code()), 1);
        self.0.count(at::TICKS, usize::from(tick.instrument.0));
        if !tick.marks.is_empty() {
            self.marks(tick.marks);
        }
    }

    /// Counts what agents said, and what came of it.
    #[inline]
    fn spoken(&self, step: &Step) {
        let mut records = step.outputs_from(Kind::Prediction);
        while let Some(it) = records.next().and_then(|record| record.get::<Prediction>()) {
            self.0.count(at::PREDICTIONS, usize::from(it.agent.0));
        }
        if let Some(it) = step.get::<Signal>() {
            self.0.count(at::SIGNALS, at::direction_index(it.direction));
        }
    }

    #[cold]
    fn marks(&self, marks: TickMarks) {
        bits(u64::from(marks.0), |bit| self.0.count(at::FLAGGED, bit));
    }

    /// Counts what most steps do not have.
    fn rare(&self, record: &Record<'_>) {
        let counters = &*self.0;
        let Some(kind) = record.kind() else { return };
        if kind.is_input() {
            counters.count(at::INPUTS, usize::from(kind.code()));
        }
        if kind == Kind::BarClosed {
            counters.add(at::BARS.id, 1);
        } else if let Some(it) = record.get::<Verdict>() {
            counters.count(at::VERDICTS, usize::from(it.outcome.0));
            if it.outcome == Outcome::REFUSED {
                bits(it.reasons.0, |bit| counters.count(at::REFUSALS, bit));
            }
        } else if let Some(it) = record.get::<OrderRequest>() {
            counters.count(at::REQUESTS, usize::from(it.action.0));
            if it.action == OrderAction::NEW {
                counters.count(at::ORDERS, usize::from(it.instrument.0));
            }
        } else if let Some(it) = record.get::<ExecutionReport>() {
            counters.count(at::REPORTS, usize::from(it.kind.0));
            if it.kind == ExecutionKind::REJECTED {
                counters.count(at::REJECTS, usize::from(it.reason.0));
            }
        } else if let Some(it) = record.get::<Alert>() {
            counters.count(at::ALERTS, usize::from(it.code.0));
        } else if let Some(it) = record.get::<Command>() {
            counters.count(at::COMMANDS, usize::from(it.action.0));
        }
    }

    /// Notes that the engine may do something else now.
    #[cold]
    pub(crate) fn mode(&mut self, mode: Mode) {
        self.0.set(at::MODE, u64::from(mode.code()));
        if mode == Mode::Halted {
            self.0.add(at::HALTS.id, 1);
        }
    }
}

fn bits(mut bits: u64, mut each: impl FnMut(usize)) {
    while bits != 0 {
        each(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Counts what the gateway releases, in a run that counts. There is one.
#[derive(Debug)]
pub(crate) struct GatewayCounters(Option<Arc<Counters>>);

impl GatewayCounters {
    pub(crate) fn new(counters: Option<&Arc<Counters>>) -> Self {
        Self(counters.cloned())
    }

    /// The orders of every step up to this one have left.
    #[inline]
    pub(crate) fn seen(&mut self, sequence: Sequence) {
        if let Some(counters) = &self.0 {
            counters.set(at::RELEASED, sequence.0);
        }
    }

    /// Orders left the gateway, so long after their input was published.
    pub(crate) fn executed(&mut self, nanoseconds: u64) {
        if let Some(counters) = &self.0 {
            counters.time(at::EXECUTION_LATENCY, 0, Stamps::saturate(nanoseconds));
        }
    }

    /// Orders waited so long for the disk.
    pub(crate) fn held(&mut self, nanoseconds: u64) {
        if let Some(counters) = &self.0 {
            counters.time(at::HOLD_LATENCY, 0, Stamps::saturate(nanoseconds));
        }
    }
}

/// Counts what the edge sees, in a run that counts. There is one.
#[derive(Debug)]
pub(crate) struct EdgeCounters(Option<Arc<Counters>>);

impl EdgeCounters {
    pub(crate) fn new(counters: Option<&Arc<Counters>>) -> Self {
        Self(counters.cloned())
    }

    /// What ingress has counted of its ticks, and how often the ring was full.
    pub(crate) fn ingress(&mut self, counts: &RunEnded, ring_full: u64) {
        let Some(counters) = &self.0 else { return };
        counters.set(at::RING_FULL, ring_full);
        counters.set(at::DROPPED, counts.ticks_dropped);
        for (mark, count) in [
            (TickMarks::BACKWARDS, counts.ticks_backwards),
            (TickMarks::DUPLICATE, counts.ticks_duplicate),
            (TickMarks::CROSSED, counts.ticks_crossed),
            (TickMarks::NONPOSITIVE, counts.ticks_nonpositive),
            (TickMarks::JUMP, counts.ticks_jump),
        ] {
            let id = at::WRONG.id + mark.0.trailing_zeros() as usize;
            counters.0[id].store(count, Ordering::Relaxed);
        }
    }

    /// The ring has so many slots.
    pub(crate) fn ring(&mut self, slots: usize) {
        if let Some(counters) = &self.0 {
            counters.set(at::RING_SLOTS, slots as u64);
        }
    }
}

/// Times the calls of the agents' models, for the inference stage, which knows no clock.
#[derive(Debug)]
pub(crate) struct ModelMeter {
    counters: Arc<Counters>,
    clock: Clock,
    began: Instant,
}

impl ModelMeter {
    pub(crate) fn new(counters: Arc<Counters>, clock: Clock) -> Self {
        Self { counters, clock, began: Instant::default() }
    }
}

impl Meter for ModelMeter {
    fn begin(&mut self) {
        self.began = self.clock.now();
    }

    fn end(&mut self, agent: usize) {
        let nanoseconds = self.clock.stamp(self.began, self.clock.now());
        self.counters.time(at::MODEL_LATENCY, agent.min(at::MODEL_LATENCY.len - 1), nanoseconds);
    }
}

#[cfg(test)]
mod tests;
