//! Benchmarks of Pawl: `cargo bench` runs them, `cargo bench -p pawl-benches -- --test` each once.
//!
//! ```text
//!  step        a step from its input to its commit: percentiles, against an empty baseline
//!  operation   the hot operations alone, with criterion: what changed since the last time on this machine
//!  instructions  the same operations, counted by callgrind: what changed since the table in record/, on any machine
//! ```
//!
//! Every benchmark says its question and its topology, and checks its answer. What the whole engine does is measured by
//! `pawl bench`.

pub mod operation;
