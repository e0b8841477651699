//! The tables of `pawl bench latency`, and what its rows are held against.

use std::fmt;

use crate::command::bench::work::Work;
use crate::measure::{Aim, Spread, heads, percentile_cells};
use crate::output::{Table, thousands};

use super::{Floor, RATE, Report, Row};

/// So much longer than in its quiet windows is the floor's 99th percentile at most where nothing disturbed it.
const DISTURBED_RATIO: u64 = 20;

/// No two cores take longer than this to hand a cache line over, ns, if both have nothing else to do.
const DISTURBED_P50_NS: u64 = 2_000;

/// What 100,000 ticks a second are held against, beside the floor of the same run.
pub fn aims(rows: &[Row], floors: &[Floor]) -> Vec<Aim> {
    let Some(floor) = floors.iter().find(|it| it.rate_per_second == RATE) else { return Vec::new() };
    let of = |work| {
        let is_it = |it: &&Row| {
            it.rate_per_second == RATE
                && it.work == work
                && it.threading == "fused"
                && it.durability == "page-cache"
        };
        rows.iter().find(is_it)
    };
    let Some(row) = of(Work::Features) else { return Vec::new() };
    let (own, base) = (&row.published_to_order, &floor.one_way);
    let what = "tick to order, fused, 100,000/s";
    let p50 = |it: &Spread| it.whole_ns(|it| it.p50_ns);
    let bound = base.whole_ns(|it| 2 * it.p50_ns + 500).unwrap_or(f64::NAN);
    let aim = Aim::at_most(format!("{what}: p50"), p50(own), bound, "ns").made_of("2 x floor's + 500 ns");
    let mut aims = vec![aim.doubted(floor.doubt())];
    if let Some(quiet) = own.quiet {
        aims.push(Aim::at_most(format!("{what}: p99, quiet windows"), quiet.p99_ns as f64, 4_000.0, "ns"));
    }
    let p99 = |it: &Spread| it.whole_ns(|it| it.p99_ns);
    let bound = p99(base).map_or(f64::NAN, |it| (1.3 * it).round());
    let p99 = Aim::at_most(format!("{what}: p99"), p99(own), bound, "ns").made_of("1.3 x floor's");
    aims.push(p99.doubted(floor.doubt()));
    if let Some(models) = of(Work::Models) {
        let with = p50(&models.published_to_order);
        let over = with.zip(p50(own)).map(|(with, without)| with - without);
        let inference = |it: &Row| it.stages.inference.p50_ns as f64;
        let bound = inference(models) - inference(row);
        aims.push(
            Aim::at_most(format!("{what}: p50 that models add"), over, bound, "ns")
                .made_of("their inference"),
        );
    }
    aims
}

impl Floor {
    /// Whether something else took the cores for longer than a quiet one takes: then what follows from its tail is no bound.
    fn doubt(&self) -> Option<&'static str> {
        let Spread { whole, quiet, .. } = &self.one_way;
        let has_a_tail = quiet.is_some_and(|quiet| whole.p99_ns > DISTURBED_RATIO * quiet.p99_ns.max(1));
        (has_a_tail || whole.p50_ns > DISTURBED_P50_NS).then_some("floor disturbed")
    }
}

impl Row {
    /// What sets the row apart from the others of its rate.
    pub fn name(&self) -> String {
        let models = if self.work == Work::Models { ", models" } else { "" };
        format!("{}, {}{models}", self.threading, self.durability)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Ticks: {}; the paper venue; all default features, a rule that trades often",
            self.ticks
        )?;
        if let Some(stall) = self.stall_ms {
            writeln!(f, "The feed stops for {stall} ms in the middle of every turn")?;
        }
        type Pick = fn(&Row) -> &Spread;
        let tables: [(&str, Pick, bool); 4] = [
            ("Tick published to order read by the gateway (ns)", |row| &row.published_to_order, false),
            ("Tick due to order read by the gateway (ns)", |row| &row.due_to_order, true),
            ("Tick published to step committed (ns)", |row| &row.published_to_committed, false),
            ("Tick due to step committed (ns)", |row| &row.due_to_committed, true),
        ];
        for (title, pick, since_due) in tables {
            writeln!(f, "\n{title}")?;
            let mut table = Table::new(&heads(&["a second", ""], &["count"]));
            for floor in &self.floors {
                let rate = thousands(floor.rate_per_second);
                let base = if since_due { &floor.since_due } else { &floor.one_way };
                add(&mut table, rate, "floor: a cache line".to_owned(), base);
                for row in self.rows.iter().filter(|it| it.rate_per_second == floor.rate_per_second) {
                    add(&mut table, String::new(), row.name(), pick(row));
                }
            }
            table.numbers_from(2);
            write!(f, "{table}")?;
        }
        self.stages(f)?;
        writeln!(
            f,
            "\nTick to order: published to read by the gateway; floor: one cache line, core to core"
        )?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}

impl Report {
    /// Where the time goes, p50 and p99 of each stage.
    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhere it goes, p50 / p99 of each part (ns); wait: from due to published")?;
        let names: Vec<&str> =
            self.rows.first().map_or_else(Vec::new, |it| it.stages.all().map(|it| it.0).to_vec());
        let mut table = Table::new(&[&["a second", ""], names.as_slice(), &["ring full"]].concat());
        for row in &self.rows {
            let cells = row
                .stages
                .all()
                .map(|(_, it)| format!("{} / {}", thousands(it.p50_ns), thousands(it.p99_ns)));
            let front = vec![thousands(row.rate_per_second), row.name()];
            table.row([front, cells.to_vec(), vec![thousands(row.ring_full)]].concat());
        }
        table.numbers_from(2);
        write!(f, "{table}")
    }
}

fn add(table: &mut Table, rate: String, name: String, spread: &Spread) {
    let count = vec![thousands(spread.whole.count)];
    table.row([vec![rate, name], percentile_cells(&spread.whole), count].concat());
    if let Some(quiet) = &spread.quiet {
        let count = vec![thousands(quiet.count)];
        table.row(
            [vec![String::new(), "  quiet windows".to_owned()], percentile_cells(quiet), count].concat(),
        );
    }
}
