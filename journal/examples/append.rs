//! What one append costs, against an empty baseline.
//!
//! Question: how long does the appender keep its caller, per step, including checksum, copy, page faults and rolls?
//! Topology: one thread, no reader, a fresh journal in the directory given (or a temporary one), 64 MiB segments.
//! A regression means more work or more system calls on the append path.
//!
//! `cargo run --release -p pawl-journal --example append [DIR] [STEPS]`

use std::path::PathBuf;
use std::time::Instant;

use pawl_journal::log::{Appender, JournalOptions, SealReason, verify};
use pawl_journal::record::{Features, Sequence, Step, Tick, Time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let home = tempfile::tempdir()?;
    let parent = arguments.next().map_or_else(|| home.path().to_path_buf(), PathBuf::from);
    let count: u64 = arguments.next().map_or(Ok(4_000_000), |text| text.parse())?;
    for (name, columns) in [("96-byte step", 0), ("280-byte step", 40)] {
        let dir = parent.join(format!("append-{columns}-{}", std::process::id()));
        let mut appender = Appender::create_or_open(&dir, &JournalOptions::default())?;
        let mut step = Step::new();
        let mut base = Vec::with_capacity(count as usize);
        let mut cost = Vec::with_capacity(count as usize);
        for sequence in 1..=count {
            step.begin(Sequence(sequence), Time(sequence.cast_signed()));
            step.push(&Tick { source_sequence: sequence, ..Tick::default() });
            if columns > 0 {
                step.push_with_reals(&Features::default(), columns).fill(sequence as f32);
            }
            let start = Instant::now();
            std::hint::black_box(&step);
            let between = Instant::now();
            appender.append(&step)?;
            let end = Instant::now();
            base.push((between - start).as_nanos() as u64);
            cost.push((end - between).as_nanos() as u64);
        }
        appender.seal(SealReason::Ended)?;
        let bytes = step.bytes().len();
        println!("{name} ({bytes} bytes), {count} steps, {} bytes written", appender.bytes_written());
        report("base", &mut base);
        report("append", &mut cost);
        drop(appender);
        let start = Instant::now();
        let verified = verify(&dir, &mut |_, _| {})?;
        assert!(verified.steps == count && verified.findings.is_empty() && verified.sealed);
        println!("  verify {:.1} M steps/s", count as f64 / start.elapsed().as_secs_f64() / 1e6);
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn report(name: &str, nanoseconds: &mut [u64]) {
    nanoseconds.sort_unstable();
    let total: u64 = nanoseconds.iter().sum();
    let at = |share: f64| nanoseconds[((nanoseconds.len() - 1) as f64 * share) as usize];
    println!(
        "  {name:7} p50 {} p90 {} p99 {} p99.9 {} p99.99 {} max {} ns; all {} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0),
        total / 1_000_000
    );
}
