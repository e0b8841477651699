//! `pawl bench replay`: what it costs to run a journal again, to start again from it, and to look into its past.
//!
//! ```text
//!  speed     one pinned thread, turn about: baseline reader | replay and compare, for each of two sessions
//!  restart   one pinned thread: every step followed | the newest snapshot and what lies behind it
//!  state     one pinned thread: `state --at` all over the journal, the farthest places from a snapshot included
//! ```
//!
//! The sessions are synthetic, run through the whole engine into journals first, which is not measured. A regression
//! of `speed` is one of every replay, bisection and recovery.

mod restart;
mod session;
mod speed;
mod state;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit::Exit;
use crate::machine;
use crate::measure::{Conditions, Cores, Place, Sections, Stop};

use session::{Recorded, With};

/// Measure replay: steps a second with every record compared, restarts, the state at any step.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench replay\n  pawl bench replay --dir /data --steps 10000000\n  \
    pawl bench replay --only speed\n  pawl bench replay --quick --json\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer, \
    2 could not measure, 3 the disk filled up, or interrupted, 130 interrupted a second time. Writing the sessions takes longer than measuring. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Replay {
    #[command(flatten)]
    sections: Sections<Section>,
    /// Steps of the session without a model; the one with models has a fifth of them; 20000 to 1000000000 [default: 10000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(20_000..=1_000_000_000))]
    steps: Option<u64>,
    /// Steps between two snapshots, 1000 to 1000000000 [default: a tenth of --steps, 1000000 at most]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    snapshot_every: Option<u64>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Steps a second, every record compared
    Speed,
    /// How long it takes to come to the end of a journal, with a snapshot and without
    Restart,
    /// How long `state --at` takes
    State,
}

/// How much is measured, and where.
#[derive(Debug)]
struct Plan {
    place: Place,
    cores: Cores,
    stop: Stop,
    steps: u64,
    snapshot_every: u64,
    repetitions: usize,
    build_hash: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    speed: Option<speed::Speeds>,
    restart: Option<restart::Restarts>,
    state: Option<state::States>,
}

impl Replay {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let plan = self.plan()?;
        plan.place.need(session::bytes_needed(plan.steps), Some("--steps"))?;
        let conditions = Conditions::now(&plan.place, &plan.cores);
        let mut report = Report {
            bench: "replay",
            quick: self.sections.quick,
            conditions,
            speed: None,
            restart: None,
            state: None,
        };
        let record = self.sections.begin(report.bench, &report.conditions)?;
        let plain = Recorded::write(&plan, With::Rule, plan.steps)?;
        if self.sections.wants(Section::Speed) {
            let models = Recorded::write(&plan, With::Models, (plan.steps / 5).max(10_000))?;
            let it = speed::measure(&plan, [&plain, &models])?;
            self.sections.show(&it)?;
            report.speed = Some(it);
            models.remove()?;
        }
        if self.sections.wants(Section::Restart) || self.sections.wants(Section::State) {
            let restarts = restart::measure(&plan, &plain)?;
            if self.sections.wants(Section::Restart) {
                self.sections.show(&restarts)?;
                report.restart = Some(restarts);
            }
            if self.sections.wants(Section::State) {
                let it = state::measure(&plan, &plain)?;
                self.sections.show(&it)?;
                report.state = Some(it);
            }
        }
        plan.place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let steps = self.steps.unwrap_or(if self.sections.quick { 20_000 } else { 10_000_000 });
        Ok(Plan {
            place: self.sections.place()?,
            cores: Cores::usable(),
            stop: Stop::on_signals()?,
            steps,
            snapshot_every: self.snapshot_every.unwrap_or((steps / 10).clamp(1_000, 1_000_000)),
            repetitions: 3,
            build_hash: machine::build_hash()?,
        })
    }
}
