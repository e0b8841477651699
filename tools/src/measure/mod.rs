//! What every benchmark shares: how time is read and paced, how latencies are summed up, under which conditions.
//!
//! ```text
//!  Pace (when each call is due) > the thing measured > Tape (raw readings) > Windows > Spread (percentiles)
//! ```
//!
//! Invariants: arrivals are open-loop, so a call that starts late because the one before it was slow still counts
//! from when it was due; nothing is worked out while measuring; percentiles go up to the maximum.

mod aim;
mod conditions;
mod failure;
mod handover;
mod pace;
mod place;
mod quantile;
mod sections;
mod spread;
mod thread;

pub use aim::Aim;
pub use conditions::Conditions;
pub use failure::{Failure, Stop};
pub use handover::{Give, Handed, Handover};
pub use pace::{Call, Pace, Reading, Tape, nanoseconds};
pub use place::{Place, allocated_bytes};
pub use quantile::{each_once, largest, median};
pub use sections::{Common, Sections, check_directory};
pub use spread::{Over, Spread, Windows, heads, over_cells, percentile_cells};
pub use thread::{Cores, on_core, pin_if};
