//! Bisecting: the first step at which two builds, fed the same recorded inputs, hold or decide something else.
//!
//! ```text
//!  old  |----------|----------|----------|----------|      fingerprints every so many steps, over the whole journal
//!  new  |----------|----------x----------x----------x
//!                  |..........x                            every step between the last two that agree in everything
//!                      ^
//!                      this step whole: its records, and every field of the stages
//! ```
//!
//! A build is a program of its own ([`Program`]), asked three times. What is decided counts; what is held tells where it
//! began, often many steps before. A stage that holds something else before the first step (another layout, as a rule)
//! has no states that could be compared: that is told, and decisions alone count for it.
//!
//! Invariants: memory does not grow with the journal but for one step and one state; decisions are compared at every
//! step, states at every fingerprint: states that differ in between, and then are the same again, had no effect.

mod apart;
mod error;
mod pass;
mod program;
mod protocol;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;
use serde::Serialize;
use serde_json::Value;

use self::apart::Whole;
pub use self::apart::{DecisionApart, StateApart};
pub use self::error::BisectError;
use self::pass::{Pass, Span};
pub use self::program::Program;
pub use self::protocol::{Line, PROTOCOL};
use crate::fingerprint::STAGES;
use crate::replay::{Scope, check_scope};

/// Something that decides on the inputs of a journal, and can be asked what.
pub trait Build {
    /// Asks for fingerprints of the steps from `from` to `until`, every so many; with the steps and all fields of the
    /// stages, if they are to be `whole`.
    ///
    /// # Errors
    /// [`BisectError`] if it cannot be asked.
    fn ask(
        &self,
        from: Sequence,
        until: Sequence,
        every: u64,
        whole: bool,
    ) -> Result<Box<dyn Answer>, BisectError>;
}

/// What a build answers.
pub trait Answer {
    /// The next line; there is one until [`Line::End`].
    ///
    /// # Errors
    /// [`BisectError`] if the build does not answer to its end.
    fn next(&mut self) -> Result<Line, BisectError>;

    /// The error of a line that does not belong where it is.
    fn garbled(&self, line: &Line) -> BisectError;
}

/// Who was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildTold {
    /// Its name and version.
    pub build: String,
    /// What tells it from every other program, in hexadecimal.
    pub build_hash: String,
}

/// Stretches of steps between two fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stretches {
    /// Steps in one of them.
    pub steps: u64,
    /// How many there are.
    pub count: u64,
    /// In how many of them other things were decided.
    pub apart: u64,
    /// The last step of the last of those; 0 if there is none.
    pub last: u64,
}

/// What a bisection found. Of a pair the old build's comes first.
#[derive(Debug, Clone, Serialize)]
pub struct Bisected {
    /// The first step compared.
    pub from: u64,
    /// The last step compared.
    pub until: u64,
    /// The two builds.
    pub builds: [BuildTold; 2],
    /// Stages that held something else before the first step: their states were not compared.
    pub before: Vec<StateApart>,
    /// Where a state came apart, if that was before the first other decision and no consequence of it.
    pub state: Option<StateApart>,
    /// The first other decision.
    pub decision: Option<DecisionApart>,
    /// The input of the step with the first divergence, as `pawl tail --format json` prints it.
    pub input: Value,
    /// How far decisions differ.
    pub stretches: Stretches,
    /// What both decided in all, by kind of record.
    pub decisions: BTreeMap<String, [u64; 2]>,
}

impl Bisected {
    /// The step of the first divergence.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        let state = self.state.as_ref().map(|it| it.sequence);
        state.or(self.decision.as_ref().map(|it| it.sequence))
    }

    /// Leaves out a state that is other because of the first other decision: in the same step, of the same stage or one
    /// behind it.
    fn leave_out_consequence(&mut self) {
        let place = |stage: &str| STAGES.iter().position(|it| stage.starts_with(it));
        let is_consequence = |state: &StateApart, decision: &DecisionApart| {
            state.sequence == decision.sequence && place(decision.stage) <= place(state.stage)
        };
        if let (Some(state), Some(decision)) = (&self.state, &self.decision)
            && is_consequence(state, decision)
        {
            self.state = None;
        }
    }

    /// Whether the builds decided the same at every step, and no state came apart on the way.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.state.is_none() && self.decision.is_none()
    }
}

/// What to bisect, and how far to tell of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BisectScope {
    /// The first step to compare; the journal's first if none.
    pub from: Option<Sequence>,
    /// The last step to compare; the journal's last if none.
    pub until: Option<Sequence>,
    /// Steps between two looks at the states; about the square root of their number if none.
    pub every: Option<u64>,
}

/// How far a bisection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Both builds reached this step, in the first pass.
    Comparing(u64),
    /// The first divergence is between these two steps.
    Narrowing(u64, u64),
}

/// Finds the first divergence of two builds over the journal in `directory`, from which nothing is read here but how
/// long it is.
///
/// # Errors
/// [`BisectError`] if one of the builds does not answer, or the journal has no such steps; a divergence is a result.
pub fn bisect(
    directory: &Path,
    builds: [&dyn Build; 2],
    scope: BisectScope,
    mut progress: impl FnMut(Progress),
) -> Result<Bisected, BisectError> {
    let BisectScope { from, until, every } = scope;
    check_scope(directory, Scope { from, until, ..Scope::default() })?;
    let reader = Reader::open(directory).map_err(crate::ReplayError::from)?;
    let from = from.map_or_else(|| reader.first_sequence(), Ok).map_err(crate::ReplayError::from)?;
    let until = until.map_or_else(|| reader.last_sequence(), Ok).map_err(crate::ReplayError::from)?;
    let steps = until.0 - from.0 + 1;
    let every = every.unwrap_or_else(|| steps.isqrt());
    let bisection = Bisection { builds };
    let all = Span { after: from.0 - 1, at: until.0 };
    let coarse = bisection.pass(all, every, &mut |at| progress(Progress::Comparing(at)))?;
    let mut found = Bisected {
        from: from.0,
        until: until.0,
        builds: coarse.builds.clone(),
        before: bisection.before(from, &coarse)?,
        state: None,
        decision: None,
        input: Value::Null,
        stretches: Stretches {
            steps: every,
            count: coarse.count,
            apart: coarse.apart,
            last: coarse.last_apart,
        },
        decisions: coarse.decisions.clone(),
    };
    let Some(first) = coarse.first() else { return Ok(found) };
    progress(Progress::Narrowing(first.after + 1, first.at));
    let fine = bisection.pass(first, 1, &mut |_| {})?.without(&coarse);
    let decided = match (fine.decided, coarse.decided) {
        (None, Some(span)) if span != first => bisection.pass(span, 1, &mut |_| {})?.decided,
        (found, _) => found,
    };
    let decided = decided.map(|it| it.at);
    let held = fine.first_state().filter(|(at, _)| decided.is_none_or(|decided| *at <= decided));
    if decided.is_none() && held.is_none() {
        return Err(BisectError::Unsteady { from: first.after + 1, until: first.at });
    }
    let steps = [held.map(|(at, _)| at), decided.filter(|at| held.is_none_or(|held| held.0 != *at))];
    for at in steps.into_iter().flatten() {
        let [old, new] = bisection.whole(Sequence(at), at)?;
        if let Some((_, stage)) = held.filter(|held| held.0 == at) {
            found.state = Some(StateApart::of(stage, &old, &new));
        }
        if decided == Some(at) {
            found.decision = Some(DecisionApart::of(&old, &new));
        }
        if found.input.is_null() {
            found.input = old.input();
        }
    }
    found.leave_out_consequence();
    Ok(found)
}

/// Two builds under comparison.
struct Bisection<'a> {
    builds: [&'a dyn Build; 2],
}

impl Bisection<'_> {
    fn pass(&self, span: Span, every: u64, progress: &mut dyn FnMut(u64)) -> Result<Pass, BisectError> {
        let [old, new] = self.builds;
        let ask = |build: &dyn Build| build.ask(Sequence(span.after + 1), Sequence(span.at), every, false);
        // Both run at once, each as far ahead as its pipe is long.
        let (mut old, mut new) = (ask(old)?, ask(new)?);
        Pass::of([&mut *old, &mut *new], progress)
    }

    /// What the stages that differ before the first step hold.
    fn before(&self, from: Sequence, coarse: &Pass) -> Result<Vec<StateApart>, BisectError> {
        if coarse.apart_before == [false; STAGES.len()] {
            return Ok(Vec::new());
        }
        let [old, new] = self.whole(from, from.0 - 1)?;
        let apart = coarse.apart_before.iter().zip(STAGES).filter(|(is_apart, _)| **is_apart);
        Ok(apart.map(|(_, stage)| StateApart::of(stage, &old, &new)).collect())
    }

    /// What both builds decide and hold at the fingerprint `at`, when they are asked about step `of`.
    fn whole(&self, of: Sequence, at: u64) -> Result<[Whole; 2], BisectError> {
        let [old, new] = self.builds;
        Ok([Whole::of(old, of, at)?, Whole::of(new, of, at)?])
    }
}
