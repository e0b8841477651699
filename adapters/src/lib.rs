//! The outside of Pawl: feeds that ticks come from, venues that orders go to.
//!
//! ```text
//! bytes of others --> feed  --> FeedTick         (Mt5Export, Synthetic, Memory)
//! OrderRequest    --> venue --> ExecutionReport  (Paper)
//! counters        --> metrics --> Prometheus text
//! ```
//!
//! Bytes of others in, [`FeedTick`](pawl_engine::port::FeedTick)s out;
//! [`OrderRequest`](pawl_journal::record::OrderRequest)s in, execution reports out. A malformed input is an error
//! here and never enters the ring.
//!
//! Invariants, as absences: no adapter reads a clock or draws a number that a seed did not give it, none keeps a
//! price as a float past its own edge, none allocates per tick.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod control;
pub mod feed;
pub mod metrics;
pub mod random;
pub mod venue;
