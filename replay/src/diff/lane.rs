//! A lane: the steps of one side, with a look ahead and a look back.

use std::collections::VecDeque;

use pawl_journal::log::Reader;
use pawl_journal::record::{
    Command, CommandAction, KeptStep, Kind, LimitName, LinkChanged, LinkKind, LinkState, Micros, Points,
    StepRef, Tick, Time, Timer,
};

use super::tally::Tally;
use crate::error::ReplayError;

/// Steps that are told before and after the first difference.
pub(super) const AROUND: usize = 2;

/// Steps that a lane remembers: the first difference may be told a few steps late.
const BEHIND: usize = AROUND + 6;

/// How far a lane looks ahead for an input that the other one has at the same time.
const AHEAD_MAX: usize = 256;

/// Where the steps of one side come from, in order: a journal, or a pipeline that is being run.
pub trait Steps {
    /// The next step; none behind the last.
    ///
    /// # Errors
    /// [`ReplayError`] if it cannot be had.
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError>;
}

impl Steps for Reader {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        Ok(Self::next(self)?.map(|frame| frame.step()))
    }
}

/// What a step's input is to a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It comes from outside, and is the same whatever was decided before.
    Outside(Key),
    /// The venue's answer to an order.
    Report,
    /// A run began or ended, or the venue says at its beginning what it holds.
    Run,
}

/// What makes an input from outside the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Tick { feed: u16, source_time: Time, bid: Points, ask: Points },
    Timer { due: Time },
    Command { time: Time, action: CommandAction, limit: LimitName, value: i64 },
    Link { time: Time, link: LinkKind, feed: u16, state: LinkState },
    Other { time: Time, code: u16 },
}

impl Key {
    /// Whether these are the same but for the prices: a tick that was changed. Its number is no help, as a feed that
    /// lost a tick numbers the rest anew.
    pub(super) fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tick { feed, source_time, .. }, Self::Tick { feed: other, source_time: time, .. }) => {
                (feed, source_time) == (other, time)
            }
            _ => self == other,
        }
    }
}

impl Class {
    pub(super) fn of(step: StepRef<'_>) -> Self {
        let time = step.time();
        let Some(input) = step.input() else { return Self::Outside(Key::Other { time, code: 0 }) };
        let key = match input.kind() {
            Some(Kind::ExecutionReport) => return Self::Report,
            Some(Kind::RunStarted | Kind::RunEnded | Kind::Reconciled) => return Self::Run,
            Some(Kind::Tick) => input.get::<Tick>().map(|it| Key::Tick {
                feed: it.feed.0,
                source_time: it.source_time,
                bid: it.bid,
                ask: it.ask,
            }),
            Some(Kind::Timer) => input.get::<Timer>().map(|it| Key::Timer { due: it.due }),
            Some(Kind::Command) => input.get::<Command>().map(|it| Key::Command {
                time,
                action: it.action,
                limit: it.limit,
                value: it.value,
            }),
            Some(Kind::LinkChanged) => input.get::<LinkChanged>().map(|it| Key::Link {
                time,
                link: it.link,
                feed: it.feed.0,
                state: it.state,
            }),
            _ => None,
        };
        Self::Outside(key.unwrap_or(Key::Other { time, code: input.header().kind }))
    }
}

/// The steps of one side.
pub(super) struct Lane<'s> {
    steps: &'s mut dyn Steps,
    ahead: VecDeque<KeptStep>,
    behind: VecDeque<KeptStep>,
    spare: Vec<KeptStep>,
    ended: bool,
    pub(super) tally: Tally,
}

impl<'s> Lane<'s> {
    pub(super) const fn new(steps: &'s mut dyn Steps, opening: Micros) -> Self {
        Self {
            steps,
            ahead: VecDeque::new(),
            behind: VecDeque::new(),
            spare: Vec::new(),
            ended: false,
            tally: Tally::new(opening),
        }
    }

    /// The step that comes `place` behind the next one.
    pub(super) fn peek(&mut self, place: usize) -> Result<Option<&KeptStep>, ReplayError> {
        while !self.ended && self.ahead.len() <= place {
            match self.steps.next()? {
                Some(step) => {
                    let kept = match self.spare.pop() {
                        Some(mut kept) => {
                            kept.keep(step);
                            kept
                        }
                        None => KeptStep::of(step),
                    };
                    self.ahead.push_back(kept);
                }
                None => self.ended = true,
            }
        }
        Ok(self.ahead.get(place))
    }

    /// What the next step is; none behind the last.
    pub(super) fn class(&mut self) -> Result<Option<Class>, ReplayError> {
        Ok(self.peek(0)?.map(|step| Class::of(step.view())))
    }

    /// The time of the next step.
    pub(super) fn time(&mut self) -> Result<Option<Time>, ReplayError> {
        Ok(self.peek(0)?.map(|step| step.view().time()))
    }

    /// Takes the next step, which [`Self::peek`] has shown.
    pub(super) fn take(&mut self) -> Option<KeptStep> {
        let step = self.ahead.pop_front()?;
        self.tally.count(step.view());
        let mut kept = if self.behind.len() >= BEHIND { self.behind.pop_front() } else { None };
        match &mut kept {
            Some(kept) => kept.keep(step.view()),
            None => kept = Some(step.clone()),
        }
        self.behind.extend(kept);
        Some(step)
    }

    /// Gives back a step that is done with, for its memory.
    pub(super) fn give_back(&mut self, step: KeptStep) {
        if self.spare.len() < 4 {
            self.spare.push(step);
        }
    }

    /// The last steps that were taken before `at`, or before the next one.
    pub(super) fn before(&self, at: Option<StepRef<'_>>) -> Vec<KeptStep> {
        let earlier = |kept: &&KeptStep| at.is_none_or(|at| kept.view().sequence() < at.sequence());
        let before: Vec<_> = self.behind.iter().filter(earlier).cloned().collect();
        before[before.len().saturating_sub(AROUND)..].to_vec()
    }

    /// The steps that come next.
    pub(super) fn after(&mut self) -> Result<Vec<KeptStep>, ReplayError> {
        let mut after = Vec::new();
        for place in 0..AROUND {
            after.extend(self.peek(place)?.cloned());
        }
        Ok(after)
    }

    /// How many steps ahead this input comes, at this time.
    pub(super) fn distance(&mut self, key: Key, time: Time) -> Result<Option<usize>, ReplayError> {
        for place in 0..AHEAD_MAX {
            let Some(step) = self.peek(place)? else { break };
            if step.view().time() > time {
                break;
            }
            if Class::of(step.view()) == Class::Outside(key) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
