//! `Intake`: what ingress has taken in so far, as far as the journal tells of it.
//!
//! It is all of ingress but the feeds themselves, so that a journal leads to the same intake wherever it is run again.

use pawl_journal::record::{LinkChanged, LinkKind, LinkState, StepRef, Tick, Time, Timer};

use super::IngressSettings;
use super::screen::Screen;
use crate::state::{State, Visitor};
use crate::stateful;

/// How far a feed's silence has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Silence {
    /// No silence.
    #[default]
    None,
    /// The feed was reported stale.
    Stale,
    /// The gap was reported; the tick that ends it is next.
    Gap,
}

impl State for Silence {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let mut code: u32 = match self {
            Self::None => 0,
            Self::Stale => 1,
            Self::Gap => 2,
        };
        code.visit(visitor);
        visitor.check(code <= 2);
        *self = match code {
            1 => Self::Stale,
            2 => Self::Gap,
            _ => Self::None,
        };
    }
}

/// What was taken from one feed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Own time of the last tick taken, the latest so far.
    pub(crate) last_time: Option<Time>,
    /// When it was taken, in the time of its step.
    pub(crate) seen: Option<Time>,
    pub(crate) silence: Silence,
    /// The last tick that the journal holds of it, after a restart.
    pub(crate) journaled: Option<Tick>,
}

stateful!(Taken { last_time, seen, silence, journaled });

/// What was taken in so far.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    /// The time of the last input.
    pub(crate) now: Time,
    /// Timer pulses since another input.
    pub(crate) pulses: u32,
    pub(crate) screen: Screen,
    /// By feed.
    pub(crate) feeds: Box<[Taken]>,
}

stateful!(Intake { now, pulses, screen, feeds });

impl Intake {
    /// Nothing taken from so many feeds.
    pub(crate) fn new(settings: &IngressSettings, feeds: usize) -> Self {
        Self {
            now: Time(0),
            pulses: 0,
            screen: Screen::new(settings),
            feeds: vec![Taken::default(); feeds].into_boxed_slice(),
        }
    }

    /// Takes a journaled step into account.
    pub(crate) fn replay(&mut self, step: StepRef<'_>) {
        self.now = step.time();
        self.pulses = if step.input_as::<Timer>().is_some() { self.pulses + 1 } else { 0 };
        if let Some(tick) = step.input_as::<Tick>() {
            self.screen.restore(tick);
            if let Some(feed) = self.feeds.get_mut(usize::from(tick.feed.0)) {
                feed.take(tick.source_time, step.time());
                feed.journaled = Some(*tick);
            }
        }
        if let Some(link) = step.input_as::<LinkChanged>()
            && link.link == LinkKind::FEED
            && let Some(feed) = self.feeds.get_mut(usize::from(link.feed.0))
        {
            feed.silence = if link.state == LinkState::STALE { Silence::Stale } else { Silence::Gap };
        }
    }
}

impl Taken {
    /// Notes a tick of this own time, taken at `seen`: it ends a silence.
    pub(crate) fn take(&mut self, time: Time, seen: Time) {
        self.silence = Silence::None;
        self.seen = Some(seen);
        self.last_time = Some(self.last_time.map_or(time, |last| last.max(time)));
    }
}
