//! A pass: the fingerprints of two builds, side by side, and the first of each kind that differ.

use std::collections::BTreeMap;

use super::error::BisectError;
use super::protocol::Line;
use super::{Answer, BuildTold};
use crate::fingerprint::{Fingerprint, STAGES};

/// The steps behind `after` up to `at`: of the fingerprints there, the first agree in something and the last do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) after: u64,
    pub(super) at: u64,
}

/// What a pass found.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) builds: [BuildTold; 2],
    /// By stage: whether the states differ before the first step. They are not compared behind it then.
    pub(super) apart_before: [bool; STAGES.len()],
    /// Where other things were decided first.
    pub(super) decided: Option<Span>,
    /// By stage: where the states differ first.
    pub(super) states: [Option<Span>; STAGES.len()],
    /// Stretches between two fingerprints.
    pub(super) count: u64,
    /// Stretches in which other things were decided.
    pub(super) apart: u64,
    /// The last step of the last of those; 0 if there is none.
    pub(super) last_apart: u64,
    /// What both decided in all, by kind of record.
    pub(super) decisions: BTreeMap<String, [u64; 2]>,
}

impl Pass {
    /// Reads both answers to their ends; `progress` is told the steps that both reached.
    pub(super) fn of(
        mut answers: [&mut dyn Answer; 2],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, BisectError> {
        let builds = [build(&mut *answers[0])?, build(&mut *answers[1])?];
        let mut pass = Self {
            builds,
            apart_before: [false; STAGES.len()],
            decided: None,
            states: [None; STAGES.len()],
            count: 0,
            apart: 0,
            last_apart: 0,
            decisions: BTreeMap::new(),
        };
        let mut before: Option<u64> = None;
        loop {
            let [old, new] = &mut answers;
            match [fingerprint(&mut **old)?, fingerprint(&mut **new)?] {
                [Told::Fingerprint(old), Told::Fingerprint(new)] => {
                    if old.sequence != new.sequence {
                        return Err(BisectError::OutOfStep { old: old.sequence, new: new.sequence });
                    }
                    pass.take(before, &old, &new);
                    before = Some(old.sequence);
                    progress(old.sequence);
                }
                [Told::End(old), Told::End(new)] => {
                    for (side, decisions) in [old, new].into_iter().enumerate() {
                        for (kind, count) in decisions {
                            pass.decisions.entry(kind).or_default()[side] = count;
                        }
                    }
                    return Ok(pass);
                }
                [old, new] => {
                    let reached = before.unwrap_or(0);
                    let sequence = |told: &Told| match told {
                        Told::Fingerprint(it) => it.sequence,
                        Told::End(_) => reached,
                    };
                    return Err(BisectError::OutOfStep { old: sequence(&old), new: sequence(&new) });
                }
            }
        }
    }

    fn take(&mut self, before: Option<u64>, old: &Fingerprint, new: &Fingerprint) {
        let states = old.states().into_iter().zip(new.states()).map(|(old, new)| old != new);
        let Some(after) = before else {
            for (apart, is_apart) in self.apart_before.iter_mut().zip(states) {
                *apart = is_apart;
            }
            return;
        };
        let span = Span { after, at: old.sequence };
        self.count += 1;
        if old.decided != new.decided {
            self.apart += 1;
            self.last_apart = span.at;
            self.decided = self.decided.or(Some(span));
        }
        for ((first, apart_before), is_apart) in self.states.iter_mut().zip(self.apart_before).zip(states) {
            if is_apart && !apart_before {
                *first = first.or(Some(span));
            }
        }
    }

    /// The first span in which anything came apart.
    pub(super) fn first(&self) -> Option<Span> {
        self.states.iter().flatten().chain(&self.decided).copied().min_by_key(|span| span.at)
    }

    /// The first step whose states differ, and the first stage of which they do.
    pub(super) fn first_state(&self) -> Option<(u64, &'static str)> {
        let apart =
            self.states.iter().zip(STAGES).filter_map(|(span, stage)| Some((span.as_ref()?.at, stage)));
        apart.min_by_key(|(at, _)| *at)
    }

    /// This pass without the stages whose states cannot be compared, as another pass from the beginning has it.
    pub(super) fn without(mut self, whole: &Self) -> Self {
        for (first, apart_before) in self.states.iter_mut().zip(whole.apart_before) {
            *first = first.filter(|_| !apart_before);
        }
        self
    }
}

/// What a build tells of its way.
enum Told {
    Fingerprint(Fingerprint),
    End(BTreeMap<String, u64>),
}

/// Who answers.
pub(super) fn build(answer: &mut dyn Answer) -> Result<BuildTold, BisectError> {
    match answer.next()? {
        Line::Build { build, build_hash, .. } => Ok(BuildTold { build, build_hash }),
        line => Err(answer.garbled(&line)),
    }
}

fn fingerprint(answer: &mut dyn Answer) -> Result<Told, BisectError> {
    match answer.next()? {
        Line::Fingerprint(it) => Ok(Told::Fingerprint(it)),
        Line::End { decisions, .. } => Ok(Told::End(decisions)),
        line => Err(answer.garbled(&line)),
    }
}
