//! What a step does to risk, in order: the day, the input, time, the limits that halt, the closes, the signals.
//!
//! ```text
//!  roll day > input (quote, report, command, link) > deadlines > peak, daily loss, drawdown > stop > cancels of what
//!  adds while halted > closes under way > signals > repricing > equity at a closed bar
//! ```

use pawl_journal::record::{
    Alert, AlertCode, BarClosed, Command, CommandAction, CommandReason, ExecutionReport, InstrumentId, Kind,
    LimitName, LinkChanged, LinkKind, LinkState, Lots, Micros, OrderEvent, PositionChanged, Reconciled,
    Severity, Side, Signal, Step, Tick, Time, VerdictSource,
};

use super::money::{Rate, profit};
use super::position::saturate;
use super::{Bits, Risk};
use crate::Stage;
use crate::order::{Applied, after, is_fill};

/// What earlier stages said in this step.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// One bit per instrument with a signal.
    signals: u64,
    /// One bit per instrument with a closed bar.
    bars: u64,
}

impl Stage for Risk {
    fn on_step(&mut self, step: &mut Step) {
        let now = step.time();
        if let Some(item) = step.input_as::<Reconciled>().copied() {
            // A statement is no passing of time: one that says what is known leaves everything as it is.
            return self.on_reconciled(&item, step);
        }
        self.news = 0;
        self.account.roll(now);
        let quoted = if let Some(tick) = step.input_as::<Tick>() {
            self.on_tick(tick, now)
        } else {
            self.on_other_input(step);
            None
        };
        while let Some(change) = self.book.pop_due(now) {
            if change.event == OrderEvent::CANCEL {
                self.rate.push(now);
            }
        }
        self.account.follow();
        self.halt_at_losses(step);
        if let Some(index) = quoted {
            self.stop(index);
        }
        let heard = self.hear(step);
        if self.latch.blocks() {
            self.cancel_what_adds(step);
        }
        self.work_closes(step);
        for index in Bits(heard.signals) {
            self.on_signal(index, step);
        }
        if let Some(index) = quoted {
            self.reprice(index, step);
        }
        if heard.bars != 0 && (self.account.is_news() || heard.bars & self.valued != 0) {
            step.push(&self.account.tell());
        }
    }
}

impl Risk {
    /// Takes in the step's input, which is no tick.
    fn on_other_input(&mut self, step: &mut Step) {
        if let Some(report) = step.input_as::<ExecutionReport>().copied() {
            self.on_report(&report, step);
        } else if let Some(command) = step.input_as::<Command>().copied() {
            self.on_command(&command, step);
        } else if let Some(link) = step.input_as::<LinkChanged>().copied() {
            self.on_link(&link, step);
        }
    }

    /// Takes in a tick; returns its instrument if it brought a quote.
    #[inline]
    fn on_tick(&mut self, tick: &Tick, now: Time) -> Option<usize> {
        let index = usize::from(tick.instrument.0);
        let desk = self.desks.get_mut(index)?;
        if !desk.market.on_tick(tick, now) {
            return None;
        }
        for index in Bits((desk.converts | 1 << index) & self.valued) {
            self.revalue(index);
        }
        Some(index)
    }

    /// Collects what earlier stages said. Of two signals of one instrument the last counts.
    fn hear(&mut self, step: &Step) -> Heard {
        let mut heard = Heard::default();
        for signal in step.outputs_from(Kind::Signal).filter_map(|record| record.get::<Signal>()) {
            if let Some(desk) = self.desks.get_mut(usize::from(signal.instrument.0)) {
                desk.signal = *signal;
                heard.signals |= 1 << signal.instrument.0;
            }
        }
        for bar in step.outputs_from(Kind::BarClosed).filter_map(|record| record.get::<BarClosed>()) {
            if usize::from(bar.instrument.0) < self.desks.len() {
                heard.bars |= 1 << bar.instrument.0;
            }
        }
        heard
    }

    /// A fill is a fact: it counts whether or not its order is known or its state allows it. Only a report that was
    /// applied before does not.
    fn on_report(&mut self, report: &ExecutionReport, step: &mut Step) {
        let now = step.time();
        let applied = self.book.apply(report);
        if let Applied::Changed(change) = applied
            && change.ended_in_vain()
            && let Some(desk) = self.desks.get_mut(usize::from(change.order.instrument.0))
        {
            let until = after(now, self.sizing.retry_after_ns);
            desk.be_quiet(change.order.side, change.order.source, until);
        }
        let is_real = applied != Applied::Duplicate && is_fill(report.kind) && report.lots.0 > 0;
        if is_real && usize::from(report.instrument.0) < self.desks.len() {
            self.on_fill(report);
            step.push(&self.position_changed(report.instrument));
            self.account.follow();
            step.push(&self.account.tell());
        }
    }

    fn on_fill(&mut self, report: &ExecutionReport) {
        let index = usize::from(report.instrument.0);
        let rate = self.rate_of(index);
        let desk = &mut self.desks[index];
        let realised = desk.position.fill(report.side.sign(), report.lots.0, report.price.0);
        desk.commission = plus(desk.commission, report.commission);
        self.account.balance = plus(self.account.balance, Micros(report.commission.0.saturating_neg()));
        match rate {
            Some(rate) => {
                let realised = rate.convert(profit(desk.point_value, realised));
                desk.realised = plus(desk.realised, realised);
                self.account.balance = plus(self.account.balance, realised);
            }
            None => desk.unconverted += realised,
        }
        self.revalue(index);
    }

    /// Values an instrument at its last quote, and converts what could not be converted before.
    pub(super) fn revalue(&mut self, index: usize) {
        let rate = self.rate_of(index);
        let desk = &mut self.desks[index];
        let was = desk.unrealised;
        if let Some(rate) = rate {
            if desk.unconverted != 0 {
                let points_lots = std::mem::take(&mut desk.unconverted);
                let realised = rate.convert(profit(desk.point_value, points_lots));
                desk.realised = plus(desk.realised, realised);
                self.account.balance = plus(self.account.balance, realised);
            }
            let net = desk.position.net;
            desk.unrealised = if net != 0 && desk.market.is_quoted() {
                let points_lots = desk.position.profit_at(desk.market.closing(net));
                rate.convert(profit(desk.point_value, points_lots))
            } else {
                Micros(0)
            };
        }
        let moved = Micros(desk.unrealised.0.saturating_sub(was.0));
        self.account.unrealised = plus(self.account.unrealised, moved);
        let bit = 1 << index;
        self.valued = if desk.is_valued() { self.valued | bit } else { self.valued & !bit };
    }

    /// The rate into the account currency; none while the converting instrument has no quote.
    pub(super) fn rate_of(&self, index: usize) -> Option<Rate> {
        let Some(conversion) = &self.desks[index].conversion else { return Some(Rate::ONE) };
        let market = &self.desks[conversion.by].market;
        market.is_quoted().then(|| conversion.rate(market.bid.saturating_add(market.ask)))
    }

    pub(super) fn position_changed(&self, instrument: InstrumentId) -> PositionChanged {
        let desk = &self.desks[usize::from(instrument.0)];
        let working = |side| u32::try_from(self.book.working(instrument, side)).unwrap_or(u32::MAX);
        PositionChanged {
            net_lots: Lots(desk.position.net),
            entry_cost: saturate(desk.position.cost),
            realised: desk.realised,
            unrealised: desk.unrealised,
            commission: desk.commission,
            working_buy_lots: working(Side::BUY),
            working_sell_lots: working(Side::SELL),
            instrument,
            ..PositionChanged::default()
        }
    }

    fn on_command(&mut self, command: &Command, step: &mut Step) {
        let (code, severity) = match command.action {
            CommandAction::HALT if command.reason == CommandReason::JOURNAL_OUT => {
                self.latch.journal_out = true;
                (AlertCode::JOURNAL_OUT, Severity::CRITICAL)
            }
            CommandAction::REDUCE_ONLY if command.reason == CommandReason::JOURNAL_LOW => {
                self.latch.journal_low = true;
                (AlertCode::JOURNAL_LOW, Severity::CRITICAL)
            }
            CommandAction::HALT if command.reason == CommandReason::RING_FULL => {
                self.latch.ring_full = true;
                (AlertCode::RING_FULL, Severity::CRITICAL)
            }
            CommandAction::NOTE if command.reason == CommandReason::RING_FULL => {
                (AlertCode::RING_FULL, Severity::WARNING)
            }
            CommandAction::HALT => {
                self.latch.command = true;
                (AlertCode::HALTED, Severity::CRITICAL)
            }
            CommandAction::REDUCE_ONLY => {
                self.latch.reduce_only = true;
                (AlertCode::REDUCE_ONLY, Severity::WARNING)
            }
            CommandAction::FLATTEN => {
                (self.latch.command, self.latch.flatten) = (true, true);
                (AlertCode::FLATTEN, Severity::CRITICAL)
            }
            CommandAction::RESUME => {
                self.resume(step);
                (AlertCode::RESUMED, Severity::INFO)
            }
            CommandAction::LIMIT => return self.change_limit(command.limit, command.value, step),
            _ => return refuse(step, command.value, i64::from(command.action.0)),
        };
        step.push(&Alert { code, severity, instrument: InstrumentId::NONE, ..Alert::default() });
    }

    /// Lifts every latch. The loss that halted counts from here on; closes that an operator wanted end.
    fn resume(&mut self, step: &mut Step) {
        let latch = std::mem::take(&mut self.latch);
        if latch.daily_loss {
            self.account.restart_day();
        }
        if latch.drawdown {
            self.account.restart_peak();
        }
        if latch.is_limit() {
            step.push(&self.account.tell());
        }
        for index in Bits(self.closing) {
            if self.desks[index].closing == VerdictSource::COMMAND {
                self.closing &= !(1 << index);
            }
        }
    }

    fn change_limit(&mut self, name: LimitName, value: i64, step: &mut Step) {
        match self.limits.set(name, value) {
            Ok(old) => step.push(&Alert {
                observed: value,
                limit: old,
                instrument: InstrumentId::NONE,
                code: AlertCode::LIMIT_CHANGED,
                severity: Severity::WARNING,
                ..Alert::default()
            }),
            Err(_) => refuse(step, value, self.limits.get(name)),
        }
    }

    fn on_link(&mut self, link: &LinkChanged, step: &mut Step) {
        if link.link == LinkKind::VENUE {
            self.venue = link.state;
        } else if let Some(desk) = self.desks.get_mut(usize::from(link.instrument.0)) {
            desk.market.feed = link.state;
        } else {
            self.desks.iter_mut().for_each(|desk| desk.market.feed = link.state);
        }
        if link.state != LinkState::UP {
            let severity = if link.state == LinkState::DOWN { Severity::CRITICAL } else { Severity::WARNING };
            step.push(&Alert {
                observed: i64::from(link.state.0),
                limit: i64::from(LinkState::UP.0),
                instrument: link.instrument,
                code: AlertCode::LINK,
                severity,
                ..Alert::default()
            });
        }
    }

    /// Halts when the daily loss or the drawdown reaches its limit. Latched: the market coming back lifts nothing.
    fn halt_at_losses(&mut self, step: &mut Step) {
        let loss = self.account.daily().0.saturating_neg();
        let loss_max = self.limits.get(LimitName::MAX_DAILY_LOSS);
        if loss >= loss_max && !self.latch.daily_loss {
            self.latch.daily_loss = true;
            self.tell_halt(AlertCode::DAILY_LOSS, loss, loss_max, step);
        }
        let drawdown = self.account.drawdown_ppm;
        let drawdown_max = self.limits.get(LimitName::MAX_DRAWDOWN);
        if drawdown >= drawdown_max && !self.latch.drawdown {
            self.latch.drawdown = true;
            self.tell_halt(AlertCode::DRAWDOWN, drawdown, drawdown_max, step);
        }
    }

    fn tell_halt(&mut self, code: AlertCode, observed: i64, limit: i64, step: &mut Step) {
        if self.account.is_news() {
            step.push(&self.account.tell());
        }
        step.push(&Alert {
            observed,
            limit,
            instrument: InstrumentId::NONE,
            code,
            severity: Severity::CRITICAL,
            ..Alert::default()
        });
    }
}

fn plus(a: Micros, b: Micros) -> Micros {
    Micros(a.0.saturating_add(b.0))
}

fn refuse(step: &mut Step, observed: i64, limit: i64) {
    step.push(&Alert {
        observed,
        limit,
        instrument: InstrumentId::NONE,
        code: AlertCode::COMMAND_REFUSED,
        severity: Severity::WARNING,
        ..Alert::default()
    });
}
