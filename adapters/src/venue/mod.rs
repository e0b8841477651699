//! Venues: where orders go.
//!
//! [`Paper`] is the default everywhere: it fills at the quotes that follow, from a seed.

mod paper;

pub use paper::{InFlightRequest, LIVE_ORDERS_MAX, LiveOrder, Paper, PaperError, PaperSettings, PaperState};
