//! The peers' work: two moving averages, an order at each cross, over ticks in memory.
//!
//! ```text
//!  journaled    the whole engine, `single`
//!  not          the same inputs through the same stages and the same venue, in one loop: no ingress, stamps, journal, gateway
//!  alone        two sums and a comparison
//! ```

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use pawl_adapters::venue::Paper;
use pawl_engine::Input;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::Venue as _;
use pawl_engine::runtime::Threading;
use pawl_journal::record::{FeedId, OrderRequest, Sequence, Step, TickMarks, Time};

use crate::command::bench::work::Work;
use crate::measure::on_core;
use crate::session::{models_in, settings_of};

use super::engine::in_memory;
use super::{Lane, Once, Plan};

/// The row that the aim speaks of.
pub const JOURNALED: &str = "everything journaled, `single`";

/// Ticks of the averages.
const FAST: usize = 20;
const SLOW: usize = 100;

/// The rows.
pub fn lanes<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
    let config = Work::Peers.config(Threading::Single);
    vec![
        (JOURNALED.to_owned(), Box::new(move || in_memory(plan, config.clone()))),
        ("journal off: stages and venue in one loop".to_owned(), Box::new(move || unjournaled(plan))),
        ("the strategy alone: two sums, a comparison".to_owned(), Box::new(move || alone(plan))),
    ]
}

fn unjournaled(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let config = Work::Peers.config(Threading::Single);
    let settings = settings_of(&config, plan.ticks.instruments.clone());
    let mut pipeline = Pipeline::new(&settings, &models_in(Path::new(".")))?;
    let mut venue = Paper::new(&config.venue.paper, &settings.instruments)?;
    let ticks = plan.ticks.repeated(plan.count);
    let mut once = Once { ticks: ticks.len() as u64, ..Once::default() };
    let mut step = Step::new();
    once.elapsed_ns = on_core(plan.cores.first(), || {
        let mut process = |input: &Input, time: Time, venue: &mut Paper| {
            once.steps += 1;
            input.begin(&mut step, Sequence(once.steps), time);
            pipeline.run(&mut step);
            if let Input::Tick(tick) = input {
                venue.on_tick(tick, time);
            }
            if step.view().has_orders() {
                for request in step.view().all::<OrderRequest>() {
                    venue.submit(request, time);
                    once.orders += 1;
                }
            }
        };
        let began = Instant::now();
        // As in a run, risk waits for what the venue holds.
        for item in venue.statement().unwrap_or_default() {
            process(&Input::Reconciled(item), ticks[0].time, &mut venue);
        }
        for tick in &ticks {
            while let Some((due, report)) = venue.poll(tick.time) {
                process(&Input::Report(report), due, &mut venue);
            }
            process(&Input::Tick(tick.record(FeedId(0), TickMarks::NONE)), tick.time, &mut venue);
        }
        began.elapsed().as_nanos() as u64
    });
    Ok(once)
}

fn alone(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let ticks = plan.ticks.repeated(plan.count);
    let (crosses, elapsed) = on_core(plan.cores.first(), || {
        let began = Instant::now();
        let mut mids = [0_i64; SLOW];
        let (mut fast, mut slow, mut was_above, mut crosses) = (0, 0, None, 0);
        for (index, tick) in ticks.iter().enumerate() {
            let mid = tick.bid.0 + tick.ask.0;
            let at = index % SLOW;
            fast += mid - if index >= FAST { mids[(at + SLOW - FAST) % SLOW] } else { 0 };
            slow += mid - mids[at];
            mids[at] = mid;
            let over = fast * SLOW as i64 - slow * FAST as i64;
            if index + 1 >= SLOW && over != 0 && was_above.replace(over > 0) != Some(over > 0) {
                crosses += 1;
            }
        }
        (black_box(crosses), began.elapsed())
    });
    let count = ticks.len() as u64;
    Ok(Once {
        ticks: count,
        steps: count,
        orders: crosses,
        elapsed_ns: elapsed.as_nanos() as u64,
        allocations: None,
    })
}
