//! Feeds: where ticks come from.
//!
//! [`Mt5Export`] reads a file that MetaTrader 5 exports, [`Exports`] many of one symbol as one feed, [`Between`] what lies
//! in a range of time, and [`Ahead`] reads any of them on a thread of its own; [`Synthetic`] makes a market up from a seed,
//! [`Memory`] gives ticks that are there already. A feed delivers what its source says: prices that are zero, crossed or
//! negative and times that run backwards are for ingress to mark. Only what cannot be read is an error.

mod ahead;
mod between;
mod columns;
mod exports;
mod lines;
mod memory;
mod moment;
mod mt5_export;
mod number;
mod quick;
mod scan;
mod synthetic;
mod usual;

pub use ahead::Ahead;
pub use between::{Between, TimeRange};
pub use exports::Exports;
pub use memory::Memory;
pub use mt5_export::Mt5Export;
pub use synthetic::{Synthetic, SyntheticSettings};

use pawl_engine::port::{Feed, FeedError};

/// Takes ticks from `feed`, of which the last one taken is `reached`, until the one with this place.
fn take_to(feed: &mut dyn Feed, mut reached: u64, source_sequence: u64) -> Result<(), FeedError> {
    while reached < source_sequence {
        let Some(tick) = feed.next()? else {
            return Err(ended_before(feed.name(), source_sequence, reached));
        };
        reached = tick.source_sequence;
    }
    Ok(())
}

/// The feed is shorter than the place to go on from.
fn ended_before(name: &str, source_sequence: u64, reached: u64) -> FeedError {
    FeedError {
        message: format!(
            "{name}: the journal goes on after tick {source_sequence} of this feed, but it ends after tick {reached}: \
             give all the files that the journal was written from, and new ones behind them, or start a new journal"
        ),
        environment: false,
    }
}
