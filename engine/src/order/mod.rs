//! The order stage: the life of every order, from an approved intent to its final state.
//!
//! ```text
//!  ExecutionReport --> book --> OrderChanged, Alert            (1) what the venue said
//!  Reconciled      --> book --> OrderChanged, Alert            (1) what the venue says is open
//!  step.time       --> book --> OrderRequest cancel, query     (2) what is too old, what was not answered
//!  Verdict         --> Approved<Verdict> --> OrderRequest      (3) what risk allows, and nothing else
//! ```
//!
//! Invariants: a new order leaves only from an [`Approved`](crate::risk::Approved) verdict; its id follows from the step
//! ([`ClientOrderId::of_step`](pawl_journal::record::ClientOrderId::of_step), numbered by the step's approved new orders); what was requested is never requested
//! again while its outcome is not known.

mod book;
mod deadline;
mod reconcile;
mod seen;
mod stage;
pub mod state;

pub use book::{ORDERS_MAX, OrderEntry, RECENT_MAX};
pub use stage::{Order, OrderView, OrdersView, STEP_BYTES_TRADE_MAX};

pub(crate) use book::{Applied, Book, Change, is_fill};
pub(crate) use deadline::after;
pub(crate) use reconcile::Stated;

use serde::{Deserialize, Serialize};

use crate::quantity::Span;

/// How orders are worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderSettings {
    /// Market or limit.
    #[serde(rename = "type")]
    pub order_type: OrderStyle,
    /// How far inside the quote a limit order is placed, in points: 0 joins the own side, negative crosses.
    pub limit_offset: i64,
    /// A limit order follows the quote when it is further from it than this, in points; 0 never.
    pub reprice_points: i64,
    /// A working order is cancelled after this; 0 never.
    pub valid_for: Span,
    /// An order without an answer for this long has an unknown outcome; the venue is asked about it then, every so long.
    pub reply_timeout: Span,
    /// Worst slippage a market order accepts, in points; 0 is any.
    pub deviation: i64,
}

/// Market or limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStyle {
    /// At the price there is.
    Market,
    /// At a price of ours or better.
    Limit,
}

impl Default for OrderSettings {
    fn default() -> Self {
        Self {
            order_type: OrderStyle::Market,
            limit_offset: 0,
            reprice_points: 0,
            valid_for: Span::seconds(30),
            reply_timeout: Span::seconds(10),
            deviation: 0,
        }
    }
}

/// Why the order stage cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A setting that makes no sense.
    #[error("order.{key} = {value}: {problem}")]
    Value {
        /// Which key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
}

/// Furthest that a price may be asked from the quote, in points.
const POINTS_MAX: i64 = 1_000_000_000;

impl OrderSettings {
    /// Checks that every value is one that orders can be worked with.
    ///
    /// # Errors
    /// [`OrderError::Value`] with the first key that is wrong.
    pub fn validate(&self) -> Result<(), OrderError> {
        let fail = |key, value: String, problem| Err(OrderError::Value { key, value, problem });
        if self.deviation < 0 || self.deviation > POINTS_MAX {
            return fail("deviation", self.deviation.to_string(), "write points from 0 (any) to 1000000000");
        }
        if self.reprice_points < 0 || self.reprice_points > POINTS_MAX {
            return fail(
                "reprice_points",
                self.reprice_points.to_string(),
                "write points from 0 (never) to 1000000000",
            );
        }
        if self.limit_offset.saturating_abs() > POINTS_MAX {
            return fail(
                "limit_offset",
                self.limit_offset.to_string(),
                "write points from -1000000000 to 1000000000",
            );
        }
        if self.reply_timeout.0 <= 0 {
            return fail(
                "reply_timeout",
                self.reply_timeout.to_string(),
                "an order needs time to be answered: write a duration such as \"10s\"",
            );
        }
        if self.valid_for.0 < 0 {
            return fail("valid_for", self.valid_for.to_string(), "write a duration, or \"0s\" for never");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_named_with_their_key() {
        type Change = fn(&mut OrderSettings);
        let wrong: [(&str, Change); 6] = [
            ("order.deviation = -1", |order| order.deviation = -1),
            ("order.reprice_points = -5", |order| order.reprice_points = -5),
            ("order.limit_offset = 2000000000", |order| order.limit_offset = 2_000_000_000),
            ("order.limit_offset = -9223372036854775808", |order| order.limit_offset = i64::MIN),
            ("order.reply_timeout = 0s", |order| order.reply_timeout = Span(0)),
            ("order.valid_for = -1ns", |order| order.valid_for = Span(-1)),
        ];
        for (begins, change) in wrong {
            let mut settings = OrderSettings::default();
            change(&mut settings);
            let message = settings.validate().expect_err(begins).to_string();
            assert!(message.starts_with(begins), "{message}");
        }
        assert_eq!(OrderSettings::default().validate(), Ok(()));
    }
}
