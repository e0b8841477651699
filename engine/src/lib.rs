//! The engine of Pawl: a pure function of its inputs, and the little that runs it.
//!
//! ```text
//! Input --> feature --> inference --> risk --> order --> Step (one frame of the journal)
//! ```
//!
//! [`feature`], [`inference`], [`risk`] and [`order`] are the stages: four objects with one method each
//! ([`Stage::on_step`]). [`pipeline`] puts them in a row. [`runtime`] is the only room that knows threads, clocks,
//! the ring or a journal being written; [`port`] says what it asks of feeds and venues.
//!
//! Invariants, as absences: a stage reads no clock, no environment, no file, no random number; it takes no lock,
//! allocates nothing after start-up and returns no error. Stage code never imports `runtime`.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod differing;
pub mod feature;
pub mod inference;
mod input;
pub mod instrument;
pub mod order;
pub mod pipeline;
pub mod port;
pub mod quantity;
pub mod risk;
pub mod runtime;
pub mod settings;
pub mod snapshot;
pub mod state;

pub use input::Input;
use pawl_journal::record::Step;

/// One stage of the pipeline: a plain function of the step and of its own past.
pub trait Stage {
    /// Reads the step's input and what earlier stages decided, and appends what this stage decides.
    fn on_step(&mut self, step: &mut Step);
}
