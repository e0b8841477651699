//! Plain `pawl bench`: what the engine is held against, in one table, every figure from a run of this moment.
//!
//! ```text
//!  latency at 100,000/s + every section of throughput + hops at 100,000/s + one model   -->   what | aim | this run | met
//! ```
//!
//! Nothing is measured here that a sub-command does not measure with the same code.

use std::fmt;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{Aim, Common, Conditions, Cores, Spread, Stop, allocated_bytes};
use crate::output::{Table, put, thousands};

use super::inference;
use super::latency::{self, Row as LatencyRow};
use super::ring::{self, Middle};
use super::throughput::{self, PEERS, Section};
use super::ticks::{Data, synthetic_ticks};

/// Bytes of a step, generously.
const STEP_BYTES: u64 = 600;

/// Turns in which a model scores rows.
const SCORE_TURNS: u64 = 25;

/// What the words of the table mean.
const WORDS: [&str; 2] = [
    "tick to order: from published to read by the gateway; floor: one cache line in the same run, turn about with the rows",
    "quiet: the tenth of the windows of 100 ms with the lowest p99",
];

/// What verdicts mean that say neither yes nor no, where one is given.
const VERDICTS: [&str; 2] = [
    "floor disturbed: its p99 is more than 20 x that of its quiet windows, or its p50 over 2,000 ns: it gives no bound",
    "not measured: there were fewer than 1,000 ticks, or no orders",
];

/// The flags of plain `pawl bench`.
#[derive(Args)]
pub struct Overview {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    data: Data,
    /// Print the table as Markdown, with its conditions
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    aim: Option<String>,
    figure: String,
    met: Option<bool>,
    /// Whether the aim was met, or why that cannot be said.
    verdict: Option<&'static str>,
    #[serde(skip)]
    cells: Cells,
}

/// The figures of a line one by one, as a terminal shows them.
#[derive(Debug)]
enum Cells {
    /// Those of an aim stand in the line itself.
    Aim,
    /// p50, p99, p99.9, maximum, p99 of the quiet windows.
    Latency([String; 5]),
    /// Median, smallest, largest.
    Rate([String; 3]),
}

/// The table, and what it is made of.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    ticks: String,
    table: Vec<Line>,
    /// What is to be said under it.
    notes: Vec<String>,
    floors: Vec<latency::Floor>,
    latency: Vec<LatencyRow>,
    throughput: Vec<throughput::Measured>,
    hops: Vec<ring::PacedRow>,
    inference: inference::Scores,
}

impl Overview {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.common.quick;
        let place = self.common.place()?;
        let way_out = (!quick).then_some("--quick");
        place.need(allocated_bytes(5 * synthetic_ticks(quick) * STEP_BYTES, 64 << 20), way_out)?;
        let (cores, stop) = (Cores::usable(), Stop::on_signals()?);
        let conditions = Conditions::now(&place, &cores);
        let ticks = self.data.load(&place.path(""), synthetic_ticks(quick))?;
        let record = if self.markdown {
            self.common.record("bench")?
        } else {
            self.common.begin("bench", &conditions)?
        };
        let (turns, turn) = if quick { (1, Duration::from_millis(250)) } else { (5, Duration::from_secs(1)) };
        let plan = latency::Plan {
            place: &place,
            cores: &cores,
            stop: &stop,
            ticks: &ticks,
            turns,
            turn,
            stall: None,
        };
        let measured = latency::measure(&plan, &latency::aim_cases())?;
        let (floors, rows) = (measured.floors(), measured.rows());
        let (rounds, count) =
            if quick { (2, synthetic_ticks(true) as usize) } else { (7, 4 * ticks.count()) };
        let plan =
            throughput::Plan { place: &place, cores: &cores, stop: &stop, ticks: &ticks, rounds, count };
        let sections = Section::ALL.map(|section| plan.measure(section));
        let sections = sections.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let hops = if cores.count() < 2 {
            Vec::new()
        } else {
            ring::hops(&cores, &stop, latency::RATE, 2 * turns, turn / 2)?
        };
        let inference = inference::xgboost(&place, &cores, &stop, if quick { 1 } else { SCORE_TURNS })?;
        let mut report = Report {
            bench: "bench",
            quick,
            conditions,
            ticks: ticks.origin.clone(),
            table: Vec::new(),
            notes: Vec::new(),
            floors,
            latency: rows,
            throughput: sections,
            hops,
            inference,
        };
        report.table = report.lines();
        let is_given =
            |it: &&str| report.table.iter().filter_map(|line| line.verdict).any(|word| it.starts_with(word));
        let said = WORDS.into_iter().chain(VERDICTS.into_iter().filter(is_given)).chain(PEERS);
        let said = self.common.caution().into_iter().chain(said).map(str::to_owned);
        report.notes = said.chain(report.inference.missing()).collect();
        if self.markdown {
            put!("{}", report.markdown());
        } else {
            self.common.show(&report)?;
        }
        place.remove()?;
        self.common.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }
}

impl Line {
    fn of_aim(aim: &Aim) -> Self {
        Self {
            what: aim.what.clone(),
            aim: Some(aim.bound_text()),
            figure: aim.value_text(),
            met: aim.met,
            verdict: Some(aim.met_text()),
            cells: Cells::Aim,
        }
    }

    fn told(what: impl Into<String>, figure: String, cells: Cells) -> Self {
        Self { what: what.into(), aim: None, figure, met: None, verdict: None, cells }
    }

    /// p50, p99, p99.9 and the maximum, and p99 of the quiet windows.
    fn latency(what: impl Into<String>, it: &Spread) -> Self {
        if it.whole.count == 0 {
            let cells = [(); 5].map(|()| "-".to_owned());
            return Self::told(what, "not measured".to_owned(), Cells::Latency(cells));
        }
        let whole = [it.whole.p50_ns, it.whole.p99_ns, it.whole.p999_ns, it.whole.max_ns].map(thousands);
        let quiet = it.quiet.map(|quiet| thousands(quiet.p99_ns));
        let behind = quiet.as_ref().map(|quiet| format!(" (quiet p99 {quiet})")).unwrap_or_default();
        let figure = format!("p50/p99/p99.9/max {} ns{behind}", whole.join(" / "));
        let [p50, p99, p999, max] = whole;
        let cells = [p50, p99, p999, max, quiet.unwrap_or_else(|| "-".to_owned())];
        Self::told(what, figure, Cells::Latency(cells))
    }

    fn rate(what: impl Into<String>, it: Middle) -> Self {
        let cells = [it.median, it.min, it.max].map(|rate| format!("{:.2}", rate / 1e6));
        let [median, min, max] = &cells;
        let figure = format!("{median} M ticks/s ({min} - {max})");
        Self::told(what, figure, Cells::Rate(cells))
    }

    fn row(&self) -> [&str; 4] {
        [&self.what, self.aim.as_deref().unwrap_or(""), &self.figure, self.verdict.unwrap_or("")]
    }
}

impl Report {
    /// The lines: aims first, then what stands beside them.
    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> =
            latency::aims(&self.latency, &self.floors).iter().map(Line::of_aim).collect();
        for floor in &self.floors {
            lines.push(Line::latency("floor: one cache line, core to core", &floor.one_way));
        }
        for row in &self.latency {
            lines.push(Line::latency(
                format!("tick to order, 100,000/s: {}", row.name()),
                &row.published_to_order,
            ));
        }
        for section in &self.throughput {
            lines.extend(section.aims.iter().map(Line::of_aim));
            if matches!(section.section, Section::Allocations | Section::Stamps) {
                continue;
            }
            for row in &section.rows {
                let what = format!("{}: {}", section.section.short(), row.name);
                lines.push(Line::rate(what, row.ticks_per_second));
            }
        }
        for hop in &self.hops {
            lines.push(Line::latency(format!("one hop, 100,000/s: {}", hop.name), &hop.one_way));
        }
        lines.extend(self.inference.aims.iter().map(Line::of_aim));
        for row in &self.inference.rows {
            if let Some(backend) = row.backend {
                lines.push(Line::latency(format!("one row of {}: {backend}", row.model), &row.took));
            }
        }
        lines
    }

    fn markdown(&self) -> String {
        let Conditions { machine, build, rustc, load, file_system, is_busy, .. } = &self.conditions;
        let busy = if *is_busy { ", a busy machine" } else { "" };
        let rustc = rustc.unwrap_or("unknown compiler");
        let mut text = String::from("| what | aim | this run | |\n|---|---|---|---|\n");
        for line in &self.table {
            text += &format!("| {} |\n", line.row().join(" | "));
        }
        text += &format!(
            "\n{machine}; {build}, {rustc}; load {load:.2}{busy}; journals on {file_system}. Ticks: {}.\n",
            self.ticks
        );
        for note in &self.notes {
            text += &format!("\n- {note}");
        }
        text + if self.notes.is_empty() { "" } else { "\n" }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Ticks: {}\n", self.ticks)?;
        let mut aims = Table::new(&["", "aim", "this run", ""]);
        let mut latencies = Table::new(&["ns", "p50", "p99", "p99.9", "max", "quiet p99"]);
        let mut rates = Table::new(&["million ticks/s", "median", "min", "max"]);
        for line in &self.table {
            let with = |cells: &[String]| [std::slice::from_ref(&line.what), cells].concat();
            match &line.cells {
                Cells::Aim => aims.row(line.row()),
                Cells::Latency(cells) => latencies.row(with(cells)),
                Cells::Rate(cells) => rates.row(with(cells)),
            }
        }
        latencies.numbers_from(1);
        rates.numbers_from(1);
        write!(f, "{aims}\n{latencies}\n{rates}\n")?;
        self.notes.iter().try_for_each(|note| writeln!(f, " {note}"))
    }
}
