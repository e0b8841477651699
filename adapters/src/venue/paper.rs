//! `Paper`: a venue that trades on paper, at the quotes that follow, in event time and from a seed.
//!
//! ```text
//! submit(t) --latency + jitter--> arrival: reject | accept, fill at the quote in force | accept and wait
//!                                 tick:    a waiting order fills ------- latency -------> report
//!                                 expiry:  a waiting order is dropped
//! ```
//!
//! Invariants. Everything happens at a time that its cause fixes, in the order of those times, whenever it is asked
//! for: how often and when `next_due` and `poll` are called changes no report. What arrives at the time of a tick
//! meets the quote before that tick. A report is due no sooner than `latency` after the request or the tick that
//! caused it (an expiry, when the validity ends), and reports come in the order in which they were made. All
//! chances of a request come from a stream of its own, numbered by its place among the requests. So ticks and
//! requests fed again, as after a restart, and reports taken again, lead to the same state.
//!
//! The caller keeps two promises: calls come in the order of the journal, and `poll(now)` does not run ahead of
//! ticks before `now` that the venue has not seen yet.

mod known;
mod order;
mod outbox;
mod reported;
mod settings;
mod state;

pub use settings::{PaperError, PaperSettings};
pub use state::{InFlightRequest, LiveOrder, PaperState};

use std::collections::VecDeque;

use pawl_engine::instrument::Instrument;
use pawl_engine::port::Venue;
use pawl_engine::state::{StateError, load, save};
use pawl_engine::stateful;
use pawl_journal::record::{
    ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros, OrderAction, OrderRequest, OrderType,
    Reconciled, RejectReason, Side, Tick, Time, TimeInForce,
};

use crate::random::Random;
use known::KnownIds;
use order::{FillRules, Match, Order, Quote, expiry};
use outbox::Outbox;
use reported::Reported;

/// Most orders that live at the venue at once; one more is rejected.
pub const LIVE_ORDERS_MAX: usize = 1_024;

/// A venue that trades on paper.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    settings: PaperSettings,
    rules: FillRules,
    markets: Box<[Market]>,
    in_flight: VecDeque<InFlight>,
    arrival_last: Time,
    live: Vec<Order>,
    /// The earliest time at which a live order expires; `Time(i64::MAX)` is never.
    expiry_next: Time,
    known: KnownIds,
    outbox: Outbox,
    reported: Reported,
    requests: u64,
    orders_accepted: u64,
}

stateful!(Paper {
    markets, in_flight, arrival_last, live, expiry_next, known, outbox, reported, requests, orders_accepted,
} but {
    settings, rules,
});

/// An instrument as the venue trades it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Market {
    quote: Quote,
    /// How many live orders it has.
    live: usize,
    lots_min: Lots,
    lots_max: Lots,
    /// Commission of one volume step, in 1e-16 of the account currency.
    commission_step: i128,
}

stateful!(Market { quote, live } but { lots_min, lots_max, commission_step });

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct InFlight {
    arrival: Time,
    request: OrderRequest,
    /// It will be rejected for no reason.
    rejected: bool,
    random: Random,
}

stateful!(InFlight { arrival, request, rejected, random });

impl Market {
    /// Commission of a fill, to the nearest millionth.
    fn commission(&self, lots: Lots) -> Micros {
        const UNITS: i128 = 10_000_000_000;
        let micros = (self.commission_step * i128::from(lots.0) + UNITS / 2) / UNITS;
        Micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl Paper {
    /// A venue that trades these instruments (validated; an `InstrumentId` is an index into them) and has no orders
    /// and no quotes yet.
    ///
    /// # Errors
    /// [`PaperError`] for settings that make no sense.
    pub fn new(settings: &PaperSettings, instruments: &[Instrument]) -> Result<Self, PaperError> {
        settings.validate()?;
        let market = |instrument: &Instrument| Market {
            quote: Quote::default(),
            live: 0,
            lots_min: instrument.lots_floor(instrument.volume_min),
            lots_max: instrument.lots_floor(instrument.volume_max),
            commission_step: i128::from(settings.commission_per_lot.0) * i128::from(instrument.volume_step.0),
        };
        Ok(Self {
            settings: settings.clone(),
            rules: FillRules { slippage_points: settings.slippage_points, partial_ppm: settings.partial.0 },
            markets: instruments.iter().map(market).collect(),
            in_flight: VecDeque::with_capacity(LIVE_ORDERS_MAX),
            arrival_last: Time(i64::MIN),
            live: Vec::with_capacity(LIVE_ORDERS_MAX),
            expiry_next: Time(i64::MAX),
            known: KnownIds::new(),
            outbox: Outbox::with_capacity(4 * LIVE_ORDERS_MAX),
            reported: Reported::new(instruments.len(), LIVE_ORDERS_MAX),
            requests: 0,
            orders_accepted: 0,
        })
    }

    /// Lets arrivals and expiries up to and including `until` happen, in the order of their times.
    fn advance(&mut self, until: Time) {
        loop {
            let arrival = self.in_flight.front().map_or(Time(i64::MAX), |flight| flight.arrival);
            if self.expiry_next <= until && self.expiry_next < arrival {
                self.expire();
            } else if arrival <= until
                && let Some(flight) = self.in_flight.pop_front()
            {
                self.arrive(&flight);
            } else {
                return;
            }
        }
    }

    fn expire(&mut self) {
        let now = self.expiry_next;
        while let Some(index) = self.live.iter().position(|order| order.expires <= now) {
            let order = self.remove(index);
            self.outbox.send(now, order.report_ended(ExecutionKind::EXPIRED, RejectReason::NONE, now));
        }
        self.refresh_expiry();
    }

    fn arrive(&mut self, flight: &InFlight) {
        let now = flight.arrival;
        match flight.request.action {
            OrderAction::CANCEL => self.arrive_cancel(&flight.request, now),
            OrderAction::REPLACE => self.arrive_replace(&flight.request, now),
            OrderAction::QUERY => self.arrive_query(&flight.request, now),
            _ => match self.admit(flight) {
                Ok(order) => self.trade_new(order, flight.request.time_in_force, now),
                Err(reason) => self.reject_new(&flight.request, reason, now),
            },
        }
    }

    /// The order that a request for a new one makes, or why it does not.
    fn admit(&mut self, flight: &InFlight) -> Result<Order, RejectReason> {
        let request = &flight.request;
        if self.known.has(request.client_order_id) {
            return Err(RejectReason::DUPLICATE_ID);
        }
        self.known.add(request.client_order_id);
        let is_limit = request.order_type == OrderType::LIMIT;
        let market = self.markets.get(usize::from(request.instrument.0)).ok_or(RejectReason::NO_QUOTE)?;
        if flight.rejected
            || request.action != OrderAction::NEW
            || ![Side::BUY, Side::SELL].contains(&request.side)
            || ![OrderType::MARKET, OrderType::LIMIT].contains(&request.order_type)
            || ![TimeInForce::IOC, TimeInForce::FOK, TimeInForce::GTC].contains(&request.time_in_force)
            || request.price.0 < i64::from(is_limit)
            || self.live.len() == LIVE_ORDERS_MAX
        {
            return Err(RejectReason::VENUE);
        }
        if request.lots < market.lots_min || request.lots > market.lots_max {
            return Err(RejectReason::VOLUME);
        }
        if !market.quote.is_there() {
            return Err(RejectReason::NO_QUOTE);
        }
        Ok(Order::new(request, flight.random))
    }

    /// Trades what a new order can trade at once, and lets it wait or ends it.
    fn trade_new(&mut self, mut order: Order, time_in_force: TimeInForce, now: Time) {
        let market = &self.markets[usize::from(order.instrument.0)];
        let valid = now < order.expires;
        let trade = order.meet(market.quote, self.rules);
        let refused = match trade {
            _ if !valid => None,
            Match::Worse => Some(RejectReason::PRICE_MOVED),
            Match::NotReached if time_in_force != TimeInForce::GTC => Some(RejectReason::NOT_FILLABLE),
            Match::Fill(lots, _) if time_in_force == TimeInForce::FOK && lots < order.lots => {
                Some(RejectReason::NOT_FILLABLE)
            }
            _ => None,
        };
        if let Some(reason) = refused {
            let report = order.report_ended(ExecutionKind::REJECTED, reason, now);
            return self.outbox.send(now, report);
        }
        self.orders_accepted += 1;
        order.venue_id = self.orders_accepted;
        self.outbox.send(now, order.report_working(ExecutionKind::ACCEPTED, now));
        if !valid {
            let report = order.report_ended(ExecutionKind::EXPIRED, RejectReason::NONE, now);
            return self.outbox.send(now, report);
        }
        if let Match::Fill(lots, price) = trade {
            let report = order.fill(lots, price, market.commission(lots), now);
            self.outbox.send(now, report);
        }
        if order.leaves().0 == 0 {
            return;
        }
        if time_in_force == TimeInForce::GTC {
            self.insert(order);
        } else {
            let report = order.report_ended(ExecutionKind::CANCELLED, RejectReason::NONE, now);
            self.outbox.send(now, report);
        }
    }

    fn reject_new(&mut self, request: &OrderRequest, reason: RejectReason, now: Time) {
        self.outbox.send(now, refusal(request, ExecutionKind::REJECTED, reason, now));
    }

    fn arrive_cancel(&mut self, request: &OrderRequest, now: Time) {
        match self.find(request) {
            Ok(index) => {
                let order = self.remove(index);
                self.refresh_expiry();
                self.outbox.send(now, order.report_ended(ExecutionKind::CANCELLED, RejectReason::NONE, now));
            }
            Err(reason) => {
                self.outbox.send(now, refusal(request, ExecutionKind::CANCEL_REJECTED, reason, now));
            }
        }
    }

    /// Says that an order works here, or that it never arrived. What ended has its last report on the way already.
    fn arrive_query(&mut self, request: &OrderRequest, now: Time) {
        match self.find(request) {
            Ok(index) => {
                self.outbox.send(now, self.live[index].report_working(ExecutionKind::ACCEPTED, now));
            }
            Err(RejectReason::UNKNOWN_ORDER) => self.reject_new(request, RejectReason::UNKNOWN_ORDER, now),
            Err(_) => {}
        }
    }

    /// Gives an order a new price and total volume; it may trade at once then. The rest of a market order cannot be
    /// replaced: it is being traded.
    fn arrive_replace(&mut self, request: &OrderRequest, now: Time) {
        let index = match self.find(request) {
            Ok(index) => index,
            Err(reason) => {
                return self.outbox.send(now, refusal(request, ExecutionKind::REPLACE_REJECTED, reason, now));
            }
        };
        let order = &mut self.live[index];
        let market = &self.markets[usize::from(order.instrument.0)];
        let reason = if order.order_type != OrderType::LIMIT || request.lots <= order.filled {
            RejectReason::TOO_LATE
        } else if request.lots < market.lots_min || request.lots > market.lots_max {
            RejectReason::VOLUME
        } else if request.price.0 <= 0 {
            RejectReason::VENUE
        } else {
            RejectReason::NONE
        };
        if reason != RejectReason::NONE {
            let report = order.report(ExecutionKind::REPLACE_REJECTED, now);
            return self.outbox.send(now, ExecutionReport { reason, ..report });
        }
        (order.limit, order.lots, order.expires) = (request.price, request.lots, expiry(request.valid_until));
        self.outbox.send(now, order.report_working(ExecutionKind::REPLACED, now));
        let valid = now < order.expires;
        if valid && let Match::Fill(lots, price) = order.meet(market.quote, self.rules) {
            let report = order.fill(lots, price, market.commission(lots), now);
            self.outbox.send(now, report);
        }
        if order.leaves().0 == 0 {
            self.remove(index);
        } else if !valid {
            let order = self.remove(index);
            self.outbox.send(now, order.report_ended(ExecutionKind::EXPIRED, RejectReason::NONE, now));
        }
        self.refresh_expiry();
    }

    /// Where the order that a request is about lives, or why it does not.
    fn find(&self, request: &OrderRequest) -> Result<usize, RejectReason> {
        let id = request.client_order_id;
        self.live.iter().position(|order| order.id == id).ok_or_else(|| {
            if self.known.has(id) { RejectReason::TOO_LATE } else { RejectReason::UNKNOWN_ORDER }
        })
    }

    fn insert(&mut self, order: Order) {
        self.markets[usize::from(order.instrument.0)].live += 1;
        self.expiry_next = self.expiry_next.min(order.expires);
        self.live.push(order);
    }

    fn remove(&mut self, index: usize) -> Order {
        let order = self.live.remove(index);
        self.markets[usize::from(order.instrument.0)].live -= 1;
        order
    }

    fn refresh_expiry(&mut self) {
        self.expiry_next = self.live.iter().map(|order| order.expires).min().unwrap_or(Time(i64::MAX));
    }

    /// Shows every waiting order of the instrument its new quote, the oldest order first.
    fn trade_waiting(&mut self, instrument: InstrumentId, now: Time) {
        let Self { live, markets, outbox, rules, .. } = self;
        let market = &mut markets[usize::from(instrument.0)];
        let due = Time(now.0.saturating_add(self.settings.latency.0));
        live.retain_mut(|order| {
            if order.instrument != instrument {
                return true;
            }
            match order.meet_later(market.quote, *rules) {
                Match::NotReached => return true,
                Match::Worse => {
                    let report = order.report_ended(ExecutionKind::CANCELLED, RejectReason::NONE, now);
                    outbox.send(due, report);
                }
                Match::Fill(lots, price) => {
                    let report = order.fill(lots, price, market.commission(lots), now);
                    outbox.send(due, report);
                    if order.leaves().0 > 0 {
                        return true;
                    }
                }
            }
            market.live -= 1;
            false
        });
        self.refresh_expiry();
    }
}

/// The refusal of a request about an order that does not live here.
fn refusal(request: &OrderRequest, kind: ExecutionKind, reason: RejectReason, now: Time) -> ExecutionReport {
    ExecutionReport {
        client_order_id: request.client_order_id,
        source_time: now,
        kind,
        reason,
        instrument: request.instrument,
        side: request.side,
        ..ExecutionReport::default()
    }
}

impl Venue for Paper {
    fn submit(&mut self, request: &OrderRequest, time: Time) {
        self.requests += 1;
        let mut random = Random::stream(self.settings.seed, self.requests);
        let fate = random.below(1_000_000) as i64;
        let jitter = random.below(self.settings.latency_jitter.0 as u64 + 1) as i64;
        if fate < self.settings.silence.0 {
            return;
        }
        self.reported.submit(request);
        let travel = self.settings.latency.0 + jitter;
        let arrival = self.arrival_last.max(Time(time.0.saturating_add(travel)));
        self.arrival_last = arrival;
        let rejected = fate < self.settings.silence.0 + self.settings.reject.0;
        self.in_flight.push_back(InFlight { arrival, request: *request, rejected, random });
    }

    fn on_tick(&mut self, tick: &Tick, time: Time) {
        self.advance(time);
        let Some(market) = self.markets.get_mut(usize::from(tick.instrument.0)) else {
            return;
        };
        let quote = Quote { bid: tick.bid, ask: tick.ask };
        if !tick.is_usable() || !quote.is_there() {
            return;
        }
        market.quote = quote;
        if market.live > 0 {
            self.trade_waiting(tick.instrument, time);
        }
    }

    fn next_due(&mut self) -> Option<Time> {
        let arrival = self.in_flight.front().map(|flight| flight.arrival);
        let expiry = (self.expiry_next.0 != i64::MAX).then_some(self.expiry_next);
        let next = match (arrival, expiry) {
            (Some(arrival), Some(expiry)) => Some(arrival.min(expiry)),
            (arrival, expiry) => arrival.or(expiry),
        };
        self.outbox.next_due(next)
    }

    fn poll(&mut self, now: Time) -> Option<(Time, ExecutionReport)> {
        self.advance(now);
        let taken = self.outbox.take(now)?;
        self.reported.take(&taken.1);
        Some(taken)
    }

    fn statement(&mut self) -> Option<Vec<Reconciled>> {
        Some(self.reported.statement())
    }

    fn latency_min(&self) -> i64 {
        self.settings.latency.0
    }

    fn save(&mut self) -> Vec<u64> {
        save(self)
    }

    fn restore(&mut self, words: &[u64]) -> Result<(), StateError> {
        load(self, words)
    }
}

#[cfg(test)]
mod tests;
