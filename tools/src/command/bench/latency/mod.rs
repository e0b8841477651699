//! `pawl bench latency`: from a tick to its order, through the whole engine, with ticks that do not wait for it.
//!
//! ```text
//!  schedule > feed in memory > ingress > ring > feature > inference > risk > order > journal > gateway > venue that stamps
//! ```
//!
//! Topology: `pawl run` itself, with a live feed that releases ticks by the clock and a paper venue that notes when it is handed
//! an order. Rows of one rate take turns with each other and with the floor, one cache line from core to core. Every
//! latency is told twice: from where the tick was published, and from when it was due, which no stall can hide from.
//! A regression here is one of every order.

mod arrivals;
mod chart;
mod show;
mod turn;
mod venue;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pawl_engine::runtime::{Latency as Histogram, Threading};
use pawl_journal::log::Durability;
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{
    Aim, Conditions, Cores, Handover, Place, Sections, Spread, Stop, Windows, allocated_bytes,
    check_directory, each_once, nanoseconds,
};
use crate::output::{Bar, OutFile, Replaces, thousands};

use super::ticks::{Data, Ticks, synthetic_ticks};
use super::work::{THREADINGS, Work};
use turn::{Case, Lane, Turn};

pub use show::aims;
pub use turn::Row;

/// The rate that the aims speak of, ticks a second.
pub const RATE: u64 = 100_000;

/// Bytes of a step, generously.
const STEP_BYTES: u64 = 600;

/// Measure tick to order through the whole engine, open-loop: rates, threading modes, durability, models; stage by stage.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench latency\n  pawl bench latency --data ../shared/data --seconds 10 --chart latency.html\n  \
    pawl bench latency --rates 100000 --only durability --histograms .\n  pawl bench latency --stall-ms 50 --rates 10000\n\n\
    Ticks come when a schedule says so that is fixed before, however long the engine takes. `from due` counts from the \
    schedule; `from published` from where the engine had put the tick into its ring. --stall-ms shows what that is for.\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer, \
    2 could not measure, 3 the disk filled up, or interrupted, 130 interrupted a second time. The whole takes about three \
    minutes. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Latency {
    #[command(flatten)]
    sections: Sections<Section>,
    #[command(flatten)]
    data: Data,
    /// Ticks a second, row by row, separated by commas, 100 to 5000000 each; durability and models are measured at 100000,
    /// or at the last one if that is not there
    #[arg(long, value_name = "RATE,..", value_delimiter = ',', default_value = "10000,100000,500000,1000000",
        value_parser = clap::value_parser!(u64).range(100..=5_000_000))]
    rates: Vec<u64>,
    /// Seconds that each row is measured, 1 to 3600 [default: 4]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Stop the feed once in every turn for so many milliseconds, 1 to 10000: every tick that was due meanwhile must show it
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    stall_ms: Option<u64>,
    /// Draw the percentile curves of every rate as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Write a distribution of HdrHistogram (.hgrm, ns) per row and measurement into this existing directory
    #[arg(long, value_name = "DIR")]
    histograms: Option<PathBuf>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Every rate in every threading mode, no model, page-cache
    Rates,
    /// Every durability mode at one rate
    Durability,
    /// The demo's models at one rate
    Models,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    /// Where the ticks are from.
    pub ticks: String,
    stall_ms: Option<u64>,
    /// One cache line, core to core, at each rate, turn about with the rows.
    pub floors: Vec<Floor>,
    /// Every row.
    pub rows: Vec<Row>,
    /// What the rows are held against.
    pub aims: Vec<Aim>,
}

/// What the machine itself takes.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// Things a second.
    pub rate_per_second: u64,
    /// From in front of the store to where the other core has seen it.
    pub one_way: Spread,
    /// From when it was due.
    pub since_due: Spread,
}

/// How much is measured.
pub struct Plan<'a> {
    /// Where journals are written.
    pub place: &'a Place,
    /// The floor's cores.
    pub cores: &'a Cores,
    /// The operator's wish to end.
    pub stop: &'a Stop,
    /// The ticks.
    pub ticks: &'a Ticks,
    /// Turns of each row.
    pub turns: usize,
    /// Length of one.
    pub turn: Duration,
    /// A stall in each.
    pub stall: Option<Duration>,
}

/// What came of a plan, with its histograms.
pub struct Measured {
    /// The rows, in the order of their cases.
    lanes: Vec<Lane>,
    /// One a rate.
    floors: Vec<(Floor, Histogram)>,
}

impl Measured {
    /// The rows.
    pub fn rows(&self) -> Vec<Row> {
        self.lanes.iter().map(Lane::row).collect()
    }

    /// The floors.
    pub fn floors(&self) -> Vec<Floor> {
        self.floors.iter().map(|(floor, _)| floor.clone()).collect()
    }
}

impl Latency {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.sections.quick;
        let place = self.sections.place()?;
        let (cores, stop) = (Cores::usable(), Stop::on_signals()?);
        let cases = self.cases();
        let (turns, turn) = match (self.seconds, quick) {
            (None, true) => (1, Duration::from_millis(250)),
            (seconds, _) => (seconds.unwrap_or(4) as usize, Duration::from_secs(1)),
        };
        let most = cases.iter().map(|case| case.rate).max().unwrap_or(0);
        let bytes = (most as f64 * turn.as_secs_f64()) as u64 * STEP_BYTES;
        place.need(allocated_bytes(bytes, 64 << 20), Some("--rates"))?;
        let chart = self.chart_file()?;
        self.check_histograms()?;
        let conditions = Conditions::now(&place, &cores);
        let ticks = self.data.load(&place.path(""), synthetic_ticks(quick))?;
        let record = self.sections.begin("latency", &conditions)?;
        let stall = self.stall_ms.map(Duration::from_millis);
        let plan = Plan { place: &place, cores: &cores, stop: &stop, ticks: &ticks, turns, turn, stall };
        let measured = measure(&plan, &cases)?;
        let (rows, floors) = (measured.rows(), measured.floors());
        let aims = aims(&rows, &floors);
        let report = Report {
            bench: "latency",
            quick,
            conditions,
            ticks: ticks.origin.clone(),
            stall_ms: self.stall_ms,
            floors,
            rows,
            aims,
        };
        self.sections.show(&report)?;
        if let Some(chart) = chart {
            chart.write(&chart::page(&report, &measured)?)?;
        }
        self.write_histograms(&measured)?;
        place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }

    fn cases(&self) -> Vec<Case> {
        let rate = if self.rates.contains(&RATE) { RATE } else { self.rates.last().copied().unwrap_or(RATE) };
        let plain = |rate, threading| Case {
            rate,
            threading,
            durability: Durability::PageCache,
            work: Work::Features,
        };
        let mut cases = Vec::new();
        if self.sections.wants(Section::Rates) {
            let of = |rate: u64| THREADINGS.map(|threading| plain(rate, threading));
            cases.extend(self.rates.iter().copied().flat_map(of));
        }
        if self.sections.wants(Section::Durability) {
            let modes =
                [Durability::PageCache, Durability::Async(Duration::from_millis(50)), Durability::Gated];
            cases.extend(modes.map(|durability| Case { durability, ..plain(rate, Threading::Fused) }));
        }
        if self.sections.wants(Section::Models) {
            cases.extend(model_cases(rate));
        }
        let mut cases = each_once(&cases);
        cases.sort_by_key(|case| case.rate);
        cases
    }

    fn chart_file(&self) -> anyhow::Result<Option<OutFile>> {
        let own = Replaces::Own("a chart of pawl bench", chart::is_chart);
        self.chart.as_ref().map(|path| OutFile::check("--chart", path, own)).transpose()
    }

    fn check_histograms(&self) -> anyhow::Result<()> {
        self.histograms.as_ref().map_or(Ok(()), |dir| check_directory("--histograms", dir))
    }

    fn write_histograms(&self, measured: &Measured) -> anyhow::Result<()> {
        let Some(dir) = &self.histograms else { return Ok(()) };
        let write = |name: String, histogram: &Histogram| {
            let path = dir.join(name + ".hgrm");
            let own = Replaces::Own("a distribution of HdrHistogram", chart::is_distribution);
            OutFile::check("--histograms", &path, own)?.write(&histogram.distribution())
        };
        for (floor, histogram) in &measured.floors {
            write(format!("{}-floor", floor.rate_per_second), histogram)?;
        }
        for lane in &measured.lanes {
            let Row { rate_per_second, threading, durability, .. } = &lane.row();
            let work = if lane.case.work == Work::Models { "models" } else { "features" };
            let front = format!("{rate_per_second}-{threading}-{}-{work}", durability.replace(':', ""));
            for (name, histogram) in lane.histograms() {
                write(format!("{front}-{name}"), histogram)?;
            }
        }
        Ok(())
    }
}

/// The demo's models beside the same without.
pub fn model_cases(rate: u64) -> impl Iterator<Item = Case> {
    [Work::Features, Work::Models].into_iter().map(move |work| Case {
        rate,
        threading: Threading::Fused,
        durability: Durability::PageCache,
        work,
    })
}

/// Every threading mode at one rate, without models and with them: what the aims speak of.
pub fn aim_cases() -> Vec<Case> {
    let plain =
        |threading| Case { rate: RATE, threading, durability: Durability::PageCache, work: Work::Features };
    let mut cases = THREADINGS.map(plain).to_vec();
    cases.push(Case { work: Work::Models, ..plain(Threading::Fused) });
    cases
}

/// Measures every case, those of one rate in turn with each other and with the floor.
pub fn measure(plan: &Plan<'_>, cases: &[Case]) -> anyhow::Result<Measured> {
    let mut measured = Measured { lanes: Vec::new(), floors: Vec::new() };
    let bar = Bar::new("latency", (cases.len() * plan.turns) as u64);
    let mut done = 0;
    for group in cases.chunk_by(|a, b| a.rate == b.rate) {
        let rate = group[0].rate;
        let mut lanes: Vec<Lane> = group.iter().copied().map(Lane::new).collect();
        let (mut one_way, mut since_due) = (Windows::default(), Windows::default());
        for _ in 0..plan.turns {
            floor_turn(plan, rate, &mut one_way, &mut since_due)?;
            for lane in &mut lanes {
                plan.stop.check()?;
                bar.set_with(done, format!("{} a second", thousands(rate)));
                done += 1;
                let dir = plan.place.path("latency");
                let (length, stall) = (plan.turn, plan.stall);
                lane.turn(Turn { dir: &dir, ticks: plan.ticks, length, stall, stop: plan.stop })?;
            }
        }
        let floor = Floor { rate_per_second: rate, one_way: one_way.spread(), since_due: since_due.spread() };
        measured.floors.push((floor, one_way.all().clone()));
        measured.lanes.extend(lanes);
    }
    Ok(measured)
}

fn floor_turn(
    plan: &Plan<'_>,
    rate: u64,
    one_way: &mut Windows,
    since_due: &mut Windows,
) -> anyhow::Result<()> {
    let count = (rate as f64 * plan.turn.as_secs_f64()) as usize;
    let handover = Handover { cores: plan.cores, stop: plan.stop, rate: Some(rate), count, first: 1 };
    let handed = handover.cache_line(1)?;
    let pairs = || handed.calls.iter().zip(&handed.seen[0]);
    one_way.stretch(handed.times().zip(pairs().map(|(call, seen)| nanoseconds(call.began, *seen))));
    since_due.stretch(handed.times().zip(pairs().map(|(call, seen)| nanoseconds(call.due, *seen))));
    Ok(())
}
