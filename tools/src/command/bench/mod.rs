//! `pawl bench`: what this build does on this machine, one file (or room) a benchmark.
//!
//! Every one prints its conditions first, measures an empty baseline in the same run, reports percentiles to the
//! maximum, checks its answer, and has a `--quick` form that the test suite runs.

mod inference;
mod journal;
mod latency;
mod replay;
mod ring;
mod table;
mod throughput;
mod ticks;
mod work;

use clap::{Args, Subcommand};

use crate::exit::{Exit, message};
use crate::measure::Failure;

/// Measure this build on this machine: percentiles to the maximum, against an empty baseline in the same run.
///
/// Without a sub-command: what the engine is held against in one table, every figure from a run of this moment; about three
/// minutes.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  pawl bench\n  pawl bench --data ../shared/data --markdown\n  pawl bench latency --chart latency.html\n  \
    pawl bench journal --quick --json\n\n\
    In the table, floor is one cache line handed from core to core, turn about with the rows. Some bounds follow it: tick to \
    order should take at most 2 x the floor's p50 + 500 ns, and at the 99th percentile 1.3 x the floor's. Where something else \
    took the floor's cores (its p99 is more than 20 x that of its quiet windows, or its p50 over 2,000 ns), meeting these \
    bounds counts for nothing.\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer, \
    2 could not measure, 3 the disk filled up, or interrupted, 130 interrupted a second time. Of a bench that was killed \
    a directory pawl-bench-... may be left where it wrote."
)]
pub struct Bench {
    #[command(subcommand)]
    which: Option<Which>,
    #[command(flatten)]
    overview: table::Overview,
}

#[derive(Subcommand)]
enum Which {
    Latency(Box<latency::Latency>),
    Throughput(throughput::Throughput),
    Ring(ring::Ring),
    Inference(inference::Inference),
    Journal(journal::Journal),
    Replay(replay::Replay),
}

impl Bench {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let result = match self.which {
            Some(Which::Latency(it)) => it.run(),
            Some(Which::Throughput(it)) => it.run(),
            Some(Which::Ring(it)) => it.run(),
            Some(Which::Inference(it)) => it.run(),
            Some(Which::Journal(it)) => it.run(),
            Some(Which::Replay(it)) => it.run(),
            None => self.overview.run(),
        };
        result.or_else(|error| {
            let exit = match error.downcast_ref() {
                Some(Failure::WrongAnswer(_)) => Exit::Finding,
                Some(Failure::Interrupted) => Exit::Stopped,
                // A finding is an answer that is wrong; ticks that cannot be read gave none.
                None if Exit::of(&error) == Exit::Finding => Exit::Unusable,
                None => return Err(error),
            };
            eprintln!("pawl: {}", message(&error));
            Ok(exit)
        })
    }
}
