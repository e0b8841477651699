//! `pawl bench throughput`: how many ticks a second the whole engine takes, and what its parts cost of that.
//!
//! ```text
//!  peers        ticks in memory > two averages, an order at each cross, paper venue: alone | no journal | everything journaled
//!  features     ticks in memory > every feature > journal, in every threading mode
//!  export       gzip export on disk > the whole engine > the last journaled step
//!  pipelines    edge thread > our ring, or a crossbeam channel > pipeline thread > journal
//!  stamps       the whole engine with stamps and counters, and without
//!  allocations  the whole engine, allocations of the process counted between two ticks
//! ```
//!
//! Rows of a section take turns, round after round; what is told is the median of the rounds, the smallest and the
//! largest, and the median of the ratios within a round. Every round's answer is checked.

mod allocation;
mod engine;
mod line;
mod strategy;

use std::fmt;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{Aim, Conditions, Cores, Failure, Place, Sections, Stop, allocated_bytes, median};
use crate::output::{Bar, Table, thousands};

use super::ring::Middle;
use super::ticks::{Data, Ticks, synthetic_ticks};
use engine::Whole;

/// Bytes of a step, generously.
const STEP_BYTES: u64 = 400;

/// Ticks that make a day which says anything: in fewer nothing happens but the beginning and the end of a run.
const MEASURED_TICKS: u64 = 1_000;

/// Measure ticks a second: the peers' work, all features in every threading mode, from an export on disk, stamps and counters, allocations.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench throughput\n  pawl bench throughput --data ../shared/data --rounds 15\n  \
    pawl bench throughput --only peers,export --data ../shared/data --json\n\n\
    Without --data the ticks are a synthetic day of as many ticks as a real one. Told is the median of the rounds; `to the \
    first` is the median of the ratios within a round, in which the rows take turns.\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer, \
    2 could not measure, 3 the disk filled up, or interrupted, 130 interrupted a second time. The whole takes about two \
    minutes. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Throughput {
    #[command(flatten)]
    sections: Sections<Section>,
    #[command(flatten)]
    data: Data,
    /// Rounds of each section, 1 to 1000 [default: 9]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    rounds: Option<u64>,
    /// How often the day is repeated in a round, each time a day later, 1 to 100
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100), default_value_t = 4)]
    days: u64,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Two averages, an order at each cross: beside the same without a journal, and the bare strategy
    Peers,
    /// All features, every threading mode
    Features,
    /// From a gzip export on disk
    Export,
    /// Our ring and a crossbeam channel in front of the same pipeline
    Pipelines,
    /// What stamps and counters cost
    Stamps,
    /// Allocations per step
    Allocations,
}

impl Section {
    /// All, in the order of their tables.
    pub const ALL: [Self; 6] =
        [Self::Peers, Self::Features, Self::Export, Self::Pipelines, Self::Stamps, Self::Allocations];

    /// Its subject in a few words.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Peers => "peers' work",
            Self::Features => "all features",
            Self::Export => "from a gzip export",
            Self::Pipelines => "pipeline behind a queue",
            Self::Stamps => "stamps",
            Self::Allocations => "allocations",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Peers => "The peers' work: two moving averages, an order at each cross, ticks in memory",
            Self::Features => "All features, no model, everything journaled, ticks in memory, free-running",
            Self::Export => "From a gzip export on disk to the last journaled step, `single`, no model",
            Self::Pipelines => "The same pipeline behind our ring and behind a crossbeam channel, no gateway",
            Self::Stamps => "What stamps and counters cost, all features, `single`",
            Self::Allocations => {
                "Allocations of the whole process behind the warm-up, all features (not to be timed: it waits once)"
            }
        }
    }
}

/// Who the peers are, and why the rows of their work do not send as many orders.
pub const PEERS: [&str; 2] = [
    "peers: FLOX, hftbacktest, NautilusTrader",
    "orders: the engine compares averages as 32-bit floats, and has no cross where they differ by less (the bare strategy has)",
];

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    ticks: String,
    sections: Vec<Measured>,
}

/// One section.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Which.
    pub section: Section,
    /// Its rows, the first is the one that ratios are of.
    pub rows: Vec<Row>,
    /// What they are held against.
    pub aims: Vec<Aim>,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What ran.
    pub name: String,
    /// Ticks of a round.
    pub ticks: u64,
    /// Steps of the first round.
    pub steps: u64,
    /// Orders of the first round.
    pub orders: u64,
    /// Ticks a second.
    pub ticks_per_second: Middle,
    /// Nanoseconds a step, of the median.
    pub nanoseconds_per_step: f64,
    /// Median over the rounds, of the ticks a second of this to those of the first row in the same round.
    pub to_first: f64,
    /// Allocations of the process between two ticks, most of any round, where they are counted.
    pub allocations: Option<u64>,
}

/// What one round of one row came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Once {
    /// Ticks.
    pub ticks: u64,
    /// Steps.
    pub steps: u64,
    /// Orders.
    pub orders: u64,
    /// How long it took, ns.
    pub elapsed_ns: u64,
    /// Allocations, where they are counted.
    pub allocations: Option<u64>,
}

/// A row to be measured: its name, and one round of it.
pub type Lane<'a> = (String, Box<dyn FnMut() -> anyhow::Result<Once> + 'a>);

/// How much is measured, and with what.
pub struct Plan<'a> {
    /// Where journals are written.
    pub place: &'a Place,
    /// The cores that threads are pinned to.
    pub cores: &'a Cores,
    /// The operator's wish to end.
    pub stop: &'a Stop,
    /// The ticks of a day.
    pub ticks: &'a Ticks,
    /// Rounds of each section.
    pub rounds: usize,
    /// Ticks of a round in memory.
    pub count: usize,
}

impl Throughput {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.sections.quick;
        let place = self.sections.place()?;
        let (cores, stop) = (Cores::usable(), Stop::on_signals()?);
        let conditions = Conditions::now(&place, &cores);
        let ticks = self.data.load(&place.path(""), synthetic_ticks(quick))?;
        let record = self.sections.begin("throughput", &conditions)?;
        let rounds = self.rounds.unwrap_or(if quick { 2 } else { 9 }) as usize;
        let count = if quick {
            ticks.count().min(synthetic_ticks(true) as usize)
        } else {
            ticks.count() * self.days as usize
        };
        let most = count.max(ticks.count()) as u64;
        let way_out = (!quick && self.days > 1).then_some("--days");
        place.need(allocated_bytes(2 * most * STEP_BYTES, 64 << 20), way_out)?;
        let plan = Plan { place: &place, cores: &cores, stop: &stop, ticks: &ticks, rounds, count };
        let mut report = Report {
            bench: "throughput",
            quick,
            conditions,
            ticks: ticks.origin.clone(),
            sections: Vec::new(),
        };
        for section in Section::ALL.into_iter().filter(|section| self.sections.wants(*section)) {
            let measured = plan.measure(section)?;
            self.sections.show(&measured)?;
            report.sections.push(measured);
        }
        if !self.sections.json {
            crate::output::say!("\nTicks: {}", report.ticks);
        }
        place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }
}

impl Plan<'_> {
    /// Measures one section.
    pub fn measure(&self, section: Section) -> anyhow::Result<Measured> {
        let lanes = match section {
            Section::Peers => strategy::lanes(self),
            Section::Features => Whole::features(self),
            Section::Export => Whole::export(self),
            Section::Pipelines => line::lanes(self),
            Section::Stamps => Whole::stamps(self),
            Section::Allocations => allocation::lanes(self),
        };
        let rows = self.rounds(section, lanes)?;
        let aims = aims(section, &rows, self.ticks.count() as u64 >= MEASURED_TICKS);
        Ok(Measured { section, rows, aims })
    }

    /// Every row in turn, round after round.
    fn rounds(&self, section: Section, mut lanes: Vec<Lane<'_>>) -> anyhow::Result<Vec<Row>> {
        let mut all = vec![Vec::new(); lanes.len()];
        let bar = Bar::new("throughput", (self.rounds * lanes.len()) as u64);
        let title = format!("{section:?}").to_lowercase();
        for round in 0..self.rounds {
            for (index, (_, lane)) in lanes.iter_mut().enumerate() {
                self.stop.check()?;
                bar.set_with((round * all.len() + index) as u64, title.clone());
                all[index].push(lane()?);
            }
        }
        drop(bar);
        let mut rows = Vec::new();
        for ((name, _), rounds) in lanes.iter().zip(&all) {
            rows.push(row(name, rounds, &all[0])?);
        }
        Ok(rows)
    }
}

/// The row of some rounds, held against those of the first row.
fn row(name: &str, rounds: &[Once], first: &[Once]) -> anyhow::Result<Row> {
    let Once { ticks, steps, orders, .. } = rounds[0];
    // Steps and orders of a live feed depend on when reports come.
    let same = rounds.iter().all(|it| it.ticks == ticks);
    Failure::unless(same, || format!("the rounds of `{name}` differ: {rounds:?}"))?;
    let rate = |it: &Once| it.ticks as f64 * 1e9 / it.elapsed_ns.max(1) as f64;
    let rates: Vec<f64> = rounds.iter().map(rate).collect();
    let ratios: Vec<f64> = rounds.iter().zip(first).map(|(own, first)| rate(own) / rate(first)).collect();
    let ticks_per_second = Middle::of(&rates);
    let nanoseconds_per_tick = 1e9 / ticks_per_second.median;
    Ok(Row {
        name: name.to_owned(),
        ticks,
        steps,
        orders,
        ticks_per_second,
        nanoseconds_per_step: nanoseconds_per_tick * ticks as f64 / steps.max(1) as f64,
        to_first: median(&ratios),
        allocations: rounds.iter().filter_map(|it| it.allocations).max(),
    })
}

/// What the rows of a section are held against; `has_a_day` where there were enough ticks to measure.
fn aims(section: Section, rows: &[Row], has_a_day: bool) -> Vec<Aim> {
    let measured = |value: f64| has_a_day.then_some(value);
    let millions = |row: &Row| measured(row.ticks_per_second.median / 1e6);
    let named = |name: &str| rows.iter().find(|row| row.name == name);
    match section {
        Section::Peers => named(strategy::JOURNALED)
            .map(|row| {
                Aim::at_least(
                    "the peers' work, `single`, everything journaled",
                    millions(row),
                    8.0,
                    "M ticks/s",
                )
            })
            .into_iter()
            .collect(),
        Section::Features => ["single", "fused"]
            .iter()
            .filter_map(|mode| Some((mode, named(mode)?)))
            .map(|(mode, row)| {
                Aim::at_least(format!("all features, no model, `{mode}`"), millions(row), 3.0, "M ticks/s")
            })
            .collect(),
        Section::Export => named(engine::EXPORT)
            .map(|row| {
                Aim::at_least("gzip export to the last journaled step", millions(row), 2.0, "M ticks/s")
            })
            .into_iter()
            .collect(),
        Section::Pipelines => Vec::new(),
        Section::Stamps => rows
            .last()
            .map(|row| {
                let share = measured(100.0 * (1.0 - row.to_first));
                Aim::at_most("stamps and counters, of a step", share, 15.0, "%")
            })
            .into_iter()
            .collect(),
        Section::Allocations => rows
            .iter()
            .map(|row| {
                let per_step = row.allocations.map(|it| it as f64 / row.steps.max(1) as f64);
                Aim::at_most(format!("allocations a step after warm-up, `{}`", row.name), per_step, 0.0, "")
            })
            .collect(),
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.section.title())?;
        let counts = self.rows.iter().any(|row| row.allocations.is_some());
        let mut heads = vec![
            "",
            "ticks/s: median",
            "min",
            "max",
            "to the first",
            "ns a step",
            "ticks",
            "steps",
            "orders",
        ];
        if counts {
            heads.push("allocations");
        }
        let mut table = Table::new(&heads);
        for row in &self.rows {
            let Middle { median, min, max } = row.ticks_per_second;
            let mut cells = vec![row.name.clone()];
            cells.extend([median, min, max].map(|rate| thousands(rate as u64)));
            cells.push(format!("{:.2} x", row.to_first));
            cells.push(thousands(row.nanoseconds_per_step.round() as u64));
            cells.extend([row.ticks, row.steps, row.orders].map(thousands));
            if counts {
                cells.push(row.allocations.map_or_else(|| "-".to_owned(), thousands));
            }
            table.row(cells);
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        if self.section == Section::Peers {
            PEERS.iter().try_for_each(|note| writeln!(f, " {note}"))?;
        }
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
