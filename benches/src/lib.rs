//! Benchmarks of Pawl: run with `cargo bench`, or `cargo bench -p pawl-benches -- --smoke` for a short one.
//!
//! Every benchmark says its question and its topology, measures an empty baseline first, reports percentiles to the
//! maximum and never a mean alone, and checks its answer.
