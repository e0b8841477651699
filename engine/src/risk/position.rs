//! `Position`: the net holding of one instrument at average cost, exact to the point times lot.
//!
//! Cost is the sum of price times signed lots of what is open. Closing a part takes its share of the cost with it,
//! rounded toward zero; what the rounding leaves stays in the cost, so realised and unrealised profit together are
//! always exactly what the fills paid. All in points x lots; money comes later.

use crate::stateful;

/// A net holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Positive long, negative short.
    pub(super) net: i64,
    /// Sum of price times signed lots of what is open, points x lots.
    pub(super) cost: i128,
}

stateful!(Position { net, cost });

impl Position {
    /// Takes in a fill of `lots` (positive) at `price` on the side with this sign, and returns the profit that it
    /// realised, points x lots.
    pub(super) fn fill(&mut self, sign: i64, lots: i64, price: i64) -> i128 {
        let (sign, price) = (i128::from(sign), i128::from(price));
        let net = i128::from(self.net);
        let closed = if net.signum() == -sign { net.abs().min(i128::from(lots)) } else { 0 };
        let opened = i128::from(lots) - closed;
        let mut realised = 0;
        if closed > 0 {
            let cost = self.cost * closed / net.abs();
            realised = net.signum() * closed * price - cost;
            self.cost -= cost;
        }
        self.cost += sign * opened * price;
        self.net = saturate(net + sign * i128::from(lots));
        realised
    }

    /// Profit that closing all of it at `price` would realise, points x lots.
    pub(super) fn profit_at(&self, price: i64) -> i128 {
        i128::from(self.net) * i128::from(price) - self.cost
    }
}

/// The nearest value that fits.
pub(super) fn saturate(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reversal_realises_the_old_side_and_opens_the_new_one() {
        let mut position = Position::default();
        assert_eq!(position.fill(1, 10, 100), 0);
        assert_eq!(position.fill(1, 10, 110), 0);
        assert_eq!((position.net, position.cost), (20, 2_100));
        assert_eq!(position.fill(-1, 30, 120), 20 * 120 - 2_100);
        assert_eq!((position.net, position.cost), (-10, -1_200));
        assert_eq!(position.profit_at(115), 50);
        assert_eq!(position.fill(1, 10, 115), 50);
        assert_eq!(position, Position::default());
    }

    #[test]
    fn a_third_of_an_odd_cost_leaves_the_remainder_in_the_position() {
        let mut position = Position::default();
        position.fill(1, 1, 100);
        position.fill(1, 2, 101);
        assert_eq!(position.fill(-1, 1, 110), 110 - 100);
        assert_eq!((position.net, position.cost), (2, 202));
        assert_eq!(position.fill(-1, 2, 110), 18);
        assert_eq!(position.cost, 0);
    }

    proptest! {
        /// The twin keeps the list of fills and recomputes everything from it.
        #[test]
        fn agrees_with_the_list_of_fills(
            fills in prop::collection::vec((any::<bool>(), 1_i64..500, 1_i64..2_000_000), 1..60),
            mark in 1_i64..2_000_000,
        ) {
            let mut position = Position::default();
            let mut realised = 0_i128;
            for end in 1..=fills.len() {
                let (buy, lots, price) = fills[end - 1];
                realised += position.fill(if buy { 1 } else { -1 }, lots, price);
                let signed = |fill: &(bool, i64, i64)| i128::from(if fill.0 { fill.1 } else { -fill.1 });
                let net: i128 = fills[..end].iter().map(signed).sum();
                let paid: i128 = fills[..end].iter().map(|fill| signed(fill) * i128::from(fill.2)).sum();
                prop_assert_eq!(i128::from(position.net), net);
                prop_assert_eq!(realised + position.profit_at(mark), net * i128::from(mark) - paid);
                prop_assert!(position.net != 0 || position.cost == 0);
                // The average lies between the extreme prices of the fills that could have made it.
                if net != 0 {
                    let side = fills[..end].iter().filter(|fill| fill.0 == (net > 0)).map(|fill| i128::from(fill.2));
                    let (low, high) = (side.clone().min().expect("one"), side.max().expect("one"));
                    let slack = end as i128;
                    prop_assert!(position.cost.abs() >= low * net.abs() - slack);
                    prop_assert!(position.cost.abs() <= high * net.abs() + slack);
                }
            }
        }
    }
}
