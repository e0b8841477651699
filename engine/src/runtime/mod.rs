//! The runtime: ring, ingress, gateway, threads, cores, clock. The only room that knows them.
//!
//! ```text
//! single   one thread:  ingress -> core -> gateway -> ingress ...
//! fused    edge thread: ingress, gateway      pipeline thread: core                   (ring between them)
//! staged   edge thread: ingress, gateway      feature > inference > risk > order      (a thread each, on the ring)
//! ```
//!
//! All drive the same edge loop; only how an envelope reaches the core differs.

mod affinity;
mod clock;
mod core;
pub mod counters;
mod edge;
mod error;
mod gateway;
mod health;
mod ingress;
mod latency;
mod memory;
mod progress;
mod recovery;
mod ring;
mod run;
mod staged;
mod threads;
mod twin;
mod wait;

pub use affinity::{CoreError, Cores, available_cores, keep_off, list_text, pin};
pub use clock::{Clock, Instant};
pub use edge::DRAIN;
pub use error::RunError;
pub use ingress::{Handling, IngressSettings};
pub use latency::{Latency, Percentiles};
pub use memory::{LockMemory, MemoryError, MemoryLock, lock_memory};
pub use progress::{Progress, Status};
pub use ring::{Envelope, Polled, Publisher, Subscriber, ring};
pub use run::{
    Answer, CommandRequest, DurabilityReport, Outcome, Prepared, RingFull, Run, RunOptions, RunTexts,
    Sources, Threading,
};
pub use twin::{Reached, Twin};
pub use wait::Wait;
