//! Metrics: the engine's counters as Prometheus text over HTTP.
//!
//! ```text
//!  GET /metrics --> server (one cold thread) --> counters of this process --> exposition --> text, version 0.0.4
//!  GET /healthz --> 200 while steps can become durable, 503 once a sync has failed
//! ```
//!
//! `/healthz` is about the process, not about trading: an engine that is halted answers 200, for a restart would change
//! nothing; `pawl_mode` and `pawl_halts_total` tell of that.
//!
//! The engine is not asked: its threads count in words that anybody may read.

mod exposition;
mod server;

pub use exposition::exposition;
pub use server::{Metrics, MetricsError, MetricsServer};
