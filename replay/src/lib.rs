//! Re-runs a journal, compares, rebuilds state, follows chains and sums up.
//!
//! ```text
//! journal --Reader--> recorded step --Pipeline::rerun--> computed step --compare--> divergence, state, chain
//! ```
//!
//! Invariants, as absences: nothing here writes a journal (a bundle is unpacked to a copy of one), and nothing here runs while the engine does.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod bisect;
pub mod bundle;
mod chain;
pub mod diff;
mod error;
pub mod export;
mod fingerprint;
mod recompute;
mod replay;
mod report;
mod rerun;
mod rewind;
mod settings;
mod shadow;
mod slowest;
mod spans;
mod state_at;
mod summary;
pub mod whatif;

pub use chain::{Chain, ChainStep, EarlierStep, Effect, chain};
pub use error::ReplayError;
pub use fingerprint::{Fingerprint, Fingerprints, STAGES};
pub use recompute::{ModelError, ModelSource};
pub use replay::{Around, Divergence, RECOMPUTE_TOLERANCE, Replayed, Scope, StateDivergence, replay};
pub use report::{
    AgentFigures, Costs, CurvePoint, Drawdown, Exposure, Interval, OrderLine, Ratios, Report, ReportOptions,
    Sample, Share, SymbolFigures, Trip, TripFigures, report,
};
pub use rerun::Rerun;
pub use rewind::{Rewind, Shown};
pub use settings::{RunTold, settings_of, told};
pub use shadow::{Shadow, Taken};
pub use slowest::{SlowOrder, SlowStep, Slowest, slowest_orders, slowest_steps};
pub use spans::Spans;
pub use state_at::{StateAt, state_at};
pub use summary::{InstrumentSummary, StageLatencies, Summary, summarise};
