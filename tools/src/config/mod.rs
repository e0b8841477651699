//! Configuration: one TOML file, under flags and environment, over defaults; every value knows where it came from.
//!
//! ```text
//! defaults < pawl.toml < environment < flags      merged key by key; the last one wins
//! ```

mod check;
mod file;
mod instrument;
mod layer;
mod live;

pub use check::{check, crowded_spin};
pub use file::{Config, CoreChoice, CoreName, DurabilityChoice, FeedConfig, Files, Mode, ThreadingChoice};
pub use instrument::resolve_instruments;
pub use layer::{Layers, Loaded, Origin, value_of};
pub use live::check_live;
