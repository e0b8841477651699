//! `pawl sweep`: a grid of settings over a range of time or over walk-forward windows, on all cores, into a table.
//!
//! ```text
//! Grid x Windows --> cells --> crew of threads --> Forward --> table
//!                              each: `pawl run` in one thread, a journal, `pawl report`
//! ```
//!
//! Invariants: every point's settings and every tick are checked before anything is run; a cell is a run like any other
//! and knows nothing of the others, so the table is the same however many threads there are.

mod cell;
mod crew;
mod figures;
mod forward;
mod grid;
mod show;
mod windows;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use pawl_adapters::feed::TimeRange;
use pawl_journal::record::Time;
use pawl_replay::{Interval, ReportOptions};

use self::cell::{Cell, Ended, Plan, Role};
use self::crew::work_off;
use self::figures::Metric;
use self::forward::Forward;
use self::grid::Grid;
use self::show::Heading;
use self::windows::{Window, Windows};
use crate::command::report::Every;
use crate::exit::{Exit, message};
use crate::inputs::{self, FeedFiles, Inputs, locate};
use crate::output::{Bar, check_outside_journals, put, say, span};
use crate::session::NamedFeed;
use crate::signals::stop_on_signals;

/// Most cells of a sweep.
const CELLS_MAX: usize = 10_000;

/// Rows of a table, unless another number is asked for.
const ROWS: usize = 20;

/// Run a grid of settings over a range of time or over walk-forward windows, on all cores, into a table.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pawl sweep --feed ticks/ --symbol EURUSD --grid risk.max_position=1,2,4 --grid risk.risk_fraction=0.1%..0.5%/0.1%\n  \
    pawl sweep --config pawl.toml --grid agent.fast.threshold=0.5..0.7/0.05 --windows train=5d,test=1d --metric sortino\n  \
    pawl sweep --config pawl.toml --grid agent.cross.rule.fast=sma_5,sma_10 --windows train=30d,test=7d,anchored --csv\n  \
    pawl sweep --config pawl.toml --grid order.type=market,limit --out S && pawl diff S/point-0001 S/point-0002\n\n\
    Every point of the grid is run as `pawl run --threading single` runs it, into a journal, and measured as `pawl report` \
    measures it. With --windows every point is run on the train of each window; the best by --metric (the first of equal \
    ones; one that cannot tell is never chosen) is run on the test behind it. Tests follow each other; the last table takes \
    them as one history, in which each begins with the opening balance and a window without a choice or a tick is flat.\n\n\
    Runs begin cold: without positions, bars or windows of ticks, a train as well as a test. A column says nothing before its \
    warm-up is over (`pawl run --list-columns`), so choose tests much longer than that. What is open at the end counts at the \
    last quote.\n\n\
    Journals are written where temporary files are (TMPDIR), one for each job, and removed once they are reported. --out \
    keeps all of them, and the table as sweep.csv and sweep.json. Each run reads its files: only the days that it needs, where \
    files are of days. Ctrl-C ends the sweep with the table of what is done; a second one quits at once.\n\n\
    Exit codes: 0 every cell ran; 1 one failed, which its row says, or a signal stopped it: the table has what is done; 2 a \
    point, window or file that cannot be: nothing was run; 3 the environment failed in a cell.")]
pub struct Sweep {
    #[command(flatten)]
    inputs: Inputs,
    /// Values of a key: KEY=A,B,C or KEY=FROM..TO/STEP (both ends included); repeatable, every combination is run
    #[arg(long, value_name = "KEY=VALUES")]
    grid: Vec<String>,
    /// Walk forward: choose on every train, try on the test behind it
    #[arg(long, value_name = "train=T,test=T[,anchored]")]
    windows: Option<Windows>,
    /// What the best point is best in
    #[arg(long, value_enum, default_value_t = Metric::Sharpe)]
    metric: Metric,
    /// How far apart returns are; by the length of the range, or of a test, unless given
    #[arg(long, value_name = "INTERVAL")]
    every: Option<Every>,
    /// Runs at once; as many as there are cores unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Keep every journal, and the table, in this new directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rows to print
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    limit: usize,
    /// Print every cell as JSON
    #[arg(long)]
    json: bool,
    /// Print every cell as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What there is to sweep.
struct Scanned {
    first: Time,
    last: Time,
    ticks: u64,
}

impl Sweep {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        self.out.as_deref().map_or(Ok(()), |out| check_outside_journals("--out", out))?;
        let grid = Grid::parse(&self.grid, CELLS_MAX)?;
        let mut layers = self.inputs.layers()?;
        self.inputs.set(&mut layers)?;
        let loaded = layers.clone().finish()?;
        let range = self.inputs.range()?;
        let found = (|| {
            let instruments = inputs::instruments(&loaded.config)?;
            let files = FeedFiles::find(&loaded.config, &instruments)?;
            anyhow::Ok((files, instruments))
        })();
        let (files, instruments) = found.map_err(|error| locate(&loaded, error))?;
        let stop = stop_on_signals()?;
        // Their kind is left behind: a tick that cannot be read ends a run, but here none has begun.
        let feeds = files.open(&instruments, range).map_err(|error| anyhow!(message(&error)))?;
        let scanned = scan(feeds, &stop)?;
        let windows = self.cut(&grid, range, &scanned)?;
        let every =
            self.every.map(Interval::from).or_else(|| Some(Interval::for_span(self.windows?.test().0)));
        // Removed at the end, whatever the end is.
        let temporary = tempfile::Builder::new().prefix("pawl-sweep-").tempdir()?;
        let plan = Plan {
            layers,
            grid,
            models: self.inputs.models(),
            files,
            options: ReportOptions { every, ..ReportOptions::default() },
            place: self.out.clone().unwrap_or_else(|| temporary.path().to_owned()),
            keeps: self.out.is_some(),
            stop,
        };
        check(&plan)?;
        self.out.as_deref().map_or(Ok(()), claim)?;
        let forward = self.drive(&plan, Forward::new(windows, plan.grid.len(), self.metric, every));
        self.show(&plan, &forward, &scanned)
    }

    /// The windows, if their cells are not too many.
    fn cut(&self, grid: &Grid, range: TimeRange, scanned: &Scanned) -> anyhow::Result<Vec<Window>> {
        let Some(windows) = self.windows else { return Ok(vec![Window { train: range, test: None }]) };
        let windows = windows.over(range, scanned.first, scanned.last);
        if windows.is_empty() {
            bail!(
                "there is no window: the ticks cover {}, and a train and a test need more",
                span(scanned.last.0 - scanned.first.0)
            );
        }
        let cells = windows.len().saturating_mul(grid.len() + 1);
        if cells > CELLS_MAX {
            bail!(
                "{} windows of {} points and a test are {cells} runs: a sweep has at most {CELLS_MAX}; give fewer values, or \
                 longer windows",
                windows.len(),
                grid.len()
            );
        }
        Ok(windows)
    }

    /// Runs every cell.
    fn drive(&self, plan: &Plan, mut forward: Forward) -> Forward {
        let tests = if self.windows.is_some() { forward.walked.len() } else { 0 };
        let cells: VecDeque<Cell> = forward.trains().collect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = self.jobs.map_or(cores, usize::from).min(cells.len());
        let bar = Bar::new("sweeping", (cells.len() + tests) as u64);
        let mut done = 0;
        work_off(
            jobs,
            cells,
            &plan.stop,
            |cell| plan.run(cell),
            |cell, (ended, samples)| {
                done += 1;
                let what = if cell.role == Role::Test { "test" } else { "point" };
                bar.set_with(done, format!("window {}, {what} {}", cell.window + 1, cell.point + 1));
                forward.take(cell, ended, &samples)
            },
        );
        forward
    }

    fn show(&self, plan: &Plan, forward: &Forward, scanned: &Scanned) -> anyhow::Result<Exit> {
        let heading = Heading {
            range: TimeRange { from: scanned.first, until: scanned.last },
            ticks: scanned.ticks,
            every: forward.every.unwrap_or(Interval::for_span(scanned.last.0 - scanned.first.0)).name(),
            test: self.windows.map(|it| it.test()),
        };
        if let Some(out) = &self.out {
            write(&out.join("sweep.csv"), &show::csv(plan, forward))?;
            write(&out.join("sweep.json"), &format!("{}\n", show::json(plan, forward, &heading)))?;
        }
        if self.json {
            say!("{}", show::json(plan, forward, &heading));
        } else if self.csv {
            put!("{}", show::csv(plan, forward));
        } else {
            show::text(plan, forward, &heading, self.limit)?;
        }
        let ended = forward.walked.iter().flat_map(|it| it.trains.iter().chain(it.chosen.map(|_| &it.test)));
        let mut exit = if plan.stop.load(Ordering::Acquire) { Exit::Finding } else { Exit::Yes };
        for ended in ended {
            match ended {
                Ended::Failed { exit: Exit::Stopped, .. } => exit = Exit::Stopped,
                Ended::Failed { .. } if exit == Exit::Yes => exit = Exit::Finding,
                _ => {}
            }
        }
        if plan.stop.load(Ordering::Acquire) {
            eprintln!("pawl: stopped: what is told is what was done until then");
        }
        Ok(exit)
    }
}

/// Reads every tick once: what cannot be read, or overlaps, is known before anything is run.
fn scan(feeds: Vec<NamedFeed>, stop: &Arc<AtomicBool>) -> anyhow::Result<Scanned> {
    const UNITS: u64 = 1_000;
    let bar = Bar::new("reading", UNITS * feeds.len() as u64);
    let mut scanned = Scanned { first: TimeRange::ALL.until, last: TimeRange::ALL.from, ticks: 0 };
    for (place, NamedFeed { mut feed, .. }) in feeds.into_iter().enumerate() {
        while let Some(tick) = feed.next().map_err(|error| anyhow!(error.message))? {
            scanned.first = scanned.first.min(tick.time);
            scanned.last = scanned.last.max(tick.time);
            scanned.ticks += 1;
            if scanned.ticks.is_multiple_of(65_536) {
                bar.set(UNITS * place as u64 + (UNITS as f64 * feed.progress().unwrap_or(0.0)) as u64);
                if stop.load(Ordering::Acquire) {
                    bail!("stopped before anything was run");
                }
            }
        }
    }
    Ok(scanned)
}

/// Refuses a grid of which one point cannot be run.
fn check(plan: &Plan) -> anyhow::Result<()> {
    let bar = Bar::new("checking", plan.grid.len() as u64);
    for point in 0..plan.grid.len() {
        bar.set(point as u64);
        if plan.stop.load(Ordering::Acquire) {
            bail!("stopped before anything was run");
        }
        plan.check(point).with_context(|| {
            let set: Vec<String> =
                plan.grid.point(point).iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("point {} of the grid ({}) cannot be run, so nothing was", point + 1, set.join(" "))
        })?;
    }
    Ok(())
}

/// Makes the directory that is to be kept, which nothing may be in.
fn claim(out: &Path) -> anyhow::Result<()> {
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("--out {}: something is there already; name a directory that is new or empty", out.display());
    }
    std::fs::create_dir_all(out).with_context(|| format!("--out {}: cannot be made", out.display()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
