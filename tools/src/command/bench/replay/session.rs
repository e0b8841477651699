//! The sessions that are replayed: two synthetic symbols through the whole engine, with a rule or with the demo's models.

use std::path::PathBuf;

use pawl_adapters::feed::SyntheticSettings;
use pawl_engine::quantity::Span;
use pawl_engine::runtime::Threading;
use pawl_journal::log::Reader;

use crate::command::demo::{START, demo_config, demo_instruments, synthetic_feeds};
use crate::config::{Config, CoreChoice, CoreName, ThreadingChoice};
use crate::measure::{Failure, allocated_bytes};
use crate::session::Session;

use super::Plan;

/// Ticks a second, of each symbol.
const TICKS_PER_SECOND: u64 = 20;

/// Steps a second: the ticks of both symbols and a pulse of the timer.
const STEPS_PER_SECOND: u64 = 2 * TICKS_PER_SECOND + 1;

/// Bytes of a step in these journals, generously.
const STEP_BYTES: u64 = 400;

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// A rule on one-minute bars: every feature column, no model.
    Rule,
    /// The demo's two agents, one of them at every tick.
    Models,
}

/// A journal that was written to be replayed.
#[derive(Debug)]
pub struct Recorded {
    /// Who decided in it.
    pub with: With,
    /// Its directory.
    pub dir: PathBuf,
    /// Its steps.
    pub steps: u64,
}

/// Bytes on disk of all sessions, at most.
pub fn bytes_needed(steps: u64) -> u64 {
    allocated_bytes((steps + steps / 5).saturating_mul(STEP_BYTES), 64 << 20)
}

impl Recorded {
    /// Runs a session of about so many steps into a new journal.
    pub fn write(plan: &Plan, with: With, steps: u64) -> anyhow::Result<Self> {
        let dir = plan.place.path(if with == With::Rule { "rule" } else { "models" });
        let mut config = if with == With::Rule { Config::default() } else { demo_config() };
        config.threading = ThreadingChoice::This(Threading::Single);
        config.runtime.cores = CoreChoice::Named(CoreName::None);
        config.runtime.snapshot_every = 0;
        let seconds = steps.div_ceil(STEPS_PER_SECOND);
        let settings = SyntheticSettings {
            start: START,
            duration: Span::seconds(seconds.cast_signed()),
            ticks: seconds * TICKS_PER_SECOND,
            gap: Span(0),
            ..SyntheticSettings::default()
        };
        let instruments = demo_instruments();
        let feeds = synthetic_feeds(settings, &instruments)?;
        Session::new(config, instruments, PathBuf::from("."), feeds).run(&dir)?;
        plan.stop.check()?;
        let reader = Reader::open(&dir)?;
        let (last, durable) = (reader.last_sequence()?.0, reader.durable_sequence()?.0);
        Failure::unless(last > steps / 2 && last == durable, || {
            format!("the session of {steps} steps has {last}, of which {durable} are on disk")
        })?;
        Ok(Self { with, dir, steps: last })
    }

    /// Removes it.
    pub fn remove(self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(&self.dir)?)
    }
}
