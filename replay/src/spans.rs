//! Where the time of a step went, from its stamps.

use pawl_journal::record::Stamps;
use serde::Serialize;

/// The parts of a step's way through the engine, in nanoseconds. A stamp saturates at 4.29 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spans {
    /// From received to given to the ring.
    pub ingress_ns: u32,
    /// In the ring.
    pub ring_ns: u32,
    /// The feature stage.
    pub feature_ns: u32,
    /// The inference stage.
    pub inference_ns: u32,
    /// The risk stage.
    pub risk_ns: u32,
    /// The order stage.
    pub order_ns: u32,
    /// Checksum and commit; the step that follows tells it, so none where that has no stamps.
    pub commit_ns: Option<u32>,
}

impl Spans {
    /// The names of the parts, in order.
    pub const NAMES: [&'static str; 7] =
        ["ingress", "ring", "feature", "inference", "risk", "order", "commit"];

    /// The parts between a step's stamps; `next` are the stamps of the step that follows.
    #[must_use]
    pub fn of(stamps: &Stamps, next: Option<&Stamps>) -> Self {
        let committed = next.map(|next| next.committed_before_ns).filter(|it| *it > 0);
        Self {
            ingress_ns: stamps.published_ns,
            ring_ns: stamps.taken_ns.saturating_sub(stamps.published_ns),
            feature_ns: stamps.feature_ns.saturating_sub(stamps.taken_ns),
            inference_ns: stamps.inference_ns.saturating_sub(stamps.feature_ns),
            risk_ns: stamps.risk_ns.saturating_sub(stamps.inference_ns),
            order_ns: stamps.order_ns.saturating_sub(stamps.risk_ns),
            commit_ns: committed.map(|committed| committed.saturating_sub(stamps.order_ns)),
        }
    }

    /// The parts, in the order of [`Self::NAMES`].
    #[must_use]
    pub fn parts(&self) -> [u32; 7] {
        let stages = [self.feature_ns, self.inference_ns, self.risk_ns, self.order_ns];
        let [feature, inference, risk, order] = stages;
        [self.ingress_ns, self.ring_ns, feature, inference, risk, order, self.commit_ns.unwrap_or(0)]
    }

    /// From published to the end of the order stage.
    #[must_use]
    pub fn step_ns(&self) -> u64 {
        self.parts()[1..6].iter().map(|it| u64::from(*it)).sum()
    }

    /// From received to committed, or to the end of the order stage where the commit is not known.
    #[must_use]
    pub fn received_to_committed_ns(&self) -> u64 {
        self.parts().iter().map(|it| u64::from(*it)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_stamps_and_the_commit_is_told_by_the_next_step() {
        let stamps = Stamps {
            published_ns: 10,
            taken_ns: 30,
            feature_ns: 60,
            inference_ns: 100,
            risk_ns: 150,
            order_ns: 210,
            ..Stamps::default()
        };
        let next = Stamps { committed_before_ns: 280, ..Stamps::default() };
        let spans = Spans::of(&stamps, Some(&next));
        assert_eq!(spans.parts(), [10, 20, 30, 40, 50, 60, 70]);
        assert_eq!((spans.step_ns(), spans.received_to_committed_ns()), (200, 280));
        let first_of_a_run = Stamps::default();
        assert_eq!(Spans::of(&stamps, Some(&first_of_a_run)).commit_ns, None);
        assert_eq!(Spans::of(&stamps, None).received_to_committed_ns(), 210);
    }
}
