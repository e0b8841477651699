//! `Arrivals`: a feed that releases ticks when they are due, whatever the engine does meanwhile.
//!
//! ```text
//!  warm-up, at once | due 0 | due 1 | due 2 ..      the schedule is fixed when the first tick is due: period x index
//! ```
//!
//! A tick that is asked for too late is given too late and keeps its due time, so a stall of the engine counts for every
//! tick that came due in it. It is a live feed: until the next tick is due there is none yet. Where bars have to close by
//! the ticks' own time it is one of the past, and repeats its last tick until then, which ingress leaves out.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pawl_adapters::feed::Memory;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::runtime::{Clock, Instant};
use pawl_journal::record::Time;

/// From the warm-up to the first tick that is due: what is still on its way is through then.
const SETTLE_NS: u64 = 5_000_000;

/// When ticks are due; shared by the feed and whoever works out the latencies.
#[derive(Debug)]
pub struct Schedule {
    /// Ticks a second.
    pub rate: u64,
    /// Ticks in front of the first that is measured.
    pub warm_up: u64,
    /// Whether ticks happen now, and not at their own time.
    pub is_live: bool,
    /// Where the feed stops for a moment, and for how long: a stall that the latencies must show.
    pub stall: Option<(u64, Duration)>,
    start: OnceLock<Instant>,
}

impl Schedule {
    /// A schedule that begins behind the warm-up.
    pub fn new(rate: u64, warm_up: u64, is_live: bool, stall: Option<(u64, Duration)>) -> Arc<Self> {
        Arc::new(Self { rate, warm_up, is_live, stall, start: OnceLock::new() })
    }

    /// From the start to when the tick at this place of the feed (from 1) is due, ns; none during the warm-up.
    #[inline]
    pub fn due_ns(&self, place: u64) -> Option<u64> {
        let index = place.checked_sub(self.warm_up + 1)?;
        Some(SETTLE_NS + (index as f64 * 1e9 / self.rate as f64) as u64)
    }

    /// Wall-clock time of the start, by the clock of the run.
    pub fn start(&self, clock: &Clock) -> Option<Time> {
        self.start.get().map(|start| clock.unix(*start))
    }
}

/// The feed.
#[derive(Debug)]
pub struct Arrivals {
    ticks: Memory,
    schedule: Arc<Schedule>,
    clock: Clock,
    last: Option<FeedTick>,
    given: u64,
}

impl Arrivals {
    /// These ticks on this schedule.
    pub fn new(ticks: Vec<FeedTick>, schedule: Arc<Schedule>) -> Self {
        let ticks = Memory::new("arrivals", ticks);
        Self { ticks, schedule, clock: Clock::new(), last: None, given: 0 }
    }
}

impl Feed for Arrivals {
    #[inline]
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        if let Some(due_ns) = self.schedule.due_ns(self.given + 1) {
            let now = self.clock.now();
            let start = *self.schedule.start.get_or_init(|| now);
            if self.clock.nanoseconds(start, now) < due_ns {
                return Ok(self.last.filter(|_| !self.schedule.is_live));
            }
        }
        let tick = self.ticks.next()?;
        if tick.is_some() {
            self.last = tick;
            self.given += 1;
            if let Some((place, stall)) = self.schedule.stall
                && place == self.given
            {
                std::thread::sleep(stall);
            }
        }
        Ok(tick)
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        self.ticks.skip_to(source_sequence)
    }

    fn is_live(&self) -> bool {
        self.schedule.is_live
    }

    fn has_ended(&self) -> bool {
        self.given == self.ticks.ticks().len() as u64
    }

    fn name(&self) -> &str {
        self.ticks.name()
    }
}
