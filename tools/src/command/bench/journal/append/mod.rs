//! How long does an append keep its caller, in rolls too, and what do the syncs behind it cost?
//!
//! ```text
//!  one pinned thread:   turn 1: baseline, page-cache, small segments, async, gated;   turn 2: baseline, ...
//!  beside it:           the appenders' own threads, free to run anywhere
//! ```
//!
//! Topology: one writer, no reader, 96-byte steps. The baseline is the same loop with the same pacing and the same
//! two clock readings around nothing. Whether a roll fell into an append is looked up behind the timed window.

mod lane;

use std::fmt;
use std::time::Duration;

use pawl_engine::runtime::Percentiles;
use pawl_journal::log::{Durability, JournalOptions, JournalStatistics};
use serde::Serialize;

use crate::measure::{Aim, Over, Spread, allocated_bytes, heads, over_cells, percentile_cells};
use crate::output::{Table, thousands};

use self::lane::{Lane, Load, STEPS_PER_ORDER, drive};
use super::Plan;
use super::steps::SMALL_BYTES;

/// Interval of the `async` rows.
const INTERVAL: Duration = Duration::from_millis(50);

/// What appends cost.
#[derive(Debug, Serialize)]
pub struct Appends {
    append: Rows,
    flat_out: Rows,
    rolls: Rolls,
    sync: Syncs,
}

/// The rows of one load, the baseline first.
#[derive(Debug, Serialize)]
struct Rows {
    rate_per_second: Option<u64>,
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

/// What one lane came to.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    durability: Option<String>,
    segment_bytes: Option<u64>,
    steps: u64,
    steps_per_second: u64,
    took: Spread,
    since_due: Spread,
    over_baseline: Option<Over>,
    over_baseline_quiet: Option<Over>,
}

#[derive(Debug, Serialize)]
struct Rolls {
    rows: Vec<RollRow>,
    aims: Vec<Aim>,
}

/// Rolls of one lane: none of the appends are told apart where they were not paced.
#[derive(Debug, Serialize)]
struct RollRow {
    name: String,
    rolls: u64,
    waits: u64,
    during: Option<Percentiles>,
    outside: Option<Percentiles>,
}

#[derive(Debug, Serialize)]
struct Syncs {
    steps_per_order: u64,
    rows: Vec<SyncRow>,
}

#[derive(Debug, Serialize)]
struct SyncRow {
    name: String,
    sync_ns_mean: u64,
    #[serde(flatten)]
    statistics: JournalStatistics,
}

/// Bytes on disk at the same time, at most.
pub fn bytes_needed(plan: &Plan) -> u64 {
    let flat_out = Load::flat_out(plan).calls() * SMALL_BYTES;
    let journals = |bytes: u64| 4 * allocated_bytes(bytes + bytes / 8, plan.segment_bytes);
    journals(plan.paced_bytes()).max(journals(flat_out))
}

/// Measures paced rows, then rows that are not.
pub fn measure(plan: &Plan) -> anyhow::Result<Appends> {
    let journal = |durability: Durability| {
        let options = JournalOptions { segment_bytes: plan.segment_bytes, durability };
        Lane::journal(plan, &durability.to_string(), options)
    };
    let small = JournalOptions { segment_bytes: plan.small_segment_bytes, ..JournalOptions::default() };
    let mut paced = [
        Lane::baseline(),
        journal(Durability::PageCache)?,
        Lane::journal(plan, &format!("page-cache, {}-MiB segments", small.segment_bytes >> 20), small)?,
        journal(Durability::Async(INTERVAL))?,
        journal(Durability::Gated)?,
    ];
    drive(plan, "append, paced", &Load::paced(plan), &mut paced)?;
    let mut flat = [
        Lane::baseline(),
        journal(Durability::PageCache)?,
        journal(Durability::Async(INTERVAL))?,
        journal(Durability::Gated)?,
    ];
    drive(plan, "append, flat out", &Load::flat_out(plan), &mut flat)?;

    let append = Rows::of(&paced, Some(plan.rate));
    let waits = paced.iter().map(|lane| lane.statistics.roll_waits).sum::<u64>();
    let rolls = Rolls {
        rows: journals(&paced, "paced")
            .map(|(name, lane)| RollRow::paced(name, lane))
            .chain(journals(&flat, "flat out").map(|(name, lane)| RollRow::flat_out(name, lane)))
            .collect(),
        aims: vec![Aim::at_most("paced rolls that the writer waited for", waits as f64, 0.0, "rolls")],
    };
    let rows = journals(&paced, "paced").chain(journals(&flat, "flat out"));
    let sync = Syncs {
        steps_per_order: STEPS_PER_ORDER,
        rows: rows
            .filter(|(_, lane)| lane.is_synced())
            .map(|(name, lane)| SyncRow::new(name, lane))
            .collect(),
    };
    Ok(Appends { append, flat_out: Rows::of(&flat, None), rolls, sync })
}

/// The lanes that are journals, named by their load too.
fn journals<'a>(lanes: &'a [Lane], load: &'a str) -> impl Iterator<Item = (String, &'a Lane)> {
    lanes
        .iter()
        .filter(|lane| lane.options.is_some())
        .map(move |lane| (format!("{}, {load}", lane.name), lane))
}

impl Rows {
    fn of(lanes: &[Lane], rate_per_second: Option<u64>) -> Self {
        let base = lanes[0].took.spread();
        let rows: Vec<Row> = lanes.iter().map(|lane| Row::new(lane, &base)).collect();
        let aims = if rate_per_second.is_some() { aims(&rows) } else { Vec::new() };
        Self { rate_per_second, rows, aims }
    }
}

/// The aims for paced appends: the second row is the page cache, the fourth `async`.
fn aims(rows: &[Row]) -> Vec<Aim> {
    let (page_cache, background) = (&rows[1], &rows[3]);
    let mut aims = Vec::new();
    if let Some(over) = page_cache.over_baseline {
        aims.push(Aim::at_most("page-cache p50 over the baseline", over.p50_ns as f64, 30.0, "ns"));
        aims.push(Aim::at_most("page-cache p99 over the baseline", over.p99_ns as f64, 60.0, "ns"));
    }
    if let Some(over) = page_cache.over_baseline_quiet {
        let what = "page-cache p99 over the baseline, quiet windows";
        aims.push(Aim::at_most(what, over.p99_ns as f64, 60.0, "ns"));
    }
    let ratio = background.took.whole.p999_ns as f64 / page_cache.took.whole.p999_ns.max(1) as f64;
    aims.push(Aim::at_most("async p99.9 to page-cache p99.9", ratio, 10.0, "x"));
    aims
}

impl Row {
    fn new(lane: &Lane, base: &Spread) -> Self {
        let took = lane.took.spread();
        let journal = lane.options.is_some();
        let seconds = lane.busy.as_secs_f64();
        let over_quiet = took.quiet.as_ref().zip(base.quiet.as_ref()).map(|(it, base)| Over::new(it, base));
        Self {
            name: lane.name.clone(),
            durability: lane.options.map(|it| it.durability.to_string()),
            segment_bytes: lane.options.map(|it| it.segment_bytes),
            steps: lane.steps,
            steps_per_second: if seconds > 0.0 { (lane.steps as f64 / seconds) as u64 } else { 0 },
            took,
            since_due: lane.since_due.spread(),
            over_baseline: journal.then(|| Over::new(&took.whole, &base.whole)),
            over_baseline_quiet: over_quiet.filter(|_| journal),
        }
    }
}

impl RollRow {
    fn paced(name: String, lane: &Lane) -> Self {
        let (during, outside) = (Some(lane.rolling.percentiles()), Some(lane.steady.percentiles()));
        Self { during, outside, ..Self::flat_out(name, lane) }
    }

    fn flat_out(name: String, lane: &Lane) -> Self {
        let JournalStatistics { rolls, roll_waits: waits, .. } = lane.statistics;
        Self { name, rolls, waits, during: None, outside: None }
    }
}

impl SyncRow {
    fn new(name: String, lane: &Lane) -> Self {
        let statistics = lane.statistics;
        let sync_ns_mean = statistics.sync_ns_total.checked_div(statistics.syncs).unwrap_or(0);
        Self { name, sync_ns_mean, statistics }
    }
}

impl fmt::Display for Appends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.paced_text(f)?;
        self.flat_out_text(f)?;
        self.rolls_text(f)?;
        self.sync_text(f)
    }
}

impl Appends {
    fn paced_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rows { rate_per_second, rows, aims } = &self.append;
        let rate = thousands(rate_per_second.unwrap_or(0));
        writeln!(
            f,
            "What an append of {SMALL_BYTES} bytes takes, {rate} a second (ns; + is over the baseline)"
        )?;
        let mut table = Table::new(&heads(&[""], &["+p50", "+p99", "+p99.9"]));
        for row in rows {
            let cells = [vec![row.name.clone()], percentile_cells(&row.took.whole)].concat();
            table.row([cells, over_cells(row.over_baseline.as_ref())].concat());
            if let Some(quiet) = &row.took.quiet {
                let cells = [vec!["  quiet windows".to_owned()], percentile_cells(quiet)].concat();
                table.row([cells, over_cells(row.over_baseline_quiet.as_ref())].concat());
            }
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))?;
        writeln!(f, "\nFrom when an append was due until it was done, open-loop (ns)")?;
        let mut table = Table::new(&heads(&[""], &["steps"]));
        for row in rows {
            let tail = vec![thousands(row.steps)];
            table.row([vec![row.name.clone()], percentile_cells(&row.since_due.whole), tail].concat());
            if let Some(quiet) = &row.since_due.quiet {
                let tail = vec![thousands(quiet.count)];
                table.row([vec!["  quiet windows".to_owned()], percentile_cells(quiet), tail].concat());
            }
        }
        table.numbers_from(1);
        write!(f, "{table}")
    }

    fn flat_out_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat an append of {SMALL_BYTES} bytes takes, flat out (ns; + is over the baseline)")?;
        let mut table = Table::new(&heads(&[""], &["+p50", "+p99", "+p99.9", "steps", "steps/s"]));
        for row in &self.flat_out.rows {
            let cells = [vec![row.name.clone()], percentile_cells(&row.took.whole)].concat();
            let tail = vec![thousands(row.steps), thousands(row.steps_per_second)];
            table.row([cells, over_cells(row.over_baseline.as_ref()), tail].concat());
        }
        table.numbers_from(1);
        write!(f, "{table}")
    }

    fn rolls_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat a roll to the next segment adds (ns)")?;
        let heads =
            ["", "rolls", "waits", "append with a roll: p50", "max", "without one: p50", "p99.9", "max"];
        let mut table = Table::new(&heads);
        for row in &self.rolls.rows {
            let cells = |it: Option<&Percentiles>, of: &dyn Fn(&Percentiles) -> Vec<u64>, columns| match it {
                Some(it) if it.count > 0 => of(it).into_iter().map(thousands).collect(),
                _ => vec!["-".to_owned(); columns],
            };
            let during = cells(row.during.as_ref(), &|it| vec![it.p50_ns, it.max_ns], 2);
            let outside = cells(row.outside.as_ref(), &|it| vec![it.p50_ns, it.p999_ns, it.max_ns], 3);
            let front = vec![row.name.clone(), thousands(row.rolls), thousands(row.waits)];
            table.row([front, during, outside].concat());
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        self.rolls.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }

    fn sync_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = thousands(self.sync.steps_per_order);
        writeln!(f, "\nWhat the syncs behind it cost (gated: one step in {every} is asked for; us)")?;
        let heads = ["", "syncs", "mean", "max", "longest lag", "most steps behind", "bytes of padding"];
        let mut table = Table::new(&heads);
        let microseconds = |nanoseconds: u64| thousands(nanoseconds / 1_000);
        for row in &self.sync.rows {
            let it = &row.statistics;
            table.row([
                row.name.clone(),
                thousands(it.syncs),
                microseconds(row.sync_ns_mean),
                microseconds(it.sync_ns_max),
                microseconds(it.lag_ns_max),
                thousands(it.lag_steps_max),
                thousands(it.pad_bytes),
            ]);
        }
        table.numbers_from(1);
        write!(f, "{table}")
    }
}
