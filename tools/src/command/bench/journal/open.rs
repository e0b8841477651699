//! How long does it take to open a journal that was closed in order, and does its size matter?
//!
//! Topology: one thread that is not pinned (nor are the threads that the appender starts); journals of several sizes,
//! each full to its last segment, opened in turn. What an opening adds is removed behind it, so that every opening
//! finds the same. There is no empty baseline: the smallest journal is what the others are held against. A regression
//! here is one of every restart.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pawl_journal::log::{Appender, JournalOptions, SealReason};
use pawl_journal::record::Sequence;
use serde::Serialize;

use crate::measure::{Aim, Failure, allocated_bytes, largest, median};
use crate::output::{Bar, Table, thousands};

use super::Plan;
use super::filling::{Filled, check, fill};
use super::steps::Steps;

/// Bytes of the last segment that are left for its seal and what the writer may put in front of it.
const ROOM_BYTES: u64 = 64 << 10;

/// Most that opening the largest journal may take longer than opening the smallest one.
const RATIO_MAX: f64 = 1.5;

/// How long openings take.
#[derive(Debug, Serialize)]
pub struct Opens {
    rows: Vec<Row>,
    largest_to_smallest: f64,
    aims: Vec<Aim>,
}

/// Openings of one journal, ns.
#[derive(Debug, Serialize)]
struct Row {
    segments: u64,
    bytes: u64,
    steps: u64,
    opens: usize,
    open_ns_median: f64,
    open_ns_max: f64,
    seal_ns_median: f64,
}

/// A journal on its way to a row.
struct Opened {
    segments: u64,
    dir: PathBuf,
    filled: Filled,
    open_ns: Vec<f64>,
    seal_ns: Vec<f64>,
}

/// Bytes on disk at the same time, at most.
pub fn bytes_needed(plan: &Plan) -> u64 {
    // One more segment for what an opening adds.
    plan.open_segments
        .iter()
        .map(|segments| {
            allocated_bytes((segments + 1).saturating_mul(plan.segment_bytes), plan.segment_bytes)
        })
        .fold(0, u64::saturating_add)
}

/// Measures every size.
pub fn measure(plan: &Plan) -> anyhow::Result<Opens> {
    let options = JournalOptions { segment_bytes: plan.segment_bytes, ..JournalOptions::default() };
    let mut journals = Vec::new();
    for &segments in &plan.open_segments {
        let dir = plan.place.path(&format!("open-{segments}"));
        let bytes = segments * plan.segment_bytes;
        let bar = Bar::new("open, writing", bytes);
        let until = bytes.saturating_sub(ROOM_BYTES);
        let filled = fill(&dir, &options, Steps::small(), until, &plan.stop, |done| bar.set(done))?;
        let verified = check(&dir, filled.steps, "open")?;
        Failure::unless(verified.segments == segments, || {
            format!("the journal to open has {} segments, not {segments}", verified.segments)
        })?;
        journals.push(Opened { segments, dir, filled, open_ns: Vec::new(), seal_ns: Vec::new() });
    }
    let bar = Bar::new("open", (plan.opens * journals.len()) as u64);
    for turn in 0..plan.opens {
        for (index, journal) in journals.iter_mut().enumerate() {
            plan.stop.check()?;
            bar.set((turn * plan.open_segments.len() + index) as u64);
            journal.open(&options)?;
        }
    }
    drop(bar);
    let rows = journals.iter().map(Opened::finish).collect::<anyhow::Result<Vec<Row>>>()?;
    let medians = || rows.iter().map(|row| row.open_ns_median);
    let ratio = medians().next_back().unwrap_or(0.0) / medians().next().unwrap_or(0.0).max(1.0);
    let aims = vec![Aim::at_most("opening the largest to opening the smallest", ratio, RATIO_MAX, "x")];
    Ok(Opens { rows, largest_to_smallest: ratio, aims })
}

impl Opened {
    fn open(&mut self, options: &JournalOptions) -> anyhow::Result<()> {
        let before = names(&self.dir)?;
        let began = Instant::now();
        let mut appender = Appender::create_or_open(&self.dir, options)?;
        let opened = Instant::now();
        appender.seal(SealReason::Ended)?;
        let sealed = Instant::now();
        self.open_ns.push((opened - began).as_nanos() as f64);
        self.seal_ns.push((sealed - opened).as_nanos() as f64);
        let recovered = *appender.recovered();
        let last = Sequence(self.filled.steps);
        Failure::unless(recovered.last_sequence == last && recovered.was_clean, || {
            format!("opening {} segments of {last} steps found {recovered:?}", self.segments)
        })?;
        drop(appender);
        for name in names(&self.dir)?.difference(&before) {
            std::fs::remove_file(self.dir.join(name))?;
        }
        Ok(())
    }

    fn finish(&self) -> anyhow::Result<Row> {
        check(&self.dir, self.filled.steps, "open")?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(Row {
            segments: self.segments,
            bytes: self.filled.bytes,
            steps: self.filled.steps,
            opens: self.open_ns.len(),
            open_ns_median: median(&self.open_ns),
            open_ns_max: largest(&self.open_ns),
            seal_ns_median: median(&self.seal_ns),
        })
    }
}

/// The names of the files in a directory.
fn names(dir: &Path) -> std::io::Result<BTreeSet<OsString>> {
    let is_file = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|it| it.is_file());
    let entries = std::fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.iter().filter(|entry| is_file(entry)).map(std::fs::DirEntry::file_name).collect())
}

impl fmt::Display for Opens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "How long it takes to open a journal that was closed in order (us; in the page cache)")?;
        let mut table =
            Table::new(&["segments", "MiB", "steps", "openings", "open: median", "max", "then seal: median"]);
        for row in &self.rows {
            let microseconds = |nanoseconds: f64| thousands((nanoseconds / 1e3) as u64);
            table.row([
                thousands(row.segments),
                thousands(row.bytes >> 20),
                thousands(row.steps),
                row.opens.to_string(),
                microseconds(row.open_ns_median),
                microseconds(row.open_ns_max),
                microseconds(row.seal_ns_median),
            ]);
        }
        table.numbers_from(0);
        write!(f, "{table}")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
