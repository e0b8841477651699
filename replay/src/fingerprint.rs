//! Fingerprints: what a build decides and holds on its way through a journal, as hashes.
//!
//! ```text
//!  recorded inputs    | 1 .. every | every + 1 ..      |  ..  until |     fed as they were recorded, reports too
//!  fingerprint        0            1                   2            last
//!                     states       states, and what the steps since the one before decided
//! ```
//!
//! Nothing is compared here, and nothing stops: a build goes on past the places where it decides other than the
//! journal has it. Two builds that are asked the same have the same fingerprints up to where they come apart.

use std::collections::BTreeMap;
use std::path::Path;

use pawl_engine::state::{self, ListedField};
use pawl_journal::record::{Kind, OutputHash, StepRef};
use serde::{Deserialize, Serialize};

use super::error::ReplayError;
use super::recompute::ModelSource;
use super::replay::Scope;
use super::rerun::Rerun;

/// The stages, in pipeline order.
pub const STAGES: [&str; 4] = ["feature", "inference", "risk", "order"];

/// What a build has decided and what it holds after a step. Hashes are written in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The step.
    pub sequence: u64,
    /// Its time, ns since the UNIX epoch; 0 before the first step.
    pub time: i64,
    /// What the steps since the fingerprint before decided: the output hash of them alone.
    #[serde(with = "hexadecimal")]
    pub decided: u64,
    /// What the feature stage holds.
    #[serde(with = "hexadecimal")]
    pub feature: u64,
    /// What the inference stage holds.
    #[serde(with = "hexadecimal")]
    pub inference: u64,
    /// What the risk stage holds.
    #[serde(with = "hexadecimal")]
    pub risk: u64,
    /// What the order stage holds.
    #[serde(with = "hexadecimal")]
    pub order: u64,
}

impl Fingerprint {
    /// What the stages hold, as in [`STAGES`].
    #[must_use]
    pub const fn states(&self) -> [u64; 4] {
        [self.feature, self.inference, self.risk, self.order]
    }
}

mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it serializes by reference")]
    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// A journal being run again for its fingerprints.
#[derive(Debug)]
pub struct Fingerprints {
    rerun: Rerun,
    from: u64,
    until: u64,
    every: u64,
    has_begun: bool,
    /// Steps run since it began.
    steps: u64,
    /// Records made since it began, by kind; kinds are numbers below this.
    made: [u64; 128],
}

impl Fingerprints {
    /// Opens a journal in front of the first step of `scope`. A fingerprint follows every step whose number is a multiple
    /// of `every`, from 1, and the last one. With `recompute`, `models` are run, and not taken from the journal.
    ///
    /// # Errors
    /// As [`Rerun::open_before`]; also for steps that the journal does not hold, and models that cannot be loaded.
    pub fn open(
        directory: &Path,
        scope: Scope,
        every: u64,
        models: &ModelSource,
    ) -> Result<Self, ReplayError> {
        let mut rerun = scope.open(directory)?;
        if scope.recompute {
            rerun.load_models(directory, models)?;
        }
        let from = scope.from.map_or(rerun.reached.0.0 + 1, |it| it.0);
        let until = scope.until.map_or_else(|| rerun.last_sequence(), Ok)?.0;
        Ok(Self { rerun, from, until, every, has_begun: false, steps: 0, made: [0; 128] })
    }

    /// The next fingerprint. The first one is of the states in front of the first step.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read any further.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and lends what it has reached")]
    pub fn next(&mut self) -> Result<Option<Fingerprint>, ReplayError> {
        let mut decided = OutputHash::default();
        if !self.has_begun {
            while self.rerun.reached.0.0 + 1 < self.from && self.rerun.advance()? {}
            self.has_begun = true;
            return Ok(Some(self.fingerprint(decided)));
        }
        let before = self.steps;
        while self.rerun.reached.0.0 < self.until && self.rerun.advance()? {
            let step = self.rerun.computed();
            decided = decided.after(step);
            self.steps += 1;
            for record in step.records() {
                if let Some(made) = self.made.get_mut(usize::from(record.header().kind)) {
                    *made += 1;
                }
            }
            if step.sequence().0.is_multiple_of(self.every) {
                break;
            }
        }
        Ok((self.steps > before).then(|| self.fingerprint(decided)))
    }

    fn fingerprint(&mut self, decided: OutputHash) -> Fingerprint {
        let (sequence, time) = self.rerun.reached;
        let pipeline = &mut self.rerun.pipeline;
        Fingerprint {
            sequence: sequence.0,
            time: time.0,
            decided: decided.0,
            feature: state::hash(&mut pipeline.feature).0,
            inference: state::hash(&mut pipeline.inference).0,
            risk: state::hash(&mut pipeline.risk).0,
            order: state::hash(&mut pipeline.order).0,
        }
    }

    /// What this build made of the step that it reached; nothing before the first.
    #[must_use]
    pub fn step(&self) -> Option<StepRef<'_>> {
        (self.steps > 0).then(|| self.rerun.computed())
    }

    /// Every field that the stages hold.
    pub fn fields(&mut self) -> Vec<ListedField> {
        let mut fields = state::list(&mut self.rerun.pipeline);
        fields.retain(|field| field.path != "output");
        fields
    }

    /// Steps run since the first fingerprint.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Records of those steps, by the names of their kinds; inputs and checkpoints are not counted.
    #[must_use]
    pub fn decisions(&self) -> BTreeMap<&'static str, u64> {
        let decides = |kind: &&Kind| !kind.is_input() && !matches!(kind, Kind::Checkpoint | Kind::Stamps);
        let made = |kind: &Kind| self.made.get(usize::from(kind.code())).copied().filter(|made| *made > 0);
        Kind::ALL.iter().filter(decides).filter_map(|kind| Some((kind.name(), made(kind)?))).collect()
    }
}
