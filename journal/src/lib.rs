//! The journal of Pawl: the contract that a downstream program depends on, and all that it needs.
//!
//! Two rooms. [`record`] holds the words: the typed records of a step, their layouts, versions and units.
//! [`log`] holds the bytes: frames, segments, the one appender, tailers, readers and the verifier.
//!
//! ```text
//! Step (records of one input) --Appender--> segment files --Reader / Tailer--> StepRef (the same bytes, borrowed)
//! ```
//!
//! Invariants, as absences: this crate knows no ring, no stage, no socket and no strategy. Only
//! `log/region.rs` contains `unsafe`.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(not(target_endian = "little"))]
compile_error!("the journal is little-endian on disk and in memory; this target is not supported");

pub mod log;
pub mod record;
