//! Plain `pawl bench`: what the engine is held against, in one table, every figure from a run of this moment.
//!
//! ```text
//!  latency at 100,000/s  +  every section of throughput  +  hops at 100,000/s   -->   what | aim | this run | met
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

use super::latency::{self, Row as LatencyRow};
use super::ring;
use super::throughput::{self, Section};
use super::ticks::{Data, synthetic_ticks};

/// Bytes of a step, generously.
const STEP_BYTES: u64 = 600;

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
}

/// The table, and what it is made of.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    ticks: String,
    table: Vec<Line>,
    floors: Vec<latency::Floor>,
    latency: Vec<LatencyRow>,
    throughput: Vec<throughput::Measured>,
    hops: Vec<ring::PacedRow>,
}

impl Overview {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.common.quick;
        let place = self.common.place()?;
        place.need(allocated_bytes(5 * synthetic_ticks(false) * STEP_BYTES, 64 << 20), "--quick")?;
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
        let report = Report {
            bench: "bench",
            quick,
            conditions,
            ticks: ticks.origin.clone(),
            table: lines(&rows, &floors, &sections, &hops),
            floors,
            latency: rows,
            throughput: sections,
            hops,
        };
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

/// The lines: aims first told, then what stands beside them.
fn lines(
    rows: &[LatencyRow],
    floors: &[latency::Floor],
    sections: &[throughput::Measured],
    hops: &[ring::PacedRow],
) -> Vec<Line> {
    let mut lines: Vec<Line> = latency::aims(rows, floors).iter().map(Line::of_aim).collect();
    for floor in floors {
        lines
            .push(Line::told("floor of that run: one cache line, core to core", percentiles(&floor.one_way)));
    }
    for row in rows {
        let what = format!("tick published to order read, 100,000/s: {}", row.name());
        lines.push(Line::told(what, percentiles(&row.published_to_order)));
    }
    for section in sections {
        lines.extend(section.aims.iter().map(Line::of_aim));
        if matches!(section.section, Section::Allocations | Section::Stamps) {
            continue;
        }
        for row in &section.rows {
            lines.push(Line::told(format!("{}: {}", section.section.short(), row.name), millions(row)));
        }
    }
    for hop in hops {
        lines.push(Line::told(format!("one hop, 100,000/s: {}", hop.name), percentiles(&hop.one_way)));
    }
    lines
}

impl Line {
    fn of_aim(aim: &Aim) -> Self {
        Self {
            what: aim.what.clone(),
            aim: Some(aim.bound_text()),
            figure: aim.value_text(),
            met: Some(aim.met),
        }
    }

    fn told(what: impl Into<String>, figure: String) -> Self {
        Self { what: what.into(), aim: None, figure, met: None }
    }

    fn cells(&self) -> [String; 4] {
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "",
        };
        [self.what.clone(), self.aim.clone().unwrap_or_default(), self.figure.clone(), met.to_owned()]
    }
}

/// p50, p99, p99.9 and the maximum, and p99 of the quiet windows.
fn percentiles(it: &Spread) -> String {
    let whole =
        [it.whole.p50_ns, it.whole.p99_ns, it.whole.p999_ns, it.whole.max_ns].map(thousands).join(" / ");
    let quiet =
        it.quiet.map_or_else(String::new, |quiet| format!(" (quiet p99 {})", thousands(quiet.p99_ns)));
    format!("p50/p99/p99.9/max {whole} ns{quiet}")
}

fn millions(row: &throughput::Row) -> String {
    let ring::Middle { median, min, max } = row.ticks_per_second;
    let [median, min, max] = [median, min, max].map(|rate| rate / 1e6);
    format!("{median:.2}M ticks/s ({min:.2} - {max:.2})")
}

impl Report {
    fn markdown(&self) -> String {
        let Conditions { machine, build, rustc, load, file_system, is_busy, .. } = &self.conditions;
        let busy = if *is_busy { ", a busy machine" } else { "" };
        let rustc = rustc.unwrap_or("unknown compiler");
        let mut text = String::from("| what | aim | this run | |\n|---|---|---|---|\n");
        for line in &self.table {
            text += &format!("| {} |\n", line.cells().join(" | "));
        }
        text + &format!(
            "\n{machine}; {build}, {rustc}; load {load:.2}{busy}; journals on {file_system}. Ticks: {}.\n",
            self.ticks
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Ticks: {}", self.ticks)?;
        let mut table = Table::new(&["", "aim", "this run", ""]);
        for line in &self.table {
            table.row(line.cells());
        }
        write!(f, "{table}")
    }
}
