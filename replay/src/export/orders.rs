//! `Lives`: what became of every order, one row each, written when nothing more can become of it.
//!
//! ```text
//!  decided --> working .. changes, reports, fills --> final --+-- RECENT_MAX more ended --> row
//!                                                             `-- a late fill finds it still here
//! ```
//!
//! The engine remembers the last [`RECENT_MAX`] orders that ended, for late fills; an order that it has forgotten cannot
//! change any more. So memory is bounded, and rows come in the order in which orders ended; those that work at the end
//! come last.

use std::collections::{BTreeMap, VecDeque};

use pawl_engine::order::RECENT_MAX;
use pawl_journal::record::{
    ClientOrderId, ExecutionKind, ExecutionReport, InstrumentId, Lots, Micros, OrderAction, OrderChanged,
    OrderRequest, Outcome, Points, PositionChanged, RejectReason, Sequence, Side, StepRef, Time, Verdict,
    VerdictSource,
};

use super::column::Row;

/// A fill that counted: the engine told the position that came of it.
pub(super) struct Fill {
    pub(super) report: ExecutionReport,
    pub(super) position: PositionChanged,
}

impl Fill {
    /// The fill in a step, if there is one. A report that came twice changes no position, and is none.
    pub(super) fn in_step(step: StepRef<'_>) -> Option<Self> {
        let report = *step.get::<ExecutionReport>().filter(|it| it.lots.0 > 0)?;
        let position = *step.all::<PositionChanged>().find(|it| it.instrument == report.instrument)?;
        Some(Self { report, position })
    }

    /// Its volume: positive was bought, negative sold.
    pub(super) fn signed_lots(&self) -> Lots {
        Lots(self.report.side.sign() * self.report.lots.0)
    }
}

/// How an order began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided {
    pub(super) time: Time,
    pub(super) request: OrderRequest,
    pub(super) source: VerdictSource,
    reference: Points,
}

/// An order and what became of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// The last change.
    pub(super) change: OrderChanged,
    /// How it began; none if that was before what is exported.
    pub(super) decided: Option<Decided>,
    pub(super) changes: u64,
    pub(super) fills: u64,
    pub(super) commission: Micros,
    pub(super) answered: Option<(Sequence, Time)>,
    pub(super) ended: Option<(Sequence, Time)>,
    pub(super) rejected: Option<RejectReason>,
}

impl Life {
    /// What was requested; zeros if that is not known.
    pub(super) fn requested(&self) -> OrderRequest {
        self.decided.map_or_else(OrderRequest::default, |it| it.request)
    }

    pub(super) fn reference(&self) -> Points {
        self.decided.map_or(Points(0), |it| it.reference)
    }

    pub(super) fn valid_until(&self) -> Option<Time> {
        Some(self.decided?.request.valid_until).filter(|time| time.0 != 0)
    }

    /// Average price of its fills.
    pub(super) fn average(row: &Row<'_, Self>) -> Option<f64> {
        let OrderChanged { filled_lots, filled_cost, .. } = row.it.change;
        (filled_lots.0 != 0).then(|| filled_cost as f64 / (filled_lots.0 as f64 * row.points_in_one()))
    }
}

/// The orders that may still change.
#[derive(Debug, Default)]
pub(super) struct Lives {
    known: BTreeMap<u64, Life>,
    /// Those that ended, in that order.
    ended: VecDeque<u64>,
}

impl Lives {
    /// Takes in a step.
    pub(super) fn step(&mut self, step: StepRef<'_>) {
        for record in step.records() {
            if let Some(request) = record.get::<OrderRequest>() {
                self.on_request(request, step);
            } else if let Some(change) = record.get::<OrderChanged>() {
                self.on_change(change, step);
            }
        }
        if let Some(report) = step.get::<ExecutionReport>() {
            self.on_report(report, step);
        }
        if let Some(fill) = Fill::in_step(step)
            && let Some(life) = self.known.get_mut(&fill.report.client_order_id.0)
        {
            life.fills += 1;
            life.commission += fill.report.commission;
        }
    }

    /// An order that cannot change any more, if there is one.
    pub(super) fn pop_settled(&mut self) -> Option<Life> {
        if self.ended.len() <= RECENT_MAX {
            return None;
        }
        self.ended.pop_front().and_then(|id| self.known.remove(&id))
    }

    /// What is left: the orders that ended, in that order, then those that work, oldest first.
    pub(super) fn finish(mut self) -> impl Iterator<Item = Life> {
        let ended: Vec<_> = self.ended.iter().filter_map(|id| self.known.remove(id)).collect();
        ended.into_iter().chain(self.known.into_values())
    }

    fn on_report(&mut self, report: &ExecutionReport, step: StepRef<'_>) {
        let Some(life) = self.known.get_mut(&report.client_order_id.0) else { return };
        life.answered.get_or_insert((step.sequence(), step.time()));
        if report.kind == ExecutionKind::REJECTED {
            life.rejected = Some(report.reason);
        }
    }

    fn on_request(&mut self, request: &OrderRequest, step: StepRef<'_>) {
        if request.action != OrderAction::NEW {
            return;
        }
        let approved = |it: &&Verdict| it.outcome == Outcome::APPROVED && it.action == OrderAction::NEW;
        let (instrument, side): (InstrumentId, Side) = (request.instrument, request.side);
        let verdict =
            step.all::<Verdict>().filter(approved).find(|it| (it.instrument, it.side) == (instrument, side));
        let life = self.known.entry(request.client_order_id.0).or_default();
        life.decided = Some(Decided {
            time: step.time(),
            request: *request,
            source: verdict.map_or_else(VerdictSource::default, |it| it.source),
            reference: verdict.map_or(Points(0), |it| it.reference),
        });
    }

    fn on_change(&mut self, change: &OrderChanged, step: StepRef<'_>) {
        let ClientOrderId(id) = change.client_order_id;
        let life = self.known.entry(id).or_default();
        life.change = *change;
        life.changes += 1;
        if change.to.is_final() && life.ended.is_none() {
            life.ended = Some((step.sequence(), step.time()));
            self.ended.push_back(id);
        }
    }
}
