//! The `pawl` command: run, replay, tail, verify, operate and measure a Pawl engine.
//!
//! Exit codes: 0 yes, 1 no (a finding), 2 could not answer (usage, missing file), 3 stopped by a limit or a failure of
//! the environment. Results go to stdout, diagnostics to stderr, progress only to a terminal.
#![forbid(unsafe_code)]

mod command;
mod config;
mod exit;
mod inputs;
mod lag;
mod machine;
mod measure;
mod opened;
mod output;
mod session;
mod shadow;
mod signals;
mod twin;

use std::alloc::System;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::exit::Exit;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The system's allocator, counting: `pawl bench` tells what a step allocates. Steps allocate nothing, so it costs them nothing.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of this process so far, by any thread, growing what is there included.
fn allocations() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}

/// A headless, event-sourced trading engine: every tick, decision and fill in one journal.
#[derive(Parser)]
#[command(
    name = "pawl",
    version,
    propagate_version = true,
    after_help = "Begin with `pawl demo`.\n\nExit codes: 0 yes, 1 no (a finding), 2 could not answer, \
                  3 stopped by a limit or a failure of the environment."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(command::demo::Demo),
    Run(command::run::Run),
    Replay(command::replay::Replay),
    Tail(command::tail::Tail),
    Verify(command::verify::Verify),
    Repair(command::repair::Repair),
    State(command::state::State),
    Snapshot(command::snapshot::Snapshot),
    Chain(command::chain::Chain),
    Report(command::report::Report),
    Export(command::export::Export),
    Bundle(command::bundle::Bundle),
    Diff(command::diff::Diff),
    Bisect(command::bisect::Bisect),
    Fingerprint(command::fingerprint::FingerprintArgs),
    Whatif(command::whatif::Whatif),
    Sweep(command::sweep::Sweep),
    Slowest(command::slowest::Slowest),
    Cursor(command::cursor::Cursor),
    Prune(command::prune::Prune),
    Ctl(command::ctl::Ctl),
    Top(command::top::Top),
    Doctor(command::doctor::Doctor),
    Bench(command::bench::Bench),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    // A limit on the size of files is a full disk: the write fails, and says so, instead of ending the process.
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()) {
        eprintln!("pawl: a file that grows beyond its limit will end this program: {error}");
    }
    let result = match cli.command {
        Command::Demo(it) => it.run(),
        Command::Run(it) => it.run(),
        Command::Replay(it) => it.run(),
        Command::Tail(it) => it.run(),
        Command::Verify(it) => it.run(),
        Command::Repair(it) => it.run(),
        Command::State(it) => it.run(),
        Command::Snapshot(it) => it.run(),
        Command::Chain(it) => it.run(),
        Command::Report(it) => it.run(),
        Command::Export(it) => it.run(),
        Command::Bundle(it) => it.run(),
        Command::Diff(it) => it.run(),
        Command::Bisect(it) => it.run(),
        Command::Fingerprint(it) => it.run(),
        Command::Whatif(it) => it.run(),
        Command::Sweep(it) => it.run(),
        Command::Slowest(it) => it.run(),
        Command::Cursor(it) => it.run(),
        Command::Prune(it) => it.run(),
        Command::Ctl(it) => it.run(),
        Command::Top(it) => it.run(),
        Command::Doctor(it) => it.run(),
        Command::Bench(it) => it.run(),
    };
    let exit = result.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        if exit != Exit::Quiet {
            eprintln!("pawl: {}", exit::message(&error));
        }
        exit
    });
    exit.into()
}
