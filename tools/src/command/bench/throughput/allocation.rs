//! Allocations of the whole process between two ticks of a run.
//!
//! ```text
//!  feed   tick 1 .. warm-up | count | .. last tick | count        everything that any thread allocates between the two
//! ```
//!
//! The feed reads the counter of the allocator (`main.rs`) when it is asked for a tick, on the edge's thread. It waits a
//! moment first, until the journal's threads have made their segments; the first is large enough for the round, so that no
//! roll is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pawl_adapters::feed::Memory;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::runtime::Threading;

use crate::allocations;
use crate::command::bench::work::{THREADINGS, Work, session, threading_name};

use super::engine::run;
use super::{Lane, MEASURED_TICKS, Once, Plan, STEP_BYTES};

/// Ticks behind which nothing is to be allocated any more.
const WARM_UP: usize = 10_000;

/// How long the journal's threads get to make their segments.
const SETTLE: Duration = Duration::from_millis(300);

/// Every threading mode.
pub fn lanes<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
    let lane =
        |threading| -> Lane<'a> { (threading_name(threading), Box::new(move || once(plan, threading))) };
    THREADINGS.map(lane).into_iter().collect()
}

fn once(plan: &Plan<'_>, threading: Threading) -> anyhow::Result<Once> {
    let ticks = plan.ticks.repeated(plan.count.min(plan.ticks.count()));
    let count = ticks.len();
    let mut config = Work::Features.trading(threading);
    config.journal.segment_bytes = (2 * count as u64 * STEP_BYTES).next_multiple_of(1 << 20).max(16 << 20);
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let feed = Counting {
        ticks: Memory::new("counting", ticks),
        given: 0,
        last: count,
        counts: Arc::clone(&counts),
    };
    let once = run(plan, session(config, plan.ticks, feed), count as u64)?;
    let [first, last] = [&counts[0], &counts[1]].map(|it| it.load(Ordering::Relaxed));
    // Fewer ticks warm nothing up.
    let allocations = (count as u64 >= MEASURED_TICKS).then(|| last - first);
    Ok(Once { allocations, ..once })
}

/// A feed that reads the counter when the warm-up ends, and when its last tick is asked for.
struct Counting {
    ticks: Memory,
    given: usize,
    last: usize,
    counts: Arc<[AtomicU64; 2]>,
}

impl Feed for Counting {
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        self.given += 1;
        if self.given == WARM_UP.min(self.last / 2) {
            std::thread::sleep(SETTLE);
            self.counts[0].store(allocations(), Ordering::Relaxed);
        } else if self.given == self.last {
            self.counts[1].store(allocations(), Ordering::Relaxed);
        }
        self.ticks.next()
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        self.ticks.skip_to(source_sequence)
    }

    fn name(&self) -> &str {
        self.ticks.name()
    }
}
