//! The walk: every step once, in order, into valuation, ledger, votes, samples, falls and curve.

use pawl_engine::runtime::Latency;
use pawl_engine::settings::Settings;
use pawl_journal::record::{
    AgentId, EquityChanged, ExecutionReport, InstrumentId, Kind, Micros, OrderAction, OrderChanged,
    OrderRequest, Outcome, PositionChanged, Prediction, RunStarted, Side, Stamps, StepRef, Tick, Time,
    Verdict, VerdictSource, Vote,
};

use super::equity::{Curve, Falls, Interval, Sampler};
use super::figures::{AgentFigures, Exposure, SymbolFigures, TripFigures};
use super::ledger::Ledger;
use super::valuation::{Valuation, saturate};
use super::votes::{Votes, split};
use crate::summary::Fold;

/// Integrals over event time.
#[derive(Debug, Default)]
struct Stake {
    since: Option<Time>,
    open_ns: i64,
    gross_ns: i128,
    equity_ns: i128,
    all_ns: i64,
    gross_max: Micros,
}

impl Stake {
    fn advance(&mut self, now: Time, valuation: &Valuation, equity: Micros) {
        let passed = now.0 - self.since.replace(now).unwrap_or(now).0;
        if passed == 0 {
            return;
        }
        self.all_ns += passed;
        self.equity_ns += i128::from(passed) * i128::from(equity.0);
        if valuation.is_open() {
            self.open_ns += passed;
            self.gross_ns += i128::from(passed) * i128::from(valuation.gross().0);
        }
    }

    fn finish(&self) -> Exposure {
        let mean = |integral: i128| saturate(integral.checked_div(i128::from(self.all_ns)).unwrap_or(0));
        let (gross, equity) = (mean(self.gross_ns), mean(self.equity_ns));
        Exposure {
            time: fraction(self.open_ns, self.all_ns),
            gross_mean: (equity > 0).then(|| gross as f64 / equity as f64),
            gross_max: self.gross_max,
            equity_mean: Micros(equity),
        }
    }
}

fn fraction(part: i64, all: i64) -> f64 {
    if all > 0 { part as f64 / all as f64 } else { 0.0 }
}

/// All that a walk gathers.
pub(super) struct Walk {
    pub(super) fold: Fold,
    pub(super) valuation: Valuation,
    pub(super) ledger: Ledger,
    pub(super) sampler: Sampler,
    pub(super) falls: Falls,
    pub(super) curve: Curve,
    pub(super) now: Time,
    pub(super) runs: u64,
    pub(super) ended: bool,
    /// First and last equity that is known.
    pub(super) equity: Option<(Micros, Micros)>,
    /// Received to decided, of steps that sent an order.
    pub(super) decided: Latency,
    /// Most that told and computed equity differed by.
    pub(super) carried_max: Micros,
    votes: Votes,
    stake: Stake,
    predictions: Vec<(u64, u64, u64)>,
    approved: Vec<(InstrumentId, Side, VerdictSource)>,
    moved: bool,
}

impl Walk {
    pub(super) fn new(
        settings: &Settings,
        whole: bool,
        (from, until): (Time, Time),
        every: Interval,
    ) -> Self {
        Self {
            fold: Fold::new(settings),
            valuation: Valuation::new(settings, whole),
            ledger: Ledger::new(settings.instruments.len(), whole),
            sampler: Sampler::new(every),
            falls: Falls::default(),
            curve: Curve::new(from, until),
            now: from,
            runs: 0,
            ended: false,
            equity: None,
            decided: Latency::new(),
            carried_max: Micros(0),
            votes: Votes::new(settings),
            stake: Stake::default(),
            predictions: vec![(0, 0, 0); settings.agents.len()],
            approved: Vec::new(),
            moved: true,
        }
    }

    pub(super) fn step(&mut self, step: StepRef<'_>) {
        let now = step.time();
        self.now = now;
        self.fold.step(step);
        if let Some(equity) = self.valuation.equity() {
            self.sampler.advance(now, equity);
            self.stake.advance(now, &self.valuation, equity);
        }
        self.approved.clear();
        let mut report = None;
        for record in step.records() {
            match record.kind() {
                Some(Kind::Tick) => record.get().into_iter().for_each(|it| self.tick(it)),
                Some(Kind::ExecutionReport) => {
                    report = record.get::<ExecutionReport>();
                    report.into_iter().for_each(|it| self.ledger.on_report(it, now));
                }
                Some(Kind::Prediction) => record.get().into_iter().for_each(|it| self.prediction(it, now)),
                Some(Kind::Verdict) => record.get().into_iter().for_each(|it| self.verdict(it, step)),
                Some(Kind::OrderRequest) => record.get().into_iter().for_each(|it| self.request(it, step)),
                Some(Kind::OrderChanged) => {
                    record.get::<OrderChanged>().into_iter().for_each(|it| self.ledger.on_change(it));
                }
                Some(Kind::PositionChanged) => {
                    let Some(position) = record.get::<PositionChanged>() else { continue };
                    match report {
                        Some(report) => self.ledger.on_fill(report, position, now, &self.valuation),
                        None => self.ledger.on_statement(position, now),
                    }
                    self.valuation.on_position(position);
                    self.moved = true;
                }
                Some(Kind::EquityChanged) => record.get().into_iter().for_each(|it| self.told(it)),
                Some(Kind::RunStarted) => {
                    self.runs += u64::from(record.get::<RunStarted>().is_some());
                    self.ended = false;
                }
                Some(Kind::RunEnded) => self.ended = true,
                _ => {}
            }
        }
        if step.has_orders()
            && let Some(stamps) = step.get::<Stamps>()
        {
            self.decided.record(u64::from(stamps.order_ns));
        }
        if std::mem::take(&mut self.moved) {
            self.observe(now);
        }
    }

    fn observe(&mut self, now: Time) {
        let Some(equity) = self.valuation.equity() else { return };
        if self.equity.is_none() {
            // Where a pruned journal first tells, samples and integrals begin.
            self.sampler.advance(now, equity);
            self.stake.advance(now, &self.valuation, equity);
        }
        self.equity = Some((self.equity.map_or(equity, |it| it.0), equity));
        self.stake.gross_max = self.stake.gross_max.max(self.valuation.gross());
        let below = self.falls.observe(now, equity);
        self.curve.observe(now, equity, below);
    }

    fn tick(&mut self, tick: &Tick) {
        self.valuation.on_tick(tick);
        self.moved |= self.valuation.is_open();
    }

    fn told(&mut self, told: &EquityChanged) {
        self.valuation.on_equity(told);
        self.carried_max = self.carried_max.max(Micros(self.valuation.carried().0.abs()));
        self.moved = true;
    }

    fn prediction(&mut self, prediction: &Prediction, now: Time) {
        self.votes.on_prediction(prediction, now);
        if let Some((all, up, down)) = self.predictions.get_mut(usize::from(prediction.agent.0)) {
            *all += 1;
            *up += u64::from(prediction.vote == Vote::UP);
            *down += u64::from(prediction.vote == Vote::DOWN);
        }
    }

    fn verdict(&mut self, verdict: &Verdict, step: StepRef<'_>) {
        if verdict.action != OrderAction::NEW {
            return;
        }
        if verdict.outcome == Outcome::APPROVED {
            self.approved.push((verdict.instrument, verdict.side, verdict.source));
        } else {
            self.ledger.on_refusal(verdict, step.sequence(), step.time());
        }
    }

    fn request(&mut self, request: &OrderRequest, step: StepRef<'_>) {
        if request.action != OrderAction::NEW {
            return;
        }
        let (instrument, side) = (request.instrument, request.side);
        let source = self.approved.iter().find(|it| (it.0, it.1) == (instrument, side)).map(|it| it.2);
        let source = source.unwrap_or_default();
        let shares = if source == VerdictSource::SIGNAL {
            self.votes.shares(instrument, side, step.time())
        } else {
            Vec::new()
        };
        let decided = (step.sequence(), step.time());
        self.ledger.on_request(request, decided, (source, shares), self.valuation.quote(instrument));
    }

    pub(super) fn exposure(&self) -> Exposure {
        self.stake.finish()
    }

    pub(super) fn symbols(&self) -> Vec<SymbolFigures> {
        let mut symbols: Vec<SymbolFigures> = self
            .ledger
            .accounts
            .iter()
            .enumerate()
            .map(|(index, it)| {
                let instrument = InstrumentId(index as u16);
                SymbolFigures {
                    instrument,
                    orders: 0,
                    refused: 0,
                    fills: it.fills,
                    profit: Micros(0),
                    trips: TripFigures::default(),
                    costs: it.costs,
                    turnover: it.turnover,
                    exposure: fraction(it.held_ns, self.stake.all_ns),
                }
            })
            .collect();
        for order in &self.ledger.orders {
            if let Some(symbol) = symbols.get_mut(usize::from(order.instrument.0)) {
                *(if order.order.0 == 0 { &mut symbol.refused } else { &mut symbol.orders }) += 1;
            }
        }
        for trip in &self.ledger.trips {
            if let Some(symbol) = symbols.get_mut(usize::from(trip.instrument.0)) {
                symbol.trips.add(trip, trip.profit());
                symbol.profit += trip.profit();
            }
        }
        symbols
    }

    pub(super) fn agents(&self) -> Vec<AgentFigures> {
        let mut agents: Vec<AgentFigures> = self
            .predictions
            .iter()
            .enumerate()
            .map(|(index, (predictions, up, down))| AgentFigures {
                predictions: *predictions,
                up: *up,
                down: *down,
                ..AgentFigures::of(Some(AgentId(index as u16)))
            })
            .collect();
        let mut nobody = AgentFigures::of(None);
        for order in self.ledger.orders.iter().filter(|it| it.order.0 != 0) {
            nobody.orders += u64::from(order.shares.is_empty());
            for share in &order.shares {
                agents[usize::from(share.agent.0)].orders += 1;
            }
        }
        for trip in &self.ledger.trips {
            if trip.shares.is_empty() {
                nobody.trips.add(trip, trip.profit());
            }
            for (agent, amount) in split(trip.profit(), &trip.shares) {
                agents[usize::from(agent.0)].trips.add(trip, amount);
            }
        }
        if nobody != AgentFigures::of(None) {
            agents.push(nobody);
        }
        agents
    }
}
