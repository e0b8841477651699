//! What does it cost to score one row natively?
//!
//! Topology: rows in memory, another one at each call, one thread, as fast as it goes; models made up, of the size and form
//! that exporters give them. The baseline is the same loop around nothing: the clock. A regression here is one of every
//! step with a model. `pawl bench inference` stands ONNX Runtime beside it. An argument names the models to measure, or a
//! part of their names.

use std::hint::black_box;
use std::time::Instant;

use pawl_engine::inference::{NativeModel, SPECIMEN_COLUMNS, Specimen, specimen_rows};
use pawl_engine::runtime::Latency;

/// Seed of the models and of the rows.
const SEED: u64 = 1;

fn main() {
    let (flags, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let is_short = flags.iter().any(|flag| matches!(flag.as_str(), "--smoke" | "--test"));
    let calls = if is_short { 2_000 } else { 200_000 };
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    let rows = specimen_rows(4_096, SEED);
    println!("inference: {calls} rows of {SPECIMEN_COLUMNS} columns, one thread");
    println!();
    println!("{:<28} {:>8} {:>8} {:>8} {:>8} {:>10}", "ns per row", "p50", "p90", "p99", "p99.9", "max");
    measure("base: nothing", &rows, calls, |_| [1.0, 0.0, 0.0, 0.0]);
    for specimen in Specimen::ALL.into_iter().filter(|specimen| is_wanted(specimen.name())) {
        if let Ok(mut model) = NativeModel::from_onnx(&specimen.to_onnx(SEED), SPECIMEN_COLUMNS) {
            measure(specimen.name(), &rows, calls, |row| model.score(row));
        }
    }
}

fn measure(
    name: &str,
    rows: &[[f32; SPECIMEN_COLUMNS]],
    calls: usize,
    mut score: impl FnMut(&[f32]) -> [f32; 4],
) {
    let mut latency = Latency::new();
    for row in rows.iter().cycle().take(calls) {
        let start = Instant::now();
        let answer = score(black_box(row));
        latency.record(start.elapsed().as_nanos() as u64);
        assert!((answer.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{name}: {answer:?} are shares of one");
    }
    let at = latency.percentiles();
    println!(
        "{name:<28} {:>8} {:>8} {:>8} {:>8} {:>10}",
        at.p50_ns, at.p90_ns, at.p99_ns, at.p999_ns, at.max_ns
    );
}
