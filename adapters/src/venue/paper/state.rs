//! `PaperState`: what lives at the paper venue, for people and programs to look at.

use pawl_journal::record::{ClientOrderId, InstrumentId, Lots, Points, Time};
use serde::Serialize;

use super::order::Order;
use super::{InFlight, Paper};

/// What lives at the paper venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaperState {
    /// Requests submitted so far, lost ones included.
    pub requests: u64,
    /// Orders accepted so far; the last one's `venue_order_id`.
    pub orders_accepted: u64,
    /// Reports made so far; the last one's `execution_sequence`.
    pub reports: u64,
    /// Reports made and not taken yet.
    pub reports_waiting: usize,
    /// Requests on their way, in order of arrival.
    pub in_flight: Vec<InFlightRequest>,
    /// Orders that live at the venue, in order of acceptance.
    pub live: Vec<LiveOrder>,
}

/// A request on its way to the venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFlightRequest {
    /// The order it makes, cancels or replaces.
    pub client_order_id: ClientOrderId,
    /// New, cancel or replace.
    pub action: Option<&'static str>,
    /// When it arrives.
    pub arrival: Time,
}

/// An order that lives at the venue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveOrder {
    /// The order, in our words.
    pub client_order_id: ClientOrderId,
    /// The order, in the venue's words.
    pub venue_order_id: u64,
    /// Of what.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: Option<&'static str>,
    /// Market (the rest of one) or limit.
    pub order_type: Option<&'static str>,
    /// Limit price; for a market order the worst acceptable one, 0 is any.
    pub price: Points,
    /// Volume.
    pub lots: Lots,
    /// Filled so far.
    pub filled_lots: Lots,
    /// The last time at which it is valid; none is for ever.
    pub valid_until: Option<Time>,
}

impl From<&Order> for LiveOrder {
    fn from(order: &Order) -> Self {
        Self {
            client_order_id: order.id,
            venue_order_id: order.venue_id,
            instrument: order.instrument,
            side: order.side.name(),
            order_type: order.order_type.name(),
            price: order.limit,
            lots: order.lots,
            filled_lots: order.filled,
            valid_until: (order.expires.0 != i64::MAX).then(|| Time(order.expires.0 - 1)),
        }
    }
}

impl From<&InFlight> for InFlightRequest {
    fn from(flight: &InFlight) -> Self {
        Self {
            client_order_id: flight.request.client_order_id,
            action: flight.request.action.name(),
            arrival: flight.arrival,
        }
    }
}

impl Paper {
    /// What lives at the venue now. Allocates: not for every step.
    #[must_use]
    pub fn state(&self) -> PaperState {
        PaperState {
            requests: self.requests,
            orders_accepted: self.orders_accepted,
            reports: self.outbox.sequence(),
            reports_waiting: self.outbox.waiting(),
            in_flight: self.in_flight.iter().map(InFlightRequest::from).collect(),
            live: self.live.iter().map(LiveOrder::from).collect(),
        }
    }
}
