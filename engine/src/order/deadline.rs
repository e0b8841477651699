//! Deadlines: when an order that is not answered becomes unknown, when the venue is asked about it, and when one that
//! still works is cancelled.
//!
//! Risk and order both keep a book of orders and must agree on it after every step; this is the one place where the
//! passing of time moves an order.

use pawl_journal::record::{OrderEvent, OrderState, Time};

use super::OrderSettings;
use super::state::is_pending;

/// No deadline.
pub(crate) const NEVER: Time = Time(i64::MAX);

/// `time` plus a span in nanoseconds, without overflow.
pub(crate) const fn after(time: Time, span_ns: i64) -> Time {
    Time(time.0.saturating_add(span_ns))
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    reply_timeout_ns: i64,
}

impl Deadlines {
    /// From the settings.
    pub(crate) const fn new(settings: &OrderSettings) -> Self {
        Self { reply_timeout_ns: settings.reply_timeout.0 }
    }

    /// When time moves an order that is in `state`, was last requested something at `requested` and expires at
    /// `expires`.
    pub(crate) const fn due(self, state: OrderState, requested: Time, expires: Time) -> Time {
        if is_pending(state) || state.0 == OrderState::UNKNOWN.0 {
            after(requested, self.reply_timeout_ns)
        } else if matches!(state, OrderState::WORKING | OrderState::PARTIALLY_FILLED) {
            expires
        } else {
            NEVER
        }
    }

    /// What time does to an order whose deadline has come: one without an answer has an unknown outcome, one whose
    /// outcome is unknown is asked about, again and again, and one that works is cancelled.
    pub(crate) const fn event(state: OrderState) -> OrderEvent {
        if is_pending(state) {
            OrderEvent::UNKNOWN
        } else if state.0 == OrderState::UNKNOWN.0 {
            OrderEvent::QUERY
        } else {
            OrderEvent::CANCEL
        }
    }
}
