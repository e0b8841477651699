//! Re-runs a journal, compares, rebuilds state, follows chains and sums up.
//!
//! ```text
//! journal --Reader--> recorded step --Pipeline::rerun--> computed step --compare--> divergence, state, chain
//! ```
//!
//! Invariants, as absences: nothing here writes a journal, and nothing here runs while the engine does.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod chain;
mod error;
mod rerun;
mod summary;

pub use chain::{Chain, ChainStep, chain};
pub use error::ReplayError;
pub use rerun::{
    Divergence, ModelError, ModelSource, RECOMPUTE_TOLERANCE, Replayed, Rerun, Scope, StateAt, replay,
    settings_of, state_at,
};
pub use summary::{InstrumentSummary, StageLatencies, Summary, summarise};
