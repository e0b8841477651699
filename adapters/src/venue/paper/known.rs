//! `KnownIds`: which client order ids the venue has seen, in bounded memory.
//!
//! The engine's ids grow with the step that made them. The last ones are remembered one by one; of those before
//! them only the highest is, and every id up to it counts as seen. So a new id is never refused as long as ids grow,
//! and an old one is never taken for new.

use std::collections::VecDeque;

use pawl_engine::stateful;
use pawl_journal::record::ClientOrderId;

/// How many ids are remembered one by one.
const REMEMBERED: usize = 8_192;

/// The client order ids that the venue has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownIds {
    last: VecDeque<ClientOrderId>,
    highest: ClientOrderId,
    forgotten_max: ClientOrderId,
}

stateful!(KnownIds { last, highest, forgotten_max });

impl KnownIds {
    pub(super) fn new() -> Self {
        Self {
            last: VecDeque::with_capacity(REMEMBERED),
            highest: ClientOrderId(0),
            forgotten_max: ClientOrderId(0),
        }
    }

    /// Whether an order with this id came before.
    pub(super) fn has(&self, id: ClientOrderId) -> bool {
        id <= self.highest && (id <= self.forgotten_max || self.last.contains(&id))
    }

    /// Remembers an id.
    pub(super) fn add(&mut self, id: ClientOrderId) {
        if self.last.len() == REMEMBERED {
            let forgotten = self.last.pop_front().expect("it is full");
            self.forgotten_max = self.forgotten_max.max(forgotten);
        }
        self.last.push_back(id);
        self.highest = self.highest.max(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_good_and_a_new_one_is_not() {
        let mut known = KnownIds::new();
        for id in (10..200_000).step_by(10) {
            assert!(!known.has(ClientOrderId(id)), "{id}");
            known.add(ClientOrderId(id));
            assert!(known.has(ClientOrderId(id)) && known.has(ClientOrderId(10)), "{id}");
        }
        assert!(!known.has(ClientOrderId(199_995)), "never seen, and recent enough to know it");
        assert!(known.last.len() <= REMEMBERED);
    }
}
