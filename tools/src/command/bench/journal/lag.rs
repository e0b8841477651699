//! How long after a step is committed does a tailer see it?
//!
//! ```text
//!  writer, pinned ---- step ----> mapped segment ----> 1 or 3 tailers that poll, each on a core of its own
//!  writer, pinned ---- u64 -----> one cache line ----> 1 or 3 threads that poll, the same cores        (baseline)
//! ```
//!
//! Topology: one writer, paced; pollers that share a core (where there are too few) give it up after an empty poll. The
//! baseline is what the machine takes to hand one cache line over, at the same pace, turn about with the journal. A
//! regression here is one of every order's way to the gateway.

use std::fmt;

use pawl_engine::runtime::Percentiles;
use pawl_journal::log::{Appender, From, JournalOptions, SealReason, Tailer};
use pawl_journal::record::Tick;
use serde::Serialize;

use crate::measure::{
    Aim, Failure, Give, Handover, Spread, Windows, allocated_bytes, heads, nanoseconds, percentile_cells,
};
use crate::output::{Bar, Table, thousands};

use super::Plan;
use super::filling::check;
use super::steps::Steps;

/// How many readers there are, from row to row.
const READERS: [usize; 2] = [1, 3];

/// Most that the journal may take longer than a bare cache line, in the median.
const RATIO_MAX: f64 = 3.0;

/// How far tailers are behind.
#[derive(Debug, Serialize)]
pub struct Lags {
    /// Why nothing was measured, if nothing was.
    skipped: Option<&'static str>,
    rate_per_second: u64,
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

/// One number of readers.
#[derive(Debug, Serialize)]
struct Row {
    readers: usize,
    readers_share_cores: bool,
    steps: u64,
    /// From in front of the store of one cache line to where a reader has seen it.
    cache_line: Spread,
    /// From behind the append to where a tailer has the step, verified.
    committed_to_seen: Spread,
    /// From in front of the append.
    begun_to_seen: Spread,
    /// Of the medians of `committed_to_seen` and `cache_line`.
    ratio_p50: f64,
    /// Of the medians in the quiet windows.
    ratio_p50_quiet: Option<f64>,
}

/// Bytes on disk at the same time, at most.
pub fn bytes_needed(plan: &Plan) -> u64 {
    READERS.len() as u64 * allocated_bytes(plan.paced_bytes() + plan.paced_bytes() / 8, plan.segment_bytes)
}

/// Measures every number of readers, the baseline of each in turn with it.
pub fn measure(plan: &Plan) -> anyhow::Result<Lags> {
    let mut lags = Lags { skipped: None, rate_per_second: plan.rate, rows: Vec::new(), aims: Vec::new() };
    if plan.cores.count() < 2 {
        lags.skipped = Some("it needs two cores, and this process may use one");
        return Ok(lags);
    }
    let mut lanes =
        READERS.iter().map(|readers| Lane::new(plan, *readers)).collect::<anyhow::Result<Vec<_>>>()?;
    let bar = Bar::new("lag", (plan.turns() * lanes.len()) as u64);
    for turn in 0..plan.turns() {
        for (index, lane) in lanes.iter_mut().enumerate() {
            bar.set_with((turn * READERS.len() + index) as u64, counted(lane.readers, "reader"));
            lane.cache_line_turn(plan)?;
            lane.journal_turn(plan)?;
        }
    }
    drop(bar);
    lags.rows = lanes.into_iter().map(|lane| lane.finish(plan)).collect::<anyhow::Result<_>>()?;
    if let Some(row) = lags.rows.first() {
        let what = "lag of one tailer to core-to-core time, p50";
        lags.aims.push(Aim::at_most(what, row.ratio_p50, RATIO_MAX, "x"));
        if let Some(ratio) = row.ratio_p50_quiet {
            lags.aims.push(Aim::at_most(format!("{what}, quiet windows"), ratio, RATIO_MAX, "x"));
        }
    }
    Ok(lags)
}

/// One number of readers on its way.
struct Lane {
    readers: usize,
    appender: Appender,
    tailers: Vec<Tailer>,
    steps: u64,
    cache_line: Windows,
    committed: Windows,
    begun: Windows,
}

impl Lane {
    fn new(plan: &Plan, readers: usize) -> anyhow::Result<Self> {
        let dir = plan.place.path(&format!("lag-{readers}"));
        let options = JournalOptions { segment_bytes: plan.segment_bytes, ..JournalOptions::default() };
        let appender = Appender::create_or_open(&dir, &options)?;
        let tailers = (0..readers).map(|_| Tailer::open(&dir, From::Start)).collect::<Result<_, _>>()?;
        Ok(Self {
            readers,
            appender,
            tailers,
            steps: 0,
            cache_line: Windows::default(),
            committed: Windows::default(),
            begun: Windows::default(),
        })
    }

    fn cache_line_turn(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let handed = handover(plan, 1).cache_line(self.readers)?;
        for seen in &handed.seen {
            let lags = handed.calls.iter().zip(seen).map(|(call, seen)| nanoseconds(call.began, *seen));
            self.cache_line.stretch(handed.times().zip(lags));
        }
        Ok(())
    }

    fn journal_turn(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let appending = Appending { appender: &mut self.appender, steps: Steps::small() };
        let takes: Vec<_> = self
            .tailers
            .iter_mut()
            .map(|tailer| {
                let mut last = self.steps;
                move || {
                    let Some(frame) = tailer.poll()? else { return Ok(None) };
                    let sequence = frame.sequence().0;
                    let number = frame.step().get::<Tick>().map_or(0, |tick| tick.source_sequence);
                    last += 1;
                    Failure::unless(sequence == last && number == last, || {
                        format!("a tailer gave step {sequence} of tick {number} where {last} was next")
                    })?;
                    Ok(Some(sequence))
                }
            })
            .collect();
        let handed = handover(plan, self.steps + 1).run(appending, takes)?;
        self.steps += handed.calls.len() as u64;
        for seen in &handed.seen {
            let calls = || handed.calls.iter().zip(seen);
            let committed = calls().map(|(call, seen)| nanoseconds(call.ended, *seen));
            self.committed.stretch(handed.times().zip(committed));
            let begun = calls().map(|(call, seen)| nanoseconds(call.began, *seen));
            self.begun.stretch(handed.times().zip(begun));
        }
        Ok(())
    }

    fn finish(mut self, plan: &Plan) -> anyhow::Result<Row> {
        self.appender.seal(SealReason::Ended)?;
        for tailer in &mut self.tailers {
            let more = tailer.poll()?.map(|frame| frame.sequence());
            Failure::unless(more.is_none(), || format!("a tailer gave step {more:?}, which nobody wrote"))?;
        }
        let dir = self.appender.dir().to_path_buf();
        drop(self.appender);
        check(&dir, self.steps, "lag")?;
        std::fs::remove_dir_all(&dir)?;
        let (cache_line, committed_to_seen) = (self.cache_line.spread(), self.committed.spread());
        let ratio = |it: &Percentiles, base: &Percentiles| it.p50_ns as f64 / base.p50_ns.max(1) as f64;
        let quiet = committed_to_seen.quiet.as_ref().zip(cache_line.quiet.as_ref());
        Ok(Row {
            readers: self.readers,
            readers_share_cores: plan.cores.are_shared_by(self.readers),
            steps: self.steps,
            ratio_p50: ratio(&committed_to_seen.whole, &cache_line.whole),
            ratio_p50_quiet: quiet.map(|(it, base)| ratio(it, base)),
            cache_line,
            committed_to_seen,
            begun_to_seen: self.begun.spread(),
        })
    }
}

/// A number of things.
fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// One turn, whose first thing has this number.
fn handover(plan: &Plan, first: u64) -> Handover<'_> {
    Handover {
        cores: &plan.cores,
        stop: &plan.stop,
        rate: Some(plan.rate),
        count: plan.calls_per_turn(),
        first,
    }
}

/// The writer's side of the journal: the step is made before it is due.
struct Appending<'a> {
    appender: &'a mut Appender,
    steps: Steps,
}

impl Give for Appending<'_> {
    fn prepare(&mut self, number: u64) {
        self.steps.make(number);
    }

    fn give(&mut self, _number: u64) -> anyhow::Result<()> {
        Ok(self.appender.append(self.steps.made())?)
    }
}

impl fmt::Display for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = thousands(self.rate_per_second);
        writeln!(f, "How far a tailer is behind the writer, {rate} steps a second (ns)")?;
        if let Some(why) = self.skipped {
            return writeln!(f, " skipped: {why}");
        }
        let mut table = Table::new(&heads(&[""], &["p50 to baseline"]));
        for row in &self.rows {
            let share = if row.readers_share_cores { ", sharing cores" } else { "" };
            let base = row.cache_line.whole.p50_ns;
            let mut add = |name: String, it: &Percentiles, base: Option<u64>| {
                let ratio = base.map(|base| format!("{:.2} x", it.p50_ns as f64 / base.max(1) as f64));
                let tail = vec![ratio.unwrap_or_default()];
                table.row([vec![name], percentile_cells(it), tail].concat());
            };
            add(
                format!("baseline: a cache line, {}{share}", counted(row.readers, "reader")),
                &row.cache_line.whole,
                None,
            );
            if let Some(quiet) = &row.cache_line.quiet {
                add("  quiet windows".to_owned(), quiet, None);
            }
            let quiet_base = row.cache_line.quiet.map(|it| it.p50_ns);
            for (name, spread) in
                [("committed to seen", &row.committed_to_seen), ("append begun to seen", &row.begun_to_seen)]
            {
                add(format!("{name}, {}", counted(row.readers, "tailer")), &spread.whole, Some(base));
                if let Some(quiet) = &spread.quiet {
                    add("  quiet windows".to_owned(), quiet, quiet_base);
                }
            }
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
