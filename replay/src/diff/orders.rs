//! Which order of one side belongs to which of the other, and the reports that wait for their counterpart.
//!
//! ```text
//!  two steps that belong together --orders they made, by instrument--> pairs
//!  report on an order of A --held--> the report of the same place on its partner of B
//! ```
//!
//! Invariants: an order has one partner at most; what is kept grows with the orders that live, not with the steps.

use std::collections::{BTreeMap, VecDeque};

use pawl_journal::record::{KeptStep, OrderAction, OrderRequest, Sequence, StepRef};

use super::finding::Source;

/// Orders that ended are remembered for reports that come late; so many.
const ENDED_MAX: usize = 1024;

/// Most reports that wait on one order.
const HELD_MAX: usize = 64;

/// The partner of an order on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partner {
    /// This order.
    With(u64),
    /// There is none.
    Alone,
    /// Not known yet: the step that made the order is held itself.
    Waiting,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    partner: Partner,
    ended: bool,
}

/// The orders of both sides.
#[derive(Debug, Default)]
pub(super) struct Orders {
    known: [BTreeMap<u64, Known>; 2],
    held: [BTreeMap<u64, VecDeque<KeptStep>>; 2],
    ended: VecDeque<[Option<u64>; 2]>,
}

/// The new orders that a step makes: instrument and id.
pub(super) fn new_orders(step: StepRef<'_>) -> impl Iterator<Item = (u16, u64)> {
    step.all::<OrderRequest>()
        .filter(|it| it.action == OrderAction::NEW)
        .map(|it| (it.instrument.0, it.client_order_id.0))
}

impl Orders {
    /// The partner of an order. One that was never seen, or ended long ago, is taken to have the same id.
    pub(super) fn partner(&self, source: Source, id: u64) -> Partner {
        self.known[source.index()].get(&id).map_or(Partner::With(id), |it| it.partner)
    }

    /// Orders that are remembered, on both sides.
    #[cfg(test)]
    pub(super) fn known_count(&self) -> usize {
        self.known.iter().map(BTreeMap::len).sum()
    }

    /// Whether an order ended, as far as its side was compared.
    pub(super) fn has_ended(&self, source: Source, id: u64) -> bool {
        self.known[source.index()].get(&id).is_some_and(|it| it.ended)
    }

    /// One name for an order on both sides: the id that A has for it, or the side it is alone on and its id there.
    pub(super) fn name(&self, source: Source, id: u64) -> (Source, u64) {
        match (source, self.partner(source, id)) {
            (Source::B, Partner::With(partner)) => (Source::A, partner),
            _ => (source, id),
        }
    }

    /// Pairs the orders that two steps made. Returns every order whose partner is known now, by side.
    pub(super) fn pair(&mut self, a: StepRef<'_>, b: StepRef<'_>) -> Vec<[Option<u64>; 2]> {
        if !a.has_orders() && !b.has_orders() {
            return Vec::new();
        }
        let mut free: Vec<_> = new_orders(b).collect();
        let mut pairs = Vec::new();
        for (instrument, id) in new_orders(a) {
            let place = free.iter().position(|(other, _)| *other == instrument);
            pairs.push([Some(id), place.map(|place| free.remove(place).1)]);
        }
        pairs.extend(free.into_iter().map(|(_, id)| [None, Some(id)]));
        for pair in &pairs {
            for source in Source::BOTH {
                if let Some(id) = pair[source.index()] {
                    let partner = pair[source.other().index()].map_or(Partner::Alone, Partner::With);
                    self.know(source, id, partner);
                }
            }
        }
        pairs
    }

    /// The orders of a step that has no counterpart are alone, or wait if the step does.
    pub(super) fn unpaired(&mut self, source: Source, step: StepRef<'_>, partner: Partner) -> Vec<u64> {
        let ids: Vec<_> = new_orders(step).map(|(_, id)| id).collect();
        for id in &ids {
            self.know(source, *id, partner);
        }
        ids
    }

    fn know(&mut self, source: Source, id: u64, partner: Partner) {
        let known = self.known[source.index()].entry(id).or_insert(Known { partner, ended: false });
        known.partner = partner;
    }

    /// Keeps a report until its counterpart comes; returns the oldest one where too many wait.
    pub(super) fn hold(&mut self, source: Source, id: u64, step: KeptStep) -> Option<KeptStep> {
        let held = self.held[source.index()].entry(id).or_default();
        held.push_back(step);
        if held.len() > HELD_MAX { held.pop_front() } else { None }
    }

    /// Takes the oldest report that waits on an order.
    pub(super) fn release(&mut self, source: Source, id: u64) -> Option<KeptStep> {
        let held = self.held[source.index()].get_mut(&id)?;
        let step = held.pop_front();
        if held.is_empty() {
            self.held[source.index()].remove(&id);
        }
        step
    }

    /// The report of this step, if it still waits.
    pub(super) fn waiting(&self, source: Source, id: u64, at: Sequence) -> Option<&KeptStep> {
        self.held[source.index()].get(&id)?.iter().find(|kept| kept.view().sequence() == at)
    }

    /// Whether a report waits on an order.
    pub(super) fn waits(&self, source: Source, id: u64) -> bool {
        self.held[source.index()].contains_key(&id)
    }

    /// An order that has reports waiting.
    pub(super) fn any_held(&self, source: Source) -> Option<u64> {
        self.held[source.index()].keys().next().copied()
    }

    /// Notes that an order ended. Returns its id by side if its partner, if it has one, ended too: nothing more is to
    /// come then.
    pub(super) fn end(&mut self, source: Source, id: u64) -> Option<[Option<u64>; 2]> {
        let known = self.known[source.index()].get_mut(&id)?;
        if known.ended {
            return None;
        }
        known.ended = true;
        let mut pair = [None, None];
        pair[source.index()] = Some(id);
        match known.partner {
            Partner::Waiting => return None,
            Partner::Alone => {}
            Partner::With(partner) => {
                if !self.known[source.other().index()].get(&partner).is_some_and(|it| it.ended) {
                    return None;
                }
                pair[source.other().index()] = Some(partner);
            }
        }
        self.ended.push_back(pair);
        if self.ended.len() > ENDED_MAX {
            let oldest = self.ended.pop_front().unwrap_or_default();
            for source in Source::BOTH {
                if let Some(id) = oldest[source.index()] {
                    self.known[source.index()].remove(&id);
                }
            }
        }
        Some(pair)
    }
}
