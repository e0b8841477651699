//! `Conversion`: the rate between an instrument's profit currency and the account currency, as an exact fraction of
//! the mid price of another instrument.
//!
//! ```text
//! account micros = profit micros x mid              mid = (bid + ask) / (2 x 10^digits)
//! account micros = profit micros / mid              if the pair is quoted the other way round
//! ```

use pawl_journal::record::Micros;

use super::position::saturate;
use crate::instrument::Instrument;

/// A positive fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) numerator: i128,
    pub(super) denominator: i128,
}

impl Rate {
    /// Profit arises in the account currency already.
    pub(super) const ONE: Self = Self { numerator: 1, denominator: 1 };

    /// An amount in the account currency, rounded toward zero.
    pub(super) fn convert(self, amount: Micros) -> Micros {
        if self == Self::ONE {
            return amount;
        }
        Micros(saturate(i128::from(amount.0) * self.numerator / self.denominator))
    }
}

/// Which instrument's mid price converts, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    /// Index of the instrument that converts.
    pub(super) by: usize,
    /// Its price is profit currency per unit of account currency.
    pub(super) inverse: bool,
    /// Points in a price of 1.0 of that instrument.
    pub(super) points_per_unit: i64,
}

impl Conversion {
    /// The rate at the quote of the converting instrument: bid plus ask, in points; positive.
    pub(super) fn rate(&self, mid2: i64) -> Rate {
        let (mid2, unit2) = (i128::from(mid2), 2 * i128::from(self.points_per_unit));
        if self.inverse {
            Rate { numerator: unit2, denominator: mid2 }
        } else {
            Rate { numerator: mid2, denominator: unit2 }
        }
    }
}

/// [`Instrument::profit`], without 128-bit division where the numbers allow it: a holding is valued at every tick.
#[inline]
pub(super) fn profit(point_value: i64, points_lots: i128) -> Micros {
    match i64::try_from(points_lots).ok().and_then(|points_lots| points_lots.checked_mul(point_value)) {
        Some(product) => Micros(product / 1_000_000),
        None => Instrument::profit(point_value, points_lots),
    }
}

/// How many whole lots lose at most `fraction_ppm` of `equity` over `stop_points`.
///
/// `point_value` is that of [`Instrument::point_value`](crate::instrument::Instrument::point_value), 1e-12 of the
/// profit currency for one lot and one point. Nothing to risk gives 0.
pub(super) fn lots_at_risk(
    equity: Micros,
    fraction_ppm: i64,
    stop_points: i64,
    point_value: i64,
    rate: Rate,
) -> i64 {
    // equity [1e-6] x fraction [1e-6] / (stop x point value [1e-12] x rate): the powers of ten cancel.
    let risk = i128::from(equity.0.max(0)) * i128::from(fraction_ppm);
    let risk = risk.saturating_mul(rate.denominator);
    let loss = i128::from(stop_points) * i128::from(point_value);
    let loss = loss.saturating_mul(rate.numerator);
    saturate(risk / loss.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point_value(symbol: &str) -> i64 {
        Instrument::well_known(symbol).expect("known").point_value()
    }

    #[test]
    fn a_thousandth_of_a_hundred_thousand_over_200_points_is_half_a_lot_of_eurusd() {
        let size = |equity: i64| {
            lots_at_risk(Micros(equity * 1_000_000), 1_000, 200, point_value("EURUSD"), Rate::ONE)
        };
        assert_eq!((size(100_000), size(99_999), size(0), size(-5)), (50, 49, 0, 0));
    }

    #[test]
    fn yen_are_divided_by_the_dollar_price_and_pounds_multiplied() {
        let by_usdjpy = Conversion { by: 0, inverse: true, points_per_unit: 1_000 };
        let rate = by_usdjpy.rate(2 * 150_000);
        assert_eq!(rate.convert(Micros(15_000_000)), Micros(100_000));
        assert_eq!(rate.convert(Micros(-15_000_001)), Micros(-100_000));
        // 100 dollars are 15,000 yen; 200 points of a hundredth lot are 200 yen.
        let lots = lots_at_risk(Micros(100_000_000_000), 1_000, 200, point_value("USDJPY"), rate);
        assert_eq!(lots, 75);
        let by_gbpusd = Conversion { by: 0, inverse: false, points_per_unit: 100_000 };
        assert_eq!(by_gbpusd.rate(125_000 + 125_010).convert(Micros(2_000_000)), Micros(2_500_100));
    }

    #[test]
    fn sizes_of_absurd_values_saturate_and_do_not_overflow() {
        let tiny = Rate { numerator: 1, denominator: i128::from(i64::MAX) * 2 };
        assert_eq!(lots_at_risk(Micros(i64::MAX), 1_000_000, 1, 1, tiny), i64::MAX);
        let huge = Rate { numerator: i128::from(i64::MAX) * 2, denominator: 2 };
        let lots = lots_at_risk(Micros(i64::MAX), 1_000_000, 1_000_000_000, 1_000_000_000_000_000_000, huge);
        assert_eq!(lots, 0);
    }

    proptest! {
        #[test]
        fn the_short_way_to_a_profit_gives_what_the_long_one_gives(
            point_value in 1_i64..1_000_000_000_000_000_000,
            shift in 0_u32..63,
            points_lots in any::<i64>(),
        ) {
            let points_lots = i128::from(points_lots >> shift);
            let expected = Instrument::profit(point_value, points_lots);
            prop_assert_eq!(profit(point_value, points_lots), expected);
        }
    }
}
