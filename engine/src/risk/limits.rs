//! `Limits`: the limits in force, each an integer in its own unit, read and changed by name.
//!
//! | limit | unit | range |
//! |---|---|---|
//! | `max_position`, `max_order` | 1e-8 lots | above 0 |
//! | `price_band` | millionths of the last quote | above 0, at most 100% |
//! | `max_quote_age`, `max_prediction_age` | nanoseconds | above 0 |
//! | `max_spread` | points | 0 (each instrument's own) or above |
//! | `max_order_rate` | messages in a minute | 1 to 1024 |
//! | `max_open_orders` | orders | 1 to 64; the book's other places are kept for closing |
//! | `max_daily_loss` | millionths of the account currency | above 0 |
//! | `max_drawdown` | millionths of the peak | above 0, at most 100% |
//!
//! A limit may contradict none of these; that `max_order` exceeds `max_position` is allowed: an order that closes and
//! reverses may be up to twice a position.

use pawl_journal::record::{LimitName, Lots};

use super::rate::RATE_MAX;
use super::{RiskError, RiskSettings};
use crate::instrument::{INSTRUMENTS_MAX, Instrument};
use crate::order::ORDERS_MAX;
use crate::quantity::{Decimal, Ppm, Span};
use crate::settings::Settings;
use crate::stateful;

/// Most orders that `max_open_orders` can allow: one place per instrument is kept for closing it.
const OPEN_ORDERS_MAX: i64 = (ORDERS_MAX - INSTRUMENTS_MAX) as i64;

const LIMITS: usize = LimitName::ALL.len();

/// The limits in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    values: [i64; LIMITS],
}

stateful!(Limits { values });

/// A value that a limit cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonsense {
    /// What would be right.
    pub(super) problem: &'static str,
}

impl Limits {
    /// The limits that the settings give.
    ///
    /// # Errors
    /// [`RiskError`] for a limit out of range, or one under which an instrument could never be traded.
    pub(super) fn new(settings: &Settings) -> Result<Self, RiskError> {
        let risk = &settings.risk;
        let mut limits = Self { values: [0; LIMITS] };
        for name in LimitName::ALL.iter().filter(|name| **name != LimitName::NONE) {
            limits.set(*name, value_of(risk, *name)).map_err(|nonsense| RiskError::Limit {
                key: name.name().unwrap_or("?"),
                value: text_of(risk, *name),
                problem: nonsense.problem,
            })?;
        }
        for instrument in &settings.instruments {
            for (key, volume) in [("max_position", risk.max_position), ("max_order", risk.max_order)] {
                if volume < instrument.volume_min {
                    return Err(RiskError::BelowMinVolume {
                        key,
                        value: volume,
                        symbol: instrument.symbol.clone(),
                        volume_min: instrument.volume_min,
                    });
                }
            }
        }
        Ok(limits)
    }

    /// A limit's value in its own unit; 0 for a name this build does not know.
    pub(super) fn get(&self, name: LimitName) -> i64 {
        self.values.get(usize::from(name.0)).copied().unwrap_or(0)
    }

    /// Changes a limit and returns the old value.
    ///
    /// # Errors
    /// [`Nonsense`] if it cannot have that value, or there is no such limit.
    pub(super) fn set(&mut self, name: LimitName, value: i64) -> Result<i64, Nonsense> {
        check(name, value)?;
        Ok(std::mem::replace(&mut self.values[usize::from(name.0)], value))
    }

    /// A volume limit in volume steps of an instrument, rounded down.
    pub(super) fn lots(&self, name: LimitName, volume_step: Decimal) -> Lots {
        Lots(self.get(name) / volume_step.0.max(1))
    }

    /// Widest spread to trade an instrument on, in points.
    pub(super) fn spread(&self, instrument: &Instrument) -> i64 {
        match self.get(LimitName::MAX_SPREAD) {
            0 => instrument.max_spread,
            spread => spread,
        }
    }

    /// The limits as the settings write them, for people.
    pub(super) fn view(&self) -> Vec<(&'static str, String)> {
        let names = LimitName::ALL.iter().filter(|name| **name != LimitName::NONE);
        names.map(|name| (name.name().unwrap_or("?"), limit_text(*name, self.get(*name)))).collect()
    }
}

/// Whether a limit can have this value.
fn check(name: LimitName, value: i64) -> Result<(), Nonsense> {
    let (range, problem) = match name {
        LimitName::MAX_POSITION | LimitName::MAX_ORDER => (1..=i64::MAX, "write lots, above 0"),
        LimitName::PRICE_BAND | LimitName::MAX_DRAWDOWN => {
            (1..=1_000_000, "write a percentage above 0% and at most 100%")
        }
        LimitName::MAX_QUOTE_AGE | LimitName::MAX_PREDICTION_AGE => {
            (1..=i64::MAX, "write a duration above 0s, such as \"5s\"")
        }
        LimitName::MAX_SPREAD => {
            (0..=i64::MAX, "write points, or 0 to take each instrument's own max_spread")
        }
        LimitName::MAX_ORDER_RATE => (1..=RATE_MAX as i64, "write a number of messages from 1 to 1024"),
        LimitName::MAX_OPEN_ORDERS => (1..=OPEN_ORDERS_MAX, "write a number of orders from 1 to 64"),
        LimitName::MAX_DAILY_LOSS => (1..=i64::MAX, "write an amount of the account currency, above 0"),
        _ => return Err(Nonsense { problem: "there is no such limit" }),
    };
    if !range.contains(&value) {
        return Err(Nonsense { problem });
    }
    Ok(())
}

/// A limit's value as the settings write it: `0.5`, `1%`, `5s`.
#[must_use]
pub fn limit_text(name: LimitName, value: i64) -> String {
    match name {
        LimitName::MAX_POSITION | LimitName::MAX_ORDER => Decimal(value).to_string(),
        LimitName::PRICE_BAND | LimitName::MAX_DRAWDOWN => Ppm(value).to_string(),
        LimitName::MAX_QUOTE_AGE | LimitName::MAX_PREDICTION_AGE => Span(value).to_string(),
        LimitName::MAX_DAILY_LOSS => Decimal(value.saturating_mul(100)).to_string(),
        _ => value.to_string(),
    }
}

/// A limit's value in its own unit, from the text that the settings write: the inverse of [`limit_text`].
///
/// # Errors
/// What is wrong with the text, for a person; also for a name that is no limit.
pub fn limit_value(name: LimitName, text: &str) -> Result<i64, String> {
    let value = match name {
        LimitName::MAX_POSITION | LimitName::MAX_ORDER => text.parse().map(|it: Decimal| it.0),
        LimitName::PRICE_BAND | LimitName::MAX_DRAWDOWN => text.parse().map(|it: Ppm| it.0),
        LimitName::MAX_QUOTE_AGE | LimitName::MAX_PREDICTION_AGE => text.parse().map(|it: Span| it.0),
        LimitName::MAX_DAILY_LOSS => text.parse().map(|it: Decimal| it.to_micros().0),
        LimitName::MAX_SPREAD | LimitName::MAX_ORDER_RATE | LimitName::MAX_OPEN_ORDERS => {
            text.parse().map_err(|_| format!("`{text}` is not a whole number"))
        }
        _ => Err(format!("`{name}` is not a limit")),
    }?;
    match limit_problem(name, value) {
        Some(problem) => Err(format!("`{text}` is out of range: {problem}")),
        None => Ok(value),
    }
}

/// What is wrong with a limit's value in its own unit, and what would be right; none if nothing is.
#[must_use]
pub fn limit_problem(name: LimitName, value: i64) -> Option<&'static str> {
    check(name, value).err().map(|nonsense| nonsense.problem)
}

fn value_of(risk: &RiskSettings, name: LimitName) -> i64 {
    match name {
        LimitName::MAX_POSITION => risk.max_position.0,
        LimitName::MAX_ORDER => risk.max_order.0,
        LimitName::PRICE_BAND => risk.price_band.0,
        LimitName::MAX_QUOTE_AGE => risk.max_quote_age.0,
        LimitName::MAX_PREDICTION_AGE => risk.max_prediction_age.0,
        LimitName::MAX_SPREAD => risk.max_spread,
        LimitName::MAX_ORDER_RATE => i64::from(risk.max_order_rate),
        LimitName::MAX_OPEN_ORDERS => i64::from(risk.max_open_orders),
        LimitName::MAX_DAILY_LOSS => risk.max_daily_loss.to_micros().0,
        LimitName::MAX_DRAWDOWN => risk.max_drawdown.0,
        _ => 0,
    }
}

fn text_of(risk: &RiskSettings, name: LimitName) -> String {
    if name == LimitName::MAX_DAILY_LOSS {
        risk.max_daily_loss.to_string()
    } else {
        limit_text(name, value_of(risk, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_reads_back_as_it_is_written() {
        for (name, text) in [
            (LimitName::MAX_POSITION, "0.5"),
            (LimitName::MAX_ORDER, "2"),
            (LimitName::PRICE_BAND, "1.5%"),
            (LimitName::MAX_QUOTE_AGE, "250ms"),
            (LimitName::MAX_PREDICTION_AGE, "2m"),
            (LimitName::MAX_SPREAD, "30"),
            (LimitName::MAX_ORDER_RATE, "60"),
            (LimitName::MAX_OPEN_ORDERS, "8"),
            (LimitName::MAX_DAILY_LOSS, "2000.5"),
            (LimitName::MAX_DRAWDOWN, "10%"),
        ] {
            let value = limit_value(name, text).expect(text);
            assert_eq!(limit_text(name, value), text);
            assert!(limit_value(name, "much").is_err());
        }
        assert!(limit_value(LimitName::NONE, "1").is_err());
    }
}
