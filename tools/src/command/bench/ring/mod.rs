//! `pawl bench ring`: what one hop from thread to thread takes, through our ring and through others.
//!
//! ```text
//!  paced, turn about        writer, pinned ---- 128 bytes ----> reader, pinned: a cache line | ring | disruptor | channel ..
//!  flat out, turn about     the same, as fast as the reader takes them
//! ```
//!
//! The payload is an envelope of the engine, two cache lines, in every lane but the baseline, which is one cache line. A
//! regression here is one of every input's way to the pipeline.

mod hop;

use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use pawl_engine::runtime::Percentiles;
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{
    Conditions, Cores, Handed, Handover, Sections, Spread, Stop, Windows, each_once, heads, median,
    nanoseconds, percentile_cells,
};
use crate::output::{Bar, Table, thousands};

use hop::Hop;

/// Measure one hop between two threads: our ring beside the disruptor crate, crossbeam channels and a bare cache line.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench ring\n  pawl bench ring --rates 100000,1000000 --seconds 10\n  \
    pawl bench ring --only paced --json\n\n\
    Exit codes: 0 measured, 2 could not measure (it needs two cores), 3 interrupted, 130 interrupted a second time. The whole takes about a \
    minute. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Ring {
    #[command(flatten)]
    sections: Sections<Section>,
    /// Hops a second of the paced rows, separated by commas, 1000 to 5000000 each
    #[arg(long, value_name = "RATE,..", value_delimiter = ',', default_value = "10000,100000,1000000",
        value_parser = clap::value_parser!(u64).range(1_000..=5_000_000))]
    rates: Vec<u64>,
    /// Seconds that each paced row is measured, 1 to 3600 [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// One-way latency at each rate
    Paced,
    /// Hops a second, flat out
    FlatOut,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    paced: Option<Paced>,
    flat_out: Option<FlatOut>,
}

/// One-way latencies.
#[derive(Debug, Serialize)]
struct Paced {
    rows: Vec<PacedRow>,
}

/// One way from thread to thread at one rate.
#[derive(Debug, Serialize)]
pub struct PacedRow {
    /// Hops a second.
    pub rate_per_second: u64,
    /// Which way.
    pub name: &'static str,
    /// From in front of the call that gives to where the reader has it.
    pub one_way: Spread,
    /// From when the call was due.
    pub since_due: Spread,
}

/// Hops a second.
#[derive(Debug, Serialize)]
struct FlatOut {
    hops: usize,
    rows: Vec<FlatOutRow>,
}

#[derive(Debug, Serialize)]
struct FlatOutRow {
    name: &'static str,
    hops_per_second: Middle,
    /// Median over the rounds, of this to our ring in the same round.
    to_ring: f64,
}

/// The middle of some rounds, and how far they are apart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Middle {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Middle {
    /// That of these.
    pub fn of(values: &[f64]) -> Self {
        let by = |pick: fn(f64, f64) -> f64, start| values.iter().copied().fold(start, pick);
        Self {
            median: median(values),
            min: by(f64::min, f64::INFINITY),
            max: by(f64::max, f64::NEG_INFINITY),
        }
    }
}

/// How much is measured.
struct Plan {
    cores: Cores,
    stop: Stop,
    rates: Vec<u64>,
    turns: usize,
    turn: Duration,
    hops: usize,
    rounds: usize,
}

impl Ring {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.sections.quick;
        let (turns, turn) = match (self.seconds, quick) {
            (None, true) => (1, Duration::from_millis(200)),
            (seconds, _) => (2 * seconds.unwrap_or(3) as usize, Duration::from_millis(500)),
        };
        let (hops, rounds) = if quick { (20_000, 3) } else { (2_000_000, 7) };
        let plan = Plan {
            cores: Cores::usable(),
            stop: Stop::on_signals()?,
            rates: each_once(&self.rates),
            turns,
            turn,
            hops,
            rounds,
        };
        let place = self.sections.place()?;
        if plan.cores.count() < 2 {
            anyhow::bail!(
                "a hop needs two cores, and this process may use one: give it another one (taskset, cgroup)"
            );
        }
        let conditions = Conditions::now(&place, &plan.cores);
        let mut report = Report { bench: "ring", quick, conditions, paced: None, flat_out: None };
        let record = self.sections.begin(report.bench, &report.conditions)?;
        if self.sections.wants(Section::Paced) {
            let it = plan.paced()?;
            self.sections.show(&it)?;
            report.paced = Some(it);
        }
        if self.sections.wants(Section::FlatOut) {
            let it = plan.flat_out()?;
            self.sections.show(&it)?;
            report.flat_out = Some(it);
        }
        place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }
}

/// Every way at one rate.
pub fn hops(
    cores: &Cores,
    stop: &Stop,
    rate: u64,
    turns: usize,
    turn: Duration,
) -> anyhow::Result<Vec<PacedRow>> {
    let (cores, stop) = (cores.clone(), stop.clone());
    Ok(Plan { cores, stop, rates: vec![rate], turns, turn, hops: 0, rounds: 0 }.paced()?.rows)
}

impl Plan {
    fn paced(&self) -> anyhow::Result<Paced> {
        let mut rows = Vec::new();
        let bar = Bar::new("paced", (self.rates.len() * self.turns) as u64);
        for (index, rate) in self.rates.iter().copied().enumerate() {
            let mut lanes: Vec<_> =
                Hop::ALL.iter().map(|_| (Windows::default(), Windows::default())).collect();
            for turn in 0..self.turns {
                bar.set_with((index * self.turns + turn) as u64, format!("{} a second", thousands(rate)));
                for (hop, (one_way, since_due)) in Hop::ALL.iter().zip(&mut lanes) {
                    let count = (rate as f64 * self.turn.as_secs_f64()) as usize;
                    let handed = hop.turn(&self.handover(Some(rate), count))?;
                    let pairs = || handed.calls.iter().zip(&handed.seen[0]);
                    one_way.stretch(
                        handed.times().zip(pairs().map(|(call, seen)| nanoseconds(call.began, *seen))),
                    );
                    since_due.stretch(
                        handed.times().zip(pairs().map(|(call, seen)| nanoseconds(call.due, *seen))),
                    );
                }
            }
            rows.extend(Hop::ALL.iter().zip(lanes).map(|(hop, (one_way, since_due))| PacedRow {
                rate_per_second: rate,
                name: hop.name(),
                one_way: one_way.spread(),
                since_due: since_due.spread(),
            }));
        }
        Ok(Paced { rows })
    }

    fn flat_out(&self) -> anyhow::Result<FlatOut> {
        let mut rates = vec![Vec::new(); Hop::QUEUES.len()];
        let bar = Bar::new("flat out", self.rounds as u64);
        for round in 0..self.rounds {
            for (hop, rates) in Hop::QUEUES.iter().zip(&mut rates) {
                bar.set_with(round as u64, hop.name().to_owned());
                let handed = hop.turn(&self.handover(None, self.hops))?;
                rates.push(self.hops as f64 / seconds(&handed));
            }
        }
        let rows = Hop::QUEUES.iter().zip(&rates).map(|(hop, own)| FlatOutRow {
            name: hop.name(),
            hops_per_second: Middle::of(own),
            to_ring: median(&own.iter().zip(&rates[0]).map(|(own, ring)| own / ring).collect::<Vec<_>>()),
        });
        Ok(FlatOut { hops: self.hops, rows: rows.collect() })
    }

    fn handover(&self, rate: Option<u64>, count: usize) -> Handover<'_> {
        Handover { cores: &self.cores, stop: &self.stop, rate, count, first: 1 }
    }
}

/// From the first call to where the last thing was seen.
fn seconds(handed: &Handed) -> f64 {
    let (first, last) = (handed.calls.first(), handed.seen[0].last());
    first.zip(last).map_or(0.0, |(first, last)| nanoseconds(first.began, *last) as f64 / 1e9)
}

impl fmt::Display for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "One hop, one way: from in front of the call that gives to where the reader has it (ns)"
        )?;
        let mut table = Table::new(&heads(&["a second", ""], &["p50 to baseline"]));
        for lanes in self.rows.chunks(Hop::ALL.len()) {
            for row in lanes {
                let ratio = |own: &Percentiles, base: &Percentiles| {
                    vec![format!("{:.2} x", own.p50_ns as f64 / base.p50_ns.max(1) as f64)]
                };
                let front = |rate: String, name: &str| vec![rate, name.to_owned()];
                let (own, base) = (&row.one_way, &lanes[0].one_way);
                table.row(
                    [
                        front(thousands(row.rate_per_second), row.name),
                        percentile_cells(&own.whole),
                        ratio(&own.whole, &base.whole),
                    ]
                    .concat(),
                );
                if let (Some(own), Some(base)) = (&own.quiet, &base.quiet) {
                    table.row(
                        [front(String::new(), "  quiet windows"), percentile_cells(own), ratio(own, base)]
                            .concat(),
                    );
                }
            }
        }
        table.numbers_from(2);
        write!(f, "{table}")
    }
}

impl fmt::Display for FlatOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Flat out, {} hops a round, rounds turn about", thousands(self.hops as u64))?;
        let mut table = Table::new(&["", "hops/s: median", "min", "max", "to our ring"]);
        for row in &self.rows {
            let Middle { median, min, max } = row.hops_per_second;
            let rates = [median, min, max].map(|rate| thousands(rate as u64));
            table.row(
                [vec![row.name.to_owned()], rates.to_vec(), vec![format!("{:.2} x", row.to_ring)]].concat(),
            );
        }
        table.numbers_from(1);
        write!(f, "{table}")
    }
}
