//! How fast is a journal verified, from the page cache on one core?
//!
//! Topology: one pinned thread; the same journal read three ways in turn, three times. The baseline reads the files
//! and adds up their words: what any reader pays. A regression here is one of every restart and every replay.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use pawl_journal::log::{JournalOptions, Reader};
use pawl_journal::record::Tick;
use serde::Serialize;

use crate::measure::{Aim, Failure, allocated_bytes, largest, median, on_core};
use crate::output::{Bar, Table, thousands};

use super::Plan;
use super::filling::{Filled, check, fill};
use super::steps::Steps;

/// Repetitions of each row.
const REPETITIONS: usize = 3;

/// Bytes read at once by the baseline.
const BUFFER_BYTES: usize = 1 << 20;

/// How fast journals are read.
#[derive(Debug, Serialize)]
pub struct Verifies {
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

/// One way to read one journal. A gigabyte is 10^9 bytes.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    step_bytes: u64,
    steps: u64,
    bytes: u64,
    gigabytes_per_second_best: f64,
    gigabytes_per_second_median: f64,
    steps_per_second_median: u64,
}

/// Bytes on disk at the same time, at most.
pub fn bytes_needed(plan: &Plan) -> u64 {
    allocated_bytes(plan.verify_bytes, plan.segment_bytes)
}

/// Measures both sizes of step.
pub fn measure(plan: &Plan) -> anyhow::Result<Verifies> {
    let mut rows = Vec::new();
    for steps in [Steps::small(), Steps::large()] {
        rows.extend(journal(plan, steps)?);
    }
    let whole = rows.iter().filter(|row| row.name == WAYS[2]);
    let aims = whole.map(|row| {
        let what = format!("verify, median, {}-byte steps", row.step_bytes);
        Aim::at_least(what, row.gigabytes_per_second_median, 2.0, "GB/s")
    });
    Ok(Verifies { aims: aims.collect(), rows })
}

/// The ways to read a journal, the baseline first.
const WAYS: [&str; 3] = ["baseline: read and add up", "reader: checksums and order", "verify: everything"];

fn journal(plan: &Plan, mut steps: Steps) -> anyhow::Result<Vec<Row>> {
    let dir = plan.place.path("verify");
    let bar = Bar::new("verify, writing", plan.verify_bytes);
    let options = JournalOptions { segment_bytes: plan.segment_bytes, ..JournalOptions::default() };
    let step_bytes = steps.bytes();
    let filled = fill(&dir, &options, steps, plan.verify_bytes, &plan.stop, |done| bar.set(done))?;
    drop(bar);
    let bar = Bar::new("verify, reading", (REPETITIONS * WAYS.len()) as u64);
    let mut seconds = [const { Vec::new() }; WAYS.len()];
    let mut bytes = [filled.bytes; WAYS.len()];
    on_core(plan.cores.first(), || -> anyhow::Result<()> {
        for repetition in 0..REPETITIONS {
            for (way, seconds) in seconds.iter_mut().enumerate() {
                plan.stop.check()?;
                bar.set_with((repetition * WAYS.len() + way) as u64, WAYS[way].to_owned());
                let began = Instant::now();
                match way {
                    0 => bytes[0] = add_up(&dir)?,
                    1 => walk(&dir, filled)?,
                    _ => whole(&dir, filled)?,
                }
                seconds.push(began.elapsed().as_secs_f64());
            }
        }
        Ok(())
    })?;
    std::fs::remove_dir_all(&dir)?;
    let rows = WAYS.iter().zip(seconds).zip(bytes).map(|((name, seconds), bytes)| {
        let rates: Vec<f64> = seconds.iter().map(|seconds| bytes as f64 / seconds / 1e9).collect();
        Row {
            name,
            step_bytes,
            steps: filled.steps,
            bytes,
            gigabytes_per_second_best: largest(&rates),
            gigabytes_per_second_median: median(&rates),
            steps_per_second_median: (filled.steps as f64 / median(&seconds)) as u64,
        }
    });
    Ok(rows.collect())
}

/// Reads every file of a directory and adds up its words; gives the bytes read.
fn add_up(dir: &Path) -> anyhow::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut bytes, mut sum) = (0, 0_u64);
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "pawl") {
            continue;
        }
        let mut file = File::open(path)?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            for word in buffer[..read].as_chunks().0 {
                sum = sum.wrapping_add(u64::from_le_bytes(*word));
            }
            bytes += read as u64;
        }
    }
    std::hint::black_box(sum);
    Ok(bytes)
}

/// Walks the journal as a reader does, and checks the ticks in it.
fn walk(dir: &Path, filled: Filled) -> anyhow::Result<()> {
    let mut reader = Reader::open(dir)?;
    let mut sequence = 0;
    while let Some(frame) = reader.next()? {
        sequence += 1;
        let number = frame.step().get::<Tick>().map(|tick| tick.source_sequence);
        Failure::unless(number == Some(sequence), || {
            format!("the reader gave step {number:?} for {sequence}")
        })?;
    }
    Failure::unless(sequence == filled.steps, || {
        format!("the reader gave {sequence} steps of {}", filled.steps)
    })?;
    Ok(())
}

/// Verifies the journal.
fn whole(dir: &Path, filled: Filled) -> anyhow::Result<()> {
    check(dir, filled.steps, "verify")?;
    Ok(())
}

impl fmt::Display for Verifies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "How fast a journal is verified, from the page cache, on one core (GB/s; three repetitions)"
        )?;
        let mut table = Table::new(&["", "bytes a step", "best", "median", "steps/s", "bytes"]);
        for row in &self.rows {
            table.row([
                row.name.to_owned(),
                row.step_bytes.to_string(),
                format!("{:.2}", row.gigabytes_per_second_best),
                format!("{:.2}", row.gigabytes_per_second_median),
                thousands(row.steps_per_second_median),
                thousands(row.bytes),
            ]);
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
