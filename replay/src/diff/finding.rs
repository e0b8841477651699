//! What a comparison finds, as it finds it and as it adds up.

use std::collections::BTreeMap;

use pawl_engine::differing::DifferingKey;
use pawl_journal::record::{CheckpointOf, KeptStep, Kind, Record, Sequence, StepRef, Time};

use super::tally::Tally;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The first one.
    A,
    /// The second one.
    B,
}

impl Source {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A step of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its sequence there.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
}

impl Place {
    pub(super) fn of(step: StepRef<'_>) -> Self {
        Self { sequence: step.sequence(), time: step.time() }
    }
}

/// One difference, in the order of the inputs.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// Its step by source; both, where the steps belong together.
    pub steps: [Option<StepRef<'a>>; 2],
    /// What differs.
    pub what: What<'a>,
    /// Whether an input other than a venue's report or a timer pulse differed before: decisions rest on different
    /// inputs then.
    pub inputs_differ: bool,
}

/// What differs.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// Steps in a row whose inputs only one side has; timer pulses, ticks, commands and links.
    Inputs {
        /// The side that has them.
        source: Source,
        /// The first of them.
        first: Place,
        /// The last of them.
        last: Place,
        /// How many.
        steps: u64,
        /// How many of them are timer pulses.
        pulses: u64,
    },
    /// A venue's report that only one side has at this place; it may come later on the other one.
    Elsewhere {
        /// The side that has it.
        source: Source,
        /// The report.
        record: Record<'a>,
    },
    /// A record that belongs to one of the other side and is not equal to it.
    Changed {
        /// The record of either side.
        records: [Record<'a>; 2],
        /// The fields that differ, `time` for the step's own time; for a feature vector the names of its columns.
        fields: &'a [&'a str],
    },
    /// A record without counterpart in the step it belongs to.
    Only {
        /// The side that has it.
        source: Source,
        /// The record.
        record: Record<'a>,
    },
}

impl What<'_> {
    /// The kind of the record it is about; none for inputs that only one side has.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Inputs { .. } => None,
            Self::Elsewhere { record, .. } | Self::Only { record, .. } => record.kind(),
            Self::Changed { records, .. } => records[0].kind(),
        }
    }
}

/// The first difference, with the steps around it. It outlives the steps it was found in.
#[derive(Debug, Clone)]
pub struct First {
    /// The step by source; none where a side has no such step.
    pub steps: [Option<KeptStep>; 2],
    /// The place of the record in its step, by source; none where a side has no such record.
    pub records: [Option<usize>; 2],
    /// The fields that differ; empty where a side has nothing to compare with.
    pub fields: Vec<String>,
    /// The stage that wrote the record; `ingress` for inputs, `venue` for its reports.
    pub stage: &'static str,
    /// The kind of the record.
    pub kind: &'static str,
    /// The last steps before it, by source.
    pub before: [Vec<KeptStep>; 2],
    /// The steps that follow it, by source.
    pub after: [Vec<KeptStep>; 2],
}

impl First {
    /// The differing record of a source, if that has one.
    #[must_use]
    pub fn record(&self, source: Source) -> Option<Record<'_>> {
        let step = self.steps[source.index()].as_ref()?;
        step.view().records().nth(self.records[source.index()]?)
    }
}

/// How often records of one kind are on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCount {
    /// On each side.
    pub records: [u64; 2],
    /// Pairs that are not equal.
    pub changed: u64,
    /// Without counterpart, by side.
    pub only: [u64; 2],
    /// The first step with a difference of this kind, by side.
    pub first: Option<[Option<Place>; 2]>,
}

impl KindCount {
    /// Pairs that are equal.
    #[must_use]
    pub const fn equal(&self) -> u64 {
        self.records[0].saturating_sub(self.changed + self.only[0])
    }

    /// Whether there is a difference.
    #[must_use]
    pub const fn differs(&self) -> bool {
        self.changed + self.only[0] + self.only[1] > 0
    }
}

/// How many steps are on both sides. Starts and ends of runs are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepCount {
    /// Pairs that are equal.
    pub equal: u64,
    /// Pairs that are not.
    pub changed: u64,
    /// Without counterpart, by side.
    pub only: [u64; 2],
}

/// What a comparison came to.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The first difference; none if both sides decided the same. A timer pulse that differs is it only if nothing else
    /// does.
    pub first: Option<First>,
    /// Steps.
    pub steps: StepCount,
    /// Records, by kind; kinds that neither side has are not there.
    pub kinds: BTreeMap<Kind, KindCount>,
    /// Where inputs other than reports and timer pulses began to differ, by side.
    pub inputs_differ_from: Option<[Option<Place>; 2]>,
    /// The first pair of steps whose checkpoints differ, and of which stage; no difference by itself.
    pub state_differs_from: Option<([Place; 2], CheckpointOf)>,
    /// What each side came to.
    pub tallies: [Tally; 2],
    /// Whether it was compared to the end: the visitor may stop it.
    pub is_complete: bool,
}

impl Compared {
    /// Whether both sides had the same inputs and reports, and decided the same.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.first.is_none()
    }
}

/// In what the settings of two comparable journals differ.
#[derive(Debug, Clone, Default)]
pub struct Comparable {
    /// The keys, with both values.
    pub keys: Vec<DifferingKey>,
}
