//! `Instrument`: what a symbol is, and how its points and lots become money.
//!
//! ```text
//! profit [micros of the profit currency] = points x lots x point_value [1e-12] / 1e6
//! ```

use pawl_journal::record::{InstrumentId, Lots, Micros, Points};
use serde::{Deserialize, Serialize};

use crate::quantity::Decimal;

/// Most instruments one engine trades; bounds every table that is indexed by instrument.
pub const INSTRUMENTS_MAX: usize = 64;

/// What a symbol is, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instrument {
    /// The broker's name, suffix included: `EURUSD+` is not `EURUSD`.
    pub symbol: String,
    /// Decimals of a price; one point is 10^-digits.
    pub digits: u8,
    /// Units of the base asset in 1.0 lot.
    pub contract_size: Decimal,
    /// Smallest order, in lots.
    pub volume_min: Decimal,
    /// Largest order, in lots.
    pub volume_max: Decimal,
    /// Order volumes are multiples of this, in lots.
    pub volume_step: Decimal,
    /// Currency in which its profit arises.
    pub currency: String,
    /// Symbol of the instrument that converts `currency` into the account currency; none if they are the same.
    /// Its price is the account currency per unit of `currency`, or the inverse if `conversion_inverse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<String>,
    /// The conversion instrument is quoted the other way round (USDJPY converts JPY into USD by division).
    #[serde(default)]
    pub conversion_inverse: bool,
    /// Widest spread to trade on, in points, unless `risk.max_spread` says otherwise.
    pub max_spread: i64,
    /// Adverse move, in points, at which a position is closed and that its size assumes, unless `risk.stop_points`
    /// says otherwise.
    pub stop_points: i64,
}

/// A wrong instrument definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstrumentError {
    /// A value is outside what the engine can hold.
    #[error("instrument {symbol}: {key} = {value} {problem}")]
    Value {
        /// Which instrument.
        symbol: String,
        /// Which key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it and what would be right.
        problem: &'static str,
    },
}

impl Instrument {
    /// The usual contract of a well-known symbol: major and minor currency pairs, gold, silver, bitcoin, ether.
    ///
    /// Suffixes and prefixes of brokers are not stripped: `EURUSD.r` must be configured.
    #[must_use]
    pub fn well_known(symbol: &str) -> Option<Self> {
        const CURRENCIES: &[&str] = &[
            "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "SGD", "HKD", "ZAR",
            "MXN", "PLN", "HUF", "CZK", "TRY", "CNH",
        ];
        if symbol.len() != 6 || !symbol.is_ascii() {
            return None;
        }
        let (base, quote) = symbol.split_at(3);
        if base == quote || !CURRENCIES.contains(&quote) {
            return None;
        }
        let (digits, contract, max_spread, stop_points) = match base {
            "XAU" => (2, 100, 100, 500),
            "XAG" => (3, 5_000, 100, 200),
            "BTC" => (1, 1, 2_000, 5_000),
            "ETH" => (2, 1, 2_000, 4_000),
            _ if !CURRENCIES.contains(&base) => return None,
            _ => (if matches!(quote, "JPY" | "HUF") { 3 } else { 5 }, 100_000, 50, 200),
        };
        Some(Self {
            symbol: symbol.to_owned(),
            digits,
            contract_size: Decimal(contract * Decimal::ONE),
            volume_min: Decimal(Decimal::ONE / 100),
            volume_max: Decimal(100 * Decimal::ONE),
            volume_step: Decimal(Decimal::ONE / 100),
            currency: quote.to_owned(),
            conversion: None,
            conversion_inverse: false,
            max_spread,
            stop_points,
        })
    }

    /// Checks that every value is one the engine can hold.
    ///
    /// # Errors
    /// [`InstrumentError::Value`] with the first key that is wrong.
    pub fn validate(&self) -> Result<(), InstrumentError> {
        let fail = |key, value: String, problem| {
            Err(InstrumentError::Value { symbol: self.symbol.clone(), key, value, problem })
        };
        if self.symbol.is_empty()
            || self.symbol.len() > 32
            || self.symbol.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return fail("symbol", self.symbol.clone(), "must have 1 to 32 characters and no white space");
        }
        if self.digits > 8 {
            return fail("digits", self.digits.to_string(), "must be between 0 and 8");
        }
        if self.contract_size.0 <= 0 || self.contract_size.0 > 10_000_000 * Decimal::ONE {
            return fail(
                "contract_size",
                self.contract_size.to_string(),
                "must be above 0 and at most 10000000",
            );
        }
        if self.volume_step.0 <= 0 {
            return fail("volume_step", self.volume_step.to_string(), "must be above 0");
        }
        if self.volume_min.0 <= 0 || self.volume_min.0 % self.volume_step.0 != 0 {
            return fail(
                "volume_min",
                self.volume_min.to_string(),
                "must be above 0 and a multiple of volume_step",
            );
        }
        if self.volume_max < self.volume_min || self.volume_max.0 % self.volume_step.0 != 0 {
            return fail(
                "volume_max",
                self.volume_max.to_string(),
                "must be a multiple of volume_step and at least volume_min",
            );
        }
        if self.point_value_exact().is_none() {
            return fail(
                "contract_size",
                self.contract_size.to_string(),
                "times the point times volume_step must be between 1e-12 and 1e6 of the profit currency",
            );
        }
        for (key, points) in [("max_spread", self.max_spread), ("stop_points", self.stop_points)] {
            if !(1..=1_000_000_000).contains(&points) {
                return fail(key, points.to_string(), "must be from 1 to 1000000000 points");
            }
        }
        Ok(())
    }

    fn point_value_exact(&self) -> Option<i64> {
        // 1e-8 x 1e-8 x 10^-digits in units of 1e-12 is 10^(-4-digits).
        let product = i128::from(self.contract_size.0) * i128::from(self.volume_step.0);
        let divisor = 10_i128.pow(4 + u32::from(self.digits));
        let value = product / divisor;
        (product % divisor == 0 && (1..=1_000_000_000_000_000_000).contains(&value)).then_some(value as i64)
    }

    /// Profit of one volume step over one point, in 1e-12 of the profit currency.
    ///
    /// # Panics
    /// If the instrument was not validated.
    #[must_use]
    pub fn point_value(&self) -> i64 {
        self.point_value_exact().expect("the instrument was validated")
    }

    /// Profit of `points_lots` (points times lots) in millionths of the profit currency, rounded toward zero.
    #[must_use]
    pub fn profit(point_value: i64, points_lots: i128) -> Micros {
        let micros = points_lots * i128::from(point_value) / 1_000_000;
        Micros(micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// A volume in lots as a count of volume steps; `None` if it is no multiple.
    #[must_use]
    pub fn lots(&self, volume: Decimal) -> Option<Lots> {
        (volume.0 % self.volume_step.0 == 0).then(|| Lots(volume.0 / self.volume_step.0))
    }

    /// A volume in lots as a count of volume steps, rounded down.
    #[must_use]
    pub fn lots_floor(&self, volume: Decimal) -> Lots {
        Lots(volume.0.div_euclid(self.volume_step.0))
    }

    /// A count of volume steps in lots.
    #[must_use]
    pub fn volume(&self, lots: Lots) -> Decimal {
        Decimal(lots.0.saturating_mul(self.volume_step.0))
    }

    /// A price in points as people write it.
    #[must_use]
    pub fn price_text(&self, price: Points) -> String {
        let scale = 10_u64.pow(u32::from(self.digits));
        let (whole, rest) = (price.0.unsigned_abs() / scale, price.0.unsigned_abs() % scale);
        let sign = if price.0 < 0 { "-" } else { "" };
        if self.digits == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{rest:0>width$}", width = self.digits as usize)
        }
    }
}

/// The instrument with this symbol and its index.
#[must_use]
pub fn find<'a>(instruments: &'a [Instrument], symbol: &str) -> Option<(InstrumentId, &'a Instrument)> {
    let index = instruments.iter().position(|instrument| instrument.symbol == symbol)?;
    Some((InstrumentId(index as u16), &instruments[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundredth_lot_of_eurusd_earns_a_cent_per_point() {
        let eurusd = Instrument::well_known("EURUSD").expect("known");
        eurusd.validate().expect("valid");
        assert_eq!(Instrument::profit(eurusd.point_value(), 1), Micros(10_000));
        assert_eq!(Instrument::profit(eurusd.point_value(), -150), Micros(-1_500_000));
        assert_eq!(eurusd.price_text(Points(114_543)), "1.14543");
        assert_eq!(eurusd.lots("0.10".parse().expect("decimal")), Some(Lots(10)));
        assert_eq!(eurusd.lots("0.105".parse().expect("decimal")), None);
    }

    #[test]
    fn unknown_symbols_are_not_guessed() {
        for symbol in ["EURUSD+", "EURUSD.r", "mEURUSD", "EUREUR", "AAPL", "ABCUSD", ""] {
            assert!(Instrument::well_known(symbol).is_none(), "{symbol}");
        }
        assert!(Instrument::well_known("BTCUSD").expect("known").validate().is_ok());
        assert!(Instrument::well_known("USDJPY").expect("known").validate().is_ok());
    }
}
