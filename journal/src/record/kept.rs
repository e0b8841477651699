//! `KeptStep`: a step kept for later, in as many bytes as it has.
//!
//! A [`Step`](super::Step) is a writer's buffer and holds the largest step there can be; a reader that keeps steps
//! keeps these.

use super::codec::IntoBytes as _;
use super::step::StepRef;

/// A copy of a step.
#[derive(Clone)]
pub struct KeptStep {
    words: Vec<u64>,
    len: usize,
}

impl KeptStep {
    /// A copy of this step.
    #[must_use]
    pub fn of(step: StepRef<'_>) -> Self {
        let mut kept = Self { words: Vec::new(), len: 0 };
        kept.keep(step);
        kept
    }

    /// Keeps this step instead, in the memory there is.
    pub fn keep(&mut self, step: StepRef<'_>) {
        let bytes = step.bytes();
        self.len = bytes.len();
        self.words.resize(bytes.len().div_ceil(8), 0);
        self.words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    }

    /// The step.
    ///
    /// # Panics
    /// Never: what is kept was a step.
    #[must_use]
    pub fn view(&self) -> StepRef<'_> {
        StepRef::from_frame(&self.words.as_bytes()[..self.len]).expect("a kept step is whole")
    }
}

impl std::fmt::Debug for KeptStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Points, Sequence, Step, Tick, Time};

    #[test]
    fn a_kept_step_is_the_step_and_no_more_and_can_keep_a_longer_and_a_shorter_one() {
        let mut kept = KeptStep::of(Step::new().view());
        for ticks in [1, 3, 2] {
            let mut step = Step::new();
            step.begin(Sequence(ticks), Time(7));
            for bid in 0..ticks.cast_signed() {
                step.push(&Tick { bid: Points(bid), ..Tick::default() });
            }
            kept.keep(step.view());
            assert_eq!(kept.view().bytes(), step.bytes());
            assert_eq!(kept.view().all::<Tick>().count() as u64, ticks);
        }
    }
}
