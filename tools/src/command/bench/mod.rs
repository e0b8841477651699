//! `pawl bench`: what this build does on this machine, one file (or room) a benchmark.
//!
//! Every one prints its conditions first, measures an empty baseline in the same run, reports percentiles to the
//! maximum, checks its answer, and has a `--quick` form that the test suite runs.

mod inference;
mod journal;
mod replay;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::measure::Failure;

/// Measure this build on this machine: percentiles to the maximum, against an empty baseline in the same run.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench journal\n  pawl bench replay\n  pawl bench journal --quick --json\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer,\n\
    2 could not measure, 3 the disk filled up, or interrupted."
)]
pub struct Bench {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    Inference(inference::Inference),
    Journal(journal::Journal),
    Replay(replay::Replay),
}

impl Bench {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let result = match self.which {
            Which::Inference(it) => it.run(),
            Which::Journal(it) => it.run(),
            Which::Replay(it) => it.run(),
        };
        result.or_else(|error| {
            let exit = match error.downcast_ref() {
                Some(Failure::WrongAnswer(_)) => Exit::Finding,
                Some(Failure::Interrupted) => Exit::Stopped,
                None => return Err(error),
            };
            eprintln!("pawl: {error}");
            Ok(exit)
        })
    }
}
