//! The slowest steps and orders of a journal, and where their time went.
//!
//! Invariants: one pass; what is kept is as many rows as were asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use pawl_journal::log::Reader;
use pawl_journal::record::{
    ClientOrderId, ExecutionReport, InstrumentId, KeptStep, Kind, OrderAction, OrderChanged, OrderRequest,
    OrderState, Sequence, Stamps, StepRef, Time,
};

use crate::error::ReplayError;
use crate::spans::Spans;

/// A step and where its time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowStep {
    /// The step.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// What came in.
    pub input: &'static str,
    /// Where its time went.
    pub spans: Spans,
}

/// A new order, where the time of its step went, and how long the venue took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowOrder {
    /// The order.
    pub order: ClientOrderId,
    /// Of what.
    pub instrument: InstrumentId,
    /// The step that made it.
    pub step: SlowStep,
    /// Event time from the request to the venue's first report on it, ns; none if there is none.
    pub answered_ns: Option<i64>,
    /// Event time from the request to its end, ns; none if it did not end in the journal.
    pub ended_ns: Option<i64>,
    /// Its last state in the journal.
    pub state: OrderState,
}

/// The slowest, slowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slowest<T> {
    /// As many as were asked for, or as there are.
    pub rows: Vec<T>,
    /// Out of how many with stamps.
    pub measured: u64,
    /// Without stamps, and so left out; starts and ends of runs have none and are not counted.
    pub unmeasured: u64,
}

/// Larger is slower; of two alike the earlier one is kept.
type Rank = (u64, Reverse<u64>);

/// The `count` slowest steps, from published to the end of the order stage.
///
/// # Errors
/// [`ReplayError::NoStamps`] if the journal has steps and no stamps; [`ReplayError`] if it cannot be read.
pub fn slowest_steps(
    directory: &Path,
    count: usize,
    progress: impl FnMut(Sequence),
) -> Result<Slowest<SlowStep>, ReplayError> {
    let mut rows: BTreeMap<Rank, SlowStep> = BTreeMap::new();
    let mut measured = 0;
    let unmeasured = walk(directory, progress, |step, spans| {
        let Some(spans) = spans else { return };
        measured += 1;
        let rank = (spans.step_ns(), Reverse(step.sequence().0));
        if rows.len() >= count && rows.first_key_value().is_some_and(|(least, _)| *least > rank) {
            return;
        }
        rows.insert(rank, slow_step(step, spans));
        if rows.len() > count {
            rows.pop_first();
        }
    })?;
    Ok(Slowest { rows: rows.into_values().rev().collect(), measured, unmeasured })
}

/// The `count` slowest new orders, from the receipt of what caused them to the commit of their step.
///
/// # Errors
/// As [`slowest_steps`].
pub fn slowest_orders(
    directory: &Path,
    count: usize,
    progress: impl FnMut(Sequence),
) -> Result<Slowest<SlowOrder>, ReplayError> {
    let mut rows: BTreeMap<Rank, SlowOrder> = BTreeMap::new();
    let mut ranks: BTreeMap<ClientOrderId, Rank> = BTreeMap::new();
    let (mut measured, mut unmeasured) = (0, 0);
    walk(directory, progress, |step, spans| {
        follow(step, &ranks, &mut rows);
        for request in step.all::<OrderRequest>().filter(|it| it.action == OrderAction::NEW) {
            let Some(spans) = spans else {
                unmeasured += 1;
                continue;
            };
            measured += 1;
            let rank = (spans.received_to_committed_ns(), Reverse(request.client_order_id.0));
            let order = SlowOrder {
                order: request.client_order_id,
                instrument: request.instrument,
                step: slow_step(step, spans),
                answered_ns: None,
                ended_ns: None,
                state: OrderState::PENDING_NEW,
            };
            rows.insert(rank, order);
            ranks.insert(order.order, rank);
            if rows.len() > count
                && let Some((_, least)) = rows.pop_first()
            {
                ranks.remove(&least.order);
            }
        }
    })?;
    Ok(Slowest { rows: rows.into_values().rev().collect(), measured, unmeasured })
}

/// Notes what a step says about the orders that are kept.
fn follow(step: StepRef<'_>, ranks: &BTreeMap<ClientOrderId, Rank>, rows: &mut BTreeMap<Rank, SlowOrder>) {
    let mut kept = |id: ClientOrderId, note: &dyn Fn(&mut SlowOrder, i64)| {
        if let Some(order) = ranks.get(&id).and_then(|rank| rows.get_mut(rank)) {
            let since = step.time().0 - order.step.time.0;
            note(order, since);
        }
    };
    if let Some(report) = step.get::<ExecutionReport>() {
        kept(report.client_order_id, &|order, since| order.answered_ns = order.answered_ns.or(Some(since)));
    }
    for change in step.all::<OrderChanged>() {
        kept(change.client_order_id, &|order, since| {
            order.state = change.to;
            if change.to.is_final() {
                order.ended_ns = order.ended_ns.or(Some(since));
            }
        });
    }
}

fn slow_step(step: StepRef<'_>, spans: Spans) -> SlowStep {
    let input = step.input().and_then(|input| input.kind()).map_or("unknown", Kind::name);
    SlowStep { sequence: step.sequence(), time: step.time(), input, spans }
}

/// Shows every step that passed the stages, with where its time went. Returns how many had no stamps.
fn walk(
    directory: &Path,
    mut progress: impl FnMut(Sequence),
    mut look: impl FnMut(StepRef<'_>, Option<Spans>),
) -> Result<u64, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let (mut steps, mut unmeasured) = (0_u64, 0_u64);
    // A step's commit is told by the next one.
    let mut waiting: Option<KeptStep> = None;
    let mut spare: Option<KeptStep> = None;
    let mut show = |step: StepRef<'_>, next: Option<&Stamps>| {
        let spans = step.get::<Stamps>().map(|it| Spans::of(it, next));
        let passes = step.record(Kind::RunStarted).is_none() && step.record(Kind::RunEnded).is_none();
        steps += u64::from(passes);
        unmeasured += u64::from(passes && spans.is_none());
        look(step, spans);
    };
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        if let Some(kept) = waiting.take() {
            show(kept.view(), step.get::<Stamps>());
            spare = Some(kept);
        }
        waiting = Some(match spare.take() {
            Some(mut kept) => {
                kept.keep(step);
                kept
            }
            None => KeptStep::of(step),
        });
        if step.sequence().0.is_multiple_of(8_192) {
            progress(step.sequence());
        }
    }
    let Some(last) = waiting else { return Err(ReplayError::Empty) };
    show(last.view(), None);
    if steps > 0 && unmeasured == steps {
        return Err(ReplayError::NoStamps { dir: directory.to_owned() });
    }
    Ok(unmeasured)
}
