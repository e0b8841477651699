//! `Approved`: what risk allowed, as a type. Only this file makes one, and only from a verdict that says so.

use pawl_journal::record::{Outcome, StepRef, Verdict};

/// Something that risk approved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// What was approved.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }
}

impl Approved<Verdict> {
    /// Every approved verdict of a step, in the order they were given.
    pub fn all_in(step: StepRef<'_>) -> impl Iterator<Item = Self> {
        step.all::<Verdict>().filter_map(Self::from_verdict)
    }

    fn from_verdict(verdict: &Verdict) -> Option<Self> {
        (verdict.outcome == Outcome::APPROVED && verdict.approved_lots.0 > 0).then_some(Self(*verdict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pawl_journal::record::{Lots, Sequence, Step, Time};

    #[test]
    fn a_refused_verdict_never_becomes_approved() {
        let mut step = Step::new();
        step.begin(Sequence(1), Time(1));
        let verdict = |outcome, lots| Verdict { outcome, approved_lots: Lots(lots), ..Verdict::default() };
        step.push(&verdict(Outcome::REFUSED, 5));
        step.push(&verdict(Outcome::APPROVED, 0));
        step.push(&verdict(Outcome(9), 5));
        assert_eq!(Approved::all_in(step.view()).count(), 0);
        step.push(&verdict(Outcome::APPROVED, 7));
        let approved: Vec<_> = Approved::all_in(step.view()).collect();
        assert_eq!(approved.len(), 1);
        assert_eq!(approved[0].get().approved_lots, Lots(7));
    }
}
