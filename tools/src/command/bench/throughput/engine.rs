//! Rows in which the engine runs as `pawl run` runs it: ingress, ring, stages, journal, gateway, paper venue.

use std::path::Path;
use std::time::Instant;

use pawl_adapters::feed::Memory;
use pawl_engine::runtime::{Outcome, Threading};
use pawl_journal::log::verify;
use pawl_journal::record::{EndReason, Kind};

use crate::command::bench::work::{FreeRunning, THREADINGS, Work, as_run, session, threading_name};
use crate::config::Config;
use crate::measure::{Failure, on_core};
use crate::session::{NamedFeed, Session};

use super::{Lane, Once, Plan};

/// The row from an export on disk to the last journaled step.
pub const EXPORT: &str = "the whole engine";

/// Rows of the whole engine.
pub struct Whole;

impl Whole {
    /// Every threading mode free-running, and `single` once more as the backtest that `pawl run` makes of such ticks.
    pub fn features<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
        let mut lanes: Vec<Lane<'a>> = Vec::new();
        for threading in THREADINGS {
            let config = Work::Features.config(threading);
            lanes.push((threading_name(threading), Box::new(move || free_running(plan, config.clone()))));
        }
        let config = as_run(Threading::Single);
        let name = "single, as a backtest: lockstep, minute bars, pulses";
        lanes.push((name.to_owned(), Box::new(move || in_memory(plan, config.clone()))));
        lanes
    }

    /// Reading and parsing alone, and with everything behind it, with the settings that `pawl run` has.
    pub fn export<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
        vec![
            (EXPORT.to_owned(), Box::new(move || export(plan))),
            ("unpacking and parsing alone".to_owned(), Box::new(move || parse(plan))),
        ]
    }

    /// Without stamps and counters, with each, and with both.
    pub fn stamps<'a>(plan: &'a Plan<'_>) -> Vec<Lane<'a>> {
        let of = |stamps, counters| {
            let mut config = Work::Features.config(Threading::Single);
            config.runtime.stamps = stamps;
            config.runtime.counters = counters;
            move || in_memory(plan, config.clone())
        };
        vec![
            ("neither".to_owned(), Box::new(of(false, false))),
            ("counters".to_owned(), Box::new(of(false, true))),
            ("stamps".to_owned(), Box::new(of(true, false))),
            ("both".to_owned(), Box::new(of(true, true))),
        ]
    }
}

/// One round over ticks in memory that are taken as fast as the engine goes.
fn free_running(plan: &Plan<'_>, config: Config) -> anyhow::Result<Once> {
    let feed = FreeRunning(Memory::new("memory", plan.ticks.repeated(plan.count)));
    run(plan, session(config, plan.ticks, feed), plan.count as u64)
}

/// One round over ticks in memory, in lockstep with the venue.
pub fn in_memory(plan: &Plan<'_>, config: Config) -> anyhow::Result<Once> {
    let feed = Memory::new("memory", plan.ticks.repeated(plan.count));
    let ticks = feed.ticks().len() as u64;
    run(plan, session(config, plan.ticks, feed), ticks)
}

/// One round of a session, checked.
pub fn run(plan: &Plan<'_>, session: Session, ticks: u64) -> anyhow::Result<Once> {
    let dir = plan.place.path("throughput");
    // On a thread of its own, which the run may pin.
    let outcome = on_core(None, || session.backtest(&dir, plan.stop.flag()))?;
    plan.stop.check()?;
    checked(&dir, &outcome, ticks)
}

/// Checks that a journal is clean and holds every tick, and removes it.
fn checked(dir: &Path, outcome: &Outcome, ticks: u64) -> anyhow::Result<Once> {
    let verified = verify(dir, &mut |_, _| {})?;
    let count = |kind| verified.record_counts.get(&kind).copied().unwrap_or(0);
    Failure::unless(verified.findings.is_empty() && outcome.reason == EndReason::FEED_ENDED, || {
        format!("the journal is damaged, or the run ended with {}: {:?}", outcome.reason, verified.findings)
    })?;
    Failure::unless(count(Kind::Tick) == ticks, || {
        format!("the journal holds {} ticks of {ticks}", count(Kind::Tick))
    })?;
    std::fs::remove_dir_all(dir)?;
    Ok(Once {
        ticks,
        steps: outcome.last.0 - outcome.first.0 + 1,
        orders: count(Kind::OrderRequest),
        elapsed_ns: outcome.elapsed_ns,
        allocations: None,
    })
}

/// From in front of opening the export to the last journaled step: the journal's first segment is made on the way.
fn export(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let dir = plan.place.path("throughput");
    let config = as_run(Threading::Single);
    let (outcome, opened_ns) = on_core(None, || {
        let began = Instant::now();
        let feeds: Vec<NamedFeed> = plan.ticks.open()?;
        let session = Session::new(config, plan.ticks.instruments.clone(), ".".into(), feeds);
        let run = session.begin(&dir, plan.stop.flag(), |paper| Box::new(paper))?;
        let opened_ns = began.elapsed().as_nanos() as u64;
        anyhow::Ok((run.drive()?, opened_ns))
    })?;
    plan.stop.check()?;
    let once = checked(&dir, &outcome, plan.ticks.count() as u64)?;
    Ok(Once { elapsed_ns: opened_ns + outcome.elapsed_ns, ..once })
}

fn parse(plan: &Plan<'_>) -> anyhow::Result<Once> {
    let ticks = on_core(plan.cores.first(), || {
        let began = Instant::now();
        let mut ticks = 0;
        for mut feed in plan.ticks.open()? {
            while std::hint::black_box(feed.feed.next()?).is_some() {
                ticks += 1;
            }
        }
        anyhow::Ok((ticks, began.elapsed()))
    });
    let (ticks, elapsed) = ticks?;
    Ok(Once { ticks, steps: ticks, elapsed_ns: elapsed.as_nanos() as u64, ..Once::default() })
}
