//! A cell: one point of the grid on one range of time, run as `pawl run` runs it and reported as `pawl report` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pawl_adapters::feed::TimeRange;
use pawl_engine::runtime::Threading;
use pawl_journal::log::Durability;
use pawl_journal::record::EndReason;
use pawl_replay::{ReportOptions, Sample, report};

use super::figures::Figures;
use super::grid::Grid;
use crate::config::{Config, CoreChoice, CoreName, DurabilityChoice, Layers, ThreadingChoice};
use crate::exit::{Exit, message};
use crate::inputs::{self, FeedFiles, NoTicks, locate};
use crate::session::Session;

/// Bytes of a cell's segments: small ones, as a cell may be short and there may be thousands.
const SEGMENT_BYTES: u64 = 4 << 20;

/// Which run.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The window's place.
    pub window: usize,
    /// What it is for.
    pub role: Role,
    /// The point of the grid.
    pub point: usize,
    /// When.
    pub range: TimeRange,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// There are no windows: a point on everything.
    Whole,
    /// To choose a point on.
    Train,
    /// To try the chosen point.
    Test,
}

impl Role {
    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// What became of a cell.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It ran to its end.
    Done(Box<Figures>),
    /// No feed has a tick in its range.
    NoTicks,
    /// It was stopped, or has not begun.
    Stopped,
    /// It could not run to its end.
    Failed {
        /// Why.
        message: String,
        /// How a run of its own would have ended.
        exit: Exit,
    },
}

impl Ended {
    /// What it came to, if it ran to its end.
    pub fn figures(&self) -> Option<&Figures> {
        match self {
            Self::Done(figures) => Some(figures),
            _ => None,
        }
    }
}

/// What all cells share.
pub struct Plan {
    /// The configuration without the grid.
    pub layers: Layers,
    /// The grid.
    pub grid: Grid,
    /// Where models are looked for.
    pub models: PathBuf,
    /// The files behind the feeds.
    pub files: FeedFiles,
    /// How reports sample.
    pub options: ReportOptions,
    /// Where journals are written.
    pub place: PathBuf,
    /// Whether they stay there.
    pub keeps: bool,
    /// Set to stop.
    pub stop: Arc<AtomicBool>,
}

impl Plan {
    /// Refuses a point whose settings no run would take. Models are loaded for it.
    pub fn check(&self, point: usize) -> anyhow::Result<()> {
        self.session(point, None).and_then(|session| session.check())
    }

    /// Runs a cell. The samples of its equity are for the chain of tests.
    pub fn run(&self, cell: &Cell) -> (Ended, Vec<Sample>) {
        match self.outcome(cell) {
            Ok(ended) => ended,
            Err(error) if error.is::<NoTicks>() => (Ended::NoTicks, Vec::new()),
            Err(error) => (Ended::Failed { message: message(&error), exit: Exit::of(&error) }, Vec::new()),
        }
    }

    /// Where a cell's journal is.
    pub fn journal(&self, cell: &Cell) -> PathBuf {
        let (window, point) = (cell.window + 1, cell.point + 1);
        self.place.join(match cell.role {
            Role::Whole => format!("point-{point:04}"),
            Role::Train => format!("window-{window:04}/train-{point:04}"),
            Role::Test => format!("window-{window:04}/test"),
        })
    }

    fn outcome(&self, cell: &Cell) -> anyhow::Result<(Ended, Vec<Sample>)> {
        let journal = self.journal(cell);
        std::fs::create_dir_all(&journal)?;
        let outcome =
            self.session(cell.point, Some(cell.range))?.backtest(&journal, Arc::clone(&self.stop))?;
        let ended = match outcome.reason {
            EndReason::STOPPED => (Ended::Stopped, Vec::new()),
            EndReason::FEED_ENDED => {
                let report = report(&journal, self.options, |_, _| {})?;
                // Nobody commands a sweep but the engine, when the disk fails it: what it decided then is not its own.
                match report.summary.commands.keys().next() {
                    Some(command) => {
                        (failed(format!("the disk is short of room: {command}"), Exit::Stopped), Vec::new())
                    }
                    None => (Ended::Done(Box::new(Figures::of(&report))), report.samples),
                }
            }
            EndReason::ENVIRONMENT_FAILED => (failed(outcome.message, Exit::Stopped), Vec::new()),
            _ => (failed(outcome.message, Exit::Finding), Vec::new()),
        };
        if !self.keeps || matches!(ended.0, Ended::Stopped) {
            std::fs::remove_dir_all(&journal)?;
        }
        Ok(ended)
    }

    /// A session of a point, without feeds if there is no range.
    fn session(&self, point: usize, range: Option<TimeRange>) -> anyhow::Result<Session> {
        let mut layers = self.layers.clone();
        self.grid.lay(point, &mut layers)?;
        let loaded = layers.finish()?;
        let config = as_backtest(loaded.config.clone());
        let session = (|| {
            let instruments = inputs::instruments(&config)?;
            let feeds = range.map(|range| self.files.open(&instruments, range)).transpose()?;
            Ok(Session::new(config, instruments, self.models.clone(), feeds.unwrap_or_default()))
        })();
        session.map_err(|error| locate(&loaded, error))
    }
}

const fn failed(message: String, exit: Exit) -> Ended {
    Ended::Failed { message, exit }
}

/// One thread, as fast as it goes, into small segments: nothing of it changes what the engine decides.
fn as_backtest(mut config: Config) -> Config {
    config.threading = ThreadingChoice::This(Threading::Single);
    config.runtime.cores = CoreChoice::Named(CoreName::None);
    config.runtime.speed = 0.0;
    config.runtime.stamps = false;
    config.journal.segment_bytes = SEGMENT_BYTES;
    config.journal.durability = DurabilityChoice::This(Durability::PageCache);
    config
}
