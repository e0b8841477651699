//! `Input`: what ingress may put into a step, fixed in size so that a ring slot can hold it.

use pawl_journal::record::{
    Command, ExecutionReport, LinkChanged, Reconciled, Sequence, Step, Tick, Time, Timer,
};

/// One input of the engine. Runs begin and end outside the ring, so `RunStarted` and `RunEnded` are not here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    /// A quote change.
    Tick(Tick),
    /// What the venue says.
    Report(ExecutionReport),
    /// A periodic pulse.
    Timer(Timer),
    /// What an operator asked for.
    Command(Command),
    /// A link changed.
    Link(LinkChanged),
    /// What the venue holds, item by item.
    Reconciled(Reconciled),
}

impl Input {
    /// Makes `step` the beginning of this input's step.
    #[inline]
    pub fn begin(&self, step: &mut Step, sequence: Sequence, time: Time) {
        step.begin(sequence, time);
        match self {
            Self::Tick(it) => step.push(it),
            Self::Report(it) => step.push(it),
            Self::Timer(it) => step.push(it),
            Self::Command(it) => step.push(it),
            Self::Link(it) => step.push(it),
            Self::Reconciled(it) => step.push(it),
        }
    }
}
