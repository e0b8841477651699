//! Chains: everything that led to an order and everything that followed from it.
//!
//! ```text
//!  [earlier predictions that still counted] > input > features > predictions > signal > verdict > order
//!      > every report > position and profit
//! ```

use std::path::Path;

use pawl_engine::settings::Settings;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    AgentId, ClientOrderId, ExecutionReport, InstrumentId, KeptStep, Lots, Micros, OrderAction, OrderChanged,
    OrderRequest, PositionChanged, Prediction, Sequence, Signal, Stamps, StepRef, Time,
};

use super::error::ReplayError;
use super::settings::settings_of;
use super::spans::Spans;

/// Steps of the first look back for a position; each further look goes back four times as far.
const LOOK_BACK_STEPS: u64 = 4_096;

/// One step of a chain, with its bytes.
#[derive(Debug)]
pub struct ChainStep {
    /// The step as it was recorded.
    pub step: KeptStep,
    /// Where its time went; none without stamps.
    pub spans: Option<Spans>,
}

/// A step before the deciding one.
#[derive(Debug)]
pub struct EarlierStep {
    /// The step as it was recorded.
    pub step: KeptStep,
    /// The agents whose predictions in it still counted.
    pub agents: Vec<AgentId>,
}

/// The steps of one causal chain, in order.
#[derive(Debug)]
pub struct Chain {
    /// The order it is about; none when the step made none.
    pub order: Option<ClientOrderId>,
    /// Earlier steps with predictions that the signal of the deciding step still counted.
    pub earlier: Vec<EarlierStep>,
    /// First the step that decided, then every step that is about the order.
    pub steps: Vec<ChainStep>,
    /// Whether the order came to its end in the journal.
    pub is_final: bool,
    /// What its fills did; none if there is no fill, or the holding before it is not known, as in a pruned journal.
    pub effect: Option<Effect>,
}

/// What the fills of an order did to the holding and the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// Net holding before its first fill.
    pub net_before: Lots,
    /// Net holding after its last fill.
    pub net_after: Lots,
    /// What its fills realised, without commission.
    pub realised: Micros,
    /// What they cost.
    pub commission: Micros,
}

/// Follows the chain of a step or of an order. A number that is a step of this journal is taken as one, unless
/// `as_order` says otherwise; a step that only reports on an order leads to the step that decided it. `progress` is
/// told the step that was read, now and then.
///
/// # Errors
/// [`ReplayError`]; [`ReplayError::OutOfRange`] when it is no step of this journal, [`ReplayError::NoOrder`] when no
/// step of it made that order.
pub fn chain(
    directory: &Path,
    id: u64,
    as_order: bool,
    mut progress: impl FnMut(Sequence),
) -> Result<Chain, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let (first, last) = (reader.first_sequence()?.0, reader.last_sequence()?.0);
    if last == 0 {
        return Err(ReplayError::Empty);
    }
    // A journal whose beginning is gone has no settings, and its chains can still be followed.
    let settings = settings_of(directory).ok().map(|(recorded, _)| recorded.engine);
    let is_step = (first..=last).contains(&id) && !as_order;
    let mut chain =
        Chain { order: None, earlier: Vec::new(), steps: Vec::new(), is_final: false, effect: None };
    let order = if is_step {
        reader.seek(Sequence(id))?;
        let frame = reader.next()?.ok_or(ReplayError::OutOfRange { asked: id, first, last })?;
        let Some(order) = order_of(frame.step()) else {
            let step = KeptStep::of(frame.step());
            let next = reader.next()?.and_then(|it| it.step().get::<Stamps>().copied());
            chain.earlier = earlier(&mut reader, step.view(), settings.as_ref())?;
            chain.steps.push(with_spans(step, next.as_ref()));
            return Ok(chain);
        };
        order
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
    chain.order = Some(order);
    follow(&mut reader, order, &mut chain, &mut progress)?;
    if let Some(decided) = chain.steps.first() {
        chain.earlier = earlier(&mut reader, decided.step.view(), settings.as_ref())?;
    }
    Ok(chain)
}

/// Gathers every step from the order's own on that is about it.
fn follow(
    reader: &mut Reader,
    order: ClientOrderId,
    chain: &mut Chain,
    progress: &mut impl FnMut(Sequence),
) -> Result<(), ReplayError> {
    let mut position = None;
    let mut is_lost = false;
    let mut unspanned = false;
    let directory = reader.dir().to_owned();
    reader.seek(order.sequence())?;
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        if std::mem::take(&mut unspanned)
            && let Some(last) = chain.steps.last_mut()
        {
            last.spans = last.step.view().get().map(|it| Spans::of(it, step.get()));
        }
        let change = step.all::<OrderChanged>().filter(|it| it.client_order_id == order).last();
        let report = step.get::<ExecutionReport>().filter(|it| it.client_order_id == order);
        if chain.steps.is_empty() && change.is_none() {
            return Err(ReplayError::NoOrder { id: order.0 });
        }
        if change.is_some() || report.is_some() {
            chain.steps.push(with_spans(KeptStep::of(step), None));
            unspanned = true;
        }
        chain.is_final |= change.is_some_and(|it| it.to.is_final());
        if let Some(now) = step.get::<PositionChanged>() {
            if report.is_some_and(|it| it.lots.0 > 0 && it.instrument == now.instrument) {
                let before = match position.filter(|it: &PositionChanged| it.instrument == now.instrument) {
                    Some(before) => Some(before),
                    None => position_before(&directory, now.instrument, step.sequence())?,
                };
                match before {
                    Some(before) if !is_lost => add(&mut chain.effect, &before, now),
                    _ => is_lost = true,
                }
            }
            if chain.instrument() == Some(now.instrument) {
                position = Some(*now);
            }
        }
        if step.sequence().0.is_multiple_of(8_192) {
            progress(step.sequence());
        }
    }
    Ok(())
}

impl Chain {
    /// The instrument of the order.
    #[must_use]
    pub fn instrument(&self) -> Option<InstrumentId> {
        let order = self.order?;
        let decided = self.steps.first()?.step.view();
        decided.all::<OrderRequest>().find(|it| it.client_order_id == order).map(|it| it.instrument)
    }

    /// The time of the decision.
    #[must_use]
    pub fn decided(&self) -> Option<Time> {
        self.steps.first().map(|it| it.step.view().time())
    }
}

fn add(effect: &mut Option<Effect>, before: &PositionChanged, after: &PositionChanged) {
    let effect = effect.get_or_insert(Effect { net_before: before.net_lots, ..Effect::default() });
    effect.net_after = after.net_lots;
    effect.realised += after.realised - before.realised;
    effect.commission += after.commission - before.commission;
}

/// The holding as the last step before `at` tells it; flat if none does, and not known if there were steps that are gone.
fn position_before(
    directory: &Path,
    instrument: InstrumentId,
    at: Sequence,
) -> Result<Option<PositionChanged>, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let first = reader.first_sequence()?.0;
    let (mut until, mut steps) = (at.0, LOOK_BACK_STEPS);
    while until > first {
        let from = until.saturating_sub(steps).max(first);
        reader.seek(Sequence(from))?;
        let mut found = None;
        while let Some(frame) = reader.next()? {
            let step = frame.step();
            if step.sequence().0 >= until {
                break;
            }
            found = step
                .all::<PositionChanged>()
                .filter(|it| it.instrument == instrument)
                .last()
                .copied()
                .or(found);
        }
        if let Some(found) = found {
            return Ok(Some(found));
        }
        (until, steps) = (from, steps.saturating_mul(4));
    }
    Ok((first <= 1).then(|| PositionChanged { instrument, ..PositionChanged::default() }))
}

/// The steps in which agents that did not speak in the deciding step spoke last, as far as that still counted.
fn earlier(
    reader: &mut Reader,
    decided: StepRef<'_>,
    settings: Option<&Settings>,
) -> Result<Vec<EarlierStep>, ReplayError> {
    let (Some(signal), Some(settings)) = (decided.get::<Signal>(), settings) else { return Ok(Vec::new()) };
    let spoke = |step: StepRef<'_>, agent: AgentId| {
        step.all::<Prediction>().any(|it| it.agent == agent && it.instrument == signal.instrument)
    };
    let quiet: Vec<_> = settings
        .agents
        .iter()
        .enumerate()
        .map(|(place, agent)| (AgentId(place as u16), Time(decided.time().0.saturating_sub(agent.max_age.0))))
        .filter(|(agent, _)| settings.agents[usize::from(agent.0)].weight > 0.0 && !spoke(decided, *agent))
        .collect();
    let Some(from) = quiet.iter().map(|(_, since)| *since).min() else { return Ok(Vec::new()) };
    let mut last: Vec<Option<KeptStep>> = vec![None; quiet.len()];
    reader.seek_time(from)?;
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        if step.sequence() >= decided.sequence() {
            break;
        }
        for ((agent, since), last) in quiet.iter().zip(&mut last) {
            if step.time() >= *since && spoke(step, *agent) {
                match last {
                    Some(kept) => kept.keep(step),
                    None => *last = Some(KeptStep::of(step)),
                }
            }
        }
    }
    let mut found: Vec<EarlierStep> = Vec::new();
    for ((agent, _), step) in quiet.into_iter().zip(last) {
        let Some(step) = step else { continue };
        match found.iter_mut().find(|it| it.step.view().sequence() == step.view().sequence()) {
            Some(same) => same.agents.push(agent),
            None => found.push(EarlierStep { step, agents: vec![agent] }),
        }
    }
    found.sort_by_key(|it| it.step.view().sequence());
    Ok(found)
}

/// The order that a step is about: the first that it makes, else the one it works on or that is reported on.
fn order_of(step: StepRef<'_>) -> Option<ClientOrderId> {
    let new =
        step.all::<OrderRequest>().find(|it| it.action == OrderAction::NEW).map(|it| it.client_order_id);
    let worked = || step.get::<OrderChanged>().map(|it| it.client_order_id);
    let reported = || step.get::<ExecutionReport>().map(|it| it.client_order_id);
    new.or_else(worked).or_else(reported).filter(|id| id.0 != 0)
}

fn with_spans(step: KeptStep, next: Option<&Stamps>) -> ChainStep {
    let spans = step.view().get().map(|it| Spans::of(it, next));
    ChainStep { step, spans }
}
