//! Waiting: what a thread of the engine does when it has nothing to do.

use std::time::Duration;

/// Spins before a thread that spins first offers its core to others.
const SPINS: u32 = 2_000;

/// The same where there are more threads than cores: whoever has what this one waits for needs the core.
const SPINS_CROWDED: u32 = 20;

/// Looks in all before it sleeps between them: several that yield to each other keep those off who have something to do.
const YIELDS_CROWDED: u32 = 200;

/// Spins before a thread that sleeps goes to sleep.
const SPINS_BEFORE_SLEEP: u32 = 100;

/// How long it sleeps.
const SLEEP: Duration = Duration::from_micros(50);

/// What a thread does when it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// It looks again at once, for ever: the shortest latency. For a core of its own.
    Spin,
    /// It spins a few microseconds, then lets others have the core between looks. Where there are more threads than cores
    /// it soon sleeps between them.
    #[default]
    Yield,
    /// It spins a moment, then sleeps 50 us between looks: for a machine that has other things to do.
    Sleep,
}

/// A thread's waiting: how, and how long already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    wait: Wait,
    spins: u32,
    yields: u32,
    idle: u32,
}

impl Waiter {
    /// A thread that has something to do.
    pub(crate) const fn new(wait: Wait, is_crowded: bool) -> Self {
        let (spins, yields) = match wait {
            Wait::Spin => (u32::MAX, 0),
            Wait::Yield if is_crowded => (SPINS_CROWDED, YIELDS_CROWDED),
            Wait::Yield => (SPINS, u32::MAX),
            Wait::Sleep => (SPINS_BEFORE_SLEEP, 0),
        };
        Self { wait, spins, yields, idle: 0 }
    }

    /// There was something to do.
    #[inline]
    pub(crate) const fn reset(&mut self) {
        self.idle = 0;
    }

    /// Waits a moment.
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the engine's threads wait")]
    pub(crate) fn pause(&mut self) {
        self.idle = self.idle.saturating_add(1);
        match self.wait {
            _ if self.idle < self.spins => std::hint::spin_loop(),
            Wait::Spin => self.idle = 0,
            Wait::Yield if self.idle < self.yields => std::thread::yield_now(),
            Wait::Yield | Wait::Sleep => std::thread::sleep(SLEEP),
        }
    }

    /// Waits for something that is known to be at least `left` away.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the engine's threads wait")]
    pub(crate) fn doze(&mut self, left: Duration) {
        match self.wait {
            Wait::Spin => self.pause(),
            Wait::Yield | Wait::Sleep if left <= SLEEP => self.pause(),
            Wait::Yield | Wait::Sleep => std::thread::sleep((left - SLEEP).min(4 * SLEEP)),
        }
    }

    /// Moments waited since there was something to do.
    #[inline]
    pub(crate) const fn idle(&self) -> u32 {
        self.idle
    }
}
