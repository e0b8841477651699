//! Chains: everything that led to an order and everything that followed from it.

use std::path::Path;

use pawl_journal::log::Reader;
use pawl_journal::record::{
    ClientOrderId, ExecutionReport, OrderAction, OrderChanged, OrderRequest, Sequence, Step, StepRef,
};

use super::error::ReplayError;

/// One step of a chain, with its bytes.
#[derive(Debug)]
pub struct ChainStep {
    /// The step as it was recorded.
    pub step: Step,
}

/// The steps of one causal chain, in order.
#[derive(Debug)]
pub struct Chain {
    /// The order it is about; none when the step made none.
    pub order: Option<ClientOrderId>,
    /// First the step that decided, then every step that is about the order.
    pub steps: Vec<ChainStep>,
    /// Whether the order came to its end in the journal.
    pub is_final: bool,
}

/// Follows the chain of a step or of an order. A number that is a step of this journal is taken as one, unless
/// `as_order` says otherwise; a step that only reports on an order leads to the step that decided it.
///
/// # Errors
/// [`ReplayError`]; [`ReplayError::OutOfRange`] when it is no step of this journal, [`ReplayError::NoOrder`] when no
/// step of it made that order.
pub fn chain(directory: &Path, id: u64, as_order: bool) -> Result<Chain, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let (first, last) = (reader.first_sequence()?.0, reader.last_sequence()?.0);
    let is_step = (first..=last).contains(&id) && !as_order;
    let order = if is_step {
        reader.seek(Sequence(id))?;
        let frame = reader.next()?.ok_or(ReplayError::OutOfRange { asked: id, first, last })?;
        match order_of(frame.step()) {
            Some(order) => order,
            None => return Ok(Chain { order: None, steps: vec![keep(frame.step())], is_final: false }),
        }
    } else {
        ClientOrderId(id)
    };
    if !(first..=last).contains(&order.sequence().0) {
        return Err(if as_order {
            ReplayError::NoOrder { id }
        } else {
            ReplayError::OutOfRange { asked: id, first, last }
        });
    }
    let mut chain = Chain { order: Some(order), steps: Vec::new(), is_final: false };
    reader.seek(order.sequence())?;
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        let mine = |it: &&OrderChanged| it.client_order_id == order;
        let reported = step.get::<ExecutionReport>().is_some_and(|it| it.client_order_id == order);
        let change = step.all::<OrderChanged>().filter(mine).last();
        if chain.steps.is_empty() && change.is_none() {
            return Err(ReplayError::NoOrder { id: order.0 });
        }
        if change.is_some() || reported {
            chain.steps.push(keep(step));
        }
        chain.is_final |= change.is_some_and(|it| it.to.is_final());
    }
    Ok(chain)
}

/// The order that a step is about: the first that it makes, else the one it works on or that is reported on.
fn order_of(step: StepRef<'_>) -> Option<ClientOrderId> {
    let new =
        step.all::<OrderRequest>().find(|it| it.action == OrderAction::NEW).map(|it| it.client_order_id);
    let worked = || step.get::<OrderChanged>().map(|it| it.client_order_id);
    let reported = || step.get::<ExecutionReport>().map(|it| it.client_order_id);
    new.or_else(worked).or_else(reported).filter(|id| id.0 != 0)
}

fn keep(step: StepRef<'_>) -> ChainStep {
    let mut copy = Step::new();
    copy.begin(step.sequence(), step.time());
    for record in step.records() {
        copy.push_record(&record);
    }
    ChainStep { step: copy }
}
