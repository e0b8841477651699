//! `Order`: the stage itself: reports, deadlines and approved verdicts in; requests, changes and alerts out.

use pawl_journal::record::{
    Alert, AlertCode, ClientOrderId, ExecutionReport, InstrumentId, Kind, Lots, OrderAction, OrderChanged,
    OrderEvent, OrderRequest, OrderState, OrderType, Points, RECORD_HEADER_BYTES, Reconciled, STEP_BYTES_MAX,
    Severity, Side, Step, Tick, Time, Verdict, VerdictSource,
};
use serde::Serialize;

use super::{Applied, Book, Change, ORDERS_MAX, OrderEntry, OrderError, after};
use crate::Stage;
use crate::instrument::{INSTRUMENTS_MAX, Instrument};
use crate::quantity::Decimal;
use crate::risk::Approved;
use crate::settings::Settings;
use crate::stateful;

const fn record_bytes<T>() -> usize {
    size_of::<T>() + RECORD_HEADER_BYTES
}

/// Most bytes that risk and order together add to one step: every live order is cancelled or times out, every
/// instrument is closed, and the account, the position and the alerts of a report are told.
pub const STEP_BYTES_TRADE_MAX: usize = (ORDERS_MAX + INSTRUMENTS_MAX)
    * (record_bytes::<Verdict>() + record_bytes::<OrderRequest>() + record_bytes::<OrderChanged>())
    + 16 * record_bytes::<Alert>()
    + 8 * record_bytes::<OrderChanged>();

/// Bytes of a step that are left to its input, bars, features, predictions and stamps.
const STEP_BYTES_REST_MIN: usize = 16 * 1024;

const _: () = assert!(STEP_BYTES_TRADE_MAX + STEP_BYTES_REST_MIN <= STEP_BYTES_MAX);
const _: () = assert!(INSTRUMENTS_MAX as u64 <= ClientOrderId::PER_STEP);

/// The order stage.
#[derive(Debug, Clone)]
pub struct Order {
    instruments: Vec<Instrument>,
    deviation: i64,
    pub(super) book: Book,
    quote_times: Box<[Time]>,
    approved: Vec<Approved<Verdict>>,
}

stateful!(Order { book, quote_times } but { instruments, deviation, approved });

impl Order {
    /// Builds the stage with no orders.
    ///
    /// # Errors
    /// [`OrderError`] for settings that make no sense.
    pub fn new(settings: &Settings) -> Result<Self, OrderError> {
        settings.order.validate()?;
        Ok(Self {
            instruments: settings.instruments.clone(),
            deviation: settings.order.deviation,
            book: Book::new(&settings.order),
            quote_times: vec![Time(0); settings.instruments.len()].into_boxed_slice(),
            approved: Vec::with_capacity(ORDERS_MAX + INSTRUMENTS_MAX),
        })
    }

    /// The orders that live, oldest first.
    #[must_use]
    pub fn live(&self) -> &[OrderEntry] {
        self.book.live()
    }

    /// The stage's whole state, for people and programs.
    #[must_use]
    pub fn state(&self) -> OrdersView {
        let view = |order: &OrderEntry| OrderView::new(order, &self.instruments);
        OrdersView { live: self.book.live().iter().map(view).collect() }
    }

    fn on_report(&mut self, report: &ExecutionReport, step: &mut Step) {
        let alert = |code, severity, observed, limit| Alert {
            client_order_id: report.client_order_id,
            instrument: report.instrument,
            code,
            severity,
            observed,
            limit,
            ..Alert::default()
        };
        match self.book.apply(report) {
            Applied::Duplicate => {
                let number = report.execution_sequence.cast_signed();
                step.push(&alert(AlertCode::DUPLICATE_REPORT, Severity::INFO, number, 0));
            }
            Applied::UnknownOrder => {
                let kind = i64::from(report.kind.0);
                step.push(&alert(AlertCode::UNKNOWN_ORDER, Severity::CRITICAL, kind, 0));
            }
            Applied::Impossible(state) => {
                let (state, kind) = (i64::from(state.0), i64::from(report.kind.0));
                step.push(&alert(AlertCode::IMPOSSIBLE_REPORT, Severity::CRITICAL, state, kind));
            }
            Applied::Changed(change) => {
                push_change(step, &change);
                let order = &change.order;
                if change.is_overfill() {
                    let (filled, lots) = (order.filled.0, order.lots.0);
                    step.push(&alert(AlertCode::OVERFILL, Severity::CRITICAL, filled, lots));
                }
                if change.is_late_fill() {
                    step.push(&alert(AlertCode::LATE_FILL, Severity::WARNING, change.fill.0, 0));
                }
                if change.is_short() && change.fill.0 > 0 {
                    let (state, kind) = (i64::from(change.from.0), i64::from(report.kind.0));
                    step.push(&alert(AlertCode::IMPOSSIBLE_REPORT, Severity::WARNING, state, kind));
                }
                if order.state == OrderState::UNKNOWN && change.from != OrderState::UNKNOWN {
                    step.push(&unknown_alert(order, step.time()));
                }
            }
        }
    }

    fn on_time(&mut self, step: &mut Step) {
        let now = step.time();
        while let Some(change) = self.book.pop_due(now) {
            if change.event == OrderEvent::UNKNOWN {
                push_change(step, &change);
                step.push(&unknown_alert(&change.order, now));
                continue;
            }
            let action =
                if change.event == OrderEvent::QUERY { OrderAction::QUERY } else { OrderAction::CANCEL };
            let quote_age_ns = self.quote_age(change.order.instrument, now);
            step.push(&request_about(&change.order, action, quote_age_ns));
            step.mark_orders();
            push_change(step, &change);
        }
    }

    fn on_approved(&mut self, approved: &Approved<Verdict>, news: &mut u64, step: &mut Step) {
        let (verdict, now) = (approved.get(), step.time());
        let quote_age_ns = self.quote_age(verdict.instrument, now);
        let (request, change) = match verdict.action {
            OrderAction::NEW => {
                let id = ClientOrderId::of_step(step.sequence(), *news);
                *news += 1;
                let request = self.new_request(id, verdict, now, quote_age_ns);
                (request, self.book.submit(OrderEntry::new(id, verdict, now)))
            }
            OrderAction::REPLACE => {
                let change = self.book.replace(verdict.target, verdict.price, now);
                let request = OrderRequest {
                    lots: verdict.approved_lots,
                    action: OrderAction::REPLACE,
                    valid_until: change.map_or(Time(0), |change| valid_until(&change.order)),
                    ..self.new_request(verdict.target, verdict, now, quote_age_ns)
                };
                (request, change)
            }
            OrderAction::CANCEL => {
                let change = self.book.cancel(verdict.target, now);
                let request =
                    change.map(|change| request_about(&change.order, OrderAction::CANCEL, quote_age_ns));
                (request.unwrap_or_default(), change)
            }
            _ => return,
        };
        let Some(change) = change else {
            step.push(&Alert {
                client_order_id: if request.client_order_id.0 == 0 {
                    verdict.target
                } else {
                    request.client_order_id
                },
                observed: self.book.live().len() as i64,
                limit: ORDERS_MAX as i64,
                instrument: verdict.instrument,
                code: AlertCode::ORDER_CAPACITY,
                severity: Severity::CRITICAL,
                ..Alert::default()
            });
            return;
        };
        step.push(&request);
        step.mark_orders();
        push_change(step, &change);
    }

    fn new_request(
        &self,
        client_order_id: ClientOrderId,
        verdict: &Verdict,
        now: Time,
        quote_age_ns: i64,
    ) -> OrderRequest {
        let valid_until = if verdict.valid_for_ns > 0 { after(now, verdict.valid_for_ns) } else { Time(0) };
        OrderRequest {
            client_order_id,
            lots: verdict.approved_lots,
            price: self.request_price(verdict),
            valid_until,
            quote_age_ns,
            instrument: verdict.instrument,
            side: verdict.side,
            action: OrderAction::NEW,
            order_type: verdict.order_type,
            time_in_force: verdict.time_in_force,
            ..OrderRequest::default()
        }
    }

    /// The limit price, or the worst price that a market order accepts. A close that an operator or a limit wants
    /// takes any price.
    fn request_price(&self, verdict: &Verdict) -> Points {
        if verdict.order_type == OrderType::LIMIT {
            verdict.price
        } else if self.deviation == 0 || verdict.source != VerdictSource::SIGNAL {
            Points(0)
        } else {
            Points(verdict.reference.0.saturating_add(verdict.side.sign() * self.deviation).max(1))
        }
    }

    fn quote_age(&self, instrument: InstrumentId, now: Time) -> i64 {
        self.quote_times.get(usize::from(instrument.0)).map_or(0, |time| now.0.saturating_sub(time.0))
    }
}

impl Stage for Order {
    fn on_step(&mut self, step: &mut Step) {
        if let Some(tick) = step.input_as::<Tick>() {
            if tick.is_usable()
                && let Some(time) = self.quote_times.get_mut(usize::from(tick.instrument.0))
            {
                *time = step.time();
            }
        } else if let Some(report) = step.input_as::<ExecutionReport>().copied() {
            self.on_report(&report, step);
        } else if let Some(item) = step.input_as::<Reconciled>().copied() {
            // A statement is no passing of time: one that says what is known leaves everything as it is.
            return self.on_reconciled(&item, step);
        }
        self.on_time(step);
        if !step.holds(Kind::Verdict) {
            return;
        }
        let mut approved = std::mem::take(&mut self.approved);
        approved.clear();
        approved.extend(Approved::all_in(step.view()));
        let mut news = 0;
        for verdict in &approved {
            self.on_approved(verdict, &mut news, step);
        }
        self.approved = approved;
    }
}

fn valid_until(order: &OrderEntry) -> Time {
    if order.valid_for_ns > 0 { order.expires } else { Time(0) }
}

/// A request about an order that has terms already: its cancel, or what became of it.
fn request_about(order: &OrderEntry, action: OrderAction, quote_age_ns: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: order.id,
        quote_age_ns,
        instrument: order.instrument,
        side: order.side,
        action,
        order_type: order.order_type,
        ..OrderRequest::default()
    }
}

/// Observed: how long the order has not been answered, in nanoseconds.
pub(super) fn unknown_alert(order: &OrderEntry, now: Time) -> Alert {
    Alert {
        client_order_id: order.id,
        observed: now.0.saturating_sub(order.requested.0),
        instrument: order.instrument,
        code: AlertCode::ORDER_UNKNOWN,
        severity: Severity::CRITICAL,
        ..Alert::default()
    }
}

pub(super) fn push_change(step: &mut Step, change: &Change) {
    if !change.is_visible {
        return;
    }
    let order = &change.order;
    step.push(&OrderChanged {
        client_order_id: order.id,
        lots: order.lots,
        filled_lots: order.filled,
        filled_cost: order.filled_cost,
        price: order.price,
        instrument: order.instrument,
        side: order.side,
        from: change.from,
        to: order.state,
        event: change.event,
        ..OrderChanged::default()
    });
}

/// The order stage's state, as `pawl state` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrdersView {
    /// Orders that live, oldest first.
    pub live: Vec<OrderView>,
}

/// One order, in the units of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// Its client order id.
    pub id: u64,
    /// The step that made it.
    pub sequence: u64,
    /// Of what.
    pub symbol: String,
    /// `buy` or `sell`.
    pub side: String,
    /// `market` or `limit`.
    pub order_type: String,
    /// Who wanted it.
    pub source: String,
    /// Where it is in its life.
    pub state: String,
    /// Its volume, in lots.
    pub volume: Decimal,
    /// Filled so far, in lots.
    pub filled: Decimal,
    /// Its limit price; absent for a market order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// When it was made, nanoseconds since the UNIX epoch.
    pub made: Time,
}

impl OrderView {
    /// An order as people read it.
    #[must_use]
    pub fn new(order: &OrderEntry, instruments: &[Instrument]) -> Self {
        let instrument = instruments.get(usize::from(order.instrument.0));
        let volume = |lots: Lots| instrument.map_or(Decimal(lots.0), |it| it.volume(lots));
        let side: Side = order.side;
        Self {
            id: order.id.0,
            sequence: order.id.sequence().0,
            symbol: instrument.map_or_else(String::new, |it| it.symbol.clone()),
            side: side.to_string(),
            order_type: order.order_type.to_string(),
            source: order.source.to_string(),
            state: order.state.to_string(),
            volume: volume(order.lots),
            filled: volume(order.filled),
            price: instrument
                .filter(|_| order.order_type == OrderType::LIMIT)
                .map(|it| it.price_text(order.price)),
            made: order.made,
        }
    }
}
