//! Comparing what two journals, or a journal and a pipeline that is being run, decided on the same inputs.
//!
//! ```text
//!  A   tick 7        report        tick 8    tick 9        inputs from outside pair the steps up (feed and time of a
//!        |             |             |                     tick, time of a pulse, command, link)
//!  B   tick 7                      tick 8    tick 9  report
//!        `- orders made here, by instrument, are one order -> its reports pair up in their own order, wherever
//!           they come
//! ```
//!
//! What came from outside is the same whatever was decided; the venue's reports answer what was decided, so there may
//! be more of them, fewer, or elsewhere, and with them every sequence and order id shifts. So nothing is compared by
//! its number.
//!
//! Invariants: steps are read once, in order; what is kept grows with the orders that live; findings come in the order
//! of the inputs, but for reports that waited for their counterpart in vain.

mod finding;
mod lane;
mod orders;
mod records;
mod tally;
mod walk;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use pawl_engine::differing::differing_keys;
use pawl_engine::settings::{RecordedSettings, Settings};
use serde_json::Value;

pub use self::finding::{Comparable, Compared, Finding, First, KindCount, Place, Source, StepCount, What};
pub use self::lane::Steps;
pub use self::tally::Tally;
use self::walk::Walk;
use crate::error::ReplayError;

/// Keys of an instrument that say how it is traded, and nothing about what its prices and volumes are.
const OF_TRADING: [&str; 2] = ["max_spread", "stop_points"];

/// Whether two journals can be compared: their instruments must be the same, as prices and volumes are counted in their
/// points and lots. Tells in which keys their settings differ otherwise.
///
/// # Errors
/// [`ReplayError::Instruments`] if they are not.
pub fn comparable(a: &RecordedSettings, b: &RecordedSettings) -> Result<Comparable, ReplayError> {
    let symbols = |it: &RecordedSettings| -> Vec<String> {
        it.engine.instruments.iter().map(|it| it.symbol.clone()).collect()
    };
    let (left, right) = (symbols(a), symbols(b));
    if left != right {
        let how = format!("A has {}, B has {}", left.join(", "), right.join(", "));
        return Err(ReplayError::Instruments { how });
    }
    let json = |it: &RecordedSettings| serde_json::to_value(it).unwrap_or(Value::Null);
    let keys = differing_keys(&json(a), &json(b));
    let contract = keys.iter().find_map(|it| {
        let (place, key) = it.key.strip_prefix("engine.instruments[")?.split_once("].")?;
        let symbol = left.get(place.parse::<usize>().ok()?)?;
        (!OF_TRADING.contains(&key))
            .then(|| format!("{symbol} has {key} = {} in A, {} in B", it.left, it.right))
    });
    match contract {
        Some(how) => Err(ReplayError::Instruments { how }),
        None => Ok(Comparable { keys }),
    }
}

/// Compares two sources of steps, whose settings these are, to their ends. `visit` is told every difference, and may
/// stop the comparison.
///
/// # Errors
/// [`ReplayError`] if a source cannot give its steps; a difference is a result, not an error.
pub fn diff(
    sources: [&mut dyn Steps; 2],
    settings: [&Settings; 2],
    visit: &mut dyn FnMut(&Finding<'_>) -> ControlFlow<()>,
) -> Result<Compared, ReplayError> {
    let mut walk = Walk::new(sources, settings, visit);
    walk.run()?;
    Ok(walk.finish())
}
