//! Feeds steps through risk and then order, as the pipeline does, and says what came of each.
//!
//! After every step it checks what must hold after every step: the two stages hold the same orders, the step is well
//! formed, and it is marked if and only if it holds an order request.
#![allow(dead_code, reason = "each test binary uses its part of the driver")]

use pawl_engine::Stage;
use pawl_engine::instrument::Instrument;
use pawl_engine::order::{Order, OrderSettings};
use pawl_engine::quantity::{Decimal, Ppm, Span};
use pawl_engine::risk::{Risk, RiskSettings};
use pawl_engine::settings::{AccountSettings, Settings};
use pawl_journal::record::{
    Alert, AlertCode, BarClosed, Body, ClientOrderId, Command, CommandAction, CommandReason, CommandSource,
    EquityChanged, ExecutionKind, ExecutionReport, InstrumentId, LimitName, LinkChanged, LinkKind, LinkState,
    Lots, Micros, OrderAction, OrderChanged, OrderRequest, OrderState, Outcome, Points, PositionChanged,
    Reasons, Reconciled, RejectReason, Sequence, Side, Signal, SignalFlags, StatementItem, Step, Tick,
    TickMarks, Time, Timer, Verdict, Vote,
};

pub(crate) const EURUSD: InstrumentId = InstrumentId(0);
pub(crate) const SECOND: i64 = Time::SECOND;
/// Monday, 2 January 2023, 12:00 UTC.
pub(crate) const NOON: i64 = 1_672_660_800 * SECOND;

/// Settings under which a signal orders 50 volume steps (0.5 lot) of EURUSD and nothing is in the way.
pub(crate) fn settings() -> Settings {
    settings_of(&["EURUSD"])
}

pub(crate) fn settings_of(symbols: &[&str]) -> Settings {
    let instruments = symbols.iter().map(|symbol| Instrument::well_known(symbol).expect("known")).collect();
    Settings {
        account: AccountSettings::default(),
        instruments,
        ingress: Default::default(),
        features: Default::default(),
        agents: Vec::new(),
        signal: Default::default(),
        risk: RiskSettings { max_drawdown: Ppm(500_000), ..RiskSettings::default() },
        order: OrderSettings { valid_for: Span(0), ..OrderSettings::default() },
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    }
}

pub(crate) fn dollars(amount: i64) -> Decimal {
    Decimal(amount * Decimal::ONE)
}

/// What a step said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) requests: Vec<OrderRequest>,
    pub(crate) changes: Vec<OrderChanged>,
    pub(crate) positions: Vec<PositionChanged>,
    pub(crate) equities: Vec<EquityChanged>,
    pub(crate) alerts: Vec<Alert>,
}

impl Said {
    fn of(step: &Step) -> Self {
        fn all<T: Body>(step: &Step) -> Vec<T> {
            step.view().all::<T>().copied().collect()
        }
        Self {
            bytes: step.bytes().to_vec(),
            verdicts: all(step),
            requests: all(step),
            changes: all(step),
            positions: all(step),
            equities: all(step),
            alerts: all(step),
        }
    }

    /// The only verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        assert_eq!(self.verdicts.len(), 1, "{:?}", self.verdicts);
        self.verdicts[0]
    }

    /// The reasons of the only verdict, which refused.
    pub(crate) fn refused(&self) -> Reasons {
        assert_eq!(self.verdict().outcome, Outcome::REFUSED, "{:?}", self.verdict());
        assert_eq!((self.verdict().approved_lots, self.requests.len()), (Lots(0), 0));
        self.verdict().reasons
    }

    /// Volume of the only verdict, which approved.
    pub(crate) fn approved(&self) -> i64 {
        assert_eq!(self.verdict().outcome, Outcome::APPROVED, "{:?}", self.verdict());
        self.verdict().approved_lots.0
    }

    /// The only request.
    pub(crate) fn request(&self) -> OrderRequest {
        assert_eq!(self.requests.len(), 1, "{:?}", self.requests);
        self.requests[0]
    }

    /// The only state change.
    pub(crate) fn change(&self) -> OrderChanged {
        assert_eq!(self.changes.len(), 1, "{:?}", self.changes);
        self.changes[0]
    }

    /// The orders that the venue is asked about; nothing else is requested.
    pub(crate) fn asked(&self) -> Vec<ClientOrderId> {
        assert!(self.requests.iter().all(|it| it.action == OrderAction::QUERY), "{:?}", self.requests);
        self.requests.iter().map(|it| it.client_order_id).collect()
    }

    pub(crate) fn codes(&self) -> Vec<AlertCode> {
        self.alerts.iter().map(|alert| alert.code).collect()
    }

    pub(crate) fn equity(&self) -> EquityChanged {
        *self.equities.last().expect("an equity record")
    }

    /// Says that nothing was decided.
    pub(crate) fn is_silent(&self) -> bool {
        self.verdicts.is_empty()
            && self.requests.is_empty()
            && self.changes.is_empty()
            && self.alerts.is_empty()
    }
}

/// Both stages and the time.
pub(crate) struct Driver {
    pub(crate) risk: Risk,
    pub(crate) order: Order,
    pub(crate) now: i64,
    pub(crate) sequence: u64,
    pub(crate) executions: u64,
    pub(crate) bid: i64,
    pub(crate) ask: i64,
    orders: Vec<OrderRequest>,
    step: Step,
}

impl Driver {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            risk: Risk::new(settings).expect("valid limits"),
            order: Order::new(settings).expect("valid order settings"),
            now: NOON,
            sequence: 0,
            executions: 0,
            bid: 114_540,
            ask: 114_550,
            orders: Vec::new(),
            step: Step::new(),
        }
    }

    /// One step: an input and what the earlier stages made of it.
    pub(crate) fn step<T: Body>(&mut self, input: &T, earlier: impl FnOnce(&mut Step)) -> Said {
        self.sequence += 1;
        self.step.begin(Sequence(self.sequence), Time(self.now));
        self.step.push(input);
        earlier(&mut self.step);
        self.risk.on_step(&mut self.step);
        self.order.on_step(&mut self.step);
        assert!(self.step.view().is_well_formed());
        assert_eq!(self.risk.live(), self.order.live(), "risk and order hold the same orders");
        let said = Said::of(&self.step);
        self.orders.extend(&said.requests);
        assert_eq!(self.step.view().has_orders(), !said.requests.is_empty());
        for verdict in &said.verdicts {
            assert_eq!(verdict.outcome == Outcome::APPROVED, verdict.approved_lots.0 > 0);
            assert!(
                verdict.outcome == Outcome::APPROVED || !verdict.reasons.is_empty(),
                "refused for nothing"
            );
            assert!(verdict.approved_lots <= verdict.wanted_lots);
        }
        said
    }

    pub(crate) fn wait(&mut self, span_ns: i64) -> &mut Self {
        self.now += span_ns;
        self
    }

    pub(crate) fn tick_of(&self, instrument: InstrumentId, marks: TickMarks) -> Tick {
        Tick {
            source_time: Time(self.now),
            bid: Points(self.bid),
            ask: Points(self.ask),
            instrument,
            marks,
            ..Tick::default()
        }
    }

    pub(crate) fn quote(&mut self, bid: i64, ask: i64) -> Said {
        self.quote_of(EURUSD, bid, ask)
    }

    pub(crate) fn quote_of(&mut self, instrument: InstrumentId, bid: i64, ask: i64) -> Said {
        (self.bid, self.ask) = (bid, ask);
        let tick = self.tick_of(instrument, TickMarks::NONE);
        self.step(&tick, |_| {})
    }

    /// A clean tick at the quote as it stands, with this signal.
    pub(crate) fn signal(&mut self, direction: Vote) -> Said {
        self.signal_of(EURUSD, direction)
    }

    pub(crate) fn signal_of(&mut self, instrument: InstrumentId, direction: Vote) -> Said {
        let tick = self.tick_of(instrument, TickMarks::NONE);
        self.step(&tick, |step| step.push(&Signal { instrument, direction, ..Signal::default() }))
    }

    /// A tick with marks, and a signal to buy.
    pub(crate) fn marked_signal(&mut self, marks: TickMarks) -> Said {
        let tick = self.tick_of(EURUSD, marks);
        self.step(&tick, |step| step.push(&Signal { direction: Vote::UP, ..Signal::default() }))
    }

    /// A signal of any kind on a clean tick.
    pub(crate) fn raw_signal(&mut self, signal: Signal) -> Said {
        let tick = self.tick_of(signal.instrument, TickMarks::NONE);
        self.step(&tick, |step| step.push(&signal))
    }

    /// A signal without a tick.
    pub(crate) fn signal_on_timer(&mut self, direction: Vote) -> Said {
        let timer = Timer { due: Time(self.now), interval_ns: SECOND };
        self.step(&timer, |step| step.push(&Signal { direction, ..Signal::default() }))
    }

    pub(crate) fn timer(&mut self) -> Said {
        let timer = Timer { due: Time(self.now), interval_ns: SECOND };
        self.step(&timer, |_| {})
    }

    /// A clean tick that closed a bar.
    pub(crate) fn bar(&mut self) -> Said {
        let tick = self.tick_of(EURUSD, TickMarks::NONE);
        self.step(&tick, |step| step.push(&BarClosed { number: 1, ..BarClosed::default() }))
    }

    /// The first step of a run.
    pub(crate) fn begin_run(&mut self) {
        self.risk.begin_run();
        self.order.begin_run();
    }

    /// A statement of the venue that takes all reports so far into account, its end added; what each item led to.
    pub(crate) fn statement(&mut self, items: &[Reconciled]) -> Vec<Said> {
        let end = Reconciled {
            item: StatementItem::END,
            instrument: InstrumentId::NONE,
            execution_sequence: self.executions,
            ..Reconciled::default()
        };
        items.iter().copied().chain([end]).map(|item| self.step(&item, |_| {})).collect()
    }

    pub(crate) fn command(&mut self, action: CommandAction) -> Said {
        self.step(&Command { action, ..Command::default() }, |_| {})
    }

    /// A command of the engine itself.
    pub(crate) fn engine_command(&mut self, action: CommandAction, reason: CommandReason) -> Said {
        let source = CommandSource::ENGINE;
        self.step(&Command { action, source, reason, ..Command::default() }, |_| {})
    }

    pub(crate) fn limit(&mut self, limit: LimitName, value: i64) -> Said {
        self.step(&Command { action: CommandAction::LIMIT, limit, value, ..Command::default() }, |_| {})
    }

    pub(crate) fn link(&mut self, link: LinkKind, state: LinkState) -> Said {
        self.step(&LinkChanged { link, state, ..LinkChanged::default() }, |_| {})
    }

    /// The next report about an order, with its instrument and side if it was requested.
    pub(crate) fn report(&mut self, id: ClientOrderId, kind: ExecutionKind) -> ExecutionReport {
        self.executions += 1;
        let known = self.orders.iter().find(|order| order.client_order_id == id).copied();
        ExecutionReport {
            client_order_id: id,
            execution_sequence: self.executions,
            source_time: Time(self.now),
            kind,
            instrument: known.map_or(EURUSD, |order| order.instrument),
            side: known.map_or(Side::BUY, |order| order.side),
            ..ExecutionReport::default()
        }
    }

    pub(crate) fn tell(&mut self, report: &ExecutionReport) -> Said {
        self.step(report, |_| {})
    }

    pub(crate) fn say(&mut self, id: ClientOrderId, kind: ExecutionKind) -> Said {
        let report = self.report(id, kind);
        self.tell(&report)
    }

    pub(crate) fn say_because(
        &mut self,
        id: ClientOrderId,
        kind: ExecutionKind,
        reason: RejectReason,
    ) -> Said {
        let report = ExecutionReport { reason, ..self.report(id, kind) };
        self.tell(&report)
    }

    pub(crate) fn fill(&mut self, id: ClientOrderId, lots: i64, price: i64) -> Said {
        self.fill_for(id, lots, price, 0)
    }

    /// Fills part or all of a live order, for a commission.
    pub(crate) fn fill_for(&mut self, id: ClientOrderId, lots: i64, price: i64, commission: i64) -> Said {
        let leaves = self.risk.live().iter().find(|order| order.id == id).map_or(0, |order| order.leaves().0);
        let kind = if lots < leaves { ExecutionKind::PARTIALLY_FILLED } else { ExecutionKind::FILLED };
        let report = ExecutionReport {
            lots: Lots(lots),
            price: Points(price),
            leaves_lots: Lots((leaves - lots).max(0)),
            commission: Micros(commission),
            ..self.report(id, kind)
        };
        self.tell(&report)
    }

    /// Opens a position through a signal and a fill at the quote; returns its volume.
    pub(crate) fn enter(&mut self, direction: Vote) -> i64 {
        self.enter_of(EURUSD, direction)
    }

    pub(crate) fn enter_of(&mut self, instrument: InstrumentId, direction: Vote) -> i64 {
        let request = self.signal_of(instrument, direction).request();
        let price = if request.side == Side::BUY { self.ask } else { self.bid };
        self.fill(request.client_order_id, request.lots.0, price);
        request.lots.0
    }

    pub(crate) fn net(&self) -> i64 {
        self.risk.position_lots(EURUSD).0
    }

    pub(crate) fn state_of(&self, id: ClientOrderId) -> Option<OrderState> {
        self.order.live().iter().find(|order| order.id == id).map(|order| order.state)
    }
}

pub(crate) fn signal_with(flags: SignalFlags, age_ns: i64) -> Signal {
    Signal { direction: Vote::UP, flags, age_ns, ..Signal::default() }
}

/// The orders that were asked to be cancelled.
pub(crate) fn cancelled(said: &Said) -> Vec<ClientOrderId> {
    let cancels = said.requests.iter().filter(|request| request.action == OrderAction::CANCEL);
    cancels.map(|request| request.client_order_id).collect()
}
