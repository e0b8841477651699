//! The steps that are written: a tick alone, or a tick with its features.

use pawl_journal::record::{Features, Sequence, Step, Tick, Time};

/// Bytes of a step that holds a tick.
pub const SMALL_BYTES: u64 = 96;

/// Feature columns of a large step.
const COLUMNS: usize = 40;

/// Makes one step after the other in one buffer.
#[derive(Debug, Default)]
pub struct Steps {
    step: Step,
    columns: usize,
}

impl Steps {
    /// Steps of a tick alone: 96 bytes.
    pub fn small() -> Self {
        Self::default()
    }

    /// Steps of a tick with forty features, as the engine writes most of its steps.
    pub fn large() -> Self {
        Self { columns: COLUMNS, ..Self::default() }
    }

    /// The step with this sequence. The tick in it has the same number, so that a reader can check what it reads.
    #[inline]
    pub fn make(&mut self, sequence: u64) -> &Step {
        self.step.begin(Sequence(sequence), Time(sequence.cast_signed()));
        self.step.push(&Tick { source_sequence: sequence, ..Tick::default() });
        if self.columns > 0 {
            self.step.push_with_reals(&Features::default(), self.columns).fill(sequence as f32);
        }
        &self.step
    }

    /// The step that was made last.
    pub fn made(&self) -> &Step {
        &self.step
    }

    /// Bytes of each step.
    pub fn bytes(&mut self) -> u64 {
        self.make(1).bytes().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_step_has_the_bytes_that_the_aim_speaks_of() {
        assert_eq!(Steps::small().bytes(), SMALL_BYTES);
        assert!(Steps::large().bytes() > 2 * SMALL_BYTES);
    }
}
